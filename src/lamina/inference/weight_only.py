"""Linear layers of narrow weights and bfloat16 activations: for decoding, where reading the weights is the work."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checkpoint.compact import int4_codes, int8_codes, unpack, unpack_int4
from . import capabilities
from .linears import FrozenLinear

MOST_ROWS = 16  # beyond these the 8-bit operator is slower than unpacking the weight
GROUP = 32  # columns that share a scale in int4


class Int8WeightLinear(FrozenLinear):
    """8-bit weights, one scale per row, and bfloat16 activations: for decoding, where reading weights is the work."""

    precision = "int8-weights"

    def codes(self, weight: Tensor) -> dict[str, Tensor]:
        """Codes and scales."""
        codes, scale = int8_codes(weight)
        return {"weight": codes, "scale": scale}

    def hold(self, tensors: dict[str, Tensor]) -> None:
        """Keep them as they are: the operator reads the plain layout."""
        self.held = {**tensors, "scale": tensors["scale"].float()}
        self.ready = tensors["weight"].device.type == "cpu" and capabilities.has("int8_weights")
        self.narrow = self.held["scale"].bfloat16()

    def tensors(self) -> dict[str, Tensor]:
        """Codes, scales and bias."""
        return self.held

    @property
    def weight(self) -> Tensor:
        """What the codes stand for, float32."""
        return unpack(self.held["weight"], self.held["scale"])

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        rows, bias = x.numel() // self.in_features, self.held.get("bias")
        if not self.ready or rows > MOST_ROWS:
            return self.activated(F.linear(x, self.weight.to(x.dtype), None if bias is None else bias.to(x.dtype)))
        flat = x.reshape(rows, self.in_features).bfloat16()
        y = torch.ops.aten._weight_int8pack_mm(flat, self.held["weight"], self.narrow).to(x.dtype)
        y = y if bias is None else y.add_(bias)
        return self.activated(y.view(*x.shape[:-1], self.out_features))


class Int4Linear(FrozenLinear):
    """4-bit weights in groups of 32 columns and bfloat16 activations. Wants in_features to be a multiple of 32."""

    precision = "int4"

    def codes(self, weight: Tensor) -> dict[str, Tensor]:
        """Codes, scales and zeros."""
        codes, scale, zero = int4_codes(weight, GROUP)
        return {"weight": codes, "scale": scale, "zero": zero}

    def hold(self, tensors: dict[str, Tensor]) -> None:
        """Two codes to a byte in the operator's layout, on a CPU that has it."""
        codes, self.scale, self.zero = tensors["weight"], tensors["scale"].bfloat16(), tensors["zero"].bfloat16()
        self.bias, self.plain = tensors.get("bias"), None
        self.packed: Tensor | None = None
        if codes.device.type != "cpu" or not capabilities.has("int4_weights"):
            self.plain = codes
            return
        missing = -len(codes) % 64  # the operator wants rows by the 64
        scale, zero = (F.pad(t, (0, 0, 0, missing)) for t in (self.scale, self.zero))
        self.pairs = torch.stack([scale, zero], -1).transpose(0, 1).contiguous()
        self.packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(F.pad(codes, (0, 0, 0, missing)).int(), 1)

    @property
    def nbytes(self) -> int:
        """Bytes of what is kept: half of one for each code."""
        return super().nbytes - self.in_features * self.out_features // 2

    def tensors(self) -> dict[str, Tensor]:
        """Codes, scales, zeros and bias."""
        found = {"weight": self._codes(), "scale": self.scale, "zero": self.zero}
        return found if self.bias is None else {**found, "bias": self.bias}

    def _codes(self) -> Tensor:
        if self.packed is None:
            assert self.plain is not None
            return self.plain
        # Read back by multiplying the unit matrix with scales of one: codes of 0 to 15 are exact in bfloat16.
        pairs = torch.stack([torch.ones_like(self.pairs[..., 0]), torch.zeros_like(self.pairs[..., 0])], -1)
        unit = torch.eye(self.in_features, dtype=torch.bfloat16)
        product = torch.ops.aten._weight_int4pack_mm_for_cpu(unit, self.packed, GROUP, pairs)
        codes: Tensor = product[:, : self.out_features].t().add(8).to(torch.uint8).contiguous()
        return codes

    @property
    def weight(self) -> Tensor:
        """What the codes stand for, float32."""
        return unpack_int4(self._codes(), self.scale, self.zero)

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        if self.packed is None:
            bias = None if self.bias is None else self.bias.to(x.dtype)
            return self.activated(F.linear(x, self.weight.to(x.dtype), bias))
        flat = x.reshape(-1, self.in_features).bfloat16()
        y = torch.ops.aten._weight_int4pack_mm_for_cpu(flat, self.packed, GROUP, self.pairs)
        y = y[:, : self.out_features].to(x.dtype)
        y = y if self.bias is None else y.add_(self.bias)
        return self.activated(y.view(*x.shape[:-1], self.out_features))
