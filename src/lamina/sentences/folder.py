"""The folder of a sentence model or of a cross-encoder: what its files say beside the weights, and how it is written.

Formats: sentence-transformers 5.7.0 and older (modules.json, sentence_bert_config.json, config_sentence_transformers
.json, and a folder for each module). Whatever could change a number and is not known here is refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import PipelineError
from ..files.atomic import staged
from ..files.hub import resolve
from ..files.jsonfile import CONFIG_BYTES, read_json, read_json_object
from ..files.paths import PLAIN_NAME, inside, present, read_text
from ..files.shown import shown
from .modules import CONFIG, MODULES, Module, Pooling, activation
from .similarity import SIMILARITIES

LISTING, SETTINGS, READING = "modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"
READER_FILES = (  # of the Transformer module, newest name first
    *(READING, "sentence_roberta_config.json", "sentence_distilbert_config.json"),
    *("sentence_camembert_config.json", "sentence_albert_config.json", "sentence_xlm-roberta_config.json"),
    "sentence_xlnet_config.json",
)
PATTERNS = (LISTING, SETTINGS, "config.json", "sentence_*_config.json", "*/config.json", "*/sentence_*_config.json")
PAIR_FUNCTIONS = {"Sigmoid": "sigmoid", "Identity": "none"}
WEIGHTED = ("Dense", "LayerNorm", "WeightedLayerPooling")  # modules with weights of their own
MODULE_WEIGHTS = ("*/model.safetensors", "*/pytorch_model.bin")
VECTORS, PAIRS = "SentenceTransformer", "CrossEncoder"
PREFIX = "sentence_transformers.models."  # of types, in the words that every version reads
READS = {  # what a Transformer module is to make, and under which name
    VECTORS: ("feature-extraction", "last_hidden_state", "token_embeddings"),
    PAIRS: ("sequence-classification", "logits", "scores"),
}
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


@dataclass(frozen=True, eq=False)
class SentenceFolder:
    """What the files of a folder say beside its weights."""

    modules: Sequence[Module] = field(default_factory=lambda: (Pooling(),))  # after the Transformer
    subfolder: str = ""  # where the weights and the tokenizer are
    max_length: int | None = None  # tokens that are read of a text; None: as many as the tokenizer says
    lower_case: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    similarity: str | None = None
    dimensions: int | None = None  # the first numbers of a vector that are kept; None: all
    activation: Any = None  # of a cross-encoder's logits
    model_options: Mapping[str, Any] = field(default_factory=dict)
    tokenizer_options: Mapping[str, Any] = field(default_factory=dict)

    def loading(self, where: Mapping[str, Any], options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Where the weights lie and how they are loaded: as the files say, unless the caller's `options` do."""
        parts = [part for part in (where.get("subfolder"), self.subfolder) if part]
        own = dict(self.model_options)
        dtype = own.pop(
            "dtype", own.pop("torch_dtype", "float32")
        )  # these models compute in float32 unless they say so
        said = dict(options)
        if said.get("dtype") in (None, "auto"):
            said["dtype"] = dtype
        return {**where, **({"subfolder": "/".join(parts)} if parts else {})}, {**own, **said}


def read_folder(folder: Path, kind: str = VECTORS) -> SentenceFolder:
    """What the files in `folder` say; of a plain model, mean pooling of its states, or the last where it writes on.

    Raises PipelineError, naming the file, for whatever would change the vectors and is not known here.
    """
    if not present(folder, LISTING):
        return SentenceFolder((Pooling(pooling_mode="lasttoken" if _writes(folder) else "mean"),))
    said = _comparing(folder, kind)
    path = inside(folder, LISTING, PipelineError)
    listed = read_json(path, error=PipelineError)
    if not isinstance(listed, list) or not all(isinstance(module, dict) for module in listed):
        raise PipelineError(f"{path} must be a list of modules, each with a type and a path")
    modules: list[Module] = []
    places: list[str] = []
    for number, module in enumerate(listed):
        name, place = _kind(module, path, kind), _place(module, path)
        if name == "Transformer":
            places.append(place)
            if number:
                raise PipelineError(f"{path}: a Transformer that is not the first module is not known here")
        else:
            modules.append(MODULES[name].load(folder / place))
    subfolder = places[0] if places else ""
    if kind == VECTORS:
        modules = modules or [Pooling()]
        check_order(modules, f"{path}: ")
    return SentenceFolder(tuple(modules), subfolder, **_reading(folder / subfolder, kind), **said)


