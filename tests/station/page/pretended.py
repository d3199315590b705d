"""A station that is made up: what its page asks it (`station.page.source.Source`), answered from plain values that a test sets."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from plc_bindings.data.changes import ChangeView, Difference
from rt_engine.change import ChangeState
from scheduler.stats import NO_LATENCY, TASK_STATISTICS, Latency
from station.show.snapshot import LinkView, ServerView, Snapshot, TaskView
from station.show.tags import TagView, matching, to_json
from station.show.verdict import judge

KEEPS_S = 900
BEGIN = 1_000_000
"""Cycles that were counted when the station was made up."""


def latency(p50: float, p99: float, most: int, count: int = 100_000) -> Latency:
    return Latency(
        count, int(p50), int(p50 / 2), p50 * 1.05, p50, p99, min(p99 * 1.4, most), min(p99 * 1.8, most), most
    )


def bars(timing: Latency) -> list[dict[str, int]]:
    """Bins of a histogram that could have given these numbers: a hill, and a tail up to the greatest."""
    found = []
    edge = max(timing.p50_ns / 3, 1)
    while edge < timing.max_ns:
        high = edge * 2 ** (1 / 32)
        far = math.log2(edge / timing.p50_ns)
        count = int(timing.count / 12 * math.exp(-18 * far * far)) + (edge <= timing.max_ns < high)
        if count:
            found.append({"low_ns": int(edge), "high_ns": int(high) + 1, "count": count})
        edge = high
    return found


def task(name: str, model: str, cycle_ns: int, **more: Any) -> TaskView:
    counters = {s.name: 0 for s in TASK_STATISTICS if s.name not in ("cycles", "overruns")} | more.pop("counters", {})
    known = {
        "model_version": 3,
        "cycles": BEGIN,
        "overruns": 0,
        "wake_up": latency(4_100, 9_800, 61_300),
        "execution": latency(31_500, 44_000, 212_000),
        "reaction": latency(410_000, 980_000, 1_310_000),
        "note": "",
        "first_due_ns": 10,
        "due_ns": 20,
        "switched_ns": 0,
    }
    return TaskView(name=name, model=model, cycle_ns=cycle_ns, counters=counters, **(known | more))


def link(name: str, device: str, state: str = "up", **more: Any) -> LinkView:
    known = {"reads": 80_412, "writes": 80_400, "errors": 0, "reconnects": 0, "safe_writes": 0, "last_error": ""}
    return LinkView(
        name=name, device=device, state=state, round_trip=latency(190_000, 460_000, 2_150_000), **(known | more)
    )


def tag(
    name: str, value: float, unit: str = "mm", direction: Any = "in", quality: Any = "GOOD", link: str = "drive"
) -> TagView:
    return TagView(name, link, direction, "float32", "holding 12", unit, (value,), "41ac0000", quality, 2_500_000)


def station() -> Snapshot:
    """Three tasks, one of them in trouble; a link that is down; a model on trial."""
    apart = Difference(
        "axis", "force", 41_200, 0.31, 77, 0.2, 12, 0, (0.0, 1e-4, 1e-3, 1e-2, 0.1), (30_000, 9_000, 2_000, 188, 12)
    )
    change = ChangeView(
        slot="policy",
        state=ChangeState.TRIAL,
        version=4,
        candidate=4,
        since=time.time() - 61,
        reason="in shadow for 2 min without a disagreement",
        differences=(apart,),
        file="policy-v4.onnx",
        sha256="ab" * 32,
        change="c1",
        who="anna",
        left_ns=184_000_000_000,
        cycles=41_200,
        skipped=3,
        disagreements=12,
    )
    return Snapshot(
        station="press-7",
        pid=4711,
        running_s=7_512.4,
        tasks=(
            task("axis", "policy", 1_000_000, model_version=4),
            task("watch", "anomaly", 20_000_000, execution=latency(2_400_000, 3_100_000, 6_050_000)),
            task(
                "gripper",
                "grip",
                2_000_000,
                overruns=7,
                counters={"missed": 9, "safe": 412, "held": 3},
                note="outputs safe: link camera is down",
            ),
        ),
        links=(
            link("drive", "modbus 192.168.10.5:502"),
            link(
                "camera",
                "ads 192.168.10.9.1.1:851",
                "down",
                reads=0,
                writes=0,
                errors=31,
                reconnects=2,
                last_error="no answer within 50 ms",
                lost_reason="connection reset by peer",
            ),
        ),
        models={"policy": "models/policy-v4.onnx", "anomaly": "models/anomaly.onnx", "grip": "models/grip.onnx"},
        rights=("locked memory: the system allows 64 kB; LimitMEMLOCK=infinity in the unit",),
        servers=(
            ServerView("plc", "ads 0.0.0.0:48898", 2, 1_204_311, 4),
            ServerView("page", "web http://127.0.0.1:8080/", 1, 512, 0),
            ServerView(
                "bus", "mqtt json works/press", 0, 3, 0, {"stored_records": 917}, "10.0.0.1:1883: Connection refused"
            ),
        ),
        tag_count=6,
        changes=(change, ChangeView("anomaly"), ChangeView("grip")),
        audit_number=41,
        audit_head="9f2c" * 16,
    )


TAGS = (
    tag("position", 12.5),
    tag("speed", -3.25, "mm/s"),
    tag("force", 881.0, "N", "out"),
    tag("temperature", 41.2, "degC"),
    tag("camera.x", 0.0, "px", quality="BAD", link="camera"),
    tag("valve", 0.6, "", "out", "STALE"),
)


class Pretended:
    """Answers the page. Everything is an attribute that a test may set; what was commanded is in `commands`."""

    avoid: frozenset[int] = frozenset()

    def __init__(self) -> None:
        self.snapshot = station()
        self.tag_views: tuple[TagView, ...] = TAGS
        self.is_running = True
        self.commands: list[tuple[str, dict[str, Any], str]] = []
        self.begun = time.monotonic()
        now = datetime.now(UTC)
        told = [
            ("ok", "station", "press-7", "started"),
            ("ok", "link", "drive", "up"),
            ("warn", "link", "camera", "down: connection reset by peer"),
            ("warn", "overrun", "gripper", "2 ticks missed: woke 1.2 ms late, worked 30 us"),
            ("bad", "task", "gripper", "outputs safe: link camera is down"),
            ("ok", "update", "policy", "policy-v4.onnx is on trial"),
        ]
        self.happened = [
            {
                "number": i + 1,
                "at_s": 10.5 * i,
                "when": (now - timedelta(seconds=90 - 10 * i)).isoformat(),
                "kind": kind,
                "subject": subject,
                "text": text,
                "level": level,
            }
            for i, (level, kind, subject, text) in enumerate(told)
        ]

    def at(self) -> Snapshot:
        """Now: counters go on as time does."""
        past = time.monotonic() - self.begun if self.is_running else 0.0
        tasks = tuple(replace(t, cycles=t.cycles + int(past * 1e9 / t.cycle_ns)) for t in self.snapshot.tasks)
        return replace(self.snapshot, tasks=tasks, running_s=self.snapshot.running_s + past)

    def status(self) -> dict[str, Any]:
        now = self.at()
        verdict = [{"level": remark.level, "text": remark.text} for remark in judge(now)]
        return now.to_json() | {"verdict": verdict, "now": datetime.now(UTC).isoformat()}

    def histograms(self) -> dict[str, Any]:
        def picture(title: str, timing: Latency) -> dict[str, Any]:
            from dataclasses import asdict

            return {"title": title, "timing": asdict(timing), "bars": bars(timing) if timing.count else []}

        of_tasks = {
            t.name: [picture("wake-up", t.wake_up), picture("execution", t.execution), picture("reaction", t.reaction)]
            for t in self.at().tasks
        }
        for one in self.snapshot.links:
            of_tasks.setdefault(one.name, []).append(picture("round trip", one.round_trip))
        return of_tasks

    def tags(self, patterns: Sequence[str]) -> list[Any]:
        names = matching(patterns, [view.name for view in self.tag_views])
        return to_json(tuple(view for view in self.tag_views if view.name in names))  # type: ignore[no-any-return]

    def facts(self) -> dict[str, Any]:
        words = [
            {"name": s.name, "heading": s.heading, "meaning": s.meaning, "is_fault": s.is_fault, "is_live": s.is_live}
            for s in TASK_STATISTICS
        ]
        return {
            "statistics": {"task": words, "link": []},
            "trends": {"steps_ms": [20, 100, 500, 2000], "keeps_s": [24, 120, 600, 2400]},
        }

    def sample(self) -> None:
        """Trends are made when they are asked for."""

    def measures(self) -> Any:
        raise NotImplementedError

    def trends(self, tags: Sequence[str], step_ms: int, after: int = 0) -> dict[str, Any]:
        """A wave for each tag; `camera.x` has a gap of 40 s."""
        end = int(time.time() * 1000) // step_ms
        begin = max(end - min(KEEPS_S * 1000 // step_ms, 1200), after)
        known = {view.name: view for view in self.tag_views}
        found = {}
        for place, name in enumerate(tag for tag in tags if tag in known):
            middle = known[name].values[0]
            low: list[float | None] = []
            high: list[float | None] = []
            for number in range(begin, end):
                at = number * step_ms / 1000
                gap = name == "camera.x" and at % 90 < 40
                wave = float(middle) + (place + 1) * math.sin(at / (7 + 5 * place)) + 0.2 * math.sin(at * 3.1)
                low.append(None if gap else wave - 0.3 * (1 + math.sin(at / 30)))
                high.append(None if gap else wave + 0.3 * (1 + math.sin(at / 30)))
            found[name] = {"unit": known[name].unit, "low": low, "high": high}
        return {
            "step_ms": step_ms,
            "first": begin,
            "end": end,
            "missing": [t for t in tags if t not in known],
            "tags": found,
        }

    def events(self, after: int) -> dict[str, Any]:
        return {"last": len(self.happened), "events": [e for e in self.happened if e["number"] > after]}

    def models(self) -> list[Any]:
        ends = {
            "inputs": [{"name": "x", "dtype": "float32", "shape": [1, 16]}],
            "outputs": [{"name": "force", "dtype": "float32", "shape": [1, 1]}],
        }
        return [
            {
                "slot": slot,
                "file": file,
                "sha256": f"{i}c" * 32,
                "version": 3,
                "tasks": [t.name for t in self.snapshot.tasks if t.model == slot],
                **ends,
            }
            for i, (slot, file) in enumerate(self.snapshot.models.items())
        ]

    def recordings(self) -> dict[str, Any]:
        now = datetime.now(UTC)
        files = [
            {
                "name": f"press-7-{i}.mcap",
                "tasks": ["axis", "watch"],
                "begin": (now - timedelta(minutes=10 * i + 9)).isoformat(),
                "end": (now - timedelta(minutes=10 * i)).isoformat(),
                "bytes": 41_000_000 - 3_000_000 * i,
                "why": why,
                "is_open": i == 0,
                "replay": f"rt-engine replay /var/lib/press/press-7-{i}.mcap",
            }
            for i, why in enumerate(("continuous", "overrun of gripper", "command: anna heard a knock"))
        ]
        return {
            "recorder": {
                "state": "recording",
                "folder": "/var/lib/press",
                "quota_bytes": 2_000_000_000,
                "used_bytes": 114_000_000,
                "dropped": 0,
            },
            "recordings": files,
        }

    def audit(self) -> dict[str, Any]:
        lines = [
            {
                "number": n,
                "time": datetime.now(UTC).isoformat(),
                "who": "anna (192.168.10.20)",
                "what": "update policy",
                "outcome": "on trial",
            }
            for n in (41, 40, 39)
        ]
        return {"number": 41, "head": "9f2c" * 16, "log": "audit.changes.jsonl", "lines": lines}

    def graph(self, slot: str) -> dict[str, Any]:
        """Two branches that meet, and a way past both."""
        if slot not in self.snapshot.models:
            raise KeyError(f'no model "{slot}"')
        rows = [
            ("x", "input", "x", 0, ()),
            ("conv", "operator", "Conv", 41, (0,)),
            ("relu", "operator", "Relu", 2, (1,)),
            ("left", "operator", "Gemm", 23, (2,)),
            ("right", "operator", "Gemm", 19, (2,)),
            ("mul", "operator", "Mul", 1, (3, 4)),
            ("add", "operator", "Add", 1, (5, 2)),
            ("norm", "operator", "LayerNormalization", 9, (6,)),
            ("head", "operator", "Gemm", 4, (7,)),
            ("force", "output", "force", 0, (8,)),
        ]
        total = sum(row[3] for row in rows)
        nodes = [
            {
                "id": f"n{i}",
                "kind": kind,
                "name": name,
                "operator": operator,
                "dtype": "float32",
                "shape": [1, 16],
                "kernels": ["gemm_f32"] if kind == "operator" else [],
                "ns": us * 1000,
                "share": us / total,
                "macs": 1000 * us,
                "weight_bytes": 0,
            }
            for i, (name, kind, operator, us, _) in enumerate(rows)
        ]
        edges = [[f"n{s}", f"n{i}"] for i, row in enumerate(rows) for s in row[4]]
        return {"version": 4, "runs": 200, "total_ns": total * 1000, "nodes": nodes, "edges": edges}

    def tensor(self, slot: str, node: str) -> dict[str, Any]:
        values: list[float | str] = [math.sin(i / 9 + time.time() % 5) * (1 + i / 200) for i in range(16 * 32)]
        values[77] = "NaN"
        numbers = [value for value in values if isinstance(value, float)]
        return {
            "node": node,
            "name": node,
            "tick_ns": 12,
            "when": datetime.now(UTC).isoformat(),
            "source": "the newest recorded cycle of axis",
            "dtype": "float32",
            "shape": [16, 32],
            "values": values,
            "least": min(numbers),
            "greatest": max(numbers),
            "mean": sum(numbers) / len(numbers),
            "deviation": 0.9,
            "zeros": 0,
            "not_finite": 1,
        }

    def command(self, name: str, arguments: Mapping[str, Any], who: str) -> str:
        self.commands.append((name, dict(arguments), who))
        return f"{name}: done"


__all__ = ["NO_LATENCY", "Pretended", "link", "station", "tag", "task"]
