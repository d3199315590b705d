"""How much of ONNX's backend suite each runtime passes, counted by the same harness.

python -m tests.conformance.count [--json]
"""

import argparse
import json
from collections import Counter

from tests.conformance.suite import KINDS, cases, excluded, failure, onnx_runtime, ours

RUNTIMES = {"rt_engine": ours, "onnxruntime": onnx_runtime}


def count() -> tuple[dict[str, Counter[str]], dict[str, dict[str, str]]]:
    """(kind -> cases and passes by runtime; runtime -> case -> why it fails). Only cases with numeric tensors count."""
    table: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    failures: dict[str, dict[str, str]] = {name: {} for name in RUNTIMES}
    for case in cases().values():
        row = table[case.kind]
        row["all"] += 1
        if not case.numeric:
            continue
        row["numeric"] += 1
        for name, prepare in RUNTIMES.items():
            why = failure(case, prepare)
            if why is None:
                row[name] += 1
            else:
                failures[name][case.name] = why
    return table, failures


def main() -> None:
    """Print the table, and what ONNX Runtime passes and rt_engine does not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="counts and every failure as JSON")
    arguments = parser.parse_args()
    table, failures = count()
    if arguments.json:
        print(json.dumps({"counts": table, "failures": failures}, indent=1))
        return
    columns = ("all", "numeric", *RUNTIMES)
    print(f"{'cases':<20}" + "".join(f"{c:>14}" for c in columns))
    for kind, row in [*table.items(), ("sum", sum(table.values(), Counter()))]:
        print(f"{kind:<20}" + "".join(f"{row[c]:>14,}" for c in columns))
    only = sorted(set(failures["rt_engine"]) - set(failures["onnxruntime"]))
    print(f"\n{len(only)} cases that ONNX Runtime passes and rt_engine does not:")
    for name in only:
        print(f"  {name}: {excluded(name) or failures['rt_engine'][name]}")


if __name__ == "__main__":
    main()
