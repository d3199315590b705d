import math

import pytest

from rt_engine.contract.check import Ends, Tensor, check
from rt_engine.contract.mjlab import understood

JOINTS = {"joint_names": "hip,knee", "default_joint_pos": "-0.312,0.669", "action_scale": "0.500,0.250"}
BEFORE = JOINTS | {
    "run_path": "team/robot/4f2a91c",
    "joint_stiffness": "40.000,40.000",
    "joint_damping": "1.000,1.000",
    "command_names": "twist",
    "observation_names": "base_lin_vel,joint_pos,joint_vel,actions,command",
}
"""As mjlab wrote it before April 2026."""
NOW = BEFORE | {
    "observation_terms_scale": "1.000,0.500,0.050,1.000,1.000",
    "observation_terms_clip": "-inf;inf,-1.0;1.0,-inf;inf,-inf;inf,-inf;inf",
    "observation_terms_history_length": "0.000,3.000,0.000,0.000,0.000",
    "observation_terms_flatten_history_dim": "1.000,1.000,1.000,1.000,1.000",
}


def ends(size, actions=2):
    return Ends([Tensor("obs", (1, size))], [Tensor("actions", (1, actions))])


def names(found):
    return [e.name for part in found.parts("obs") for e in part.elements]


def test_observations_and_actions_are_named():
    """The width of the one term that nobody knows is what the others leave."""
    found = understood(BEFORE, ends(12))
    assert names(found) == [
        *(
            "base_lin_vel.x",
            "base_lin_vel.y",
            "base_lin_vel.z",
            "joint_pos.hip",
            "joint_pos.knee",
            "joint_vel.hip",
            "joint_vel.knee",
        ),
        *("actions[0]", "actions[1]", "command[0]", "command[1]", "command[2]"),
    ]
    assert [(e.name, e.unit, e.scale, e.offset) for e in found.elements("actions")] == [
        ("target.hip", "rad", 0.5, -0.312),
        ("target.knee", "rad", 0.25, 0.669),
    ]
    assert (found.origin, found.scaling, found.rate_hz, found.provenance.version) == (
        "mjlab",
        "outside",
        None,
        "team/robot/4f2a91c",
    )
    check(found, ends(12), "m")


def test_an_angle_is_relative_to_the_rest_position():
    """Its element is 0 at default_joint_pos, and this is said, since the file does not."""
    found = understood(BEFORE, ends(12))
    hip = found.elements("obs")[3]
    assert hip.scale * -0.312 + hip.offset == pytest.approx(0)
    assert any("less default_joint_pos" in gap for gap in found.gaps)
    assert any("three decimals" in gap for gap in found.gaps) and any(
        "rate is not written" in gap for gap in found.gaps
    )


def test_scale_clip_and_history_of_each_term_are_understood():
    """A term with a history is a part of its own; what is clipped before it is scaled has its limits in the value."""
    found = understood(NOW, ends(16))
    assert [(len(p.elements), p.window, p.start) for p in found.inputs] == [(3, 1, 0), (2, 3, 3), (7, 1, 9)]
    hip = found.inputs[1].elements[0]
    assert (hip.scale, hip.offset, hip.clip) == (0.5, pytest.approx(0.156), True)
    assert (hip.low, hip.high) == (pytest.approx(-1.312), pytest.approx(0.688))
    check(found, ends(16), "m")


@pytest.mark.parametrize(
    "clip", ["[-inf, inf],[-1.0, 1.0],[-inf, inf],[-inf, inf],[-inf, inf]", "-inf;inf,-1;1,-inf;inf,-inf;inf,-inf;inf"]
)
def test_both_ways_to_write_clips_are_read(clip):
    found = understood(NOW | {"observation_terms_clip": clip}, ends(16))
    assert found.inputs[1].elements[0].clip and not found.inputs[0].elements[0].clip


def test_a_scale_for_each_element_is_read():
    scale = {"observation_terms_scale": "1.000,[0.5, 0.25],1.0,1.0,1.0"}
    found = understood(BEFORE | scale, ends(12))
    assert [e.scale for e in found.elements("obs")[3:5]] == [0.5, 0.25]


