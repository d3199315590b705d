"""The C library in two builds, and the files of the models that it runs."""

import pytest

from tests.plc_bindings.c.models import MODELS
from tests.plc_bindings.c.toolchain import SANITIZE, Toolchain, v3
from tests.plc_bindings.c.writer import rtp


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """The library for x86-64-v3."""
    return Toolchain(tmp_path_factory.mktemp("plain"), v3())


@pytest.fixture(scope="session")
def checked(tmp_path_factory):
    """The library with the address and undefined-behaviour sanitizers."""
    return Toolchain(tmp_path_factory.mktemp("checked"), v3(), SANITIZE)


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Kind of model -> (model, its file)."""
    folder = tmp_path_factory.mktemp("models")
    found = {}
    for kind, make in MODELS.items():
        model = make()
        (folder / f"{kind}.rtp").write_bytes(rtp(model.program))
        found[kind] = model, folder / f"{kind}.rtp"
    return found
