"""Copies of bytes, of any length."""

from rt_native.lang import copy_bytes, inline, load_i8, store_i8

_LONG = 1024
"""From this many bytes on, libc's copy is the fastest."""


@inline
def copy_run(to, source, count):
    """Copy `count` bytes by moves of one fixed size; the last one overlaps the one before it."""
    if count >= _LONG:
        copy_bytes(to, source, count)
    elif count >= 64:
        done = 0
        while done < count - 64:
            copy_bytes(to + done, source + done, 64)
            done += 64
        copy_bytes(to + count - 64, source + count - 64, 64)
    elif count >= 32:
        copy_bytes(to, source, 32)
        copy_bytes(to + count - 32, source + count - 32, 32)
    elif count >= 16:
        copy_bytes(to, source, 16)
        copy_bytes(to + count - 16, source + count - 16, 16)
    elif count >= 8:
        copy_bytes(to, source, 8)
        copy_bytes(to + count - 8, source + count - 8, 8)
    elif count >= 4:
        copy_bytes(to, source, 4)
        copy_bytes(to + count - 4, source + count - 4, 4)
    else:
        for i in range(count):
            store_i8(to + i, load_i8(source + i))
