"""What a course on transformers has its readers type runs here with one word changed: where the names come from.

The models are named as there; they sit in a hub cache made for the test, tiny and random, with the real vocabulary.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch

import lamina

from .assets import asset

SENTIMENT = "distilbert-base-uncased-finetuned-sst-2-english"
BERT = "bert-base-uncased"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FIRST = [101, 1045, 1005, 2310, 2042, 3403, 2005, 1037, 17662, 12172, 2607, 2026, 2878, 2166, 1012, 102]
SECOND = [101, 1045, 5223, 2023, 2061, 2172, 999, 102]


def publish(cache: Path, name: str, model: Any) -> None:
    """Put a model and the real uncased vocabulary where the hub's cache keeps `name`."""
    folder = cache / f"models--{name}"
    snapshot = folder / "snapshots" / COMMIT
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    model.save_pretrained(snapshot)
    shutil.copyfile(asset("minilm") / "vocab.txt", snapshot / "vocab.txt")
    (snapshot / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True, "model_max_length": 512}))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("home") / "hub"
    torch.manual_seed(0)
    sentiment = lamina.DistilBertConfig(
        dim=32,
        n_layers=2,
        n_heads=4,
        hidden_dim=64,
        id2label={0: "NEGATIVE", 1: "POSITIVE"},
        label2id={"NEGATIVE": 0, "POSITIVE": 1},
    )
    publish(root, SENTIMENT, lamina.DistilBertForSequenceClassification(sentiment))
    bert = lamina.BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
    publish(root, BERT, lamina.BertModel(bert))
    return root


