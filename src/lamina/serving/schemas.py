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

from ..generation import config as generation
from ..pipelines.options import CLEAN_UP, IDLE, OPTIONS, TOKENIZING, Option

Truncation = Literal["do_not_truncate", "longest_first", "only_first", "only_second"]


def _number(value: object) -> object:
    """Numbers as they are: what only reads like one, true or "3", is refused as the documentation says."""
    if isinstance(value, (bool, str)):
        raise ValueError("should be a number")
    return value


NUMBER = BeforeValidator(_number)
MOST_TOKENS = 100_000
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


def maybe(kind: Any, help: str) -> Any:
    """A field that may be left out."""
    return kind | None, Field(None, description=help)


def number(kind: type, **limits: Any) -> Any:
    return Annotated[kind, Field(**limits), NUMBER]


def declared(task: str, *names: str, base: Any = Parameters, **own: Any) -> Any:
    """The parameters of a task: those of `base`, `names` as the table of its pipeline declares them, and its `own`."""

    def kind(option: Option) -> Any:
        if option.kind == "choice":
            return Literal[option.choices]
        if option.kind == "count":
            return number(int, ge=option.least, le=option.most)
        if option.kind == "texts":
            return Annotated[list[Text], Field(min_length=option.least, max_length=option.most)]
        return {"flag": StrictBool, "text": Text, "labels": Labels}.get(option.kind, Any)

    fields = {name: maybe(kind(OPTIONS[task][name]), OPTIONS[task][name].help) for name in names}
    title = "".join(part.title() for part in task.split("-"))
    return create_model(f"{title}Parameters", __base__=base, __module__=__name__, **{**fields, **own})


RANGES: Mapping[generation.Rule, tuple[type, dict[str, float]]] = {  # of numbers, as generation's table has them
    generation.COUNT: (int, {"ge": 1}),
    generation.SIZE: (int, {"ge": 0}),
    generation.SHARE: (float, {"ge": 0, "le": 1}),
    generation.SOME: (float, {"gt": 0, "le": 1}),
    generation.POSITIVE: (float, {"gt": 0}),
    generation.SECONDS: (float, {"gt": 0}),
    generation.ZERO_OR_MORE: (float, {"ge": 0}),
    generation.NUMBER: (float, {}),
}


def generating(name: str, help: str, **limits: float) -> Any:
    """An option of `generate` as the table there declares it, within the `limits` of a server."""
    kind, ranges = RANGES[generation.OPTIONS[name].rule]
    return maybe(number(kind, **ranges, **limits), help)


