"""Language modeling: the next token, or masked pieces or whole words, of any text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import DataError
from ..blocks import ended, group_texts, numbered_words, pack_blocks
from ..collators import DataCollatorForTokenClassification
from ..masking import DataCollatorForLanguageModeling, word_column
from ..metrics import TokenAccuracy, likeliest, perplexity
from ..tables import Table, open_table
from ..trainer import Trainer
from .settings import (
    BATCH,
    RecipeSettings,
    datasets_of,
    fit,
    give_padding,
    load_model,
    load_tokenizer,
    longest,
    tables_of,
    training_arguments,
)

PACKINGS = ("documents", "notebook")


@dataclass(frozen=True)
class Settings(RecipeSettings):
    """And: masked or causal (left out, masked where the tokenizer has a mask), the blocks, the masks.

    `packing="documents"` loses no token; "notebook" throws away what remains of each 1000 texts, as the course's does.
    """

    text_column: str = "text"
    masked: bool | None = None
    whole_word: bool = False
    mask_probability: float = 0.15
    block_size: int = 128
    packing: str = "documents"


class MaskedOnce:
    """Rows that carry labels keep them, so that every evaluation sees the same masks; others get new masks."""

    def __init__(self, collator: DataCollatorForLanguageModeling):
        self.collator = collator
        self.labelled = DataCollatorForTokenClassification(collator.tokenizer)

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return self.labelled(rows) if "labels" in rows[0] else self.collator(rows)


def train(settings: Settings) -> dict[str, float]:
    """Train a language model on text; the results hold its perplexity, of a masked one over the masked tokens."""
    if settings.packing not in PACKINGS:
        raise DataError(f"packing={settings.packing!r} is unknown: one of {', '.join(PACKINGS)}")
    if settings.whole_word and settings.masked is False:
        raise DataError("whole_word is of masked language modeling: a causal model masks nothing")
    tables = [open_table(source) for source in settings.sources]
    tokenizer = load_tokenizer(settings)
    masked = tokenizer.mask_token_id is not None if settings.masked is None else settings.masked
    model = load_model(settings, "AutoModelForMaskedLM" if masked else "AutoModelForCausalLM")
    give_padding(tokenizer, model)  # a last block may be shorter than the others
    size = longest(settings, tokenizer, settings.block_size, model)
    blocks = [list(cut(table, settings, tokenizer, masked, size)) for table in tables]

    collator = DataCollatorForLanguageModeling(
        tokenizer, mlm=masked, mlm_probability=settings.mask_probability, whole_word_mask=settings.whole_word
    )
    if masked and len(blocks) > 1:
        blocks[1] = masked_once(blocks[1], collator, settings.seed)
    trainer = Trainer(
        model=model,
        args=training_arguments(settings, remove_unused_columns=False),  # the collator reads more than the model
        **datasets_of(blocks),
        data_collator=MaskedOnce(collator) if masked else collator,
        processing_class=tokenizer,
        compute_metrics=TokenAccuracy(shifted=not masked),
        preprocess_logits_for_metrics=likeliest,
    )
    task = "fill-mask" if masked else "text-generation"
    return fit(trainer, settings, task, tables_of(tables), finish=with_perplexity)


def with_perplexity(results: dict[str, float]) -> dict[str, float]:
    """The results and the perplexity that their loss comes to."""
    return {**results, "eval_perplexity": perplexity(results["eval_loss"])} if "eval_loss" in results else results


def cut(table: Table, settings: Settings, tokenizer: Any, masked: bool, size: int) -> Iterator[dict[str, Any]]:
    """The documents as rows of `size` tokens."""
    documents = tokenized(tokenizer, table.texts(settings.text_column), masked, settings.whole_word)
    if not masked and tokenizer.eos_token_id is not None and settings.packing == "documents":
        documents = ended(documents, tokenizer.eos_token_id)
    if settings.whole_word:
        documents = numbered_words(documents)
    if settings.packing == "notebook":
        found = list(group_texts(list(documents), size))
        if not found:
            raise DataError(f"{table.name}: less than one block of {size} tokens; choose packing='documents'")
        return iter(found)
    # A last block of a single token would have nothing to predict.
    blocks = [block for block in pack_blocks(documents, size) if len(block["input_ids"]) > 1]
    if not blocks:
        raise DataError(f"{table.name}: holds a single token, or none; a token needs another one to follow it")
    return iter(blocks)


def tokenized(tokenizer: Any, texts: Sequence[str], masked: bool, words: bool) -> Iterator[dict[str, Any]]:
    """The ids of each text, with the words of its pieces where asked; empty texts are left out."""
    texts = [text for text in texts if text.strip()]
    for start in range(0, len(texts), BATCH):
        part = texts[start : start + BATCH]
        encoded = tokenizer(part, return_special_tokens_mask=masked, add_special_tokens=masked, verbose=False)
        for index in range(len(part)):
            row = {name: values[index] for name, values in encoded.items() if name != "token_type_ids"}
            yield {**row, "word_ids": word_column(encoded, index)} if words else row


def masked_once(
    blocks: Sequence[dict[str, Any]], collator: DataCollatorForLanguageModeling, seed: int
) -> list[dict[str, Any]]:
    """Blocks with masks drawn from the seed once and for all."""
    fixed = DataCollatorForLanguageModeling(
        collator.tokenizer,
        mlm_probability=collator.mlm_probability,
        whole_word_mask=collator.whole_word_mask,
        seed=seed,
    )
    return [{name: values[0].tolist() for name, values in fixed([block]).items()} for block in blocks]
