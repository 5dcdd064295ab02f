"""`pipeline(task, model)`: from a name to something that answers; the tasks there are, and the usual model of each."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..auto import find
from ..checkpoint.files import weight_patterns
from ..errors import HubError, PipelineError
from ..files.hub import WHERE, resolve
from ..files.paths import present
from ..files.shown import shown
from ..sentences.folder import PATTERNS as SENTENCE_FILES
from ..sentences.folder import compares_pairs, find_folder
from ..spec import KINDS
from ..tokenizers.tokenizer import Tokenizer
from .base import Pipeline, announce
from .fill_mask import FillMaskPipeline
from .question_answering import QuestionAnsweringPipeline
from .sentence_similarity import FeatureExtractionPipeline, SentenceSimilarityPipeline
from .text_classification import TextClassificationPipeline, ZeroShotClassificationPipeline
from .text_generation import TextGenerationPipeline
from .text_to_text import SummarizationPipeline, Text2TextGenerationPipeline
from .token_classification import TokenClassificationPipeline
from .translation import TranslationPipeline, task_languages

logger = logging.getLogger(__name__)

ASSETS = Path(__file__).resolve().parent.parent / "assets"
EMBEDDED = {"text-classification": ASSETS / "sentiment"}


@dataclass(frozen=True)
class CatalogEntry:
    """One task."""

    pipeline: type[Pipeline]
    model: str  # the usual one, where the caller names none
    revision: str | None = None  # the commit that answers have been checked with
    languages: tuple[tuple[str, str], ...] = ()  # what the usual one translates, source and target


TASKS: Mapping[str, CatalogEntry] = {
    "text-classification": CatalogEntry(
        TextClassificationPipeline, "distilbert/distilbert-base-uncased-finetuned-sst-2-english", "714eb0f"
    ),
    "token-classification": CatalogEntry(
        TokenClassificationPipeline, "dbmdz/bert-large-cased-finetuned-conll03-english", "4c53496"
    ),
    "fill-mask": CatalogEntry(FillMaskPipeline, "distilbert/distilroberta-base", "fb53ab8"),
    "question-answering": CatalogEntry(
        QuestionAnsweringPipeline, "distilbert/distilbert-base-cased-distilled-squad", "564e9b5"
    ),
    "zero-shot-classification": CatalogEntry(ZeroShotClassificationPipeline, "facebook/bart-large-mnli", "d7645e1"),
    "feature-extraction": CatalogEntry(FeatureExtractionPipeline, "distilbert/distilbert-base-cased", "6ea8117"),
    "sentence-similarity": CatalogEntry(SentenceSimilarityPipeline, "sentence-transformers/all-MiniLM-L6-v2"),
    "text-generation": CatalogEntry(TextGenerationPipeline, "openai-community/gpt2", "607a30d"),
    "text2text-generation": CatalogEntry(Text2TextGenerationPipeline, "google-t5/t5-base", "a9723ea"),
    "summarization": CatalogEntry(SummarizationPipeline, "sshleifer/distilbart-cnn-12-6", "a4f8f3e"),
    "translation": CatalogEntry(
        TranslationPipeline, "google-t5/t5-base", "a9723ea", (("en", "fr"), ("en", "de"), ("en", "ro"))
    ),
}
ALIASES: Mapping[str, str] = {"sentiment-analysis": "text-classification", "ner": "token-classification"}


def find_task(name: str) -> CatalogEntry:
    """The task called `name`, or by one of its other names; translation may name its languages."""
    found = TASKS.get("translation" if all(task_languages(name)) else ALIASES.get(name, name))
    if found is None:
        known = ", ".join(sorted([*TASKS, *ALIASES, "translation_xx_to_yy"]))
        raise PipelineError(f"there is no task {shown(name)}; known are {known}")
    return found


def infer_task(kind: str, architecture: str) -> str:
    if kind not in KINDS or not KINDS[kind].pipeline:
        raise PipelineError(f"{architecture} does not say what it is for; pass task=, one of {', '.join(TASKS)}")
    return KINDS[kind].pipeline


def pipeline(
    task: str | None = None,
    model: Any = None,
    config: Any = None,
    tokenizer: Any = None,
    feature_extractor: Any = None,
    image_processor: Any = None,
    processor: Any = None,
    framework: str | None = None,
    revision: str | None = None,
    use_fast: bool = True,
    token: str | bool | None = None,
    device: Any = None,
    device_map: Any = None,
    dtype: Any = "auto",
    trust_remote_code: bool | None = None,
    model_kwargs: Mapping[str, Any] | None = None,
    pipeline_class: type[Pipeline] | None = None,
    *,
    torch_dtype: Any = None,
    precision: str | None = None,
    **options: Any,
) -> Any:
    """A pipeline for `task`, ready to be called with texts.

    `model` is a folder, a name on the Hub (the local cache is asked first) or a model; without it the task's usual one
    is taken. Without `task` the model's own is. `tokenizer` and `config` are found with the model unless given;
    `options` are the task's, and every call may override them. `use_fast` is AutoTokenizer's.
    `precision`, such as "int8", is what the model's linear layers are loaded to compute in: see `model.quantize`.
    """
    _check(task, model, tokenizer, trust_remote_code)
    if model_kwargs and not isinstance(model, str | Path | None):
        raise PipelineError("model_kwargs are for a model loaded by its name: this one is loaded already")
    loading = dict(model_kwargs or {})
    where = {name: loading.pop(name) for name in WHERE if name in loading}
    where |= {name: value for name, value in (("revision", revision), ("token", token)) if value is not None}
    if model is None:
        model, where = choose_default(str(task), find_task(str(task)), where)
    name = str(model) if isinstance(model, str | Path) else None
    if name is None and precision is not None:
        raise PipelineError("precision= is for a model loaded by its name: call model.quantize() on this one")
    if task is None:
        task = infer_task(model.kind, type(model).__name__) if name is None else _task_of(name, where)
    made = pipeline_class or find_task(task).pipeline
    if name is not None:
        loading["dtype"] = _dtype(dtype, torch_dtype, loading)
        if issubclass(made, SentenceSimilarityPipeline) and "sentence" not in options:
            options["sentence"] = sentence = find_folder(name, where)
            where, loading = sentence.loading(where, loading)
            if tokenizer is None:
                tokenizer = (name, dict(sentence.tokenizer_options))
        bare = made.loader == Pipeline.loader and pipeline_class is not None  # then the task says what it needs
        loader = find_task(task).pipeline.loader if bare else made.loader
        model = _load_model(loader, name, config, {**where, "precision": precision, **loading})
    elif any((loading, torch_dtype, dtype not in (None, "auto"))):
        logger.warning("dtype and model_kwargs have no effect on a model that is loaded already")
    return made(
        model=model,
        tokenizer=_load_tokenizer(tokenizer, name or config, {**where, "use_fast": use_fast}),
        task=task,
        framework=framework,
        device=_device(device, device_map),
        feature_extractor=feature_extractor,
        image_processor=image_processor,
        processor=processor,
        **options,
    )


def _check(task: str | None, model: Any, tokenizer: Any, trust_remote_code: bool | None) -> None:
    """Refuses what cannot become a pipeline before anything is looked up."""
    if trust_remote_code:
        raise PipelineError("trust_remote_code=True: Lamina never runs code that comes with a checkpoint; leave it out")
    if task is None and model is None:
        raise PipelineError("pipeline() needs a task, a model, or both")
    if model is None and tokenizer is not None:
        raise PipelineError("a tokenizer without a model: the usual model has its own; pass model= too")


def _task_of(name: str, where: Mapping[str, Any]) -> str:
    """What the checkpoint's own config says it was made for."""
    folder = resolve(name, SENTENCE_FILES, **where)
    if present(folder, "modules.json") and not compares_pairs(folder):
        return "sentence-similarity"
    architectures = find("AutoConfig").from_pretrained(name, **where).architectures or ["?"]
    try:
        kind = find(architectures[0]).task.kind
    except AttributeError:
        kind = "unknown"
    return infer_task(kind, f"{name} ({architectures[0]})")


