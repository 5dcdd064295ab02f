"""The seven notebooks of the course, small: their names and arguments, with one word changed, where names come from.

They fail on Transformers 5, where `Trainer(tokenizer=)`, `as_target_tokenizer` and `load_metric` are gone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict

from tests.training import samples
from tests.training.hub import fill_cache

Run = Callable[..., dict[str, Any]]
SENTENCES = [{"sentence": row[0], "label": index % 2, "idx": index} for index, row in enumerate(samples.FACTS)]
COMMON = """
    import numpy as np
    from transformers import AutoTokenizer, Trainer, TrainingArguments

    def settings(name, **more):
        return TrainingArguments(name, learning_rate=2e-3, weight_decay=0.01, per_device_train_batch_size=4,
                                 per_device_eval_batch_size=4, num_train_epochs=2, **more)
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill_cache(tmp_path_factory.mktemp("home") / "hub")


@pytest.fixture
def run(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a snippet in an empty folder, without network, and gives what it left behind."""
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)

    def execute(*snippets: str, **names: Any) -> dict[str, Any]:
        for snippet in snippets:
            code = dedent(snippet)
            for package in ("transformers", "evaluate", "datasets"):
                code = code.replace(f"from {package} import", "from lamina import")
            exec(compile(code, "<notebook>", "exec"), names)
        return names

    return execute


def parts(rows: list[dict[str, Any]]) -> Any:
    return DatasetDict({"train": Dataset.from_list(rows), "validation": Dataset.from_list(rows[:6])})


def test_text_classification(run: Run):
    left = run(
        COMMON,
        """
        from datasets import load_metric
        from transformers import AutoModelForSequenceClassification

        metric = load_metric("glue", "cola")
        tokenizer = AutoTokenizer.from_pretrained("distilbert-base-uncased", use_fast=True)
        encoded = dataset.map(lambda rows: tokenizer(rows["sentence"], truncation=True), batched=True)

        def model_init():
            return AutoModelForSequenceClassification.from_pretrained("distilbert-base-uncased", num_labels=2)

        args = settings("distilbert-base-uncased-finetuned-cola", evaluation_strategy="epoch", save_strategy="epoch",
                        load_best_model_at_end=True, metric_for_best_model="matthews_correlation")

        def compute_metrics(eval_pred):
            predictions, labels = eval_pred
            return metric.compute(predictions=np.argmax(predictions, axis=1), references=labels)

        data = {"train_dataset": encoded["train"], "eval_dataset": encoded["validation"]}
        trainer = Trainer(model_init(), args, **data, tokenizer=tokenizer, compute_metrics=compute_metrics)
        output = trainer.train()
        found = trainer.evaluate()
        again = Trainer(model_init=model_init, args=args, **data, tokenizer=tokenizer, compute_metrics=compute_metrics)
        best_run = again.hyperparameter_search(
            hp_space=lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-3, log=True)},
            n_trials=2, direction="maximize",
        )
        for name, value in best_run.hyperparameters.items():
            setattr(again.args, name, value)
        again.train()
        """,
        dataset=parts(SENTENCES),
    )
    assert set(left["best_run"].hyperparameters) == {"learning_rate"} and left["again"].state.global_step == 4
    assert left["output"].global_step == 4 and left["output"].metrics["epoch"] == 2
    best = left["trainer"].state.best_metric
    assert left["found"]["eval_matthews_correlation"] == pytest.approx(best) and -1 <= best <= 1
    assert left["again"].evaluate()["eval_loss"] > 0
    assert left["trainer"].tokenizer is left["tokenizer"] is left["trainer"].processing_class


GROUP = """
    block_size = 16

    def group_texts(examples):
        joined = {name: sum(examples[name], []) for name in examples}
        total = len(joined["input_ids"]) // block_size * block_size
        result = {name: [ids[i : i + block_size] for i in range(0, total, block_size)] for name, ids in joined.items()}
        result["labels"] = result["input_ids"].copy()
        return result

    tokenized = dataset.map(lambda rows: tokenizer(rows["text"]), batched=True, remove_columns=["text"])
    blocks = tokenized.map(group_texts, batched=True, batch_size=1000)
