"""One model that is served: how it is loaded, what it can do, and its place on the model thread."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import torch

from ..errors import LaminaError, ServingError
from ..files.hub import resolve
from ..inference.quantize import settle_precision
from ..inference.rows import choose_device, truncation_length
from ..pipelines import Pipeline, pipeline
from ..pipelines.base import VECTORS, refuse_untrained
from ..pipelines.create import ALIASES, EMBEDDED, TASKS, find_task
from ..pipelines.sentence_similarity import EmbeddingPipeline, SentenceSimilarityPipeline
from ..pipelines.translation import task_languages
from ..sentences.folder import PATTERNS as SENTENCE_FILES
from ..sentences.folder import find_folder, pair_function
from ..spec import KINDS
from .engine import Engine
from .errors import BackendFailed, DeadlinePassed, Invalid, NotFound

if TYPE_CHECKING:
    from .settings import ServeSettings

logger = logging.getLogger(__name__)

State = Literal["loading", "ready", "failed"]
Result = TypeVar("Result")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
RESERVED = {"pipeline", "v1", "models"}  # parts of our own addresses
EMBEDDED_TASK = "text-classification"


class Served:
    """A model under its id. `load` makes its pipeline, on another thread; `state` and `error` say how that went."""

    def __init__(self, id: str, load: Callable[[], Any], task: str | None = None):
        self.id, self.task, self.state, self.error = id, task, "loading", ""
        self._load = load
        self._pipeline: Any = None
        self._pipelines: dict[str, Pipeline] = {}
        self._tasks: tuple[str, ...] = ()
        self._sentence: Any = None  # how vectors of sentences are made
        self._pairs: str | None = None  # what a cross-encoder makes of its logits
        self._refused: dict[str, str] = {}  # what the model's files rule out, and why
        self._lock = Lock()
        self._loaded: Future[None] = Future()
        self._loaded.set_running_or_notify_cancel()  # a client that leaves must not cancel it
        self.engine: Engine | None = None  # where its work is done, once the server has started

    state: State

    @classmethod
    def from_pipeline(cls, id: str, pipe: Any) -> Served:
        """A pipeline that is there already."""
        return cls(id, lambda: pipe, pipe.task)

    def load(self) -> None:
        """Load the model, which takes seconds; whatever goes wrong is kept in `error`. Once is enough."""
        if self.state != "loading":
            return
        try:
            self._pipeline = self._load()
            refuse_untrained(self._pipeline)
            self.task = plain_task(self._pipeline.task)
            self._read_sentence_files()
            self._tasks = self._all_tasks()
            self.pipeline_for()
            self.state = "ready"
        except (LaminaError, OSError, ValueError) as error:
            self.error, self.state = str(error) or type(error).__name__, "failed"
            logger.error("%s could not be loaded: %s", self.id, self.error)
        except Exception as error:  # one model's defect must not take the others down
            self.error, self.state = f"{type(error).__name__}: {error}", "failed"
            logger.exception("%s could not be loaded", self.id)
        finally:
            self._loaded.set_result(None)

    def _read_sentence_files(self) -> None:
        """How vectors of texts are made and scores of pairs are given, where the model's files say so."""
        pipe, name = self._pipeline, getattr(self._pipeline.model, "name_or_path", "")
        if isinstance(pipe, SentenceSimilarityPipeline):
            self._sentence = pipe.settings.sentence
        elif self.task == "feature-extraction" and name:
            try:
                self._sentence = find_folder(name, {})
            except LaminaError as error:
                self._refused["sentence-similarity"] = str(error)
                logger.warning("%s makes no vectors of sentences: %s", self.id, error)
        elif self.task == "text-classification" and len(pipe.model.config.id2label) == 1:
            try:
                self._pairs = pair_function(pipe.model.config, resolve(name, SENTENCE_FILES) if name else None)
            except LaminaError as error:
                self._refused["rerank"] = str(error)

    def pair_function(self) -> str:
        """What makes the score of a pair of its one logit: "sigmoid" unless the model's files say otherwise."""
        if "rerank" in self._refused:
            raise Invalid(f"{self._refused['rerank']}; set raw_scores to have the logits")
        return self._pairs or "sigmoid"

    async def wait(self, seconds: float) -> None:
        """Return once the model is there; raises BackendFailed where it could not be loaded, DeadlinePassed too late.

        A request is held rather than refused while its model loads: some clients take a refusal for a reason to ask
        again at once.
        """
        if self.state == "loading":
            try:
                await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._loaded)), seconds)
            except asyncio.TimeoutError:
                raise DeadlinePassed(f"the model {self.id} is still being loaded; try again later") from None
        if self.state == "failed":
            raise BackendFailed(f"the model {self.id} could not be loaded; /health says why")

    @property
    def pipeline(self) -> Any:
        """The pipeline of its own task."""
        if self._pipeline is None:
            raise BackendFailed(f"the model {self.id} is not loaded")
        return self._pipeline

    @property
    def tokenizer(self) -> Any:
        return self.pipeline.tokenizer

    @property
    def max_text_tokens(self) -> int | None:
        """Tokens of a text that the model reads, special ones not counted; None: as many as there are."""
        limit = truncation_length(self.tokenizer, self.pipeline.model)
        return None if limit is None else limit - int(self.tokenizer.num_special_tokens_to_add())

    @property
    def tasks(self) -> tuple[str, ...]:
        """Every task that this model can do, its own first; none before it is loaded."""
        return self._tasks

    def _all_tasks(self) -> tuple[str, ...]:
        kind = self.pipeline.model.kind
        found = [str(self.task)]
        for name, entry in TASKS.items():
            if name in self._refused:
                continue
            fits = kind in entry.pipeline.kinds or (name in VECTORS and KINDS[kind].pipeline == "feature-extraction")
            if fits and name not in found and self._makes_sense(name):
                found.append(name)
        return tuple(found)

    def _makes_sense(self, task: str) -> bool:
        """Whether labels or tokens that the task stands on are there."""
        if task == "zero-shot-classification":
            return any(label.lower().startswith("entail") for label in self.pipeline.model.config.label2id)
        if task == "fill-mask":
            return self.tokenizer.mask_token_id is not None and self.pipeline.model.kind == "masked-lm"
        return True

    def pipeline_for(self, task: str | None = None) -> Pipeline:
        """The pipeline of a task, its own unless named; raises NotFound where the model cannot do it."""
        plain = plain_task(task) if task else str(self.task)
        with self._lock:
            if plain not in self._pipelines:
                self._pipelines[plain] = self._made_for(plain).shareable()
            return self._pipelines[plain]

    def embedding(self) -> EmbeddingPipeline:
        """What gives the vectors of texts; raises NotFound where the model makes none."""
        pipe: Any = self.pipeline_for("sentence-similarity")
        with self._lock:
            found: EmbeddingPipeline = pipe.embedding
            return found

    def _made_for(self, task: str) -> Any:
        if task == self.task:
            return self.pipeline
        if task not in self.tasks:
            raise NotFound(f"the model {self.id} does {', '.join(self.tasks)}, not {task[:100]!r}")
        options: dict[str, Any] = {}
        if task == "sentence-similarity" and self._sentence is not None:
            options["sentence"] = self._sentence
        made = TASKS[task].pipeline(self.pipeline.model, self.tokenizer, task=task, **options)
        try:
            refuse_untrained(made)
        except LaminaError as error:
            raise NotFound(str(error)) from None
        return made

    async def run(self, function: Callable[..., Result], *args: Any) -> Result:
        """What `function(*args)` gives, called on the model thread between two batches."""
        if self.engine is None:
            raise BackendFailed(f"the model {self.id} is not being served")
        return await self.engine.call(function, *args)


