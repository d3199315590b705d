"""`inputs = "contract"`: tags are found by the names in the model's contract."""

import math
from random import Random

import pytest

from rt_engine.contract import Contract, Element, TensorContract, attach
from station.errors import StationFileError
from station.file.by_contract import expand
from station.file.reading import read_station
from station.wiring.parts import build
from tests.station.stations import DEVICE, gemm

LEGS = tuple(Element(f"leg[{i}]", "rad", low=-3.0, high=3.0) for i in range(3))
FORCE = Element("force", "N", low=-5.0, high=5.0, max_rate=50.0)
HEAD = """
[models.policy]
file = "policy.onnx"
[links.sim]
type = "in-process"
device = "device.py:device"
cycle = "1 ms"
timeout = "50 ms"
"""
TAGS = """[tags]
leg = { count = 3, unit = "rad", low = -3, high = 3 }
speed = { unit = "m/s", low = 0, high = 9 }
force = { unit = "N", direction = "out", low = -10, high = 4 }
wanted = {}
"""
TASK = '[tasks.axis]\nmodel = "policy"\ncycle = "1 ms"\ninputs = "contract"\noutputs = "contract"\n'
SPEED = Element("speed", "m/s", low=0.0, high=9.0)


def contract(*elements, outputs=(FORCE,), window=1, stride=1, **more):
    return Contract((TensorContract("x", elements, window, stride),), (TensorContract("y", outputs),), **more)


@pytest.fixture
def station(tmp_path):
    """Reads a station file whose model has this contract."""

    def read(given, tags=TAGS, task=TASK):
        size = sum(part.size for part in given.inputs) if given is not None else 4
        gemm(tmp_path / "policy.onnx", size)
        if given is not None:
            attach(tmp_path / "policy.onnx", given)
        (tmp_path / "device.py").write_text(DEVICE)
        (tmp_path / "station.toml").write_text(HEAD + tags + task)
        return read_station(tmp_path / "station.toml")

    return read


def entries(file, side="inputs"):
    """(tag, cell, first element) of each."""
    return [(entry.tag, entry.cell, entry.index) for entry in getattr(file.config.tasks["axis"], side)]


def faults(station, *arguments, **more):
    with pytest.raises(StationFileError) as caught:
        station(*arguments, **more)
    return [p.message for p in caught.value.problems if p.severity == "error"]


def test_names_are_tags(station):
    """In the order of the elements; values of a tag in a row are one entry; the whole is good without a warning."""
    file = station(contract(SPEED, *LEGS))
    assert entries(file) == [("speed", None, 0), ("leg", None, 1)]
    assert entries(file, "outputs") == [("force", None, 0)]
    assert [p.message for p in (*file.warnings, *build(file).warnings)] == ["no task uses this tag"]


def test_values_of_a_tag_in_another_order(station):
    """Each finds its element."""
    file = station(contract(LEGS[2], SPEED, LEGS[0], LEGS[1]))
    assert entries(file) == [("leg", 2, 0), ("speed", None, 1), ("leg", 0, 2), ("leg", 1, 3)]
    (task,) = build(file).tasks
    assert [(i.cell - i.channel.index("leg"), i.count) for i in task.inputs if i.index != 1] == [(2, 1), (0, 1), (1, 1)]


def test_a_name_that_no_tag_can_have(station):
    """What a tag cannot be called is an underscore; a number may follow a dot."""
    tags = TAGS + '"left_hip.2" = {}\nleft_knee = {}\n'
    file = station(contract(Element("left_hip[2]"), Element("left knee"), *LEGS[:2]), tags)
    assert entries(file)[:2] == [("left_hip.2", None, 0), ("left_knee", None, 1)]


