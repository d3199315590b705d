"""How late does this machine wake a real-time thread? Measured with a task that has nothing to do."""

import time

from rt_native.histogram import Histogram
from scheduler.scheduler import Scheduler
from scheduler.task import Task


def measure_wakeup(
    period_s: float = 0.001, seconds: float = 5.0, priority: int = 80, cpu: int | None = None
) -> Histogram:
    """Wake-up latency in nanoseconds of an empty task, at the best rights that this process has."""
    scheduler = Scheduler([Task(name="wakeup", period_s=period_s, priority=priority, cpu=cpu, watchdog=0)])
    with scheduler:
        time.sleep(seconds)
    return scheduler.histograms("wakeup")[0]
