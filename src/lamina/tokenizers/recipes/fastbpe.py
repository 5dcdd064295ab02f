"""BPE over characters with an end-of-word mark: GPT, and CTRL in fastBPE's `@@` spelling."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers

from lamina.tokenizers.files import TokenizerFolder, backend_errors, read_merges, read_vocab_json, write_json
from lamina.tokenizers.recipe import BERT_INPUTS, Assembly, Options, Recipe

FILES = ("vocab.json", "merges.txt")
END = "</w>"
CACHED_WORDS = 50_000

# The words that CTRL was trained to take as the first of a text, to say what kind of text follows.
CONTROL_CODES = tuple(
    """
    Pregnancy Christianity Explain Fitness Saving Ask Ass Joke Questions Thoughts Retail Feminism Writing Atheism
    Netflix Computing Opinion Alone Funny Gaming Human India Joker Diet Legal Norman Tip Weight Movies Running Science
    Horror Confession Finance Politics Scary Support Technologies Teenage Event Learned Notion Wikipedia Books Extract
    Confessions Conspiracy Links Narcissus Relationship Relationships Reviews News Translation multilingual
    """.split()  # noqa: SIM905
)


def build_gpt(folder: TokenizerFolder, options: Options) -> Assembly:
    """Build GPT's: lower-cased as BERT's text, words ending in `</w>`."""
    vocab_path, merges_path = folder.require("vocab.json"), folder.require("merges.txt")
    unknown = str(options["unk_token"])
    with backend_errors(f"Building BPE from {vocab_path} and {merges_path}"):
        model = models.BPE(
            read_vocab_json(vocab_path), read_merges(merges_path), unk_token=unknown, end_of_word_suffix=END
        )
        backend = Backend(model)
    if backend.token_to_id(unknown) is not None:
        backend.add_special_tokens([unknown])
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.BPEDecoder(suffix=END)
    return Assembly(backend)


class FastBPE:
    """Merges the characters of words by rank, and spells pieces that go on with `@@`."""

    def __init__(self, vocab: dict[str, int], merges: Sequence[tuple[str, str]]) -> None:
        self.vocab = vocab
        self.merges = merges
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.cache: dict[str, list[str]] = {}

    def split(self, text: str) -> list[str]:
        return [piece for word in re.findall(r"[\S\x1c-\x1f]+\n?", text) for piece in self.pieces(word)]

    def pieces(self, word: str) -> list[str]:
        found = self.cache.get(word)
        if found is None:
            if len(self.cache) >= CACHED_WORDS:
                self.cache.clear()
            symbols = merge([*word[:-1], word[-1] + END], self.ranks) if len(word) > 1 else [word]
            found = [symbol + "@@" for symbol in symbols[:-1]] + [symbols[-1].removesuffix(END)]
            self.cache[word] = found
        return found

    def join(self, tokens: list[str], special_tokens: set[str], source: bool = False) -> str:
        return " ".join(tokens).replace("@@ ", "").strip()

    def save(self, new: Callable[[str], Path]) -> None:
        write_json(new("vocab.json"), self.vocab)
        lines = "".join(f"{left} {right}\n" for left, right in self.merges)
        new("merges.txt").write_text("#version: 0.2\n" + lines, encoding="utf-8", newline="\n")


def merge(symbols: list[str], ranks: dict[tuple[str, str], int]) -> list[str]:
    """Merge the best pair, everywhere from left to right, again and again, in n log n steps.

    Pairs of equal rank are merged before the pairs this makes are looked at, as fastBPE's loop over words does.
    """
    size = len(symbols)
    following = [*range(1, size), -1]
    previous = list(range(-1, size - 1))
    queue = [(ranks[pair], i) for i, pair in enumerate(pairwise(symbols)) if pair in ranks]
    heapq.heapify(queue)
    alive = [True] * size
    while queue:
        best = queue[0][0]
        changed = []
        while queue and queue[0][0] == best:
            _, left = heapq.heappop(queue)
            right = following[left] if alive[left] else -1
            if right < 0 or ranks.get((symbols[left], symbols[right])) != best:
                continue
            symbols[left] += symbols[right]
            alive[right] = False
            following[left] = following[right]
            if following[left] >= 0:
                previous[following[left]] = left
            changed.append(left)
        for index in changed:
            for start in (previous[index], index):
                stop = following[start] if start >= 0 and alive[start] else -1
                rank = ranks.get((symbols[start], symbols[stop])) if stop >= 0 else None
                if rank is not None:
                    heapq.heappush(queue, (rank, start))
    return [symbol for symbol, kept in zip(symbols, alive, strict=True) if kept]


def build_ctrl(folder: TokenizerFolder, options: Options) -> Assembly:
    """Build CTRL's; its control codes are ordinary words of the vocabulary."""
    vocab = read_vocab_json(folder.require("vocab.json"))
    splitter = FastBPE(vocab, read_merges(folder.require("merges.txt")))
    with backend_errors("Building CTRL's vocabulary"):
        backend = Backend(models.WordLevel(vocab, unk_token=str(options["unk_token"])))
    return Assembly(backend, splitter)


GPT = Recipe(
    name="gpt",
    class_name="OpenAIGPTTokenizer",
    files=FILES,
    build=build_gpt,
    special_tokens={"unk_token": "<unk>"},
)
CTRL = Recipe(
    name="ctrl",
    class_name="CTRLTokenizer",
    files=FILES,
    build=build_ctrl,
    special_tokens={"unk_token": "<unk>"},
    model_input_names=BERT_INPUTS,
    reads_json=False,
    control_codes=CONTROL_CODES,
)
