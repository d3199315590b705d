"""docs/fieldbus.md is true: its code runs."""

import re

import pytest

from tests import ROOT

PAGE = ROOT / "docs" / "fieldbus.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_every_code_block_runs(block: str) -> None:
    """Each Python block runs by itself, and what it asserts holds."""
    exec(compile(block, str(PAGE), "exec"), {})


def test_the_page_has_blocks() -> None:
    """The pattern above finds something to run."""
    assert len(BLOCKS) == 4
