"""The calls of pipelines that read: every task, option and tricky input."""

from __future__ import annotations

from typing import Any

Case = dict[str, Any]

TEXTS = [
    "Not bad at all.",
    "I am not happy with it.",
    "  Two   spaces,\ttabs and\nlines  ",
    "Ünïcödé 🎉 emoji 👩‍👩‍👧 and 한국어 텍스트!",
    "a [SEP] b [CLS] </s> c",
    "supercalifragilisticexpialidocious" * 2,
    "?!",
]
NAMES = [
    "My name is Wolfgang Müller and I live in Berlin, near Alexanderplatz.",
    "🎉 Ana-María of São Paulo met 김철수 in 서울 😀😀 yesterday",
    "U.S. officials (e.g. O'Neill) flew to Côte d'Ivoire; it's true.",
    "unaffable electroencephalographically minded Ṽeronika",
]
LONG = " ".join(f"In {year} John Smith moved from Paris to New York with Mary-Ann ." for year in range(1990, 1998))
PASSAGE = (
    "The Apollo program was designed to land humans on the Moon and bring them safely back to Earth. "
    "Six of the missions achieved this goal: Apollo 11, 12, 14, 15, 16 and 17. "
    "Neil Armstrong 🚀 walked first, in 1969. "
    "Buzz Aldrin followed; Michael Collins stayed in orbit. 아폴로 계획은 1972년에 끝났다. "
)
QUESTION = "Who walked on the Moon first?"
EMPTY = ["", "  ", ["fine", ""], []]  # what texts a tokenizer may make nothing of


SENTENCES = [  # a source and what it is compared with
    ["a happy dog", "a joyful puppy 🐶", "stock markets fell sharply today", "a happy dog"],
    [TEXTS[0], *TEXTS[1:]],
    [LONG * 4, LONG, "John Smith moved a lot."],
]


def case(checkpoint: str, *args: Any, init: Case | None = None, **kwargs: Any) -> Case:
    found: Case = {"checkpoint": checkpoint, "args": list(args)}
    if init:
        found["init"] = init
    if kwargs:
        found["kwargs"] = kwargs
    return found


def text_classification() -> list[Case]:
    checkpoints = ("bert-moods", "roberta-moods", "gpt2-moods", "t5-moods")
    cases = [case(name, text) for name in checkpoints for text in TEXTS]
    for name in ("bert-moods", "bert-topics", "bert-rating", "bert-spam"):
        cases += [
            case(name, TEXTS[0]),
            case(name, TEXTS),
            case(name, TEXTS[0], top_k=None),
            case(name, TEXTS[:2], top_k=None),
            case(name, TEXTS[0], top_k=1),
            case(name, TEXTS[:2], top_k=1),
            case(name, TEXTS[0], top_k=2),
            case(name, TEXTS[0], return_all_scores=True),
            case(name, TEXTS[:2], return_all_scores=True),
            case(name, TEXTS[0], return_all_scores=False),
            *(
                case(name, TEXTS[0], function_to_apply=function, top_k=None)
                for function in ("sigmoid", "softmax", "none")
            ),
        ]
    return [
        *cases,
        case("bert-moods", TEXTS[0], init={"top_k": None}),
        case("bert-moods", TEXTS[:2], init={"top_k": None}),
        case("bert-moods", TEXTS[0], init={"top_k": 2}, top_k=1),
        case("bert-moods", TEXTS[0], init={"return_all_scores": True}),
        case("bert-moods", TEXTS[0], init={"return_all_scores": True}, return_all_scores=False),
        case("bert-moods", TEXTS[0], init={"function_to_apply": "none"}, function_to_apply="sigmoid"),
        case("bert-moods", {"text": TEXTS[0], "text_pair": TEXTS[1]}),
        case("bert-moods", [{"text": TEXTS[0], "text_pair": TEXTS[1]}, {"text": TEXTS[1]}, TEXTS[3]]),
        case("bert-moods", [[["first", "second"]]]),
        case("bert-moods", [["first", "second"]]),
        case("bert-moods", LONG, truncation=True),
        case("bert-moods", LONG, truncation=True, max_length=12),
        case("bert-moods", LONG, init={"truncation": True}),
        case("roberta-moods", LONG, truncation=True),
        case("bert-moods", TEXTS[0], padding="max_length", max_length=20),
        case("bert-moods", TEXTS[:4], batch_size=2),
        *(case(name, text) for name in ("bert-moods", "t5-moods") for text in EMPTY),
        case("bert-moods", {"text": "", "text_pair": "b"}),
        case("gpt2-moods", ""),
        case("bert-moods", LONG),
        case("bert-moods", None),
        case("bert-moods", [TEXTS[0], None]),
        case("bert-moods", TEXTS[0], function_to_apply="cube"),
    ]


