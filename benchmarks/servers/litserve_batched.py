"""The reference's model behind LitServe, batched as its documentation shows.

python -m benchmarks.servers.litserve_batched FOLDER PORT THREADS
"""

from __future__ import annotations

import sys

import litserve
import torch
from transformers import AutoModel, AutoTokenizer

ROWS, WAIT = 32, 0.005  # most texts of a batch, and the seconds it waits for them


class Embedding(litserve.LitAPI):
    folder: str
    threads: int

    def setup(self, device: str) -> None:
        torch.set_num_threads(self.threads)
        self.tokenizer = AutoTokenizer.from_pretrained(self.folder)
        self.model = AutoModel.from_pretrained(self.folder).eval()

    def decode_request(self, request) -> str:
        return request["inputs"]

    def predict(self, texts: list[str]) -> list[list[float]]:
        read = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            states = self.model(**read).last_hidden_state
        mask = read["attention_mask"].unsqueeze(-1)
        pooled = (states * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(pooled, dim=1).tolist()

    def encode_response(self, output: list[float]) -> list[float]:
        return output


if __name__ == "__main__":
    folder, port, threads = sys.argv[1:]
    served = Embedding(max_batch_size=ROWS, batch_timeout=WAIT)
    served.folder, served.threads = folder, int(threads)
    server = litserve.LitServer(served, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(port), num_api_servers=1, generate_client_file=False, log_level="warning")