@pytest.fixture
def run(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a snippet in an empty folder, without network, and gives what it left behind."""
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)

    def execute(snippet: str) -> dict[str, Any]:
        names: dict[str, Any] = {}
        code = dedent(snippet).replace("from transformers import", "from lamina import")
        exec(compile(code, "<snippet>", "exec"), names)
        return names

    return execute


BATCH = f"""
    from transformers import AutoTokenizer

    checkpoint = "{SENTIMENT}"
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    raw_inputs = [
        "I've been waiting for a HuggingFace course my whole life.",
        "I hate this so much!",
    ]
    inputs = tokenizer(raw_inputs, padding=True, truncation=True, return_tensors="pt")
"""
LOGITS = (
    BATCH
    + """
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(checkpoint)
    outputs = model(**inputs)
"""
)


def test_pipeline_in_two_lines(run, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "nothing-here"))
    left = run("""
        from transformers import pipeline

        classifier = pipeline("sentiment-analysis")
        result = classifier([
            "I've been waiting for a HuggingFace course my whole life.",
            "I hate this so much!",
        ])
    """)
    assert [list(answer) for answer in left["result"]] == [["label", "score"]] * 2
    assert [answer["label"] for answer in left["result"]] == ["POSITIVE", "NEGATIVE"]
    assert all(0.5 < answer["score"] <= 1 for answer in left["result"])


def test_pipeline_with_a_model_of_one_s_choice(run):
    left = run(f"""
        from transformers import pipeline

        classifier = pipeline("sentiment-analysis", model="{SENTIMENT}")
        result = classifier("I hate this so much!")
    """)
    (answer,) = left["result"]
    assert answer["label"] in ("NEGATIVE", "POSITIVE")
    assert 0.5 <= answer["score"] <= 1


def test_tokenizer_pads_truncates_and_makes_tensors(run):
    inputs = run(BATCH)["inputs"]
    assert list(inputs) == ["input_ids", "attention_mask"]
    assert inputs["input_ids"].tolist() == [FIRST, SECOND + [0] * 8]
    assert inputs["attention_mask"].tolist() == [[1] * 16, [1] * 8 + [0] * 8]


def test_model_gives_hidden_states(run):
    left = run(
        BATCH
        + """
    from transformers import AutoModel

    model = AutoModel.from_pretrained(checkpoint)
    outputs = model(**inputs)
    """
    )
    outputs = left["outputs"]
    assert outputs.last_hidden_state.shape == (2, 16, 32)
    assert outputs["last_hidden_state"] is outputs[0] is outputs.last_hidden_state


def test_logits_become_predictions_with_names(run):
    left = run(
        LOGITS
        + """
    import torch

    predictions = torch.nn.functional.softmax(outputs.logits, dim=-1)
    labels = [model.config.id2label[i] for i in predictions.argmax(-1).tolist()]
    names = model.config.id2label
    """
    )
    assert left["outputs"].logits.shape == (2, 2)
    torch.testing.assert_close(left["predictions"].sum(-1), torch.ones(2))
    assert left["names"] == {0: "NEGATIVE", 1: "POSITIVE"}
    assert set(left["labels"]) <= {"NEGATIVE", "POSITIVE"}


def test_steps_by_hand_are_the_call(run):
    left = run(
        LOGITS
        + """
    import torch

    tokens = tokenizer.tokenize(raw_inputs[0])
    ids = tokenizer.convert_tokens_to_ids(tokens)
    framed = tokenizer(raw_inputs[0])["input_ids"]
    text = tokenizer.decode(ids)
    alone = model(torch.tensor([framed])).logits
    """
    )
    assert left["tokens"][:6] == ["i", "'", "ve", "been", "waiting", "for"]
    assert left["ids"] == FIRST[1:-1]
    assert left["framed"] == FIRST
    assert left["text"] == "i've been waiting for a huggingface course my whole life."
    torch.testing.assert_close(left["alone"][0], left["outputs"].logits[0], atol=1e-5, rtol=0)


def test_padding_needs_its_mask(run):
    left = run(
        LOGITS
        + """
    import torch

    padded = torch.tensor([inputs["input_ids"][1].tolist()])
    mask = torch.tensor([inputs["attention_mask"][1].tolist()])
    masked = model(padded, attention_mask=mask).logits
    unmasked = model(padded).logits
    """
    )
    torch.testing.assert_close(left["masked"][0], left["outputs"].logits[1], atol=1e-5, rtol=0)
    assert not torch.allclose(left["unmasked"], left["masked"], atol=1e-4)


def test_config_makes_a_random_model(run):
    left = run("""
        from transformers import BertConfig, BertModel

        config = BertConfig()
        model = BertModel(config)
    """)
    config, model = left["config"], left["model"]
    assert (config.hidden_size, config.num_hidden_layers, config.vocab_size) == (768, 12, 30522)
    assert model.num_parameters() == 109_482_240
    assert '"hidden_size": 768' in str(config)
    assert model.get_input_embeddings().weight.std().item() == pytest.approx(0.02, rel=0.01)


@pytest.mark.parametrize(
    ("option", "file"), [("", "model.safetensors"), (", safe_serialization=False", "pytorch_model.bin")]
)
def test_saving_writes_two_files(run, tmp_path, option, file):
    left = run(f"""
        from transformers import BertModel

        model = BertModel.from_pretrained("{BERT}")
        model.save_pretrained("directory_on_my_computer"{option})
        again = BertModel.from_pretrained("directory_on_my_computer")
    """)
    assert sorted(path.name for path in (tmp_path / "directory_on_my_computer").iterdir()) == ["config.json", file]
    model, again = left["model"], left["again"]
    for (name, ours), theirs in zip(model.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs), name


def test_named_tokenizer_saves_and_loads(run, tmp_path):
    left = run(f"""
        from transformers import AutoTokenizer, BertTokenizer

        tokenizer = BertTokenizer.from_pretrained("{BERT}")
        encoded = tokenizer("Using a Transformer network is simple")
        tokenizer.save_pretrained("directory_on_my_computer")
        again = AutoTokenizer.from_pretrained("directory_on_my_computer")("Using a Transformer network is simple")
    """)
    assert list(left["encoded"]) == ["input_ids", "token_type_ids", "attention_mask"]
    assert left["encoded"]["input_ids"] == [101, 2478, 1037, 10938, 2121, 2897, 2003, 3722, 102]
    assert dict(left["again"]) == dict(left["encoded"])
