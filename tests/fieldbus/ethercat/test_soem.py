"""The library that finds slaves."""

import sys

import pytest

from fieldbus.errors import ConfigurationError
from fieldbus.ethercat.soem import library


def test_without_the_package_one_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pysoem", None)
    with pytest.raises(ConfigurationError, match=r"needs the package pysoem: pip install 'rt-engine\[ethercat\]'"):
        library()


def test_with_it_the_interpreter_is_free_while_slaves_are_asked():
    """Its calls may take seconds."""
    assert pytest.importorskip("pysoem", reason="pip install pysoem") is library()
    assert library().settings.always_release_gil
