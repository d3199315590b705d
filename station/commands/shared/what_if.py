"""`rt-engine replay REC --model NEW`: what another model makes of a recording, on a terminal, as JSON, as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rt_native.text import print_json
from station.commands.shared.explaining import check_outputs, say
from station.errors import ExitCode

if TYPE_CHECKING:
    from rt_engine import Model
    from rt_engine.recording import Recording
    from rt_native.terminal import Terminal
    from station.replay.asking import Asked, Asking
    from station.replay.whatif import WhatIf


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options ask for. `html`: where the page goes, None: none is made."""

    model: Path
    html: Path | None
    as_json: bool


def tolerances(words: Sequence[str]) -> tuple[float | None, dict[str, float]]:
    """`--tolerance 0.5`, `--tolerance force=0.5`: (of all outputs, by output); raises typer.BadParameter."""
    for_all, by_name = None, dict[str, float]()
    for word in words:
        name, equals, number = word.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf"):
            why = f"{word!r} is no tolerance: write 0.5 for all outputs, force=0.5 for one, in its tag's unit"
            raise typer.BadParameter(why, param_hint="--tolerance")
        if equals:
            by_name[name] = value
        else:
            for_all = value
    return for_all, by_name


def what_if(console: Terminal, recording: Recording, asked: Asked, wanted: Wanted) -> ExitCode:
    """Run it and show what came; FAILED where it does not pass. Raises as `station.replay.asking.Asking.run`."""
    from station.replay.asking import ask
    from station.replay.judging import passes

    check_outputs(wanted.model, *map(Path, recording.paths), files={"--html": wanted.html})
    asking = ask(recording, asked)
    model = asking.load(wanted.model)
    found = asking.run(model)
    if wanted.html is not None:
        from rt_native.files import write_whole

        write_whole(wanted.html, _page(asking, wanted.model, model, found).encode())
    if wanted.as_json:
        print_json(
            {
                "model": {"file": str(wanted.model), "sha256": model.sha256, "slot": asking.slot},
                "recording": list(recording.paths),
                "tasks": [_task_json(one) for one in found],
                "passes": all(map(passes, found)),
            }
        )
    else:
        _show(console, found)
    return ExitCode.OK if all(map(passes, found)) else ExitCode.FAILED


def _task_json(found: WhatIf) -> dict[str, object]:
    from station.replay.judging import judged, passes

    remarks = [{"level": remark.level, "text": remark.text} for remark in judged(found)]
    return found.to_json() | {"verdict": remarks, "passes": passes(found)}


def _show(console: Terminal, found: Sequence[WhatIf]) -> None:
    from station.replay.judging import CAVEAT
    from station.replay.whatif_table import behaviour_sheet, outputs_sheet, remarks

    for one in found:
        console.print(outputs_sheet(one))
        console.print(behaviour_sheet(one))
        for line in remarks(one):
            console.print(line, soft_wrap=True)
    say(console, CAVEAT, "dim")


def _page(asking: Asking, path: Path, model: Model, found: Sequence[WhatIf]) -> str:
    from station.replay.whatif_page import Subject, to_html

    recording = asking.recording
    names = [Path(name).name for name in recording.paths]
    title = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
    old = ", ".join(f"version {version.number}: {version.sha256[:12]}" for version in asking.versions)
    rows = [
        ("recording", ", ".join(names)),
        ("machine", recording.about.get("machine", "not known")),
        ("recorded by", recording.about.get("software", "not known")),
        (f"model {asking.slot}, as recorded", old or "not known"),
        (f"model {asking.slot}, new", f"{path.name}: {model.sha256[:12]}"),
        ("cycles a second", ", ".join(f"{one.terms.task} {_rate(one):,.0f}" for one in found)),
    ]
    return to_html(Subject(title, tuple(rows)), found)


def _rate(found: WhatIf) -> float:
    return found.cycles / found.seconds if found.seconds > 0 else 0.0
