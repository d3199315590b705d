"""A page for whoever may connect, and one for who has a token."""

import pytest

from tests.station.page.fakes import TOKENS, served


@pytest.fixture
def page():
    with served() as page:
        yield page


@pytest.fixture
def locked():
    with served(tokens=TOKENS, commands={"anna": ("reset-state", "record")}) as page:
        yield page
