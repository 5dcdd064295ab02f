"""Loading maps what it can and copies the rest straight into place: its peak is little more than the weights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lamina.checkpoint.files import save_weights

PEAK = """
import sys, torch
from torch import nn
from lamina.checkpoint.convert import load_into
from lamina.checkpoint.files import open_weights
class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.up, self.down = nn.Linear(768, 2304), nn.Linear(768, 3072), nn.Linear(3072, 768)
def peak():
    return 1024 * next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
with torch.device("meta"):
    model = nn.Module()
    model.layers = nn.ModuleList(Layer() for _ in range(6))
    model.tokens = nn.Embedding(20000, 768)
table = {"tokens": "wte", "layers.*.qkv": "h.*.{q,k,v}", "layers.*.up": "h.*.up^T", "layers.*.down": "h.*.down"}
torch.ones(10).sum()
before = peak()
with open_weights(sys.argv[1]) as weights:
    load_into(model, table, weights, dtype=torch.float32)
for parameter in model.parameters():
    parameter.detach().sum()
total = sum(parameter.nbytes for parameter in model.parameters())
print((peak() - before) / total)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("dtype", "safe"), [(torch.float32, True), (torch.float16, False)])
def test_loading_takes_little_more_memory_than_the_weights(tmp_path: Path, dtype: torch.dtype, safe: bool) -> None:
    tensors = {"wte.weight": torch.zeros(20000, 768, dtype=dtype)}
    for i in range(6):
        shapes = {"q": (768, 768), "k": (768, 768), "v": (768, 768), "up": (768, 3072), "down": (768, 3072)}
        tensors |= {f"h.{i}.{name}.weight": torch.zeros(shape, dtype=dtype) for name, shape in shapes.items()}
        biases = {"q": 768, "k": 768, "v": 768, "up": 3072, "down": 768}
        tensors |= {f"h.{i}.{name}.bias": torch.zeros(size, dtype=dtype) for name, size in biases.items()}
    save_weights(tmp_path, tensors, safe_serialization=safe)
    peak = subprocess.run([sys.executable, "-c", PEAK, str(tmp_path)], capture_output=True, text=True, check=True)
    assert 0.9 < float(peak.stdout) <= 1.15
