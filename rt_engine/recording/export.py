"""The cycles of a task as a table in a file of another kind: CSV, Parquet, MDF4. Read and written in parts, never as a whole."""

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.errors import RecordingError
from rt_engine.recording.columns import Column, column
from rt_engine.recording.task import TaskRecording

ROWS = 1 << 16
"""That are held at once."""
Values = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Table:
    """What is exported: rows of a task, and which of their columns."""

    task: TaskRecording
    columns: tuple[Column, ...]
    start: int
    stop: int

    def heads(self) -> list[tuple[str, Column]]:
        """(name, column) of each value of a row, as `batches` has them."""
        none = np.empty(0, self.task.layout.dtype)
        return [(name, each) for each in self.columns for name, _ in each.flat(none)]

    def batches(self) -> Iterator[tuple[NDArray[np.int64], list[Values]]]:
        """(UTC in ns, values of each of `heads`) of up to `ROWS` rows, one behind the other."""
        for start in range(self.start, self.stop, ROWS):
            end = min(start + ROWS, self.stop)
            records = self.task.records(start, end, "row")
            if len(records):
                values = [np.ascontiguousarray(part) for each in self.columns for _, part in each.flat(records)]
                yield self.task.utc_ns(start, end, "row"), values


def export(
    task: TaskRecording, path: Path, kind: str, *, rows: tuple[int, int] | None = None, columns: Sequence[str] = ()
) -> int:
    """Write rows of a task to a file, which is there as a whole or not at all; gives how many rows it has.

    Args:
        kind: one of `KINDS`.
        rows: from, up to; by default all.
        columns: names or paths; empty: all.

    Raises:
        RecordingError: there is no such kind or column, or a package is not installed; it says which.
        OSError: the file cannot be written.
    """
    if kind not in KINDS:
        raise RecordingError(f"'{kind}' is no kind of table that is written; choose {', '.join(KINDS)}")
    chosen = tuple(column(task.layout, name) for name in columns) or task.columns
    table = Table(task, chosen, *(rows or (0, len(task))))
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    try:
        count = KINDS[kind](table, part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return count


def _csv(table: Table, path: Path) -> int:
    """Comma-separated, a head, times as ISO 8601, floats so that reading gives the same bits."""
    count = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["utc", *(name for name, _ in table.heads())])
        for times, values in table.batches():
            said = np.char.add(np.datetime_as_string(times.view("datetime64[ns]")), "Z").tolist()
            writer.writerows(zip(said, *(part.tolist() for part in values), strict=True))
            count += len(times)
    return count


def _parquet(table: Table, path: Path) -> int:
    """Apache Parquet, zstd; the fields' metadata have `name` and `unit` of the station file."""
    pyarrow, parquet = _package("pyarrow", "recording"), _package("pyarrow.parquet", "recording")
    fields = [pyarrow.field("utc", pyarrow.timestamp("ns", tz="UTC"))]
    for name, each in table.heads():
        kind = pyarrow.from_numpy_dtype(each.of(np.empty(0, table.task.layout.dtype)).dtype)
        fields.append(pyarrow.field(name, kind, metadata={"name": each.name, "unit": each.unit}))
    schema, count = pyarrow.schema(fields), 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for times, values in table.batches():
            arrays = [pyarrow.array(times, fields[0].type), *map(pyarrow.array, values)]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
            count += len(times)
    return count


def _mdf4(table: Table, path: Path) -> int:
    """ASAM MDF 4.10: one group, its time in seconds from the first row on, the first's UTC as the file's start."""
    asammdf, count, begin = _package("asammdf", "mdf"), 0, 0
    with asammdf.MDF(version="4.10") as file:
        for times, values in table.batches():
            begin = begin if count else int(times[0])
            seconds = (times - begin) / 1e9
            if not count:
                file.header.start_time = datetime.fromtimestamp(begin // 1000 / 1e6, UTC)
                signals = [
                    asammdf.Signal(part, seconds, name=name, unit=each.unit, comment=each.name)
                    for (name, each), part in zip(table.heads(), values, strict=True)
                ]
                file.append(signals, comment=f"rt-engine, task {table.task.name}", common_timebase=True)
            else:
                file.extend(0, [(seconds, None), *((part, None) for part in values)])
            count += len(times)
        file.save(path, overwrite=True)
    return count


def _package(name: str, extra: str) -> Any:
    """A module of an extra."""
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise RecordingError(f"this kind of file needs a package: pip install 'rt-engine[{extra}]'") from None


KINDS: dict[str, Callable[[Table, Path], int]] = {"csv": _csv, "parquet": _parquet, "mdf4": _mdf4}