TRUNCATED = maybe(StrictBool | Truncation, TOKENIZING["truncation"].help)
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
    max_seq_len=maybe(number(int, ge=16, le=WINDOW.most), WINDOW.help),
)
FillMaskParameters = declared("fill-mask", "top_k", "targets")
CHOICE = OPTIONS["zero-shot-classification"]
ZeroShotClassificationParameters = declared(
    "zero-shot-classification",
    "multi_label",
    "multi_class",
    candidate_labels=(Labels, Field(description=CHOICE["candidate_labels"].help)),
    hypothesis_template=maybe(Template, CHOICE["hypothesis_template"].help),
)
FeatureExtractionParameters = declared(
    "feature-extraction",
    normalize=maybe(StrictBool, "Scale vectors to length one."),
    truncate=maybe(StrictBool, TOKENIZING["truncation"].help),
    truncation_direction=maybe(
        Literal["left", "right", "Left", "Right"], "Which end is cut off; left out, the right one."
    ),
    dimensions=maybe(number(int, ge=1, le=MOST_TOKENS), "Keep only so many numbers of each vector."),
    prompt_name=maybe(Text, OPTIONS["sentence-similarity"]["prompt_name"].help),
    encoding_format=maybe(Literal["float"], "Vectors are lists of numbers here."),
    return_tensors=maybe(StrictBool, IDLE),
)
WritingParameters = declared(
    "writing",
    max_new_tokens=generating("max_new_tokens", "Most tokens to write.", le=MOST_TOKENS),
    min_new_tokens=generating("min_new_tokens", "Fewest tokens to write.", le=MOST_TOKENS),
    max_length=generating("max_length", "As max_new_tokens, but counts the prompt.", le=MOST_TOKENS),
    min_length=generating("min_length", "The same for the fewest.", le=MOST_TOKENS),
    do_sample=maybe(StrictBool, "Draw tokens by their probability."),
    temperature=generating("temperature", "Below one: surer, above: bolder. Zero: always the likeliest.", le=100),
    top_k=generating("top_k", "Draw among so many of the likeliest; 0: among all.", le=1_000_000),
    top_p=generating("top_p", "Draw among the likeliest that together have this share."),
    typical_p=generating("typical_p", "Draw among typical tokens."),
    repetition_penalty=generating("repetition_penalty", "Above one: tokens that were there are less likely.", le=100),
    no_repeat_ngram_size=generating("no_repeat_ngram_size", "No run of so many tokens comes twice.", le=1000),
    num_beams=generating("num_beams", "Beams of the search; 1: greedy.", le=32),
    length_penalty=generating("length_penalty", "Above zero, beams prefer longer texts.", ge=-100, le=100),
    early_stopping=maybe(StrictBool | Literal["never"], "When a search with beams ends."),
    num_return_sequences=generating("num_return_sequences", "How many texts.", le=16),
    max_time=generating("max_time", "Seconds after which to stop.", le=3600),
    seed=maybe(number(int, ge=0, lt=2**63), "The same seed draws the same text."),
    clean_up_tokenization_spaces=maybe(StrictBool, CLEAN_UP.help),
)
TextToTextParameters = declared(
    "text2text-generation",
    base=WritingParameters,
    truncation=TRUNCATED,
    generate_parameters=maybe(dict[str, Any], "The options of writing, one level down."),
    generation_parameters=maybe(dict[str, Any], "Another name of generate_parameters."),
)
SummarizationParameters = declared("summarization", "chunk", base=TextToTextParameters)
TRANSLATION = OPTIONS["translation"]
TranslationParameters = declared(
    "translation",
    base=SummarizationParameters,
    src_lang=maybe(Text, TRANSLATION["src_lang"].help),
    tgt_lang=maybe(Text, TRANSLATION["tgt_lang"].help),
)


class Grammar(BaseModel):
    """A grammar for the text to write, which no model here follows."""

    type: str
    value: Any


PENALTY = number(float, ge=-2, le=2)
TextGenerationParameters = declared(  # those of text-generation-inference among them
    "text-generation",
    "return_full_text",
    base=WritingParameters,
    stop=maybe(Stops, "Texts at which to stop."),
    stop_sequences=maybe(Stops, "The older name of stop."),
    truncate=maybe(number(int, ge=1, le=MOST_TOKENS), "Read only so many tokens of the prompt, its last ones."),
    frequency_penalty=maybe(PENALTY, "Above zero: tokens are less likely the more often they were written."),
    presence_penalty=maybe(PENALTY, "Above zero: tokens that were written are less likely."),
    watermark=maybe(StrictBool, "Mark the text so that it can be told apart later."),
    details=maybe(StrictBool, "Tell each token with its probability."),
    decoder_input_details=maybe(StrictBool, "Tell the tokens of the prompt as well."),
    top_n_tokens=maybe(number(int, ge=1, le=20), "Tell so many of the likeliest tokens of each step."),
    best_of=maybe(number(int, ge=1, le=16), "Write so many and return the likeliest."),
    grammar=maybe(Grammar, "Not supported: refused where it is given."),
    adapter_id=maybe(Text, "Not supported: refused where it is given."),
)
PARAMETERS: Mapping[str, type[Parameters]] = {
    "text-classification": TextClassificationParameters,
    "token-classification": TokenClassificationParameters,
    "question-answering": QuestionAnsweringParameters,
    "fill-mask": FillMaskParameters,
    "zero-shot-classification": ZeroShotClassificationParameters,
    "feature-extraction": FeatureExtractionParameters,
    "sentence-similarity": declared("sentence-similarity"),
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
