from fieldbus.image.image import ProcessImage
from fieldbus.tags import Tag
from rt_engine.recording.layout import Field, SourceFields
from scheduler import Input, Output, Task, Trigger
from scheduler.tap import layout_of


def test_a_layout_has_the_tags_of_the_channels_that_a_task_reads_and_of_the_values_that_it_drives():
    """Channels whole, in the order of their latching; outputs by tag, or by the part of it that is driven."""
    image = ProcessImage()
    x = image.channel(
        "x", [Tag("speed", "float32", "in", unit="m/s"), Tag("f", "float64", "in", count=3)], writer="plc", reader="t"
    )
    go = image.channel("go", [Tag("go", "bool", "in")], writer="panel", reader="t")
    tags = [Tag("valve", "float64", "out"), Tag("heat", "float64", "out", count=4, unit="W")]
    y = image.channel("y", tags, writer="t", reader="plc")
    task = Task(
        name="axis",
        period_s=0.002,
        inputs=(Input(tensor=None, channel=x, cell=2, count=2),),
        outputs=tuple(
            Output(tensor=None, channel=y, cell=cell, count=count) for cell, count in ((0, 5), (2, 2), (4, 1))
        ),
        reset=Trigger(channel=go),
    )
    layout = layout_of(task, (("states", 8),))
    assert (layout.task, layout.period_ns, layout.regions) == ("axis", 2_000_000, (("states", 8),))
    assert layout.sources == (
        SourceFields("plc", (Field("speed", 1, "m/s"), Field("f", 3))),
        SourceFields("panel", (Field("go"),)),
    )
    assert layout.outputs == (
        Field("valve"),
        Field("heat", 4, "W"),
        Field("heat[1:3]", 2, "W"),
        Field("heat[3]", 1, "W"),
    )
    assert layout.output_count == sum(entry.count for entry in task.outputs)
