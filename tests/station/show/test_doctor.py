"""The diagnosis: its level, and its words."""

from rt_native.histogram import Histogram
from station.machine.computer import Computer, Fact
from station.show.doctor import Diagnosis, diagnose
from station.show.picture import Picture
from tests.scheduler.test_groups import group, within
from tests.waiting import wait_for

OK = Fact("swap", "ok", "none", "nothing is paged out")
WEAK = Fact("turbo", "warn", "on", "varies", "echo 1")
BAD = Fact("kernel", "bad", "old", "delays", "reboot")


def measured(*times_ns):
    histogram = Histogram()
    for ns in times_ns:
        histogram.add(ns)
    return Picture.of("wake-up", histogram)


def test_verdict():
    """The worst fact decides, and the verdict names what to mend."""
    assert Diagnosis((OK,), None).verdict == "Ready for real time."
    assert "because of: turbo" in Diagnosis((OK, WEAK), None).verdict
    assert Diagnosis((OK, WEAK, BAD), None).verdict == "Not ready for real time: kernel. Mend these first."
    assert [Diagnosis(facts, None).level for facts in ((OK,), (OK, WEAK), (BAD, OK))] == ["ok", "warn", "bad"]


def test_verdict_tells_what_was_measured():
    """The shortest recommended cycle is five times the worst wake-up, and never under 50 us."""
    assert "worst 200 us; cycles of 1 ms and longer" in Diagnosis((OK,), measured(10_000, 200_000)).verdict
    assert "cycles of 50 us and longer" in Diagnosis((OK,), measured(1_000, 1_000)).verdict


def test_nothing_measured(tmp_path):
    """With 0 seconds only files are read."""
    assert diagnose(Computer(tmp_path), 0).wake_up is None


def test_measuring(tmp_path):
    """Measuring runs an empty task, and counts its wake-ups."""
    wait_for(lambda: diagnose(Computer(tmp_path), 0.3).wake_up.timing.count > 0)


def test_doctor_and_a_run_agree():
    """In a real control group with a quota and, where the kernel shares it out, no real-time share: what doctor calls
    granted, tasks are granted, and what it calls refused, they are refused."""
    program = """
        from scheduler import Scheduler, Task
        from station.machine.computer import Computer
        from station.show.doctor import diagnose
        facts = {fact.name: fact.level for fact in diagnose(Computer(), 0).facts}
        with Scheduler([Task(name="t", period_s=0.01)]) as scheduler:
            grants = {grant.name: grant.granted for grant in scheduler.rights}
        print(facts["real-time priority"] != "bad", facts["CPU quota"] == "ok", facts["RT throttling"] == "ok")
        print(grants["SCHED_FIFO 80"], grants["no CPU quota"], grants["no RT throttling"])
    """
    with group({"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "60000"}) as folder:
        doctor, run = within(folder, program)
    assert doctor == run
    assert run.split()[1] == "False"
