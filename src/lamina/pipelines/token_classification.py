"""A label for each token of a text, or the entities that the tokens form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..errors import PipelineError
from ..inference.rows import Batch, Row, checked_text, gathered, model_row, truncation_length
from .base import Pipeline, Settings
from .options import OPTIONS
from .text_classification import Scores, softmax

JoinTokens = Callable[[list[str]], str]
NameLabel = Callable[[int], str]


WORD_SCORES: Mapping[str, Callable[[Scores], Scores]] = {  # of a word's tokens, [tokens, labels], to the word's
    "first": lambda scores: scores[0],
    "max": lambda scores: scores[scores.max(axis=1).argmax()],
    "average": lambda scores: scores.mean(axis=0),
}


@dataclass(frozen=True)
class Token:
    """One token of a text."""

    text: str
    start: int  # in characters of the text
    end: int
    index: int  # among the model's tokens
    continues: bool  # the word of the token before


@dataclass(frozen=True)
class Labeled:
    """A token or a word with the label chosen for it."""

    label: str
    score: np.floating[Any]
    text: str
    start: int
    end: int


def label_tokens(
    tokens: Iterable[Token], scores: Scores, strategy: str, name: NameLabel, join: JoinTokens
) -> list[Labeled]:
    """One label for each token, or for each word where `strategy` is of WORD_SCORES; `scores` are [tokens, labels]."""
    judge = WORD_SCORES.get(strategy)
    words: list[list[Token]] = []
    for token in tokens:
        if words and token.continues and judge:
            words[-1].append(token)
        else:
            words.append([token])
    labeled = []
    for word in words:
        own = judge(scores[[token.index for token in word]]) if judge else scores[word[0].index]
        text = join([token.text for token in word]) if judge else word[0].text
        best = int(own.argmax())
        labeled.append(Labeled(name(best), own[best], text, word[0].start, word[-1].end))
    return labeled


def group_labels(labeled: Iterable[Labeled], join: JoinTokens) -> list[dict[str, Any]]:
    """Neighbors with the same tag as one entity each; a `B-` label always opens a new one."""
    groups: list[list[Labeled]] = []
    for item in labeled:
        if groups and not item.label.startswith("B-") and _tag(item.label) == _tag(groups[-1][-1].label):
            groups[-1].append(item)
        else:
            groups.append([item])
    return [
        {
            "entity_group": group[0].label.split("-", 1)[-1],
            "score": np.mean([item.score for item in group]),
            "word": join([item.text for item in group]),
            "start": group[0].start,
            "end": group[-1].end,
        }
        for group in groups
    ]


def _tag(label: str) -> str:
    """What a label of the form `B-PER` or `I-PER` is about."""
    return label[2:] if label.startswith(("B-", "I-")) else label


def drop_overlaps(entities: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of entities that overlap, as found in neighboring windows of one text, the longest; of equals, the surest."""
    kept: list[dict[str, Any]] = []
    for entity in sorted(entities, key=lambda entity: int(entity["start"])):
        if not kept or entity["start"] >= kept[-1]["end"]:
            kept.append(entity)
        elif _strength(entity) > _strength(kept[-1]):
            kept[-1] = entity
    return kept


def _strength(entity: dict[str, Any]) -> tuple[int, float]:
    return entity["end"] - entity["start"], float(entity["score"])


@dataclass(frozen=True)
class Sentence:
    """A text to label, and its words where the caller has split it."""

    text: str
    words: tuple[str, ...] | None = None
    word_starts: tuple[int, ...] = ()  # of each word, in characters of the text
    offsets: Sequence[tuple[int, int]] | None = None  # of the tokens, where the caller knows better


