"""How to write: every option of generation in one table, where its value came from, and where it is kept."""

from __future__ import annotations

import copy
import difflib
import json
import logging
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, fields
from enum import Enum
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ConfigError, GenerationError
from ..families.keywords import SETTINGS, refuse_unknown, settled
from ..files.atomic import finish, write_text
from ..files.hub import WHERE, resolve
from ..files.jsonfile import read_json_object
from ..files.paths import inside, local_path, present
from ..files.shown import shown

LARGEST = 3.0e38  # of float32, in which scores are computed; its inverse is the smallest number above 0
LONGEST_INTEGER = 256  # bits
VOCABULARY = 2**31  # more than any vocabulary has


class Rule(NamedTuple):
    """What is wanted in words, a judge of any value that never raises, and the words that must be of the vocabulary."""

    wanted: str
    holds: Callable[[Any], bool]
    words: Callable[[Any], Iterable[Iterable[int]]] | None = None


class Option(NamedTuple):
    """One option: its default, its rule, and the other option without which it has no effect."""

    default: Any
    rule: Rule
    needs: str = ""


option: Any = Option  # a row of the table that the body of GenerationConfig is; typed as what it will hold


def is_whole(value: Any) -> bool:
    """An integer, not True or False, short enough to be computed with and shown."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value).bit_length() <= LONGEST_INTEGER


def is_number(value: Any) -> bool:
    """A number that float32 holds."""
    if not isinstance(value, Real) or isinstance(value, bool) or (isinstance(value, Integral) and not is_whole(value)):
        return False
    return abs(float(value)) <= LARGEST


def is_token(value: Any) -> bool:
    return is_whole(value) and 0 <= value < VOCABULARY


def is_special(value: Any) -> bool:
    """A token id, or a number below 0, with which some configs say that there is no such token."""
    return is_whole(value) and abs(value) < VOCABULARY


def is_list(value: Any) -> bool:
    return isinstance(value, (Sequence, Set)) and not isinstance(value, (str, bytes, bytearray))  # not an iterator


def is_list_of(holds: Callable[[Any], bool], value: Any) -> bool:
    """A list, not empty, of what `holds` says."""
    return is_list(value) and len(value) > 0 and all(map(holds, value))


def is_word(value: Any) -> bool:
    return is_list_of(is_token, value)


def several(tokens: int | Iterable[int] | None) -> tuple[int, ...]:
    """An option that may be one token or several, as several."""
    if tokens is None:
        return ()
    return (int(tokens),) if isinstance(tokens, int | Integral) else tuple(map(int, tokens))


def _forced(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(is_word(word) or is_list_of(is_word, word) for word in value)


def _stops(value: Any) -> bool:
    return is_list_of(lambda item: isinstance(item, str) and item != "", [value] if isinstance(value, str) else value)


def _pairs(value: Any) -> Any:
    return list(value.items()) if isinstance(value, Mapping) else value


def _bias(pair: Any) -> bool:
    if not is_list(pair) or len(pair) != 2 or not is_word(pair[0]):
        return False
    return is_number(pair[1]) or (isinstance(pair[1], float) and math.isinf(pair[1]))


COUNT = Rule("a whole number of at least 1", lambda value: is_whole(value) and value >= 1)
SIZE = Rule("a whole number of at least 0", lambda value: is_whole(value) and value >= 0)
NUMBER = Rule("a finite number", is_number)
POSITIVE = Rule("a number above 0", lambda value: is_number(value) and value >= 1 / LARGEST)
ZERO_OR_MORE = Rule("a number of at least 0", lambda value: is_number(value) and value >= 0)
SHARE = Rule("a number from 0 to 1", lambda value: is_number(value) and 0 <= value <= 1)
SOME = Rule("a number above 0, up to 1", lambda value: is_number(value) and 0 < value <= 1)
SECONDS = Rule("a number above 0", lambda value: POSITIVE.holds(value) or (type(value) is float and value == math.inf))
TRUTH = Rule("True or False", lambda value: isinstance(value, bool))
TEXT = Rule("text", lambda value: isinstance(value, str))
STOPS = Rule("a non-empty string or a list of them", _stops)
SPECIAL = Rule("a token id", is_special)
SPECIALS = Rule(
    "a token id or a list of them", lambda value: all(map(is_special, value if is_list(value) else [value]))
)
START = Rule("a token id or a list of them", lambda value: is_token(value) or is_word(value))
TOKEN = Rule("a token id", is_token, lambda value: [several(value)])
ONE_OR_MORE = Rule(START.wanted, START.holds, TOKEN.words)
TOKEN_IDS = Rule("a list of token ids", lambda value: is_list(value) and all(map(is_token, value)), TOKEN.words)
WORDS = Rule(
    "a non-empty list of non-empty lists of token ids",
    lambda value: isinstance(value, list) and is_list_of(is_word, value),
    lambda value: value,
)
FORCED = Rule("a list of words [id, ...], or of alternatives [[id, ...], ...], with ids of at least 0", _forced)
BIASES = Rule(
    "{(id, ...): bias} or [[[id, ...], bias], ...]",
    lambda value: is_list_of(_bias, _pairs(value)),
    lambda value: [word for word, _ in _pairs(value)],
)
LIST = Rule("a list", lambda value: isinstance(value, (list, tuple)))
PAIR = Rule(
    "a pair (start, factor)",
    lambda value: isinstance(value, (tuple, list)) and len(value) == 2 and all(map(is_number, value)),
)


def one_of(*choices: Any) -> Rule:
    wanted = ", ".join(f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in choices)
    return Rule(wanted, lambda value: isinstance(value, (str, bool)) and value in choices)


def _callables(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes)) and not hasattr(value, "dtype")


def _has(*names: str) -> Callable[[Any], bool]:
    return lambda value: not isinstance(value, type) and all(callable(getattr(value, name, None)) for name in names)


ARGUMENTS: Mapping[str, Rule] = {  # of generate(), which are objects rather than options
    "logits_processor": Rule("a list of callables", _callables),
    "stopping_criteria": Rule("a list of callables", _callables),
    "prefix_allowed_tokens_fn": Rule("a function of a row's number and its ids", callable),
    "synced_gpus": Rule("False, as no process waits for another here", lambda value: value is False),
    "assistant_model": Rule("a model that writes", _has("start", "step")),
    "streamer": Rule("an object with put() and end()", _has("put", "end")),
    "tokenizer": Rule("a tokenizer", _has("decode")),
    "negative_prompt_ids": Rule("a [rows, tokens] tensor", lambda value: True),  # more is asked where it is read
    "negative_prompt_attention_mask": Rule("a [rows, tokens] tensor", lambda value: True),
    "use_model_defaults": TRUTH,
}


FILE_NAME = "generation_config.json"
WRITTEN_BY = "4.57.6"  # the contract these files follow; readers decide by it how defaults are inherited
MAX_FILE_BYTES = 16 * 2**20
TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
MADE_OF_CONFIG = "_from_model_config"  # a file that says so gives way where the model's config is changed
# Options of the reference that change nothing of what is written, except where REFUSED says so.
WITHOUT_EFFECT = (
    *("cache_implementation", "cache_config", "return_legacy_cache", "prefill_chunk_size", "is_assistant"),
    *("assistant_lookbehind", "target_lookbehind", "compile_config", "disable_compile", "low_memory"),
)
REFUSED: Mapping[str, tuple[tuple[Any, ...], str]] = {  # the values that are, if any others, and what to do
    "token_healing": ((True,), "trim the prompt's last token instead"),
    "assistant_early_exit": ((), "pass a smaller assistant_model"),
    "dola_layers": ((), "it changes what is written; leave it out"),
    "cache_implementation": (("quantized",), "it changes what is written; leave it out"),
}
LONGEST_NAME, FEW = 60, 5  # of names of options in messages
IDLE = "Without do_sample, num_beams or guidance_scale these have no effect: "
logger = logging.getLogger("lamina")


@dataclass
class WatermarkingConfig:
    """Which share of the vocabulary is favored after each context, and by how much."""

    greenlist_ratio: float = 0.25
    bias: float = 2.0
    hashing_key: int = 15485863
    seeding_scheme: str = "lefthash"
    context_width: int = 1

    def __post_init__(self) -> None:
        for name, rule in WATERMARK_RULES.items():
            require(rule, getattr(self, name), f"watermarking_config: {name}")

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> WatermarkingConfig:
        if unknown := sorted(options.keys() - {field.name for field in fields(cls)}):
            raise GenerationError(f"watermarking_config has unknown fields: {shown(unknown)}.")
        return cls(**options)

    def to_dict(self) -> dict[str, Any]:
        """The fields as a mapping."""
        return asdict(self)


WATERMARK_RULES: Mapping[str, Rule] = {
    "greenlist_ratio": Rule("a number between 0 and 1", lambda value: is_number(value) and 0 < value < 1),
    "bias": NUMBER,
    "hashing_key": Rule("a whole number of at most 63 bits", lambda value: is_whole(value) and abs(value) < 2**63),
    "seeding_scheme": one_of("lefthash", "selfhash"),
    "context_width": COUNT,
}
WATERMARK = Rule("a WatermarkingConfig or a mapping of its fields", lambda value: isinstance(value, WatermarkingConfig))


class GenerationMode(str, Enum):
    """The searches, by the reference's names; each is also that text."""

    CONTRASTIVE_SEARCH = "contrastive_search"
    GREEDY_SEARCH = "greedy_search"
    SAMPLE = "sample"
    ASSISTED_GENERATION = "assisted_generation"
    BEAM_SEARCH = "beam_search"
    BEAM_SAMPLE = "beam_sample"
    CONSTRAINED_BEAM_SEARCH = "constrained_beam_search"
    GROUP_BEAM_SEARCH = "group_beam_search"


