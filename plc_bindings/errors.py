"""What can go wrong on the way to a PLC, before anything runs."""


class BindingError(Exception):
    """Base of all errors of this package."""


class UnpackableError(BindingError):
    """A model has an input or output that no PLC type can carry."""


class NameClashError(BindingError):
    """Two things of a station have names that a PLC does not tell apart: they differ in case, or in `-` and `_`."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is there twice: to a PLC names are the same that differ only in case, or in - and _")


class ServerError(BindingError):
    """A server cannot listen."""


class ExportError(BindingError):
    """A station cannot be called in the way that blocks were asked for."""


class SigningError(BindingError):
    """A key or signature cannot be made or used."""