def test_other_names_are_given(station):
    """Of one element, or of all of a name; with what an entry may say; more entries for the step."""
    task = TASK.replace(
        'inputs = "contract"',
        'inputs = { contract = { speed = { tag = "v", scale = 0.5 }, hip = "leg" }, also = [{ tag = "wanted", step_only = true }] }',
    )
    hips = [Element(f"hip[{i}]", "rad", low=-3, high=3) for i in range(3)]
    file = station(contract(*hips, SPEED), TAGS + "v = {}\n", task)
    assert entries(file) == [("leg", None, 0), ("v", None, 3), ("wanted", None, None)]
    assert file.config.tasks["axis"].inputs[1].scale == 0.5
    shifted = TASK.replace('inputs = "contract"', 'inputs = { contract = { hip = { tag = "leg", cell = 1 } } }')
    assert entries(station(contract(*hips[:2], SPEED), TAGS, shifted))[:2] == [("leg", 1, 0), ("leg", 2, 1)]


def test_what_has_no_tag_is_named(station):
    """With the tags that are near, and how to say which; a tag with too few values too."""
    wide = [Element(f"leg[{i}]", "rad") for i in range(5)]
    first, second, third = faults(station, contract(*wide, Element("sped"), outputs=(Element("thrust"),)))
    assert first == "no input tag for leg[3] to leg[4] of x: tag leg has 3 of 5 values; write count = 5"
    assert second.startswith("no input tag for sped of x: nearest: speed; or say which: ")
    assert third == (
        "no output tag for thrust of y: there are force; or say which: outputs = "
        '{ contract = { "thrust" = "TAG" } } ("": nobody takes it)'
    )


def test_nobody_takes_an_output(station):
    """Said with an empty name; an input has to come from somewhere."""
    nobody = 'outputs = { contract = { force = "" } }'
    assert (
        station(contract(SPEED, *LEGS), task=TASK.replace('outputs = "contract"', nobody)).config.tasks["axis"].outputs
        == ()
    )
    task = TASK.replace('inputs = "contract"', 'inputs = { contract = { speed = "" } }')
    assert 'unknown input tag ""' in faults(station, contract(SPEED, *LEGS), task=task)[0]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ('{ contract = { sped = "speed" } }', 'unknown element "sped"; did you mean "speed"'),
        ('{ contract = { speed = "sped" } }', 'unknown input tag "sped"; did you mean "speed"'),
        ('{ contrct = {} }', 'unknown key "contrct"; did you mean "contract"'),
        ('{ also = ["speed"] }', 'write "contract", or { contract ='),
        ('{ contract = { speed = 3 } }', 'write "contract", or { contract ='),
        ('{ contract = { speed = { tag = "speed", window = 3 } } }', "window of tag speed is the contract's"),
        ('{ contract = { speed = { tag = "speed", scale = "x" } } }', 'must be a number, got "x"'),
        ('{ contract = { speed = { tag = "speed", scal = 2 } } }', 'unknown key "scal"; did you mean "scale"'),
        ('{ contract = { "leg[0]" = { tag = "leg", cell = 3 } } }', "tag leg has 3 values; value 3 is wanted, counted from 0"),
        ('"contrct"', "must be an array"),
    ],
)  # fmt: skip
def test_what_is_written_wrong(station, inputs, words):
    """Is said once."""
    (fault,) = faults(station, contract(SPEED, *LEGS), task=TASK.replace('inputs = "contract"', f"inputs = {inputs}"))
    assert words in fault


def test_a_model_without_a_contract(station):
    """Nothing is known of its elements."""
    assert "policy.onnx has no contract; `rt-engine contract policy.onnx --set FILE`" in faults(station, None)[0]


def test_scale_window_and_clip_are_the_contracts(station):
    """Outside of the model: scale and offset, composed with the entry's own; a window in cycles; what training clipped is clipped."""
    one = Element("speed", "m/s", scale=0.5, offset=1.0, low=-2.0, high=2.0, clip=True)
    task = TASK.replace(
        'inputs = "contract"', 'inputs = { contract = { speed = { tag = "speed", scale = 10, offset = 4 } } }'
    )
    file = station(contract(one, LEGS[0], window=3, stride=2, scaling="outside"), task=task)
    speed, leg = file.config.tasks["axis"].inputs
    assert (speed.scale, speed.offset) == (5.0, 3.0)
    assert (speed.low, speed.high) == (pytest.approx(-0.6), pytest.approx(-0.2))
    narrow = task.replace("offset = 4", "offset = 4, low = -0.5, high = 9")
    (speed, _) = (
        station(contract(one, LEGS[0], window=3, stride=2, scaling="outside"), task=narrow).config.tasks["axis"].inputs
    )
    assert (speed.low, speed.high) == (-0.5, pytest.approx(-0.2))
    assert (speed.window, speed.stride, speed.spacing, speed.index) == (3, 2, 2, 0)
    assert (leg.tag, leg.cell, leg.index, leg.spacing) == ("leg", 0, 1, 2)