def _writes(folder: Path) -> bool:
    """Whether a plain model was made to write on, so that the state of its last token alone has seen all others."""
    known = present(folder, CONFIG) and read_json_object(inside(folder, CONFIG, PipelineError), error=PipelineError)
    architectures = known.get("architectures") if known else None
    return isinstance(architectures, list) and str((*architectures, "")[0]).endswith("ForCausalLM")


def _comparing(folder: Path, wanted: str) -> dict[str, Any]:
    """Prompts, similarity, dimensions and activation, as config_sentence_transformers.json has them."""
    path, config = folder / SETTINGS, _settings(folder)
    kind, prompts = config.get("model_type"), config.get("prompts") or {}
    default, similarity = config.get("default_prompt_name"), config.get("similarity_fn_name")
    dimensions, function = config.get("truncate_dim"), config.get("activation_fn")
    if kind not in (None, wanted):
        what = "vectors of sentences" if wanted == VECTORS else "scores of pairs"
        raise PipelineError(f"{path}: this is a {shown(kind)}, which makes no {what} that are known here")
    texts = prompts.values() if isinstance(prompts, dict) else [prompts]
    if not isinstance(prompts, dict) or not all(text is None or isinstance(text, str) for text in texts):
        raise PipelineError(f"{path}: prompts is {shown(prompts)}; it must map names to texts")
    if default is not None and not (isinstance(default, str) and default in prompts):
        raise PipelineError(f"{path}: default_prompt_name is {shown(default)}, which is not among its prompts")
    if similarity is not None and not (isinstance(similarity, str) and similarity in SIMILARITIES):
        raise PipelineError(f"{path}: similarity_fn_name is {shown(similarity)}; known are {', '.join(SIMILARITIES)}")
    if dimensions is not None:
        dimensions = _count(dimensions, f"{path}: truncate_dim")
    found: dict[str, Any] = {"default_prompt": default}
    found["prompts"] = {name: text or "" for name, text in prompts.items()}
    found |= {"similarity": similarity, "dimensions": dimensions}
    return {**found, "activation": None if wanted == VECTORS or function is None else activation(function, path)}


def _reading(folder: Path, kind: str) -> dict[str, Any]:
    """How the Transformer module in `folder` reads texts, and how it wants to be loaded."""
    name = next((name for name in READER_FILES if present(folder, name)), None)
    if name is None:
        return {}
    where, config = folder / name, read_json_object(inside(folder, name, PipelineError), error=PipelineError)
    for key, value in config.items():
        if key not in READING_KEYS and value not in (None, False, {}, []):
            raise PipelineError(f"{where}: {shown(key)} is {shown(value)}, and it is not known here what that means")
    task, made, called = READS[kind]
    modality = {"text": {"method": "forward", "method_output_name": made}}
    wanted = {"transformer_task": task, "modality_config": modality, "module_output_name": called}
    if any(config.get(key) not in (None, value) for key, value in wanted.items()):
        raise PipelineError(f"{where}: only texts to {called} by {task} are known here, not {shown(config)}")
    options: dict[str, dict[str, Any]] = {}
    for part, names in ARGUMENTS.items():
        given: Any = next((config[name] for name in names if config.get(name)), {})
        if not isinstance(given, dict):
            raise PipelineError(f"{where}: {names[0]} is {shown(given)}; it must be an object")
        options[part] = {key: value for key, value in given.items() if key not in IDLE}
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


def find_folder(name: str, where: Mapping[str, Any], kind: str = VECTORS) -> SentenceFolder:
    """The same of a folder or a name on the Hub; `where` are the hub's options."""
    folder = resolve(name, PATTERNS, **where)
    if present(folder, LISTING):
        listing = read_text(inside(folder, LISTING, PipelineError), CONFIG_BYTES, PipelineError)
        if any(module in listing for module in WEIGHTED):
            folder = resolve(name, (*PATTERNS, *MODULE_WEIGHTS), **where)
    return read_folder(folder, kind)


def _settings(folder: Path) -> dict[str, Any]:
    if not present(folder, SETTINGS):
        return {}
    return read_json_object(inside(folder, SETTINGS, PipelineError), error=PipelineError)


