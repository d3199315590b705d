"""ONNX's whole backend suite, with the exclusions of `excluded.txt`."""

from fnmatch import fnmatchcase

import pytest

from tests.conformance.suite import cases, excluded, exclusions, failure, ours


@pytest.mark.parametrize("name", cases())
def test_case(name):
    """The outputs are ONNX's own; or the case is excluded, and indeed fails."""
    case, reason = cases()[name], excluded(name)
    if reason is None:
        case.check(ours)
        return
    why = failure(case, ours) if case.numeric else "inputs and outputs are not all tensors of numbers"
    assert why is not None, f"{name} passes, but excluded.txt says: {reason}; remove its line"
    pytest.skip(reason)


def test_every_exclusion_names_a_case():
    """No exclusion outlives its cases."""
    idle = [pattern for pattern in exclusions() if not any(fnmatchcase(name, pattern) for name in cases())]
    assert not idle
