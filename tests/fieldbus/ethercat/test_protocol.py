"""Codes of EtherCAT slaves, in words."""

from fieldbus.ethercat.protocol import abort_in_words, al_in_words, state_in_words


def test_a_state_with_the_error_bit_says_so():
    assert [state_in_words(status) for status in (0x08, 0x14, 0x02, 0x05)] == [
        "OP",
        "SAFE-OP with an error",
        "PRE-OP",
        "state 5",
    ]


def test_a_code_is_told_in_words_and_as_a_number():
    """Also one that nobody knows, and one of the maker's range."""
    assert al_in_words(0x1B) == "its watchdog expired: no outputs came in time (AL status code 0x001B)"
    assert al_in_words(0x8001) == "of its maker's own (AL status code 0x8001)"
    assert al_in_words(0x00E0) == "unknown (AL status code 0x00E0)"
    assert abort_in_words(0x06020000) == "it has no such object (abort code 0x06020000)"
    assert abort_in_words(0x12345678) == "for a reason of its own (abort code 0x12345678)"