def test_lists_may_be_json():
    """As others write them, histories by name too."""
    written = {
        "joint_names": '["hip", "knee"]',
        "default_joint_pos": "[0.1, 0.2]",
        "action_scale": "0.25",
        "observation_names": '["joint_pos", "joint_vel"]',
        "observation_history_lengths": '{"joint_pos": 2}',
    }
    found = understood(written, ends(6))
    assert [(p.window, len(p.elements)) for p in found.inputs] == [(2, 2), (1, 2)]
    assert [(e.scale, e.offset) for e in found.elements("actions")] == [(0.25, 0.1), (0.25, 0.2)]


def test_a_clip_of_raw_actions_limits_the_targets():
    found = understood(BEFORE | {"clip_actions": "2.0"}, ends(12))
    hip = found.elements("actions")[0]
    assert (hip.low, hip.high, hip.clip) == (pytest.approx(-1.312), pytest.approx(0.688), True)


@pytest.mark.parametrize(
    ("change", "size", "words"),
    [
        ({"observation_names": "base_lin_vel,command,height"}, 12, "command and height have is not written"),
        ({"observation_names": "base_lin_vel,joint_pos"}, 12, "do not make the 12 elements"),
        ({"observation_names": "base_lin_vel,command"}, 2, "do not make the 2 elements"),
        ({"observation_names": ""}, 12, "has 0 terms"),
        ({"default_joint_pos": "0.1"}, 12, "default_joint_pos has 1 numbers for 2 joints"),
        ({"default_joint_pos": "0.1,nan"}, 12, "a number that is none"),
        ({"default_joint_pos": "0.1,x"}, 12, "'x', where a number is expected"),
        ({"default_joint_pos": "0.1,inf"}, 12, "no list of finite numbers"),
        ({"joint_names": "hip,hip"}, 12, "called"),
        ({"joint_names": "hip,knee,ankle", "default_joint_pos": "0,0,0"}, 14, "3 joint_names for 2 actions"),
        ({"action_scale": "0.5,0.0"}, 12, "or zeros"),
        ({"action_type": "residual_on_gait"}, 12, "another kind (action_type: 'residual_on_gait')"),
        ({"observation_terms_scale": "1.0,1.0"}, 12, "has 2 entries for 5 terms"),
        ({"observation_terms_scale": "[1.0,[[1]]]"}, 12, "where a number is expected"),
        ({"observation_terms_history_length": "0,inf,0,0,0"}, 12, "no list of whole numbers"),
        ({"observation_terms_history_length": "0,9e9,0,0,0"}, 12, "no list of whole numbers"),
        (
            {"observation_terms_history_length": "0,3,0,0,0", "observation_terms_flatten_history_dim": "1,0,1,1,1"},
            12,
            "a dimension of its own",
        ),
        ({"observation_terms_clip": "1;-1,0;1,0;1,0;1,0;1"}, 12, "low is at most high"),
        ({"observation_names": "[" * 100_000}, 12, "not described"),
        ({"observation_names": "command"}, 1 << 40, "1 to 16,384 are understood"),
    ],
)
def test_what_is_not_understood_is_said(change, size, words):
    """And left out; never an error, never a guess."""
    found = understood(BEFORE | change, ends(size))
    assert words in str(found.gaps)
    check(found, ends(size), "m")


def test_tensors_of_other_names_are_found_where_there_is_one():
    """Motion policies have more outputs, of which nothing is written."""
    motion = Ends(
        [Tensor("obs", (1, 12)), Tensor("time_step", (1, 1))], [Tensor("actions", (1, 2)), Tensor("body_pos_w", (1, 3))]
    )
    found = understood(BEFORE, motion)
    assert found.outputs and any("nothing is written of time_step, body_pos_w" in gap for gap in found.gaps)
    other = understood(BEFORE, Ends([Tensor("input", (1, 12))], [Tensor("a", (1, 2)), Tensor("b", (1, 2))]))
    assert other.inputs == () == other.outputs


def test_without_its_keys_there_is_none():
    assert understood({"joint_names": "hip"}, ends(1)) is None


def test_limits_are_none_where_nothing_clips():
    assert {(e.low, e.high) for e in understood(BEFORE, ends(12)).elements("obs")} == {(-math.inf, math.inf)}
