"""What the files of a sentence model say: its modules in order, its prompts, how its texts are read and compared.

Formats: sentence-transformers 5.7.0 and older (modules.json, sentence_bert_config.json, config_sentence_transformers
.json, and a folder for each module). Whatever could change a number and is not known here is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checkpoint.files import open_weights
from ..errors import PipelineError
from ..files.hub import resolve
from ..files.jsonfile import CONFIG_BYTES, read_json, read_json_object
from ..files.paths import PLAIN_NAME, inside, present, read_text
from ..files.shown import shown

LISTING, SETTINGS = "modules.json", "config_sentence_transformers.json"
READER_FILES = (  # of the Transformer module, newest name first
    *("sentence_bert_config.json", "sentence_roberta_config.json", "sentence_distilbert_config.json"),
    *("sentence_camembert_config.json", "sentence_albert_config.json", "sentence_xlm-roberta_config.json"),
    "sentence_xlnet_config.json",
)
PATTERNS = (LISTING, SETTINGS, "config.json", "sentence_*_config.json", "*/config.json", "*/sentence_*_config.json")
PAIR_FUNCTIONS = {"Sigmoid": "sigmoid", "Identity": "none"}
WEIGHTED = ("Dense", "LayerNorm")  # modules with weights of their own
MODULE_WEIGHTS = ("*/model.safetensors", "*/pytorch_model.bin")
ACTIVATIONS = frozenset(
    {"ELU", "GELU", "Hardswish", "Hardtanh", "Identity", "LeakyReLU", "LogSigmoid", "Mish", "ReLU", "ReLU6", "SELU"}
    | {"SiLU", "Sigmoid", "Softplus", "Softsign", "Tanh"}
)
PAIRS = "CrossEncoder"
STATES = "token_embeddings"  # what the Transformer module makes
TEXT = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
ARGUMENTS = {  # of loading, under their newer and older names
    "model": ("model_kwargs", "model_args"),
    "tokenizer": ("processor_kwargs", "tokenizer_args"),
    "config": ("config_kwargs", "config_args"),
}
IDLE = frozenset(  # arguments of loading that change no number: where files come from, and which kernel attends
    {"trust_remote_code", "revision", "token", "cache_dir", "local_files_only", "subfolder", "code_revision"}
    | {"attn_implementation", "add_pooling_layer", "device_map", "low_cpu_mem_usage", "use_safetensors", "use_fast"}
)
READING_KEYS = (
    *("max_seq_length", "do_lower_case", "unpad_inputs", "transformer_task", "modality_config", "module_output_name"),
    *(name for names in ARGUMENTS.values() for name in names),
)
SIMILARITIES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {  # of [hidden] with [others, hidden]
    "cosine": lambda one, others: torch.nn.functional.cosine_similarity(one[None], others),
    "dot": lambda one, others: others @ one,
    "euclidean": lambda one, others: -(others - one).norm(dim=-1),
    "manhattan": lambda one, others: -(others - one).abs().sum(-1),
}
Pool = Callable[[Tensor, int], Tensor]  # states [tokens, hidden] and how many come before them, to [hidden]
MODES: Mapping[str, Pool] = {  # in the order in which older folders that switch several on join them
    "cls": lambda states, before: states[0],
    "max": lambda states, before: states.max(0).values,
    "mean": lambda states, before: states.mean(0),
    "mean_sqrt_len_tokens": lambda states, before: states.sum(0) / math.sqrt(len(states)),
    "weightedmean": lambda states, before: _weights(states, before) @ states,
    "lasttoken": lambda states, before: states[-1],
}
OLD_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


def _weights(states: Tensor, before: int) -> Tensor:
    """Shares that grow with the position, [tokens]."""
    positions = torch.arange(before + 1, before + len(states) + 1, device=states.device, dtype=states.dtype)
    return positions / positions.sum()


@dataclass(frozen=True)
class Pooling:
    """Token states [tokens, hidden] to the vector of a text, [hidden] times the number of modes."""

    modes: tuple[str, ...] = ("mean",)
    include_prompt: bool = True  # False: the tokens of the prompt are left out

    def __call__(self, states: Tensor, before: int = 0) -> Tensor:
        """`before` is how many of the first tokens are not to count."""
        own = states[before:] if before < len(states) else states[-1:]
        return torch.cat([MODES[mode](own, before) for mode in self.modes])


@dataclass(frozen=True)
class Normalize:
    """A vector scaled to length one."""

    def __call__(self, vector: Tensor) -> Tensor:
        return torch.nn.functional.normalize(vector, dim=-1)


@dataclass(frozen=True, eq=False)
class Dense:
    """A linear layer and a function, of token states or of a vector, whichever its `source` is."""

    weight: Tensor
    bias: Tensor | None
    function: Callable[[Tensor], Tensor]
    source: str = "sentence_embedding"

    def __call__(self, values: Tensor) -> Tensor:
        """[..., in_features] to [..., out_features]."""
        bias = None if self.bias is None else self.bias.to(values.device)
        return self.function(torch.nn.functional.linear(values, self.weight.to(values.device), bias))


@dataclass(frozen=True, eq=False)
class LayerNorm:
    """A vector normalized, scaled and shifted."""

    weight: Tensor
    bias: Tensor

    def __call__(self, vector: Tensor) -> Tensor:
        weight, bias = self.weight.to(vector.device), self.bias.to(vector.device)
        return torch.nn.functional.layer_norm(vector, vector.shape[-1:], weight, bias)


Step = Pooling | Normalize | Dense | LayerNorm


@dataclass(frozen=True, eq=False)
class SentenceModel:
    """How a sentence model reads texts and what it makes of token states."""

    steps: tuple[Step, ...] = (Pooling(),)
    subfolder: str = ""  # where the weights and the tokenizer are
    max_length: int | None = None  # tokens that are read of a text; None: as many as the tokenizer says
    lower_case: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    similarity: str = "cosine"
    dimensions: int | None = None  # the first numbers of a vector that are kept; None: all
    model_options: Mapping[str, Any] = field(default_factory=dict)
    tokenizer_options: Mapping[str, Any] = field(default_factory=dict)

    def vector(self, states: Tensor, before: int = 0) -> Tensor:
        """[tokens, hidden] of one text to its vector; `before` is how many tokens of a prompt are not to count."""
        values = states
        for step in self.steps:
            values = step(values, before) if isinstance(step, Pooling) else step(values)
        return values[: self.dimensions]

    @property
    def pooling(self) -> tuple[str, ...]:
        return next(step.modes for step in self.steps if isinstance(step, Pooling))

    @property
    def counts_prompt(self) -> bool:
        """Whether the tokens of a prompt count like all others."""
        return all(step.include_prompt for step in self.steps if isinstance(step, Pooling))

    def prompt(self, text: str | None = None, name: str | None = None) -> str:
        """What stands before every text: `text`, else the prompt called `name`, else the folder's default."""
        if text is not None:
            return text
        if name is None:
            return self.prompts.get(self.default_prompt or "", "")
        if name not in self.prompts:
            known = ", ".join(map(shown, self.prompts)) or "none"
            raise PipelineError(f"the model stores no prompt called {shown(name)}; it stores {known}")
        return self.prompts[name]


