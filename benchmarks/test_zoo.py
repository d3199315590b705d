"""pytest-benchmark suite over the zoo: `pytest benchmarks`. One group per model, one row per engine; results are checked first.

pytest benchmarks -k "ds-cnn and rt_engine"            one model, one engine
pytest benchmarks --benchmark-autosave, --benchmark-compare    over time
"""

import pytest

from benchmarks.zoo import entries
from rt_engine.measure.compare import difference
from rt_engine.measure.engines import OURS, RefusedError
from rt_engine.measure.peers import peers
from rt_engine.measure.trial import runner

ENGINES = {engine.name: engine for engine in (OURS, *peers(None))}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("chosen", entries(), ids=lambda e: e.name)
def test_latency(benchmark, chosen, engine):
    """The model gives the framework's own result; then it is timed."""
    benchmark.group = chosen.title
    made = chosen.get()
    try:
        running = runner(ENGINES[engine], made.path, made.inputs)
    except RefusedError as error:
        pytest.skip(f"refused: {error}")
    assert difference(running.result(), made.outputs) <= made.tolerance
    benchmark(running.run)
