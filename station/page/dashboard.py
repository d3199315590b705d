"""The dashboard for Grafana, made from what `GET /metrics` has: `rt-engine export grafana`.

row -> panels, each a picture of one or two expressions in PromQL, of all stations that are chosen at the top
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

WIDTH, HEIGHT = 8, 8
"""Of a panel: three stand side by side."""
COLUMNS: Final = 24
WHICH: Final = 'instance=~"$instance"'
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_RATE: Final = f"{{{WHICH}}}[$__rate_interval]"


@dataclass(frozen=True, slots=True)
class Panel:
    """A picture: its kind as Grafana calls it, unit likewise, and (expression, legend) of what is in it."""

    title: str
    kind: str
    unit: str
    targets: tuple[tuple[str, str], ...]
    about: str = ""


def _quantile(share: float, of: str, by: str) -> str:
    return f"histogram_quantile({share}, sum by (instance, {by}, le) (rate({of}_bucket{_RATE})))"


def _latency(title: str, name: str, by: str, about: str) -> Panel:
    of = f"rt_engine_{name}_seconds"
    label = "{{" + by + "}}"
    targets = ((_quantile(0.5, of, by), f"{label} p50"), (_quantile(0.99, of, by), f"{label} p99"))
    return Panel(title, "timeseries", "s", targets, about)


def _rate(title: str, name: str, by: str, unit: str = "cps") -> Panel:
    return Panel(title, "timeseries", unit, ((f"rate(rt_engine_{name}_total{_RATE})", "{{" + by + "}}"),))


ROWS: Final[dict[str, tuple[Panel, ...]]] = {
    "Now": (
        Panel(
            "Outputs live", "stat", "bool_yes_no", ((f"min by (task) (rt_engine_task_live{{{WHICH}}})", "{{task}}"),)
        ),
        Panel("Links up", "stat", "bool_yes_no", ((f"min by (link) (rt_engine_link_up{{{WHICH}}})", "{{link}}"),)),
        Panel("Running since", "stat", "s", ((f"rt_engine_running_seconds{{{WHICH}}}", "{{instance}}"),)),
    ),
    "Deadlines": (
        _rate("Missed ticks", "task_missed", "task"),
        _latency("Wake-up", "task_wakeup", "task", "From a tick to when its cycle began."),
        _latency("Execution", "task_execution", "task", "How long a cycle computed."),
        _latency(
            "Reaction", "task_reaction", "task", "From when inputs came to when outputs computed from them were sent."
        ),
        Panel(
            "Share of the cycle that is used, p99",
            "timeseries",
            "percentunit",
            (
                (
                    f"{_quantile(0.99, 'rt_engine_task_execution_seconds', 'task')} "
                    f"/ on (instance, task) rt_engine_task_period_seconds{{{WHICH}}}",
                    "{{task}}",
                ),
            ),
        ),
        Panel(
            "Wake-up of all tasks",
            "heatmap",
            "s",
            ((f"sum by (le) (increase(rt_engine_task_wakeup_seconds_bucket{_RATE}))", "{{le}}"),),
        ),
    ),
    "Outputs": (
        _rate("Cycles with safe outputs", "task_safe", "task"),
        _rate("Cycles with bad inputs", "task_bad_inputs", "task"),
        _rate("Values clamped by the guard", "task_clamped", "task"),
    ),
    "Links": (
        _latency("Round trip", "link_round_trip", "link", "Of good exchanges."),
        _rate("Errors", "link_errors", "link"),
        _rate("Connections lost", "link_reconnects", "link"),
    ),
    "Models and clients": (
        Panel(
            "Newest change of each model",
            "state-timeline",
            "none",
            ((f"rt_engine_model_change{{{WHICH}}} == 1", "{{model}}: {{rt_engine_model_change}}"),),
        ),
        Panel(
            "Values beyond tolerance, in shadow or on trial",
            "timeseries",
            "none",
            ((f"rt_engine_model_change_disagreements{{{WHICH}}}", "{{model}}"),),
        ),
        _rate("Requests of clients", "server_requests", "server", "reqps"),
    ),
    "Recorder": (
        Panel(
            "Disk quota that is used",
            "timeseries",
            "percentunit",
            ((f"rt_engine_recorder_bytes{{{WHICH}}} / rt_engine_recorder_quota_bytes{{{WHICH}}}", "{{instance}}"),),
        ),
        Panel("Recording now", "stat", "bool_yes_no", ((f"rt_engine_recorder_recording{{{WHICH}}}", "{{instance}}"),)),
        _rate("Cycles dropped", "recorder_dropped_cycles", "instance"),
    ),
}
"""Title of a row -> its panels."""


def expressions() -> Iterator[str]:
    """Every expression of the dashboard."""
    for panels in ROWS.values():
        for panel in panels:
            yield from (expression for expression, _ in panel.targets)


def dashboard() -> dict[str, Any]:
    """What Grafana imports."""
    return {
        "title": "rt-engine",
        "uid": "rt-engine",
        "tags": ["rt-engine"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_sources(), _instances()]},
        "panels": list(_panels()),
    }


def text() -> str:
    """The same as a file."""
    return json.dumps(dashboard(), indent=2) + "\n"


def _sources() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}


def _instances() -> dict[str, Any]:
    query = "label_values(rt_engine_running_seconds, instance)"
    many = {"multi": True, "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}}
    return {
        "name": "instance", "type": "query", "label": "Station", "datasource": _SOURCE, "query": query, "refresh": 2, **many
    }  # fmt: skip


def _panels() -> Iterator[dict[str, Any]]:
    number, top = 1, 0
    for title, panels in ROWS.items():
        place = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
        number, top = number + 1, top + 1
        yield from (_panel(panel, number + i, top, i) for i, panel in enumerate(panels))
        number, top = number + len(panels), top + HEIGHT * -(-len(panels) * WIDTH // COLUMNS)


def _panel(panel: Panel, number: int, top: int, place: int) -> dict[str, Any]:
    across, down = place * WIDTH % COLUMNS, place * WIDTH // COLUMNS
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": {"x": across, "y": top + HEIGHT * down, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {},
        "targets": _targets(panel.targets, "heatmap" if panel.kind == "heatmap" else "time_series"),
    }


def _targets(targets: Sequence[tuple[str, str]], form: str) -> list[dict[str, Any]]:
    return [
        {"refId": chr(ord("A") + i), "expr": expression, "legendFormat": legend, "format": form, "datasource": _SOURCE}
        for i, (expression, legend) in enumerate(targets)
    ]
