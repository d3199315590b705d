"""What was compiled once runs to the same bits for ever, or is refused by name."""

import pytest

from rt_engine.program.rtp_layout import KERNEL_ABI
from tests.plc_bindings.c.writer import sealed
from tests.rt_engine.program.golden_programs import NOT_CALLED, every_kernel, kernels_of, stored, verdict

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
