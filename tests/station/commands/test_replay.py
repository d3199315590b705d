import json

import pytest
from typer.testing import CliRunner

from station.cli import app
from tests.station.replay.recordings import model_bytes, record, write

MODELS = {"policy": model_bytes()}


@pytest.fixture(scope="module")
def recorded():
    return record(MODELS)


def ask(*words):
    return CliRunner().invoke(app, ["replay", *map(str, words)])


def test_a_recording_that_is_repeated_to_the_bit_says_so_and_ends_with_0(tmp_path, recorded):
    path = write(tmp_path / "a.mcap", recorded, MODELS)
    done = ask(path)
    assert done.exit_code == 0, done.output
    assert "the same bits" in done.output
    (one,) = json.loads(ask(path, "--json").output)
    assert (one["recorded"], one["repeated"], one["equal"], one["is_equal"]) == (60, 60, 60, True)


def test_one_bit_of_an_output_is_named_with_its_tick_tag_and_bits(tmp_path, recorded):
    changed = type(recorded)(recorded.layout, recorded.records.copy(), recorded.checkpoints)
    changed.layout.raw(changed.records).view("<i8")[33, 1] ^= 1
    done = ask(write(tmp_path / "a.mcap", changed, MODELS))
    assert done.exit_code == 1
    assert "cycle 33" in done.output and "output q before the guard" in done.output and "bits 0x" in done.output


def test_a_model_that_is_nowhere_is_named_by_its_hash_with_what_would_help(tmp_path, recorded):
    path = write(tmp_path / "a.mcap", recorded, MODELS, attach=False)
    done = ask(path)
    assert done.exit_code == 3
    assert "SHA-256" in done.output and "--models FOLDER" in done.output and "--model FILE" in done.output
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "any.onnx").write_bytes(MODELS["policy"])
    assert ask(path, "--models", tmp_path / "models").exit_code == 0


def test_another_software_is_a_hint(tmp_path, recorded):
    changed = type(recorded)(recorded.layout, recorded.records.copy(), recorded.checkpoints)
    changed.layout.published(changed.records)[5, 0] += 1.0
    done = ask(write(tmp_path / "a.mcap", changed, MODELS, software="rt-engine 0.1 (old)"))
    assert "recorded by rt-engine 0.1 (old)" in done.output
