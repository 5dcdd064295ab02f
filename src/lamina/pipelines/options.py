"""What a caller may ask of every task: one declared table, read by pipelines, server, command line, docs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from operator import index
from typing import Any

from ..errors import PipelineError
from ..files.shown import shown
from ..inference.rows import checked_text, gathered
from .inputs import unknown_argument

LARGEST = 2**31 - 1  # of a count


@dataclass(frozen=True)
class Option:
    """One option of a task: what it does, what it may be, and what it is unless said.

    `kind` is "flag", "count" (a whole number of at least `least`), "choice" of `choices`, "text", "texts" (a list, or
    one text), "labels" (texts, or one with commas), "arguments" of a tokenizer's call by name, or "any" for what others
    check. Requests to a server have numbers of at most `most`, and as many texts. None stands for not said, unless
    `none` says that it is a value.
    """

    help: str
    kind: str = "flag"
    default: Any = None
    least: int = 1
    most: int = 100_000
    choices: tuple[str, ...] = ()
    numbered: bool = False  # a choice may also be given by its number, from 0
    none: bool = False

    def checked(self, task: str, name: str, value: Any) -> Any:
        """`value` as the pipeline reads it; PipelineError where it is not of this kind."""
        if value is None or self.kind == "any":
            return value
        found: Any = getattr(self, f"_{self.kind}")(task, name, value)
        return found

    def _flag(self, task: str, name: str, value: Any) -> bool:
        if isinstance(value, str) or value not in (True, False):  # "no" would be taken for yes
            raise PipelineError(f"{task}: {name} is {shown(value)}; it must be True or False")
        return bool(value)

    def _count(self, task: str, name: str, value: Any) -> int:
        try:
            number = None if isinstance(value, bool) else index(value)
        except TypeError:
            number = None
        if number is None or not self.least <= number <= LARGEST:
            most = f" and at most {LARGEST}" if number is not None and number > LARGEST else ""
            wanted = f"a whole number of at least {self.least}{most}{', or None for all' if self.none else ''}"
            raise PipelineError(f"{task}: {name} is {shown(value)}; it must be {wanted}")
        return number

    def _choice(self, task: str, name: str, value: Any) -> str:
        value = getattr(value, "value", value)
        if self.numbered and type(value) is int and value in range(len(self.choices)):
            value = self.choices[value]
        chosen = str(value).lower()
        if chosen not in self.choices:
            wanted = f"one of {', '.join(self.choices)}" if len(self.choices) > 1 else f'None or "{self.choices[0]}"'
            raise PipelineError(f"{task}: {name} is {shown(value)}; it must be {wanted}")
        return chosen

    def _text(self, task: str, name: str, value: Any) -> str:
        return checked_text(value, f"{task}: {name}", empty=True)

    def _texts(self, task: str, name: str, value: Any) -> tuple[str, ...]:
        value = gathered(value)
        texts = value if isinstance(value, list) else [value]
        one = f"{'an' if name[0] in 'aeiou' else 'a'} {name.removesuffix('s').replace('_', ' ')}"
        return tuple(checked_text(text, f"{task}: {one}", empty=self.kind == "texts") for text in texts)

    def _labels(self, task: str, name: str, value: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            value = [label.strip() for label in value.split(",") if label.strip()]
        labels = self._texts(task, name, value)
        if not labels:
            raise PipelineError(f"{task}: {name} is empty; pass at least one label")
        return labels

    def _arguments(self, task: str, name: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise PipelineError(
                f"{task}: {name} is {shown(value)}; it must be a dictionary of the tokenizer's arguments"
            )
        for argument in value:
            if argument not in TOKENIZING:
                raise PipelineError(f"{task} {unknown_argument(str(argument), tuple(TOKENIZING))}")
        return dict(value)


def read_options(
    task: str, table: Mapping[str, Option], given: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options that `table` declares, checked, without those that were not said; and all others as they are."""
    own = {name: table[name].checked(task, name, value) for name, value in given.items() if name in table}
    rest = {name: value for name, value in given.items() if name not in table}
    return {name: value for name, value in own.items() if value is not None or table[name].none}, rest


