"""Linear layers laid out for reading only, one class per arithmetic, each with plain operators to fall back on.

All take [..., in_features] to [..., out_features], with an activation applied on the way out where one is given: fused
into the product where the kernel can, by itself where not.

8-bit weights and activations, measured on AVX-512 processors: oneDNN is best for many rows, fbgemm for few, since it
has no cost for a number of rows never seen before. A processor whose 8-bit products overflow (without VNNI) is no
faster in 8 bits at many rows: there the same weights meet float32 activations. Narrow weights with bfloat16 activations
are for decoding, where reading the weights is the work.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoint.compact import int4_codes, int8_codes, unpack, unpack_int4
from ..nn.stack import ACTIVATIONS
from . import capabilities
from .capabilities import POST, as_bytes, bare, prepacked_int8

Activation = Callable[[Tensor], Tensor]

ROWS_HINT = 1024  # oneDNN picks a layout that suits this many rows
NAMES = {ACTIVATIONS[name]: name for name in POST}
FEW_ROWS = 16  # up to here fbgemm beats oneDNN
ROUNDED_BELOW = 256  # rows; below this a number of rows is rounded up so that oneDNN meets few different ones
STEP = 16
MOST_ROWS = 16  # beyond these the 8-bit operator is slower than unpacking the weight
GROUP = 32  # columns that share a scale in int4


class FrozenLinear(nn.Module, ABC):
    """An inference copy of a linear layer: it has no parameters, and its tensors are found by `tensors`."""

    precision: str
    tied = False  # whether the weight is that of a token table, which keeps its own

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: Activation | None = None):
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.activation = activation
        self.num_parameters = weight.numel() + (0 if bias is None else bias.numel())  # that it stands for
        self.hold({**self.codes(weight.detach()), **({} if bias is None else {"bias": bias.detach().clone()})})

    @abstractmethod
    def codes(self, weight: Tensor) -> dict[str, Tensor]:
        """What is kept of a weight [out, in]."""

    @abstractmethod
    def hold(self, tensors: dict[str, Tensor]) -> None:
        """Lay out what `tensors` gave, on whatever device it is."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """What is kept, in plain layout: codes, scales, "bias"; exactly what was held."""

    @property
    @abstractmethod
    def weight(self) -> Tensor:
        """The weight in floating point, [out, in], made anew."""

    @property
    def nbytes(self) -> int:
        """Bytes of what is kept, one layout counted."""
        return sum(tensor.nbytes for tensor in self.tensors().values())

    def __call__(self, x: Tensor) -> Any:
        """`forward` without torch's hooks, whose cost a step of decoding pays for every layer."""
        return self.forward(x)

    def fusion(self, feature: str) -> tuple[str, str] | None:
        """What the operator behind `feature` calls our activation; None where it cannot apply it."""
        if self.activation is None:
            return ("none", "")
        name = NAMES.get(self.activation)
        return POST[name] if name is not None and capabilities.fuses(feature, name) else None

    def activated(self, x: Tensor) -> Tensor:
        return x if self.activation is None else self.activation(x)

    def _apply(self, fn: Any, recurse: bool = True) -> FrozenLinear:
        self.hold({name: fn(tensor) for name, tensor in self.tensors().items()})
        return self

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        destination.update({f"{prefix}{name}": tensor for name, tensor in self.tensors().items()})

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        held = self.tensors()
        given = {name: state_dict[prefix + name] for name in held if prefix + name in state_dict}
        missing_keys += [prefix + name for name in held if name not in given]
        unexpected_keys += [key for key in state_dict if key.startswith(prefix) and key[len(prefix) :] not in held]
        if any((given[name].shape, given[name].dtype) != (held[name].shape, held[name].dtype) for name in given):
            error_msgs.append(
                f"{prefix}weight is of another size or precision than this layer of {self.precision}: load the weights "
                "before quantize(), or into a model of the precision that they were taken from"
            )
        elif len(given) == len(held):
            self.hold({name: tensor.detach().clone().to(held[name].device) for name, tensor in given.items()})

    def __getstate__(self) -> dict[str, Any]:
        known = (self.out_features, self.in_features, self.activation, self.tied, self.num_parameters)
        return {"known": known, "tensors": self.tensors()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        nn.Module.__init__(self)
        self.out_features, self.in_features, self.activation, self.tied, self.num_parameters = state["known"]
        self.hold(state["tensors"])

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}"


