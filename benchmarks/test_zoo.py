"""pytest-benchmark suite over the zoo: `pytest benchmarks`. One group per model, one row per engine; results are checked first.

pytest benchmarks -k "ds-cnn and rt_engine"            one model, one engine
pytest benchmarks --benchmark-autosave, --benchmark-compare    over time
"""

import pytest

from benchmarks.zoo import entries
from rt_engine.measure.compare import difference
from rt_engine.measure.peers import DEFAULT_PEERS, OURS, PEERS, RefusedError, is_installed

ENGINES = {OURS.name: OURS, **{name: PEERS[name] for name in DEFAULT_PEERS if is_installed(name)}}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("chosen", entries(), ids=lambda e: e.name)
def test_latency(benchmark, chosen, engine):
    """The model gives the framework's own result; then it is timed."""
    benchmark.group = chosen.title
    made = chosen.get()
    try:
        runner = ENGINES[engine].make(made.path, made.inputs)
    except RefusedError as error:
        pytest.skip(f"refused: {error}")
    assert difference(runner.result(), made.outputs) <= made.tolerance
    benchmark(runner.run)
