"""The steps that a subclass may override under the reference's names, one input at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from ..errors import PipelineError
from ..nn.outputs import ModelOutput
from .encoding import TOKENIZER_ARGUMENTS
from .rows import Batch, pad_rows
from .sources import Results, streamed

STEPS = ("_sanitize_parameters", "preprocess", "_forward", "postprocess")
READING = (*TOKENIZER_ARGUMENTS, "tokenize_kwargs", "tokenizer_kwargs")  # options that belong to preprocess
UNCALLED = (  # methods of the reference that are never called here: overriding one would have no effect
    *("_ensure_tensor_on_device", "get_inference_context", "get_iterator", "iterate", "run_multi", "run_single"),
    *("_parse_and_tokenize", "check_inputs", "create_sample", "decode_spans", "get_indices", "span_to_answer"),
    *("aggregate", "aggregate_overlapping_entities", "aggregate_word", "aggregate_words", "gather_pre_entities"),
    *("get_tag", "group_entities", "group_sub_entities", "ensure_exactly_one_mask_token", "get_target_ids"),
)
Parameters = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


class StepInputs(dict[str, Any]):
    """What the model reads of one input, and what the answer will need of it."""

    def __init__(self, item: Any, batch: Batch):
        super().__init__(batch.inputs)
        self.item, self.batch = item, batch


class StepOutputs(dict[str, Any]):
    """A model's output for one input: fields by name, by attribute or by position."""

    def __init__(self, fields: Mapping[str, Any], asked: Any):
        super().__init__(fields)
        self.asked = asked

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else tuple(self.values())[key]

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the model's output has no {name}; it has {', '.join(self)}") from None


class Stepwise:
    """Steps of one input apart. A subclass that overrides one of them is computed input by input, by these steps."""

    steps: ClassVar[bool] = True  # whether the task's answer is made of one row, so that its steps can be overridden
    stepwise = False
    _parameters: Parameters

    def _sanitize_parameters(self: Any, **options: Any) -> Parameters:
        """Options sorted into those of `preprocess`, `_forward` and `postprocess`."""
        self._settled(options)
        reading = {name: value for name, value in options.items() if name in READING}
        return reading, {}, {name: value for name, value in options.items() if name not in READING}

    def preprocess(self: Any, inputs: Any, **parameters: Any) -> Any:
        """What the model reads of one input: a mapping of tensors, each [1, tokens]."""
        settings = self._settled(parameters)
        item = self.parse(inputs, settings)
        groups = self.encode_named([item], [""], settings)
        if not self.steps or len(groups[0]) != 1:
            raise PipelineError(f"{self.task} has no single steps: it reads an input in several rows, or writes")
        return StepInputs(item, pad_rows(groups[0], self.tokenizer, self.device))

    def _forward(self: Any, model_inputs: Any, **parameters: Any) -> Any:
        """The model's output, and its `input_ids` beside it."""
        output = self.model(**model_inputs, **self._uncached, **parameters)
        return StepOutputs({**dict(output.items()), "input_ids": model_inputs["input_ids"]}, model_inputs)

    def forward(self: Any, model_inputs: Any, **parameters: Any) -> Any:
        """`_forward` on the pipeline's device and without gradients; what comes out is on the CPU."""
        with torch.inference_mode():
            output = self._forward(_moved(model_inputs, self.device), **parameters)
        if isinstance(model_inputs, StepInputs) and isinstance(output, ModelOutput):  # of a _forward of one's own
            output = StepOutputs(dict(output.items()), model_inputs)
        return _moved(output, torch.device("cpu"))

    def postprocess(self: Any, model_outputs: Any, **parameters: Any) -> Any:
        """The answer to one input."""
        asked = getattr(model_outputs, "asked", None)
        if not isinstance(asked, StepInputs):
            raise PipelineError(f"{self.task}: postprocess needs what preprocess and _forward of this class give")
        settings = self._settled(parameters)
        found = self.select(model_outputs, asked.batch, settings)
        return self.answer(asked.item, list(asked.batch.rows), list(found), settings)

    def _check_steps(self: Any, bare: bool) -> bool:
        """Whether steps are overridden; refuses overrides that would never be called, and a `bare` pipeline of one's
        own that lacks some."""
        kind, named = type(self), type(self).__name__
        theirs = [part for part in kind.__mro__ if not part.__module__.startswith("lamina.")]
        unused = [name for name in UNCALLED if any(name in vars(part) for part in theirs)]
        given = [name for name in (*STEPS, "forward") if getattr(kind, name) is not getattr(Stepwise, name)]
        if given and not self.steps:
            unused += given
        if unused:
            raise PipelineError(
                f"{named} overrides {unused[0]}, which {self.task} pipelines here never call; "
                "override parse, encode, select or answer of the class it derives from"
            )
        missing = [name for name in STEPS if bare and name not in given]
        if missing:
            raise PipelineError(f"{named} is a pipeline of its own and lacks {', '.join(missing)}")
        return bool(given)

    def _begin_stepwise(self, options: dict[str, Any]) -> None:
        self._parameters = self._sanitize_parameters(**options)
        self.stepwise = True

    def _call_stepwise(self, inputs: Any, options: dict[str, Any]) -> Any:
        now = self._sanitize_parameters(**options)
        first, second, third = ({**made, **given} for made, given in zip(self._parameters, now, strict=True))

        def answered(item: Any) -> Any:
            return self.postprocess(self.forward(self.preprocess(item, **first), **second), **third)

        if streamed(inputs):
            return Results(inputs, lambda items: map(answered, items))
        return [answered(item) for item in inputs] if isinstance(inputs, list) else answered(inputs)


def _moved(values: Any, device: torch.device) -> Any:
    """The same mapping with its tensors on `device`."""
    for name, value in list(values.items()) if hasattr(values, "items") else ():
        if isinstance(value, torch.Tensor):
            values[name] = value.to(device)
    return values