class PackedLinear(FrozenLinear):
    """Weights as they are, float32 or bfloat16, in oneDNN's own layout; float32 answers within 1e-6 of the plain ones.

    Wins two to three times at 8 to 64 rows, a little beyond. At a single row some CPUs lose: there, `single` keeps the
    plain weight beside the packed one.
    """

    precision = "fp32-packed"

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: Activation | None = None, single: bool = False):
        self.single = single  # before what comes next needs it; a plain bool may precede Module.__init__
        super().__init__(weight, bias, activation)

    def codes(self, weight: Tensor) -> dict[str, Tensor]:
        return {"weight": weight}

    def hold(self, tensors: dict[str, Tensor]) -> None:
        weight, self.bias = tensors["weight"], tensors.get("bias")
        feature = {torch.float32: "packed", torch.bfloat16: "packed_bf16"}.get(weight.dtype)
        self.packed: Tensor | None = None
        self.post: tuple[str, str] | None = None
        if weight.device.type == "cpu" and feature is not None and capabilities.has(feature):
            self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), ROWS_HINT)
            self.product = bare("mkldnn", "_linear_pointwise")
            self.post = self.fusion("packed")
        self.dtype = weight.dtype
        beside = self.single and weight.dtype == torch.float32 and not capabilities.packs_single_rows()
        self.plain = weight if self.packed is None or beside else None

    def tensors(self) -> dict[str, Tensor]:
        return {"weight": self.weight, **({} if self.bias is None else {"bias": self.bias})}

    @property
    def weight(self) -> Tensor:
        """The very numbers that were packed."""
        if self.plain is not None:
            return self.plain
        assert self.packed is not None
        return self.packed.to_dense()

    def forward(self, x: Tensor) -> Tensor:
        x = x if x.dtype == self.dtype else x.to(self.dtype)
        if self.packed is None or (self.plain is not None and x.numel() == self.in_features):
            assert self.plain is not None
            return self.activated(F.linear(x, self.plain, self.bias))
        name, algorithm = self.post or ("none", "")
        y: Tensor = self.product(x, self.packed, self.bias, name, [], algorithm)
        return y if self.post is not None else self.activated(y)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "single": self.single}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__["single"] = state["single"]
        super().__setstate__(state)


class Int8Linear(FrozenLinear):
    """8-bit weights, one scale per row, and 8-bit activations, one range for all tokens of a call."""

    precision = "int8"
    few_rows = FEW_ROWS
    coarse = True  # whether few rows may have 7 bits where a processor has no more

    def codes(self, weight: Tensor) -> dict[str, Tensor]:
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
        return unpack(self._codes(), self.scale)

    def forward(self, x: Tensor) -> Tensor:
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


class Int8WeightLinear(FrozenLinear):
    """8-bit weights, one scale per row, and bfloat16 activations: for decoding, where reading weights is the work."""

    precision = "int8-weights"

    def codes(self, weight: Tensor) -> dict[str, Tensor]:
        codes, scale = int8_codes(weight)
        return {"weight": codes, "scale": scale}

    def hold(self, tensors: dict[str, Tensor]) -> None:
        """Keep them as they are: the operator reads the plain layout."""
        self.held = {**tensors, "scale": tensors["scale"].float()}
        self.ready = tensors["weight"].device.type == "cpu" and capabilities.has("int8_weights")
        self.narrow = self.held["scale"].bfloat16()

    def tensors(self) -> dict[str, Tensor]:
        return self.held

    @property
    def weight(self) -> Tensor:
        return unpack(self.held["weight"], self.held["scale"])

    def forward(self, x: Tensor) -> Tensor:
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
        return unpack_int4(self._codes(), self.scale, self.zero)

    def forward(self, x: Tensor) -> Tensor:
        if self.packed is None:
            bias = None if self.bias is None else self.bias.to(x.dtype)
            return self.activated(F.linear(x, self.weight.to(x.dtype), bias))
        flat = x.reshape(-1, self.in_features).bfloat16()
        y = torch.ops.aten._weight_int4pack_mm_for_cpu(flat, self.packed, GROUP, self.pairs)
        y = y[:, : self.out_features].to(x.dtype)
        y = y if self.bias is None else y.add_(self.bias)
        return self.activated(y.view(*x.shape[:-1], self.out_features))
