"""`CrossEncoder`: pairs of texts to scores, and texts ranked by how well they answer a query."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..auto import find
from ..errors import PipelineError
from ..inference.rows import Row, checked_text, choose_device, encode_texts
from .folder import PAIRS, SentenceFolder, pair_activation
from .modules import function_name
from .transformer import SentenceBase, named_now

Activation = Callable[[Tensor], Tensor]


class CrossEncoder(SentenceBase):
    """Pairs of texts to scores, by a model with a classifier, such as a reranker.

    `model_name_or_path` is a folder, or a name on the Hub, where a short one means that of cross-encoder. `num_labels`
    and `max_length` go before what its files say; so does `activation_fn`, what is made of the logits: else a sigmoid
    for one label, and nothing for several. `precision` and all else are as for SentenceTransformer.
    """

    kind = PAIRS
    loader = "AutoModelForSequenceClassification"
    organization = "cross-encoder"

    def __init__(
        self,
        model_name_or_path: str | Path | None = None,
        num_labels: int | None = None,
        max_length: int | None = None,
        activation_fn: Activation | None = None,
        device: Any = None,
        *,
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        token: bool | str | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
        processor_kwargs: Mapping[str, Any] | None = None,
        config_kwargs: Mapping[str, Any] | None = None,
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
            activation_fn=activation_fn,
        )
        name = given["model_name_or_path"]
        if name is None:
            raise PipelineError("CrossEncoder needs the name of a model")
        self._asked_labels = num_labels
        folder, transformer = self._load(name, given, precision)
        super().__init__(transformer)
        if max_length is not None:
            self.max_seq_length = max_length
        self._set_prompts(prompts, default_prompt_name, folder)
        function = given["activation_fn"] or folder.activation or pair_activation(self.model.config, None)
        self.activation_fn = function or (nn.Sigmoid() if self.num_labels == 1 else nn.Identity())
        self.to(choose_device(device, self.device))
        self.eval()

    def _head(self, name: str, where: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
        """How many labels a model is to have: as asked, or one where it is no classifier yet."""
        if self._asked_labels is not None:
            return {"num_labels": self._asked_labels}
        made_for = find("AutoConfig").from_pretrained(name, **where).architectures or ("",)
        classifies = any(str(one).endswith("ForSequenceClassification") for one in made_for)
        return {} if classifies or "num_labels" in options else {"num_labels": 1}

    @property
    def model(self) -> Any:
        """The classifier."""
        return self.first.auto_model

    @property
    def num_labels(self) -> int:
        """Scores of a pair."""
        return int(self.model.config.num_labels)

    @property
    def activation_fn(self) -> Activation:
        """What makes scores of logits."""
        return self._functions[0]

    @activation_fn.setter
    def activation_fn(self, function: Activation) -> None:
        self._functions = (function,)  # in a tuple, since a module would join the chain

    def predict(
        self,
        inputs: Any = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        activation_fn: Activation | None = None,
        apply_softmax: bool | None = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: Any = None,
        **others: Any,
    ) -> Any:
        """The scores of pairs, an array [pairs], or [pairs, labels] of a model with several; of one pair, its scores.

        `convert_to_tensor` gives a tensor, `convert_to_numpy=False` a list of tensors. All else is as for `encode`.
        """
        named = {"inputs": inputs, "activation_fn": activation_fn, "pool": None, "chunk_size": None}
        given = named_now("predict", others, **named)
        listed, asked = self._listed(given["inputs"]), self.resolve_prompt(prompt, prompt_name)
        single = bool(listed) and not isinstance(listed[0], list | tuple | np.ndarray)
        pairs = [as_pair(pair, n) for n, pair in enumerate([listed] if single else listed)]
        self._move(device)
        found = self.read(
            pairs,
            lambda part: self.rows(part, asked),
            lambda output, batch: output[0][: len(batch.rows)].unbind(),
            batch_size,
            show_progress_bar,
        )
        logits = torch.stack(found) if found else torch.empty(0, self.num_labels, device=self.device)
        scores = (given["activation_fn"] or self.activation_fn)(logits)
        if apply_softmax and scores.ndim > 1:
            scores = nn.functional.softmax(scores, dim=1)
        if self.num_labels == 1 and scores.ndim > 1:
            scores = scores.squeeze(-1)
        made: Any = scores
        if not convert_to_tensor:
            made = scores.float().cpu().numpy() if convert_to_numpy else list(scores)
        return made[0] if single else made

    def rows(self, pairs: Sequence[tuple[str, str]], prompt: str = "") -> list[Row]:
        """The rows of tokens that the model reads of pairs; a prompt stands before the first text of each."""
        call = {**self.first.call(), **({"truncation": "longest_first"} if self.max_seq_length else {})}
        firsts = [self.first.prompted(one, prompt) for one, _ in pairs]
        return encode_texts(self.tokenizer, firsts, [self.first.prompted(other) for _, other in pairs], call)

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        top_k: int | None = None,
        return_documents: bool = False,
        prompt_name: str | None = None,
        prompt: str | None = None,
        **options: Any,
    ) -> list[dict[str, Any]]:
        """Documents by how well they answer a query: `[{"corpus_id": 2, "score": 8.1}, ...]`, best first.

        `return_documents` adds their "text"; all else is as for `predict`.
        """
        if self.num_labels != 1:
            raise PipelineError(
                f"rank needs a model with one label, and this one has {self.num_labels}: use predict with pairs"
            )
        listed = self._listed(documents)
        scores = self.predict([(query, text) for text in listed], prompt_name, prompt, **options)
        ranks = [
            {"corpus_id": n, "score": score, **({"text": listed[n]} if return_documents else {})}
            for n, score in enumerate(scores)
        ]
        return sorted(ranks, key=lambda rank: float(rank["score"]), reverse=True)[:top_k]

    def _folder(self) -> SentenceFolder:
        return SentenceFolder(
            (),
            max_length=self.first.stated_length,
            prompts=self.prompts,
            default_prompt=self.default_prompt_name,
            activation=function_name(self.activation_fn),
        )


def as_pair(pair: Any, number: int) -> tuple[str, str]:
    """The two texts of input `number`."""
    texts = pair.tolist() if isinstance(pair, np.ndarray) else pair
    if not isinstance(texts, list | tuple) or len(texts) != 2:
        raise PipelineError(f"input {number}: a pair is two texts in a list or tuple, not {type(pair).__name__}")
    first, second = (checked_text(text, f"input {number}, text {n}", empty=True) for n, text in enumerate(texts))
    return first, second