TRUNCATION = Option("Cut off a text too long for the model.", "any")
TOKENIZING: Mapping[str, Option] = {  # of a tokenizer's call, which checks them
    "add_special_tokens": Option("Put the model's special tokens round the text.", "any"),
    "padding": Option('"max_length" pads to it; every other padding is done in batches.', "any"),
    "truncation": TRUNCATION,
    "max_length": Option("Tokens past which a truncated text is cut.", "any"),
    "stride": Option("Tokens by which pieces of a text that is cut overlap.", "any"),
    "pad_to_multiple_of": Option("Pad to a multiple of so many tokens.", "any"),
    "padding_side": Option('"left" or "right".', "any"),
    "return_token_type_ids": Option("Give the model token type ids.", "any"),
    "return_attention_mask": Option("Give the model a mask of the padding.", "any"),
    "verbose": Option("Let the tokenizer warn of long texts.", "any"),
}
TOP_K = Option("How many, best first.", "count")
CLEAN_UP = Option("Remove spaces before punctuation.")
RETURN_TENSORS = Option("Give token ids in place of texts.")
RETURN_TEXT = Option("Give texts, as is usual.")
PREFIX = Option("What stands before every text; left out, what the model's config says.", "text")
STOP = Option("A text that ends what is written.", "text")
ENCODING = Option("Arguments of the tokenizer's call.", "arguments")
IDLE = "Taken for the sake of existing clients."
WRITING: Mapping[str, Option] = {
    "return_tensors": RETURN_TENSORS,
    "return_text": RETURN_TEXT,
    "return_type": Option("The form of the answer.", "choice", choices=("tensors", "text"), numbered=True),
    "clean_up_tokenization_spaces": replace(CLEAN_UP, default=False),
    "truncation": TRUNCATION,
    "stop_sequence": STOP,
    "prefix": PREFIX,
    "tokenizer_encode_kwargs": ENCODING,
}
CHUNKING: Mapping[str, Option] = {
    "chunk": Option("Read a long text in windows of whole sentences.", "choice", choices=("sentences",)),
    "chunk_length": Option("Most tokens of a window; left out, as many as the model reads.", "count"),
    "stride": Option("Sentences of a window that the next one repeats.", "count", 0, least=0),
}
OPTIONS: Mapping[str, Mapping[str, Option]] = {
    "text-classification": {
        "return_all_scores": Option("The older way to ask for all labels, which are then not sorted."),
        "function_to_apply": Option(
            "What turns the model's numbers into scores; left out, what the model was trained with.",
            "choice",
            choices=("sigmoid", "softmax", "none"),
        ),
        "top_k": Option("How many labels, best first; None means all.", "count", 1, none=True),
        **TOKENIZING,
    },
    "token-classification": {
        "ignore_labels": Option("Labels to leave out; left out, only O is.", "texts", ("O",), least=0),
        "grouped_entities": Option("The older name of aggregation_strategy simple."),
        "ignore_subwords": Option("With grouped_entities the older name of aggregation_strategy first."),
        "aggregation_strategy": Option(
            "How word pieces become names; none: every piece by itself.",
            "choice",
            "none",
            choices=("none", "simple", "first", "average", "max"),
        ),
        "is_split_into_words": Option("Inputs are lists of words.", default=False),
        "stride": Option("Read a long text in windows that overlap by so many tokens.", "count", least=0),
        "delimiter": Option("What stands between the words of a list.", "text", " "),
    },
    "fill-mask": {
        "top_k": Option("How many guesses; left out, 5.", "count", 5, most=1000),
        "targets": Option("Only these words may fill the gap.", "texts", most=1000),
        "tokenizer_kwargs": ENCODING,
    },
    "question-answering": {
        "padding": Option(IDLE, "any"),
        "topk": replace(TOP_K, help="The older name of top_k."),
        "top_k": Option("How many answers, best first.", "count", 1, most=100),
        "doc_stride": Option("Tokens by which the windows of a long context overlap.", "count", least=0),
        "max_answer_len": Option("Most tokens of an answer; left out, 15.", "count", 15, most=1000),
        "max_seq_len": Option("Tokens of a window, question included.", "count"),
        "max_question_len": Option(IDLE, "count"),
        "handle_impossible_answer": Option("Let the empty answer compete.", default=False),
        "align_to_words": Option("Let answers grow to whole words; left out, yes.", default=True),
    },
    "zero-shot-classification": {
        "candidate_labels": Option("The labels to choose from, as a list or one text with commas.", "labels"),
        "hypothesis_template": Option(
            "A sentence with {} in the label's place; left out, This example is {}.", "text", "This example is {}."
        ),
        "multi_label": Option("Labels do not exclude each other.", default=False),
        "multi_class": Option("The older name of multi_label."),
    },
    "feature-extraction": {
        "truncation": TRUNCATION,
        "tokenize_kwargs": ENCODING,
        "return_tensors": Option("Give a tensor in place of a nested list.", "any"),
    },
    "sentence-similarity": {
        "sentence": Option("How vectors are made and compared; left out, as the model's folder says.", "any"),
        "prompt": Option("What stands before every text.", "text"),
        "prompt_name": Option(
            "The prompt to put before each text, by the name under which a sentence model stores it.", "text"
        ),
    },
    "text-generation": {
        "return_full_text": Option("Show the prompt before the new text.", default=True),
        "return_tensors": RETURN_TENSORS,
        "return_text": RETURN_TEXT,
        "return_type": Option(
            "The form of the answer.", "choice", choices=("tensors", "new_text", "full_text"), numbered=True
        ),
        "clean_up_tokenization_spaces": replace(CLEAN_UP, default=True),
        "prefix": PREFIX,
        "handle_long_generation": Option(
            "What to do with a prompt that leaves no room: drop its beginning.", "choice", choices=("hole",)
        ),
        "stop_sequence": STOP,
        "truncation": TRUNCATION,
        "padding": TOKENIZING["padding"],
        "add_special_tokens": TOKENIZING["add_special_tokens"],
        "max_length": Option("Most tokens, the prompt's included; also where truncation cuts.", "any"),
        "skip_special_tokens": Option("Leave special tokens out of the text.", default=True),
        "continue_final_message": Option("Refused: it is for chats.", "any"),
        "tokenizer_encode_kwargs": ENCODING,
    },
    "text2text-generation": WRITING,
    "summarization": {**CHUNKING, **WRITING},
    "translation": {
        "src_lang": Option("The language of the text, as the model calls it.", "any"),
        "tgt_lang": Option("The language to translate into.", "any"),
        **CHUNKING,
        **WRITING,
    },
}
