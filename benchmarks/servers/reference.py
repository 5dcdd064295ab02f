"""The reference's own pipeline behind FastAPI, a request at a time: what its users write first.

python -m benchmarks.servers.reference FOLDER PORT THREADS
"""

from __future__ import annotations

import sys

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline


class Asked(BaseModel):
    inputs: str


def create(folder: str, threads: int) -> FastAPI:
    torch.set_num_threads(threads)
    read = pipeline("feature-extraction", model=folder, device="cpu")
    app = FastAPI()

    # In the event loop: threads of a pool would only fight for the cores, and make it slower.
    @app.post("/")
    async def embed(asked: Asked) -> list[float]:
        states = read(asked.inputs, return_tensors=True, truncation=True)[0]
        return torch.nn.functional.normalize(states.mean(0), dim=0).tolist()

    return app


if __name__ == "__main__":
    folder, port, threads = sys.argv[1:]
    uvicorn.run(create(folder, int(threads)), host="127.0.0.1", port=int(port), log_level="warning", access_log=False)
