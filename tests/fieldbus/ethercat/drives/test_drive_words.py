"""Error codes and modes in words."""

import pytest

from fieldbus.ethercat.drives.drive_words import ERRORS, error_words, mode_words


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0x8611, "0x8611: following error"),
        (0x2311, "0x2311: continuous over-current at the motor, 1"),
        (0x8613, "0x8613: something with positioning controller, see the drive's manual"),
        (0x3299, "0x3299: something with DC link voltage, see the drive's manual"),
        (0x4F00, "0x4F00: something with temperature, see the drive's manual"),
        (0xFF08, "0xFF08: the manufacturer's own code, see the drive's manual"),
        (0xB123, "0xB123: see the drive's manual"),
    ],
)
def test_every_code_has_words_that_help(code: int, words: str) -> None:
    """Its own, those of its group, or whose it is."""
    assert error_words(code) == words


def test_every_code_of_the_table_is_in_a_group_of_the_table() -> None:
    """So that a drive's own code beside it is named by the same group."""
    assert all(code & 0xF000 in ERRORS or code & 0xF000 == 0xA000 for code in ERRORS)


def test_modes_have_names() -> None:
    """Those below 0 are the manufacturer's."""
    assert mode_words(8) == "8 (csp)"
    assert mode_words(-3) == "-3 (a mode of the manufacturer)"
    assert mode_words(99) == "99 (unknown)"
