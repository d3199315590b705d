"""What can go wrong on the way to a PLC, before anything runs."""


class BindingError(Exception):
    """Base of all errors of this package."""


class UnpackableError(BindingError):
    """A model has an input or output that no PLC type can carry."""