def _load_model(loader: str, name: str, config: Any, options: Mapping[str, Any]) -> Any:
    if isinstance(config, str | Path):
        where = {key: value for key, value in options.items() if key in WHERE}
        config = find("AutoConfig").from_pretrained(config, **where)
    return find(loader).from_pretrained(name, config=config, **options)


def _load_tokenizer(given: Any, name: Any, where: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer that was given, by name, with options or as it is, or the model's own."""
    source: Any = name if given is None else given
    options: dict[str, Any] = {}
    if isinstance(source, tuple):
        source, options = source
    if isinstance(source, str | Path):
        loaded: Tokenizer = find("AutoTokenizer").from_pretrained(source, **{**where, **options})
        return loaded
    if not isinstance(source, Tokenizer):
        found = "there is none" if given is None else f"this is a {type(given).__name__}"
        raise PipelineError(
            f"a model that is already loaded needs its tokenizer beside it, and {found}; pass tokenizer="
        )
    return source


def _dtype(dtype: Any, torch_dtype: Any, loading: dict[str, Any]) -> Any:
    """The type of the weights that was asked for, under whichever of its names."""
    inner = loading.pop("dtype", loading.pop("torch_dtype", None))
    outer = torch_dtype if torch_dtype is not None and dtype == "auto" else dtype
    if inner is None:
        return outer
    if outer not in (None, "auto"):
        raise PipelineError("dtype is given twice, by itself and in model_kwargs; give it once")
    return inner


def _device(device: Any, device_map: Any) -> Any:
    """`device`, or what a `device_map` of one place means."""
    if device_map is None or device is not None:
        return device
    if isinstance(device_map, dict) and len(set(device_map.values())) == 1:
        device_map = next(iter(device_map.values()))
    if isinstance(device_map, dict):
        raise PipelineError("device_map spreads a model over devices, which is not supported; pass device=")
    return None if device_map == "auto" else device_map


def choose_default(task: str, entry: CatalogEntry, where: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The usual model of `task` and where to read it, or the embedded folder where the Hub is out of reach.

    `where` are the hub's options. Raises PipelineError where neither is there.
    """
    languages = task_languages(task)
    if all(languages) and languages not in entry.languages:
        known = ", ".join(f"{source} to {target}" for source, target in entry.languages)
        raise PipelineError(f"{task}: no model is usual for it, only for {known}; pass model=")
    pinned = where.get("revision") or entry.revision
    # A cache filled by name alone knows the newest commit and not the pinned one; it comes before any network.
    places: list[dict[str, Any]] = [
        {**where, "revision": pinned, "local_files_only": True},
        {**where, "revision": where.get("revision"), "local_files_only": True},
        {**where, "revision": pinned},
    ]
    failure: HubError | None = None
    for place in places:
        try:
            folder = resolve(entry.model, weight_patterns(), **place)
        except HubError as error:
            failure = error
            continue
        if any(folder.glob("*.safetensors")) or any(folder.glob("*.bin")):
            announce(f"No model was given; {entry.model} (revision {place['revision'] or 'main'}) is used.")
            return entry.model, place
    embedded = EMBEDDED.get(ALIASES.get(task, task))
    if embedded is None or not (embedded / "config.json").is_file():
        raise PipelineError(
            f"{task}: no model was given, and the usual one, {entry.model}, is neither cached nor reachable "
            f"({failure}); pass model= with the name of a cached model or a local folder"
        )
    announce(f"No model was given and {entry.model} is out of reach; the small model inside Lamina is used.")
    return str(embedded), {}
