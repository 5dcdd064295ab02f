"""The steps of CONTRIBUTING, followed: a family of its own in a copy of the package, and no other file touched."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import lamina
from tests.assets import asset

ROOT = Path(__file__).resolve().parent.parent.parent
FILE = "families/nezha.py"
FAMILY = '''
"""A toy: BERT's blocks with a wider table of positions, and names of its own."""

from ..spec import BlockSpec, EmbeddingSpec, HeadSpec, LearnedPositions, ModelSpec, NormalInit, StackSpec
from .family import Family, Task
from .names import under


def spec(c):
    embedding = EmbeddingSpec(c["vocab_size"], c["width"], LearnedPositions(c["positions"]), norm="layer", padding_id=0)
    block = BlockSpec(c["width"], c["heads"], 2 * c["width"], activation="gelu", eps=1e-12)
    return ModelSpec(encoder=StackSpec(embedding, block, c["layers"]), init=NormalInit(0.02))


LAYER = {
    "attn.qkv": "self.{query,key,value}",
    "attn.out": "self.out",
    "attn_norm": "norm1",
    "ffn.up": "wide^T",
    "ffn.down": "narrow",
    "ffn_norm": "norm2 | LayerNorm",
}
NAMES = {
    "encoder.embeddings.tokens": "table",
    "encoder.embeddings.positions": "places",
    "encoder.embeddings.norm": "norm",
    **under("encoder.layers.*.", "block.*.", LAYER),
}
TASKS = (
    Task("NezhaModel", "body"),
    Task(
        "NezhaForMaskedLM",
        "masked-lm",
        lambda c: HeadSpec(c["width"], c["vocab_size"], dense="gelu", norm="layer", tied=True),
        {"head.dense": "cls.dense", "head.norm": "cls.norm", "head.project": "cls.out"},
    ),
    Task(
        "NezhaForSequenceClassification",
        "sequence-classification",
        lambda c: HeadSpec(c["width"], c["num_labels"], select="first"),
        {"head.project": "classifier"},
    ),
)
DEFAULTS = {"vocab_size": 30522, "width": 32, "heads": 4, "layers": 2, "positions": 64, "pad_token_id": 0}
FAMILY = Family(
    "nezha", "nezha.", spec, lambda c: NAMES, TASKS, DEFAULTS, tokenizer="bert",
    aliases={"hidden_size": "width", "num_hidden_layers": "layers", "num_attention_heads": "heads"},
)
'''
LINES = {  # what the steps add to files that are there: a line after another
    "families/__init__.py": ('    "mbart": "mbart",\n', '    "nezha": "nezha",\n'),
    "tokenizers/recipes/__init__.py": ('    "openai-gpt": "gpt",\n', '    "nezha": "bert",\n'),
}
USE = """
import json, sys
from pathlib import Path

import torch
import lamina

folder, vocabulary = Path(sys.argv[1]), sys.argv[2]
assert Path(lamina.__file__).is_relative_to(folder.parent), lamina.__file__
config = lamina.NezhaConfig(hidden_size=16, layers=3)
assert (config.width, config.num_hidden_layers) == (16, 3) and "NezhaForMaskedLM" in dir(lamina)
torch.manual_seed(0)
model = lamina.NezhaForMaskedLM(config).eval()
model.save_pretrained(folder)
(folder / "vocab.txt").write_bytes(Path(vocabulary).read_bytes())
assert json.loads((folder / "config.json").read_text())["model_type"] == "nezha"

names = lamina.NezhaForMaskedLM.from_pretrained(folder, output_loading_info=True)[1]
assert not any(names.values()), names
from safetensors import safe_open
with safe_open(folder / "model.safetensors", "pt") as stored:
    assert {"nezha.block.2.self.key.weight", "nezha.block.0.norm2.bias", "cls.dense.weight"} <= set(stored.keys())
    assert tuple(stored.get_slice("nezha.block.0.wide.weight").get_shape()) == (16, 32)  # transposed, as the table says

again, tokenizer = lamina.AutoModelForMaskedLM.from_pretrained(folder), lamina.AutoTokenizer.from_pretrained(folder)
assert type(tokenizer) is type(lamina.BertTokenizer.from_pretrained(folder))
short, long = tokenizer("a cat"), tokenizer("a cat sat on the mat")
padded = tokenizer(["a cat", "a cat sat on the mat"], padding=True, return_tensors="pt", return_token_type_ids=False)
with torch.no_grad():
    alone = again(input_ids=torch.tensor([short["input_ids"]])).logits
    beside = again(**padded).logits[:1, : alone.shape[1]]
    before = model(input_ids=torch.tensor([short["input_ids"]])).logits
assert torch.equal(alone, before) and torch.allclose(alone, beside, atol=1e-5)
loss = again.train()(input_ids=padded["input_ids"], labels=padded["input_ids"]).loss
loss.backward()
assert all(parameter.grad is not None for parameter in again.parameters())
assert len(lamina.pipeline("fill-mask", model=str(folder))("a [MASK] sat")) == 5
print("added")
"""


def test_the_steps_of_contributing_add_a_family(tmp_path: Path) -> None:
    source, package = Path(lamina.__file__).parent, tmp_path / "lamina"
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__", "assets", "static"))
    (package / FILE).write_text(FAMILY.lstrip(), encoding="utf-8")
    for name, (after, added) in LINES.items():
        text = (package / name).read_text(encoding="utf-8")
        assert text.count(after) == 1, name
        (package / name).write_text(text.replace(after, after + added), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", USE, str(tmp_path / "model"), str(asset("minilm") / "vocab.txt")],
        capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0 and "added" in done.stdout, done.stderr[-4000:]


def test_the_steps_name_every_file_that_they_touch() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    steps = text[text.index("## A new family in five steps") : text.index("## Habits")]
    named = set(re.findall(r"`(?:src/lamina/)?([a-z_/]+\.py)`", steps))
    assert {FILE, *LINES} <= named
