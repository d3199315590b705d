"""A page for whoever may connect, and one for who has a token; one browser for all tests, and a page that it looks at."""

import pytest

from tests.station.page.browser import Browser
from tests.station.page.fakes import TOKENS, served
from tests.station.page.looking import serving
from tests.station.page.pretended import Pretended


@pytest.fixture
def page():
    with served() as page:
        yield page


@pytest.fixture
def locked():
    with served(tokens=TOKENS, commands={"anna": ("reset-state", "record")}) as page:
        yield page


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture
def panel(browser):
    """The page of a station that is made up, for a window of a panel PC, light; nothing may go wrong in the console."""
    browser.size(1024, 600)
    browser.scheme("light")
    browser.complaints()
    with serving(Pretended()) as page:
        yield page
        browser.open("about:blank")
    assert browser.complaints() == []
