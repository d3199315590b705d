"""Neighbouring addresses become few requests, within the limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldbus.modbus.blocks import Span, merge, pieces


def shape(spans: list[Span[str]], limit: int, gap: int = 0) -> list[tuple[int, int]]:
    return [(b.start, b.count) for b in merge(spans, limit, gap)]


def test_the_picture_in_the_docstring() -> None:
    """The spans drawn in `fieldbus.modbus.blocks` give the blocks drawn there."""
    spans = [Span(10, 2, "a"), Span(12, 1, "b"), Span(15, 2, "c"), Span(300, 4, "d")]
    assert shape(spans, 125) == [(10, 3), (15, 2), (300, 4)]
    assert shape(spans, 125, gap=2) == [(10, 7), (300, 4)]


def test_a_block_ends_at_the_limit_and_not_before() -> None:
    """125 registers fit in one request, the 126th starts another, and no span is split."""
    assert shape([Span(i, 1, "") for i in range(125)], 125) == [(0, 125)]
    assert shape([Span(i, 1, "") for i in range(126)], 125) == [(0, 125), (125, 1)]
    assert shape([Span(2 * i, 2, "") for i in range(63)], 125) == [(0, 124), (124, 2)]


def test_overlapping_spans_share_a_block() -> None:
    """Two bits of one register, or a wide and a narrow view of it, are one request."""
    assert shape([Span(5, 1, "a"), Span(5, 1, "b"), Span(4, 4, "c")], 125) == [(4, 4)]


def test_nothing_to_read_needs_no_request() -> None:
    """No spans, no blocks."""
    assert merge([], 125) == []


@given(
    st.lists(st.tuples(st.integers(0, 600), st.integers(1, 10)), max_size=40, unique_by=lambda s: s[0]),
    st.integers(10, 125),
    st.integers(0, 20),
)
def test_every_span_is_in_one_block_within_the_limits(
    spans: list[tuple[int, int]], limit: int, gap: int
) -> None:  # fmt: skip
    """All spans are covered once; blocks keep the limit and bridge no larger hole."""
    blocks = merge([Span(start, count, i) for i, (start, count) in enumerate(spans)], limit, gap)
    assert sorted(s.owner for b in blocks for s in b.spans) == list(range(len(spans)))
    for block in blocks:
        assert block.count <= limit
        assert all(block.start <= s.start and s.end <= block.start + block.count for s in block.spans)
        for a, b in zip(block.spans, block.spans[1:], strict=False):
            assert b.start - max(s.end for s in block.spans[: block.spans.index(a) + 1]) <= gap


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((100, 2, 10, 125), [(100, 0, 10)]),
        ((0, 2, 130, 125), [(0, 0, 62), (124, 62, 62), (248, 124, 6)]),
        ((7, 4, 31, 123), [(7, 0, 30), (127, 30, 1)]),
    ],
)
def test_a_long_array_is_cut_between_elements(args: tuple[int, ...], expected: list[tuple[int, int, int]]) -> None:
    """A piece is as many whole elements as a request can carry."""
    assert list(pieces(*args)) == expected
