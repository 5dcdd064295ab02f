"""Text written token by token: sequences join and leave, and none is changed by those beside it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lamina import TransfoXLConfig, TransfoXLLMHeadModel, pipeline
from lamina.generation.generate import plan
from lamina.serving import Limits, Served, ServeSettings, create_app
from lamina.serving.admission import Admission
from lamina.serving.continuous import Writer
from lamina.serving.engine import Engine
from lamina.serving.metrics import Metrics
from lamina.serving.writing import GenerationSpec, Writing

from .asgi import PATIENCE, Client, run, started, until

PROMPTS = ["Berlin is", "A", "She sold the house and the boat because", "Not bad at all, said"]


@pytest.fixture(scope="module")
def pipes(checkpoint: Callable[[str], Path]) -> dict[str, Any]:
    return {name: pipeline(model=str(checkpoint(name)), device="cpu") for name in ("gpt2", "gpt2-rules", "bart", "t5")}


def app_of(pipes: dict[str, Any], *names: str, **limits: Any) -> Any:
    models = {name: Served.from_pipeline(name, pipes[name]) for name in names}
    return create_app(ServeSettings(limits=Limits(**limits)), models)


def alone(pipe: Any, prompt: str, **options: Any) -> str:
    text: str = pipe(prompt, **options)[0]["generated_text"]
    return text


def test_a_sequence_is_the_same_in_any_company(pipes: dict[str, Any]) -> None:
    options = [{"max_new_tokens": 12 + 7 * number} for number in range(len(PROMPTS))]
    plain = {"do_sample": False, "clean_up_tokenization_spaces": False}
    expected = [alone(pipes["gpt2"], prompt, **plain, **one) for prompt, one in zip(PROMPTS, options, strict=True)]

    async def together() -> list[str]:
        async with started(app_of(pipes, "gpt2")) as client:
            exchanges = []
            for prompt, one in zip(PROMPTS, options, strict=True):
                exchanges.append(client.begin("/", {"inputs": prompt, "parameters": one}))
                await asyncio.sleep(0.01)  # each joins while the others are being written
            return [(await exchange.end()).json[0]["generated_text"] for exchange in exchanges]

    assert run(together()) == expected


@pytest.mark.parametrize("name", ["bart", "t5"])
def test_sources_of_different_lengths_are_read_together(pipes: dict[str, Any], name: str) -> None:
    options = {"num_beams": 1, "max_new_tokens": 9, "do_sample": False}
    expected = [alone(pipes[name], prompt, **options) for prompt in PROMPTS]

    async def together() -> list[str]:
        async with started(app_of(pipes, name)) as client:
            sent = [client.begin("/", {"inputs": prompt, "parameters": options}) for prompt in PROMPTS]
            return [(await exchange.end()).json[0]["generated_text"] for exchange in sent]

    assert run(together()) == expected


def test_rules_of_one_sequence_are_its_own(pipes: dict[str, Any]) -> None:
    rules: list[dict[str, Any]] = [
        {"repetition_penalty": 1.5},
        {"no_repeat_ngram_size": 2},
        {"min_new_tokens": 10},
        {},
    ]
    plain = {"do_sample": False, "max_new_tokens": 16, "clean_up_tokenization_spaces": False}
    pairs = list(zip(PROMPTS, rules, strict=True))
    expected = [alone(pipes["gpt2-rules"], prompt, **plain, **rule) for prompt, rule in pairs]

    async def together() -> list[str]:
        async with started(app_of(pipes, "gpt2-rules")) as client:
            sent = [client.begin("/", {"inputs": p, "parameters": {**plain, **rule}}) for p, rule in pairs]
            return [(await exchange.end()).json[0]["generated_text"] for exchange in sent]

    assert run(together()) == expected


def test_a_seed_draws_the_same_text_whoever_else_is_drawing(pipes: dict[str, Any]) -> None:
    asked = {"inputs": "Berlin is", "parameters": {"do_sample": True, "seed": 7, "max_new_tokens": 12}}

    async def drawn(others: int) -> Any:
        async with started(app_of(pipes, "gpt2")) as client:
            noise = [client.begin("/", {"inputs": p, "parameters": {"do_sample": True}}) for p in PROMPTS[:others]]
            answer = (await client.post("/", asked)).json
            for one in noise:
                await one.end()
            return answer

    assert run(drawn(0)) == run(drawn(3))


def test_more_sequences_than_places_wait_for_one(pipes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set[int]()
    turn = Writer.turn

    def counted(writer: Writer) -> None:
        turn(writer)
        seen.add(writer.running)

    monkeypatch.setattr(Writer, "turn", counted)

    async def ask() -> list[Any]:
        async with started(app_of(pipes, "gpt2", sequences=2)) as client:
            sent = [client.begin("/", {"inputs": prompt}) for prompt in PROMPTS]
            return [(await exchange.end()).json for exchange in sent]

    answers = run(ask())
    assert {2} <= seen <= {0, 1, 2}
    assert all(answer[0]["generated_text"] for answer in answers)


def test_several_texts_for_one_prompt(pipes: dict[str, Any]) -> None:
    parameters = {"do_sample": True, "num_return_sequences": 3, "seed": 1, "max_new_tokens": 5}

    async def ask() -> Any:
        async with started(app_of(pipes, "gpt2")) as client:
            best = {"best_of": 3, "seed": 1, "details": True, "max_new_tokens": 5}
            prompts = [{"inputs": "Berlin is", "parameters": one} for one in (parameters, best)]
            return [(await client.post("/", prompt)).json for prompt in prompts]

    texts, best = run(ask())
    assert len({record["generated_text"] for record in texts}) == 3
    assert len(best[0]["details"]["best_of_sequences"]) == 2

    def mean(details: Any) -> float:
        logprobs = [token["logprob"] for token in details["tokens"]]
        return sum(logprobs) / len(logprobs)

    shown = best[0]["details"]
    assert all(mean(shown) >= mean(other) for other in shown["best_of_sequences"])


def test_a_stream_is_the_text_in_pieces(pipes: dict[str, Any]) -> None:
    asked = {"inputs": "Berlin is", "parameters": {"max_new_tokens": 9, "details": True, "return_full_text": False}}

    async def ask() -> tuple[Any, list[Any]]:
        async with started(app_of(pipes, "gpt2")) as client:
            whole = (await client.post("/", asked)).json
            return whole[0], (await client.post("/", {**asked, "stream": True})).events

    whole, events = run(ask())
    assert "".join(event["token"]["text"] for event in events) == whole["generated_text"]
    assert [event["generated_text"] for event in events] == [None] * 8 + [whole["generated_text"]]
    assert [event["token"] for event in events] == whole["details"]["tokens"]
    assert events[-1]["details"] == {"finish_reason": "length", "generated_tokens": 9, "seed": None, "input_length": 5}
    assert all("error" not in event for event in events)


def test_a_listener_that_leaves_ends_its_text_between_two_tokens(pipes: dict[str, Any]) -> None:
    async def leave() -> int:
        async with started(app_of(pipes, "gpt2")) as client:
            exchange = client.begin("/generate_stream", {"inputs": "A", "parameters": {"max_new_tokens": 50}})
            await exchange.chunks.get()
            exchange.leave()
            await exchange.end()
            writer = client.serving.writer(client.serving.default)
            await until(lambda: not writer.ready())
            assert client.serving.admission.inputs == client.serving.admission.tokens == 0
            return len(exchange.events)

    assert run(leave()) < 50


class Watched:
    """A model's `step` that notes its name, and waits before the first one."""

    def __init__(self, step: Any, name: str, order: list[str], gate: threading.Event | None = None):
        self.step, self.name, self.order, self.gate = step, name, order, gate

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.order.append(self.name)
        if self.gate is not None:
            assert self.gate.wait(PATIENCE)
        return self.step(*args, **options)


