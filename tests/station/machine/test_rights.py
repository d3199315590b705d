"""Real-time rights in words."""

from scheduler.rights import PRIORITY_HOW, Grant
from station.machine.computer import Computer
from station.machine.rights import facts_of, merged


def test_one_line_per_right():
    """The same answer for several tasks is one line that names all priorities; another answer is another line."""
    grants = [
        Grant("SCHED_FIFO 80", False, "no", "so"),
        Grant("timer slack 1 ns", True, "good"),
        Grant("SCHED_FIFO 79", False, "no", "so"),
        Grant("SCHED_FIFO 70", True, "good"),
    ]
    assert [grant.name for grant in merged(grants)] == ["SCHED_FIFO 80, 79", "timer slack 1 ns", "SCHED_FIFO 70"]


def test_the_way_to_get_a_right_fits_the_place(tmp_path):
    """On a computer a command for its limits, in a container the options of its start; nothing for what is granted."""
    grants = [Grant("SCHED_FIFO 80", False, "no", PRIORITY_HOW), Grant("locked memory", True, "good")]
    missing, granted = facts_of(grants, Computer(tmp_path))
    assert "limits.d/rt-engine.conf" in missing.fix
    assert "ulimit -r must print 99" in missing.fix
    assert (granted.level, granted.fix) == ("ok", "")
    (tmp_path / ".dockerenv").touch()
    assert facts_of(grants, Computer(tmp_path))[0].fix.startswith("docker run --cap-add=SYS_NICE --ulimit rtprio=99")
