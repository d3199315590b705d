"""`GET /metrics`: the numbers of a station as Prometheus knows them, by its conventions.

    rt_engine_task_wakeup_seconds{task="axis"}      histogram: base units, `le` in seconds
    rt_engine_task_cycles_total{task="axis"}        counter: what a task counts (`scheduler.stats`), one for each statistic
    rt_engine_link_up{link="press"}                 gauge: 1 or 0

A bucket ends where a bin of ours does (`rt_native.histogram`), so its count is exact: `le` is the last whole nanosecond in it.
Counters begin anew when somebody resets the statistics, as Prometheus expects of a process that started again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from fieldbus.link.state import LINK_STATISTICS
from rt_engine.change import ChangeState
from rt_native.histogram import Histogram, bin_of
from scheduler.stats import TASK_STATISTICS
from scheduler.status import Action
from station.errors import RefusedError
from station.page.source import Measures

NS: Final = 1e9
_OCTAVES: Final = range(10, 31)
BOUNDS_NS: Final = tuple(bound for octave in _OCTAVES for bound in (1 << octave, 3 << (octave - 1)))
"""Where buckets end: 1 us, 1.5 us, 2 us ... 1.6 s, two for each doubling; the first whole nanosecond of the next one."""
NO_CLIENT: Final = "GET /metrics needs prometheus-client: pip install 'rt-engine[metrics]'"
_LAST_BINS: Final = np.array([bin_of(bound) for bound in BOUNDS_NS])
_LE: Final = tuple(repr((bound - 1) / NS) for bound in BOUNDS_NS)
_LINK_STATES: Final = ("stopped", "connecting", "up", "degraded", "down")
_TOO: Final = {"cycles": "cycles that were run"}
"""Meanings of statistics whose name says it to us."""
_OF_SERVERS: Final = {
    "messages": "messages that a broker has got",
    "message_bytes": "bytes of their payloads",
    "connects": "connections to a broker",
    "births": "how often all values were told",
    "stored_records": "records that wait for a broker",
    "stored_bytes": "memory that they take",
    "dropped_records": "records for which there was no room",
    "dropped_commands": "messages of a broker that came faster than they were looked at",
    "left_out_looks": "looks at the values that were left out because the one before was not done",
}
"""What some kinds of servers count and measure besides."""
_OF_RECORDER: Final = {
    "recording": "is a file being written: 1 yes, 0 no",
    "trouble": "does something keep it from recording: 1 yes, 0 no",
    "files": "recordings in its folder",
    "bytes": "what they take",
    "quota_bytes": "what they may take",
    "triggers_total": "triggers since the start",
    "dropped_cycles_total": "cycles for which a ring had no room",
    "lost_cycles_total": "cycles that the disk did not take",
    "removed_files_total": "recordings that went for the quota",
}


def exposition(measures: Measures, accept: str) -> tuple[bytes, str]:
    """(Text, its type) for a scraper that accepts these types.

    Raises:
        RefusedError: prometheus-client is not installed.
    """
    try:
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import choose_encoder
    except ImportError as error:
        raise RefusedError(NO_CLIENT) from error
    registry = CollectorRegistry(auto_describe=False)
    collected: Any = _Collected(measures)
    registry.register(collected)
    encode, kind = choose_encoder(accept)
    text: bytes = encode(registry)
    return text, kind


class _Collected:
    """What Prometheus' client asks for metrics."""

    def __init__(self, measures: Measures) -> None:
        self._measures = measures

    def collect(self) -> Iterator[Any]:
        """All of them."""
        measures = self._measures
        for part in (_station, _tasks, _histograms, _links, _servers, _models, _recorder):
            yield from part(measures)


def _station(m: Measures) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

    yield InfoMetricFamily("rt_engine", "This station.", value={"station": m.station, "version": m.version})
    yield GaugeMetricFamily("rt_engine_running_seconds", "Since the station was started.", value=m.running_s)


def _tasks(m: Measures) -> Iterator[Any]:
    for statistic in TASK_STATISTICS:
        words = statistic.meaning or _TOO.get(statistic.name, statistic.name.replace("_", " "))
        name, now = f"rt_engine_task_{statistic.name}", statistic.name
        yield _counter(name, words, "task", {task: getattr(stats, now) for task, stats in m.tasks.items()})
    gauges: tuple[tuple[str, str, Callable[[Any], float]], ...] = (
        ("rt_engine_task_period_seconds", "the cycle time", lambda stats: stats.period_ns / NS),
        ("rt_engine_task_live", "are the outputs those of the model: 1 yes, 0 no", _is_live),
        ("rt_engine_task_status", "why they are what they are, 0: all is well", lambda stats: stats.status),
        ("rt_engine_task_model_version", "number of the model's version", lambda stats: stats.model_version),
    )
    for name, words, of in gauges:
        yield _gauge(name, words, "task", {task: of(stats) for task, stats in m.tasks.items()})
    monitors = {task: stats.monitor for task, stats in m.tasks.items() if stats.monitor is not None}
    if monitors:
        values = {task: one.value for task, one in monitors.items()}
        yield _gauge("rt_engine_task_monitor_value", "what the monitor found last", "task", values)
        speaks = {task: float(one.speaks) for task, one in monitors.items()}
        yield _gauge("rt_engine_task_monitor_speaks", "does it speak against the model", "task", speaks)


