"""One server for the tests that change nothing of it."""

import pytest

from tests.plc_bindings.http.plant import served


@pytest.fixture(scope="package")
def station():
    with served() as found:
        yield found