def read_sentence_model(folder: Path) -> SentenceModel:
    """What the files in `folder` say; mean pooling where there is no modules.json.

    Raises PipelineError, naming the file, for whatever would change the vectors and is not known here.
    """
    if not present(folder, LISTING):
        return SentenceModel()
    said = _comparing(folder)
    path = inside(folder, LISTING, PipelineError)
    modules = read_json(path, error=PipelineError)
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise PipelineError(f"{path} must be a list of modules, each with a type and a path")
    steps: list[Step] = []
    places: list[str] = []
    for number, module in enumerate(modules):
        kind, place = _kind(module, path), _place(module, path)
        if kind == "Transformer":
            places.append(place)
            if number:
                raise PipelineError(f"{path}: a Transformer that is not the first module is not known here")
        else:
            steps += READERS[kind](folder / place)
    subfolder = places[0] if places else ""
    steps = steps or [Pooling()]
    _check_order(steps, path)
    return SentenceModel(tuple(steps), subfolder, **_reading(folder / subfolder), **said)


def _comparing(folder: Path) -> dict[str, Any]:
    """Prompts, similarity and dimensions, as config_sentence_transformers.json has them."""
    path, config = folder / SETTINGS, _settings(folder)
    kind, prompts = config.get("model_type"), config.get("prompts") or {}
    default, similarity = config.get("default_prompt_name"), config.get("similarity_fn_name") or "cosine"
    dimensions = config.get("truncate_dim")
    if kind not in (None, "SentenceTransformer"):
        raise PipelineError(f"{path}: this is a {shown(kind)}, which makes no vectors of sentences that are known here")
    texts = prompts.values() if isinstance(prompts, dict) else [prompts]
    if not isinstance(prompts, dict) or not all(text is None or isinstance(text, str) for text in texts):
        raise PipelineError(f"{path}: prompts is {shown(prompts)}; it must map names to texts")
    if default is not None and not (isinstance(default, str) and default in prompts):
        raise PipelineError(f"{path}: default_prompt_name is {shown(default)}, which is not among its prompts")
    if not isinstance(similarity, str) or similarity not in SIMILARITIES:
        raise PipelineError(f"{path}: similarity_fn_name is {shown(similarity)}; known are {', '.join(SIMILARITIES)}")
    if dimensions is not None:
        dimensions = _count(dimensions, f"{path}: truncate_dim")
    prompts = {name: text or "" for name, text in prompts.items()}
    return {"prompts": prompts, "default_prompt": default, "similarity": similarity, "dimensions": dimensions}