def compares_pairs(folder: Path) -> bool:
    """Whether a folder with modules.json is that of a cross-encoder, which scores pairs and makes no vectors."""
    return _settings(folder).get("model_type") == PAIRS


def pair_activation(config: Any, folder: Path | None) -> Any:
    """What a cross-encoder makes of its logits, a function of torch; None where its files do not say.

    Raises PipelineError for a function that is not known here.
    """
    said = config.to_dict()
    own = said.get("sentence_transformers")
    name = _settings(folder).get("activation_fn") if folder is not None and compares_pairs(folder) else None
    name = name or (own.get("activation_fn") if isinstance(own, dict) else None)
    name = name or said.get("sbert_ce_default_activation_function")
    return None if name is None else activation(name, "the files of the model")


def pair_function(config: Any, folder: Path | None) -> str | None:
    """The same as the pipelines call it, "sigmoid" or "none"; PipelineError for any other."""
    function = pair_activation(config, folder)
    if function is None:
        return None
    kind = type(function).__name__
    if kind not in PAIR_FUNCTIONS:
        raise PipelineError(
            f"the model's activation function is {shown(kind)}; for pairs only Sigmoid and Identity are known"
        )
    return PAIR_FUNCTIONS[kind]


def _kind(module: Mapping[str, Any], path: Path, wanted: str) -> str:
    name = str(module.get("type", ""))
    kind, known = name.rsplit(".", 1)[-1], ("Transformer", *(MODULES if wanted == VECTORS else ()))
    if not name.startswith("sentence_transformers.") or kind not in known:
        raise PipelineError(
            f"{path} asks for a module {shown(name)}; known of sentence_transformers are {', '.join(known)}"
        )
    return kind


def _place(module: Mapping[str, Any], path: Path) -> str:
    """The folder of a module, which a downloaded file must not lead out of."""
    place = str(module.get("path", ""))
    if place and not all(PLAIN_NAME.fullmatch(part) for part in place.split("/")):
        raise PipelineError(f"{path} names {shown(place)}, which lies outside of its folder or is not a plain name")
    return place


def check_order(modules: Sequence[Module], where: str = "") -> None:
    """Refuses modules that would read what an earlier one has not made."""
    pooled = False
    for module in modules:
        if module.reads_tokens is pooled:
            what = type(module).__name__
            raise PipelineError(f"{where}{what} comes {'after' if pooled else 'before'} the pooling, and cannot")
        pooled = pooled or module.pools
    if not pooled:
        raise PipelineError(f"{where}there is no Pooling, which makes a vector of the states of tokens")


def write_folder(folder: Path, kind: str, model: Any, tokenizer: Any, said: SentenceFolder) -> None:
    """Write a model so that sentence-transformers reads it too: folders of modules first, then the root as one."""
    places = [f"{number}_{type(module).__name__}" for number, module in enumerate(said.modules, 1)]
    for module, place in zip(said.modules, places, strict=True):
        module.save(folder / place)
    kinds = ["Transformer", *(type(module).__name__ for module in said.modules)]
    listing = [
        {"idx": number, "name": str(number), "path": place, "type": PREFIX + name}
        for number, (place, name) in enumerate(zip(["", *places], kinds, strict=True))
    ]
    task, made, called = READS[kind]
    reading: dict[str, Any] = {"max_seq_length": said.max_length, "do_lower_case": said.lower_case}
    if kind == PAIRS:
        modality = {"text": {"method": "forward", "method_output_name": made}}
        reading = {"transformer_task": task, "modality_config": modality, "module_output_name": called}
    if str(model.dtype) != "torch.float32":
        reading["model_args"] = {"torch_dtype": str(model.dtype).removeprefix("torch.")}
    settings: dict[str, Any] = {
        "model_type": kind,
        "prompts": dict(said.prompts),
        "default_prompt_name": said.default_prompt,
    }
    if kind == PAIRS:
        settings["activation_fn"] = said.activation
    else:
        settings["similarity_fn_name"] = said.similarity
        settings |= {} if said.dimensions is None else {"truncate_dim": said.dimensions}
    with staged(folder, PipelineError) as new:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        for name, content in ((LISTING, listing), (READING, reading), (SETTINGS, settings)):
            new(name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
