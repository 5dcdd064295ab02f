"""Each recipe learns a small sample, and leaves a folder that pipelines load."""

from __future__ import annotations

import bz2
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamina import AutoModelForMultipleChoice, BertConfig, Tokenizer, pipeline
from lamina.errors import DataError, TrainingError
from lamina.training import recipes
from tests.assets import asset
from tests.pipelines.writers import write_writer
from tests.training import samples

ARGUMENTS = {"weight_decay": 0.0, "logging_steps": 10, "eval_strategy": "no", "save_strategy": "no"}
SMALL = {"d_model": 64, "d_ff": 128, "d_kv": 16, "num_heads": 4, "dropout_rate": 0.0}


def run(name: str, **settings: Any) -> dict[str, float]:
    module = recipes.recipe(name)
    arguments = {**ARGUMENTS, **settings.pop("arguments", {})}
    results: dict[str, float] = module.train(module.Settings(**settings, arguments=arguments))
    return results


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small BERT's shape, with a vocabulary of the samples' words and of a novel's."""
    folder = tmp_path_factory.mktemp("encoder")
    texts = [" ".join(row) for row in (*samples.FACTS, *samples.ENDINGS, *samples.PLACES)]
    texts += asset("botchan").read_text(encoding="utf-8").split("\n")[:1500] + list(samples.SENTENCES)
    tokenizer = Tokenizer.train(texts, kind="wordpiece", vocab_size=1500)
    tokenizer.save_pretrained(folder)
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    BertConfig(vocab_size=len(tokenizer), max_position_embeddings=128, **shape, **dropout).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """A small T5's or GPT-2's shape with a real vocabulary."""

    def written(name: str) -> str:
        folder = write_writer(name, tmp_path_factory.mktemp(name), asset)
        config = json.loads((folder / "config.json").read_text())
        config |= SMALL if name == "t5" else {"n_embd": 64, "n_head": 4, "n_positions": 64}
        (folder / "config.json").write_text(json.dumps(config))
        return str(folder)

    return written


def reviews(folder: Path, part: str, rows: int) -> Path:
    """Film reviews, those of one part of the films."""
    table = csv.DictReader(io.StringIO(bz2.decompress(asset("rotten_tomatoes").read_bytes()).decode()))
    path = folder / f"{part}.csv"
    with path.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(["text", "label"])
        for row in table:
            own = "eval" if sum(row["movie_name"].encode()) % 5 == 0 else "train"
            if own == part and row["category"] != "plot" and rows > 0:
                writer.writerow([row["text"], row["category"]])
                rows -= 1
    return path


def test_text_classification_learns_from_reviews(tmp_path: Path):
    train, held = reviews(tmp_path, "train", 1600), reviews(tmp_path, "eval", 300)
    results = run(
        "text-classification",
        model=str(asset("bert_tiny")),
        train=train,
        eval=held,
        output=tmp_path / "out",
        epochs=2,
        learning_rate=3e-4,
        max_length=48,
    )
    assert results["eval_accuracy"] > 0.6
    assert pipeline("text-classification", str(tmp_path / "out"))("Great fun.")[0]["label"] in ("fresh", "rotten")


@pytest.mark.parametrize("problem", ["regression", "multi-label"])
def test_numbers_and_several_labels(tmp_path: Path, encoder: str, problem: str):
    words = [word for fact in samples.FACTS for word in fact[0].split()][:48]
    if problem == "regression":
        rows = [{"text": f"{word} {'good' if i % 2 else 'bad'}", "label": float(i % 2)} for i, word in enumerate(words)]
    else:
        rows = [
            {"text": f"{word} {'the' if i % 2 else 'a'} {'and' if i % 3 else 'or'}",
             "label": "|".join(name for name, on in (("odd", i % 2), ("other", i % 3), ("always", 1)) if on)}
            for i, word in enumerate(words)
        ]  # fmt: skip
    results = run(
        "text-classification", model=encoder, train=rows, eval=rows, output=tmp_path / "out", epochs=12,
        learning_rate=2e-3, from_scratch=True, problem=problem,
    )  # fmt: skip
    assert results["eval_pearson" if problem == "regression" else "eval_f1"] > 0.9
    found = pipeline("text-classification", str(tmp_path / "out"), top_k=None)("the good and")
    assert {each["label"] for each in found} == ({"LABEL_0"} if problem == "regression" else {"odd", "other", "always"})


@pytest.mark.parametrize("options", [{}, {"whole_word": True}, {"packing": "notebook"}], ids=["plain", "words", "notebook"])
def test_masked_language_modeling_learns_from_a_novel(tmp_path: Path, encoder: str, options: dict[str, Any]):
    lines = asset("botchan").read_text(encoding="utf-8").split("\n")
    (tmp_path / "train.txt").write_text("\n".join(lines[200:900]))
    (tmp_path / "eval.txt").write_text("\n".join(lines[900:1100]))
    results = run(
        "language-modeling", model=encoder, train=tmp_path / "train.txt", eval=tmp_path / "eval.txt",
        output=tmp_path / "out", epochs=4, learning_rate=3e-3, from_scratch=True, block_size=64, **options,
    )  # fmt: skip
    assert results["eval_perplexity"] < 600  # of 1500 words at the start
    assert len(pipeline("fill-mask", str(tmp_path / "out"))("I went to the [MASK].")) == 5


