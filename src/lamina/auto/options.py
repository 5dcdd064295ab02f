"""The options of `from_pretrained`, sorted by who reads them: the hub, the loader, or the config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..families.config import PretrainedConfig
from ..families.keywords import settled
from ..files.hub import WHERE
from ..files.shown import shown

if TYPE_CHECKING:
    import torch

SPREAD = ("auto", "balanced", "balanced_low_0", "sequential")  # all of them one device where there is one


@dataclass
class Loading:
    """What the weight loader is asked for."""

    dtype: Any = None
    variant: str | None = None
    use_safetensors: bool | None = None
    ignore_mismatched_sizes: bool = False
    output_loading_info: bool = False
    precision: str | None = None
    state_dict: Any = None
    device_map: Any = None
    generation_config: Any = None
    add_pooling_layer: bool | None = None


def split_options(options: dict[str, Any]) -> tuple[dict[str, Any], Loading, dict[str, Any]]:
    """Options for the hub, for the loader, and what is left for the config."""
    rest = settled(options)
    older = rest.pop("torch_dtype", None)
    if older is not None and rest.get("dtype") is None:
        rest["dtype"] = older
    where = {key: rest.pop(key) for key in WHERE if key in rest}
    loading = Loading(**{key: rest.pop(key) for key in Loading.__annotations__ if key in rest})
    return where, loading, rest


def as_dtype(asked: Any, config: PretrainedConfig) -> torch.dtype:
    """float32 unless asked otherwise; "auto" is the type the config records."""
    import torch  # here, so that configs and tokenizers load without it

    name = config.to_dict().get("dtype") or config.to_dict().get("torch_dtype") if asked == "auto" else asked
    if name is None:
        return torch.float32
    found = name if isinstance(name, torch.dtype) else getattr(torch, str(name).removeprefix("torch."), None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ConfigError(
            f"dtype {shown(asked)} is none: use 'auto', 'float32', 'bfloat16', 'float16' or a torch.dtype"
        )
    return found


def as_device(device_map: Any) -> torch.device | None:
    """The one device that a `device_map` means; None where it says nothing, ConfigError where it means several."""
    if device_map is None:
        return None
    import torch  # here, as above

    if isinstance(device_map, dict):
        places = {str(place): place for place in device_map.values()}
        if len(places) != 1:
            raise ConfigError(
                f"device_map={shown(device_map)} spreads a model over devices, which is not supported: name one"
            )
        device_map = next(iter(places.values()))
    if isinstance(device_map, str) and device_map in SPREAD:
        device_map = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        if isinstance(device_map, bool) or str(device_map) in ("disk", "meta"):
            raise ValueError("weights have to be in the memory of a device")
        device = torch.device(device_map)
        torch.empty(0, device=device)
    except (RuntimeError, TypeError, ValueError, AssertionError) as problem:
        said = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise ConfigError(f"device_map={shown(device_map)} names no device of this machine: {said[:200]}") from None
    return device
