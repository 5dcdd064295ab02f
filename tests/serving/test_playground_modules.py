"""The parts of the pages that need no browser, under Node; and the code that they hand out, run as it stands."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from lamina.serving.playground import assets
from lamina.serving.schemas import parameters_schema
from tests.browser import node_program

from .calls import CALLS, Call, assert_near
from .running import Running

NASTY = 'It\'s "fine" – 좋아요 👩‍🍳 `$HOME` \\n %s !x'


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Any], Any]:
    """Runs a module in a folder with the pages' own modules; what it assigns to `found` comes back."""
    executable = node_program()
    folder = tmp_path_factory.mktemp("modules")
    (folder / "package.json").write_text('{"type": "module"}')
    for name, asset in assets().items():
        if name.endswith(".js"):
            (folder / name).write_bytes(asset.content)

    def run(source: str, given: Any = None) -> Any:
        code = (
            f"const given = JSON.parse(process.env.GIVEN);\nlet found;\n{source}\nconsole.log(JSON.stringify(found));"
        )
        script = folder / "script.js"
        script.write_text(code, encoding="utf-8")
        done = subprocess.run(
            [executable, str(script)],
            env={"GIVEN": json.dumps(given)},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def cut(text: str, spans: list[tuple[int, int]]) -> list[dict[str, Any]]:
    """What `cutAtSpans` must give, counted as Python counts."""
    runs, reached = [], 0
    for start, end in spans:
        if start > reached:
            runs.append({"text": text[reached:start], "span": None})
        runs.append({"text": text[start:end], "span": {"start": start, "end": end}})
        reached = end
    return runs + ([{"text": text[reached:], "span": None}] if reached < len(text) else [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Ada met Charles", ["Ada", "Charles"]),
        ("🚄 Minji → Busan 🏖️, dann Köln", ["Minji", "Busan", "Köln"]),
        ("세종대왕은 서울에서 🎉 한글을", ["세종대왕", "서울", "한글"]),
        ("👩‍🍳👩‍🍳", ["👩‍🍳"]),
        ("𝔘𝔫𝔦 code", ["𝔘𝔫𝔦", "code"]),
        ("nothing here", []),
        ("", []),
    ],
)
def test_offsets_count_characters_not_utf16_units(node: Callable[..., Any], text: str, words: list[str]) -> None:
    spans = [(text.index(word), text.index(word) + len(word)) for word in words]
    source = 'import { cutAtSpans } from "./codepoints.js"; found = cutAtSpans(given.text, given.spans);'
    given = {"text": text, "spans": [{"start": start, "end": end} for start, end in reversed(spans)]}
    assert node(source, given) == cut(text, spans)


def test_spans_that_overlap_or_leave_the_text_do_no_harm(node: Callable[..., Any]) -> None:
    spans = [(0, 3), (2, 5), (4, 400), (9, 4), (-5, 0)]
    source = 'import { cutAtSpans } from "./codepoints.js"; found = cutAtSpans(given.text, given.spans);'
    runs = node(source, {"text": "abcdef", "spans": [{"start": start, "end": end} for start, end in spans]})
    assert [run["text"] for run in runs] == ["abc", "de", "f"]
    assert [run["span"]["start"] for run in runs] == [0, 2, 4]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_read_however_the_bytes_are_cut(node: Callable[..., Any], size: int) -> None:
    stream = (
        ': alive\n\ndata:{"n": 1}\n\ndata: {"t": "서울 🏖️"}\r\n\r\nevent: x\ndata: {"a":\ndata: 2}\n\ndata: [DONE]\n\n'
    )
    source = """
import { events } from "./sse.js";
const bytes = new TextEncoder().encode(given.stream);
const body = new ReadableStream({
  start(control) {
    for (let at = 0; at < bytes.length; at += given.size) control.enqueue(bytes.slice(at, at + given.size));
    control.close();
  },
});
found = [];
for await (const event of events(body)) found.push(event);
"""
    assert node(source, {"stream": stream, "size": size}) == [{"n": 1}, {"t": "서울 🏖️"}, {"a": 2}]


def test_an_address_brings_back_what_it_was_made_of(node: Callable[..., Any]) -> None:
    given = {
        "inputs": {"text": NASTY, "sentences": ["a,b", "&=#%", "좋아요 🎉"]},
        "parameters": {"top_k": 2, "stop": ["\n"]},
    }
    source = """
import { decodeState, encodeState } from "./address.js";
found = [decodeState("#" + encodeState(given.inputs, given.parameters)), decodeState(""),
  decodeState("#text=a&parameters=%7Bbroken"), encodeState({ text: "x".repeat(20000) }, {})];
"""
    back, nothing, broken, long = node(source, given)
    assert back == {
        "inputs": {"text": [NASTY], "sentences": given["inputs"]["sentences"]},
        "parameters": given["parameters"],
    }
    assert nothing is None
    assert broken == {"inputs": {"text": ["a"]}, "parameters": {}}
    assert long == ""


def test_forms_follow_the_schemas(node: Callable[..., Any]) -> None:
    source = """
import { parametersOf, readValue, showValue } from "./schema.js";
const parameters = parametersOf(given);
const texts = { top_k: "3", temperature: "0.5", do_sample: "false", stop: " a, b ,", early_stopping: "", seed: "7" };
const values = {};
for (const one of parameters) if (one.name in texts) values[one.name] = readValue(one, texts[one.name]);
found = { kinds: Object.fromEntries(parameters.map((one) => [one.name, one.kind])), values,
  lowest: parameters.find((one) => one.name === "max_new_tokens").minimum,
  shown: parameters.filter((one) => values[one.name] !== undefined).map((one) => showValue(one, values[one.name])) };
"""
    found = node(source, parameters_schema("text-generation"))
    kinds = found["kinds"]
    assert (kinds["top_k"], kinds["temperature"], kinds["do_sample"], kinds["stop"]) == (
        "integer", "number", "boolean", "list",
    )  # fmt: skip
    assert found["values"] == {"top_k": 3, "temperature": 0.5, "do_sample": False, "stop": ["a", "b"], "seed": 7}
    assert found["lowest"] == 1
    assert set(found["shown"]) == {"3", "0.5", "false", "a, b", "7"}
    choices = node(
        'import { parametersOf } from "./schema.js"; found = parametersOf(given);',
        parameters_schema("token-classification"),
    )
    strategy = next(one for one in choices if one["name"] == "aggregation_strategy")
    assert (strategy["kind"], strategy["fallback"]) == ("choice", "simple")
    assert strategy["choices"] == ["none", "simple", "first", "average", "max"]


@pytest.mark.parametrize(
    ("name", "text"), [("gpt2", "Hi 서울 café 🏖️!"), ("bert-moods", "Hi 서울 filmmaking"), ("t5", "Hi there")]
)
def test_tokens_have_names_that_people_can_read(
    node: Callable[..., Any], server: Running, name: str, text: str
) -> None:
    [tokens] = server.post(f"/models/{name}/tokenize", {"inputs": text})[1]
    names = node(
        'import { readable } from "./pieces.js"; found = readable(given.tokens, given.text);',
        {"tokens": tokens, "text": text},
    )
    assert len(names) == len(tokens)
    assert not any(sign in "".join(names) for sign in "Ġ▁ìðŁ")
    plain = [one for one, token in zip(names, tokens, strict=True) if not token["special"]]
    if name == "gpt2":
        # The first of the tokens that share a character stands for it.
        firsts = [one.rstrip("₁") for one in plain if one[-1] not in "₂₃₄₅₆₇₈₉"]
        assert "".join(firsts) == text


@pytest.fixture(scope="module")
def snippets(node: Callable[..., Any]) -> Callable[..., dict[str, str]]:
    """The code for a request, by its language; made once for all of them."""

    @cache
    def made(**given: str | bool) -> dict[str, str]:
        source = 'import { snippets } from "./snippets.js"; found = snippets({...given, body: JSON.parse(given.body)});'
        return {one["name"]: one["code"] for one in node(source, given)}

    return lambda url, task, body, keyed=False: made(url=url, task=task, body=json.dumps(body), keyed=keyed)


def run_here(code: str, environment: Mapping[str, str]) -> str:
    """What Python prints; in this process, since a new one would spend its time on importing the client."""
    printed = io.StringIO()
    with mock.patch.dict(os.environ, environment), redirect_stdout(printed):
        exec(compile(code, "call.py", "exec"), {"__name__": "__main__"})
    return printed.getvalue()


def run(language: str, code: str, folder: Path, **environment: str) -> str:
    """What a snippet prints."""
    if language == "python":
        return run_here(code, environment)
    names = {"curl": "call.sh", "javascript": "call.mjs"}
    programs = {"curl": "bash", "javascript": "node"}
    if shutil.which(programs[language]) is None or (language == "curl" and shutil.which("curl") is None):
        pytest.skip(f"{language} needs a program that is not installed")
    script = folder / names[language]
    script.write_text(code, encoding="utf-8")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [programs[language], str(script)],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{code}\n\n{done.stderr}"
    return done.stdout


def words_of(answer: Any) -> list[str]:
    """Every text in an answer."""
    if isinstance(answer, Mapping):
        return [word for part in answer.values() for word in words_of(part)]
    if isinstance(answer, list):
        return [word for part in answer for word in words_of(part)]
    return [answer] if isinstance(answer, str) else []


def first_number(answer: Any) -> float:
    return first_number(answer[0]) if isinstance(answer, list) else float(answer)


def assert_printed(language: str, printed: str, answer: Any) -> None:
    if language != "python":
        assert_near(json.loads(printed), answer)
        return
    if not words_of(answer):  # numbers, which the client hands out as a list or as an array that prints its ends
        assert float(re.findall(r"-?\d[\d.e+-]*", printed)[0]) == pytest.approx(first_number(answer), rel=1e-4)
    for word in words_of(answer):
        assert word in printed or repr(word)[1:-1] in printed, f"{word!r} is not in {printed}"


LANGUAGES = ("curl", "python", "javascript")
ONE_EACH = list({call.task: call for call in CALLS}.values())
BY_HAND = [  # what huggingface_hub has no method or argument for
    Call("text2text-generation", "t5", "A fine city.", {"max_new_tokens": 5}),
    Call("text-classification", "bert-moods", "A fine city.", {"truncation": True, "top_k": 2}),
    Call("text-classification", "bert-moods", {"text": "A fine city.", "text_pair": "Very."}),
]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("call", [*ONE_EACH, *BY_HAND], ids=lambda call: call.name)
def test_code_gives_what_the_page_gets(
    snippets: Callable[..., dict[str, str]], server: Running, tmp_path: Path, call: Call, language: str
) -> None:
    body = {"inputs": call.inputs, **({"parameters": dict(call.parameters)} if call.parameters else {})}
    status, answer = server.post(f"/models/{call.model}/pipeline/{call.task}", body)
    assert status == 200, answer
    code = snippets(server.model(call.model, call.task), call.task, body)[language]
    by_hand = call in BY_HAND
    assert language != "python" or ("huggingface_hub" in code) is not by_hand
    assert_printed(language, run(language, code, tmp_path), answer)


@pytest.mark.parametrize("language", LANGUAGES)
def test_quotes_and_emoji_arrive_as_they_were(
    snippets: Callable[..., dict[str, str]], server: Running, tmp_path: Path, language: str
) -> None:
    body = {"inputs": NASTY, "parameters": {"candidate_labels": [NASTY, "좋아요"]}}
    task = "zero-shot-classification"
    printed = run(language, snippets(server.model("bert-nli", task), task, body)[language], tmp_path)
    if language == "python":
        assert repr(NASTY) in printed
    else:
        assert NASTY in {one["label"] for one in json.loads(printed)}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("more", [{}, {"no_repeat_ngram_size": 2}], ids=["by client", "by hand"])
def test_code_writes_as_the_page_does_and_brings_its_key(
    snippets: Callable[..., dict[str, str]],
    locked: Running,
    pipe: Callable[..., Any],
    tmp_path: Path,
    language: str,
    more: dict[str, int],
) -> None:
    options = {"max_new_tokens": 6, "do_sample": False, **more}
    body = {"inputs": "Berlin is", "parameters": options, "stream": True}
    code = snippets(locked.model("gpt2"), "text-generation", body, keyed=True)[language]
    assert "open sesame" not in code
    printed = run(language, code, tmp_path, LAMINA_API_KEY="open sesame")
    whole = pipe("text-generation", "gpt2")("Berlin is", return_full_text=False, **options)[0]["generated_text"]
    if language == "curl":
        events = [json.loads(line[5:]) for line in printed.splitlines() if line.startswith("data:{")]
        assert "".join(event["token"]["text"] for event in events if not event["token"]["special"]) == whole
    elif language == "python":
        assert printed == whole
    else:
        assert printed.replace("\n", "") == whole.replace("\n", "")
