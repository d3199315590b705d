"""Hot update in C: coordinated, complete, or not at all."""

import pytest

from rt_engine.program.rtp_file import write
from tests.plc_bindings.c.models import lstm, policy
from tests.plc_bindings.c.toolchain import THREAD_SANITIZE, Toolchain, run, v3

pytestmark = pytest.mark.peer("gcc", "g++")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Name -> (a model's file, another's)."""
    folder = tmp_path_factory.mktemp("pairs")
    models = {"mlp": policy(0), "other": policy(1), "lstm": lstm(), "renamed": lstm(state="s")}
    for name, model in models.items():
        write(model.program, folder / f"{name}.rtp")
    file = {name: folder / f"{name}.rtp" for name in models}
    return {"policies": (file["mlp"], file["other"]), "states": (file["lstm"], file["lstm"]),
            "renamed states": (file["lstm"], file["renamed"]), "strangers": (file["mlp"], file["lstm"])}  # fmt: skip


CASES = {
    "same_tick": "policies",
    "late": "policies",
    "stuck": "policies",
    "crowd": "policies",
    "activation": "policies",
    "idle": "policies",
    "state": "states",
    "carried": "states",
    "anew": "renamed states",
    "not_finite": "states",
    "refused": "strangers",
}


@pytest.mark.parametrize("case", CASES)
def test_updates(plain, pairs, case):
    """What each case of slot.c says."""
    assert run(plain.program("slot.c"), case, *pairs[CASES[case]]).stdout == "good\n"


@pytest.mark.parametrize("case", CASES)
def test_updates_under_sanitizers(checked, pairs, case):
    """Nothing that was freed is used, and nothing is left behind."""
    assert run(checked.program("slot.c"), case, *pairs[CASES[case]]).stdout == "good\n"


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """The library with the thread sanitizer, and the switch of models in C."""
    return Toolchain(tmp_path_factory.mktemp("watched"), v3(), THREAD_SANITIZE, twin="slot_twin.c")


@pytest.mark.parametrize("case", ["same_tick", "late", "stuck", "crowd", "carried", "not_finite", "activation"])
def test_threads_race_for_nothing(watched, pairs, case):
    """Contexts, states and counters pass between threads by atomic accesses alone, and are freed when nobody looks."""
    assert run(watched.program("slot.c"), case, *pairs[CASES[case]]).stdout == "good\n"
