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

from examples import real_data
from lamina import AutoModelForMultipleChoice, BertConfig, Tokenizer, pipeline
from lamina.errors import DataError, PipelineError, TrainingError
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
        config |= {"t5": SMALL, "gpt2": {"n_embd": 64, "n_head": 4, "n_positions": 64}}.get(name, {})
        (folder / "config.json").write_text(json.dumps(config))
        return str(folder)

    return written


def reviews(folder: Path, part: str, rows: int) -> Path:
    """Film reviews, those of one part of the films; as many good as bad ones."""
    left = {"fresh": rows // 2, "rotten": rows // 2}
    table = csv.DictReader(io.StringIO(bz2.decompress(asset("rotten_tomatoes").read_bytes()).decode()))
    path = folder / f"{part}.csv"
    with path.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(["text", "label"])
        for row in table:
            own = "eval" if sum(row["movie_name"].encode()) % 5 == 0 else "train"
            if own == part and left.get(row["category"], 0) > 0:
                writer.writerow([row["text"], row["category"]])
                left[row["category"]] -= 1
    return path


def test_text_classification_learns_from_reviews(tmp_path: Path):
    train, held = reviews(tmp_path, "train", 1200), reviews(tmp_path, "eval", 300)
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
    assert results["eval_accuracy"] > 0.58, "of films it has not seen; 0.5 by chance"
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
    (found,) = pipeline("text-classification", str(tmp_path / "out"), top_k=None)("the good and")
    assert {each["label"] for each in found} == ({"LABEL_0"} if problem == "regression" else {"odd", "other", "always"})


def test_pairs_are_read_together(tmp_path: Path, encoder: str):
    texts = [context for context, _, _ in samples.FACTS]
    rows = [
        {"first": text, "second": other, "label": "same" if text == other else "other"}
        for text in texts
        for other in (text, texts[0], text, texts[1])
    ]
    results = run(
        "text-classification", model=encoder, train=rows, eval=rows, output=tmp_path / "out", epochs=30,
        learning_rate=2e-3, from_scratch=True, text_column="first", text_pair_column="second",
    )  # fmt: skip
    assert results["eval_accuracy"] > 0.9
    classifier = pipeline("text-classification", str(tmp_path / "out"))
    assert classifier({"text": texts[2], "text_pair": texts[2]})["label"] == "same"


def test_lora_trains_small_matrices_and_early_stopping_keeps_the_best(tmp_path: Path, encoder: str):
    rows = [
        {"text": f"{word} {'good' if i % 2 else 'bad'}", "label": "ab"[i % 2]}
        for i, word in enumerate(["cat", "dog", "sea"] * 8)
    ]
    results = run(
        "text-classification", model=encoder, train=rows, eval=rows, output=tmp_path / "out", epochs=20,
        learning_rate=1e-2, from_scratch=True, lora=4, early_stopping=3,
        arguments={"eval_strategy": "epoch", "save_strategy": "epoch"},
    )  # fmt: skip
    assert results["eval_accuracy"] > 0.9
    assert (tmp_path / "out" / "adapter" / "lamina_adapter.safetensors").stat().st_size < 200_000
    assert pipeline("text-classification", str(tmp_path / "out"))("cat good")[0]["label"] == "b"


@pytest.mark.parametrize(
    "options", [{}, {"whole_word": True}, {"packing": "notebook"}], ids=["plain", "words", "notebook"]
)
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
def test_token_classification_fits_names_in_tweets(tmp_path: Path, encoder: str, every: bool):
    tweets = [row for row in real_data.tagged_tweets() if any(tag != "O" for tag in row["labels"])][:32]
    results = run(
        "token-classification", model=encoder, train=tweets, eval=tweets, output=tmp_path / "out",
        epochs=40 if every else 20,
        batch_size=8, learning_rate=3e-3, from_scratch=True, label_all_tokens=every, piece_level_scores=every,
    )  # fmt: skip
    assert results["eval_f1"] > 0.5, "of ten kinds of names in noisy text; none is found at the start"
    tagger = pipeline("token-classification", str(tmp_path / "out"), aggregation_strategy="first")
    kinds = {tag[2:] for row in tweets for tag in row["labels"] if tag != "O"}
    found = [name for row in tweets[:8] for name in tagger(" ".join(row["tokens"]))]
    assert found and {each["entity_group"] for each in found} <= kinds


@pytest.mark.parametrize("no_answer", [False, True])
def test_question_answering_fits_real_questions(tmp_path: Path, encoder: str, no_answer: bool):
    rows = [row for row in real_data.questions() if len(row["context"]) < 600]
    data = [row for row in rows if row["answers"]["text"]][:8]
    data += [row for row in rows if not row["answers"]["text"]][:2] if no_answer else []
    results = run(
        "question-answering", model=encoder, train=data, eval=data, output=tmp_path / "out", epochs=20,
        batch_size=8, learning_rate=3e-3, from_scratch=True, max_length=128, stride=32, no_answer=no_answer,
    )  # fmt: skip
    assert results["eval_exact_match"] > 50
    best = json.loads((tmp_path / "out" / "predictions.json").read_text())
    ranked = json.loads((tmp_path / "out" / "nbest_predictions.json").read_text())
    assert set(best) == set(ranked) == {row["id"] for row in data}
    assert all(best[name] == ranked[name][0]["text"] for name in best)
    assert ("eval_no_answer_f1" in results) is no_answer
    found = pipeline("question-answering", str(tmp_path / "out"))(
        question=data[0]["question"], context=data[0]["context"]
    )
    assert found["answer"] in data[0]["context"]


def test_multiple_choice_fits_questions_of_common_sense(tmp_path: Path, encoder: str):
    data = real_data.choices()[:40]
    results = run(
        "multiple-choice", model=encoder, train=data, eval=data, output=tmp_path / "out", epochs=10,
        batch_size=10, learning_rate=2e-3, from_scratch=True,
    )  # fmt: skip
    assert results["eval_accuracy"] > 0.6, "0.2 by chance"
    assert AutoModelForMultipleChoice.from_pretrained(tmp_path / "out").config.model_type == "bert"


def test_translation_learns_what_django_says(tmp_path: Path, writer: Callable[[str], str]):
    pairs = [row for row in real_data.messages("fr") if len(row["source"]) < 24][:80]
    results = run(
        "translation", model=writer("t5"), train=pairs, eval=pairs, output=tmp_path / "out", epochs=40, batch_size=16,
        learning_rate=1e-2, from_scratch=True, max_target_length=24, source_prefix="in French: ",
    )  # fmt: skip
    assert results["eval_bleu"] > 30
    translator = pipeline("translation", str(tmp_path / "out"))
    found = [translator(row["source"])[0]["translation_text"] for row in pairs[:8]]
    assert sum(a == row["target"] for a, row in zip(found, pairs, strict=False)) >= 2, (
        "the prefix is kept in the config"
    )


def test_translation_marks_languages_where_the_model_does(tmp_path: Path, writer: Callable[[str], str]):
    rows = [{"source": source, "target": target} for source, target in samples.PAIRS]
    common = {"model": writer("mbart"), "train": rows, "eval": rows, "output": tmp_path / "out", "epochs": 1}
    with pytest.raises(DataError, match="the model marks languages: give tgt_lang, one of ar_AR"):
        run("translation", src_lang="en", **common)
    with pytest.raises(PipelineError, match="tgt_lang is 'tlh'"):
        run("translation", src_lang="en", tgt_lang="tlh", **common)
    results = run("translation", src_lang="en", tgt_lang="fr_XX", max_target_length=16, **common)
    assert 0 <= results["eval_bleu"] <= 100
    translator = pipeline("translation", str(tmp_path / "out"), src_lang="en_XX", tgt_lang="fr_XX")
    mark = translator.tokenizer.lang_code_to_id["fr_XX"]
    assert translator.model.config.decoder_start_token_id == mark, "mBART's labels end in their language"
    assert "translation_text" in translator("the cat sleeps", max_length=8)[0]


def test_summarization_learns_from_lawsuits(tmp_path: Path, writer: Callable[[str], str]):
    rows = real_data.cases()[:32]
    results = run(
        "summarization", model=writer("t5"), train=rows, eval=rows, output=tmp_path / "out", epochs=30, batch_size=8,
        learning_rate=1e-2, from_scratch=True, max_target_length=40,
    )  # fmt: skip
    assert results["eval_rouge1"] > 30
    assert pipeline("summarization", str(tmp_path / "out"))(rows[0]["text"])[0]["summary_text"]


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
    assert "scores on the data that the model learned from" in card and "per_second" not in card
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
    with pytest.raises(TrainingError, match="no training argument 'lerning_rate'; did you mean learning_rate"):
        run("text-classification", train=rows, arguments={"lerning_rate": 1}, **common)
    with pytest.raises(TrainingError, match="warmup_ratio='much' should be float"):
        run("text-classification", train=rows, arguments={"warmup_ratio": "much"}, **common)
    with pytest.raises(TrainingError, match="epochs='3' should be float"):
        run("text-classification", train=rows, epochs="3", **common)
    with pytest.raises(TrainingError, match="early_stopping needs something to evaluate on"):
        run("text-classification", train=rows, early_stopping=1, **common)
    with pytest.raises(DataError, match="the label 'high' is not a number"):
        run("text-classification", train=[{"text": "a", "label": "high"}], problem="regression", **common)
    with pytest.raises(DataError, match="the data, row 2: no label in the column 'label'"):
        run("text-classification", train=[rows[0], {"text": "c", "label": " "}, rows[1]], **common)
    with pytest.raises(DataError, match="row 1: the label 'B-X' of 'b' is outside the set 'O'"):
        tagged = [[{"tokens": ["a", "b"], "labels": ["O", label]}] for label in ("O", "B-X")]
        run("token-classification", train=tagged[0], eval=tagged[1], **common)
    with pytest.raises(TrainingError, match="early_stopping is 0"):
        run("text-classification", train=rows, eval=rows, early_stopping=0, **common)
    with pytest.raises(DataError, match="the data: holds a single token, or none"):
        run("language-modeling", train=[{"text": "a"}], masked=False, **common)
    with pytest.raises(DataError, match="whole_word is of masked language modeling"):
        run("language-modeling", train=rows, whole_word=True, masked=False, **common)
    (tmp_path / "out" / "checkpoint-5").mkdir(parents=True)
    with pytest.raises(TrainingError, match="holds checkpoints of another run"):
        run("text-classification", train=rows, **common)
