"""The native step of the generic slave: its inputs are its outputs."""

from rt_native.lang import export, fill_bytes, load_i64, load_u8, store_u8


@export
def step_mirror(state, outputs, inputs, now, why):  # type: ignore[no-untyped-def]
    """`state`: how many bytes it has each way (int64, int64). Without outputs that count all is 0."""
    out_bytes, in_bytes = load_i64(state), load_i64(state + 8)
    if inputs == 0:
        return 0
    if outputs == 0 or why & 16 == 0:
        fill_bytes(inputs, 0, in_bytes)
        return 0
    for i in range(in_bytes):
        store_u8(inputs + i, load_u8(outputs + i) if i < out_bytes else 0)
    return 0
