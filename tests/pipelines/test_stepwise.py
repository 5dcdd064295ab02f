"""Subclasses that override the steps of the reference: they are called, or the override is refused aloud."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lamina.errors import PipelineError
from lamina.pipelines import (
    FeatureExtractionPipeline,
    FillMaskPipeline,
    Pipeline,
    QuestionAnsweringPipeline,
    SummarizationPipeline,
    TextClassificationPipeline,
    TextGenerationPipeline,
    TokenClassificationPipeline,
    ZeroShotClassificationPipeline,
    pipeline,
)
from tests.pipelines.tasks import assert_same

Checkpoint = Callable[[str], Path]
MOODS = ("GRIM", "PLAIN", "MERRY")


class Logits(TextClassificationPipeline):
    def postprocess(self, out: Any, **kw: Any) -> Any:
        return [round(value, 4) for value in out["logits"][0].tolist()]


class Loud(TextClassificationPipeline):
    def preprocess(self, inputs: Any, **kw: Any) -> Any:
        return super().preprocess(inputs.upper() + "!", **kw)

    def postprocess(
        self, model_outputs: Any, function_to_apply: Any = None, top_k: Any = 1, _legacy: Any = True
    ) -> Any:
        answer = super().postprocess(model_outputs, top_k=top_k)
        return [{**label, "label": label["label"].lower()} for label in answer]


class Wordy(TextClassificationPipeline):
    def _sanitize_parameters(self, suffix: str | None = None, **options: Any) -> Any:
        before, forward, after = super()._sanitize_parameters(**options)
        return before, forward, {**after, **({} if suffix is None else {"suffix": suffix})}

    def postprocess(self, model_outputs: Any, suffix: str = "", **parameters: Any) -> Any:
        found = super().postprocess(model_outputs, **parameters)
        return found["label"] + suffix


class Flat(TextClassificationPipeline):
    def _forward(self, model_inputs: Any, **parameters: Any) -> Any:
        found = super()._forward(model_inputs, **parameters)
        found["logits"] = torch.zeros_like(found["logits"])
        return found


class Direct(TextClassificationPipeline):
    def _forward(self, model_inputs: Any, **parameters: Any) -> Any:
        return self.model(**model_inputs)


class Pairs(Pipeline):  # as the documentation of the reference writes one
    def _sanitize_parameters(self, **kwargs: Any) -> Any:
        return {name: kwargs[name] for name in ("second_text",) if name in kwargs}, {}, {}

    def preprocess(self, text: Any, second_text: Any = None) -> Any:
        return self.tokenizer(text, text_pair=second_text, return_tensors=self.framework)

    def _forward(self, model_inputs: Any) -> Any:
        return self.model(**model_inputs)

    def postprocess(self, model_outputs: Any) -> Any:
        return MOODS[int(model_outputs.logits[0].argmax())]


class Vector(FeatureExtractionPipeline):
    def postprocess(self, model_outputs: Any, **parameters: Any) -> Any:
        return model_outputs[0][0, 0].tolist()


class Masked(FillMaskPipeline):
    def postprocess(self, model_outputs: Any, **parameters: Any) -> Any:
        return self.tokenizer.decode(model_outputs["input_ids"][0])


def made(kind: type[Pipeline], folder: Path, task: str = "text-classification", **options: Any) -> Any:
    return pipeline(task, model=folder, device="cpu", pipeline_class=kind, **options)


def test_steps_are_called_one_input_at_a_time(checkpoint: Checkpoint) -> None:
    folder = checkpoint("bert-moods")
    plain = pipeline("text-classification", model=folder, device="cpu")
    texts = ["good", "a fine day", ""]
    logits = [[score["score"] for score in each] for each in plain(texts, top_k=None, function_to_apply="none")]
    found = made(Logits, folder)(texts)
    assert [sorted(one, reverse=True) for one in found] == [pytest.approx(one, abs=1e-3) for one in logits]
    assert list(made(Logits, folder)(text for text in texts)) == found
    assert made(Logits, folder)(tuple(texts)) == found
    best = plain("GOOD!", top_k=1)[0]
    assert made(Loud, folder)(["good"]) == [[{"label": best["label"].lower(), "score": pytest.approx(best["score"])}]]
    assert len(made(Loud, folder)(["good"], top_k=2)[0]) == 2
    assert [one["score"] for one in made(Flat, folder)(["good", "bad"])] == [pytest.approx(1 / 3)] * 2
    assert_same(made(Direct, folder)(texts, top_k=2), plain(texts, top_k=2))
    assert made(Wordy, folder, suffix="?")(["good"]) == [plain("good")[0]["label"] + "?"]
    assert made(Wordy, folder, suffix="?")(["good"], suffix=".") == [plain("good")[0]["label"] + "."]
    assert made(Pairs, folder)("good", second_text="bad") == plain({"text": "good", "text_pair": "bad"})["label"]
    with pytest.raises(PipelineError, match="knows no argument 'trunction'"):
        made(Logits, folder)("a", trunction=True)


def test_other_tasks_of_one_row_have_steps_too(checkpoint: Checkpoint) -> None:
    features = pipeline("feature-extraction", model=checkpoint("bert-body"), device="cpu")
    assert_same(made(Vector, checkpoint("bert-body"), "feature-extraction")("good"), features("good")[0][0])
    assert made(Masked, checkpoint("bert-mask"), "fill-mask")("a [MASK]") == "[CLS] a [MASK] [SEP]"


def test_steps_can_be_taken_apart(checkpoint: Checkpoint) -> None:
    pipe = pipeline("text-classification", model=checkpoint("bert-moods"), device="cpu")
    inputs = pipe.preprocess("good")
    assert set(inputs) >= {"input_ids", "token_type_ids"}
    assert_same(pipe.postprocess(pipe.forward(inputs), top_k=2), pipe("good", top_k=2))


def overriding(kind: type[Pipeline], name: str) -> type[Pipeline]:
    return type(f"My{kind.__name__}", (kind,), {name: lambda self, *args, **options: args})


REFUSED = [
    *((kind, name) for kind in (TokenClassificationPipeline, QuestionAnsweringPipeline, ZeroShotClassificationPipeline)
      for name in ("preprocess", "_forward", "forward", "postprocess", "_sanitize_parameters")),
    (TextGenerationPipeline, "postprocess"),
    (SummarizationPipeline, "_forward"),
    (TokenClassificationPipeline, "aggregate"),
    (TextClassificationPipeline, "run_single"),
    (TextClassificationPipeline, "get_iterator"),
    (FillMaskPipeline, "get_target_ids"),
    (QuestionAnsweringPipeline, "decode_spans"),
    (SummarizationPipeline, "check_inputs"),
]  # fmt: skip
FOLDERS = {
    TokenClassificationPipeline: ("ner", "bert-tags"),
    QuestionAnsweringPipeline: ("question-answering", "bert-qa"),
    ZeroShotClassificationPipeline: ("zero-shot-classification", "bert-nli"),
    TextClassificationPipeline: ("text-classification", "bert-moods"),
    FillMaskPipeline: ("fill-mask", "bert-mask"),
    TextGenerationPipeline: ("text-generation", "gpt2"),
    SummarizationPipeline: ("summarization", "bart"),
}


@pytest.mark.parametrize(("kind", "name"), REFUSED)
def test_an_override_that_would_not_be_called_is_refused(
    checkpoint: Checkpoint, kind: type[Pipeline], name: str
) -> None:
    task, folder = FOLDERS[kind]
    with pytest.raises(PipelineError, match=f"My{kind.__name__} overrides {name}, which .* never call"):
        made(overriding(kind, name), checkpoint(folder), task)


def test_a_pipeline_of_ones_own_needs_all_steps(checkpoint: Checkpoint) -> None:
    with pytest.raises(PipelineError, match="lacks _sanitize_parameters, _forward, postprocess"):
        made(overriding(Pipeline, "preprocess"), checkpoint("bert-moods"))


def test_the_server_refuses_what_it_cannot_batch(checkpoint: Checkpoint) -> None:
    with pytest.raises(PipelineError, match="Logits overrides steps of one input"):
        made(Logits, checkpoint("bert-moods")).shareable()
