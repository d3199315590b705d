"""Runs many mutants in worker processes, and lists what a loader must not do: crash, hang, take all memory, write outside.

python -m tests.fuzz.campaign [--first N] [--count N]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests import ROOT

MOST_SECONDS = 10
"""Of the processor."""
MOST_MEMORY = 3 << 30
"""Beyond twice the file: what constants and weights at load may take (see `rt_engine.passes.specialise`)."""


@dataclass
class Outcome:
    """Words of all mutants, and the faults among them."""

    words: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def campaign(first: int, count: int, seconds: float | None = None) -> Outcome:
    """Try `count` mutants; a worker that dies is noted, and another goes on behind the mutant that killed it."""
    outcome, number = Outcome(), first
    while number < first + count:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "tests.fuzz.worker", folder, str(number), str(first + count - number)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=seconds)
            results = [json.loads(line) for line in done.stdout.splitlines()]
            for result in results:
                _judge(result, outcome)
            number += len(results)
            now = Path(folder) / "now.json"
            if number < first + count:
                if not (results or now.exists()):
                    raise RuntimeError(f"a worker ended before its first mutant: {done.stderr.strip()[-900:]}")
                seed = json.loads(now.read_text())["seed"] if now.exists() else "?"
                last = " ".join(done.stderr.strip().splitlines()[-12:])
                outcome.faults.append(f"{number} ({seed}): the process ended with {done.returncode}: {last[-900:]}")
                outcome.words["crash"] += 1
                number += 1
    return outcome


def _judge(result: dict[str, object], outcome: Outcome) -> None:
    word = str(result["word"])
    outcome.words[word.split(":")[0]] += 1
    who = f"{result['number']} ({result['seed']}, {result['bytes']} bytes)"
    if word.startswith("FAULT"):
        outcome.faults.append(f"{who}: {word}")
    if float(str(result["seconds"])) > MOST_SECONDS:
        outcome.faults.append(f"{who}: took {result['seconds']} s")
    if int(str(result["memory"])) > 2 * int(str(result["bytes"])) + MOST_MEMORY:
        outcome.faults.append(f"{who}: took {int(str(result['memory'])) >> 20} MiB")


def main() -> None:
    """Print the words with their counts, then the faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000)
    arguments = parser.parse_args()
    outcome = campaign(arguments.first, arguments.count)
    for word, count in outcome.words.most_common():
        print(f"{count:>7}  {word}")
    print("\n".join(outcome.faults) or "no fault")
    sys.exit(bool(outcome.faults))


if __name__ == "__main__":
    main()
