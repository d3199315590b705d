"""docs/plc-clients.md has the table of clients that the tests prove."""

from tests import ROOT
from tests.peers import matrix

PAGE = ROOT / "docs" / "plc-clients.md"


def test_the_page_lists_what_is_tested() -> None:
    """All tables are those that `python -m tests.peers.matrix` prints."""
    page = PAGE.read_text()
    assert matrix.ADS in page
    assert matrix.MODBUS in page
    assert matrix.OPCUA in page