def _is_live(stats: Any) -> float:
    return float(stats.action == Action.LIVE and stats.cycles > 0)


def _histograms(m: Measures) -> Iterator[Any]:
    tasks = (
        ("wakeup", "From a tick to when its cycle began."),
        ("execution", "How long a cycle computed."),
        ("reaction", "From when inputs came to when outputs computed from them were sent."),
    )
    for name, words in tasks:
        of = {task: getattr(times, name) for task, times in m.times.items()}
        yield _histogram(f"rt_engine_task_{name}_seconds", words, "task", of)
    trips = {link: status.round_trip for link, status in m.links.items()}
    yield _histogram("rt_engine_link_round_trip_seconds", "Of each good exchange with the device.", "link", trips)


def _links(m: Measures) -> Iterator[Any]:
    from prometheus_client.core import StateSetMetricFamily

    for statistic in LINK_STATISTICS:
        words = statistic.meaning or statistic.name.replace("_", " ")
        now = {link: getattr(status, statistic.name) for link, status in m.links.items()}
        yield _counter(f"rt_engine_link_{statistic.name}", words, "link", now)
    up = {link: float(status.state == "up") for link, status in m.links.items()}
    yield _gauge("rt_engine_link_up", "is the device there: 1 yes, 0 no", "link", up)
    states = StateSetMetricFamily("rt_engine_link_state", "What the link does.", labels=["link"])
    for link, status in m.links.items():
        states.add_metric([link], {state: state == status.state for state in _LINK_STATES})
    yield states


def _servers(m: Measures) -> Iterator[Any]:
    clients = {name: float(status.clients) for name, status in m.servers.items()}
    yield _gauge("rt_engine_server_clients", "connections now", "server", clients)
    for counted, words in (
        ("requests", "requests of clients"),
        ("refused", "connections, users, writes, calls and commands that were refused"),
    ):
        now = {name: getattr(status, counted) for name, status in m.servers.items()}
        yield _counter(f"rt_engine_server_{counted}", words, "server", now)
    for kind, of in ((_counter, "counts"), (_gauge, "gauges")):
        for name in dict.fromkeys(name for status in m.servers.values() for name in getattr(status, of)):
            now = {
                server: found[name] for server, status in m.servers.items() if name in (found := getattr(status, of))
            }
            yield kind(f"rt_engine_server_{name}", _OF_SERVERS.get(name, name.replace("_", " ")), "server", now)


def _models(m: Measures) -> Iterator[Any]:
    from prometheus_client.core import InfoMetricFamily, StateSetMetricFamily

    models = InfoMetricFamily("rt_engine_model", "What a slot runs.", labels=["model"])
    for slot, sha256 in m.models.items():
        models.add_metric([slot], {"sha256": sha256})
    yield models
    names = [state.name.lower() for state in ChangeState]
    states = StateSetMetricFamily("rt_engine_model_change", "Where the newest change of a slot is.", labels=["model"])
    for view in m.changes:
        states.add_metric([view.slot], {name: name == view.state.name.lower() for name in names})
    yield states
    wrong = {view.slot: view.disagreements for view in m.changes}
    yield _gauge("rt_engine_model_change_disagreements", "values beyond tolerance in it", "model", wrong)


def _recorder(m: Measures) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    for name, value in m.recorder.items():
        words = _sentence(_OF_RECORDER.get(name) or name.removesuffix("_total").replace("_", " "))
        kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
        yield kind(f"rt_engine_recorder_{name}", words, value=value)


def _counter(name: str, words: str, label: str, values: Mapping[str, float]) -> Any:
    from prometheus_client.core import CounterMetricFamily

    return _filled(CounterMetricFamily(name, _sentence(words), labels=[label]), values)


def _gauge(name: str, words: str, label: str, values: Mapping[str, float]) -> Any:
    from prometheus_client.core import GaugeMetricFamily

    return _filled(GaugeMetricFamily(name, _sentence(words), labels=[label]), values)


def _filled(family: Any, values: Mapping[str, float]) -> Any:
    for name, value in values.items():
        family.add_metric([name], value)
    return family


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."


def _histogram(name: str, words: str, label: str, of: Mapping[str, Histogram]) -> Any:
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(name, words, labels=[label])
    for owner, histogram in of.items():
        buckets, total = buckets_of(histogram)
        family.add_metric([owner], buckets=buckets, sum_value=total)
    return family


def buckets_of(histogram: Histogram) -> tuple[list[tuple[str, float]], float]:
    """([(`le` in seconds, how many were not longer)...], sum in seconds), of one moment."""
    _, counts = histogram.bins()
    below = np.concatenate([[0], np.cumsum(counts)])
    buckets = [(le, float(below[bin])) for le, bin in zip(_LE, _LAST_BINS, strict=True)]
    return [*buckets, ("+Inf", float(below[-1]))], histogram.mean * histogram.count / NS
