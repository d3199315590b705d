"""All tests. Their folders are the packages and rooms of the source, and folders that say in `__init__` what else they prove.

A file is named after the module that it tests, or says in its first line what it proves. `test_layout` checks all this.
"""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
"""Of the repository."""
