"""Writing step by step gives what reading at once gives, whatever happens to the rows in between."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

import lamina
from lamina.errors import InputError
from lamina.nn import decoding, pair

BART = {
    "vocab_size": 61,
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "max_position_embeddings": 96,
    "pad_token_id": 1,
    "init_std": 0.3,
}
GPT = {"vocab_size": 61, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 96, "initializer_range": 0.3}
BERT = {
    "vocab_size": 61,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 98,
    "initializer_range": 0.3,
    "is_decoder": True,
}
OPT = {
    "vocab_size": 61,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "ffn_dim": 24,
    "max_position_embeddings": 96,
    "init_std": 0.3,
}
NEO = {
    "vocab_size": 61,
    "hidden_size": 16,
    "num_layers": 2,
    "num_heads": 4,
    "attention_types": [[["global", "local"], 1]],
    "window_size": 3,
    "max_position_embeddings": 96,
    "initializer_range": 0.3,
}
NEOX = {
    "vocab_size": 61,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "rotary_pct": 0.5,
    "initializer_range": 0.3,
}
T5 = {"vocab_size": 61, "d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 4}
ROWS = {
    "gpt2": ("GPT2LMHeadModel", GPT),
    "gpt2-scaled-by-layer": ("GPT2LMHeadModel", GPT | {"scale_attn_by_inverse_layer_idx": True}),
    "gpt": ("OpenAIGPTLMHeadModel", GPT),
    "ctrl": ("CTRLLMHeadModel", GPT | {"dff": 24}),
    "bert": ("BertLMHeadModel", BERT),
    "roberta": ("RobertaForCausalLM", BERT | {"pad_token_id": 1}),
    "bart": ("BartForConditionalGeneration", BART),
    "mbart": ("MBartForConditionalGeneration", BART),
    "marian": ("MarianMTModel", BART | {"pad_token_id": 60, "decoder_start_token_id": 60}),
    "pegasus": ("PegasusForConditionalGeneration", BART | {"pad_token_id": 0}),
    "blenderbot": ("BlenderbotForConditionalGeneration", BART | {"pad_token_id": 0}),
    "m2m_100": ("M2M100ForConditionalGeneration", BART),
    "opt": ("OPTForCausalLM", OPT),
    "opt-350m": ("OPTForCausalLM", OPT | {"do_layer_norm_before": False, "word_embed_proj_dim": 12}),
    "umt5": ("UMT5ForConditionalGeneration", T5),
    "bloom": ("BloomForCausalLM", GPT | {"hidden_size": 12, "n_head": 3}),
    "gpt_neo": ("GPTNeoForCausalLM", NEO),
    "gpt_neox": ("GPTNeoXForCausalLM", NEOX),
    "bart-decoder": ("BartForCausalLM", BART),
    "t5": ("T5ForConditionalGeneration", T5),
    "t5-gated": ("T5ForConditionalGeneration", T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
}
PAIRED = ("ForConditionalGeneration", "MTModel")


@pytest.fixture(params=list(ROWS), scope="module")
def model(request):
    architecture, options = ROWS[request.param]
    cls = getattr(lamina, architecture)
    torch.manual_seed(0)
    return cls(cls.config_class(**options)).eval()


class Book:
    """The same rows written the slow way: every token kept, every score from a whole forward pass."""

    def __init__(self, model, sources: list[list[int]] | None, rows: int):
        self.model = model
        self.sources = sources
        self.rows: list[tuple[int, list[int]]] = [(i, []) for i in range(rows)]

    def scores(self) -> Tensor:
        out = []
        for source, ids in self.rows:
            written = torch.tensor([ids])
            if self.sources is None:
                logits = self.model(written, use_cache=False).logits
            else:
                logits = self.model(torch.tensor([self.sources[source]]), decoder_input_ids=written).logits
            out.append(logits[0, -1])
        return torch.stack(out)


def paired(model) -> bool:
    return type(model).__name__.endswith(PAIRED)


def begin(model, count: int, dice: random.Random):
    """A state and its book over `count` sources of different lengths, padded on the right."""
    sources = [[dice.randrange(3, 59) for _ in range(dice.randrange(2, 9))] for _ in range(count)]
    longest = max(map(len, sources))
    mask = torch.tensor([[1] * len(s) + [0] * (longest - len(s)) for s in sources])
    ids = torch.tensor([s + [model.config.pad_token_id or 0] * (longest - len(s)) for s in sources])
    state = model.start({"input_ids": ids, "attention_mask": mask}, 40)
    return state, Book(model, sources if paired(model) else None, count)


def write(model, state, book, dice: random.Random, most: int = 1) -> None:
    """One step of one to `most` tokens per row, compared."""
    counts = [dice.randrange(1, most + 1) for _ in book.rows]
    new = [[dice.randrange(3, 59) for _ in range(n)] for n in counts]
    longest = max(counts)
    ids = torch.tensor([n + [0] * (longest - len(n)) for n in new])
    for (_, row), tokens in zip(book.rows, new, strict=True):
        row.extend(tokens)
    got = model.step(ids, state, torch.tensor(counts)).logits
    assert state.lengths.tolist() == [len(row) for _, row in book.rows]
    torch.testing.assert_close(got, book.scores(), atol=2e-5, rtol=1e-5)


def reorder(state, book, rows: list[int]) -> None:
    state.reorder(torch.tensor(rows))
    book.rows = [(book.rows[row][0], list(book.rows[row][1])) for row in rows]


@pytest.mark.parametrize("seed", range(4))
@torch.no_grad()
def test_rows_fork_swap_end_and_go_on(model, seed, monkeypatch):
    monkeypatch.setattr(decoding, "SWEEP", 2)
    dice = random.Random(seed)
    state, book = begin(model, 3, dice)
    write(model, state, book, dice, most=5 if seed % 2 else 1)
    width = 2 + seed % 2
    reorder(state, book, [i for i in range(3) for _ in range(width)])
    for step in range(6):
        write(model, state, book, dice, most=2 if step == 3 else 1)
        groups = state.groups
        reorder(state, book, [g * width + dice.randrange(width) for g in range(groups) for _ in range(width)])
        if step == 2:  # one source is finished: its rows leave
            reorder(state, book, [i for i in range(len(book.rows)) if i // width != 1])
    reorder(state, book, [0, width, width + 1])  # irregular: groups dissolve
    write(model, state, book, dice)


@torch.no_grad()
def test_sweeping_drops_dead_slots(model, monkeypatch):
    monkeypatch.setattr(decoding, "SWEEP", 4)
    dice = random.Random(5)
    state, book = begin(model, 2, dice)
    write(model, state, book, dice)
    reorder(state, book, [0, 0, 0, 1, 1, 1])
    for _ in range(12):
        write(model, state, book, dice)
        reorder(state, book, [0, 0, 1, 3, 3, 3])
    assert state.used < 12 * 3


@torch.no_grad()
def test_states_join_between_steps(model):
    dice = random.Random(7)
    first, book = begin(model, 2, dice)
    write(model, first, book, dice, most=4)
    write(model, first, book, dice)
    second, other = begin(model, 1, dice)
    write(model, second, other, dice, most=3)
    first.join(second)
    if book.sources is not None:
        other.rows = [(source + len(book.sources), row) for source, row in other.rows]
        book.sources += other.sources
    book.rows += other.rows
    for _ in range(3):
        write(model, first, book, dice)
    reorder(first, book, [2, 0])
    write(model, first, book, dice)


@torch.no_grad()
def test_rows_roll_back(model):
    dice = random.Random(11)
    state, book = begin(model, 2, dice)
    write(model, state, book, dice, most=4)
    write(model, state, book, dice, most=4)
    for keep in ([2, 1], [1, 1]):
        for (_, row), count in zip(book.rows, keep, strict=True):
            del row[count:]
        state.truncate(torch.tensor(keep))
        write(model, state, book, dice, most=3)


@torch.no_grad()
def test_scores_after_every_token(model):
    dice = random.Random(13)
    state, book = begin(model, 2, dice)
    ids = torch.randint(3, 59, (2, 6))
    every = model.step(ids, state, every=True, hidden=True)
    for n in range(1, 7):
        book.rows = [(i, ids[i, :n].tolist()) for i in range(2)]
        torch.testing.assert_close(every.logits[:, n - 1], book.scores(), atol=2e-5, rtol=1e-5)
    assert every.hidden.shape[:2] == (2, 6)


@torch.no_grad()
def test_the_callers_cache_gives_the_same(model):
    ids, source = torch.randint(3, 59, (2, 9)), torch.randint(3, 59, (2, 5))
    if paired(model):
        whole = model(source, decoder_input_ids=ids).logits
        first = model(source, decoder_input_ids=ids[:, :4], use_cache=True)
        rest = [first.logits]
        for n in range(4, 9):
            out = model(
                decoder_input_ids=ids[:, n : n + 1],
                encoder_outputs=(first.encoder_last_hidden_state,),
                past_key_values=first.past_key_values,
            )
            rest.append(out.logits)
    else:
        whole = model(ids, use_cache=False).logits
        first = model(ids[:, :4], use_cache=True)
        rest = [first.logits]
        rest += [model(ids[:, n : n + 1], past_key_values=first.past_key_values).logits for n in range(4, 9)]
    torch.testing.assert_close(torch.cat(rest, 1), whole, atol=2e-5, rtol=1e-5)


def test_a_row_longer_than_the_positions_is_refused():
    model = lamina.GPT2LMHeadModel(lamina.GPT2Config(**GPT | {"n_positions": 8})).eval()
    state = model.start({"input_ids": torch.zeros(1, 1, dtype=torch.long)}, 8)
    model.step(torch.zeros(1, 7, dtype=torch.long), state)
    with pytest.raises(InputError, match="9 tokens long, the model has positions for 8"):
        model.step(torch.zeros(1, 2, dtype=torch.long), state)


@pytest.mark.parametrize("name", [name for name, (cls, _) in ROWS.items() if cls.endswith(PAIRED)])
def test_sources_read_without_padding_give_what_the_padded_rectangle_gives(name, monkeypatch):
    architecture, options = ROWS[name]
    torch.manual_seed(3)
    cls = getattr(lamina, architecture)
    model = cls(cls.config_class(**options)).eval()
    lengths = [2, 3, 3, 4, 5, 5, 6, 7, 8, 30]
    ids = torch.randint(3, 60, (len(lengths), 30))
    mask = (torch.arange(30) < torch.tensor(lengths)[:, None]).long()
    written = torch.randint(3, 60, (len(lengths), 3))
    found = []
    for worth in (decoding.WORTH, 0.0):
        monkeypatch.setattr(pair, "WORTH", worth)
        monkeypatch.setattr(decoding, "WORTH", worth)
        state = model.start({"input_ids": ids, "attention_mask": mask}, 8)
        model.step(written[:, :1], state)
        assert bool(decoding.SourceLayout(state).runs) == (worth > 0)
        state.reorder(torch.tensor([9, 0, 4, 4, 2, 7, 8, 1, 3, 5]))
        found.append(model.step(written[:, 1:], state).logits)
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_buffers_that_grow_keep_what_they_hold():
    torch.manual_seed(4)
    config = lamina.GPT2Config(vocab_size=61, n_embd=16, n_layer=2, n_head=4, n_positions=150, initializer_range=0.3)
    model = lamina.GPT2LMHeadModel(config).eval()
    ids = torch.randint(3, 60, (2, 140))
    whole = model(ids).logits
    cache = model(ids[:, :60]).past_key_values
    assert cache.capacity == 64
    state = model.start({"input_ids": ids}, 60)
    model.step(ids[:, :60], state)
    for n in (60, 66, 139):
        held = cache.get_seq_length()
        again = model(ids[:, held : n + 1], past_key_values=cache).logits[:, -1]
        stepped = model.step(ids[:, held : n + 1], state).logits
        torch.testing.assert_close(again, whole[:, n], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(stepped, whole[:, n], atol=1e-5, rtol=1e-5)
    assert cache.capacity > 128 and state.capacity > 128
