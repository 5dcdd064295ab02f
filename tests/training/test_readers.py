from __future__ import annotations

import json
from pathlib import Path

import pytest

from lamina.errors import DataError
from lamina.training.glue import GLUE, read_glue
from lamina.training.readers import read_conll, read_parallel, read_squad, read_swag
from lamina.training.tables import open_table


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


ROWS = [{"text": 'a "quoted", text', "label": "x"}, {"text": "zwei\nlines", "label": "y"}]


@pytest.mark.parametrize("kind", ["csv", "json", "columns", "jsonl", "parquet", "object"])
def test_tables_of_every_kind_hold_the_same_rows(tmp_path: Path, kind: str):
    if kind == "csv":
        source = written(tmp_path, "a.csv", 'text,label\r\n"a ""quoted"", text",x\r\n"zwei\nlines",y\r\n')
    elif kind == "json":
        source = written(tmp_path, "a.json", json.dumps(ROWS))
    elif kind == "columns":
        source = written(tmp_path, "a.json", json.dumps({name: [row[name] for row in ROWS] for name in ROWS[0]}))
    elif kind == "jsonl":
        source = written(tmp_path, "a.jsonl", "\n".join(map(json.dumps, ROWS)) + "\n\n")
    elif kind == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        source = tmp_path / "a.parquet"
        parquet.write_table(pyarrow.Table.from_pylist(ROWS), source)
    else:
        source = ROWS
    assert list(open_table(source)) == ROWS


def test_the_same_file_has_the_same_fingerprint_and_another_not(tmp_path: Path):
    one, other = (written(tmp_path, f"{i}.csv", f"text\n{i}\n") for i in (1, 2))
    assert open_table(one).fingerprint == open_table(str(one)).fingerprint != open_table(other).fingerprint


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.csv", "text,label\na\n", "row 2: has 1 columns, the first row names 2"),
        ("a.csv", "text,text\na,b\n", "row 1: a column's name comes twice"),
        ("a.csv", 'text\n"open\n', "row 2: cannot be read as a table"),
        ("a.csv", 'text\nok\n"open\nb\nc\n', "row 3: cannot be read as a table .*is a quotation mark left open there"),
        ("a.csv", '"text\nok\n', "row 1: cannot be read as a table"),
        ("a.jsonl", '{"text": "a"}\n{"text"\n', "row 2: not JSON"),
        ("a.jsonl", "[1]\n", "row 1: must be an object"),
        ("a.json", "[1]", "row 1: must be an object"),
        ("a.json", '{"a": [1], "b": []}', "differ in length"),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.json", '[{"a": 1' + "0" * 5000 + "}]", "cannot be read as JSON"),
        ("a.jsonl", '{"a": 1}\n' + "[" * 100_000, "row 2: .*nested too deeply"),
        ("a.csv", "", "holds no rows"),
        ("a.csv", b"text\nok\n\xff\n", "row 3: not UTF-8"),
        ("a.parquet", "no parquet", "cannot be read as parquet"),
    ],
)
def test_a_broken_table_is_named_with_its_row(tmp_path: Path, name: str, text: str | bytes, complaint: str):
    with pytest.raises(DataError, match=complaint):
        open_table(written(tmp_path, name, text))


def test_a_missing_file_and_column_are_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"none\.csv: cannot be read"):
        open_table(tmp_path / "none.csv")
    table = open_table(written(tmp_path, "a.csv", "sentence,label\na,b\n"))
    with pytest.raises(DataError, match=r"a\.csv, row 2: no value in the column 'text'; there are 'sentence', 'label'"):
        table.texts("text")


