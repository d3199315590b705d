import json

import numpy as np
import pytest

from fieldbus.image.image_layout import SLOT
from rt_engine.errors import RecordingError
from rt_engine.recording.layout import (
    CHECKPOINT_HEAD,
    HEAD,
    LONGEST_NAME,
    MOST_BYTES,
    MOST_CELLS,
    SOURCE_HEAD,
    Field,
    Flag,
    SourceFields,
    TaskLayout,
)  # fmt: skip
from rt_engine.recording.ros2msg import safe_name, safe_names

LAYOUT = TaskLayout(
    "Balance loop",
    1_000_000,
    (
        SourceFields("plc", (Field("cart.position", 1, "m"), Field("pole", 3, "rad"), Field("quality"))),
        SourceFields("PLC", (Field("Übertemperatur", 1, "°C\nint64 planted"),)),
        SourceFields("empty", ()),
    ),
    (Field("force", 1, "N"), Field("modes", 2)),
    (("model", 128), ("window", 13)),
)
BARE = TaskLayout("bare", 1, (), ())


def leaves(dtype, at=0, path=()):
    """(path, offset, base type, bytes) of each field that has none itself, in order."""
    for name in dtype.names:
        field, offset = dtype.fields[name][:2]
        if field.names:
            yield from leaves(field, at + offset, (*path, name))
        else:
            yield (*path, name), at + offset, field.base.str, field.itemsize


@pytest.mark.parametrize("layout", [LAYOUT, BARE])
def test_a_record_has_no_gap_and_only_words_of_8_bytes(layout):
    """So its bytes are a C struct and a CDR body at once."""
    end = 0
    for _, at, kind, nbytes in leaves(layout.dtype):
        assert (at, kind in ("<i8", "<f8")) == (end, True)
        end += nbytes
    assert end == layout.dtype.itemsize == layout.nbytes


def test_where_parts_lie_is_what_the_dtype_says():
    """The tap goes by arithmetic, readers by names."""
    at = {path: offset for path, offset, _, _ in leaves(LAYOUT.dtype)}
    assert [LAYOUT.source_at(n) for n in range(3)] == [
        at["inputs", name, "timestamp_ns"] for name in LAYOUT.source_names
    ]
    assert (LAYOUT.values_at(0), LAYOUT.values_at(1)) == (
        at["inputs", "plc", "cart_position"],
        at["inputs", "plc2", "ubertemperatur"],
    )
    assert (LAYOUT.raw_at, LAYOUT.published_at) == (at["raw", "force"], at["published", "force"])
    assert (LAYOUT.sources[0].cells, LAYOUT.output_count, HEAD.itemsize, SOURCE_HEAD.itemsize) == (5, 3, 176, 32)


def test_what_a_channel_latched_begins_as_a_record_has_it():
    """The tap copies it as it is."""
    assert [(n, SLOT.fields[n][1]) for n in SLOT.names] == [(n, SOURCE_HEAD.fields[n][1]) for n in SOURCE_HEAD.names]


def test_views_of_a_part_are_the_named_fields():
    records = np.frombuffer(np.arange(7 * LAYOUT.nbytes // 8, dtype="<i8").tobytes(), LAYOUT.dtype).copy()
    named = records["inputs"]["plc"]
    assert np.array_equal(LAYOUT.values(records, 0)[:, 1:4], named["pole"])
    assert np.array_equal(LAYOUT.source_heads(records, 1)["quality"], records["inputs"]["plc2"]["quality"])
    assert np.array_equal(LAYOUT.raw(records)[:, 1:], records["raw"]["modes"])
    assert LAYOUT.values(records, 2).shape == (7, 0)
    LAYOUT.published(records)[3, 0] = 42.0
    assert records["published"]["force"][3] == 42.0


def test_names_are_made_safe_and_stay_different():
    """A tag that is called like a word of the channel's head gets a number."""
    assert LAYOUT.tag_names(0) == ("cart_position", "pole", "quality2")
    assert safe_names(["a b", "a_b", "a-b", "a1", "a1"]) == ("a_b", "a_b2", "a_b3", "a1", "a1_2")
    assert [safe_name(text) for text in ("_x__y_", "9lives", "", "温度", "fooBar", "HTTP")] == [
        "x_y", "n9lives", "n", "n", "foo_bar", "http",
    ]  # fmt: skip


def test_the_schema_names_every_part_and_no_text_of_others_becomes_a_line():
    """Units and names are comments, on one line."""
    lines = LAYOUT.schema.splitlines()
    assert "int64[8] clock" in lines and "float64 monitor" in lines
    assert "float64[3] pole  # pole rad" in lines and "MSG: rt_engine_msgs/InputsPlc2" in lines
    assert [line for line in lines if "planted" in line] == [
        "float64 ubertemperatur  # Übertemperatur °C int64 planted"
    ]
    assert lines.index("MSG: rt_engine_msgs/Inputs") < lines.index("MSG: rt_engine_msgs/InputsPlc")
    assert "inputs" not in BARE.schema and "published" not in BARE.schema


def test_messages_of_links_whose_names_differ_by_an_underscore_are_two():
    schema = TaskLayout("t", 1, (SourceFields("a1b", ()), SourceFields("a_1b", ())), ()).schema
    assert schema.count("MSG: rt_engine_msgs/InputsA1B\n") == schema.count("MSG: rt_engine_msgs/InputsA1BX\n") == 1


def test_a_checkpoint_is_its_head_and_its_regions():
    assert LAYOUT.checkpoint_bytes == LAYOUT.checkpoint_dtype.itemsize == CHECKPOINT_HEAD.itemsize + 141
    assert LAYOUT.checkpoint_dtype.fields["window"][1] == 48 + 128
    assert "uint8[13] window" in LAYOUT.checkpoint_schema
    assert BARE.checkpoint_bytes == CHECKPOINT_HEAD.itemsize


@pytest.mark.parametrize("layout", [LAYOUT, BARE])
def test_a_layout_survives_json(layout):
    assert TaskLayout.from_json(layout.to_json()) == layout


def test_flags_are_bits_of_their_own():
    assert sum(Flag) == 2 ** len(Flag) - 1


def changed(**parts):
    return json.dumps({**json.loads(LAYOUT.to_json()), **parts})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read"),
        ("[]", "cannot be read"),
        ("null", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        (b"\xff\xfe\xfd", "cannot be read"),
        ("{}", "format"),
        (changed(format=2), "later version"),
        (changed(task=""), "a task"),
        (changed(task=7), "a task"),
        (changed(task="x" * (LONGEST_NAME + 1)), "a task"),
        (changed(period_ns=0), "period_ns"),
        (changed(period_ns=True), "period_ns"),
        (changed(period_ns=1e6), "period_ns"),
        (changed(outputs=[["f", MOST_CELLS + 1, ""]]), "count"),
        (changed(outputs=[["f", MOST_CELLS, ""]]), "words of a record"),
        (changed(outputs=[["f", 1, 3]]), "unit"),
        (changed(outputs=[["f", 1]]), "cannot be read"),
        (changed(outputs=[["f", 1, ""]] * 70_000), "names"),
        (changed(regions=[["a", 0]]), "region"),
        (changed(regions=[["a", MOST_BYTES], ["b", MOST_BYTES]]), "checkpoint"),
        (changed(sources=None), "cannot be read"),
    ],
)
def test_a_layout_from_a_hostile_file_is_refused_with_words(text, words):
    with pytest.raises(RecordingError, match=words):
        TaskLayout.from_json(text)
