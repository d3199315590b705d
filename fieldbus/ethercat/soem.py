"""pysoem, where it is installed: it finds slaves and gives them their addresses."""

from typing import Any

from fieldbus.errors import ConfigurationError

INSTALL = "pip install 'rt-engine[ethercat]'"


def library() -> Any:
    """The module `pysoem`; raises `ConfigurationError`, with the command that installs it."""
    try:
        import pysoem
    except ImportError as error:
        why = "" if error.name == "pysoem" else f" ({error})"
        raise ConfigurationError(f"EtherCAT needs the package pysoem{why}: {INSTALL}") from None
    pysoem.settings.always_release_gil = True
    return pysoem