def token_classification() -> list[Case]:
    checkpoints = ("bert-tags", "bert-cased-tags", "roberta-tags", "albert-tags")
    strategies = ("none", "simple", "first", "average", "max")
    return [
        *(
            case(name, text, aggregation_strategy=strategy)
            for name in checkpoints
            for strategy in strategies
            for text in (NAMES if name.startswith("bert") else NAMES[:3])
        ),
        *(case(name, text, aggregation_strategy="max") for name in ("gpt2-tags", "t5-tags") for text in NAMES[:3]),
        *(case(name, NAMES[1]) for name in ("gpt2-tags", "t5-tags")),
        case("bert-tags", NAMES),
        case("bert-tags", NAMES[:1]),
        case("bert-tags", NAMES[0], init={"aggregation_strategy": "simple"}),
        case("bert-tags", NAMES[0], init={"aggregation_strategy": "simple"}, aggregation_strategy="max"),
        case("bert-tags", NAMES[0], init={"grouped_entities": True}),
        case("bert-tags", NAMES[0], grouped_entities=True, ignore_subwords=True),
        case("bert-tags", NAMES[0], grouped_entities=False),
        case("bert-tags", NAMES[0], aggregation_strategy="SIMPLE"),
        case("bert-tags", NAMES[0], ignore_labels=[]),
        case("bert-tags", NAMES[0], ignore_labels=["O", "B-PER", "I-PER"]),
        case("bert-tags", NAMES[0], ignore_labels=["PER"], aggregation_strategy="simple"),
        case("bert-tags", LONG),
        *(
            case(name, LONG, stride=stride, aggregation_strategy=strategy)
            for name, stride, strategies in (
                ("bert-tags", 8, strategies[1:]),
                ("bert-tags", 0, ["simple"]),
                ("bert-tags", 24, ["max"]),
                ("albert-tags", 16, ["simple", "first"]),
            )
            for strategy in strategies
        ),
        case("bert-tags", [LONG, NAMES[0]], stride=16, aggregation_strategy="simple"),
        case("bert-tags", LONG, stride=16),
        *(
            case(name, NAMES[1].split(), is_split_into_words=True, aggregation_strategy=strategy, **more)
            for name in ("bert-tags", "roberta-tags")
            for strategy in strategies
            for more in ({}, {"delimiter": "_"})
        ),
        case("bert-tags", [NAMES[0].split(), NAMES[1].split()], is_split_into_words=True),
        case("bert-tags", "?!🎉"),
        case("bert-tags", NAMES[0], aggregation_strategy="most"),
        case("bert-tags", NAMES[0], stride=8, aggregation_strategy="none"),
        case("bert-tags", NAMES[0], stride=64, aggregation_strategy="simple"),
        *(case(name, text) for name in ("bert-tags", "t5-tags") for text in EMPTY[:-1]),
        case("bert-tags", "", aggregation_strategy="max"),
        case("bert-tags", None),
        case("bert-tags", NAMES[0], stribe=3),
        case("bert-tags", NAMES[0], is_split_into_words=True),
    ]


