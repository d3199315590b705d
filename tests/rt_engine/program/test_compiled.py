"""What a model is compiled to stays what it was, byte for byte, until somebody means to change it."""

from tests.rt_engine.program.compiled import hashes, stored


def test_every_exporters_file_is_compiled_to_the_same_bytes():
    """If the change is meant: python -m tests.rt_engine.program.compiled, and look at the difference."""
    found, known = dict(hashes()), stored()
    assert found.keys() == known.keys() and len(known) > 250
    assert [name for name in known if found[name] != known[name]] == []