def test_limits_of_an_output_are_what_both_allow(station):
    """The tag's high and the contract's low; the contract's rate, or a lower one; after a step the contract's are not the tag's."""
    (force,) = station(contract(SPEED, *LEGS)).config.tasks["axis"].outputs
    assert (force.low, force.high, force.max_rate) == (-5.0, 4.0, 50.0)
    slower = TASK.replace(
        'outputs = "contract"', 'outputs = { contract = { force = { tag = "force", max_rate = 9.0 } } }'
    )
    (force,) = station(contract(SPEED, *LEGS), task=slower).config.tasks["axis"].outputs
    assert force.max_rate == 9.0
    step = TASK + 'step = { type = "ramp", up = 1, down = 1 }\n'
    (force,) = station(contract(SPEED, *LEGS), task=step).config.tasks["axis"].outputs
    assert (force.low, force.high, force.max_rate) == (None, None, math.inf)


def test_parts_of_a_tensor_with_a_history_each(station):
    """Every part has its place, window and row."""
    x = (TensorContract("x", (SPEED,), 2), TensorContract("x", LEGS, 2, start=2))
    given = Contract(x, (TensorContract("y", (FORCE,)),))
    speed, leg = station(given).config.tasks["axis"].inputs
    assert [(e.index, e.window, e.spacing) for e in (speed, leg)] == [(0, 2, 1), (2, 2, 3)]
    build(station(given))


def test_any_table_is_expanded_or_told(tmp_path):
    """What is no table of a station file yet: nothing is raised, and nothing grows."""
    gemm(tmp_path / "policy.onnx", 4)
    attach(tmp_path / "policy.onnx", contract(SPEED, *LEGS))
    values = [
        None,
        0,
        -1,
        10**400,
        1e308,
        float("nan"),
        "",
        "contract",
        "leg",
        [],
        [1],
        {},
        {"count": 10**12},
        {"contract": {}},
        True,
    ]
    random = Random(4)
    for _ in range(2000):
        pick = lambda: random.choice(values)  # noqa: E731
        names = {pick_name: pick() for pick_name in ("leg", "speed", "leg[0]")}
        tags = {"leg": random.choice([{"count": 3}, pick()]), "speed": random.choice([{}, pick()])}
        task = {"model": random.choice(["p", pick()]), "every": pick(), "step": pick()}
        task["inputs"] = random.choice(["contract", {"contract": names}, {"contract": pick(), "also": pick()}])
        task["outputs"] = random.choice(
            ["contract", {"contract": {"force": {"tag": "leg", "low": pick(), "scale": pick()}}}]
        )
        models = {"p": random.choice([{"file": "policy.onnx", "state": pick()}, pick()])}
        data = random.choice(
            [
                {"models": models, "tags": tags, "tasks": {"t": task}},
                {"tasks": pick()},
                {"tags": pick(), "tasks": {"t": task}},
            ]
        )
        expand(data, tmp_path)


def problems(station, *arguments, **more):
    """What reading and wiring find in a file."""
    try:
        file = station(*arguments, **more)
        return [*file.warnings, *build(file).warnings]
    except StationFileError as error:
        return list(error.problems)


def test_degrees_against_radians_are_an_error_with_its_line(station):
    """Wired by name or by hand; both units and the scale to write; with it the station is good."""
    tags = TAGS.replace('3, unit = "rad"', '3, unit = "deg"')
    turned = '{ contract = { "leg" = { tag = "leg", scale = 0.0174532925199433 } } }'
    by_hand = TASK.replace('inputs = "contract"', 'inputs = ["speed", "leg"]')
    for task, what in ((TASK, f"inputs = {turned}"), (by_hand, "scale = 0.0174532925199433 in its entry of inputs")):
        (one,) = [p for p in problems(station, contract(SPEED, *LEGS), tags, task) if p.severity == "error"]
        assert f"tag leg is in deg; leg[0] to leg[2] of x in rad: write {what}" in one.message
        assert one.key == "tasks.axis.inputs[1]" and one.line > 0
    good = problems(station, contract(SPEED, *LEGS), tags, TASK.replace('inputs = "contract"', f"inputs = {turned}"))
    assert [p.severity for p in good] == ["warning"]


