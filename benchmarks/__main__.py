"""The whole zoo against every peer that is installed: `python -m benchmarks`, which is `make bench`.

One table, JSON and a plot in reports/bench; a few minutes. With names, only those models: `python -m benchmarks ds-cnn resnet-8`.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from benchmarks.targets import TARGETS
from benchmarks.zoo import Entry, entries, entry
from rt_engine.measure import results
from rt_engine.measure.compare import Comparison, compare, steps
from rt_engine.measure.engines import OURS, Engine, OurRunner
from rt_engine.measure.peaks import peaks
from rt_engine.measure.peers import peers
from rt_native.terminal import Terminal


def measure(chosen: Entry, engines: tuple[Engine, ...], seconds: float, bar: Progress | None = None) -> Comparison:
    """One model of the zoo in all engines, checked against its framework's own outputs."""
    task = bar.add_task(chosen.name, total=steps(len(engines))) if bar else None

    def step(what: str) -> None:
        if bar is not None and task is not None:
            bar.update(task, advance=1, description=f"{chosen.name}: {what}")

    if chosen.state:
        ours = replace(OURS, make=lambda path, inputs: OurRunner(path, inputs, dict(chosen.state)))
        engines = (ours, *engines[1:])
    try:
        made = chosen.get()
        return compare(
            made.path,
            made.inputs,
            made.outputs,
            engines,
            name=chosen.name,
            title=chosen.title,
            target=TARGETS.get(chosen.name),
            tolerance=made.tolerance,
            samples=made.samples,
            seconds=seconds,
            step=step,
        )
    except ImportError as error:
        why = f"its exporter is not installed: {error}; make bench installs it"
        return Comparison(chosen.name, chosen.title, TARGETS.get(chosen.name), {}, {OURS.name: why}, {}, None)
    finally:
        if bar is not None and task is not None:
            bar.remove_task(task)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("models", nargs="*", help="names in the zoo; by default all")
    parser.add_argument("--vs", help="peers, with commas; by default all that are installed")
    parser.add_argument("--seconds", type=float, default=3.0, help="for the warm rounds of each model")
    parser.add_argument("--out", type=Path, default=Path("reports/bench"), help="folder of bench.json and bench.html")
    arguments = parser.parse_args()
    chosen = [entry(name) for name in arguments.models] or entries()
    engines = (OURS, *peers(arguments.vs))
    found: list[Comparison] = []
    with Progress(console=Console(stderr=True), transient=True) as bar:
        whole = bar.add_task("zoo", total=len(chosen))
        for one in chosen:
            found.append(measure(one, engines, arguments.seconds, bar))
            bar.advance(whole)
    console, facts = Terminal(), peaks()
    console.print(results.table(found, facts))
    for line in results.notes(found):
        console.print(line, style="yellow", soft_wrap=True, markup=False, highlight=False)
    arguments.out.mkdir(parents=True, exist_ok=True)
    results.write_json(arguments.out / "bench.json", found, facts)
    for ending in (".svg", ".html"):
        results.write_plot(arguments.out / f"bench{ending}", found, facts)
    console.print(f"written: {arguments.out}/bench.json, .svg, .html", style="dim")


if __name__ == "__main__":
    main()
