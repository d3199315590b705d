from pathlib import Path

from tests.peers import matrix

PAGE = Path(__file__).parents[2] / "docs" / "plc-clients.md"


def test_the_page_lists_what_is_tested() -> None:
    """Both tables are those that `python -m tests.peers.matrix` prints."""
    page = PAGE.read_text()
    assert matrix.ADS in page
    assert matrix.MODBUS in page