def test_beams_are_searched_and_others_get_their_turn(pipes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"num_beams": 3, "min_new_tokens": 20, "max_new_tokens": 20, "do_sample": False}
    expected = alone(pipes["bart"], PROMPTS[2], **options)
    order, gate = list[str](), threading.Event()
    for name, held in (("bart", gate), ("gpt2", None)):
        model = pipes[name].model
        monkeypatch.setattr(model, "step", Watched(model.step, name, order, held))

    async def ask() -> str:
        async with started(app_of(pipes, "bart", "gpt2")) as client:
            beams = client.begin("/models/bart", {"inputs": PROMPTS[2], "parameters": options})
            await until(lambda: order)
            short = client.begin("/models/gpt2", {"inputs": "A", "parameters": {"max_new_tokens": 3}})
            await until(client.serving.writer(client.serving.models["gpt2"]).ready)
            gate.set()
            assert (await short.end()).status == 200
            text: str = (await beams.end()).json[0]["generated_text"]
            return text

    assert run(ask()) == expected
    assert order[0] == order[-1] == "bart"
    assert order.count("gpt2") == 3, "a short text is written while a long search is under way"


def test_a_search_that_nobody_waits_for_ends_between_two_tokens(
    pipes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    order, gate = list[str](), threading.Event()
    model = pipes["bart"].model
    monkeypatch.setattr(model, "step", Watched(model.step, "bart", order, gate))

    async def leave() -> None:
        async with started(app_of(pipes, "bart")) as client:
            parameters = {"num_beams": 3, "min_new_tokens": 40, "max_new_tokens": 40}
            beams = client.begin("/", {"inputs": "A", "parameters": parameters})
            await until(lambda: order)
            beams.leave()
            await beams.end()
            gate.set()
            assert (await client.post("/", {"inputs": "A", "parameters": {"max_new_tokens": 2}})).status == 200

    run(leave())
    assert len(order) < 20


def test_a_prompt_is_cut_from_its_beginning(pipes: dict[str, Any]) -> None:
    async def ask(client: Client, prompt: str, **more: int) -> Any:
        parameters = {"max_new_tokens": 4, "return_full_text": False, **more}
        return (await client.post("/generate", {"inputs": prompt, "parameters": parameters})).json

    async def both() -> list[Any]:
        async with started(app_of(pipes, "gpt2")) as client:
            return [await ask(client, "She sold the boat", truncate=2), await ask(client, "oat")]

    pipe = pipes["gpt2"]
    end = pipe.tokenizer("She sold the boat", return_offsets_mapping=True)["offset_mapping"][-2][0]
    cut, _ = run(both())
    plain = {"max_new_tokens": 4, "do_sample": False, "return_full_text": False, "clean_up_tokenization_spaces": False}
    assert cut["generated_text"] == alone(pipe, "She sold the boat"[end:], **plain)


class Failing:
    """A model's `step` that fails on its nth call, once or always for more than so many rows."""

    def __init__(self, step: Any, error: Exception, at: int = 0, above: int = 10**6):
        self.step, self.error, self.at, self.above, self.calls = step, error, at, above, 0

    def __call__(self, ids: Any, *args: Any, **options: Any) -> Any:
        self.calls += 1
        if self.calls == self.at or len(ids) > self.above:
            raise self.error
        return self.step(ids, *args, **options)


@pytest.mark.parametrize(
    ("error", "at", "above"),
    [(RuntimeError("broken"), 5, 10**6), (RuntimeError("broken"), 1, 10**6), (torch.OutOfMemoryError("full"), 0, 2)],
)
def test_texts_survive_a_step_that_fails(
    pipes: dict[str, Any], monkeypatch: pytest.MonkeyPatch, error: Exception, at: int, above: int
) -> None:
    plain = {"do_sample": False, "max_new_tokens": 8, "clean_up_tokenization_spaces": False}
    expected = [alone(pipes["gpt2"], prompt, **plain) for prompt in PROMPTS]
    model = pipes["gpt2"].model
    monkeypatch.setattr(model, "step", Failing(model.step, error, at, above))

    async def together() -> list[str]:
        async with started(app_of(pipes, "gpt2")) as client:
            sent = [client.begin("/", {"inputs": prompt, "parameters": plain}) for prompt in PROMPTS]
            return [(await exchange.end()).json[0]["generated_text"] for exchange in sent]

    assert run(together()) == expected


def test_a_text_whose_token_cannot_be_written_fails_alone(
    pipes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = {"do_sample": False, "max_new_tokens": 8, "clean_up_tokenization_spaces": False}
    expected = alone(pipes["gpt2"], "Berlin is", **plain)
    write = Writing.write

    def broken(writing: Writing, *given: Any) -> Any:
        if writing.job.prompt.length > 8 and len(writing.new) == 5:
            raise RuntimeError("secret")
        return write(writing, *given)

    monkeypatch.setattr(Writing, "write", broken)

    async def together() -> list[Any]:
        async with started(app_of(pipes, "gpt2")) as client:
            sent = [client.begin("/", {"inputs": one, "parameters": plain}) for one in ("Berlin is", PROMPTS[2])]
            return [await exchange.end() for exchange in sent]

    fine, failed = run(together())
    assert (fine.status, fine.json[0]["generated_text"]) == (200, expected)
    assert (failed.status, failed.json["error_type"]) == (424, "generation")


def test_a_text_that_always_fails_is_told_so(pipes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model = pipes["gpt2"].model
    monkeypatch.setattr(model, "step", Failing(model.step, RuntimeError("secret"), above=0))

    async def ask() -> Any:
        async with started(app_of(pipes, "gpt2")) as client:
            whole = await client.post("/", {"inputs": "Berlin"})
            stream = await client.post("/generate_stream", {"inputs": "Berlin"})
            return whole, stream, (await client.get("/health")).json

    whole, stream, health = run(ask())
    assert (whole.status, whole.json["error_type"]) == (424, "generation")
    assert stream.events[-1]["error_type"] == "generation"
    assert "secret" not in whole.content.decode() + stream.content.decode()
    assert health["status"] in ("ok", "unhealthy")


@pytest.mark.parametrize("memory", [16, 0])
def test_a_model_with_memories_writes_the_same_in_company(memory: int) -> None:
    """Without memories rows of different lengths cannot join each other, and wait for their turn instead."""
    torch.manual_seed(0)
    sizes = {"d_model": 32, "d_embed": 32, "n_head": 4, "d_head": 8, "d_inner": 48, "n_layer": 2, "div_val": 1}
    words = {"vocab_size": 50, "cutoffs": [10, 20], "clamp_len": 20, "eos_token_id": 0}
    config = TransfoXLConfig(mem_len=memory, same_length=memory > 0, **sizes, **words)
    model = TransfoXLLMHeadModel(config).eval()
    options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    prompts = [torch.tensor([ids]) for ids in ([5, 6, 7], [9], [3, 4, 5, 6, 7, 8], [11, 12])]
    expected = [model.generate(input_ids=ids, **options)[0, ids.shape[1] :].tolist() for ids in prompts]

    def ignore(*_: Any) -> None: ...

    writer = Writer(Engine(), Metrics(), "model", model, 8, 64, ignore)
    permit = Admission(Limits()).enter(len(prompts))
    writings = []
    for number, ids in enumerate(prompts):
        job, plain = plan(model, input_ids=ids, attention_mask=torch.ones_like(ids), **options)
        assert plain
        writings.append(Writing(job, permit, GenerationSpec(), 0, number, ignore))
        writer.put(writings[-1:])
        writer.turn()
        writer.turn()
    for _ in range(200):
        writer.turn()
    assert [writing.new for writing in writings] == expected
    assert not writer.ready()


def test_sequences_given_up_are_counted_as_running_no_more(pipes: dict[str, Any]) -> None:
    model, metrics = pipes["gpt2"].model, Metrics()
    writer = Writer(Engine(), metrics, "gpt2", model, 8, 64, lambda *_: None)
    job, _ = plan(model, input_ids=torch.tensor([[5, 6]]), attention_mask=torch.ones(1, 2), max_new_tokens=9)
    writer.put([Writing(job, Admission(Limits()).enter(1), GenerationSpec(), 0, 0, lambda *_: None)])
    writer.turn()
    assert b'lamina_sequences_running{model="gpt2"} 1.0' in metrics.text()
    writer.abandon(RuntimeError("the device is gone"))
    assert b'lamina_sequences_running{model="gpt2"} 0.0' in metrics.text()
