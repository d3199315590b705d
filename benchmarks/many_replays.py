"""How fast recordings are replayed on 1, 2, 4 workers: processes, and a Dask cluster on loopback.

python -m benchmarks.many_replays                     # 40 stations of 60,000 cycles each, in a folder that goes away
python -m benchmarks.many_replays --folder recs/      # keeps them; a second run takes what is there
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

import rt_engine
from benchmarks.models import mlp
from rt_engine.recording import Version, Writer
from station.file.reading import read_as_it_ran
from station.replay.many import Many, replay_many
from station.replay.pool import pool_of
from station.replay.restored import WithoutDevices
from tests.scheduler.recorded import Recorded, run
from tests.station.replay.clusters import cluster

INPUTS, OUTPUTS = 8, 2
STATION = """\
[station]
name = "station-{number}"

[models.policy]
file = "policy.onnx"

[links.plc]
type = "plc"

[tags]
{tags}

[tasks.axis]
model = "policy"
cycle = "1 ms"
inputs = [{inputs}]
outputs = [{outputs}]
"""


def station_text(number: int) -> str:
    """Eight inputs, a network with two layers of 64, two outputs."""
    inputs, outputs = [f"x{i}" for i in range(INPUTS)], [f"y{i}" for i in range(OUTPUTS)]
    tags = [f"{name} = {{}}" for name in inputs] + [f'{name} = {{ direction = "out", safe = 0.0 }}' for name in outputs]
    quoted = [", ".join(f'"{name}"' for name in names) for names in (inputs, outputs)]
    return STATION.format(number=number, tags="\n".join(tags), inputs=quoted[0], outputs=quoted[1])


def recorded(data: bytes, cycles: int) -> Recorded:
    """Cycles whose inputs are 16-bit sensors with some counts of noise."""
    rng = np.random.default_rng(0)
    waves = np.sin(np.arange(cycles)[:, None] / 1000 * (1 + np.arange(INPUTS) * 0.37)) * 8000
    values = np.rint(waves + rng.normal(0, 3, waves.shape)) * 1e-4
    file = read_as_it_ran(station_text(0), Path("station.toml"), {}, ["axis"])
    task = WithoutDevices(file, {"policy": {1: rt_engine.load(data)}}).task("axis")
    return run(task, cycles, lambda k, live: live.put(*values[k]), checkpoint_ns=10**9)


def write(folder: Path, stations: int, cycles: int) -> None:
    """A recording of each station; they have the same cycles, as that is what takes long to make."""
    data = mlp([INPUTS, 64, 64, OUTPUTS], "Tanh").SerializeToString()
    sha256, made = rt_engine.load(data).sha256, recorded(data, cycles)
    for number in range(stations):
        with Writer(
            folder / f"station-{number}.mcap",
            [made.layout],
            offset_ns=1_790_000_000_000_000_000,
            about={"machine": f"pc-{number}", "boot_id": f"boot-{number}"},
            station=station_text(number),
            versions=[Version("axis", 1, sha256, "policy")],
            attachments={f"models/{sha256}.onnx": data},
        ) as writer:
            for first in range(0, cycles, 1000):
                part = made.checkpoints["number"] // 1000 == first // 1000
                writer.add_checkpoints("axis", made.checkpoints[part])
                writer.add_records("axis", made.records[first : first + 1000])


def line(what: str, found: Many) -> str:
    """What one run says."""
    if failed := [text for part in found.parts for text in part.failed]:
        return f"{what:24} {len(failed)} segments were not run: {failed[0]}"
    hours = found.recorded_s / 3600
    verdict = "equal" if found.is_equal else "NOT EQUAL"
    return (
        f"{what:24} {found.cycles:>12,} cycles {found.seconds:8.2f} s {found.speed:>12,.0f} cycles/s "
        f"{found.recorded_s / found.seconds:>8,.0f} times life {found.cpu_s / hours:8.2f} core s per recorded hour  {verdict}"
    )


def measure(folder: Path, workers: int, address: str | None, times: int) -> Many:
    """The best of some runs on workers that have already started: what an hour more of recordings would take."""
    pool = pool_of(workers, address)
    try:
        return min(
            (replay_many([folder], pool, cycles=60_000) for _ in range(times + 1)), key=lambda found: found.seconds
        )
    finally:
        pool.close()


def main() -> None:
    """Print a line for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--stations", type=int, default=40)
    parser.add_argument("--cycles", type=int, default=60_000)
    parser.add_argument("--times", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not any(folder.glob("*.mcap")):
            folder.mkdir(exist_ok=True)
            write(folder, options.stations, options.cycles)
        nbytes = sum(path.stat().st_size for path in folder.glob("*.mcap"))
        print(f"{os.cpu_count()} cores; {nbytes / options.stations / options.cycles:.1f} bytes a cycle in the files")
        for workers in (1, 2, 4):
            print(line(f"{workers} processes", measure(folder, workers, None, options.times)), flush=True)
        for workers in (1, 2, 4):
            with cluster([{}] * workers) as made:
                print(
                    line(f"Dask, {workers} workers", measure(folder, workers, made.address, options.times)), flush=True
                )


if __name__ == "__main__":
    main()