def test_causal_language_modeling_learns_from_a_novel(tmp_path: Path, writer: Callable[[str], str]):
    lines = asset("botchan").read_text(encoding="utf-8").split("\n")
    (tmp_path / "train.txt").write_text("\n".join(lines[200:700]))
    (tmp_path / "eval.txt").write_text("\n".join(lines[900:1000]))
    results = run(
        "language-modeling", model=writer("gpt2"), train=tmp_path / "train.txt", eval=tmp_path / "eval.txt",
        output=tmp_path / "out", epochs=2, learning_rate=3e-3, from_scratch=True, block_size=64,
    )  # fmt: skip
    assert results["eval_perplexity"] < 300  # of 702 pieces at the start
    written = pipeline("text-generation", str(tmp_path / "out"))("I went", max_new_tokens=4)
    assert written[0]["generated_text"].startswith("I went")


@pytest.mark.parametrize("every", [False, True])
def test_token_classification_learns_names(tmp_path: Path, encoder: str, every: bool):
    data = samples.write_conll(tmp_path / "names.conll")
    results = run(
        "token-classification", model=encoder, train=data, eval=data, output=tmp_path / "out", epochs=20,
        batch_size=8, learning_rate=3e-3, from_scratch=True, label_all_tokens=every,
    )  # fmt: skip
    assert results["eval_f1"] > 0.8
    found = pipeline("token-classification", str(tmp_path / "out"), aggregation_strategy="first")("Ada Lovelace lived")
    assert {each["entity_group"] for each in found} == {"PER"}


@pytest.mark.parametrize("no_answer", [False, True])
def test_question_answering_learns_where_answers_are(tmp_path: Path, encoder: str, no_answer: bool):
    data = samples.squad_rows(True) if no_answer else samples.write_squad(tmp_path / "facts.json")
    results = run(
        "question-answering", model=encoder, train=data, eval=data, output=tmp_path / "out", epochs=60,
        batch_size=8, learning_rate=2e-3, from_scratch=True, max_length=40, stride=8, no_answer=no_answer,
        arguments={"group_by_length": True},
    )  # fmt: skip
    assert results["eval_exact_match"] > 70
    context, question, answer = samples.FACTS[0]
    found = pipeline("question-answering", str(tmp_path / "out"))(question=question, context=context)
    assert found["answer"] in context


def test_multiple_choice_learns_endings(tmp_path: Path, encoder: str):
    data = samples.write_swag(tmp_path / "endings.csv")
    results = run(
        "multiple-choice", model=encoder, train=data, eval=data, output=tmp_path / "out", epochs=30,
        batch_size=8, learning_rate=2e-3, from_scratch=True,
    )  # fmt: skip
    assert results["eval_accuracy"] > 0.8
    assert AutoModelForMultipleChoice.from_pretrained(tmp_path / "out").config.model_type == "bert"


def test_translation_learns_pairs(tmp_path: Path, writer: Callable[[str], str]):
    data = samples.write_pairs(tmp_path / "pairs.tsv")
    results = run(
        "translation", model=writer("t5"), train=data, eval=data, output=tmp_path / "out", epochs=80, batch_size=6,
        learning_rate=1e-2, from_scratch=True, max_target_length=24, source_prefix="in French: ",
    )  # fmt: skip
    assert results["eval_bleu"] > 50
    translator = pipeline("translation", str(tmp_path / "out"))
    found = [translator(source)[0]["translation_text"] for source, _ in samples.PAIRS[:4]]
    assert sum(a == b for a, (_, b) in zip(found, samples.PAIRS, strict=False)) >= 2, "the prefix is kept in the config"


def test_summarization_learns_headlines(tmp_path: Path, writer: Callable[[str], str]):
    data = samples.write_summaries(tmp_path / "articles.jsonl")
    results = run(
        "summarization", model=writer("t5"), train=data, eval=data, output=tmp_path / "out", epochs=60, batch_size=6,
        learning_rate=1e-2, from_scratch=True, max_target_length=24,
    )  # fmt: skip
    assert results["eval_rouge1"] > 50
    assert pipeline("summarization", str(tmp_path / "out"))(samples.ARTICLES[0][0])[0]["summary_text"]


def test_the_card_tells_data_settings_and_results(tmp_path: Path, encoder: str):
    data = samples.write_conll(tmp_path / "names.conll")
    results = run(
        "token-classification", model=encoder, train=data, eval=data, output=tmp_path / "out", epochs=2,
        from_scratch=True, arguments={"eval_strategy": "epoch", "logging_steps": 1},
    )  # fmt: skip
    card = (tmp_path / "out" / "README.md").read_text()
    import hashlib

    assert hashlib.sha256(data.read_bytes()).hexdigest() in card and "| train | names.conll | 24 |" in card
    assert f"| eval_f1 | {results['eval_f1']:.5g} |" in card and "| epochs | `2` |" in card
    assert 'pipeline("token-classification", "out"' in card and str(tmp_path) not in card
    assert (tmp_path / "out" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_label_outside_the_set_and_a_foreign_run_are_refused_before_training(tmp_path: Path, encoder: str):
    rows = [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]
    common = {"model": encoder, "output": tmp_path / "out", "from_scratch": True}
    with pytest.raises(DataError, match="the data, row 1: the label 'z' is outside the set 'x', 'y'"):
        run("text-classification", train=rows, eval=[{"text": "c", "label": "z"}], **common)
    with pytest.raises(DataError, match="'label' holds only"):
        run("text-classification", train=rows[:1], **common)
    with pytest.raises(DataError, match="max_length is 4000, but the model reads at most 128"):
        run("text-classification", train=rows, max_length=4000, **common)
    with pytest.raises(TrainingError, match="no training argument 'lerning_rate'"):
        run("text-classification", train=rows, arguments={"lerning_rate": 1}, **common)
    (tmp_path / "out" / "checkpoint-5").mkdir(parents=True)
    with pytest.raises(TrainingError, match="holds checkpoints of another run"):
        run("text-classification", train=rows, **common)
