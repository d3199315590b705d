"""Another model in many recordings: what each comparison says alone, and all outputs of one name together."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

import rt_engine.recording
from station.replay.apart import Apartness, quantiles_of
from station.replay.asking import Asked, ask
from station.replay.many_whatif import what_if_many, work
from tests.station.replay.recordings import STATION, model_bytes, record, write

NETWORKS = {"policy": model_bytes(2.0)}
FACTOR = {"left": 1.0, "right": 3.0}
"""Of the inputs of each station."""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """(folder with two stations, a model with y = 2.1x)."""
    folder = tmp_path_factory.mktemp("fleet")
    for name, factor in FACTOR.items():
        (folder / name).mkdir()
        axis = record(NETWORKS, 200, lambda k, live, f=factor: live.put(f * (k % 7 - 3.0), f * 0.25 * (k % 5)))
        write(folder / name / "a.mcap", axis, NETWORKS, text=STATION.replace('"bench"', f'"{name}"'))
    model = folder / "new.onnx"
    model.write_bytes(model_bytes(2.1))
    return folder, model


ASKED = Asked(tolerances={"q": 0.05})


def test_each_station_is_compared_as_by_itself(fleet):
    """Figure by figure."""
    folder, model = fleet
    with ThreadPoolExecutor(2) as executor:
        found = what_if_many([folder], executor, model, ASKED)
    assert [station for station, _ in found.parts] == ["left", "right"]
    for station, one in found.parts:
        asking = ask(rt_engine.recording.open(folder / station / "a.mcap"), ASKED)
        (alone,) = asking.run(asking.load(model))
        assert (
            replace(one, seconds=0, trends=(), moments=()).to_json()
            == replace(alone, seconds=0, trends=(), moments=()).to_json()
        )
    assert not found.passes and not found.failed


def test_all_stations_together_are_the_sum(fleet):
    """Counts and the largest exactly; where it was; quantiles of both histograms."""
    folder, model = fleet
    with ThreadPoolExecutor(2) as executor:
        found = what_if_many([folder], executor, model, ASKED)
    by_name = {one.name: one for one in found.together}
    q, outputs = by_name["q"], [one.outputs[1] for _, one in found.parts]
    assert (q.stations, q.station) == (2, "right")
    assert q.compared == sum(o.compared for o in outputs) == 400
    assert q.beyond == sum(o.beyond for o in outputs) > 0
    assert q.largest == max(o.largest for o in outputs) == pytest.approx(0.1 * 3 * 1.0, rel=1e-5)
    apart = np.concatenate([0.1 * f * 0.25 * (np.arange(200) % 5) for f in FACTOR.values()])
    assert q.quantiles["p50"] == pytest.approx(np.quantile(apart, 0.5, method="inverted_cdf"), rel=0.04)
    assert found.to_json()["together"][1]["beyond"] == q.beyond


def test_histograms_of_parts_add_up_to_that_of_the_whole():
    """Bin by bin, so quantiles of the sum are those of the whole."""
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=(2, 1000, 1))
    ticks, all_of_them = np.arange(1000), np.ones(1000, bool)
    whole = Apartness(1, np.full(1, np.inf))
    whole.add(ticks, old, new, all_of_them)
    bins = Counter()
    for part in (slice(0, 300), slice(300, 1000)):
        one = Apartness(1, np.full(1, np.inf))
        one.add(ticks[part], old[part], new[part], all_of_them[part])
        bins.update(one.bins(0))
    assert bins == whole.bins(0)
    assert quantiles_of(bins, float(whole.largest[0])) == whole.quantiles(0)


def test_a_station_that_cannot_be_compared_is_told(fleet, tmp_path):
    """With why; the others are compared, and the whole does not pass."""
    folder, _ = fleet
    other = tmp_path / "wide.onnx"
    other.write_bytes(model_bytes(2.0, 3))
    with ThreadPoolExecutor(1) as executor:
        found = what_if_many([folder / "left"], executor, other, Asked())
    assert not found.passes and len(found.failed) == 1 and found.failed[0].startswith("left: ")


def test_a_worker_with_other_software_refuses():
    """As for replays."""
    assert work({"software": "rt-engine 0.1"})["refused"] == "software"
