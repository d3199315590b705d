"""Comparisons: what is refused or wrong is said, ratios are of rounds, results come before times."""

import json
import math

import numpy as np
import pytest

from benchmarks.models import mlp
from rt_engine.measure import results
from rt_engine.measure.compare import compare, difference, steps
from rt_engine.measure.engines import OURS, Engine, MissingPeerError, RefusedError
from rt_engine.measure.examples import example_inputs, static_copy
from rt_engine.measure.peaks import Peaks, clock_cost_ns, peaks
from rt_engine.measure.peers import is_installed, peers
from tests import need

FACTS = Peaks("p", "s", 1, 16, 32 << 10, 1 << 20, 8 << 20, 3.0, 96.0, 0.0, 200.0, 100.0, 50.0, 10.0)


class Fake:
    """A runner whose every run takes `ns`, with a result of our choice."""

    def __init__(self, ns, y):
        self.ns, self.y = ns, y
        self.run = lambda: None

    def result(self):
        return {"y": np.asarray(self.y, np.float32)}

    def measure(self, count):
        return np.full(count, self.ns, np.int64)

    def measure_cold(self, count, sweeper):
        return np.full(count, 10 * self.ns, np.int64)


def engine(name, ns, y=(1.0, 2.0)):
    return Engine(name, (name,), lambda path, inputs: Fake(ns, y))


def refusing(name):
    def make(path, inputs):
        raise RefusedError("it has a Loop")

    return Engine(name, (name,), make)


def fake_comparison(tmp_path, *engines, target=None):
    seen = []
    found = compare(
        tmp_path / "m.onnx",
        {},
        {"y": np.array([1.0, 2.0], np.float32)},
        engines,
        target=target,
        seconds=0.01,
        step=seen.append,
    )
    return found, seen


@pytest.mark.parametrize(("count", "expected"), [(2, 0.0), (1, np.inf)])
def test_of_an_output_as_long_as_data_decide_what_is_there_counts(count, expected):
    """The count that is beside it says so; where that is another, the outputs differ."""
    wanted = np.ones((3, 2), np.float32)
    ours = {"y": np.pad(wanted, ((0, 0), (0, 5))), "y_count": np.array(count)}
    assert difference(ours, {"y": wanted}) == expected
    assert difference({"y": ours["y"]}, {"y": wanted}) == np.inf


def test_the_ratio_is_against_the_better_peer(tmp_path):
    """1 us against 3 and 5: 3 times; cold as well."""
    found, seen = fake_comparison(tmp_path, engine(OURS.name, 1000), engine("a", 5000), engine("b", 3000))
    assert found.better_peer == "b"
    assert found.ratio() == pytest.approx(3)
    assert found.ratio(cold=True) == pytest.approx(3)
    assert len(seen) <= steps(3)


def test_a_wrong_peer_is_no_better_peer(tmp_path):
    """A fast engine with another result is named, and not compared with."""
    found, _ = fake_comparison(tmp_path, engine(OURS.name, 1000), engine("fast", 10, (1.0, 2.5)), engine("right", 3000))
    assert found.better_peer == "right"
    assert found.wrong == {"fast": pytest.approx(0.25)}
    assert any("fast differs" in line for line in results.notes([found]))


def test_a_refusal_is_shown_not_hidden(tmp_path):
    """It is in the table, in the notes and in the JSON."""
    found, _ = fake_comparison(tmp_path, refusing(OURS.name), engine("a", 1000), target=2.0)
    assert found.ratio() is None
    assert any("it has a Loop" in line for line in results.notes([found]))
    results.write_json(tmp_path / "b.json", [found], FACTS)
    stored = json.loads((tmp_path / "b.json").read_text())["models"][0]
    assert stored["refused"] == {OURS.name: "it has a Loop"} and stored["ratio"] is None
    assert "refused" in results.svg([found])


@pytest.mark.parametrize(
    ("got", "expected", "share"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.5], [1.0, 2.0], 0.25),
        ([math.nan, 1.0], [math.nan, 1.0], 0.0),
        ([math.inf, 1.0], [math.inf, 1.0], 0.0),
        ([math.nan, 1.0], [1.0, 1.0], math.inf),
        ([1.0], [1.0, 1.0], math.inf),
    ],
)
def test_difference(got, expected, share):
    """A share of the greatest value; NaN equals NaN; another size is infinitely wrong."""
    worst = difference({"y": np.array(got)}, {"y": np.array(expected)})
    assert worst == pytest.approx(share) or (math.isinf(share) and worst > 1e30)


