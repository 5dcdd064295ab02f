"""What a decoding step costs beside its arithmetic: 12 layers of GPT-2 so thin that there is hardly any.

python -m benchmarks.step_overhead
"""

from __future__ import annotations

import argparse

from .harness import Contender, Row, main
from .inputs import random_ids
from .models import THIN, model

MOST = 1.5e-3  # seconds of a step


def rows(options: argparse.Namespace) -> list[Row]:
    new, vocabulary = 8 if options.smoke else 128, THIN["vocab_size"]
    kind = {"kind": "AutoModelForCausalLM"}
    found = []
    for beams in (1, 4):
        case = {
            **model("gpt2-thin", options),
            "ids": random_ids(1, 32, vocabulary),
            "forced": random_ids(1, 64, vocabulary, seed=1),
            "new": new,
            "beams": beams,
            "pad": vocabulary - 1,
        }
        who = [
            Contender("transformers", "transformers:generate", kind),
            Contender("lamina", "lamina:generate", kind, most=MOST * new if beams == 1 else None),
        ]
        found.append(Row(f"12 thin layers, {'greedy' if beams == 1 else f'{beams} beams'}", case, who, new, "steps"))
    return found


if __name__ == "__main__":
    main("step_overhead", rows)
