"""The official API: shapes, parameters, error codes and headers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.viewer.conftest import Open
from tests.viewer.data import get, records, refused, write_jsonl, write_parquet, write_text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_parquet(tmp_path / "data" / "train-1.parquet", records(120))
    write_parquet(tmp_path / "data" / "train-2.parquet", records(30, 120))
    write_parquet(tmp_path / "data" / "test.parquet", records(20))
    write_jsonl(tmp_path / "data" / "extra.jsonl", [{"question": "why?"}])
    return tmp_path / "data"


def test_splits(folder: Path, client: Open):
    (folder / "link.parquet").symlink_to("/etc/hostname")
    answer = get(client(folder), "/splits")
    place = {"dataset": "data"}
    assert answer["splits"] == [
        {**place, "config": "default", "split": "train"},
        {**place, "config": "default", "split": "test"},
        {**place, "config": "json", "split": "train"},
    ]
    assert answer["pending"] == [] and "leads out" in answer["failed"][0]["error"]["error"]
    assert [each["config"] for each in get(client(folder), "/splits", config="json")["splits"]] == ["json"]


def test_all_names_or_none(folder: Path, client: Open):
    viewer = client(folder)
    named = get(viewer, "/rows", dataset="data", config="default", split="train", length=1)
    assert named == get(viewer, "/rows", length=1) == get(viewer, "/rows", dataset="someone/data", length=1)
    assert get(viewer, "/rows", split="test")["num_rows_total"] == 20
    assert get(viewer, "/rows", config="json")["rows"][0]["row"] == {"question": "why?"}


@pytest.mark.parametrize(
    "place",
    [
        "/splits",
        "/rows",
        "/first-rows",
        "/filter",
        "/is-valid",
        "/info",
        "/size",
        "/parquet",
        "/statistics",
        "/croissant",
    ],
)
def test_what_is_not_here(folder: Path, client: Open, place: str):
    viewer = client(folder)
    assert refused(viewer, place, dataset="other")[:2] == (404, "ResponseNotFound")
    if place not in ("/croissant",):
        assert refused(viewer, place, config="other")[:2] == (404, "ResponseNotFound")
    if place in ("/rows", "/first-rows", "/filter", "/is-valid", "/parquet", "/statistics"):
        status, code, text = refused(viewer, place, split="dev")
        assert (status, code) == (404, "ResponseNotFound") and "train, test" in text


@pytest.mark.parametrize(
    ("place", "parameters", "said"),
    [
        ("/rows", {"offset": -1}, "'offset'"),
        ("/rows", {"offset": "x"}, "'offset'"),
        ("/rows", {"length": 101}, "'length'"),
        ("/rows", {"length": -1}, "'length'"),
        ("/rows", {"offset": 10**30}, "'offset'"),
        ("/rows", {"cell": 3}, "'cell'"),
        ("/rows", {"full": "perhaps"}, "'full'"),
        ("/filter", {"where": "nothing = 1"}, "no column 'nothing'"),
        ("/filter", {"where": "text > 3 and"}, "before the end"),
        ("/filter", {"where": "score like 'x'"}, "'where' is invalid"),
        ("/filter", {"where": "id = 'word'"}, "'where' is invalid"),
        ("/filter", {"where": "regexp_matches(text, '(')"}, "'where' is invalid"),
        ("/filter", {"where": "text like '\\'"}, None),
        ("/filter", {"orderby": "nothing"}, "no column 'nothing'"),
        ("/search", {"query": "x" * 2000}, "longer than"),
    ],
)
def test_bad_parameters(folder: Path, client: Open, place: str, parameters: dict[str, Any], said: str | None):
    viewer = client(folder)
    if said is None:
        assert viewer.get(place, params=parameters).status_code in (200, 422)
        return
    status, code, text = refused(viewer, place, **parameters)
    assert (status, code) == (422, "InvalidParameter") and said in text


def test_headers(folder: Path, client: Open):
    viewer = client(folder)
    good = viewer.get("/rows", headers={"Origin": "http://localhost:3000"})
    assert good.headers["cache-control"] == "max-age=120" and len(good.headers["x-revision"]) == 40
    assert good.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert {"X-Error-Code", "X-Revision"} <= {
        each.strip() for each in good.headers["access-control-expose-headers"].split(",")
    }
    bad = viewer.get("/rows?offset=-1")
    assert bad.headers["cache-control"] == "max-age=10" and bad.headers["content-type"] == "application/json"
    assert viewer.get("/nothing").headers["x-error-code"] == "ResponseNotFound"
    assert viewer.post("/rows").status_code == 405 and "error" in viewer.post("/rows").json()


def test_first_rows(folder: Path, client: Open):
    answer = get(client(folder), "/first-rows", config="default", split="train")
    assert (answer["dataset"], answer["config"], answer["split"]) == ("data", "default", "train")
    assert len(answer["rows"]) == 100 and answer["truncated"] is True
    assert get(client(folder), "/first-rows", split="test")["truncated"] is False
    pq.write_table(pa.table({f"c{place}": [1] for place in range(1001)}), folder / "validation.parquet")
    assert refused(client(folder), "/first-rows", split="validation")[1] == "TooBigContentError"


def test_size(folder: Path, client: Open):
    answer = get(client(folder), "/size")
    assert answer["size"]["dataset"]["num_rows"] == 171 and answer["partial"] is False
    train = answer["size"]["splits"][0]
    assert (train["num_rows"], train["num_columns"], train["estimated_num_rows"]) == (150, 6, None)
    assert train["num_bytes_parquet_files"] == sum(path.stat().st_size for path in folder.glob("train*"))
    assert [each["config"] for each in answer["size"]["configs"]] == ["default", "json"]
    assert get(client(folder), "/size", config="default")["size"]["config"]["num_rows"] == 170


def test_info(folder: Path, client: Open):
    answer = get(client(folder), "/info")["dataset_info"]
    assert set(answer) == {"default", "json"}
    assert answer["default"]["splits"]["train"]["num_examples"] == 150
    assert answer["default"]["features"]["label"]["_type"] == "ClassLabel"
    assert get(client(folder), "/info", config="json")["dataset_info"]["builder_name"] == "json"


def test_parquet(folder: Path, client: Open):
    viewer = client(folder)
    answer = get(viewer, "/parquet")
    assert [each["filename"] for each in answer["parquet_files"]] == [
        "train-1.parquet",
        "train-2.parquet",
        "test.parquet",
    ]
    assert answer["failed"][0]["config"] == "json" and "not as Parquet" in answer["failed"][0]["error"]["error"]
    first = answer["parquet_files"][0]
    assert viewer.get(first["url"]).content == (folder / "train-1.parquet").read_bytes()
    assert first["size"] == (folder / "train-1.parquet").stat().st_size


def test_is_valid(folder: Path, client: Open):
    every = {"preview": True, "viewer": True, "search": True, "filter": True, "statistics": True}
    assert get(client(folder), "/is-valid") == every == get(client(folder), "/is-valid", split="test")
    (folder / "validation.parquet").write_bytes(b"nonsense")
    assert not any(get(client(folder), "/is-valid", split="validation").values())


def test_what_is_broken_is_named_by_the_describing_endpoints(folder: Path, client: Open):
    (folder / "validation.parquet").write_bytes(b"nonsense")
    for place in ("/size", "/info", "/parquet"):
        (failed, *_) = get(client(folder), place)["failed"]
        assert failed["split"] == "validation" and "validation.parquet" in failed["error"]["error"]


def test_a_file_that_changes_meanwhile(tmp_path: Path, client: Open):
    path = write_parquet(tmp_path / "train.parquet", records(100))
    viewer = client(tmp_path)
    get(viewer, "/rows")
    path.unlink()
    status, code, text = refused(viewer, "/rows")
    assert (status, code) == (500, "StreamingRowsError") and "train.parquet cannot be opened any more" in text
    write_parquet(path, records(50))
    assert "train.parquet has changed" in refused(viewer, "/rows")[2]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of rdflib, which mlcroissant reads JSON-LD with
def test_croissant(folder: Path, client: Open):
    import json

    import mlcroissant

    answer = get(client(folder), "/croissant")
    path = write_text(folder.parent / "croissant.json", json.dumps(answer))
    found = mlcroissant.Dataset(jsonld=str(path))
    assert not found.metadata.ctx.issues.errors
    fields = {field.id: field for records_ in found.metadata.record_sets for field in records_.fields}
    assert "default/tags" in fields and fields["default/tags"].repeated
