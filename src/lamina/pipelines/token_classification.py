"""A label for each token of a text, or the entities that the tokens form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ..errors import PipelineError
from .base import Pipeline
from .checks import checked_count, checked_text
from .encoding import model_row
from .entities import Token, drop_overlaps, group_labels, label_token, label_words
from .limits import truncation_length
from .rows import Batch, Row
from .scores import Scores, softmax
from .sources import gathered

STRATEGIES = ("none", "simple", "first", "average", "max")


@dataclass(frozen=True)
class TokenClassificationSettings:
    """What a caller may ask of token classification."""

    aggregation: str = "none"
    ignore_labels: tuple[str, ...] = ("O",)
    stride: int | None = None
    pretokenized: bool = False
    delimiter: str = " "


@dataclass(frozen=True)
class Sentence:
    """A text to label, and its words where the caller has split it."""

    text: str
    words: tuple[str, ...] | None = None
    word_starts: tuple[int, ...] = ()  # of each word, in characters of the text
    offsets: Sequence[tuple[int, int]] | None = None  # of the tokens, where the caller knows better


@dataclass(frozen=True)
class WindowTokens:
    """What a window of a sentence must remember of its tokens."""

    ids: list[int]
    special: list[int]
    offsets: Sequence[tuple[int, int]]
    word_ids: list[int | None]


class TokenClassificationPipeline(Pipeline[TokenClassificationSettings]):
    """Labels of tokens, `[{"entity", "score", "index", "word", "start", "end"}]`, or entities with "entity_group".

    `aggregation_strategy` "none" labels each token; "simple" joins neighbors of one tag; "first", "average" and "max"
    also make the tokens of a word agree. Words are told apart by the vocabulary's continuation marks, or by spaces
    where it has none. `stride` reads a long text in windows that overlap by so many tokens; without it the text is cut
    off. `ignore_labels` are left out of the answer. `start` and `end` count characters of the text as given.
    """

    steps: ClassVar[bool] = False
    kinds: ClassVar[tuple[str, ...]] = ("token-classification",)
    loader: ClassVar[str] = "AutoModelForTokenClassification"

    def defaults(self) -> TokenClassificationSettings:
        """Every token by itself, those outside of entities left out."""
        return TokenClassificationSettings()

    def settle(
        self,
        ignore_labels: Sequence[str] | None = None,
        grouped_entities: bool | None = None,
        ignore_subwords: bool | None = None,
        aggregation_strategy: Any = None,
        is_split_into_words: bool | None = None,
        stride: int | None = None,
        delimiter: str | None = None,
    ) -> TokenClassificationSettings:
        """The settings with these options; `grouped_entities` and `ignore_subwords` are older words for a strategy."""
        settings = self.settings
        if grouped_entities is not None or ignore_subwords is not None:
            joined = "first" if ignore_subwords else "simple"
            aggregation_strategy = joined if grouped_entities else "none"
        if aggregation_strategy is not None:
            settings = replace(settings, aggregation=self._strategy(aggregation_strategy))
        if stride is not None:
            if aggregation_strategy is not None and settings.aggregation == "none":
                raise PipelineError(
                    f"{self.task}: stride joins entities of windows, which needs an aggregation_strategy"
                )
            settings = replace(settings, stride=self._checked_stride(stride))
        if ignore_labels is not None:
            settings = replace(settings, ignore_labels=tuple(ignore_labels))
        if is_split_into_words is not None:
            settings = replace(settings, pretokenized=is_split_into_words)
        return settings if delimiter is None else replace(settings, delimiter=delimiter)

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
        settings, inputs = self._settled(options), gathered(inputs)
        split = (list, tuple)
        if settings.pretokenized and isinstance(inputs, list) and not all(isinstance(item, split) for item in inputs):
            inputs = [inputs]
        if offset_mapping:
            inputs = self._with_offsets(inputs, offset_mapping, settings)
        return self._answer(inputs, settings, batch_size)

    def _with_offsets(self, inputs: Any, offsets: Sequence[Any], settings: TokenClassificationSettings) -> Any:
        """Sentences that carry the spans that the caller gave."""
        if isinstance(offsets[0], tuple):
            offsets = [offsets]
        items = inputs if isinstance(inputs, list) else [inputs]
        if len(offsets) != len(items):
            raise PipelineError(f"{self.task}: offset_mapping has {len(offsets)} entries for {len(items)} inputs")
        pairs = zip(items, offsets, strict=True)
        sentences = [replace(self.parse(item, settings), offsets=spans) for item, spans in pairs]
        return sentences if isinstance(inputs, list) else sentences[0]

    def _strategy(self, strategy: Any) -> str:
        name = str(getattr(strategy, "value", strategy)).lower()
        if name not in STRATEGIES:
            raise PipelineError(
                f"{self.task}: aggregation_strategy is {strategy!r}; it must be one of {', '.join(STRATEGIES)}"
            )
        return name

    def _checked_stride(self, stride: int) -> int:
        limit = truncation_length(self.tokenizer, self.model)
        room = None if limit is None else limit - self.tokenizer.num_special_tokens_to_add()
        if room is not None and checked_count(self.task, "stride", stride, 0) >= room:
            raise PipelineError(
                f"{self.task}: stride is {stride}; windows hold {room} tokens of the text, so it must be less"
            )
        return stride

    def parse(self, item: Any, settings: TokenClassificationSettings) -> Sentence:
        """A text, or a list of words where the caller says that it is split."""
        if isinstance(item, Sentence):
            return item
        if not settings.pretokenized:
            return Sentence(checked_text(item, empty=True))
        if not isinstance(item, list | tuple) or not item:
            raise PipelineError("with is_split_into_words=True an input is a list of words that is not empty")
        words = tuple(checked_text(word, f"word {number}") for number, word in enumerate(item))
        starts = [0]
        for word in words[:-1]:
            starts.append(starts[-1] + len(word) + len(settings.delimiter))
        return Sentence(settings.delimiter.join(words), words, tuple(starts))

    def encode(self, items: Sequence[Sentence], settings: TokenClassificationSettings) -> list[list[Row]]:
        """One row for each text, or one for each of its windows."""
        limit = truncation_length(self.tokenizer, self.model)
        windowed: dict[str, Any] = (
            {} if settings.stride is None else {"stride": settings.stride, "return_overflowing_tokens": True}
        )
        encoding = self.tokenizer(
            [list(item.words) if item.words else item.text for item in items],
            truncation=limit is not None,
            max_length=limit,
            is_split_into_words=settings.pretokenized,
            return_special_tokens_mask=True,
            return_offsets_mapping=True,
            **windowed,
        )
        owners = encoding.get("overflow_to_sample_mapping") or range(len(items))
        groups: list[list[Row]] = [[] for _ in items]
        for number, owner in enumerate(owners):
            tokens = WindowTokens(
                encoding["input_ids"][number],
                encoding["special_tokens_mask"][number],
                items[owner].offsets or encoding["offset_mapping"][number],
                encoding.word_ids(number),
            )
            groups[owner].append(model_row(self.tokenizer, encoding, number, tokens))
        return groups

    def select(self, output: Any, batch: Batch, settings: TokenClassificationSettings) -> list[Scores]:
        """Scores of each row: [tokens, labels]."""
        return [softmax(logits) for logits in batch.own(output.logits.float().cpu().numpy())]

    def answer(
        self, item: Sentence, rows: list[Row], found: list[Scores], settings: TokenClassificationSettings
    ) -> list[dict[str, Any]]:
        """Labels or entities of all windows of a text, in the order of the text."""
        entities = []
        for row, scores in zip(rows, found, strict=True):
            entities += self._entities(self._tokens(item, row.memory, scores), settings.aggregation)
        kept = [
            entity
            for entity in entities
            if entity.get("entity", entity.get("entity_group")) not in settings.ignore_labels
        ]
        return drop_overlaps(kept) if len(rows) > 1 else kept

    def _entities(self, tokens: list[Token], strategy: str) -> list[dict[str, Any]]:
        join = self.tokenizer.convert_tokens_to_string
        if strategy in ("first", "average", "max"):
            return group_labels(label_words(tokens, strategy, self.label, join), join)
        labeled = [label_token(token, self.label) for token in tokens]
        if strategy == "simple":
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

    def _tokens(self, sentence: Sentence, window: WindowTokens, scores: Scores) -> list[Token]:
        """The tokens of a window that stand for text, placed in the sentence."""
        tokens = []
        for index, name in enumerate(self.tokenizer.convert_ids_to_tokens(window.ids)):
            if window.special[index]:
                continue
            start, end = window.offsets[index]
            word = window.word_ids[index]
            if sentence.words and sentence.offsets is None and word is not None:
                start, end = start + sentence.word_starts[word], end + sentence.word_starts[word]
            written = sentence.text[start:end]
            if window.ids[index] == self.tokenizer.unk_token_id:
                name, continues = written, False
            elif self._marks_continuations:
                continues = len(str(name)) != len(written)
            else:
                continues = start > 0 and " " not in sentence.text[start - 1 : start + 1]
            tokens.append(Token(str(name), scores[index], int(start), int(end), index, continues))
        return tokens

    @property
    def _marks_continuations(self) -> bool:
        """Whether the vocabulary marks tokens that go on with a word, as `##` does."""
        return bool(getattr(self.tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None))