def test_the_least_time_is_of_the_slower_of_arithmetic_and_memory():
    """96 GFLOP/s: 48 MACs take 1 ns; 10 GB/s from DRAM beyond the caches."""
    assert FACTS.least_ns(48_000, 0) == pytest.approx(1000)
    assert FACTS.least_ns(48, 200) == pytest.approx(1)
    assert FACTS.read_ns(64 << 20) == pytest.approx(
        (32 << 10) / 200 + (992 << 10) / 100 + (7 << 20) / 50 + (56 << 20) / 10
    )


def test_peaks_are_plausible():
    """Measured peaks are positive, and near caches are not slower than far ones by much."""
    facts = peaks()
    assert 0.3 < facts.ghz < 10
    assert facts.gflops > facts.ghz
    assert facts.l1_gbs > 0.5 * facts.dram_gbs > 0
    assert 0 <= clock_cost_ns() < 10_000


def test_what_a_peer_refuses_is_said_once(tmp_path):
    """Models that it refuses for one reason are told together."""
    engines = engine(OURS.name, 1000), refusing("other")
    found = [compare(tmp_path / f"{n}.onnx", {}, None, engines, seconds=0.01, cold=False) for n in "abc"]
    assert results.notes(found) == ["3 models: refused by other: it has a Loop"]
    assert results.notes(found[:1]) == ["a: refused by other: it has a Loop"]


def test_peers_are_found_by_name():
    """An unknown peer is an error that names those there are."""
    with pytest.raises(MissingPeerError, match=r"no peer 'tensorflow'.*onnxruntime"):
        peers("tensorflow")


def test_everybody_runs_the_same_shapes(tmp_path):
    """The copy has static shapes; a static model is taken as it is."""
    (tmp_path / "m.onnx").write_bytes(mlp([3, 4, 2], "Tanh").SerializeToString())
    folder = tmp_path / "copy"
    folder.mkdir()
    copy = static_copy(tmp_path / "m.onnx", folder, {"x": (1, 3)})
    assert example_inputs(copy)["x"].shape == (1, 3)
    assert static_copy(copy, tmp_path / "none", {"x": (1, 3)}) == copy


def test_ours_against_onnxruntime(tmp_path):
    """A real comparison, in a tenth of a second."""
    need.package("onnxruntime")
    path = tmp_path / "m.onnx"
    path.write_bytes(mlp([3, 4, 2], "Tanh").SerializeToString())
    found = compare(
        path, {"x": np.ones((1, 3), np.float32)}, None, (OURS, *peers("onnxruntime")), seconds=0.05, cold=False
    )
    assert not found.wrong and not found.refused
    assert found.work is not None and found.work.macs == 20
    assert set(found.timings) == {"rt_engine", "onnxruntime"}


def test_each_run_that_is_timed_has_the_next_sample(tmp_path):
    """Two samples: the runner is fed one before each run, in turns, warm and cold."""
    fed = []

    class Fed(Fake):
        def feed(self, inputs):
            fed.append(inputs["x"])

        def measure(self, count):
            fed.append("run" if count == 1 else None)
            return super().measure(count)

        def measure_cold(self, count, sweeper):
            return self.measure(count)

    ours = Engine(OURS.name, (), lambda path, inputs: Fed(1000, (1.0, 2.0)))
    samples = [{"x": "a"}, {"x": "b"}]
    compare(tmp_path / "m.onnx", {}, {"y": np.array([1.0, 2.0])}, [ours], samples=samples, seconds=1e-5)
    last_round, last_cold = fed[-20:-14], fed[-14:]
    assert last_round == ["a", "run", "b", "run", "a", "run"]
    assert last_cold == ["a", "run", "b", "run"] * 3 + ["a", "run"]


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "mnn", "tract"])
def test_a_peer_that_is_fed_computes_with_that(tmp_path, name):
    """Other inputs give what a runner of their own gives."""
    need.package("onnxruntime")
    if not is_installed(name):
        pytest.skip(f"for benchmarks alone: {name}")
    path = tmp_path / "m.onnx"
    path.write_bytes(mlp([3, 4, 2], "Tanh").SerializeToString())
    one, other = ({"x": np.full((1, 3), v, np.float32)} for v in (1, -2))
    (engine,) = peers(name)
    fed, fresh, ours = engine.make(path, one), engine.make(path, other), OURS.make(path, one)
    for runner in (fed, ours):
        before = runner.result()["y"]
        runner.feed(other)
        assert difference(runner.result(), fresh.result()) < 1e-6 < difference({"y": before}, fresh.result())
