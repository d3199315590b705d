import json

import pytest

from rt_engine.contract.check import Ends, Tensor, check
from rt_engine.contract.koios import BINDINGS, SPACE, TRAINING, understood

TANK = Ends([Tensor("x", (1, 2))], [Tensor("y", (1, 1))])
SCALED = {"normalization_source": "CUSTOM", "custom_minimum": 0.0, "custom_maximum": 100.0}


def written(inputs=None, outputs=None, training=None, space=None, **bindings):
    """Metadata as koios-model-utils 1.2.1 writes it, with what is given in its place."""
    inputs = [
        {"binding_order": i, "name": name, "description": ""} | more for i, (name, more) in enumerate(inputs or [], 1)
    ]
    outputs = [
        {"binding_order": i, "name": name, "description": "", "normalization_type": "NONE"} | more
        for i, (name, more) in enumerate(outputs or [], 1)
    ]
    table = {"schema_version": 1, "output_denormalized": False, "inputs": inputs, "outputs": outputs} | bindings
    train = {"schema_version": 1, "scenario_name": "tank", "algorithm": "PPO", "obs_depth": 1, "sample_rate": 1.0}
    train |= {"model_type": "ABSOLUTE", "exported_at": "2026-11-28T20:22:41+00:00"} | (training or {})
    found = {TRAINING: json.dumps(train), BINDINGS: json.dumps(table)}
    return found | ({SPACE: json.dumps({"schema_version": 1} | space)} if space else {})


def test_normalisations_become_scales():
    """Z_SCORE, MIN_MAX and SYMMETRIC, of inputs and back for outputs."""
    inputs = [
        (
            "temperature",
            {
                "normalization_type": "Z_SCORE",
                "normalization_source": "CUSTOM",
                "custom_mean": 50.0,
                "custom_std": 10.0,
            },
        ),
        ("pressure", {"normalization_type": "min_max"} | SCALED),
    ]
    outputs = [("valve", {"normalization_type": "SYMMETRIC", "clamp_output": True} | SCALED)]
    found = understood(written(inputs, outputs), TANK)
    temperature, pressure = found.elements("x")
    (valve,) = found.elements("y")
    assert (temperature.scale, temperature.offset) == (0.1, -5.0)
    assert (pressure.scale, pressure.offset, pressure.low, pressure.high) == (0.01, 0.0, 0.0, 100.0)
    assert (valve.scale, valve.offset, valve.low, valve.high, valve.clip) == (50.0, 50.0, 0.0, 100.0, True)
    assert (found.origin, found.scaling, found.rate_hz) == ("koios", "outside", 1.0)
    assert found.provenance.name == "tank PPO"
    check(found, TANK, "m")


def test_what_the_model_scales_itself_is_as_it_is():
    inputs, outputs = [("a", {}), ("b", {})], [("y", {"range_min": -1.0, "range_max": 5.0})]
    found = understood(written(inputs, outputs, output_denormalized=True), TANK)
    assert found.scaling == "inside"
    assert [(e.low, e.high, e.clip) for e in found.elements("y")] == [(-1.0, 5.0, False)]


def test_a_depth_is_a_window():
    """[1, depth, inputs], oldest first; where depth and inputs are in a row, nobody knows which is which."""
    inputs, faster = [("a", {}), ("b", {})], {"sample_rate": 1.0, "scan_rate": 0.1}
    (part,) = understood(written(inputs, training=faster), Ends([Tensor("x", (1, 6, 2))], [])).inputs
    assert (part.window, part.stride) == (6, 10)
    found = understood(written(inputs, training=faster), Ends([Tensor("x", (1, 12))], []))
    assert found.inputs == () and any("in which order is not written" in gap for gap in found.gaps)
    assert found.rate_hz == pytest.approx(10) and any("meant to run every 0.1 s" in gap for gap in found.gaps)


def test_windows_of_the_observation_space_are_parts():
    leaves = [{"slice_length": 3, "window_order": "OLDEST_FIRST"}, {"slice_length": 2}]
    found = understood(
        written([("level", {}), ("flow", {})], space={"leaves": leaves}), Ends([Tensor("x", (1, 5))], [])
    )
    assert [(p.elements[0].name, p.window, p.start) for p in found.inputs] == [("level", 3, 0), ("flow", 2, 3)]


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (
            written([("a", {"normalization_type": "MIN_MAX", "normalization_source": "TAG_RANGE"}), ("b", {})]),
            "range of its tag",
        ),
        (written([("a", {})] * 2), "same name"),
        (written([("a", {}), ("b", {}), ("c", {})]), "3 bindings do not make the 2 elements"),
        (written([("a", {"binding_order": 7}), ("b", {})]), "not 1 to 2"),
        (
            written([("a", {"normalization_type": "Z_SCORE", "custom_mean": 1, "custom_std": 0}), ("b", {})]),
            "division by zero",
        ),
        (written([("a", {"normalization_type": "LOG"} | SCALED), ("b", {})]), "'LOG', which is not known"),
        (written(outputs=[("y", {})], training={"model_type": "RELATIVE"}), "changes of a value"),
        (written(outputs=[("y", {})], training={"output_mode": "DISCRETE"}), "actions of a list"),
        (written(training={"sample_rate": 0}), "do not fit together"),
        (written(training={"sample_rate": 1.0, "scan_rate": 0.3}), "do not fit together"),
        (written(training={"sample_rate": "fast"}), "'fast'; it is a finite number"),
        (written(training={"schema_version": 2}), "schema version 2; 1 is understood"),
        ({TRAINING: "NaN"}, "NaN, which JSON does not know"),
        ({BINDINGS: "[" * 100_000}, "nested too deeply"),
        ({BINDINGS: "[]"}, "a list, not a table"),
        (written([("a", {}), ("b", {})], space={"leaves": [{"slice_length": 2}]}), "1 windows for 2 bindings"),
        (
            written(
                [("a", {}), ("b", {})], space={"leaves": [{"slice_length": 2, "window_order": "NEWEST_FIRST"}] * 2}
            ),
            "newest sample first",
        ),
        (written([("a", {}), ("b", {})], space={"leaves": [{"slice_length": 2}] * 2}), "have 4 elements, 'x' has 2"),
        (
            written([("a", {}), ("b", {})], space={"leaves": [{"slice_length": 1, "sample_rate": 2}] * 2}),
            "rate of its own",
        ),
    ],
)
def test_what_is_not_understood_is_said(metadata, words):
    """And left out; never an error, never a guess."""
    found = understood(metadata, TANK)
    assert any(words in gap for gap in found.gaps), found.gaps
    check(found, TANK, "m")


def test_without_its_keys_there_is_none():
    assert understood({"koios.other": "{}"}, TANK) is None


def test_bindings_are_of_a_model_with_one_input():
    found = understood(written([("a", {})]), Ends([Tensor("x", (1, 1)), Tensor("z", (1, 1))], []))
    assert any("the model has 2 inputs" in gap for gap in found.gaps)