def fill_mask() -> list[Case]:
    one, two = "The capital of France is [MASK].", "The [MASK] of France is [MASK] ."
    return [
        case("bert-mask", one),
        case("bert-mask", two),
        case("bert-mask", [one]),
        case("bert-mask", [one, two, "[MASK]"]),
        case("bert-mask", one, top_k=2),
        case("bert-mask", two, init={"top_k": 1}),
        case("bert-mask", two, init={"top_k": 1}, top_k=3),
        case("bert-mask", one, targets=["paris", "london", "paris"]),
        case("bert-mask", one, targets="paris"),
        case("bert-mask", one, targets=["Paris", "londonderry", "qwertyuiop"], top_k=2),
        case("bert-mask", two, targets=["paris", "capital", "rome"]),
        case("bert-mask", one, init={"targets": ["paris", "rome"]}),
        case("bert-mask", "🎉 " + one + " 한국"),
        case("bert-mask", one + " " + LONG, tokenizer_kwargs={"truncation": True}),
        case("bert-mask", [one, two, one], batch_size=2),
        case("roberta-mask", "The capital of France is <mask>."),
        case("roberta-mask", "The <mask> of <mask> ünd 🎉.", top_k=3),
        case("roberta-mask", "<mask> is far", targets=[" it", " he"]),
        case("bart-mask", "The capital of France is <mask>."),
        *(case("bert-mask", text) for text in EMPTY),
        case("bert-mask", "no mask here"),
        case("bert-mask", [one, "no mask here"]),
        case("bert-mask", one, top_k=99999),
        case("bert-mask", one, targets=[]),
        case("bert-mask", one, targets=[""]),
        case("bert-mask", one + " " + LONG),
        case("bert-mask", None),
    ]


def question_answering() -> list[Case]:
    asked = {"question": QUESTION, "context": PASSAGE}
    checkpoints = ("bert-qa", "roberta-qa", "albert-qa")
    return [
        *(
            case(name, **asked, **more)
            for name in checkpoints
            for more in (
                {},
                {"top_k": 4},
                {"top_k": 3, "align_to_words": False},
                {"handle_impossible_answer": True, "top_k": 3},
                {"max_answer_len": 1, "top_k": 3},
                {"max_answer_len": 40, "top_k": 3},
                {"max_seq_len": 32, "doc_stride": 8, "top_k": 5},
                {"max_seq_len": 24, "doc_stride": 0, "top_k": 5, "handle_impossible_answer": True},
                {"max_seq_len": 40, "padding": "max_length", "top_k": 2},
                {"doc_stride": 16},
            )
        ),
        *(case(name, **asked, top_k=3, **more) for name in ("gpt2-qa", "t5-qa") for more in ({}, {"max_seq_len": 40})),
        case("bert-qa", asked),
        case("bert-qa", [asked]),
        case("bert-qa", [asked, {"question": "When?", "context": "In 1969, says NASA."}]),
        case("bert-qa", QUESTION, PASSAGE),
        case("bert-qa", question=[QUESTION, "When?"], context=PASSAGE),
        case("bert-qa", question=[QUESTION, "When?"], context=[PASSAGE, "In 1969."]),
        case("bert-qa", question=[QUESTION], context=[PASSAGE]),
        case("bert-qa", question=["When?"], context=PASSAGE),
        case("bert-qa", question="누가?", context="🎉 닐 암스트롱이 걸었다. 그리고 Buzz  Aldrin 😀.", top_k=3),
        case("bert-qa", question="Who?", context="A a B b a A c C", max_answer_len=1, top_k=3),
        case("bert-qa", **asked, topk=2),
        case("bert-qa", **asked, init={"top_k": 2}),
        case("bert-qa", **asked, init={"top_k": 2}, top_k=1),
        case("bert-qa", question=[QUESTION, "When?"], context=PASSAGE, batch_size=4),
        case("bert-qa", question=QUESTION, context=[PASSAGE]),
        case("bert-qa", question=[QUESTION, "When?"], context=[PASSAGE]),
        *(case("bert-qa", text) for text in EMPTY[1:]),
        case("bert-qa", question=" ", context=PASSAGE[:30]),
        case("bert-qa", question=QUESTION, context="  "),
        case("bert-qa", question=QUESTION),
        case("bert-qa", question="", context=PASSAGE),
        case("bert-qa", question=QUESTION, context=""),
        case("bert-qa", question=None, context=PASSAGE),
        case("bert-qa", {"question": QUESTION}),
        case("bert-qa", [asked, None]),
        case("bert-qa", **asked, top_k=0),
        case("bert-qa", **asked, max_answer_len=0),
        case("bert-qa", **asked, doc_stride=50, max_seq_len=40),
        case("bert-qa", **asked, max_seq_len=8),
    ]


