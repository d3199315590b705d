import csv

import numpy as np
import pytest

from rt_engine import recording as rec
from rt_engine.errors import RecordingError
from rt_engine.recording import export
from rt_engine.recording.export import KINDS
from tests import need
from tests.rt_engine.recording.recorded import OFFSET_NS, tick
from tests.rt_engine.recording.test_recording import written


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return rec.open(written(tmp_path_factory.mktemp("export") / "a.mcap", [(0, 100), (100, 300)])).task()


@pytest.fixture(autouse=True)
def _few_rows_at_once(monkeypatch):
    """A table is written in parts."""
    monkeypatch.setattr(export, "ROWS", 70)


def test_a_csv_file_gives_the_same_bits_back(task, tmp_path):
    assert export.export(task, tmp_path / "x.csv", "csv") == 300
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["published.force"]) for row in rows] == task.column("force").tolist()
    assert [float(row["inputs.plc.pole.2"]) for row in rows] == task.column("pole")[:, 2].tolist()
    assert [int(row["number"]) for row in rows] == list(range(300))
    assert rows[1]["utc"] == "2023-11-14T22:13:25.001000000Z"


def test_a_parquet_file_has_names_and_units(task, tmp_path):
    parquet = need.package("pyarrow.parquet")
    assert export.export(task, tmp_path / "x.parquet", "parquet", rows=(10, 200)) == 190
    found = parquet.read_table(tmp_path / "x.parquet")
    field = found.schema.field("inputs.plc.cart_position")
    assert field.metadata == {b"name": b"cart.position", b"unit": b"m"} and str(field.type) == "double"
    for name in ("published.force", "tick_ns", "raw.modes.1"):
        wanted = task.records(10, 200, "row")
        for part in name.removesuffix(".1").split("."):
            wanted = wanted[part]
        assert np.array_equal(found[name].to_numpy(), wanted[:, 1] if name.endswith(".1") else wanted)
    assert found["utc"].cast("int64").to_pylist()[0] == tick(10) + OFFSET_NS


def test_an_mdf4_file_has_names_units_and_time(task, tmp_path):
    asammdf = need.package("asammdf")
    assert export.export(task, tmp_path / "x.mf4", "mdf4") == 300
    with asammdf.MDF(tmp_path / "x.mf4") as found:
        force = found.get("published.force")
        assert (force.unit, force.comment) == ("N", "force")
        assert force.samples.tolist() == task.column("force").tolist()
        assert np.allclose(force.timestamps, np.arange(300) / 1000)
        assert found.get("tick_ns").samples.tolist() == task.column("tick_ns").tolist()
        assert found.header.start_time.timestamp() * 1e9 == tick(0) + OFFSET_NS


@pytest.mark.parametrize("kind", KINDS)
def test_columns_and_rows_are_chosen(task, tmp_path, kind):
    for package in {"parquet": ["pyarrow"], "mdf4": ["asammdf"]}.get(kind, []):
        need.package(package)
    assert export.export(task, tmp_path / "x.mf4", kind, rows=(5, 8), columns=["force", "pole"]) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["x.mf4"]


def test_a_table_without_rows_is_one(task, tmp_path):
    assert export.export(task, tmp_path / "x.csv", "csv", rows=(5, 5), columns=["force"]) == 0
    assert (tmp_path / "x.csv").read_text() == "utc,published.force\n"


def test_a_file_is_there_as_a_whole_or_not_at_all(task, tmp_path, monkeypatch):
    """What was there before stays."""
    (tmp_path / "x.csv").write_text("before")
    monkeypatch.setattr(export.np, "datetime_as_string", lambda times: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export.export(task, tmp_path / "x.csv", "csv")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_a_kind_that_needs_a_package_says_which(task, tmp_path, monkeypatch):
    def gone(name):
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", gone)
    for kind, extra in (("parquet", "recording"), ("mdf4", "mdf")):
        with pytest.raises(RecordingError, match=rf"pip install 'rt-engine\[{extra}\]'"):
            export.export(task, tmp_path / "x", kind)
    with pytest.raises(RecordingError, match="choose csv, parquet, mdf4"):
        export.export(task, tmp_path / "x", "xlsx")