class GenerationConfig:
    """Options of `generate`. What is not set has the default of the class, which is Transformers' 4.57.

    `set_options` tells the two apart, so that a default never overrides what someone chose. Unknown keys are kept as
    attributes, written back, and named in a warning. A new option is a row here, and its processor.
    """

    max_length: int = option(20, COUNT)
    max_new_tokens: int | None = option(None, COUNT)
    min_length: int = option(0, SIZE)
    min_new_tokens: int | None = option(None, SIZE)
    early_stopping: bool | str = option(False, one_of(True, False, "never"), needs="num_beams")
    max_time: float | None = option(None, SECONDS)
    stop_strings: str | list[str] | None = option(None, STOPS)
    do_sample: bool = option(False, TRUTH)
    num_beams: int = option(1, COUNT)
    use_cache: bool = option(True, TRUTH)
    temperature: float | None = option(1.0, ZERO_OR_MORE, needs="do_sample")
    top_k: int | None = option(50, SIZE, needs="do_sample")
    top_p: float | None = option(1.0, SHARE, needs="do_sample")
    min_p: float | None = option(None, SHARE, needs="do_sample")
    typical_p: float | None = option(1.0, SOME, needs="do_sample")
    epsilon_cutoff: float | None = option(0.0, SHARE, needs="do_sample")
    eta_cutoff: float | None = option(0.0, SHARE, needs="do_sample")
    repetition_penalty: float | None = option(1.0, POSITIVE)
    encoder_repetition_penalty: float | None = option(1.0, POSITIVE)
    length_penalty: float = option(1.0, NUMBER, needs="num_beams")
    no_repeat_ngram_size: int | None = option(0, SIZE)
    encoder_no_repeat_ngram_size: int | None = option(0, SIZE)
    bad_words_ids: list[list[int]] | None = option(None, WORDS)
    force_words_ids: list[Any] | None = option(None, FORCED)
    constraints: list[Any] | None = option(None, LIST)
    renormalize_logits: bool = option(False, TRUTH)
    forced_bos_token_id: int | None = option(None, TOKEN)
    forced_eos_token_id: int | list[int] | None = option(None, ONE_OR_MORE)
    remove_invalid_values: bool = option(False, TRUTH)
    exponential_decay_length_penalty: tuple[int, float] | None = option(None, PAIR)
    suppress_tokens: list[int] | None = option(None, TOKEN_IDS)
    begin_suppress_tokens: list[int] | None = option(None, TOKEN_IDS)
    sequence_bias: Any = option(None, BIASES)
    token_healing: bool = option(False, TRUTH)
    guidance_scale: float | None = option(None, POSITIVE)
    watermarking_config: WatermarkingConfig | None = option(None, WATERMARK)
    num_return_sequences: int = option(1, COUNT)
    output_attentions: bool = option(False, TRUTH)
    output_hidden_states: bool = option(False, TRUTH)
    output_scores: bool = option(False, TRUTH)
    output_logits: bool | None = option(None, TRUTH)
    return_dict_in_generate: bool = option(False, TRUTH)
    pad_token_id: int | None = option(None, SPECIAL)
    bos_token_id: int | None = option(None, SPECIAL)
    eos_token_id: int | list[int] | None = option(None, SPECIALS)
    decoder_start_token_id: int | list[int] | None = option(None, START)
    num_beam_groups: int = option(1, COUNT)
    diversity_penalty: float = option(0.0, ZERO_OR_MORE)
    penalty_alpha: float | None = option(None, SHARE)
    num_assistant_tokens: int = option(20, COUNT)
    num_assistant_tokens_schedule: str = option("constant", one_of("constant", "heuristic", "heuristic_transient"))
    assistant_confidence_threshold: float | None = option(0.4, SHARE)
    prompt_lookup_num_tokens: int | None = option(None, COUNT)
    max_matching_ngram_size: int | None = option(None, COUNT)
    assistant_early_exit: int | None = option(None, COUNT)
    transformers_version: str = option(WRITTEN_BY, TEXT)

    _from_model_config = False
    _origin: Any = None  # `set_options` as they were read or derived

    def __init__(self, **options: Any):
        """Set `options`, known or not; `GenerationError` where they cannot be."""
        self._fill(options, "GenerationConfig")

    def _fill(self, options: Mapping[str, Any], where: str) -> None:
        vars(self)[MADE_OF_CONFIG] = options.get(MADE_OF_CONFIG) is True
        for name, value in options.items():
            if name != MADE_OF_CONFIG:
                self._assign(name, value)
        check(self)
        self._tell_unknown(where)

    def _tell_unknown(self, where: str) -> None:
        found = [name for name in self.set_options if name not in OPTIONS and name not in WITHOUT_EFFECT]
        near = [difflib.get_close_matches(name[:LONGEST_NAME], OPTIONS, 1, 0.8) for name in found[:FEW]]
        hints = [f" (did you mean {names[0]}?)" if names else "" for names in near]
        told = [shown(name) + hint for name, hint in zip(found, hints, strict=False)]
        told += [f"{len(found) - FEW} more"] if len(found) > FEW else []
        if told:
            logger.warning("%s: not options of generation, kept without effect: %s", where, ", ".join(told))

    def __setattr__(self, name: str, value: Any) -> None:
        known = name.startswith("_") or hasattr(self, name)
        super().__setattr__(name, value)
        if not known:
            self._tell_unknown("GenerationConfig")

    def _assign(self, name: str, value: Any) -> None:
        if name not in OPTIONS and (name.startswith("_") or hasattr(GenerationConfig, name)):
            raise GenerationError(f"{shown(name)} cannot be an option of generation: it is the name of a method.")
        if name in OPTIONS and hasattr(value, "tolist"):
            value = value.tolist()
        if name == "watermarking_config" and isinstance(value, Mapping):
            value = WatermarkingConfig.from_dict(value)
        if value is None and name in NEVER_NONE:
            vars(self).pop(name, None)  # a null stands for the default
        else:
            vars(self)[name] = value

    def _unchanged(self) -> GenerationConfig:
        self._origin = copy.deepcopy(self.set_options)
        return self

    @property
    def follows_model_config(self) -> bool:
        """Whether this was made of a model's config, by its file's word or here, and has not been changed since."""
        return self._from_model_config and self._origin == self.set_options

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Every known option with its default."""
        return {name: getattr(cls, name) for name in OPTIONS}

    @property
    def set_options(self) -> dict[str, Any]:
        """What was set, by a file or by hand."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def update(self, **options: Any) -> dict[str, Any]:
        """Set those of `options` that are options of generation or are already attributes; return the others."""
        known = {name: value for name, value in options.items() if hasattr(self, name)}
        for name, value in known.items():
            self._assign(name, value)
        check(self)
        return {name: value for name, value in options.items() if name not in known}

    def validate(self, strict: bool = False) -> None:
        """Raise `GenerationError` where options make no sense, with `strict` also where they have no effect."""
        check(self)
        if idle := without_effect(self, self.set_options.keys()):
            if strict:
                raise GenerationError(IDLE + ", ".join(idle))
            logger.warning(IDLE + "%s", ", ".join(idle))

    def get_generation_mode(self, assistant_model: Any = None) -> GenerationMode:
        """The search that these options ask for, in the reference's order of precedence."""
        beams = self.num_beams > 1
        asked = {
            GenerationMode.CONSTRAINED_BEAM_SEARCH: self.constraints is not None or self.force_words_ids is not None,
            GenerationMode.GROUP_BEAM_SEARCH: beams and self.num_beam_groups > 1,
            GenerationMode.BEAM_SAMPLE: beams and self.do_sample,
            GenerationMode.BEAM_SEARCH: beams,
            GenerationMode.CONTRASTIVE_SEARCH: self.penalty_alpha and (self.top_k or 0) > 1 and not self.do_sample,
            GenerationMode.ASSISTED_GENERATION: assistant_model is not None
            or self.prompt_lookup_num_tokens is not None,
            GenerationMode.SAMPLE: self.do_sample,
            GenerationMode.GREEDY_SEARCH: True,
        }
        return next(mode for mode, wanted in asked.items() if wanted)

    def copy(self) -> GenerationConfig:
        """A copy that can be changed alone."""
        return copy.deepcopy(self)

    def with_defaults_of(self, other: GenerationConfig, every: bool | None = None) -> GenerationConfig:
        """A copy that takes from `other`, the model's own options, what is not set here.

        `every` False takes its special tokens only; None does so where `other` was written before 4.50, as the
        reference does.
        """
        every = _version(other.transformers_version) >= (4, 50) if every is None else every
        taken = copy.deepcopy(other.set_options)
        if not every:
            taken = {name: taken[name] for name in TOKENS if taken.get(name) is not None}
        taken.pop("transformers_version", None)
        result = self.copy()
        for name, value in taken.items():
            if name not in vars(result) or (name in TOKENS and getattr(result, name) is None):
                result._assign(name, value)
        if result.temperature == 0.0:
            result.do_sample = False
        check(result)
        return result

    def to_dict(self) -> dict[str, Any]:
        """Every option, set or not."""
        every = copy.deepcopy({**self.defaults(), **self.set_options})
        if self.watermarking_config is not None:
            every["watermarking_config"] = self.watermarking_config.to_dict()
        return every

    def to_diff_dict(self) -> dict[str, Any]:
        """The options that differ from the defaults."""
        defaults = self.defaults()
        every = self.to_dict() | {"transformers_version": self.transformers_version}
        usual = [name for name in defaults if every[name] == defaults[name] and name != "transformers_version"]
        found = {name: value for name, value in every.items() if name not in usual}
        return {MADE_OF_CONFIG: True, **found} if self._from_model_config else found

    def to_json_string(self, use_diff: bool = True) -> str:
        """JSON, of the options that differ from the defaults unless told otherwise."""
        options = self.to_diff_dict() if use_diff else self.to_dict()
        try:
            return json.dumps(options, indent=2, sort_keys=True, default=_json, allow_nan=False) + "\n"
        except (TypeError, ValueError) as error:
            raise GenerationError(f"These options cannot be written as JSON: {error}.") from None

    def to_json_file(self, json_file_path: str | os.PathLike[str], use_diff: bool = True) -> None:
        """Write what `to_json_string` gives into a file, whole or not at all."""
        write_text(Path(json_file_path), self.to_json_string(use_diff), ConfigError)

    def save_pretrained(self, save_directory: str | os.PathLike[str], config_file_name: str = FILE_NAME) -> None:
        """Write `generation_config.json` into a folder, whole or not at all."""
        folder = Path(save_directory)
        if folder.is_file():
            raise ConfigError(f"{folder} is a file; generation options are saved into a folder.")
        self.to_json_file(folder / config_file_name)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], **options: Any) -> GenerationConfig:
        """The options of one JSON file, under `options`."""
        found = read_json_object(local_path(path, ConfigError), MAX_FILE_BYTES)
        try:
            return cls._of({**found, **options}, str(path))._unchanged()
        except GenerationError as error:
            raise GenerationError(f"{path}: {error}") from None

    @classmethod
    def _of(cls, options: Mapping[str, Any], where: str) -> GenerationConfig:
        kept = {name: value for name, value in options.items() if not name.startswith("_") or name == MADE_OF_CONFIG}
        config = cls.__new__(cls)
        config._fill(kept, where)
        return config

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], return_unused_kwargs: bool = False, **options: Any) -> Any:
        """The options of a mapping, under `options`; with `return_unused_kwargs` also those that are not options."""
        unused = {name: options.pop(name) for name in set(options) - OPTIONS.keys()} if return_unused_kwargs else {}
        config = cls._of({**config_dict, **options}, "GenerationConfig")
        return (config, unused) if return_unused_kwargs else config

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name: str | os.PathLike[str],
        config_file_name: str | os.PathLike[str] = FILE_NAME,
        *,
        return_unused_kwargs: bool = False,
        **options: Any,
    ) -> Any:
        """The options kept in a model's folder or on the Hub, under `options`.

        `revision`, `cache_dir`, `subfolder` and so on are as for models. Any other keyword is a ConfigError, or is
        returned beside the config with `return_unused_kwargs`.
        """
        rest, name = settled(options), str(config_file_name)
        where = {key: rest.pop(key) for key in WHERE if key in rest}
        unused = {key: rest.pop(key) for key in list(rest) if key not in OPTIONS}
        if not return_unused_kwargs:
            refuse_unknown(unused, OPTIONS)
        folder = local_path(pretrained_model_name, ConfigError)
        if where or not folder.is_dir():
            folder = resolve(os.fspath(pretrained_model_name), [name], **where)
        finish(folder, ConfigError)
        path = inside(folder, name, ConfigError) if present(folder, name) else folder / name
        config = cls.from_file(path, **rest)
        return (config, unused) if return_unused_kwargs else config

    @classmethod
    def from_model_config(cls, model_config: Any) -> GenerationConfig:
        """The options that older checkpoints keep in `config.json` itself."""
        config = model_config if isinstance(model_config, Mapping) else model_config.to_dict()
        known = cls.defaults().keys() - {"transformers_version"}
        options = {name: value for name, value in config.items() if name in known and value is not None}
        if config.get("is_encoder_decoder"):  # what only a decoder's key says holds too
            decoder = {name: config[f"decoder_{name}"] for name in known if config.get(f"decoder_{name}") is not None}
            options |= {
                name: decoder[name] for name in decoder if options.get(name, getattr(cls, name)) == getattr(cls, name)
            }
        if config.get("force_bos_token_to_be_generated") and "forced_bos_token_id" not in options:
            options["forced_bos_token_id"] = config.get("bos_token_id")
        if any(options.get(name) for name in ("output_scores", "output_attentions", "output_hidden_states")):
            options.setdefault("return_dict_in_generate", True)
        return cls(**options, **{MADE_OF_CONFIG: True})._unchanged()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GenerationConfig):
            return NotImplemented
        ours, theirs = self.to_dict(), other.to_dict()
        return ours | {"transformers_version": None} == theirs | {"transformers_version": None}

    __hash__ = None  # type: ignore[assignment]  # options change

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