def _reading(folder: Path) -> dict[str, Any]:
    """How the Transformer module in `folder` reads texts, and how it wants to be loaded."""
    name = next((name for name in READER_FILES if present(folder, name)), None)
    if name is None:
        return {}
    where = folder / name
    config = _config(folder, READING_KEYS, name)
    task, modality = config.get("transformer_task"), config.get("modality_config")
    output = config.get("module_output_name")
    if task not in (None, "feature-extraction") or modality not in (None, TEXT) or output not in (None, STATES):
        raise PipelineError(
            f"{where}: only texts to {STATES} by feature-extraction are known here, not {shown(config)}"
        )
    options: dict[str, dict[str, Any]] = {}
    for kind, names in ARGUMENTS.items():
        given: Any = next((config[name] for name in names if config.get(name)), {})
        if not isinstance(given, dict):
            raise PipelineError(f"{where}: {names[0]} is {shown(given)}; it must be an object")
        options[kind] = {key: value for key, value in given.items() if key not in IDLE}
    length = options["tokenizer"].pop("model_max_length", config.get("max_seq_length"))
    return {
        "max_length": None if length is None else _count(length, f"{where}: max_seq_length"),
        "lower_case": bool(config.get("do_lower_case")),
        "model_options": options["model"] | options["config"],
        "tokenizer_options": options["tokenizer"],
    }


def _count(number: Any, what: str) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise PipelineError(f"{what} is {shown(number)}; it must be a whole number of at least 1")
    return number


def find_sentence_model(name: str, where: Mapping[str, Any]) -> SentenceModel:
    """The same of a folder or a name on the Hub; `where` are the hub's options."""
    folder = resolve(name, PATTERNS, **where)
    if present(folder, LISTING):
        listing = read_text(inside(folder, LISTING, PipelineError), CONFIG_BYTES, PipelineError)
        if any(kind in listing for kind in WEIGHTED):
            folder = resolve(name, (*PATTERNS, *MODULE_WEIGHTS), **where)
    return read_sentence_model(folder)


def _settings(folder: Path) -> dict[str, Any]:
    if not present(folder, SETTINGS):
        return {}
    return read_json_object(inside(folder, SETTINGS, PipelineError), error=PipelineError)


def compares_pairs(folder: Path) -> bool:
    """Whether a folder with modules.json is that of a cross-encoder, which scores pairs and makes no vectors."""
    return _settings(folder).get("model_type") == PAIRS


def pair_function(config: Any, folder: Path | None) -> str | None:
    """What a cross-encoder makes of its one logit, "sigmoid" or "none", where its files say; None where they do not.

    Raises PipelineError for a function that is not known here.
    """
    said = config.to_dict()
    own = said.get("sentence_transformers")
    name = _settings(folder).get("activation_fn") if folder is not None and compares_pairs(folder) else None
    name = name or (own.get("activation_fn") if isinstance(own, dict) else None)
    name = name or said.get("sbert_ce_default_activation_function")
    if name is None:
        return None
    kind = type(activation(name, "the files of the model")).__name__
    if kind not in PAIR_FUNCTIONS:
        raise PipelineError(
            f"the model's activation function is {shown(name)}; for pairs only Sigmoid and Identity are known"
        )
    return PAIR_FUNCTIONS[kind]


def _kind(module: Mapping[str, Any], path: Path) -> str:
    name = str(module.get("type", ""))
    kind = name.rsplit(".", 1)[-1]
    if not name.startswith("sentence_transformers.") or kind not in ("Transformer", *READERS):
        raise PipelineError(
            f"{path} asks for a module {shown(name)}; known of sentence_transformers are "
            f"Transformer, {', '.join(READERS)}"
        )
    return kind


def _place(module: Mapping[str, Any], path: Path) -> str:
    """The folder of a module, which a downloaded file must not lead out of."""
    place = str(module.get("path", ""))
    if place and not all(PLAIN_NAME.fullmatch(part) for part in place.split("/")):
        raise PipelineError(f"{path} names {shown(place)}, which lies outside of its folder or is no plain name")
    return place