class TokenClassificationPipeline(Pipeline):
    """Labels of tokens, `[{"entity", "score", "index", "word", "start", "end"}]`, or entities with "entity_group".

    `aggregation_strategy` "none" labels each token; "simple" joins neighbors of one tag; "first", "average" and "max"
    also make the tokens of a word agree. Words are told apart by the vocabulary's continuation marks, or by spaces
    where it has none. `stride` reads a long text in windows that overlap by so many tokens; without it the text is cut
    off. `ignore_labels` are left out of the answer. `start` and `end` count characters of the text as given.
    """

    steps: ClassVar[bool] = False
    loader: ClassVar[str] = "AutoModelForTokenClassification"
    options = OPTIONS["token-classification"]

    def settle(self, settings: Settings, given: Mapping[str, Any]) -> Settings:
        strategy = given.get("aggregation_strategy")
        if "grouped_entities" in given or "ignore_subwords" in given:  # older words for a strategy
            joined = "first" if given.get("ignore_subwords") else "simple"
            strategy = joined if given.get("grouped_entities") else "none"
            settings = settings.with_values(aggregation_strategy=strategy)
        if "stride" in given:
            if strategy == "none":
                raise PipelineError(
                    f"{self.task}: stride joins entities of windows, which needs an aggregation_strategy"
                )
            self._check_stride(given["stride"])
        return settings

    def __call__(
        self,
        inputs: Any,
        *,
        batch_size: int | None = None,
        num_workers: int | None = None,
        offset_mapping: Sequence[Any] | None = None,
        **options: Any,
    ) -> Any:
        """Labels for a text, a list or a stream of texts, or of lists of words with `is_split_into_words=True`.

        `offset_mapping` gives the character span of every token in place of the tokenizer's, for one text or a list.
        """
        settings, inputs = self.resolve_options(options), gathered(inputs)
        split = (list, tuple)
        if settings.is_split_into_words and isinstance(inputs, list) and not all(isinstance(i, split) for i in inputs):
            inputs = [inputs]
        if offset_mapping:
            inputs = self._with_offsets(inputs, offset_mapping, settings)
        return self._answer(inputs, settings, batch_size)

    def _with_offsets(self, inputs: Any, offsets: Sequence[Any], settings: Any) -> Any:
        if isinstance(offsets[0], tuple):
            offsets = [offsets]
        items = inputs if isinstance(inputs, list) else [inputs]
        if len(offsets) != len(items):
            raise PipelineError(f"{self.task}: offset_mapping has {len(offsets)} entries for {len(items)} inputs")
        pairs = zip(items, offsets, strict=True)
        sentences = [replace(self.parse(item, settings), offsets=spans) for item, spans in pairs]
        return sentences if isinstance(inputs, list) else sentences[0]

    def _check_stride(self, stride: int) -> None:
        limit = truncation_length(self.tokenizer, self.model)
        room = None if limit is None else limit - self.tokenizer.num_special_tokens_to_add()
        if room is not None and stride >= room:
            raise PipelineError(
                f"{self.task}: stride is {stride}; windows hold {room} tokens of the text, so it must be less"
            )

    def parse(self, item: Any, settings: Any) -> Sentence:
        if isinstance(item, Sentence):
            return item
        if not settings.is_split_into_words:
            return Sentence(checked_text(item, empty=True))
        if not isinstance(item, list | tuple) or not item:
            raise PipelineError("with is_split_into_words=True an input is a list of words that is not empty")
        words = tuple(checked_text(word, f"word {number}") for number, word in enumerate(item))
        starts = [0]
        for word in words[:-1]:
            starts.append(starts[-1] + len(word) + len(settings.delimiter))
        return Sentence(settings.delimiter.join(words), words, tuple(starts))

    def encode(self, items: Sequence[Sentence], settings: Any) -> list[list[Row]]:
        limit = truncation_length(self.tokenizer, self.model)
        windowed: dict[str, Any] = (
            {} if settings.stride is None else {"stride": settings.stride, "return_overflowing_tokens": True}
        )
        encoding = self.tokenizer(
            [list(item.words) if item.words else item.text for item in items],
            truncation=limit is not None,
            max_length=limit,
            is_split_into_words=settings.is_split_into_words,
            return_special_tokens_mask=True,
            return_offsets_mapping=True,
            **windowed,
        )
        owners = encoding.get("overflow_to_sample_mapping") or range(len(items))
        groups: list[list[Row]] = [[] for _ in items]
        for number, owner in enumerate(owners):
            tokens = self._tokens(items[owner], encoding, number)
            groups[owner].append(model_row(self.tokenizer, encoding, number, tokens))
        return groups

    def select(self, output: Any, batch: Batch, settings: Any) -> list[Scores]:
        """Scores of each row: [tokens, labels]."""
        return [softmax(logits) for logits in batch.own(output.logits.float().cpu().numpy())]

    def answer(self, item: Sentence, rows: list[Row], found: list[Scores], settings: Any) -> list[dict[str, Any]]:
        entities = [
            entity
            for row, scores in zip(rows, found, strict=True)
            for entity in self._entities(row.memory, scores, settings.aggregation_strategy)
            if entity.get("entity", entity.get("entity_group")) not in settings.ignore_labels
        ]
        return drop_overlaps(entities) if len(rows) > 1 else entities

    def _entities(self, tokens: list[Token], scores: Scores, strategy: str) -> list[dict[str, Any]]:
        join = self.tokenizer.convert_tokens_to_string
        labeled = label_tokens(tokens, scores, strategy, self.label, join)
        if strategy != "none":
            return group_labels(labeled, join)
        return [
            {
                "entity": item.label,
                "score": item.score,
                "index": token.index,
                "word": item.text,
                "start": item.start,
                "end": item.end,
            }
            for token, item in zip(tokens, labeled, strict=True)
        ]

    def _tokens(self, sentence: Sentence, encoding: Any, number: int) -> list[Token]:
        """The tokens of row `number` of an encoding, special ones left out."""
        ids, special = encoding["input_ids"][number], encoding["special_tokens_mask"][number]
        offsets = sentence.offsets or encoding["offset_mapping"][number]
        word_ids = encoding.word_ids(number)
        tokens = []
        for index, name in enumerate(self.tokenizer.convert_ids_to_tokens(ids)):
            if special[index]:
                continue
            start, end = offsets[index]
            word = word_ids[index]
            if sentence.words and sentence.offsets is None and word is not None:
                start, end = start + sentence.word_starts[word], end + sentence.word_starts[word]
            written = sentence.text[start:end]
            if ids[index] == self.tokenizer.unk_token_id:
                name, continues = written, False
            elif self._marks_continuations:
                continues = len(str(name)) != len(written)
            else:
                continues = start > 0 and " " not in sentence.text[start - 1 : start + 1]
            tokens.append(Token(str(name), int(start), int(end), index, continues))
        return tokens

    @property
    def _marks_continuations(self) -> bool:
        """Whether the vocabulary marks tokens that go on with a word, as `##` does."""
        return bool(getattr(self.tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None))
