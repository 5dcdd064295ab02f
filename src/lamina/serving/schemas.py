"""What a request may say for each task: checked before anything is computed, shown in /docs and in the playground.

Only what stands here ever reaches a pipeline; nothing here names a file, a model to load or code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    create_model,
    model_validator,
)

from ..pipelines.options import OPTIONS, TOKENIZING, Option

Truncation = Literal["do_not_truncate", "longest_first", "only_first", "only_second"]


def _number(value: object) -> object:
    """Numbers as they are: what only reads like one, true or "3", is refused as the documentation says."""
    if isinstance(value, (bool, str)):
        raise ValueError("should be a number")
    return value


NUMBER = BeforeValidator(_number)
Probability = Annotated[float, Field(ge=0, le=1), NUMBER]
Count = Annotated[int, Field(ge=1, le=100_000), NUMBER]
Text = Annotated[str, Field(max_length=10_000)]
Stops = Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=16)]


def _listed(labels: Any) -> Any:
    """Older clients send labels as one string with commas."""
    if isinstance(labels, str):
        return [label.strip() for label in labels.split(",") if label.strip()]
    return labels


def _plain_template(template: str) -> str:
    """One empty pair of braces and no other: what stands between braces would be carried out."""
    if template.count("{}") != 1 or set("{}") & set(template.replace("{}", "")):
        raise ValueError("it needs {} once, where the label goes, and no other braces")
    return template


Template = Annotated[Text, AfterValidator(_plain_template)]
Labels = Annotated[list[Text], BeforeValidator(_listed), Field(min_length=1, max_length=1000)]


class Parameters(BaseModel):
    """Options of one request; what is None was not said."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    def given(self) -> dict[str, Any]:
        """What the client said."""
        return self.model_dump(exclude_none=True)


