"""The fields `block` and `cut` of a record: `interface.blocking`."""

from rt_native.lang import inline

_MOST = float(1 << 40)


@inline
def at_once(asked, usual):
    """What a record asks for, as a whole number; what is usual, where it asks for nothing, or for what makes no sense."""
    if 1.0 <= asked < _MOST:
        return int(asked)
    return usual
