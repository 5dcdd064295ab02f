"""What values config.json may hold: types as the family's defaults have them, sizes within reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError
from ..files.shown import shown
from ..spec import ACTIVATION_NAMES

COMMON: dict[str, Any] = {  # what any family's config.json may leave out
    "architectures": None,
    "dtype": None,
    "return_dict": True,
    "torchscript": False,
    "output_attentions": False,
    "output_hidden_states": False,
    "is_encoder_decoder": False,
    "is_decoder": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
    "problem_type": None,
    "finetuning_task": None,
    "task_specific_params": None,
    "tokenizer_class": None,
    "prefix": None,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
    "sep_token_id": None,
    "decoder_start_token_id": None,
}
LIMITS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("vocab_size", "decoder_vocab_size"), (1, 1_000_000)),
    **dict.fromkeys(("hidden_size", "embedding_size", "n_embd", "d_model", "dim", "d_embed"), (1, 16_384)),
    **dict.fromkeys(("intermediate_size", "hidden_dim", "n_inner", "dff", "d_ff", "d_inner"), (1, 131_072)),
    **dict.fromkeys(("encoder_ffn_dim", "decoder_ffn_dim"), (1, 131_072)),
    **dict.fromkeys(("num_hidden_layers", "n_layers", "n_layer", "num_layers", "num_decoder_layers"), (0, 256)),
    **dict.fromkeys(("encoder_layers", "decoder_layers"), (0, 256)),
    **dict.fromkeys(("num_hidden_groups", "inner_group_num"), (1, 256)),
    **dict.fromkeys(("num_attention_heads", "n_heads", "n_head", "num_heads", "d_kv", "d_head"), (1, 16_384)),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), (1, 16_384)),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx"), (1, 1_000_000)),
    **dict.fromkeys(("mem_len", "tgt_len", "ext_len"), (0, 1_000_000)),
    "type_vocab_size": (0, 10_000),
    "relative_attention_num_buckets": (4, 100_000),
    "relative_attention_max_distance": (1, 1_000_000_000),
    "div_val": (1, 16_384),
}
DIVIDED = (  # widths that are cut into heads
    ("hidden_size", "num_attention_heads"),
    ("n_embd", "n_head"),
    ("dim", "n_heads"),
    ("d_model", "encoder_attention_heads"),
    ("d_model", "decoder_attention_heads"),
)
CHOICES: Mapping[str, tuple[Any, ...]] = {
    "problem_type": (None, "regression", "single_label_classification", "multi_label_classification"),
    "position_embedding_type": (None, "absolute"),  # "relative_key" and its like are published, but not built here
    "pruned_heads": (None, {}),  # layers with fewer heads than the config says
    "quantization_config": (None,),  # weights in the format of another library
}
RATES = ("dropout", "dropout_prob", "dropout_rate", "_pdrop", "layerdrop", "dropatt")
SPREADS = ("initializer_range", "initializer_factor", "init_std", "init_range")
SMALLEST_EPS = 1e-30  # float32 has no numbers much below
SEVERAL = ("eos_token_id", "forced_eos_token_id")
ACTIVATIONS = ("hidden_act", "activation_function", "activation", "afn", "feed_forward_proj")
TOGETHER = (  # sizes whose product a few bytes could make large, without a tensor in the file that stands against it
    (("num_hidden_groups", "inner_group_num"), 256),
    (("mem_len", "d_model", "n_layer"), 1 << 27),
)
MOST_CUTOFFS = 32
DTYPES = ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int8", "uint8")
NUMBERS = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}


def check_field(key: str, value: Any, default: Any, source: str) -> None:
    """Refuse a value of another type than the default's, or a size out of all proportion."""
    if not isinstance(key, str):
        raise ConfigError(f"{source}: keys must be text, not {shown(key)}")
    if key in LIMITS:
        _check_size(key, value, default, source)
    elif key.endswith("_token_id"):
        _check_token(key, value, source)
    elif key in CHOICES or key == "architectures":
        _check_names(key, value, source)
    elif key.endswith(RATES) and type(default) is not bool:
        if value is not None and not (type(value) in (int, float) and 0 <= value <= 1):
            raise ConfigError(f"{source}: {key} is {shown(value)}, a share between 0 and 1 is wanted")
    elif default is not None and value is not None:
        _check_type(key, value, default, source)