FILES = {
    "cola": "gj04\t1\t\tOur friends won't \"buy this.\ngj04\t0\t*\tThe more.\n",
    "sst2": "sentence\tlabel\nhide new\t0\nfine\t1\n",
    "mrpc": '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\tOne " text\tTwo\n0\t7\t8\ta\tb\n',
    "qqp": "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\tWhat?\tHow?\t0\n1\t2\t3\tq\tr\t1\n",
    "stsb": "index\tsentence1\tsentence2\tscore\n0\ta\tb\t5.000\n1\tc\td\t2.5\n",
    "mnli": "index\tsentence1\tsentence2\tlabel1\tgold_label\n0\tp\th\tx\tneutral\n1\tp\th\tx\tentailment\n",
    "qnli": "index\tquestion\tsentence\tlabel\n0\tq\ts\tentailment\n1\tq\ts\tnot_entailment\n",
    "rte": "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tnot_entailment\n1\ta\tb\tentailment\n",
    "wnli": "index\tsentence1\tsentence2\tlabel\n0\ta\tb\t1\n1\ta\tb\t0\n",
}


@pytest.mark.parametrize("name", GLUE)
def test_every_glue_task_comes_out_under_its_columns(tmp_path: Path, name: str):
    table = read_glue(written(tmp_path, "train.tsv", FILES[name]), name)
    assert len(table) == 2
    assert set(table[0]) == {*GLUE[name].columns, "label"}
    assert all(row["label"] in GLUE[name].labels for row in table) or not GLUE[name].labels


def test_quotation_marks_in_glue_are_letters(tmp_path: Path):
    assert (
        read_glue(written(tmp_path, "a.tsv", FILES["cola"]), "cola")[0]["sentence"] == "Our friends won't \"buy this."
    )
    with pytest.raises(DataError, match="no GLUE task 'ax'"):
        read_glue(tmp_path, "ax")


def test_conll_columns(tmp_path: Path):
    text = "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\nPeter NNP B-NP B-PER\n"
    table = read_conll(written(tmp_path, "a.txt", text))
    assert list(table) == [
        {"tokens": ["EU", "rejects"], "labels": ["B-ORG", "O"]},
        {"tokens": ["Peter"], "labels": ["B-PER"]},
    ]
    assert table.place(1).endswith("row 6")
    assert read_conll(written(tmp_path, "b.txt", text), label_column=1)[0]["labels"] == ["NNP", "VBZ"]
    with pytest.raises(DataError, match="row 2: has 1 columns"):
        read_conll(written(tmp_path, "c.txt", "a O\nb\n"))
    with pytest.raises(DataError, match="row 1: 2 tokens but 1 labels"):
        read_conll([{"tokens": ["a", "b"], "ner_tags": ["O"]}])


def squad(start: int, impossible: bool = False) -> str:
    asked = {"id": "q", "question": "Who?", "answers": [{"text": "Ada", "answer_start": start}]}
    if impossible:
        asked |= {"is_impossible": True, "answers": []}
    return json.dumps({"version": "2", "data": [{"paragraphs": [{"context": "It was Ada.", "qas": [asked]}]}]})


def test_squad_of_both_versions(tmp_path: Path):
    row = read_squad(written(tmp_path, "a.json", squad(7)))[0]
    assert row["answers"] == {"text": ["Ada"], "answer_start": [7]} and row["id"] == "q"
    assert read_squad(written(tmp_path, "b.json", squad(0, True)))[0]["answers"] == {"text": [], "answer_start": []}
    assert read_squad([row])[0] == row


def test_a_span_that_is_not_in_its_context_is_refused(tmp_path: Path):
    with pytest.raises(
        DataError, match=r"a\.json, row 1: the answer 'Ada' to 'q' is not in its context at character 6"
    ):
        read_squad(written(tmp_path, "a.json", squad(6)))


def test_swag(tmp_path: Path):
    text = "sent1,sent2,ending0,ending1,ending2,ending3,label\nHe eats.,Then he,a,b,c,d,2\n"
    row = {"first": "He eats.", "seconds": ["Then he a", "Then he b", "Then he c", "Then he d"], "label": 2}
    assert list(read_swag(written(tmp_path, "a.csv", text))) == [row]
    with pytest.raises(DataError, match=r"row 2: the label '4' is outside the set: a number from 0 to 3"):
        read_swag(written(tmp_path, "b.csv", text.replace(",2\n", ",4\n")))
    with pytest.raises(DataError, match="row 2: no text in the column 'sent1'"):
        read_swag(written(tmp_path, "c.csv", text.replace("sent1", "first")))