def zero_shot_classification() -> list[Case]:
    labels = ["politics", "public health", "science 🔬", "한국"]
    return [
        *(
            case(name, text, candidate_labels=labels, multi_label=several)
            for name in ("bert-nli", "albert-nli", "bart-nli")
            for several in (False, True)
            for text in TEXTS[:4]
        ),
        case("bert-nli", TEXTS[0], labels),
        case("bert-nli", TEXTS[0], "politics, public health,, science"),
        case("bert-nli", TEXTS[0], candidate_labels="politics"),
        case("bert-nli", TEXTS[:2], candidate_labels=labels),
        case("bert-nli", TEXTS[:1], candidate_labels=labels),
        case("bert-nli", sequences=TEXTS[0], candidate_labels=labels),
        case("bert-nli", TEXTS[0], candidate_labels=labels, hypothesis_template="Dieser Text handelt von {}!"),
        case("bert-nli", TEXTS[0], init={"candidate_labels": labels, "multi_label": True}),
        case("bert-nli", TEXTS[0], init={"candidate_labels": labels}, candidate_labels=["a", "b"]),
        case("bert-nli", TEXTS[0], candidate_labels=labels, multi_class=True),
        case("bert-nli", LONG, candidate_labels=labels),
        case("bart-nli", LONG, candidate_labels=labels),
        case("bert-nli", TEXTS[:3], candidate_labels=labels, batch_size=3),
        case("bert-moods", TEXTS[0], candidate_labels=labels),
        *(case("bert-nli", text, candidate_labels=labels) for text in EMPTY),
        case("bert-nli", TEXTS[0]),
        case("bert-nli", TEXTS[0], candidate_labels=[]),
        case("bert-nli", TEXTS[0], candidate_labels=""),
        case("bert-nli", "", candidate_labels=labels),
        case("bert-nli", None, candidate_labels=labels),
        case("bert-nli", TEXTS[0], candidate_labels=labels, hypothesis_template="No place for a label."),
        case("bert-nli", TEXTS[0], "a", "b"),
    ]


def feature_extraction() -> list[Case]:
    return [
        case("bert-body", TEXTS[0]),
        case("bert-body", TEXTS[3]),
        case("roberta-body", TEXTS[0]),
        case("bert-body", TEXTS[:2]),
        case("bert-body", TEXTS[:1]),
        case("bert-body", TEXTS[6], return_tensors=True),
        case("bert-body", TEXTS[6], init={"return_tensors": True}, return_tensors=False),
        case("bert-body", LONG, truncation=True, tokenize_kwargs={"max_length": 5}),
        case("bert-body", TEXTS[6], tokenize_kwargs={"padding": "max_length", "max_length": 6, "truncation": True}),
        case("bert-body", TEXTS[6], tokenize_kwargs={"add_special_tokens": False}),
        case("bert-moods", TEXTS[6]),
        case("bert-body", TEXTS[6], truncation=True, tokenize_kwargs={"truncation": True}),
        *(case(name, text) for name in ("bert-body", "roberta-body") for text in EMPTY),
        case("bert-body", LONG),
        case("bert-body", None),
    ]


CASES = {
    "text-classification": text_classification(),
    "token-classification": token_classification(),
    "fill-mask": fill_mask(),
    "question-answering": question_answering(),
    "zero-shot-classification": zero_shot_classification(),
    "feature-extraction": feature_extraction(),
}
