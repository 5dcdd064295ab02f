"""Learn a vocabulary from text: the five kinds that can be trained, saved and loaded again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from lamina.errors import TokenizerError
from lamina.files.shown import shown
from lamina.tokenizers.files import MAX_VOCAB, backend_errors
from lamina.tokenizers.limits import check_whole
from lamina.tokenizers.recipe import BRACKETS, Assembly, Options, Recipe, surround
from lamina.tokenizers.recipes import RECIPES, bytelevel, wordpiece
from lamina.tokenizers.recipes.pieces import mark_spaces

BRACKETED = ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")
ROLE_OF = {f"[{role.upper()}]": f"{role}_token" for role in ("unk", "cls", "sep", "pad", "mask")} | {
    **{f"<{role}>": f"{role}_token" for role in ("unk", "pad", "mask")},
    **{"<s>": "bos_token", "</s>": "eos_token", "<eos>": "eos_token", "<|endoftext|>": "eos_token"},
}


@dataclass(frozen=True)
class Trainable:
    """One kind that can be trained: how its tokenizer and its trainer are made, and its usual special tokens."""

    make: Callable[[Options], Backend]
    trainer: Callable[..., trainers.Trainer]
    special_tokens: tuple[str, ...]
    options: dict[str, Any]  # what a caller may set, with the usual values
    recipe: str = "json"


def train(
    source: str | Path | Iterable[Any],
    kind: str,
    vocab_size: int,
    special_tokens: Sequence[str] | None,
    options: Options,
) -> tuple[Recipe, Assembly, Options]:
    """Train a tokenizer of a kind; returns the parts that Tokenizer's constructor takes."""
    if kind not in TRAINABLE:
        raise TokenizerError(f"kind={shown(kind)} cannot be trained. Kinds: {', '.join(TRAINABLE)}.")
    chosen = TRAINABLE[kind]
    settings = settle(kind, chosen, options)
    specials = list(chosen.special_tokens if special_tokens is None else special_tokens)
    check(kind, vocab_size, specials)
    roles = {ROLE_OF[token]: token for token in reversed(specials) if token in ROLE_OF}
    settings["unk_token"] = roles.get("unk_token")
    backend = chosen.make(settings)
    trainer = chosen.trainer(
        vocab_size=vocab_size, special_tokens=specials, show_progress=False, **trainer_options(settings)
    )
    with backend_errors(f"Training a {kind} tokenizer"):
        backend.train_from_iterator(texts_of(source), trainer)
    if "cls_token" in roles and "sep_token" in roles:
        surround(backend, roles, BRACKETS)
    recipe = RECIPES[chosen.recipe]
    roles |= {role: str(token) for role, token in recipe.special_tokens.items() if str(token) in specials}
    extra = [token for token in specials if token not in roles.values()]
    kept = {key: settings[key] for key in recipe.options if key in settings}
    found: Options = {**recipe.options, **kept, **roles, **({"additional_special_tokens": extra} if extra else {})}
    if recipe.name == "json":
        found["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
        if "cls_token" not in roles:
            found["model_input_names"].remove("token_type_ids")
    return recipe, Assembly(backend), {**found, **{k: v for k, v in options.items() if k not in chosen.options}}


def settle(kind: str, chosen: Trainable, options: Options) -> Options:
    unknown = options.keys() - chosen.options.keys() - {"model_max_length", "padding_side", "truncation_side"}
    if unknown:
        raise TokenizerError(
            f"A {kind} tokenizer has no setting {sorted(unknown)}. It has: {', '.join(chosen.options)}."
        )
    return {**chosen.options, **{key: value for key, value in options.items() if key in chosen.options}}


def check(kind: str, vocab_size: Any, specials: Sequence[Any]) -> None:
    check_whole("vocab_size", vocab_size, 1, MAX_VOCAB)
    if not all(isinstance(token, str) and token for token in specials) or len(set(specials)) != len(specials):
        raise TokenizerError(f"special_tokens={shown(list(specials))} should be different strings.")
    if vocab_size <= len(specials):
        raise TokenizerError(f"vocab_size={vocab_size} leaves no room beside the {len(specials)} special tokens.")
    if kind != "bpe" and not {"[UNK]", "<unk>"} & set(specials):
        raise TokenizerError(
            f"A {kind} tokenizer needs '[UNK]' or '<unk>' among its special tokens, for what it has not seen."
        )


def trainer_options(settings: Options) -> Options:
    """The settings that the Rust library's trainers take under the same name; Unigram's needs the unknown token too."""
    names = ["min_frequency", "limit_alphabet", "initial_alphabet", "max_piece_length"]
    if "max_piece_length" in settings:
        names.append("unk_token")
    return {name: settings[name] for name in names if name in settings}


def texts_of(source: str | Path | Iterable[Any]) -> Iterator[str]:
    if isinstance(source, str | Path):
        source = [Path(source)]
    count = 0
    for item in source:
        if isinstance(item, Path) or (isinstance(item, str) and looks_like_file(item)):
            lines: Iterable[Any] = lines_of(Path(item))
        else:
            lines = [item] if isinstance(item, str) else item
        for line in lines:
            if not isinstance(line, str):
                raise TokenizerError(f"The text to learn from holds a {type(line).__name__}: {shown(line)}.")
            count += 1
            yield line
    if not count:
        raise TokenizerError("There is no text to learn from.")


def looks_like_file(text: str) -> bool:
    try:
        return len(text) < 4096 and "\n" not in text and "\0" not in text and Path(text).is_file()
    except OSError:  # a text may be longer than any name
        return False


def lines_of(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8") as file:
            yield from (line.rstrip("\n") for line in file)
    except OSError as error:
        raise TokenizerError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise TokenizerError(f"{path} is not UTF-8 text.") from error


def make_wordpiece(settings: Options) -> Backend:
    backend = Backend(models.WordPiece(unk_token=settings["unk_token"]))
    wordpiece.set_components(backend, settings)
    return backend


def make_bpe(settings: Options) -> Backend:
    backend = Backend(models.BPE(continuing_subword_prefix="", end_of_word_suffix=""))
    bytelevel.set_components(backend, settings)
    return backend


def make_unigram(settings: Options) -> Backend:
    """SentencePiece's, with NFKC and spaces kept as a mark."""
    backend = Backend(models.Unigram())
    lower = [normalizers.Lowercase()] if settings["do_lower_case"] else []
    backend.normalizer = normalizers.Sequence([normalizers.NFKC(), *lower, normalizers.Replace(Regex(" {2,}"), " ")])
    mark_spaces(backend)
    return backend


def make_word(settings: Options) -> Backend:
    """Words and signs, one id each."""
    backend = Backend(models.WordLevel(unk_token=settings["unk_token"]))
    if settings["do_lower_case"]:
        backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return backend


def make_char(settings: Options) -> Backend:
    """Characters, one id each, spaces among them."""
    backend = make_word(settings)
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    backend.decoder = decoders.Fuse()
    return backend


COMMON = {"min_frequency": 2, "do_lower_case": False}
TRAINABLE: dict[str, Trainable] = {
    "wordpiece": Trainable(
        make_wordpiece,
        trainers.WordPieceTrainer,
        BRACKETED,
        {"min_frequency": 2, "limit_alphabet": 1000, **wordpiece.OPTIONS},
        "bert",
    ),
    "bpe": Trainable(
        make_bpe,
        trainers.BpeTrainer,
        ("<|endoftext|>",),
        {"min_frequency": 2, "add_prefix_space": False, "initial_alphabet": pre_tokenizers.ByteLevel.alphabet()},
        "gpt2",
    ),
    "unigram": Trainable(
        make_unigram,
        trainers.UnigramTrainer,
        ("<unk>", "<pad>", "</s>"),
        {"do_lower_case": False, "max_piece_length": 16},
    ),
    "word": Trainable(make_word, trainers.WordLevelTrainer, BRACKETED, COMMON),
    "char": Trainable(make_char, trainers.WordLevelTrainer, BRACKETED, {**COMMON, "min_frequency": 1}),
}
