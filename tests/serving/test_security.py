"""Keys, origins, paths and logs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from lamina.errors import ServingError
from lamina.serving import Served, ServeSettings, create_app
from lamina.serving.lifecycle import set_up_logging
from lamina.serving.schemas import PARAMETERS

from .asgi import Client, Exchange, run, started
from .fakes import FakeServed, FakeStages

KEY = "open sesame"
PATHS = ("/health", "/ready", "/metrics", "/openapi.json", "/docs", "/")


def app_of(**settings: Any) -> Any:
    return create_app(ServeSettings(**settings), {"fake": FakeServed("fake", FakeStages())})


def asked(path: str, payload: Any = None, settings: dict[str, Any] | None = None, **headers: str) -> Exchange:
    async def ask() -> Exchange:
        async with started(app_of(**(settings or {}))) as client:
            return await (client.get(path, **headers) if payload is None else client.post(path, payload, **headers))

    return run(ask())


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer no"},
        {"authorization": KEY},
        {"authorization": "Basic x"},
        {"x_api_key": "öpen"},
    ],
)
def test_without_the_key_nothing_is_computed(headers: dict[str, str]) -> None:
    answer = asked("/", {"inputs": "a"}, {"api_key": KEY}, **headers)
    assert (answer.status, answer.json["error_type"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "headers", [{"authorization": f"Bearer {KEY}"}, {"authorization": f"bearer {KEY}"}, {"x_api_key": KEY}]
)
def test_with_the_key_all_is_open(headers: dict[str, str]) -> None:
    assert asked("/", {"inputs": "a"}, {"api_key": KEY}, **headers).status == 200


def test_openai_clients_are_refused_in_their_own_words() -> None:
    answer = asked("/v1/embeddings", {"input": "a"}, {"api_key": KEY})
    assert answer.status == 401
    assert answer.json["error"]["type"] == "authentication_error"


@pytest.mark.parametrize("path", PATHS)
def test_pages_and_probes_need_no_key(path: str) -> None:
    assert asked(path, settings={"api_key": KEY}).status == 200


@pytest.mark.parametrize("path", ["/info", "/v1/models", "/models/fake", "/status/fake", "/playground/models"])
def test_what_is_served_is_told_to_nobody_without_the_key(path: str) -> None:
    assert asked(path, settings={"api_key": KEY}).status == 401


def test_an_empty_key_is_a_mistake() -> None:
    with pytest.raises(ServingError, match="empty"):
        ServeSettings(api_key=" ")


def test_the_key_is_in_no_representation() -> None:
    assert KEY not in repr(ServeSettings(api_key=KEY))


@pytest.mark.parametrize(("origin", "allowed"), [("https://good.example", True), ("https://evil.example", False)])
def test_pages_of_chosen_origins_may_call(origin: str, allowed: bool) -> None:
    settings = {"cors": ("https://good.example",), "api_key": KEY}

    async def preflight(client: Client) -> Exchange:
        named = {"origin": origin, "access-control-request-method": "POST"}
        named["access-control-request-headers"] = "authorization,content-type,x-wait-for-model"
        return await Exchange(client.app, "OPTIONS", "/", b"", named).end()

    async def ask() -> tuple[Exchange, Exchange]:
        async with started(app_of(**settings)) as client:
            return await preflight(client), await client.post("/", {"inputs": "a"}, origin=origin)

    before, refused = run(ask())
    for answer in (before, refused):
        assert (answer.headers.get("access-control-allow-origin") == origin) is allowed
    assert refused.status == 401, "also a refusal can be read by the page"
    if allowed:
        assert "x-compute-time" in refused.headers["access-control-expose-headers"].lower()


@pytest.mark.parametrize(
    "id", ["../secret", "/etc/passwd", "..%2fsecret", "fake/../../x", "file:///etc/passwd", "C:\\x", "a" * 600, "\x00"]
)
def test_no_path_of_a_request_is_looked_up(id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> list[Exchange]:
        async with started(app_of()) as client:

            def forbidden(*_: Any, **__: Any) -> Any:
                raise AssertionError("the file system was asked")

            with monkeypatch.context() as patched:
                for name in ("open", "stat", "exists", "is_file", "is_dir", "resolve", "read_text", "read_bytes"):
                    patched.setattr(Path, name, forbidden)
                paths = [
                    f"/models/{id}",
                    f"/models/{id}/embed",
                    f"/models/fake/pipeline/{id}",
                    f"/models/{id}/v1/completions",
                ]
                bodies = [{"inputs": "a"}, {"inputs": "a"}, {"inputs": "a"}, {"prompt": "a"}]
                return [await client.post(path, body) for path, body in zip(paths, bodies, strict=True)]

    assert {answer.status for answer in run(ask())} <= {404, 422}


def test_no_parameter_reaches_what_loads_or_runs() -> None:
    dangerous = {
        "assistant_model", "streamer", "logits_processor", "stopping_criteria", "generation_config", "model",
        "prefix_allowed_tokens_fn", "tokenizer", "tokenizer_encode_kwargs", "trust_remote_code", "custom_generate",
        "tokenize_kwargs", "tokenizer_kwargs", "device", "num_workers", "batch_size",
    }  # fmt: skip
    for task, parameters in PARAMETERS.items():
        assert not dangerous & set(parameters.model_fields), task
        assert parameters.model_config["extra"] == "forbid", task


@pytest.mark.parametrize("name", ["../up=x", "a b=x", "=x", "pipeline=x", "org/v1=x", ".hidden=x"])
def test_ids_that_would_be_no_addresses(name: str) -> None:
    with pytest.raises(ServingError, match="id"):
        create_app(ServeSettings(models=(name,)))


def test_two_models_of_one_name() -> None:
    with pytest.raises(ServingError, match="two models"):
        create_app(ServeSettings(models=("a=x", "a=y")))


def test_logs_hold_no_inputs(caplog: pytest.LogCaptureFixture) -> None:
    secret = "my secret diary"

    async def ask() -> list[int]:
        async with started(app_of()) as client:
            answers = [
                await client.post("/", {"inputs": secret}),
                await client.post("/", {"inputs": f"poison {secret}"}),
                await client.post("/", {"inputs": secret, "parameters": {secret: secret}}),
                await client.post("/models/x/%s", {"inputs": secret}),
                await client.post("/", secret.encode()),
            ]
            return [answer.status for answer in answers]

    with caplog.at_level(logging.DEBUG):
        statuses = run(ask())
    assert statuses[:3] == [200, 424, 422]
    assert '"POST /" 200' in caplog.text
    assert secret not in caplog.text


def test_pipelines_do_not_log_what_they_read(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("lamina.pipelines", "lamina.generation", "lamina.tokenizers", "lamina.serving")
    before = {name: logging.getLogger(name).level for name in names}
    try:
        set_up_logging()
        logging.getLogger("lamina.pipelines.fill_mask").warning("the target %r is no token", "secret")
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
    assert "secret" not in capsys.readouterr().err


def test_a_defect_tells_nothing_of_the_inside(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeStages):
        def resolve_options(self, options: Any) -> Any:
            return {}[str(options)]

    async def ask() -> Exchange:
        app = create_app(ServeSettings(), {"fake": FakeServed("fake", Broken())})
        async with started(app) as client:
            return await client.post("/", {"inputs": "a", "parameters": {"top_k": 77}})

    answer = run(ask())
    assert (answer.status, answer.json["error_type"]) == (424, "backend")
    assert "77" not in answer.content.decode() + caplog.text


def test_a_served_pipeline_has_the_id_it_was_given() -> None:
    assert Served.from_pipeline("any", type("Pipe", (), {"task": "x"})()).id == "any"