def _check_names(key: str, value: Any, source: str) -> None:
    if key == "architectures":
        if value is not None and not (isinstance(value, list) and all(isinstance(name, str) for name in value)):
            raise ConfigError(f"{source}: architectures must be a list of names, not {shown(value)}")
    elif not any(type(value) is type(choice) and value == choice for choice in CHOICES[key]):
        raise ConfigError(f"{source}: {key} must be one of {', '.join(map(str, CHOICES[key]))}, not {shown(value)}")


def _check_token(key: str, value: Any, source: str) -> None:
    """Only an end may be marked by several tokens."""
    ids = value if isinstance(value, list) and value and key in SEVERAL else [value]
    plain = all(type(number) is int and -(2**31) < number < 2**31 for number in ids)
    if not plain and value is not None:
        raise ConfigError(f"{source}: {key} must be a token's number, not {shown(value)}")


def _check_size(key: str, value: Any, default: Any, source: str) -> None:
    low, high = LIMITS[key]
    if value is None and default is None:
        return
    if type(value) is not int:
        raise ConfigError(f"{source}: {key} must be a whole number, not {shown(value)}")
    if not low <= value <= high:
        raise ConfigError(f"{source}: {key} is {shown(value)}; only {low:,} to {high:,} makes sense")


def _check_type(key: str, value: Any, default: Any, source: str) -> None:
    wanted = type(default)
    right = type(value) in (int, float) if wanted is float else type(value) is wanted
    if wanted in (list, tuple):
        right = isinstance(value, (list, tuple))
    if not right:
        raise ConfigError(f"{source}: {key} must be {NUMBERS.get(wanted, 'a ' + wanted.__name__)}, not {shown(value)}")
    if wanted is float and not -1e6 < value < 1e6:
        raise ConfigError(f"{source}: {key} is {shown(value)}, which is out of range")
    if wanted is int and not -(2**31) < value < 2**31:
        raise ConfigError(f"{source}: {key} is {shown(value)}, which is out of range")
    if key.endswith(("_eps", "_epsilon")) and not SMALLEST_EPS <= value <= 1:
        raise ConfigError(f"{source}: {key} is {shown(value)}; a small number above 0 is wanted, such as 1e-5")
    if key.endswith(SPREADS) and value < 0:
        raise ConfigError(f"{source}: {key} is {shown(value)}, which cannot be below 0")
    if key in ACTIVATIONS and value.removeprefix("gated-") not in ACTIVATION_NAMES:
        raise ConfigError(f"{source}: {key} is {shown(value)}; known are {', '.join(ACTIVATION_NAMES)}")


def check_together(values: Mapping[str, Any], source: str) -> None:
    """Refuse values that contradict each other."""
    for width, heads in DIVIDED:
        if isinstance(values.get(width), int) and isinstance(values.get(heads), int) and values[width] % values[heads]:
            raise ConfigError(f"{source}: {width} {values[width]} cannot be cut into {heads} {values[heads]}")
    for keys, most in TOGETHER:
        sizes: list[Any] = [values.get(key) for key in keys]
        if all(isinstance(size, int) for size in sizes) and math.prod(sizes) > most:
            told = " x ".join(f"{key} {size:,}" for key, size in zip(keys, sizes, strict=True))
            raise ConfigError(f"{source}: {told} is more than any model has")
    buckets, far = values.get("relative_attention_num_buckets"), values.get("relative_attention_max_distance")
    if isinstance(buckets, int) and isinstance(far, int) and far <= buckets // 2:
        raise ConfigError(
            f"{source}: relative_attention_max_distance {far:,} must exceed half of the {buckets:,} buckets"
        )
    if len(values.get("cutoffs") or ()) > MOST_CUTOFFS:
        raise ConfigError(f"{source}: cutoffs are {len(values['cutoffs']):,}; at most {MOST_CUTOFFS} make sense")


def dtype_name(value: Any, source: str) -> str | None:
    """A dtype as config.json spells it, from that spelling or from a torch.dtype."""
    if value is None or value == "auto":
        return None
    name = str(value).removeprefix("torch.") if isinstance(value, str) or type(value).__module__ == "torch" else ""
    if name not in DTYPES:
        raise ConfigError(f"{source}: dtype {shown(value)} is none of {', '.join(DTYPES)}")
    return name