class Body(BaseModel):
    """A request whose fields are all known: others are refused by name, unless they are null or change nothing."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_the_harmless(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        harmless = set(HARMLESS)
        if given.get("input") == given.get("inputs"):
            harmless |= {"input", "inputs"}  # some clients write one request for two interfaces
        return {
            name: value
            for name, value in given.items()
            if name in cls.model_fields or not (value is None or name in harmless)
        }


HARMLESS = ("model", "options", "user")  # what clients send to every address


def declared(task: str, *names: str, **own: Any) -> Any:
    """The parameters of a task that are options of its pipeline, as the table there declares them, and its `own`."""

    def kind(option: Option) -> Any:
        if option.kind == "choice":
            return Literal[option.choices]
        if option.kind == "count":
            return Annotated[int, Field(ge=option.least, le=option.most), NUMBER]
        if option.kind == "texts":
            return Annotated[list[Text], Field(min_length=option.least, max_length=option.most)]
        return {"flag": StrictBool, "text": Text, "labels": Labels}.get(option.kind, Any)

    fields = {
        name: (kind(option) | None, Field(None, description=option.help))
        for name, option in OPTIONS[task].items()
        if name in names
    }
    title = "".join(part.title() for part in task.split("-"))
    return create_model(f"{title}Parameters", __base__=Parameters, __module__=__name__, **{**fields, **own})


TRUNCATED = (StrictBool | Truncation | None, Field(None, description=TOKENIZING["truncation"].help))
TextClassificationParameters = declared("text-classification", "function_to_apply", "top_k", truncation=TRUNCATED)
STRATEGY = OPTIONS["token-classification"]["aggregation_strategy"]
TokenClassificationParameters = declared(
    "token-classification",
    "ignore_labels",
    "stride",
    aggregation_strategy=(Literal[STRATEGY.choices], Field("simple", description=STRATEGY.help)),
)
WINDOW = OPTIONS["question-answering"]["max_seq_len"]
QuestionAnsweringParameters = declared(
    "question-answering",
    *(name for name in OPTIONS["question-answering"] if name not in ("topk", "max_seq_len")),
    max_seq_len=(
        Annotated[int, Field(ge=16, le=WINDOW.most), NUMBER] | None,
        Field(None, description=WINDOW.help),
    ),
)
FillMaskParameters = declared("fill-mask", "top_k", "targets")
ZeroShotClassificationParameters = declared(
    "zero-shot-classification",
    "multi_label",
    "multi_class",
    candidate_labels=(
        Labels,
        Field(description=OPTIONS["zero-shot-classification"]["candidate_labels"].help),
    ),
    hypothesis_template=(
        Template | None,
        Field(None, description=OPTIONS["zero-shot-classification"]["hypothesis_template"].help),
    ),
)


class FeatureExtractionParameters(Parameters):
    """Options of feature extraction."""

    normalize: StrictBool | None = Field(None, description="Scale vectors to length one.")
    truncate: StrictBool | None = Field(None, description="Cut off a text too long for the model.")
    truncation_direction: Literal["left", "right", "Left", "Right"] | None = Field(
        None, description="Which end is cut off; left out, the right one."
    )
    dimensions: Count | None = Field(None, description="Keep only so many numbers of each vector.")
    prompt_name: Text | None = Field(
        None, description="The prompt to put before each text, by the name under which a sentence model stores it."
    )
    encoding_format: Literal["float"] | None = Field(None, description="Vectors are lists of numbers here.")
    return_tensors: StrictBool | None = Field(None, description="Taken for the sake of existing clients.")


class SentenceSimilarityParameters(Parameters):
    """Options of sentence similarity."""


class WritingParameters(Parameters):
    """Options of everything that writes text."""

    max_new_tokens: Count | None = Field(None, description="Most tokens to write.")
    min_new_tokens: Annotated[int, Field(ge=0, le=100_000), NUMBER] | None = Field(
        None, description="Fewest tokens to write."
    )
    max_length: Count | None = Field(None, description="As max_new_tokens, but counts the prompt.")
    min_length: Annotated[int, Field(ge=0, le=100_000), NUMBER] | None = Field(
        None, description="The same for the fewest."
    )
    do_sample: StrictBool | None = Field(None, description="Draw tokens by their probability.")
    temperature: Annotated[float, Field(ge=0, le=100), NUMBER] | None = Field(
        None, description="Below one: surer, above: bolder. Zero: always the likeliest."
    )
    top_k: Annotated[int, Field(ge=0, le=1_000_000), NUMBER] | None = Field(
        None, description="Draw among so many of the likeliest; 0: among all."
    )
    top_p: Probability | None = Field(None, description="Draw among the likeliest that together have this share.")
    typical_p: Annotated[float, Field(gt=0, le=1), NUMBER] | None = Field(
        None, description="Draw among typical tokens."
    )
    repetition_penalty: Annotated[float, Field(gt=0, le=100), NUMBER] | None = Field(
        None, description="Above one: tokens that were there are less likely."
    )
    no_repeat_ngram_size: Annotated[int, Field(ge=0, le=1000), NUMBER] | None = Field(
        None, description="No run of so many tokens comes twice."
    )
    num_beams: Annotated[int, Field(ge=1, le=32), NUMBER] | None = Field(
        None, description="Beams of the search; 1: greedy."
    )
    length_penalty: Annotated[float, Field(ge=-100, le=100), NUMBER] | None = Field(
        None, description="Above zero, beams prefer longer texts."
    )
    early_stopping: StrictBool | Literal["never"] | None = Field(None, description="When a search with beams ends.")
    num_return_sequences: Annotated[int, Field(ge=1, le=16), NUMBER] | None = Field(None, description="How many texts.")
    max_time: Annotated[float, Field(gt=0, le=3600), NUMBER] | None = Field(
        None, description="Seconds after which to stop."
    )
    seed: Annotated[int, Field(ge=0, lt=2**63), NUMBER] | None = Field(
        None, description="The same seed draws the same text."
    )
    clean_up_tokenization_spaces: StrictBool | None = Field(None, description="Remove spaces before punctuation.")


class TextToTextParameters(WritingParameters):
    """Options of writing one text for another."""

    truncation: StrictBool | Truncation | None = Field(None, description="Cut off a text too long for the model.")
    generate_parameters: dict[str, Any] | None = Field(None, description="The options of writing, one level down.")
    generation_parameters: dict[str, Any] | None = Field(None, description="Another name of generate_parameters.")


class SummarizationParameters(TextToTextParameters):
    """Options of summarization."""

    chunk: Literal["sentences"] | None = Field(None, description="Read a long text in windows of whole sentences.")


class TranslationParameters(SummarizationParameters):
    """Options of translation."""

    src_lang: Text | None = Field(None, description="The language of the text, as the model calls it.")
    tgt_lang: Text | None = Field(None, description="The language to translate into.")


class Grammar(BaseModel):
    """A grammar for the text to write, which no model here follows."""

    type: str
    value: Any


class TextGenerationParameters(WritingParameters):
    """Options of text generation, those of text-generation-inference included."""

    return_full_text: StrictBool | None = Field(None, description="Show the prompt before the new text.")
    stop: Stops | None = Field(None, description="Texts at which to stop.")
    stop_sequences: Stops | None = Field(None, description="The older name of stop.")
    truncate: Count | None = Field(None, description="Read only so many tokens of the prompt, its last ones.")
    frequency_penalty: Annotated[float, Field(ge=-2, le=2), NUMBER] | None = Field(
        None, description="Above zero: tokens are less likely the more often they were written."
    )
    presence_penalty: Annotated[float, Field(ge=-2, le=2), NUMBER] | None = Field(
        None, description="Above zero: tokens that were written are less likely."
    )
    watermark: StrictBool | None = Field(None, description="Mark the text so that it can be told apart later.")
    details: StrictBool | None = Field(None, description="Tell each token with its probability.")
    decoder_input_details: StrictBool | None = Field(None, description="Tell the tokens of the prompt as well.")
    top_n_tokens: Annotated[int, Field(ge=1, le=20), NUMBER] | None = Field(
        None, description="Tell so many of the likeliest tokens of each step."
    )
    best_of: Annotated[int, Field(ge=1, le=16), NUMBER] | None = Field(
        None, description="Write so many and return the likeliest."
    )
    grammar: Grammar | None = Field(None, description="Not supported: refused where it is given.")
    adapter_id: Text | None = Field(None, description="Not supported: refused where it is given.")


PARAMETERS: Mapping[str, type[Parameters]] = {
    "text-classification": TextClassificationParameters,
    "token-classification": TokenClassificationParameters,
    "question-answering": QuestionAnsweringParameters,
    "fill-mask": FillMaskParameters,
    "zero-shot-classification": ZeroShotClassificationParameters,
    "feature-extraction": FeatureExtractionParameters,
    "sentence-similarity": SentenceSimilarityParameters,
    "text-generation": TextGenerationParameters,
    "text2text-generation": TextToTextParameters,
    "summarization": SummarizationParameters,
    "translation": TranslationParameters,
}


def parameters_schema(task: str) -> dict[str, Any]:
    """The JSON schema of a task's parameters."""
    return PARAMETERS[task].model_json_schema()


class TaskRequest(BaseModel):
    """The request of the Hugging Face Inference API, for every task.

    Feature extraction may say its parameters beside the inputs; all else goes into `parameters`.
    """

    model_config = ConfigDict(extra="allow")

    inputs: Any = Field(
        description="A text, a list of texts, or for some tasks an object: question and context, source_sentence and "
        "sentences, text and text_pair."
    )
    parameters: dict[str, Any] | None = Field(None, description="Options of the task.")
    options: dict[str, Any] | None = Field(None, description="Taken for the sake of existing clients.")
    stream: StrictBool = Field(False, description="Text generation: tokens as they are written, as server-sent events.")


class ErrorAnswer(BaseModel):
    """What every refusal says, outside of /v1."""

    error: str
    error_type: str
