"""The keywords of every `from_pretrained`, the reference's and ours: who reads each, or when it changes nothing.

One table, so that none is passed over: a keyword is read by the hub, by the loader of weights or by the config; or it
is harmless whatever it says; or it is refused unless it says one of a few harmless things.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from ..errors import ConfigError
from ..files.hub import WHERE, check_kinds
from ..files.shown import shown


@dataclass
class Loading:
    """What the loader of weights is asked for."""

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


LOADING = (*Loading.__annotations__, "torch_dtype")
HARMLESS = (  # of earlier ways of loading, or of where a call came from
    "low_cpu_mem_usage",
    "resume_download",
    "offload_state_dict",
    "weights_only",  # tensors alone are read of any file
    "code_revision",  # no code is
    "_fast_init",
    "_from_auto",
    "_from_pipeline",
)
KINDS: Mapping[str, tuple[type, ...]] = {
    **WHERE,
    "variant": (str,),
    **dict.fromkeys(("use_safetensors", "ignore_mismatched_sizes", "output_loading_info"), (bool,)),
}
OFF = (None, False)
ONE_DEVICE = "a model is loaded onto one device as a whole; leave it out"
REFUSED: Mapping[str, tuple[tuple[Any, ...], str]] = {  # what it may say, and what to do otherwise
    "trust_remote_code": (OFF, "Lamina never runs code that comes with a checkpoint; leave it out"),
    "attn_implementation": (
        (None, "eager", "sdpa", "flash_attention_2"),
        "attention here gives the numbers of 'eager', 'sdpa' and 'flash_attention_2'; leave it out",
    ),
    "from_tf": (OFF, "TensorFlow weights are not read: save them as safetensors first"),
    "from_flax": (OFF, "Flax weights are not read: save them as safetensors first"),
    "gguf_file": ((None,), "GGUF files are not read: take the checkpoint that the file was made from"),
    "key_mapping": ((None, {}), "rename the tensors yourself and pass them as state_dict="),
    "adapter_kwargs": ((None, {}), "adapters of other libraries are not read: merge them into the weights first"),
    "adapter_name": ((None, "default"), "adapters of other libraries are not read: merge them into the weights first"),
    "quantization_config": ((None,), "pass precision=, such as 'int8'"),
    "load_in_8bit": (OFF, "pass precision='int8'"),
    "load_in_4bit": (OFF, "pass precision='int4'"),
    "use_kernels": (OFF, "kernels of the hub are code, which is never fetched; leave it out"),
    "use_flash_attention_2": (OFF, "leave it out"),
    "max_memory": ((None,), ONE_DEVICE),
    "offload_folder": ((None,), ONE_DEVICE),
    "offload_buffers": (OFF, ONE_DEVICE),
    "tp_plan": ((None,), ONE_DEVICE),
    "tp_size": ((None,), ONE_DEVICE),
    "device_mesh": ((None,), ONE_DEVICE),
    "distributed_config": ((None,), ONE_DEVICE),
    "proxies": ((None, {}), "set the environment variable HTTPS_PROXY"),
    "mirror": ((None,), "set the environment variable HF_ENDPOINT"),
    "_commit_hash": ((None,), "pass revision="),
}
SETTINGS = (  # of generation, which any config of the reference takes
    *("max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups", "diversity_penalty"),
    *("temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty", "no_repeat_ngram_size"),
    *("encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences", "output_scores"),
    *("return_dict_in_generate", "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values"),
    *("exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens"),
)
INERT = ("transformers_version", "chunk_size_feed_forward", "use_bfloat16", "tf_legacy_loss", "gradient_checkpointing")
EVERY = (*WHERE, "use_auth_token", *LOADING, *HARMLESS, *REFUSED)


def settled(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that somebody reads; ConfigError for one that asks for what is not there."""
    rest = {name: value for name, value in options.items() if name not in HARMLESS and name not in REFUSED}
    for name, (harmless, instead) in REFUSED.items():
        if name in options and not any(_same(options[name], value) for value in harmless):
            raise ConfigError(f"{name}={shown(options[name])} is not supported: {instead}")
    check_kinds(rest, KINDS, ConfigError)
    old = rest.pop("use_auth_token", None)
    if old is not None and rest.setdefault("token", old) != old:
        raise ConfigError("token and use_auth_token, its older name, say different things: pass token= alone")
    return rest


def split(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options that say where to look, and the others that somebody reads."""
    rest = settled(options)
    return {name: rest.pop(name) for name in WHERE if name in rest}, rest


def split_loading(options: Mapping[str, Any]) -> tuple[dict[str, Any], Loading, dict[str, Any]]:
    """Options for the hub, for the loader of weights, and what is left for the config."""
    where, rest = split(options)
    older = rest.pop("torch_dtype", None)
    if older is not None and rest.get("dtype") is None:
        rest["dtype"] = older
    return where, Loading(**{name: rest.pop(name) for name in Loading.__annotations__ if name in rest}), rest


def refuse_unknown(names: Iterable[str], known: Iterable[str]) -> None:
    """ConfigError, with the nearest name that is known, for a keyword that nobody reads."""
    known = set(known)
    for name in names:
        if name not in known:
            near = get_close_matches(str(name), sorted(known | set(EVERY)), 1, 0.6)
            hint = (
                f"did you mean {shown(near[0])}?"
                if near
                else "it is neither an option of loading nor a key of this config"
            )
            raise ConfigError(f"unknown keyword {shown(name)} of from_pretrained: {hint}")


def _same(given: Any, harmless: Any) -> bool:
    return given is harmless or (type(given) is type(harmless) and bool(given == harmless))