"""
TEXTS = [{"text": row[0]} for row in samples.FACTS]


def test_causal_language_modeling(run: Run):
    left = run(
        COMMON,
        "tokenizer = AutoTokenizer.from_pretrained('distilgpt2', use_fast=True)",
        GROUP,
        """
        from transformers import AutoConfig, AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("distilgpt2")
        args = settings("distilgpt2-finetuned-wikitext2", evaluation_strategy="epoch", save_strategy="no")
        trainer = Trainer(model=model, args=args, train_dataset=blocks["train"], eval_dataset=blocks["validation"])
        before = trainer.evaluate()
        trainer.train()
        found = trainer.evaluate()
        scratch = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained("distilgpt2"))
        fresh = Trainer(scratch, args, train_dataset=blocks["train"], eval_dataset=blocks["validation"]).evaluate()
        """,
        dataset=parts(TEXTS),
    )
    assert math.exp(left["found"]["eval_loss"]) < math.exp(left["before"]["eval_loss"])
    assert left["fresh"]["eval_loss"] == pytest.approx(math.log(702), abs=1)


def test_masked_language_modeling(run: Run):
    left = run(
        COMMON,
        "tokenizer = AutoTokenizer.from_pretrained('distilroberta-base', use_fast=True)",
        GROUP,
        """
        from transformers import AutoModelForMaskedLM, DataCollatorForLanguageModeling

        model = AutoModelForMaskedLM.from_pretrained("distilroberta-base")
        collator = DataCollatorForLanguageModeling(tokenizer=tokenizer, mlm_probability=0.15)
        args = settings("distilroberta-base-finetuned-wikitext2", evaluation_strategy="epoch", save_strategy="no")
        trainer = Trainer(model=model, args=args, train_dataset=blocks["train"], eval_dataset=blocks["validation"],
                          data_collator=collator)
        output = trainer.train()
        found = trainer.evaluate()
        """,
        dataset=parts(TEXTS),
    )
    losses = [entry["eval_loss"] for entry in left["trainer"].state.log_history if "eval_loss" in entry]
    assert len(losses) == 3 and losses[-1] == left["found"]["eval_loss"] > 0
    assert left["output"].training_loss < 10


NAMES = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
TAGGED = [
    {"tokens": ["Ada", "Lovelace", "lived", "in", "London", "."], "ner_tags": [1, 2, 0, 0, 3, 0]},
    {"tokens": ["New", "York", "is", "large", "."], "ner_tags": [3, 4, 0, 0, 0]},
] * 4


def test_token_classification(run: Run):
    left = run(
        COMMON,
        """
        from datasets import load_metric
        from transformers import AutoModelForTokenClassification, DataCollatorForTokenClassification

        label_all_tokens = True
        tokenizer = AutoTokenizer.from_pretrained("distilbert-base-uncased")
        assert tokenizer.is_fast

        def tokenize_and_align_labels(examples):
            encoded = tokenizer(examples["tokens"], truncation=True, is_split_into_words=True)
            labels = []
            for i, label in enumerate(examples["ner_tags"]):
                before, ids = None, []
                for word in encoded.word_ids(batch_index=i):
                    if word is None:
                        ids.append(-100)
                    else:
                        ids.append(label[word] if word != before or label_all_tokens else -100)
                    before = word
                labels.append(ids)
            encoded["labels"] = labels
            return encoded

        tokenized = dataset.map(tokenize_and_align_labels, batched=True)
        model = AutoModelForTokenClassification.from_pretrained("distilbert-base-uncased", num_labels=len(names))
        metric = load_metric("seqeval")

        def compute_metrics(p):
            predictions, labels = p
            predictions = np.argmax(predictions, axis=2)
            found = [[names[p] for (p, l) in zip(row, truth) if l != -100] for row, truth in zip(predictions, labels)]
            wanted = [[names[l] for (p, l) in zip(row, truth) if l != -100] for row, truth in zip(predictions, labels)]
            results = metric.compute(predictions=found, references=wanted)
            return {name: results[f"overall_{name}"] for name in ("precision", "recall", "f1", "accuracy")}

        args = settings("distilbert-base-uncased-finetuned-ner", evaluation_strategy="epoch")
        trainer = Trainer(model, args, train_dataset=tokenized["train"], eval_dataset=tokenized["validation"],
                          data_collator=DataCollatorForTokenClassification(tokenizer), tokenizer=tokenizer,
                          compute_metrics=compute_metrics)
        trainer.train()
        found = trainer.evaluate()
        predictions, labels, _ = trainer.predict(tokenized["validation"])
        """,
        dataset=parts(TAGGED),
        names=NAMES,
    )
    assert 0 <= left["found"]["eval_f1"] <= 1 and left["found"]["eval_accuracy"] > 0.3
    assert left["predictions"].shape == (*left["labels"].shape, 5) and left["labels"].shape[0] == 6


def test_question_answering(run: Run):
    left = run(
        COMMON,
        """
        from datasets import load_metric
        from transformers import AutoModelForQuestionAnswering, default_data_collator

        tokenizer = AutoTokenizer.from_pretrained("distilbert-base-uncased")
        pad_on_right = tokenizer.padding_side == "right"

        def prepare(examples, training=True):
            encoded = tokenizer(examples["question" if pad_on_right else "context"],
                                examples["context" if pad_on_right else "question"],
                                truncation="only_second" if pad_on_right else "only_first", max_length=32, stride=8,
                                return_overflowing_tokens=True, return_offsets_mapping=True, padding="max_length")
            owners = encoded.pop("overflow_to_sample_mapping")
            spans = encoded["offset_mapping"]
            encoded["example_id"] = [examples["id"][owner] for owner in owners]
            starts, ends = [], []
            for i, offsets in enumerate(spans):
                cls = encoded["input_ids"][i].index(tokenizer.cls_token_id)
                answer = examples["answers"][owners[i]]
                first, last = answer["answer_start"][0], answer["answer_start"][0] + len(answer["text"][0])
                parts = encoded.sequence_ids(i)
                inside = [k for k, part in enumerate(parts) if part == (1 if pad_on_right else 0)]
                hit = [k for k in inside if offsets[k][0] >= first and offsets[k][1] <= last]
                starts.append(hit[0] if hit else cls)
                ends.append(hit[-1] if hit else cls)
            encoded["offset_mapping"] = [
                [span if part == 1 else None for span, part in zip(offsets, encoded.sequence_ids(i))]
                for i, offsets in enumerate(spans)
            ]
            return {**encoded, "start_positions": starts, "end_positions": ends}

        features = dataset.map(prepare, batched=True, remove_columns=dataset["train"].column_names)
        model = AutoModelForQuestionAnswering.from_pretrained("distilbert-base-uncased")
        args = settings("distilbert-base-uncased-finetuned-squad", evaluation_strategy="epoch")
        trainer = Trainer(model, args, train_dataset=features["train"], eval_dataset=features["validation"],
                          data_collator=default_data_collator, tokenizer=tokenizer)
        trainer.train()
        for batch in trainer.get_eval_dataloader():
            break
        batch = {name: values.to(trainer.args.device) for name, values in batch.items()}
        output = trainer.model(**batch)
        raw = trainer.predict(features["validation"])
        starts, ends = raw.predictions
        metric = load_metric("squad")
        score = metric.compute(
            predictions=[{"id": row["id"], "prediction_text": row["answers"]["text"][0]} for row in dataset["train"]],
            references=[{"id": row["id"], "answers": row["answers"]} for row in dataset["train"]],
        )
        """,
        dataset=parts(samples.squad_rows()),
    )
    rows = len(left["features"]["validation"])
    assert left["starts"].shape == left["ends"].shape == (rows, 32)
    assert left["output"].start_logits.shape == (4, 32)
    assert left["score"] == {"exact_match": 100, "f1": 100}
    assert [entry for entry in left["trainer"].state.log_history if "eval_loss" in entry]


CHOICES = [
    {"sent1": first, "sent2": "Then it", **{f"ending{i}": ending for i, ending in enumerate(endings)}, "label": 0}
    for first, *endings in samples.ENDINGS
]


def test_multiple_choice(run: Run):
    left = run(
        COMMON,
        """
        from dataclasses import dataclass
        from typing import Any

        import torch
        from transformers import AutoModelForMultipleChoice

        tokenizer = AutoTokenizer.from_pretrained("bert-base-uncased", use_fast=True)
        endings = ["ending0", "ending1", "ending2", "ending3"]

        def preprocess(examples):
            firsts = sum([[text] * 4 for text in examples["sent1"]], [])
            seconds = sum([[f"{header} {examples[end][i]}" for end in endings]
                           for i, header in enumerate(examples["sent2"])], [])
            encoded = tokenizer(firsts, seconds, truncation=True)
            return {k: [v[i : i + 4] for i in range(0, len(v), 4)] for k, v in encoded.items()}

        @dataclass
        class OwnCollator:
            tokenizer: Any

            def __call__(self, features):
                name = "label" if "label" in features[0].keys() else "labels"
                labels = [feature.pop(name) for feature in features]
                flat = [{k: v[i] for k, v in feature.items()} for feature in features for i in range(4)]
                batch = self.tokenizer.pad(flat, padding=True, return_tensors="pt")
                batch = {k: v.view(len(features), 4, -1) for k, v in batch.items()}
                return {**batch, "labels": torch.tensor(labels, dtype=torch.int64)}

        def compute_metrics(eval_predictions):
            predictions, label_ids = eval_predictions
            return {"accuracy": (np.argmax(predictions, axis=1) == label_ids).astype(np.float32).mean().item()}

        model = AutoModelForMultipleChoice.from_pretrained("bert-base-uncased")
        encoded = dataset.map(preprocess, batched=True)
        trainer = Trainer(model, settings("bert-base-uncased-finetuned-swag", evaluation_strategy="epoch"),
                          train_dataset=encoded["train"], eval_dataset=encoded["validation"], tokenizer=tokenizer,
                          data_collator=OwnCollator(tokenizer), compute_metrics=compute_metrics)
        trainer.train()
        found = trainer.evaluate()
        """,
        dataset=parts(CHOICES),
    )
    assert 0 <= left["found"]["eval_accuracy"] <= 1 and left["trainer"].state.global_step == 4


SEQ2SEQ = """
    from datasets import load_metric
    from transformers import (
        AutoModelForSeq2SeqLM, DataCollatorForSeq2Seq, Seq2SeqTrainer, Seq2SeqTrainingArguments,
    )

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForSeq2SeqLM.from_pretrained(checkpoint)

    def preprocess(examples):
        encoded = tokenizer([prefix + text for text in sources(examples)], max_length=32, truncation=True)
        if old_spelling:
            with tokenizer.as_target_tokenizer():
                labels = tokenizer(targets(examples), max_length=16, truncation=True)
        else:
            labels = tokenizer(text_target=targets(examples), max_length=16, truncation=True)
        encoded["labels"] = labels["input_ids"]
        return encoded

    def compute_metrics(eval_preds):
        preds, labels = eval_preds
        decoded = tokenizer.batch_decode(preds, skip_special_tokens=True)
        labels = np.where(labels != -100, labels, tokenizer.pad_token_id)
        wanted = tokenizer.batch_decode(labels, skip_special_tokens=True)
        result = score(decoded, wanted)
        lengths = [np.count_nonzero(pred != tokenizer.pad_token_id) for pred in preds]
        return {k: round(v, 4) for k, v in {**result, "gen_len": np.mean(lengths)}.items()}

    encoded = dataset.map(preprocess, batched=True)
    args = Seq2SeqTrainingArguments(
        "finetuned", evaluation_strategy="epoch", learning_rate=2e-3, per_device_train_batch_size=4,
        per_device_eval_batch_size=4, weight_decay=0.01, save_total_limit=3, num_train_epochs=1,
        predict_with_generate=True,
    )
    trainer = Seq2SeqTrainer(
        model, args, train_dataset=encoded["train"], eval_dataset=encoded["validation"],
        data_collator=DataCollatorForSeq2Seq(tokenizer, model=model), tokenizer=tokenizer,
        compute_metrics=compute_metrics,
    )
    trainer.train()
    found = trainer.evaluate(max_length=16)
