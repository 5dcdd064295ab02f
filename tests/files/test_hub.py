"""Names become folders: from the cache without a request, from a hub once, and every way to fail says what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lamina.checkpoint.files import weight_patterns
from lamina.errors import CheckpointError, HubError
from lamina.files.hub import cache_root, choose, resolve, unreachable
from lamina.files.paths import inside

from .fake_hub import COMMIT, Hub, serving

MODEL = ("config.json", "*.safetensors", "*.bin", "*.index.json")
WORDS = ("tokenizer.json", "tokenizer_config.json", "vocab*", "merges.txt")
FILES = {
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": bytes(range(256)) * 40,
    "pytorch_model.bin": b"never fetched beside safetensors",
    "vocab.txt": b"[PAD]\n[UNK]\n",
    "onnx/model.safetensors": b"of another folder",
    "README.md": b"# read me",
}


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving(Hub({"org/tiny": dict(FILES), "old-name": dict(FILES)})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def names(folder: Path) -> set[str]:
    return set(os.listdir(folder))


def cached(tmp_path: Path, files: dict[str, bytes], revision: str = "main", name: str = "org--tiny") -> Path:
    """A cache as other tools leave it: no list of the commit's files."""
    repo = tmp_path / "home" / "hub" / f"models--{name}"
    snapshot = repo / "snapshots" / COMMIT
    for number, (path, data) in enumerate(files.items()):
        (repo / "blobs").mkdir(parents=True, exist_ok=True)
        (repo / "blobs" / f"b{number}").write_bytes(data)
        (snapshot / path).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / path).symlink_to(os.path.relpath(repo / "blobs" / f"b{number}", (snapshot / path).parent))
    (repo / "refs").mkdir(parents=True, exist_ok=True)
    (repo / "refs" / revision).write_text(COMMIT)
    return snapshot


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    assert resolve(tmp_path, MODEL) == tmp_path
    assert resolve(str(tmp_path), MODEL, subfolder="inner") == tmp_path / "inner"
    with pytest.raises(HubError, match="no folder 'absent'"):
        resolve(tmp_path, MODEL, subfolder="absent")
    for bad in ("../x", "/etc", "a/../../b"):
        with pytest.raises(HubError, match="plain relative path"):
            resolve(tmp_path, MODEL, subfolder=bad)
    (tmp_path / "file.bin").write_bytes(b"x")
    with pytest.raises(HubError, match="is a file"):
        resolve(tmp_path / "file.bin", MODEL)


@pytest.mark.parametrize(
    "name", ["/no/such/folder", "./x", "../x", "a/b/c", "a b", "", "org--name", "-x", "a/..", "x\0"]
)
def test_what_is_neither_folder_nor_name_is_refused_before_any_look_up(name: str) -> None:
    with pytest.raises(HubError, match=r"neither a folder here nor the name of a model|a null character"):
        resolve(name, MODEL)


def test_a_revision_of_a_folder_changes_nothing_and_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for silent in (None, "main", tmp_path.name):
        assert resolve(tmp_path, MODEL, revision=silent) == tmp_path and not caplog.messages
    assert resolve(tmp_path, MODEL, revision="v2") == resolve(tmp_path, MODEL, revision="v2") == tmp_path
    assert [f"{tmp_path} is a folder here: revision='v2'" in message for message in caplog.messages] == [True]


@pytest.mark.parametrize(
    "wrong",
    [
        {"revision": 5},
        {"cache_dir": 5},
        {"token": []},
        {"local_files_only": 1},
        {"force_download": ""},
        {"subfolder": 0},
    ],
)
def test_an_option_of_another_kind_is_refused(tmp_path: Path, wrong: Any) -> None:
    for name in (tmp_path, "org/tiny"):
        with pytest.raises(HubError, match=f"{next(iter(wrong))}="):
            resolve(name, MODEL, **wrong)