def test_parallel_text(tmp_path: Path):
    a, b = written(tmp_path, "a.en", "one\ntwo\n"), written(tmp_path, "a.fr", "un\ndeux\n")
    pairs = [{"source": "one", "target": "un"}, {"source": "two", "target": "deux"}]
    assert list(read_parallel(f"{a},{b}")) == pairs
    nested = [{"translation": {"en": row["source"], "fr": row["target"]}} for row in pairs]
    assert list(read_parallel(nested, "en", "fr")) == pairs
    with pytest.raises(DataError, match=r"2 lines and .* 1: they must go in pairs"):
        read_parallel(f"{a},{written(tmp_path, 'c.fr', 'un')}")
    with pytest.raises(DataError, match="row 1: no text in the column 'ro'"):
        read_parallel(nested, "en", "ro")


def test_other_objects_are_refused_with_what_to_do():
    with pytest.raises(DataError, match="the data is a dict with the parts 'train', 'test': choose one of them"):
        open_table({"train": ROWS, "test": ROWS})
    with pytest.raises(DataError, match="an object with __len__ and __getitem__, not 3"):
        open_table(3)
    with pytest.raises(DataError, match=r"the data gives no row 0 \(KeyError"):
        open_table(Frame())
    with pytest.raises(DataError, match="row 1 of the data is a str; rows are dictionaries"):
        open_table(["a"])
    with pytest.raises(DataError, match="the data holds no rows"):
        open_table([])


class Frame:
    """Indexed by column, as a table of pandas is."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, name: object) -> object:
        return {"text": ["a", "b"]}[name]


def test_classes_of_a_datasets_column_come_by_their_names():
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "tokens": datasets.Sequence(datasets.Value("string")),
            "ner_tags": datasets.Sequence(datasets.ClassLabel(names=["O", "B-PER"])),
            "label": datasets.ClassLabel(names=["bad", "good"]),
        }
    )
    data = datasets.Dataset.from_list(
        [{"tokens": ["Ada", "ran"], "ner_tags": [1, 0], "label": 1}, {"tokens": ["a"], "ner_tags": [0], "label": -1}],
        features=features,
    )
    assert open_table(data).column("label") == ["good", -1]
    assert read_conll(data)[0] == {"tokens": ["Ada", "ran"], "labels": ["B-PER", "O"]}
    with pytest.raises(DataError, match="the tags in 'ner_tags' must be names such as O and B-PER, not numbers"):
        read_conll(list(data))


def test_glue_by_numbers_has_the_names_of_the_files(tmp_path: Path):
    rows = [{"sentence1": "a", "sentence2": "b", "label": label} for label in (1, 0, -1)]
    assert [row["label"] for row in read_glue(rows, "rte")] == ["not_entailment", "entailment", -1]


def test_lines_of_qqp_that_were_cut_short_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    broken = FILES["qqp"].replace("1\t2\t3\tq\tr\t1", "1\t2\t3\tq")
    assert len(read_glue(written(tmp_path, "train.tsv", broken), "qqp")) == 1
    assert "row 3: left out, it has 4 columns of 6" in caplog.text


def test_two_questions_with_one_id_are_refused():
    row = {"id": "q", "question": "Who?", "context": "It was Ada.", "answers": {"text": ["Ada"], "answer_start": [7]}}
    with pytest.raises(DataError, match="row 2: the id 'q' is that of the data, row 1 too"):
        read_squad([row, row])


def test_a_docstart_line_may_stand_right_before_its_sentence(tmp_path: Path):
    table = read_conll(written(tmp_path, "a.txt", "-DOCSTART- O\nEU B-ORG\n\n-DOCSTART- O\n\nx O\n"))
    assert [row["tokens"] for row in table] == [["EU"], ["x"]] and table.place(0).endswith("row 2")


def test_lines_end_at_line_feeds_only(tmp_path: Path):
    table = open_table(written(tmp_path, "a.txt", "one\u2028still one\r\n\ntwo\n"))
    assert table.texts("text") == ["one\u2028still one", "two"] and table.place(1).endswith("row 3")