def _check_order(steps: Sequence[Step], path: Path) -> None:
    """Refuses steps that would read what an earlier one has not made."""
    pooled = False
    for step in steps:
        of_tokens = isinstance(step, Pooling) or (isinstance(step, Dense) and step.source == "token_embeddings")
        if of_tokens is pooled:
            what = type(step).__name__
            raise PipelineError(f"{path}: {what} comes {'after' if pooled else 'before'} the pooling, and cannot")
        pooled = pooled or isinstance(step, Pooling)
    if not pooled:
        raise PipelineError(f"{path} names no Pooling, which makes a vector of the states of tokens")


def _config(folder: Path, known: Sequence[str], name: str = "config.json") -> dict[str, Any]:
    """A module's config; a key that is not `known` and says anything is refused."""
    path = inside(folder, name, PipelineError)
    config = read_json_object(path, error=PipelineError)
    for key, value in config.items():
        if key not in known and value not in (None, False, {}, []):
            raise PipelineError(f"{path}: {shown(key)} is {shown(value)}, and it is not known here what that means")
    return config


def _pooling(folder: Path) -> list[Step]:
    sizes = ("embedding_dimension", "word_embedding_dimension")
    config = _config(folder, (*sizes, "pooling_mode", "include_prompt", *OLD_MODES))
    named = config.get("pooling_mode")
    switches = [key for key in OLD_MODES if key in config]
    if named is None and switches:
        named = [OLD_MODES[key] for key in switches if config[key]] or ["mean"]
        named.sort(key=list(MODES).index)
    modes = [named] if isinstance(named, str) else named
    if not isinstance(modes, list) or not modes or any(not isinstance(one, str) or one not in MODES for one in modes):
        raise PipelineError(f"{folder / 'config.json'} names no pooling that is known here: {', '.join(MODES)}")
    return [Pooling(tuple(modes), config.get("include_prompt", True) is not False)]


def activation(name: Any, where: Path | str) -> Callable[[Tensor], Tensor]:
    """The function that a file names by its place in torch; raises PipelineError for any other."""
    kind = str(name).rsplit(".", 1)[-1]
    if not str(name).startswith("torch.nn.") or kind not in ACTIVATIONS:
        known = ", ".join(sorted(ACTIVATIONS))
        raise PipelineError(
            f"{where}: the activation function {shown(name)} is not known here; known of torch.nn are {known}"
        )
    made: Callable[[Tensor], Tensor] = getattr(torch.nn, kind)()
    return made


def _dense(folder: Path) -> list[Step]:
    ends = ("module_input_name", "module_output_name")
    config = _config(folder, ("in_features", "out_features", "bias", "activation_function", *ends))
    path = folder / "config.json"
    source = config.get("module_input_name") or "sentence_embedding"
    target = config.get("module_output_name") or source
    if source not in ("sentence_embedding", "token_embeddings") or target != source:
        raise PipelineError(f"{path}: a Dense from {shown(source)} to {shown(target)} is not known here")
    shape = (config.get("out_features"), config.get("in_features"))
    if not all(isinstance(size, int) for size in shape):
        raise PipelineError(f"{path} must say in_features and out_features as whole numbers")
    biased = config.get("bias", True) is not False
    shapes = {"linear.weight": shape} | ({"linear.bias": shape[:1]} if biased else {})
    function = activation(config.get("activation_function", "torch.nn.Tanh"), path)
    found = _tensors(folder, shapes)
    return [Dense(found["linear.weight"], found.get("linear.bias"), function, source)]


def _layer_norm(folder: Path) -> list[Step]:
    size = _config(folder, ("dimension",)).get("dimension")
    found = _tensors(folder, {"norm.weight": (size,), "norm.bias": (size,)})
    return [LayerNorm(found["norm.weight"], found["norm.bias"])]


def _tensors(folder: Path, shapes: Mapping[str, tuple[Any, ...]]) -> dict[str, Tensor]:
    """The weights of a module, in float32, if they are all there and have these shapes."""
    with open_weights(folder) as weights:
        for name, shape in shapes.items():
            if name not in weights or tuple(weights.shape(name)) != tuple(shape):
                raise PipelineError(f"{folder} holds no {name} of the shape {shown(shape)} that its config.json says")
        return {name: weights[name].float() for name in shapes}


READERS: Mapping[str, Callable[[Path], list[Step]]] = {
    "Pooling": _pooling,
    "Normalize": lambda folder: [Normalize()],
    "Dense": _dense,
    "LayerNorm": _layer_norm,
    "Dropout": lambda folder: [],
}