def test_a_branch_of_the_cache_that_is_no_file_is_no_branch(tmp_path: Path) -> None:
    snapshot = cached(tmp_path, FILES)
    reference = snapshot.parent.parent / "refs" / "main"
    reference.unlink()
    os.mkfifo(reference)
    with pytest.raises(HubError, match="not in the cache"):
        resolve("org/tiny", MODEL, local_files_only=True)


@pytest.mark.parametrize("revision", ["../main", "a b", "-x", "x" * 300])
def test_revisions_are_checked_before_they_become_paths(revision: str) -> None:
    with pytest.raises(HubError, match="is not a revision"):
        resolve("org/tiny", MODEL, revision=revision)


def test_a_cached_model_is_found_without_network_or_library(tmp_path: Path) -> None:
    snapshot = cached(tmp_path, FILES)
    assert resolve("org/tiny", MODEL) == snapshot
    assert resolve("org/tiny", MODEL, revision=COMMIT) == snapshot
    assert resolve("org/tiny", WORDS, local_files_only=True) == snapshot
    assert inside(snapshot, "model.safetensors").read_bytes() == FILES["model.safetensors"]
    code = (
        "import sys; from lamina.files.hub import resolve; resolve('org/tiny', ('config.json',));"
        "sys.exit('huggingface_hub' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_old_names_without_an_owner_are_found(tmp_path: Path) -> None:
    snapshot = cached(tmp_path, FILES, name="bert-base-uncased")
    assert resolve("bert-base-uncased", MODEL) == snapshot


def test_the_cache_s_place_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_root("~/x") == Path.home() / "x"
    assert cache_root(None) == tmp_path / "home" / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "direct"))
    assert cache_root(None) == tmp_path / "direct"
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root(None) == tmp_path / "xdg" / "huggingface" / "hub"


def test_only_what_is_wanted_is_fetched_and_only_once(hub: Hub) -> None:
    folder = resolve("org/tiny", MODEL)
    assert names(folder) == {"config.json", "model.safetensors"}
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert (folder / "model.safetensors").is_symlink()
    before = len(hub.seen)
    assert resolve("org/tiny", MODEL) == folder == resolve("org/tiny", ("config.json",))
    assert len(hub.seen) == before, "a cached model needs no request"
    assert resolve("org/tiny", WORDS) == folder
    assert names(folder) == {"config.json", "model.safetensors", "vocab.txt"}
    assert resolve("old-name", MODEL).name == COMMIT


def test_a_pinned_commit_is_the_one_that_is_fetched(hub: Hub, tmp_path: Path) -> None:
    other = "f" * 40
    hub.revisions[other] = other
    assert resolve("org/tiny", MODEL, revision=other).name == other
    assert all(other in path for _, path, _ in hub.seen)
    assert not (tmp_path / "home" / "hub" / "models--org--tiny" / "refs").exists()


def test_a_moved_branch_is_followed_when_asked(hub: Hub) -> None:
    folder = resolve("org/tiny", MODEL)
    moved = "a" * 40
    hub.revisions |= {"main": moved, moved: moved}
    hub.files["org/tiny"]["config.json"] = b'{"model_type": "gpt2"}'
    assert resolve("org/tiny", MODEL) == folder
    fresh = resolve("org/tiny", MODEL, force_download=True)
    assert fresh.name == moved and json.loads((fresh / "config.json").read_text()) == {"model_type": "gpt2"}
    assert resolve("org/tiny", MODEL) == fresh


def test_files_of_a_subfolder(hub: Hub) -> None:
    folder = resolve("org/tiny", MODEL, subfolder="onnx")
    assert folder.name == "onnx" and names(folder) == {"model.safetensors"}
    assert inside(folder, "model.safetensors").read_bytes() == b"of another folder"


