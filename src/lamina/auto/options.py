"""The options of `from_pretrained`, sorted by who reads them: the hub, the loader, or the config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..checkpoint.config import PretrainedConfig
from ..errors import ConfigError

if TYPE_CHECKING:
    import torch

WHERE = ("revision", "cache_dir", "token", "local_files_only", "force_download", "subfolder")
OBSOLETE = (  # accepted because published snippets pass them; none changes what is loaded here
    "low_cpu_mem_usage",
    "device_map",
    "attn_implementation",
    "weights_only",
    "proxies",
    "resume_download",
    "use_auth_token",
    "add_pooling_layer",
)


@dataclass
class Loading:
    """What the weight loader is asked for."""

    dtype: Any = None
    variant: str | None = None
    use_safetensors: bool | None = None
    ignore_mismatched_sizes: bool = False
    output_loading_info: bool = False
    precision: str | None = None


def split_options(options: dict[str, Any]) -> tuple[dict[str, Any], Loading, dict[str, Any]]:
    """Options for the hub, for the loader, and what is left for the config."""
    rest = dict(options)
    if rest.pop("trust_remote_code", None):
        raise ConfigError("trust_remote_code=True: Lamina never runs code that comes with a checkpoint")
    if "use_auth_token" in rest:
        rest.setdefault("token", rest.pop("use_auth_token"))
    if "torch_dtype" in rest:
        rest.setdefault("dtype", rest.pop("torch_dtype"))
    where = {key: rest.pop(key) for key in WHERE if key in rest}
    loading = Loading(**{key: rest.pop(key) for key in Loading.__annotations__ if key in rest})
    for key in OBSOLETE:
        rest.pop(key, None)
    return where, loading, rest


def as_dtype(asked: Any, config: PretrainedConfig) -> torch.dtype:
    """float32 unless asked otherwise; "auto" is the type the config records."""
    import torch  # here, so that configs and tokenizers load without it

    name = config.to_dict().get("dtype") or config.to_dict().get("torch_dtype") if asked == "auto" else asked
    if name is None:
        return torch.float32
    found = name if isinstance(name, torch.dtype) else getattr(torch, str(name).removeprefix("torch."), None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ConfigError(f"dtype {asked!r} is none: use 'auto', 'float32', 'bfloat16', 'float16' or a torch.dtype")
    return found
