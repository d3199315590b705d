"""Every case of ONNX's suite on every lane width: the same bits, and no kernel writes outside of its tensors."""

import warnings

import numpy as np
import pytest

import rt_engine
from rt_engine.backend import bind, constant_inputs
from rt_engine.errors import EngineError
from rt_engine.model import Model
from tests.conformance.suite import cases, excluded
from tests.fuzz.guards import BYTE, fill, guarded
from tests.rt_engine.test_lanes import LIBRARIES

CHUNKS = 8


def outputs(program, feeds, guards, kernels) -> list[bytes]:
    """The bytes of every output, with guard bytes behind every tensor."""
    context = Model(program, library=kernels).context()
    arena = context._arena.view(np.uint8, 0, program.arena_nbytes)
    guarded_bytes = fill(arena, guards)
    for name, value in feeds.items():
        context.inputs[name][...] = value
    context.run()
    assert np.all(arena[guarded_bytes] == BYTE), "a kernel wrote outside of its tensors"
    return [value.tobytes() for value in context.outputs.values()]


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_lane_width_gives_the_same_bits(chunk):
    """Cases that are refused are left out; `test_suite` sees to those."""
    differ, count = [], 0
    for case in list(cases().values())[chunk::CHUNKS]:
        if excluded(case.name) or not case.numeric:
            continue
        names = [v.name for v in case.model.graph.input if v.name not in {t.name for t in case.model.graph.initializer}]
        feeds = dict(zip(names, case.data[0][0], strict=True))
        constants = {name: feeds.pop(name) for name in constant_inputs(case.model) & set(feeds)}
        model = bind(case.model, constants)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with guarded() as spans:
                    program = rt_engine.load(model, {name: value.shape for name, value in feeds.items()}).program
                found = [outputs(program, feeds, spans, kernels) for kernels in LIBRARIES.values()]
            except EngineError:
                continue
        count += 1
        if any(each != found[0] for each in found):
            differ.append(case.name)
    assert not differ
    assert count > 100