# The table as a mapping; the attributes of the class become the defaults.
OPTIONS: Mapping[str, Option] = {name: row for name, row in vars(GenerationConfig).items() if isinstance(row, Option)}
for _name, _row in OPTIONS.items():
    setattr(GenerationConfig, _name, _row.default)
NEVER_NONE = frozenset(name for name in OPTIONS if not GenerationConfig.__annotations__[name].endswith(("None", "Any")))


def kept_in_model_config(values: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """Options that a model's config holds in `values`, where they differ from what is `usual` for its family."""
    found = {name: values[name] for name in SETTINGS if values.get(name) is not None}
    return {name: value for name, value in found.items() if value != usual.get(name, getattr(GenerationConfig, name))}


def _version(text: str) -> tuple[int, ...]:
    numbers = [part for part in str(text).split(".")[:2] if part.isdecimal() and len(part) < 9]
    return tuple(map(int, numbers))


def _json(value: Any) -> Any:
    if not hasattr(value, "tolist"):
        raise TypeError(shown(value))
    return value.tolist()


def require(rule: Rule, value: Any, what: str) -> None:
    if not rule.holds(value):
        raise GenerationError(f"{what} must be {rule.wanted}, but is {shown(value)}.")


def check(config: GenerationConfig) -> None:
    """Raise `GenerationError` at the first option that cannot be meant, alone or beside the others."""
    for name, value in config.set_options.items():
        if name in ARGUMENTS:
            raise GenerationError(f"{name} is an argument of generate(), not an option of GenerationConfig.")
        if name in OPTIONS and value is not None:
            require(OPTIONS[name].rule, value, name)
        refused, instead = REFUSED.get(name, ((None,), ""))
        if value is not None and value is not False and (not refused or value in refused):
            raise GenerationError(f"{name}={shown(value)} is not supported: {instead}.")
    beams, groups, returned = config.num_beams, config.num_beam_groups, config.num_return_sequences
    forced = config.constraints is not None or config.force_words_ids is not None
    contradictions = {
        "temperature is 0, which cannot be sampled from; set do_sample=False for greedy search.": (
            config.do_sample and config.temperature == 0.0
        ),
        f"num_return_sequences ({returned}) is greater than num_beams ({beams}).": beams > 1 and returned > beams,
        f"num_return_sequences is {returned}, but greedy search finds one sequence only; "
        "set do_sample=True or num_beams to at least as many.": beams == 1 and returned > 1 and not config.do_sample,
        f"num_beams ({beams}) is not divisible by num_beam_groups ({groups}).": groups > 1 and beams % groups,
        "num_beam_groups is a search, not sampling; set do_sample=False.": groups > 1 and config.do_sample,
        "diversity_penalty needs num_beam_groups greater than 1.": groups == 1 and config.diversity_penalty,
        "force_words_ids and constraints need num_beams greater than 1.": forced and beams == 1,
        "force_words_ids and constraints are a search, not sampling; set do_sample=False.": forced and config.do_sample,
        "force_words_ids and constraints do not work with num_beam_groups.": forced and groups > 1,
    }
    for message, wrong in contradictions.items():
        if wrong:
            raise GenerationError(message)


def without_effect(config: GenerationConfig, names: Set[str]) -> list[str]:
    """Those of the options `names` that change nothing beside the others."""
    on = {"do_sample": config.do_sample or config.penalty_alpha, "num_beams": config.num_beams > 1, "": True}
    idle = [name for name in OPTIONS if name in names and not on[OPTIONS[name].needs]]
    return [name for name in idle if getattr(config, name) not in (None, OPTIONS[name].default)]
