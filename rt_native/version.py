"""The version of the project, written here and nowhere else: `pyproject.toml`, the servers and the C library read it."""

from typing import Final

VERSION: Final = (0, 1, 0)
"""Major, minor, patch: Semantic Versioning."""
TEXT: Final = ".".join(map(str, VERSION))
