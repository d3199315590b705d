"""What a server says of itself and of its models: metadata, configuration and statistics, in the protocol's documents."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from plc_bindings.data.models import Served
from plc_bindings.http.ends import End, Ends
from plc_bindings.http.json_values import encoded
from plc_bindings.http.runs import Result

PLATFORM: Final = "rt_engine_onnx"
EXTENSIONS: Final = ("binary_tensor_data", "model_configuration", "sequence", "statistics")
"""Of those that Triton names: what is here, all of it or the part that clients ask for."""

_NOT_MEASURED: Final = ("queue", "compute_input", "compute_output")
"""Parts of a call's time that clients expect by name."""


@dataclass(slots=True)
class Counts:
    """Calls of one model, from the server's start on."""

    good: int = 0
    good_ns: int = 0
    failed: int = 0
    failed_ns: int = 0
    runs: int = 0
    computing_ns: int = 0
    newest_ms: int = 0

    def note(self, result: Result | None, begin_ns: int) -> None:
        """A call is done; None: it was refused."""
        took = time.perf_counter_ns() - begin_ns
        if result is None or not result.is_good:
            self.failed += 1
            self.failed_ns += took
            return
        self.good += 1
        self.good_ns += took
        self.runs += result.runs
        self.computing_ns += int(result.seconds * 1e9)
        self.newest_ms = time.time_ns() // 1_000_000


@dataclass(slots=True)
class Described:
    """A model as its clients see it."""

    served: Served
    batch: int
    ends: Ends = field(init=False)
    title: bytes = field(init=False)
    """Its name, in JSON."""
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        self.ends, self.title = Ends.of(self.served.slot.model), encoded(self.served.name)

    @property
    def name(self) -> str:
        """As the station file has it."""
        return self.served.name

    @property
    def version(self) -> str:
        """That answers now."""
        return str(self.served.slot.version)

    def metadata(self) -> dict[str, Any]:
        """`GET /v2/models/NAME`."""
        model, version = self.served.slot.live
        return {
            "name": self.name,
            "versions": [str(version)],
            "platform": PLATFORM,
            "inputs": [_tensor(end) for end in self.ends.inputs],
            "outputs": [_tensor(end) for end in self.ends.outputs],
            "parameters": {
                "sha256": model.sha256,
                "max_batch_size": self.batch,
                "state": [str(spec) for spec in model.state],
            },
        }

    def config(self) -> dict[str, Any]:
        """`GET /v2/models/NAME/config`, as Triton's clients ask for it."""
        found: dict[str, Any] = {
            "name": self.name,
            "platform": PLATFORM,
            "backend": "rt-engine",
            "max_batch_size": self.batch,
            "input": [_configured(end) for end in self.ends.inputs],
            "output": [_configured(end) for end in self.ends.outputs],
            "version_policy": {"latest": {"num_versions": 1}},
        }
        if self.served.slot.model.state:
            found["sequence_batching"] = {"max_sequence_idle_microseconds": 600_000_000}
        return found

    def statistics(self) -> dict[str, Any]:
        """One of `model_stats`."""
        counts = self.counts
        return {
            "name": self.name,
            "version": self.version,
            "last_inference": counts.newest_ms,
            "inference_count": counts.runs,
            "execution_count": counts.good,
            "inference_stats": {
                "success": {"count": counts.good, "ns": counts.good_ns},
                "fail": {"count": counts.failed, "ns": counts.failed_ns},
                "compute_infer": {"count": counts.good, "ns": counts.computing_ns},
                **{name: {"count": 0, "ns": 0} for name in _NOT_MEASURED},
            },
            "batch_stats": [],
        }


def _tensor(end: End) -> dict[str, Any]:
    return {"name": end.name, "datatype": end.datatype, "shape": [-1, *end.rest]}


def _configured(end: End) -> dict[str, Any]:
    kind = "STRING" if end.names else end.number
    return {"name": end.name, "data_type": f"TYPE_{kind}", "dims": list(end.rest)}


def server(version: str) -> dict[str, Any]:
    """`GET /v2`."""
    return {"name": "rt-engine", "version": version, "extensions": list(EXTENSIONS)}


def index(models: Sequence[Described]) -> list[dict[str, str]]:
    """`POST /v2/repository/index`."""
    return [{"name": one.name, "version": one.version, "state": "READY", "reason": ""} for one in models]