def plain_task(name: str) -> str:
    """A task by its own name: aliases and pairs of languages are left out."""
    return "translation" if all(task_languages(name)) else ALIASES.get(name, name)


def named_models(settings: ServeSettings) -> dict[str, Served]:
    """The models that the settings ask for, not loaded yet, by id; refuses ids that clash and what none could do."""
    if settings.task is not None:
        find_task(settings.task)
    choose_device(settings.device, torch.device("cpu"))
    precision = settings.precision and settle_precision(settings.precision, shared=True)
    found: dict[str, Served] = {}
    for source in settings.models or (_embedded(settings.task),):
        name, _, place = source.partition("=") if "=" in source else (_id_of(source), "", source)
        if not NAME.fullmatch(name) or RESERVED & set(name.split("/")):
            raise ServingError(
                f"{name!r} cannot be a model's id: it needs letters, digits, '.', '_' and '-', and no part of it may "
                f"be {', '.join(sorted(RESERVED))}; pass ID={place}"
            )
        if name in found:
            raise ServingError(f"two models would be called {name}; pass ID={place} to choose another id")
        found[name] = Served(name, _loader(place, settings, precision), settings.task)
    return found


def _embedded(task: str | None) -> str:
    """The model inside this package, where none is named."""
    chosen = plain_task(task or EMBEDDED_TASK)
    if chosen not in EMBEDDED:
        raise ServingError(f"no model was named, and the embedded one does {', '.join(EMBEDDED)}, not {task}; name one")
    return str(EMBEDDED[chosen])


def _id_of(source: str) -> str:
    """The name of a folder, or the name on the Hub as it is."""
    return Path(source).resolve().name if Path(source).is_dir() else source


def _loader(place: str, settings: ServeSettings, precision: str | None) -> Callable[[], Any]:
    def load() -> Any:
        return pipeline(settings.task, model=place, device=settings.device, precision=precision)

    return load
