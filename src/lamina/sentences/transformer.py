"""`SentenceTransformer`: texts to vectors, with the names, arguments, shapes and types of sentence-transformers 5."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from ..auto import find
from ..errors import HubError, PipelineError
from ..files.hub import resolve
from ..files.shown import few, shown
from ..inference.batching import AT_ONCE, runs, track
from ..inference.rows import Batch, Row, checked_text, choose_device, gathered, read_rows, reads_packed, uncached
from .folder import PATTERNS, VECTORS, SentenceFolder, check_order, find_folder, write_folder
from .modules import STATES, VECTOR, Features, Module, Pooling, Transformer, WeightedLayerPooling
from .similarity import PRECISIONS, SIMILARITIES, Score, quantize_embeddings, similarity_name

USUAL = ("query", "document")  # prompts that every model has, empty ones unless its folder says otherwise
DOCUMENTS = ("document", "passage", "corpus")  # prompts of encode_document, the first that there is
OLDER = {  # names of arguments, and what they are called now
    "tokenizer_kwargs": "processor_kwargs",
    "tokenizer_args": "processor_kwargs",
    "model_args": "model_kwargs",
    "automodel_args": "model_kwargs",
    "config_args": "config_kwargs",
    "cache_dir": "cache_folder",
    "use_auth_token": "token",
    "model_name": "model_name_or_path",
    "default_activation_function": "activation_fn",
    "activation_fct": "activation_fn",
    "sentences": "inputs",
}
IDLE = {
    "model_card_data": None,
    "trust_remote_code": False,
    "backend": "torch",
}  # what else there is, and the one value

Made = TypeVar("Made", bound="SentenceTransformer")


class SentenceBase(nn.Sequential):
    """What models of texts and of pairs of texts share: how they are loaded, their prompts, and where they compute."""

    kind = VECTORS
    loader = "AutoModelForTextEncoding"
    organization = "sentence-transformers"
    prompts: dict[str, str]
    default_prompt_name: str | None

    def _load(
        self,
        name: str | Path,
        given: Mapping[str, Any],
        precision: str | None,
    ) -> tuple[SentenceFolder, Transformer]:
        """What the folder `name` says, and the model and tokenizer in it, as the keywords of the constructor ask."""
        places = {"cache_folder": "cache_dir", **{key: key for key in ("revision", "token", "local_files_only")}}
        where = {new: given[old] for old, new in places.items() if given.get(old) not in (None, False)}
        if "cache_dir" not in where and os.environ.get("SENTENCE_TRANSFORMERS_HOME"):
            where["cache_dir"] = os.environ["SENTENCE_TRANSFORMERS_HOME"]
        name = self._whole_name(str(name), where)
        folder = find_folder(name, where, self.kind)
        own = {key: dict(given.get(key) or {}) for key in ("model_kwargs", "processor_kwargs", "config_kwargs")}
        place, options = folder.loading(where, {**own["model_kwargs"], **own["config_kwargs"]})
        for key in ("trust_remote_code", "torch_dtype"):
            value = options.pop(key, None)
            if value is not None and key == "torch_dtype":
                options["dtype"] = value
        options |= self._head(name, place, options)
        model = find(self.loader).from_pretrained(name, **place, precision=precision, **options)
        reading = {**folder.tokenizer_options, **own["processor_kwargs"]}
        length = reading.pop("model_max_length", folder.max_length)
        tokenizer = find("AutoTokenizer").from_pretrained(name, **place, **reading)
        return folder, Transformer(model, tokenizer, length, folder.lower_case)

    def _head(self, name: str, where: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        """What the model's head is to be like, beside what the caller's options say."""
        return {}

    def _whole_name(self, name: str, where: Mapping[str, Any]) -> str:
        """A short name is looked for among those of the organization that these models are published by."""
        if "/" in name or os.sep in name or Path(name).expanduser().is_dir():
            return name
        try:
            resolve(f"{self.organization}/{name}", PATTERNS, **where)
        except HubError:
            return name
        return f"{self.organization}/{name}"

    def _set_prompts(self, prompts: Mapping[str, str] | None, default: str | None, folder: SentenceFolder) -> None:
        """The caller's prompts before the folder's."""
        self.prompts = {**folder.prompts, **(prompts or {})}
        self.default_prompt_name = default if default is not None else folder.default_prompt
        if self.default_prompt_name is not None:
            self.resolve_prompt(None, self.default_prompt_name)

    def resolve_prompt(self, prompt: str | None = None, prompt_name: str | None = None) -> str:
        """What stands before every text: `prompt`, else the one called `prompt_name`, else the default."""
        if prompt is not None:
            return checked_text(prompt, "prompt", empty=True)
        name = self.default_prompt_name if prompt_name is None else prompt_name
        if name is None:
            return ""
        if name not in self.prompts:
            known = ", ".join(map(shown, self.prompts)) or "none"
            raise PipelineError(f"the model stores no prompt called {shown(name)}; it stores {known}")
        return self.prompts[name]

    @property
    def first(self) -> Transformer:
        """The module with the model and its tokenizer."""
        return cast(Transformer, self[0])

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the texts."""
        return self.first.tokenizer

    @tokenizer.setter
    def tokenizer(self, tokenizer: Any) -> None:
        self.first.tokenizer = tokenizer

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return cast(torch.device, self.first.auto_model.device)

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the model's weights."""
        return cast(torch.dtype, self.first.auto_model.dtype)

    @property
    def max_seq_length(self) -> int | None:
        """Tokens that are read of a text, which is cut there; None: all of them."""
        return self.first.max_seq_length

    @max_seq_length.setter
    def max_seq_length(self, length: int | None) -> None:
        self.first.max_seq_length = length

    def get_max_seq_length(self) -> int | None:
        """The older name of `max_seq_length`."""
        return self.max_seq_length

    def _move(self, device: Any) -> None:
        if isinstance(device, list | tuple):
            raise PipelineError("one model computes on one device, and on all threads of a CPU: name one device")
        if device is not None:
            self.to(choose_device(device, self.device))

    def _listed(self, inputs: Any) -> list[Any]:
        """Inputs of any collection as a list."""
        found = gathered(inputs)
        if isinstance(found, list):
            return found
        if isinstance(found, Mapping | bytes) or not isinstance(found, Iterable):
            checked_text(found, "the input")
        return list(found)

    def read(
        self,
        inputs: Sequence[Any],
        rows: Callable[[Sequence[Any]], list[Row]],
        select: Callable[[Any, Batch], Sequence[Any]],
        batch_size: int | None,
        show_progress_bar: bool | None,
    ) -> list[Any]:
        """What `select` keeps of each input; inputs that make no row are refused by their number."""
        if batch_size is not None and (
            isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1
        ):
            raise PipelineError(f"batch_size is {shown(batch_size)}; it must be a whole number of at least 1")
        model, tokenizer = self.first.auto_model, self.tokenizer
        was_training = self.training
        self.eval()

        def found() -> Iterator[Any]:
            number = 0
            for part in runs(inputs, AT_ONCE):
                made = rows(part)
                for row in made:
                    if not len(row):
                        raise PipelineError(f"input {number}: the text has no tokens")
                    number += 1
                most = 1 if tokenizer.pad_token_id is None and not reads_packed(model, made) else batch_size
                yield from read_rows(model, tokenizer, made, select, most, **uncached(model))

        try:
            return list(found() if show_progress_bar is False else track(found(), len(inputs), "texts"))
        finally:
            self.train(was_training)

    def _folder(self) -> SentenceFolder:
        raise NotImplementedError

    def save_pretrained(self, path: str | Path, *ignored: Any, **options: Any) -> None:
        """Write a folder that this class and sentence-transformers read: model, tokenizer, modules, prompts.

        Arguments of sentence-transformers for the model card are taken and change nothing.
        """
        del ignored
        if not options.pop("safe_serialization", True):
            raise PipelineError("safe_serialization=False: weights are written as safetensors")
        write_folder(Path(path), self.kind, self.first.auto_model, self.tokenizer, self._folder())

    def save(self, path: str | Path, *ignored: Any, **options: Any) -> None:
        """The older name of `save_pretrained`."""
        self.save_pretrained(path, *ignored, **options)


