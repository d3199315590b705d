"""A comparison on a terminal."""

import numpy as np

from rt_native.terminal import Terminal
from station.replay.whatif import OutputTerms
from station.replay.whatif_table import behaviour_sheet, outputs_sheet, remarks
from tests.station.replay.cycles import compared, cycles

RAW = np.sin(np.arange(1000) / 50)
FOUND = compared(
    cycles(RAW, monitor=0.1), cycles(RAW + 0.5), OutputTerms("force", "N", tolerance=0.25), monitor_limit=1.0
)


def shown(*parts, width=200):
    console = Terminal(width=width, file=None)
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    return captured.get()


def test_each_output_has_its_figures():
    text = shown(outputs_sheet(FOUND))
    assert all(word in text for word in ("task axis: 1,000 of 1,000 cycles can be compared", "force", "0.25", "1,000"))


def test_on_a_narrow_screen_the_most_important_stays():
    text = shown(outputs_sheet(FOUND), width=44)
    assert "0.5" in text
    assert "columns would also show" in text


def test_guard_and_monitor_of_both_stand_side_by_side():
    text = shown(behaviour_sheet(FOUND))
    assert all(word in text for word in ("recorded", "new model", "LIVE", "0 OK", "monitor over its limit"))


def test_the_verdict_is_told_worst_first():
    assert "1,000 of 1,000 values lie beyond" in shown(*remarks(FOUND)).splitlines()[0]
