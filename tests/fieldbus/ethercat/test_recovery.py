"""Which slaves are which, after some have lost their addresses."""

import pytest

from fieldbus.ethercat.recovery import returned

A, B, C, D = 0x1001, 0x1002, 0x1003, 0x1004


@pytest.mark.parametrize(
    ("addresses", "seats"),
    [
        ([A, B, C, D], {}),
        ([A, 0, C, D], {B: 1}),
        ([A, B, 0, 0], {C: 2, D: 3}),
        ([A, B, 0], {C: 2}),  # the line is still cut behind it
        ([A, B], {}),
        ([0, 0, 0, 0], {A: 0, B: 1, C: 2, D: 3}),
        ([A, 0, D], {B: 1}),
        ([A, D], {}),  # a branch is missing
        ([A, 0x1234, C, D], {B: 1}),  # one with an address of somebody else
        ([], {}),
    ],
)
def test_a_stranger_between_two_known_ones_is_who_is_missing_there(addresses, seats):
    assert returned(addresses, [A, B, C, D]) == seats