def test_an_unfinished_snapshot_is_completed(hub: Hub, tmp_path: Path) -> None:
    snapshot = cached(tmp_path, {"config.json": FILES["config.json"]})
    assert resolve("org/tiny", MODEL) == snapshot
    assert (snapshot / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_a_snapshot_that_lacks_shards_is_completed(hub: Hub, tmp_path: Path) -> None:
    index = json.dumps(
        {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    )
    shards = {f"model-0000{i}-of-00002.safetensors": b"x" * i for i in (1, 2)}
    files = {"config.json": b"{}", "model.safetensors.index.json": index.encode(), **shards}
    hub.files["org/tiny"] = files
    snapshot = cached(tmp_path, {k: v for k, v in files.items() if "00002-of" not in k})
    assert names(resolve("org/tiny", MODEL)) == set(files)
    assert (snapshot / "model-00002-of-00002.safetensors").read_bytes() == b"xx"


@pytest.mark.parametrize("key", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_means_no_request(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv(key, "1")
    with pytest.raises(HubError, match=r"not in the cache at .*home.hub.*HF_HUB_OFFLINE"):
        resolve("org/tiny", MODEL)
    snapshot = cached(tmp_path, {"config.json": b"{}"})
    assert resolve("org/tiny", MODEL) == snapshot, "what is there is used"
    assert not hub.seen
    monkeypatch.delenv(key)
    with pytest.raises(HubError, match="local_files_only=True"):
        resolve("org/other", MODEL, local_files_only=True)
    assert not hub.seen


def test_without_network_a_partial_snapshot_is_better_than_none(tmp_path: Path) -> None:
    snapshot = cached(tmp_path, {"config.json": b"{}"})
    assert resolve("org/tiny", MODEL) == snapshot
    with pytest.raises(HubError, match=r"http://127\.0\.0\.1:9 cannot be reached for 'org/none'.*not in the cache"):
        resolve("org/none", MODEL)


@pytest.mark.parametrize(
    ("problem", "silent"),
    [
        (httpx.ConnectError("no such host"), True),
        (httpx.RemoteProtocolError("the server hung up"), True),
        (httpx.ProxyError("refused"), True),
        (httpx.PoolTimeout("too slow"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (httpx.InvalidURL("x"), False),
        (httpx.HTTPStatusError("no", request=httpx.Request("GET", "http://x"), response=httpx.Response(503)), False),
        (ValueError("x"), False),
        (None, False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_a_hub_that_does_not_answer_is_told_from_one_that_refuses(problem: Exception | None, silent: bool) -> None:
    assert unreachable(problem) is silent


def test_a_file_cut_off_midway_is_taken_up_where_it_broke(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    hub.cut_after["model.safetensors"] = 4000
    folder = resolve("org/tiny", MODEL)
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    ranges = [
        {key.lower(): value for key, value in headers.items()}.get("range")
        for verb, path, headers in hub.seen
        if verb == "GET" and path.endswith("model.safetensors")
    ]
    assert len(ranges) == 2 and ranges[1] is not None and ranges[1].startswith("bytes=4000"), ranges


def test_a_file_of_the_wrong_size_is_refused_and_not_kept(hub: Hub) -> None:
    hub.wrong["model.safetensors"] = b"short"
    with pytest.raises(HubError, match=r"wrong size.*try again"):
        resolve("org/tiny", MODEL)
    hub.wrong.clear()
    assert (resolve("org/tiny", MODEL) / "model.safetensors").read_bytes() == FILES["model.safetensors"]


@pytest.mark.parametrize(
    ("refusal", "says"),
    [
        ((401, {}), r"neither a folder here nor a public model at http.* \(401\).*token"),
        ((401, {"X-Error-Code": "RepoNotFound"}), r"neither a folder here nor a public model"),
        ((401, {"X-Error-Code": "GatedRepo"}), r"is gated \(401\): ask for access at .*/org/tiny"),
        ((403, {"X-Error-Code": "GatedRepo"}), r"is gated \(403\)"),
        ((403, {}), r"is gated \(403\)"),
        ((404, {}), r"neither a folder here nor a public model.*\(404\)"),
        ((404, {"X-Error-Code": "RevisionNotFound"}), r"has no revision 'main'"),
        ((429, {"Retry-After": "0"}), r"asks to slow down \(429\), for 0 s"),
        ((500, {}), r"failed with status 500"),
    ],
)
def test_refusals_say_what_to_do(hub: Hub, monkeypatch: pytest.MonkeyPatch, refusal: Any, says: str) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    hub.refuse = refusal
    with pytest.raises(HubError, match=says):
        resolve("org/tiny", MODEL)


def test_refusals_of_single_files(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    hub.refuse_files = (403, {"X-Error-Code": "GatedRepo"})
    with pytest.raises(HubError, match="is gated"):
        resolve("org/tiny", MODEL)
    hub.refuse_files = (404, {"X-Error-Code": "EntryNotFound"})
    with pytest.raises(HubError, match="a file of 'org/tiny'"):
        resolve("org/tiny", MODEL)
    hub.refuse_files = (429, {})
    with pytest.raises(HubError, match="429"):
        resolve("org/tiny", MODEL)


def test_absent_models_revisions_and_files(hub: Hub) -> None:
    with pytest.raises(HubError, match="'org/none' is neither a folder here nor a public model"):
        resolve("org/none", MODEL)
    with pytest.raises(HubError, match="no revision 'v9'"):
        resolve("org/tiny", MODEL, revision="v9")
    with pytest.raises(HubError, match=r"none of the files wanted: \*\.onnx"):
        resolve("org/tiny", ("*.onnx",))


def test_the_token_is_passed_on(hub: Hub) -> None:
    resolve("org/tiny", MODEL, token="hf_secret")
    assert {headers.get("authorization", headers.get("Authorization")) for _, _, headers in hub.seen} == {
        "Bearer hf_secret"
    }


def test_links_of_a_cache_are_followed_and_others_are_not(tmp_path: Path) -> None:
    snapshot = cached(tmp_path, FILES)
    shared = tmp_path / "home" / "hub" / "blobs" / "ab" / ("ab" * 32)
    shared.parent.mkdir(parents=True)
    shared.write_bytes(b"shared by repositories")
    (snapshot.parent.parent / "blobs" / "link").symlink_to(shared)
    (snapshot / "extra.json").symlink_to("../../blobs/link")
    assert inside(snapshot, "extra.json").read_bytes() == b"shared by repositories"
    outside = tmp_path / "secret.txt"
    outside.write_text("secret")
    (snapshot / "evil.json").symlink_to(outside)
    with pytest.raises(CheckpointError, match="outside its folder"):
        inside(snapshot, "evil.json")


def test_choosing_among_a_repository_s_files() -> None:
    listed = [
        "model.safetensors",
        "pytorch_model.bin",
        "config.json",
        "sub/model.safetensors",
        "../x.safetensors",
        "flax.msgpack",
    ]
    assert choose(listed, MODEL) == ["config.json", "model.safetensors"]
    assert choose(listed[1:3], MODEL) == ["config.json", "pytorch_model.bin"]
    more = ["model.safetensors", "model.fp16.safetensors", "adapter.safetensors", "training_args.bin", "config.json"]
    assert choose(more, MODEL) == choose(more, weight_patterns()) == ["config.json", "model.safetensors"]
    assert choose(more, weight_patterns("fp16")) == ["config.json", "model.fp16.safetensors"]
    assert choose(more[3:], weight_patterns()) == ["config.json"]
    shards = [f"model{infix}-0000{i}-of-00002.safetensors" for i in (1, 2) for infix in ("", ".fp16")]
    indexes = ["model.safetensors.index.json", "model.safetensors.index.fp16.json"]
    assert choose([*shards, *indexes], weight_patterns()) == [*shards[::2], indexes[0]]
    assert choose([*shards, *indexes], weight_patterns("fp16")) == [*shards[1::2], indexes[1]]
    assert choose(listed, MODEL, "sub") == ["sub/model.safetensors"]
