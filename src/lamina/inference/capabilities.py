"""Which of torch's private operators this machine has and can be trusted with: each is tried once, on small numbers.

They come without a promise, so an answer that is missing or wrong sends the work to plain operators instead.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from time import perf_counter
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..nn.stack import ACTIVATIONS

POST = {  # what oneDNN calls the functions it can apply to a product on its way out
    "relu": ("relu", ""),
    "gelu": ("gelu", "none"),
    "gelu_new": ("gelu", "tanh"),
    "silu": ("swish", ""),
    "tanh": ("tanh", ""),
}
ENOUGH = 1.4  # times as fast as float32, to be worth bfloat16's rounding


@cache
def has(feature: str) -> bool:
    """Whether `feature`, a key of TESTS, works here."""
    return _tried(TESTS[feature])


@cache
def fuses(feature: str, function: str) -> bool:
    """Whether the operator behind `feature` ("packed" or "int8_many") can apply `function` (a key of POST) as well."""
    if function not in POST or not has(feature):
        return False
    return _tried(partial(_packed if feature == "packed" else _int8_many, function))


@cache
def packs_single_rows() -> bool:
    """Whether a single row meets prepacked float32 weights faster than plain ones: so on some CPUs, not on others.

    Timed once, on a few megabytes of weights, since no property of a CPU tells.
    """
    if not has("packed"):
        return False
    with torch.inference_mode():
        x, weight = torch.ones(1, 768), torch.ones(3072, 768)
        packed, product = torch.ops.mkldnn._reorder_linear_weight(weight, 1), bare("mkldnn", "_linear_pointwise")
        plain = _fastest(lambda: F.linear(x, weight))
        return _fastest(lambda: product(x, packed, None, "none", [], "")) < plain


def _bf16_gains() -> bool:
    """Whether products of many rows take well less time in bfloat16: with AMX or AVX-512's own instructions they may.

    Timed once, on half a gigaflop: processors that have the same instructions compute at half of float32 or at twice.
    """
    if not has("packed_bf16"):
        return False
    x, weight, product = torch.ones(128, 768), torch.ones(3072, 768), bare("mkldnn", "_linear_pointwise")
    narrow, packed = x.bfloat16(), torch.ops.mkldnn._reorder_linear_weight(weight.bfloat16(), 128)
    plain = _fastest(lambda: F.linear(x, weight))
    return _fastest(lambda: product(narrow, packed, None, "none", [], "")) < plain / ENOUGH


def _fastest(run: Callable[[], Any], times: int = 7) -> float:
    run()
    seconds = []
    for _ in range(times):
        start = perf_counter()
        run()
        seconds.append(perf_counter() - start)
    return min(seconds)


def _tried(test: Callable[[], bool]) -> bool:
    try:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch says once that quantized tensors are to go; then this will fail
            return test()
    except (RuntimeError, AttributeError, NotImplementedError, TypeError):
        return False


@contextmanager
def quantized_engine(name: str) -> Iterator[None]:
    """Have torch prepack 8-bit weights for one of its engines."""
    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = name
    try:
        yield
    finally:
        torch.backends.quantized.engine = before


def prepacked_int8(codes: Tensor, scale: Tensor, bias: Tensor | None) -> torch.ScriptObject:
    """Codes [out, in], scales [out] and bias, laid out for fbgemm."""
    engine = "x86" if "x86" in torch.backends.quantized.supported_engines else "fbgemm"
    zeros = torch.zeros(len(scale), dtype=torch.long)
    weight = torch._make_per_channel_quantized_tensor(codes, scale.double(), zeros, 0)
    with quantized_engine(engine):
        packed: torch.ScriptObject = torch.ops.quantized.linear_prepack(weight, bias)
    return packed


def bare(library: str, name: str) -> Callable[..., Any]:
    """One of torch's operators without the Python that it is called through, where it can be had."""
    operator = getattr(getattr(torch.ops, library), name).default
    found: Callable[..., Any] = getattr(operator, "_op", operator)
    return found


def as_bytes(quantized: Tensor) -> Tensor:
    """The codes of a quantized tensor without the copy that `int_repr` makes."""
    codes = torch.empty(0, dtype=torch.uint8)
    codes.set_(quantized.untyped_storage(), 0, quantized.shape, quantized.stride())
    return codes


def _near(found: Tensor, wanted: Tensor, tolerance: float) -> bool:
    return bool((found.float() - wanted).abs().max() <= tolerance * wanted.abs().max())


