"""States and verdicts of a change: numbers that PLC programs know."""

from rt_engine.change import ChangeState, Verdict


def test_the_numbers_of_states_and_verdicts_stay():
    """A PLC program compares them: they are what they were."""
    assert [(s.name, int(s)) for s in ChangeState] == [
        ("NONE", 0), ("STAGED", 1), ("GATE", 2), ("SHADOW", 3), ("TRIAL", 4),
        ("COMMITTED", 5), ("REJECTED", 6), ("ROLLED_BACK", 7),
    ]  # fmt: skip
    assert [(v.name, int(v)) for v in Verdict] == [
        ("NONE", 0), ("NOT_FINITE", 1), ("OUT_OF_LIMITS", 2), ("TOO_SLOW", 3), ("FAILED", 4), ("MONITOR", 5),
    ]  # fmt: skip
