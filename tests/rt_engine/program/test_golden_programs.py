"""What was compiled once runs to the same bits for ever, or is refused by name."""

import pytest

import rt_engine
from rt_engine.program.rtp_layout import KERNEL_ABI
from tests.plc_bindings.c.writer import sealed
from tests.rt_engine.program import golden_programs
from tests.rt_engine.program.golden_programs import NOT_CALLED, added_to, every_kernel, kernels_of, stored, verdict

STORED = stored()
MEND = (
    "A kernel's name is its meaning (docs/adr/0014): give the new one another name, and remove the stored programs of a name "
    "that is gone. If records or the arena's header changed, raise KERNEL_ABI instead, and start the collection anew."
)


@pytest.mark.parametrize("part", range(4))
def test_stored_programs_run_to_their_bits(part):
    """Each program, as it was stored, with the kernels of today."""
    wrong = [said for name in sorted(STORED)[part::4] if (said := verdict(name, STORED[name]))]
    assert not wrong, "\n".join([*wrong, MEND])


def test_every_kernel_has_a_stored_program():
    """A new kernel needs one: python -m tests.rt_engine.program.golden_programs."""
    assert every_kernel() - kernels_of(STORED) == set(NOT_CALLED)
    assert KERNEL_ABI == 1 and len(STORED) > 100


def test_a_changed_meaning_is_noticed():
    """Other results, a kernel that is gone: each is named."""
    name = next(name for name, entry in STORED.items() if b"\0tanh_f32\0" in entry[0])
    program, inputs, outputs = STORED[name]
    assert verdict(name, (program, inputs, outputs)) is None
    changed = verdict(name, (program, inputs, outputs[:-1] + bytes([outputs[-1] ^ 1])))
    assert changed and "tanh_f32" in changed and "means something else now" in changed
    gone = verdict(name, (sealed(program.replace(b"\0tanh_f32\0", b"\0tanh_f99\0")), inputs, outputs))
    assert gone and "'tanh_f99'" in gone


def test_a_small_model_is_enough_where_one_calls_the_kernel(monkeypatch):
    """No other candidate is made then, which takes minutes."""
    monkeypatch.setattr(golden_programs, "every_kernel", lambda: {"abs_int"})
    monkeypatch.setattr(golden_programs, "_large_candidates", lambda: pytest.fail("not needed"))
    without = {name: entry for name, entry in STORED.items() if b"\0abs_int\0" not in entry[0]}
    (added,) = added_to(without).items()
    assert kernels_of(dict([added])) == {"abs_int"}
    assert verdict(*added) is None


def test_the_command_says_what_to_do_for_a_kernel_that_no_model_calls(monkeypatch, tmp_path):
    """And fails; what is known not to be called is not asked for."""
    before, copy = golden_programs.FILE.read_bytes(), tmp_path / "copy.zip"
    copy.write_bytes(before)
    monkeypatch.setattr(golden_programs, "FILE", copy)
    monkeypatch.setattr(golden_programs, "every_kernel", lambda: {"nobody", *NOT_CALLED})
    monkeypatch.setattr(golden_programs, "_large_candidates", lambda: iter(()))
    with pytest.raises(
        SystemExit, match=r"^1 kernels that none calls: nobody; add a model that calls it to _small\(\)$"
    ):
        golden_programs.main()
    assert copy.read_bytes() == before


def test_a_node_of_another_domain_is_a_model():
    """As passes make them, and as `_small` may need them."""
    node = golden_programs._node("Silu", {"x": (1, [4])}, 1, domain="rt_engine")
    assert rt_engine.load(node).program.kernels == ("swish_f32",)