def _numbers(*shape: int) -> Tensor:
    return torch.linspace(-3, 3, shape[0] * shape[1]).view(shape).sin()


def _packed(function: str | None = None, dtype: torch.dtype = torch.float32) -> bool:
    x, weight, bias = _numbers(7, 64).to(dtype), _numbers(48, 64).to(dtype), _numbers(1, 48)[0].to(dtype)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, 16)
    name, algorithm = ("none", "") if function is None else POST[function]
    found = torch.ops.mkldnn._linear_pointwise(x, packed, bias, name, [], algorithm)
    wanted = F.linear(x.float(), weight.float(), bias.float())
    wanted = wanted if function is None else ACTIVATIONS[function](wanted)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    return _near(found, wanted, tolerance) and torch.equal(packed.to_dense(), weight)


def _int8_sample() -> tuple[Tensor, Tensor, Tensor]:
    """Activations, codes and scales, extreme ones among them: sums of them overflow where a kernel adds in 16 bits."""
    activations = (_numbers(32, 64).abs() * 255).round().to(torch.uint8)
    codes = (_numbers(48, 64) * 127).round().to(torch.int8)
    activations[0], codes[0] = 255, 127
    return activations, codes, torch.linspace(0.001, 0.01, 48)


def _int8_many(function: str | None = None) -> bool:
    activations, codes, scale = _int8_sample()
    packed = torch.ops.onednn.qlinear_prepack(codes, [32, 64])
    name, algorithm = ("none", "") if function is None else POST[function]
    zeros = torch.zeros(48, dtype=torch.long)
    found = torch.ops.onednn.qlinear_pointwise(
        activations, 0.02, 100, packed, scale, zeros, scale, 1.0, 0, torch.float32, name, [], algorithm
    )
    wanted = F.linear((activations.float() - 100) * 0.02, codes.float() * scale[:, None], scale)
    wanted = wanted if function is None else ACTIVATIONS[function](wanted)
    sample = torch.quantize_per_tensor(_numbers(4, 6), 0.01, 128, torch.quint8)
    return (
        _near(found, wanted, 1e-4)
        and torch.equal(packed.to_dense().t(), codes)
        and torch.equal(as_bytes(sample), sample.int_repr())
    )


def _int8_few(reduced: bool) -> bool:
    activations, codes, scale = _int8_sample()
    packed = prepacked_int8(codes, scale, scale)
    x = activations.float() * 0.01
    found = torch.ops.quantized.linear_dynamic(x, packed, reduced)
    kept = torch.ops.quantized.linear_unpack(packed)[0].int_repr()
    return _near(found, F.linear(x, codes.float() * scale[:, None], scale), 0.02) and torch.equal(kept, codes)


def _int8_weights() -> bool:
    x, codes, scale = _numbers(4, 64).bfloat16(), _int8_sample()[1], _int8_sample()[2].bfloat16()
    found = torch.ops.aten._weight_int8pack_mm(x, codes, scale)
    return _near(found, F.linear(x.float(), codes.float() * scale.float()[:, None]), 0.02)


def _int4_weights() -> bool:
    codes = torch.arange(64 * 64, dtype=torch.int32).view(64, 64) % 16
    scale, zero = _numbers(64, 2).abs().bfloat16(), _numbers(64, 2).bfloat16()
    packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes, 1)
    pairs = torch.stack([scale, zero], -1).transpose(0, 1).contiguous()
    x = _numbers(4, 64).bfloat16()
    found = torch.ops.aten._weight_int4pack_mm_for_cpu(x, packed, 32, pairs)
    weight = (codes.view(64, 2, 32).float() - 8) * scale.float()[..., None] + zero.float()[..., None]
    return _near(found, F.linear(x.float(), weight.view(64, 64)), 0.02)


TESTS: dict[str, Callable[[], bool]] = {
    "packed": _packed,  # float32 weights in oneDNN's own layout
    "packed_bf16": lambda: _packed(None, torch.bfloat16),
    "int8_many": _int8_many,  # oneDNN, 8-bit activations and weights
    "int8_few": lambda: _int8_few(False),  # fbgemm, the same for a few rows
    "int8_few_reduced": lambda: _int8_few(True),  # with 7-bit activations, for processors that add in 16 bits
    "int8_weights": _int8_weights,  # bfloat16 activations, 8-bit weights
    "int4_weights": _int4_weights,
    "bf16_compute": _bf16_gains,
    "int8_compute": lambda: torch.cpu._is_vnni_supported(),
}
