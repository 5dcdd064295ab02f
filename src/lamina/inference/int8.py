"""Linear layers of 8-bit weights and activations.

Measured on AVX-512 processors: oneDNN is best for many rows, fbgemm for few, since it has no cost for a number of rows
never seen before. A processor whose 8-bit products overflow (without VNNI) is no faster in 8 bits at many rows: there
the same weights meet float32 activations.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checkpoint.compact import int8_codes, unpack
from . import capabilities
from .capabilities import as_bytes, bare, prepacked_int8
from .linears import ROWS_HINT, FrozenLinear

FEW_ROWS = 16  # up to here fbgemm beats oneDNN
ROUNDED_BELOW = 256  # rows; below this a number of rows is rounded up so that oneDNN meets few different ones
STEP = 16


class Int8Linear(FrozenLinear):
    """8-bit weights, one scale per row, and 8-bit activations, one range for all tokens of a call."""

    precision = "int8"
    few_rows = FEW_ROWS
    coarse = True  # whether few rows may have 7 bits where a processor has no more

    def codes(self, weight: Tensor) -> dict[str, Tensor]:
        """Codes and scales."""
        codes, scale = int8_codes(weight)
        return {"weight": codes, "scale": scale}

    def hold(self, tensors: dict[str, Tensor]) -> None:
        """Lay out for few rows; the layout for many is made when it is first needed."""
        codes, self.scale, self.bias = tensors["weight"], tensors["scale"].float(), tensors.get("bias")
        self.few: torch.ScriptObject | None = None
        self.packed: Tensor | None = None
        self.plain: Tensor | None = None
        self.zeros = torch.zeros(self.out_features, dtype=torch.long)
        cpu = codes.device.type == "cpu"
        self.reduced = not capabilities.has("int8_few")
        self.many = cpu and capabilities.has("int8_many")
        self.post = self.fusion("int8_many")
        if self.bias is not None:
            self.bias = self.bias.float()
        if cpu and (not self.reduced or (self.coarse and capabilities.has("int8_few_reduced"))):
            self.few = prepacked_int8(codes, self.scale, self.bias)
            self.product_of_few = bare("quantized", "linear_dynamic")
        elif self.many:
            self._pack_many(codes)
        if not self.many:
            self.plain = codes

    def tensors(self) -> dict[str, Tensor]:
        """Codes, scales and bias."""
        found = {"weight": self._codes(), "scale": self.scale}
        return found if self.bias is None else {**found, "bias": self.bias}

    def _codes(self) -> Tensor:
        if self.plain is not None:
            return self.plain
        if self.packed is not None:
            return self.packed.to_dense().t().contiguous()
        codes: Tensor = torch.ops.quantized.linear_unpack(self.few)[0].int_repr()
        return codes

    def _pack(self, codes: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        """Codes laid out for many rows, and the product that reads them."""
        packed = torch.ops.onednn.qlinear_prepack(codes, [ROWS_HINT, self.in_features])
        return packed, bare("onednn", "qlinear_pointwise")

    def _pack_many(self, codes: Tensor) -> None:
        self.packed, self.product_of_many = self._pack(codes)

    @property
    def weight(self) -> Tensor:
        """What the codes stand for, float32."""
        return unpack(self._codes(), self.scale)

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        dtype = x.dtype
        rows = x.numel() // self.in_features
        x = x if dtype == torch.float32 else x.float()
        if self.few is not None and rows <= self.few_rows and math.isfinite(float(x.sum())):
            y = self.activated(self.product_of_few(x, self.few, self.reduced))
        elif self.many and rows:
            y = self._many_rows(x.reshape(rows, -1), rows).view(*x.shape[:-1], self.out_features)
        else:
            y = self._plainly(x)
        return y if dtype == torch.float32 else y.to(dtype)

    def _plainly(self, x: Tensor) -> Tensor:
        return self.activated(F.linear(x, self.weight, self.bias))

    def _many_rows(self, x: Tensor, rows: int) -> Tensor:
        if self.packed is None:
            self._pack_many(self._codes())
        low, high = (float(end) for end in torch.aminmax(x))
        low, high = min(low, 0.0), max(high, 0.0)
        if not math.isfinite(high - low):  # NaN and infinity have no code, and must not vanish
            return self._plainly(x)
        scale = (high - low) / 255 or 1.0
        zero = round(-low / scale)
        codes = as_bytes(torch.quantize_per_tensor(_rounded(x, rows), scale, zero, torch.quint8))
        name, algorithm = self.post or ("none", "")
        y: Tensor = self.product_of_many(
            codes, scale, zero, self.packed, self.scale, self.zeros, self.bias,
            1.0, 0, torch.float32, name, [], algorithm,
        )  # fmt: skip
        y = y if len(y) == rows else y[:rows]
        return y if self.post is not None else self.activated(y)


class RowInt8Linear(Int8Linear):
    """As Int8Linear, with a range for each token of its own: nearer to float32, and independent of the other tokens."""

    precision = "int8-accurate"
    few_rows = 1  # a single row has its own range anyway
    coarse = False

    def _pack_many(self, codes: Tensor) -> None:
        super()._pack_many(codes)
        sums = codes.sum(1).float() * self.scale
        self.offsets = torch.stack([sums, torch.zeros_like(sums) if self.bias is None else self.bias])

    def _many_rows(self, x: Tensor, rows: int) -> Tensor:
        if self.packed is None:
            self._pack_many(self._codes())
        low, high = x.amin(1, keepdim=True).clamp_max_(0), x.amax(1, keepdim=True).clamp_min_(0)
        scale = (high - low).clamp_min_(1e-12).div_(255)
        if not math.isfinite(float(scale.max())):
            return self._plainly(x)
        inverse = scale.reciprocal()
        zero = (low * inverse).round_().neg_()
        # One range of codes does for all rows once each is scaled and shifted; zero points are taken off afterwards.
        shifted = torch.addcmul(zero, x, inverse)
        codes = as_bytes(torch.quantize_per_tensor(_rounded(shifted, rows), 1.0, 0, torch.quint8))
        y: Tensor = self.product_of_many(
            codes, 1.0, 0, self.packed, self.scale, self.zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )  # fmt: skip
        y = (y if len(y) == rows else y[:rows]).mul_(scale)
        y = y.addmm_(torch.cat([zero.mul_(scale).neg_(), torch.ones_like(scale)], 1), self.offsets)
        return torch.ops.aten.gelu_(y) if self.activation is F.gelu else self.activated(y)


def _rounded(x: Tensor, rows: int) -> Tensor:
    """`x` with rows of zeros below, so that small numbers of rows come in steps."""
    missing = -rows % STEP if rows < ROUNDED_BELOW else 0
    return F.pad(x, (0, 0, 0, missing)) if missing else x
