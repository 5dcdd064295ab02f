"""Results as Markdown: the table of one row, and the summary that the README shows.

    python -m benchmarks.table [--profiles]

prints the summary of everything under benchmarks/results, or where the time goes by what is in benchmarks/profiles.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .compare import wording

RESULTS = Path(__file__).resolve().parent / "results"
PROFILES = RESULTS.with_name("profiles")
LEAST_SHARE = 0.04  # of a call, below which an operator is not worth a word
REFERENCE, OURS = "transformers", "lamina"  # how the names of contenders begin
ENGINES = ("ctranslate2", "onnxruntime", "openvino", "tokenizers")


def table(name: str, row: dict[str, Any]) -> str:
    """A row's lines as Markdown."""
    rate = f"{row['unit']}/s"
    head = ["", "median s", "min..max", "ratio", rate, "of limit", "peak MB", "accuracy", "dirty", "wanted"]
    figures = next((list(line["figures"]) for line in row["lines"].values() if "figures" in line), [])
    head += figures
    text = [f"### {name}", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for who, line in row["lines"].items():
        if why := line.get("absent") or line.get("failed"):
            text.append(f"| {who} | {'absent' if 'absent' in line else 'failed'}: {why[-100:]} |")
            continue
        timed = "median_s" in line
        text.append(
            f"| {who} | {line['median_s']:.4g} | {line['min_s']:.3g}..{line['max_s']:.3g} "
            if timed
            else f"| {who} | - | - "
        )
        text[-1] += f"| {line['ratio']:.2f}x " if "ratio" in line else "| - "
        text[-1] += f"| {row['amount'] / line['median_s']:,.4g} " if timed else "| - "
        text[-1] += f"| {line['of_limit']:.0%} " if "of_limit" in line else "| - "
        text[-1] += f"| {line.get('peak_mb', 0):.0f} | {wording(line.get('accuracy', {}))} "
        text[-1] += f"| {line['dirty']}/{line['rounds']} | {promise(line)} |" if timed else f"| - | {promise(line)} |"
        text[-1] += "".join(f" {line['figures'][figure]:.3g} |" for figure in figures if "figures" in line)
    return "\n".join(text) + "\n"


def promise(line: dict[str, Any]) -> str:
    if "met" not in line:
        return ""
    if "most" in line:
        return f"at most {line['most']:.4g}: {'met' if line['met'] else 'MISSED'}"
    parts = [{key: line[key] for key in ("against", "wanted", "found")}] if "against" in line else []
    parts += [{"against": rival, **each} for rival, each in line.get("beside", {}).items()]
    said = []
    for part in parts:
        of = f" of {part['against']}" if not part["against"].startswith(REFERENCE) else ""
        said.append(f"{part['wanted']:g}x{of}: {part['found']:.2f}x")
    return f"{', '.join(said)} {'met' if line['met'] else 'MISSED'}"


def overview(rows: dict[str, dict[str, Any]]) -> Iterator[str]:
    """A line for each promise: the reference's time, the best other engine of that precision, and ours."""
    for name, row in rows.items():
        if row["memory"]:
            continue
        lines = {who: line for who, line in row["lines"].items() if "median_s" in line}
        reference = next((line for who, line in lines.items() if who.startswith(REFERENCE)), None)
        for who, line in lines.items():
            if not who.startswith(OURS) or reference is None:
                continue
            rivals = [
                (other["median_s"], rival)
                for rival, other in lines.items()
                if other["module"] in ENGINES and other["precision"] == line["precision"]
            ]
            best = f"{reference['median_s'] / min(rivals)[0]:.2f}x ({min(rivals)[1]})" if rivals else "-"
            wanted = f"{line['wanted']:g}x" if "wanted" in line else "-"
            wanted += f" of {line['against']}" if line.get("against", REFERENCE).split()[0] != REFERENCE else ""
            yield (
                f"| {name} | {who} | {reference['median_s']:.3g} s | {best} | **{line['ratio']:.2f}x** | {wanted} "
                f"| {wording(line['accuracy'])} | {line.get('peak_mb', 0):.0f} MB |"
            )


def spent(rows: dict[str, dict[str, Any]]) -> Iterator[str]:
    """A line for each contender with a profile: its share of the machine's limit, and its operators' of the time."""
    for name, row in rows.items():
        for who, line in row["lines"].items():
            operators = [
                f"{each['operator'].rpartition('::')[2].strip('_')} {each['share']:.0%}"
                for each in line.get("profile") or ()
                if each["share"] >= LEAST_SHARE
            ]
            if operators:
                limit = f"{line['of_limit']:.0%}" if "of_limit" in line else "-"
                yield f"| {name} | {who} | {limit} | {', '.join(operators)} |"


def main() -> None:
    if "--profiles" in sys.argv:
        print("| row | Lamina as | of limit | operators |")
        print("|---|---|---|---|")
        for file in sorted(PROFILES.glob("*.json")):
            for line in spent(json.loads(file.read_text())):
                print(line)
        return
    files = sorted(file for file in RESULTS.glob("*.json") if file.stem not in ("limits", "http_overhead"))
    print("| row | Lamina as | reference | best other engine | Lamina | wanted | beside the reference | peak memory |")
    print("|---|---|---|---|---|---|---|---|")
    for file in files:
        for line in overview(json.loads(file.read_text())):
            print(line)


if __name__ == "__main__":
    main()
