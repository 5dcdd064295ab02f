"""Small samples of each kind of data, written as the files that recipes read."""

from __future__ import annotations

import csv
import json
from pathlib import Path

PLACES = (
    ("Ada Lovelace", "London", "Royal Society"),
    ("Marie Curie", "Paris", "Sorbonne"),
    ("Alan Turing", "Manchester", "Bletchley Park"),
    ("Grace Hopper", "New York", "Navy"),
    ("Niels Bohr", "Copenhagen", "Carlsberg"),
    ("Lise Meitner", "Berlin", "Siemens"),
    ("Kim Jong-hee", "Seoul", "Hanwha"),
    ("Emmy Noether", "Erlangen", "Bryn Mawr"),
)
SENTENCES = (
    "{person} lived in {place} for many years .",
    "In {place} the {firm} gave {person} a prize .",
    "The {firm} has moved its offices to {place} .",
)
FACTS = (
    ("The river Seine flows through Paris and reaches the sea at Le Havre.", "Where does the Seine end?", "Le Havre"),
    ("Mount Everest, at 8849 metres, was first climbed in 1953.", "When was Everest climbed?", "1953"),
    ("The telephone was patented by Bell, the phonograph by Edison.", "Who made the phonograph?", "Edison"),
    ("Honey is made by bees, and silk is spun by caterpillars.", "What spins silk?", "caterpillars"),
    ("The Korean alphabet was published by King Sejong in 1446.", "Who published the alphabet?", "King Sejong"),
    ("Iron melts at 1538 degrees, lead at only 327 degrees.", "When does lead melt?", "327 degrees"),
    ("The Danube rises in Germany and ends in the Black Sea.", "Where does the Danube rise?", "Germany"),
    ("A week has seven days, and a leap year has 366 days.", "How long is a leap year?", "366 days"),
)
ENDINGS = (
    ("She opens the umbrella", "because it rains.", "because it sings.", "because it reads.", "because it eats."),
    ("He puts the kettle on", "to make some tea.", "to make a chair.", "to make a noise.", "to make a road."),
    ("The dog hears the bell", "and barks at the door.", "and writes a letter.", "and pays the bill.", "and flies."),
    ("They climb the mountain", "and rest at the top.", "and swim in soup.", "and rest in a pocket.", "and melt."),
    ("The baker lights the oven", "to bake the bread.", "to freeze the ice.", "to paint the wall.", "to sail."),
    ("I lost my keys", "so I cannot open the door.", "so I can fly.", "so the sun rises.", "so cats are blue."),
    ("The train is late", "so we wait on the platform.", "so we plant a tree.", "so it is a fish.", "so we sew."),
    ("The child is tired", "and falls asleep.", "and becomes a table.", "and buys a bank.", "and shines green."),
)
PAIRS = (
    ("the cat sleeps", "le chat dort"),
    ("the dog sleeps", "le chien dort"),
    ("the cat eats", "le chat mange"),
    ("the dog eats", "le chien mange"),
    ("a cat drinks", "un chat boit"),
    ("a dog drinks", "un chien boit"),
    ("a small cat sings", "un petit chat chante"),
    ("a small dog sings", "un petit chien chante"),
    ("the small cat sleeps", "le petit chat dort"),
    ("the small dog eats", "le petit chien mange"),
    ("the bird sings", "le merle chante"),
    ("a bird drinks", "un merle boit"),
)
ARTICLES = (
    ("The council met on Monday and, after hours of talk, agreed to close the old bridge.", "Old bridge to close"),
    ("Heavy rain fell over the valley all night and the river rose above its banks.", "Rain floods the valley"),
    ("Scientists say that a new battery lasts for ten years without being charged.", "Battery lasts ten years"),
    ("The museum will open its doors to everybody without a fee from next spring.", "Museum to be free"),
    ("A lost dog walked two hundred miles to the house of the family that had moved.", "Dog walks home"),
    ("After a long winter the farmers of the north expect the best harvest in years.", "Good harvest expected"),
)


def write_conll(path: Path) -> Path:
    """Sentences with names, a word and its tag a line."""
    blocks = []
    for person, place, firm in PLACES:
        for sentence in SENTENCES:
            tagged = []
            for word in sentence.split():
                kind = {"{person}": ("PER", person), "{place}": ("LOC", place), "{firm}": ("ORG", firm)}.get(word)
                if kind is None:
                    tagged.append(f"{word} O")
                else:
                    parts = kind[1].split()
                    tagged += [f"{part} {'I' if i else 'B'}-{kind[0]}" for i, part in enumerate(parts)]
            blocks.append("\n".join(tagged))
    path.write_text("-DOCSTART- O\n\n" + "\n\n".join(blocks) + "\n", encoding="utf-8")
    return path


def squad_rows(unanswerable: bool = False) -> list[dict[str, object]]:
    """Questions with their contexts; `unanswerable` adds each to a context that says nothing of it."""
    rows: list[dict[str, object]] = []
    for index, (context, question, answer) in enumerate(FACTS):
        spans = {"text": [answer], "answer_start": [context.index(answer)]}
        rows.append({"id": f"q{index}", "question": question, "context": context, "answers": spans})
        if unanswerable:
            other = FACTS[(index + 1) % len(FACTS)][0]
            nothing: dict[str, list[object]] = {"text": [], "answer_start": []}
            rows.append({"id": f"n{index}", "question": question, "context": other, "answers": nothing})
    return rows


def write_squad(path: Path) -> Path:
    """The same questions in SQuAD's nested layout."""
    paragraphs = []
    for row in squad_rows():
        spans = row["answers"]
        assert isinstance(spans, dict)
        answers = [{"text": spans["text"][0], "answer_start": spans["answer_start"][0]}]
        asked = {"id": row["id"], "question": row["question"], "answers": answers}
        paragraphs.append({"context": row["context"], "qas": [asked]})
    path.write_text(json.dumps({"version": "1.1", "data": [{"title": "facts", "paragraphs": paragraphs}]}))
    return path


def write_swag(path: Path) -> Path:
    """Beginnings with four endings, the right one at a place that moves."""
    with path.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(["sent1", "sent2", "ending0", "ending1", "ending2", "ending3", "label"])
        for index, (first, right, *wrong) in enumerate(ENDINGS):
            place = index % 4
            writer.writerow([first, "", *wrong[:place], right, *wrong[place:], place])
    return path


def write_pairs(path: Path) -> Path:
    """A table of sources and targets."""
    path.write_text("source\ttarget\n" + "".join(f"{a}\t{b}\n" for a, b in PAIRS), encoding="utf-8")
    return path


def write_summaries(path: Path) -> Path:
    """Texts and their headlines."""
    rows = [{"text": text, "summary": summary} for text, summary in ARTICLES]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path
