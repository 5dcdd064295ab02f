"""The openai package for Python, unmodified: vectors, texts, streams, models and its own error classes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from .calls import assert_near
from .running import Running

TEXTS = ["A cat sat.", "고양이가 앉았다 😀."]
PROMPT: dict[str, Any] = {"model": "gpt2", "prompt": "Berlin is", "max_tokens": 8, "temperature": 0}


@pytest.fixture(scope="module")
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0, timeout=600) as client:
        yield client


@pytest.fixture(scope="module")
def written(pipe: Callable[..., Any]) -> str:
    """What our own pipeline goes on with."""
    options = {"do_sample": False, "max_new_tokens": PROMPT["max_tokens"], "return_full_text": False}
    text: str = pipe("text-generation", "gpt2")(PROMPT["prompt"], **options)[0]["generated_text"]
    return text


@pytest.mark.parametrize("given", [{}, {"encoding_format": "float"}], ids=["base64, its default", "float"])
def test_embeddings_are_normalized_and_those_of_the_similarity(
    client: openai.OpenAI, pipe: Callable[..., Any], given: dict[str, Any]
) -> None:
    found = client.embeddings.create(model="minilm", input=TEXTS, **given)
    assert [entry.index for entry in found.data] == [0, 1]
    one, other = (entry.embedding for entry in found.data)
    assert len(one) == 384
    assert math.sqrt(sum(x * x for x in one)) == pytest.approx(1, abs=1e-5)
    likeness = pipe("sentence-similarity", "minilm")({"source_sentence": TEXTS[0], "sentences": TEXTS[1:]})
    assert sum(x * y for x, y in zip(one, other, strict=True)) == pytest.approx(likeness[0], abs=1e-5)
    tokens = sum(map(len, pipe("sentence-similarity", "minilm").tokenizer(TEXTS)["input_ids"]))
    assert (found.usage.prompt_tokens, found.usage.total_tokens) == (tokens, tokens)


def test_an_embedding_of_token_ids_is_that_of_the_text(client: openai.OpenAI, pipe: Callable[..., Any]) -> None:
    ids = pipe("sentence-similarity", "minilm").tokenizer(TEXTS[0], add_special_tokens=False)["input_ids"]
    of_ids = client.embeddings.create(model="minilm", input=[ids])
    of_text = client.embeddings.create(model="minilm", input=TEXTS[0])
    assert_near(of_ids.data[0].embedding, of_text.data[0].embedding)


def test_a_shorter_embedding_is_the_beginning_scaled_anew(client: openai.OpenAI) -> None:
    whole = client.embeddings.create(model="minilm", input=TEXTS[0]).data[0].embedding
    short = client.embeddings.create(model="minilm", input=TEXTS[0], dimensions=8).data[0].embedding
    norm = math.sqrt(sum(x * x for x in whole[:8]))
    assert_near(short, [x / norm for x in whole[:8]])


def test_a_completion_is_the_pipeline_s(client: openai.OpenAI, written: str) -> None:
    found = client.completions.create(**PROMPT)
    assert found.object == "text_completion"
    assert found.model == "gpt2"
    assert (found.choices[0].text, found.choices[0].finish_reason) == (written, "length")
    assert found.usage is not None
    assert found.usage.completion_tokens == PROMPT["max_tokens"]
    assert found.usage.total_tokens == found.usage.prompt_tokens + PROMPT["max_tokens"]


def test_a_stream_adds_up_and_says_how_much_it_was(client: openai.OpenAI, written: str) -> None:
    chunks = list(client.completions.create(**PROMPT, stream=True, stream_options={"include_usage": True}))
    assert len({chunk.id for chunk in chunks}) == 1
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == written
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == PROMPT["max_tokens"]


def test_many_at_once_do_not_mix(server: Running, client: openai.OpenAI) -> None:
    prompts = [f"{word} is" for word in ("Berlin", "Rome", "The old city of Prague", "한국", "A", "Cat")]
    alone = [client.completions.create(**{**PROMPT, "prompt": prompt}).choices[0].text for prompt in prompts]

    async def together() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as many:

            async def one(prompt: str) -> str:
                stream = await many.completions.create(**{**PROMPT, "prompt": prompt}, stream=True)
                return "".join([chunk.choices[0].text async for chunk in stream])

            return list(await asyncio.gather(*map(one, prompts)))

    assert asyncio.run(together()) == alone


def test_prompts_in_a_list_and_several_texts_each(client: openai.OpenAI, written: str) -> None:
    prompts = {"prompt": [PROMPT["prompt"], "Rome was"]}
    found = client.completions.create(**{**PROMPT, **prompts, "temperature": 1.0, "n": 2, "seed": 3})
    assert [choice.index for choice in found.choices] == [0, 1, 2, 3]
    greedy = client.completions.create(**{**PROMPT, **prompts})
    assert greedy.choices[0].text == written


def test_echo_stop_and_seed(client: openai.OpenAI, written: str) -> None:
    assert client.completions.create(**PROMPT, echo=True).choices[0].text == PROMPT["prompt"] + written
    stop = written[3:5]
    stopped = client.completions.create(**PROMPT, stop=[stop]).choices[0]
    assert stop not in stopped.text
    assert written.startswith(stopped.text)
    assert stopped.finish_reason == "stop"
    drawn = [
        client.completions.create(**{**PROMPT, "temperature": 2.0}, seed=seed).choices[0].text for seed in (7, 7, 8, 9)
    ]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 1


def test_logprobs_name_the_likeliest(client: openai.OpenAI) -> None:
    logprobs = client.completions.create(**PROMPT, logprobs=2).choices[0].logprobs
    assert logprobs is not None
    assert logprobs.token_logprobs
    assert logprobs.top_logprobs
    assert len(logprobs.tokens or []) == PROMPT["max_tokens"]
    for own, best in zip(logprobs.token_logprobs, logprobs.top_logprobs, strict=True):
        assert own == pytest.approx(max(best.values()), abs=1e-5)  # greedy takes the likeliest


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    assert {"gpt2", "minilm"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("minilm").object == "model"
    with pytest.raises(openai.NotFoundError, match="nobody"):
        client.models.retrieve("nobody")


def test_each_failure_is_its_own_class(client: openai.OpenAI, locked: Running) -> None:
    with pytest.raises(openai.NotFoundError, match="nobody"):
        client.embeddings.create(model="nobody", input="x")
    with pytest.raises((openai.BadRequestError, openai.UnprocessableEntityError), match="max_tokens"):
        client.completions.create(**{**PROMPT, "max_tokens": -1})
    with pytest.raises((openai.BadRequestError, openai.UnprocessableEntityError, openai.NotFoundError)) as refused:
        client.chat.completions.create(model="gpt2", messages=[{"role": "user", "content": "Hi"}])
    assert "chat" in str(refused.value)
    for key, kind in (("open sesame", None), ("wrong", openai.AuthenticationError)):
        with openai.OpenAI(base_url=f"{locked.url}/v1", api_key=key, max_retries=0) as other:
            if kind is None:
                assert other.completions.create(**PROMPT).choices
            else:
                with pytest.raises(kind):
                    other.completions.create(**PROMPT)


def test_a_stream_that_is_left_ends_the_writing(server: Running, client: openai.OpenAI) -> None:
    long = {**PROMPT, "max_tokens": 40, "prompt": "A"}
    with client.completions.create(**long, stream=True) as stream:
        next(iter(stream))
    assert client.completions.create(**PROMPT).choices[0].finish_reason == "length"
    assert server.get("/health")[0] == 200
