"""Recordings with readers that we did not write: Python's mcap (mcap-ros2-support), Foxglove's @mcap/core (rosmsg2-serialization).

And the other way: a recording that Python's mcap wrote anew, message by message, is read by ours.
"""

import numpy as np
import pytest

from rt_engine import recording as rec
from rt_engine.recording import Version, Writer
from tests import need
from tests.peers import npm
from tests.rt_engine.recording.recorded import LAYOUT, OFFSET_NS, checkpoints, cycles, tick

COUNT = 3000


@pytest.fixture(params=["none", "zstd"])
def path(request, tmp_path):
    """A recording; with one compression and the other."""
    with Writer(
        tmp_path / "a.mcap", [LAYOUT], offset_ns=OFFSET_NS, about={"boot_id": "b"}, station="[tasks.balance]\n",
        versions=[Version("balance", 1, "ab")], attachments={"models/ab.onnx": b"model"}, compression=request.param,
        chunk_bytes=100_000,
    ) as writer:  # fmt: skip
        writer.add_checkpoints(LAYOUT, checkpoints([0, 1000]))
        writer.add_records(LAYOUT, cycles(0, 1000))
        writer.add_records(LAYOUT, cycles(1000, COUNT))
        writer.add_event({"tick_ns": tick(5), "kind": "trigger", "text": "fault"})
    return tmp_path / "a.mcap"


def decoded(path):
    """(topic, log time, message) as mcap and mcap-ros2-support see them."""
    mcap, ros2 = need.package("mcap.reader"), need.package("mcap_ros2.decoder")
    with path.open("rb") as file:
        reader = mcap.make_reader(file, validate_crcs=True, decoder_factories=[ros2.DecoderFactory()])
        topics = ["/tasks/balance", "/tasks/balance/checkpoints"]
        return [
            (channel.topic, message, found)
            for _, channel, message, found in reader.iter_decoded_messages(topics=topics)
        ]


def test_pythons_mcap_decodes_every_cycle(path):
    found = decoded(path)
    records = [(message, value) for topic, message, value in found if topic == "/tasks/balance"]
    wanted = cycles(0, COUNT)
    assert [value.number for _, value in records] == list(range(COUNT))
    assert [message.log_time for message, _ in records] == (wanted["tick_ns"] + OFFSET_NS).tolist()
    assert [message.publish_time for message, _ in records] == wanted["tick_ns"].tolist()
    assert [message.sequence for message, _ in records] == list(range(COUNT))
    assert [value.published.force for _, value in records] == wanted["published"]["force"].tolist()
    assert [list(value.inputs.plc.pole) for _, value in records] == wanted["inputs"]["plc"]["pole"].tolist()
    assert [value.monitor for _, value in records] == wanted["monitor"].tolist()
    (_, _, checkpoint) = [one for one in found if one[0] == "/tasks/balance/checkpoints"][-1]
    assert (checkpoint.number, bytes(checkpoint.model)) == (1000, checkpoints([1000])["model"].tobytes())


def test_pythons_mcap_finds_what_was_said(path):
    mcap = need.package("mcap.reader")
    with path.open("rb") as file:
        reader = mcap.make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        assert summary.statistics.channel_message_counts == {1: COUNT, 2: 2, 3: 1}
        assert (summary.statistics.chunk_count, len(summary.chunk_indexes)) == (
            len(rec.open(path).files[0].contents.chunks),
        ) * 2
        assert {one.name: one.data for one in reader.iter_attachments()} == {"models/ab.onnx": b"model"}
        assert {one.name: one.metadata for one in reader.iter_metadata()}["rt-engine/station"] == {
            "text": "[tasks.balance]\n"
        }


def test_pythons_mcap_jumps_to_a_time(path):
    """The index of chunks and of messages is right: what is between two times, and no other chunk."""
    mcap = need.package("mcap.reader")
    with path.open("rb") as file:
        times = {"starting_at": tick(1500) + OFFSET_NS, "ending_before": tick(1510) + OFFSET_NS}
        found = mcap.make_reader(file).iter_messages(["/tasks/balance"], **times)
        assert [message.sequence for _, _, message in found] == list(range(1500, 1510))


def test_a_file_that_pythons_mcap_wrote_anew_is_read(path, tmp_path):
    """Messages of all channels in one chunk, in order of time, in its own chunks."""
    reader, writing = need.package("mcap.reader"), need.package("mcap.writer")
    with path.open("rb") as file, (tmp_path / "anew.mcap").open("wb") as target:
        source, writer = reader.make_reader(file), writing.Writer(target, chunk_size=50_000)
        writer.start()
        for metadata in source.iter_metadata():
            writer.add_metadata(metadata.name, metadata.metadata)
        summary = source.get_summary()
        for schema in summary.schemas.values():
            writer.register_schema(schema.name, schema.encoding, schema.data)
        for channel in summary.channels.values():
            writer.register_channel(channel.topic, channel.message_encoding, channel.schema_id, channel.metadata)
        for _, channel, message in source.iter_messages():
            writer.add_message(channel.id, message.log_time, message.data, message.publish_time, message.sequence)
        writer.finish()
    found = rec.open(tmp_path / "anew.mcap")
    assert found.task().records().tobytes() == cycles(0, COUNT).tobytes()
    assert [one.number for one in found.task().checkpoints] == [0, 1000]
    assert found.check() == () and found.events[0]["kind"] == "trigger"


@pytest.mark.peer("npm")
def test_foxgloves_reader_decodes_every_cycle(path):
    found = npm.run("mcap_reader.cjs", "indexed", str(path))
    wanted, cycle = cycles(0, COUNT), found["topics"]["/tasks/balance"]
    assert (cycle["count"], found["topics"]["/tasks/balance/checkpoints"]["count"]) == (COUNT, 2)
    assert cycle["times"] == [str(tick(COUNT - 1) + OFFSET_NS), str(tick(COUNT - 1)), COUNT - 1]
    for name, at in (("first", 0), ("last", -1)):
        assert float(cycle[name]["published"]["force"]) == wanted["published"]["force"][at]
        assert [float(text) for text in cycle[name]["inputs"]["plc"]["pole"]] == wanted["inputs"]["plc"]["pole"][
            at
        ].tolist()
        assert int(cycle[name]["number"]) == wanted["number"][at] and len(cycle[name]["clock"]) == 8
    model = found["topics"]["/tasks/balance/checkpoints"]["last"]["model"]
    assert np.array(model, np.uint8).tobytes() == checkpoints([1000])["model"].tobytes()
    assert found["topics"]["/events"]["first"]["kind"] == "trigger"
    assert found["attachments"] == {"models/ab.onnx": "model"}
    assert found["metadata"]["rt-engine/station"] == {"text": "[tasks.balance]\n"}
    assert found["statistics"]["messageCount"] == str(COUNT + 3)


@pytest.mark.peer("npm")
def test_foxgloves_reader_reads_a_cut_file_as_far_as_ours(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    found = npm.run("mcap_reader.cjs", "streamed", str(path))
    assert found["counts"].get("/tasks/balance", 0) == len(rec.open(path).task().records()) > 500
    assert not found["done"]
