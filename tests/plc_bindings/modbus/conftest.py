import pytest

from tests.plc_bindings.modbus.plant import Plant


@pytest.fixture
def plant():
    return Plant()