def test_another_rate_is_an_error(station):
    """50 Hz in a task of 1 kHz."""
    (one,) = [p for p in problems(station, contract(SPEED, *LEGS, rate_hz=50.0)) if p.severity == "error"]
    assert one.key == "tasks.axis.cycle" and "trained for 50 Hz: write every = 20" in one.message
    given = contract(SPEED, *LEGS, rate_hz=50.0)
    assert [p.severity for p in problems(station, given, task=TASK + "every = 20\n")] == ["warning"]
    (one,) = [p for p in problems(station, given, task=TASK + "every = 10\n") if p.severity == "error"]
    assert one.key == "tasks.axis.every"


def test_a_slow_models_history_is_sampled_at_its_rate(station):
    """A sample enters at every turn, or at every second; outputs go from one turn to the next as the task, or they, say."""
    lined = TASK.replace(
        'outputs = "contract"', 'outputs = { contract = { force = { tag = "force", between = "hold" } } }'
    )
    given = contract(SPEED, *LEGS, window=2, stride=2, rate_hz=50.0)
    (task,) = build(station(given, task=lined + 'every = 20\nbetween = "linear"\n')).tasks
    assert (task.every, task.outputs[0].between) == (20, "hold")
    assert {(entry.window, entry.stride) for entry in task.inputs} == {(2, 40)}
    (task,) = build(station(given, task=TASK + 'every = 20\nbetween = "linear"\n')).tasks
    assert task.outputs[0].between == "linear"


def test_a_broken_contract_is_a_warning_where_nobody_needs_it(station, tmp_path):
    """Tags that are listed run as before."""
    import onnx

    by_hand = TASK.replace('"contract"\no', '["speed", "leg"]\no').replace(
        'outputs = "contract"', 'outputs = ["force"]'
    )
    station(contract(SPEED, *LEGS), task=by_hand)
    proto = onnx.load(tmp_path / "policy.onnx")
    proto.metadata_props[0].value = "{"
    onnx.save(proto, tmp_path / "policy.onnx")
    warnings = build(read_station(tmp_path / "station.toml")).warnings
    assert [p.key for p in warnings] == ["models.policy"] and "cannot be read" in warnings[0].message


def test_states_are_no_inputs(tmp_path):
    """The contract names them; the task does not have to fill them."""
    import onnx

    from tests.rt_engine.contract.contracts import stateful

    onnx.save(stateful(), tmp_path / "s.onnx")
    two = [TensorContract(name, (Element(f"{name}0"), Element(f"{name}1"))) for name in "xhny"]
    attach(tmp_path / "s.onnx", Contract(tuple(two[:2]), (two[3],), state={"n": "h"}))
    (tmp_path / "device.py").write_text(DEVICE)
    text = HEAD.replace("policy.onnx", "s.onnx") + '[tags]\nx0 = {}\nx1 = {}\ny0 = { direction = "out" }\n'
    text += '[tasks.t]\nmodel = "policy"\ncycle = "1 ms"\ninputs = "contract"\noutputs = { contract = { y1 = "" } }\n'
    (tmp_path / "station.toml").write_text(text)
    with pytest.raises(StationFileError) as caught:
        build(read_station(tmp_path / "station.toml"))
    assert any('write state = { "n" = "h" }' in problem.message for problem in caught.value.problems)
    carried = text.replace('"s.onnx"', '"s.onnx"\nstate = { n = "h" }')
    (tmp_path / "station.toml").write_text(carried)
    (task,) = build(read_station(tmp_path / "station.toml")).tasks
    assert [entry.tensor for entry in task.inputs] == ["x", "x"]