class SentenceTransformer(SentenceBase):
    """Texts to vectors: a model, and modules that make a vector of its token states.

    `model_name_or_path` is a folder, or a name on the Hub, where a short one such as "all-MiniLM-L6-v2" means that of
    sentence-transformers; `modules` are modules to be chained in its stead, a Transformer first. `prompts`,
    `default_prompt_name`, `similarity_fn_name` and `truncate_dim` go before what the folder says. `model_kwargs`,
    `processor_kwargs` and `config_kwargs` go to the model, its tokenizer and its config. `precision`, such as "int8",
    is what the model's linear layers compute in: see `model.quantize`.
    """

    truncate_dim: int | None

    def __init__(
        self,
        model_name_or_path: str | Path | None = None,
        *,
        modules: Sequence[nn.Module] | None = None,
        device: Any = None,
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        token: bool | str | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
        processor_kwargs: Mapping[str, Any] | None = None,
        config_kwargs: Mapping[str, Any] | None = None,
        similarity_fn_name: Any = None,
        truncate_dim: int | None = None,
        precision: str | None = None,
        **older: Any,
    ):
        given = named_now(
            type(self).__name__,
            older,
            cache_folder=cache_folder,
            revision=revision,
            local_files_only=local_files_only,
            token=token,
            model_kwargs=model_kwargs,
            processor_kwargs=processor_kwargs,
            config_kwargs=config_kwargs,
            model_name_or_path=model_name_or_path,
        )
        name, folder = given["model_name_or_path"], SentenceFolder()
        if (name is None) == (modules is None):
            raise PipelineError("SentenceTransformer needs the name of a model, or modules=, and not both")
        if name is not None:
            folder, transformer = self._load(name, given, precision)
            chain: list[nn.Module] = [transformer, *folder.modules]
        else:
            chain = list(modules or ())
        self._assemble(chain, folder)
        self._set_prompts(prompts, default_prompt_name, folder)
        self.prompts = {**dict.fromkeys(USUAL, ""), **self.prompts}
        if similarity_fn_name is not None:
            self.similarity_fn_name = similarity_fn_name
        if truncate_dim is not None:
            self.truncate_dim = truncate_dim
        self.to(choose_device(device, self.device))
        self.eval()

    def _assemble(self, chain: Sequence[nn.Module], folder: SentenceFolder) -> None:
        """Chain modules that fit each other."""
        if not chain or not isinstance(chain[0], Transformer) or not all(isinstance(one, Module) for one in chain[1:]):
            raise PipelineError("modules must be a Transformer and modules of lamina.sentences after it")
        check_order(cast(Sequence[Module], chain[1:]), "modules: ")
        width = chain[0].get_embedding_dimension()
        for module in cast(Sequence[Module], chain[1:]):
            width = module.width(width)
        super().__init__(*chain)
        self._width, self._similarity = width, folder.similarity
        self.truncate_dim = folder.dimensions

    @classmethod
    def around(cls: type[Made], model: Any, tokenizer: Any, folder: SentenceFolder | None = None) -> Made:
        """One of a model that is loaded already; without what a folder says, the mean of its states is the vector."""
        made = cls.__new__(cls)
        folder = SentenceFolder() if folder is None else folder
        nn.Module.__init__(made)
        made._assemble([Transformer(model, tokenizer, folder.max_length, folder.lower_case), *folder.modules], folder)
        made._set_prompts(None, None, folder)
        return made.eval()

    def encode(
        self,
        inputs: Any = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        output_value: str | None = VECTOR,
        precision: str = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: Any = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        **others: Any,
    ) -> Any:
        """The vectors of texts: an array [texts, width], or [width] of a single text.

        `prompt` stands before every text, or the one stored as `prompt_name`. A text too long is cut off.
        `convert_to_tensor` gives a tensor, `convert_to_numpy=False` a list of tensors; `output_value`
        "token_embeddings" the states of each text's tokens, [tokens, hidden], and None all there is of each.
        `precision` quantizes the vectors: see `quantize_embeddings`. `batch_size` is the most texts in one pass; left
        out, a budget of tokens decides. A bar shows in a terminal once it takes longer than a second, unless
        `show_progress_bar=False`.
        """
        inputs = named_now("encode", others, inputs=inputs, task=None, pool=None, chunk_size=None)["inputs"]
        if precision not in PRECISIONS or output_value not in (VECTOR, STATES, None):
            wrong = ("output_value", output_value) if precision in PRECISIONS else ("precision", precision)
            known = PRECISIONS if wrong[0] == "precision" else (VECTOR, STATES, "None")
            raise PipelineError(f"{wrong[0]} is {shown(wrong[1])}; it must be one of {', '.join(known)}")
        asked = self.resolve_prompt(prompt, prompt_name)
        single = isinstance(inputs, str)
        texts = [inputs] if single else self._listed(inputs)
        texts = [checked_text(text, f"input {n}", empty=True) for n, text in enumerate(texts)]
        self._move(device)
        cut = self.truncate_dim if truncate_dim is None else truncate_dim

        def select(output: Any, batch: Batch) -> Sequence[Any]:
            found = self.features(output, batch)
            vectors = found.pooled[:, :cut]
            if output_value == STATES:
                return [states.to(self.dtype) for states in found.states[: len(batch.rows)]]
            if output_value is None:
                return [
                    {**row_inputs(row), STATES: states, VECTOR: vector}
                    for row, states, vector in zip(batch.rows, found.states, vectors, strict=False)
                ]
            vectors = nn.functional.normalize(vectors, dim=1) if normalize_embeddings else vectors
            return vectors.to(self.dtype).unbind()

        found = self.read(texts, lambda part: self.rows(part, asked), select, batch_size, show_progress_bar)
        if output_value != VECTOR:
            made: Any = found
        else:
            width = self._width if cut is None else min(cut, self._width)
            vectors = torch.stack(found) if found else torch.empty(0, width, dtype=self.dtype, device=self.device)
            made = as_asked(vectors, precision, convert_to_tensor, convert_to_numpy)
        return made[0] if single else made

    def encode_query(self, inputs: Any = None, prompt_name: str | None = None, **options: Any) -> Any:
        """As `encode`, after the prompt "query" if there is one and no other is asked for."""
        if prompt_name is None and options.get("prompt") is None and "query" in self.prompts:
            prompt_name = "query"
        return self.encode(inputs, prompt_name, **options)

    def encode_document(self, inputs: Any = None, prompt_name: str | None = None, **options: Any) -> Any:
        """As `encode`, after the prompt "document", "passage" or "corpus" if there is one and no other is asked for."""
        if prompt_name is None and options.get("prompt") is None:
            prompt_name = next((name for name in DOCUMENTS if name in self.prompts), None)
        return self.encode(inputs, prompt_name, **options)

    def rows(self, texts: Sequence[str], prompt: str = "") -> list[Row]:
        """The rows of tokens that the model reads of texts."""
        return self.first.rows(texts, prompt, self.counts_prompt)

    @property
    def counts_prompt(self) -> bool:
        """Whether the tokens of a prompt count like all others."""
        return all(module.include_prompt for module in self if isinstance(module, Pooling))

    def features(self, output: Any, batch: Batch) -> Features:
        """What the modules make of the model's output for a batch of rows, in float32."""
        states = output[0].float()
        mixed = any(isinstance(module, WeightedLayerPooling) for module in self)
        layers = output.get("hidden_states") if mixed and hasattr(output, "get") else None
        found = Features(batch, batch.own(states), layers)
        for module in list(self)[1:]:
            found = module(found)
        return found

    def vectors(self, output: Any, batch: Batch) -> Tensor:
        """The vectors of a batch of rows, [rows, width]."""
        return self.features(output, batch).pooled[:, : self.truncate_dim]

    def forward(self, input: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        """`preprocess`'s tensors, [texts, tokens], with token_embeddings and sentence_embedding beside them."""
        names = ("input_ids", "attention_mask", "token_type_ids")
        read = {name: input[name] for name in names if name in input}
        output = self.first.auto_model(**read, **uncached(self.first.auto_model))
        found = self.features(output, masked_batch(read, int(input.get("prompt_length", 0))))
        return {**input, STATES: output[0], VECTOR: found.pooled}

    def preprocess(self, inputs: Sequence[str], prompt: str | None = None, **_: Any) -> dict[str, Any]:
        """Texts as the tensors that `forward` reads, padded to the longest."""
        texts = [self.first.prompted(text, prompt or "") for text in inputs]
        made = dict(self.tokenizer(texts, padding=True, return_tensors="pt", **self.first.call()))
        return {**made, "prompt_length": self.first.prompt_tokens(prompt)} if prompt else made

    def tokenize(self, texts: Sequence[str], **options: Any) -> dict[str, Any]:
        """The older name of `preprocess`."""
        return self.preprocess(texts, **options)

    def get_embedding_dimension(self) -> int:
        """Numbers of a vector that `encode` gives."""
        return self._width if self.truncate_dim is None else min(self._width, self.truncate_dim)

    get_sentence_embedding_dimension = get_embedding_dimension

    @property
    def similarity_fn_name(self) -> str:
        """The name of what compares vectors: cosine, dot, euclidean or manhattan."""
        return self._similarity or "cosine"

    @similarity_fn_name.setter
    def similarity_fn_name(self, name: Any) -> None:
        self._similarity = None if name is None else similarity_name(name)

    @property
    def similarity(self) -> Score:
        """The function that compares all of some vectors with all of others, [a, width] and [b, width] to [a, b]."""
        return SIMILARITIES[self.similarity_fn_name][0]

    @property
    def similarity_pairwise(self) -> Score:
        """The function that compares each of some vectors with its partner, [a, width] twice to [a]."""
        return SIMILARITIES[self.similarity_fn_name][1]

    @contextmanager
    def truncate_embeddings(self, truncate_dim: int | None) -> Iterator[None]:
        """Within it `encode` gives the first `truncate_dim` numbers of each vector."""
        before, self.truncate_dim = self.truncate_dim, truncate_dim
        try:
            yield
        finally:
            self.truncate_dim = before

    truncate_sentence_embeddings = truncate_embeddings

    def set_pooling_include_prompt(self, include_prompt: bool) -> None:
        """Let the tokens of prompts count in the pooling, or leave them out."""
        for module in self:
            if isinstance(module, Pooling):
                module.include_prompt = include_prompt

    def _folder(self) -> SentenceFolder:
        first = self.first
        return SentenceFolder(
            cast(Sequence[Module], list(self)[1:]),
            max_length=first.stated_length,
            lower_case=first.do_lower_case,
            prompts=self.prompts,
            default_prompt=self.default_prompt_name,
            similarity=self._similarity,
            dimensions=self.truncate_dim,
        )


def named_now(door: str, older: Mapping[str, Any], **now: Any) -> dict[str, Any]:
    """Arguments by their newer names; PipelineError for those that nobody reads."""
    given = dict(now)
    for name, value in older.items():
        new = OLDER.get(name, name)
        if name in IDLE or new in now:
            if name in IDLE and value not in (None, IDLE[name]) and name != "model_card_data":
                raise PipelineError(f"{door}: {name}={shown(value)} is not offered here; leave it out")
            given |= {} if name in IDLE or value is None else {new: value}
        elif value is not None:
            raise PipelineError(f"{door} knows no argument {shown(name)}; it takes {few(now, 12)}")
    for name in ("pool", "chunk_size"):
        if given.get(name) is not None:
            raise PipelineError(f"{door}: {name}= is not offered here: one process computes on all threads")
    return given


def as_asked(vectors: Tensor, precision: str, convert_to_tensor: bool, convert_to_numpy: bool) -> Any:
    """Vectors [texts, width] as a tensor, an array or a list of tensors, quantized where that is asked for."""
    if precision != "float32":
        empty = np.empty((0, -(-vectors.shape[1] // 8) if "binary" in precision else vectors.shape[1]))
        found = quantize_embeddings(vectors, precision) if len(vectors) else empty.astype(KINDS[precision])
        if convert_to_numpy and not convert_to_tensor:
            return found
        vectors = torch.from_numpy(found)
    if convert_to_tensor:
        return vectors
    if not convert_to_numpy:
        return list(vectors)
    return (vectors.float() if vectors.dtype == torch.bfloat16 else vectors).cpu().numpy()


KINDS = {"int8": np.int8, "uint8": np.uint8, "binary": np.int8, "ubinary": np.uint8}


def row_inputs(row: Row) -> dict[str, Tensor]:
    return {name: torch.tensor(values) for name, values in row.inputs.items()}


def masked_batch(inputs: Mapping[str, Tensor], before: int) -> Batch:
    """Padded tensors as a batch: where each row's own tokens stand, by the mask."""
    ids = inputs["input_ids"]
    mask = inputs.get("attention_mask", torch.ones_like(ids))
    starts, counts = mask.int().argmax(1).tolist(), mask.sum(1).tolist()
    rows = [Row({"input_ids": [0] * count}, before) for count in counts]
    spans = [(n, slice(start, start + count)) for n, (start, count) in enumerate(zip(starts, counts, strict=True))]
    return Batch(rows, inputs, spans, ids.shape[1])
