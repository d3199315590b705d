"""Structs of native memory, as NumPy sees them."""


def words(*names: str) -> list[tuple[str, str]]:
    """Fields of 64 bits each: numbers and addresses."""
    return [(name, "<i8") for name in names]
