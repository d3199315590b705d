"""Keys are made once: each takes a second."""

from pathlib import Path

import pytest

from tests import need
from tests.plc_bindings.opcua.plant import Plant, options, serving, trusting

need.package("asyncua")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(the server's certificates, a client's)"""
    return trusting(tmp_path_factory.mktemp("opcua"))


@pytest.fixture(scope="module")
def running(folders: tuple[Path, Path]):
    """For all tests of a file: filling an address space takes seconds."""
    plant = Plant()
    with serving(plant, options(folders[0])) as server:
        yield plant, server, folders[1]


@pytest.fixture
def served(running):
    """(plant, server, a client's certificates); the plant is as new."""
    running[0].as_new()
    return running
