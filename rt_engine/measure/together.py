"""How much quicker several threads run a model than one: in turns, so that a machine that changes its pace is fair to both."""

import time
from dataclasses import dataclass

import numpy as np

from rt_engine.model import Model
from rt_engine.run.context import Context
from rt_engine.run.distance import farthest_ns
from rt_engine.run.team import Helpers, Team, TeamStats

_FEWEST_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Together:
    """One model on one thread and on several; `str()` of it is a sentence."""

    threads: int
    single_ns: float
    several_ns: float
    """Medians of the rounds' medians."""
    ratio: float
    """Of one thread's time to that of several: the median over the rounds."""
    share: float
    """Of the work, how much is cut for several, as far as sizes say; 0: the model is too short, and stays on one core."""
    same: bool
    """Are the outputs the same, bit for bit?"""
    longest_wait_ns: int
    stats: TeamStats | None
    line_ns: float
    """How long a cache line takes between two of the cores."""
    is_too_far: bool
    """Does a task whose cores are that far apart keep it on one? Here it is cut all the same, so that it can be measured."""

    def __str__(self) -> str:
        if self.stats is None:
            return f"{self.threads} threads: it takes less than about 50 us, or nothing of it can be cut, and stays on one core"
        bits = "the same bits" if self.same else "OTHER BITS"
        return (
            f"{self.threads} threads: {self.several_ns / 1e3:,.1f} us instead of {self.single_ns / 1e3:,.1f}, {self.ratio:.2f} times "
            f"as fast, {bits}; {self.share:.0%} of the work is cut, longest wait for a helper {self.longest_wait_ns / 1e3:,.1f} us"
            f"{self._far}"
        )

    @property
    def _far(self) -> str:
        """What a task would do, where it is not what was measured."""
        if not self.is_too_far:
            return ""
        return f"; a cache line takes {self.line_ns:,.0f} ns there and back, and a task on cores that far apart keeps it on one"


def run_together(model: Model, threads: int, seconds: float = 3.0) -> Together:
    """Measure both, in rounds of about a tenth of a second each.

    Raises:
        InputError: less than 1 thread, or more than 8.
        RunError: a kernel ended with a status.
    """
    single, several, team, line_ns = model.context(1), model.context(1), Team(threads), farthest_ns()
    is_cut = threads > 1 and team.admit(several)
    is_too_far = is_cut and several._executable.is_too_far(threads, line_ns)
    for context in (single, several):
        _feed(context)
    helpers = Helpers(team) if is_cut else None
    try:
        single.run()
        several.run()
        pairs = zip(single.outputs.values(), several.outputs.values(), strict=True)
        same = all(a.tobytes() == b.tobytes() for a, b in pairs)
        count = max(1, int(5e7 / max(float(np.median(single.measure(3))), 1.0)))
        team.waits.reset()
        rounds: list[list[float]] = []
        until = time.monotonic() + seconds
        while len(rounds) < _FEWEST_ROUNDS or time.monotonic() < until:
            rounds.append([float(np.median(context.measure(count))) for context in (single, several)])
    finally:
        if helpers is not None:
            helpers.stop()
    times = np.array(rounds)
    middle = np.median(times, axis=0)
    ratio = float(np.median(times[:, 0] / times[:, 1]))
    stats = team.stats() if is_cut else None
    return Together(
        threads,
        float(middle[0]),
        float(middle[1]),
        ratio,
        several.shared,
        same,
        team.waits.max,
        stats,
        line_ns,
        is_too_far,
    )


def _feed(context: Context) -> None:
    """Numbers of usual size, the same for every context; whole numbers, which may be indices, are 0."""
    rng = np.random.default_rng(0)
    for view in context.inputs.values():
        view[...] = rng.standard_normal(view.shape) if view.dtype.kind == "f" else 0