"""


@pytest.mark.parametrize("old_spelling", [True, False])
def test_translation(run: Run, old_spelling: bool):
    rows = [{"translation": {"en": source, "ro": target}} for source, target in samples.PAIRS]
    left = run(
        COMMON,
        """
        metric = None
        prefix = ""
        checkpoint = "Helsinki-NLP/opus-mt-en-ro"
        sources = lambda examples: [row["en"] for row in examples["translation"]]
        targets = lambda examples: [row["ro"] for row in examples["translation"]]

        def score(found, wanted):
            metric = load_metric("sacrebleu")
            result = metric.compute(predictions=[t.strip() for t in found], references=[[t.strip()] for t in wanted])
            return {"bleu": result["score"]}
        """,
        SEQ2SEQ,
        dataset=parts(rows),
        old_spelling=old_spelling,
    )
    assert 0 <= left["found"]["eval_bleu"] <= 100 and 0 < left["found"]["eval_gen_len"] <= 16
    target = left["tokenizer"](text_target="le chat dort", max_length=16, truncation=True)["input_ids"]
    assert left["encoded"]["train"][0]["labels"] == target != left["tokenizer"]("le chat dort")["input_ids"]


@pytest.mark.parametrize("old_spelling", [True, False])
def test_summarization(run: Run, old_spelling: bool):
    rows = [{"document": text, "summary": summary, "id": str(i)} for i, (text, summary) in enumerate(samples.ARTICLES)]
    left = run(
        COMMON,
        """
        prefix = "summarize: "
        checkpoint = "t5-small"
        sources = lambda examples: examples["document"]
        targets = lambda examples: examples["summary"]

        def score(found, wanted):
            result = load_metric("rouge").compute(predictions=found, references=wanted, use_stemmer=True)
            if old_spelling:
                return {key: value.mid.fmeasure * 100 for key, value in result.items()}
            return {key: value * 100 for key, value in result.items()}
        """,
        SEQ2SEQ,
        dataset=parts(rows),
        old_spelling=old_spelling,
    )
    assert set(left["found"]) >= {"eval_rouge1", "eval_rouge2", "eval_rougeL", "eval_rougeLsum", "eval_gen_len"}
    assert isinstance(left["trainer"].model, torch.nn.Module) and np.isfinite(left["found"]["eval_loss"])
