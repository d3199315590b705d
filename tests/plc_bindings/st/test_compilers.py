"""Blocks as real compilers make them: what comes out is what the engine computes. Skipped where no compiler is named (`compilers`)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import ROOT
from tests.plc_bindings.st.compilers import Compiler, CompilerError, agree, compilers

GOLDEN = ROOT / "tests" / "exporters" / "golden"
pytestmark = pytest.mark.skipif(not compilers(), reason="names no compiler: RT_ENGINE_MATIEC, RT_ENGINE_STRUCPP")


@pytest.fixture(params=compilers(), ids=lambda c: re.sub(r"\W+", "-", c.name))
def compiler(request: pytest.FixtureRequest) -> Compiler:
    made: Compiler = request.param
    return made


@pytest.mark.parametrize(
    "name", ["sklearn_tree_binary", "sklearn_forest_float64", "torch_fn_norms_dynamo", "sklearn_mixture"]
)
def test_inline_models_agree(compiler: Compiler, name: str, tmp_path: Path) -> None:
    """Trees of depth one, LREAL, norms, sums of EXP."""
    assert agree(compiler, GOLDEN / f"{name}.onnx", tmp_path) in ("same bits", "close")


def test_a_text_that_is_wrong_is_refused(compiler: Compiler, tmp_path: Path) -> None:
    """The judge can say no."""
    with pytest.raises(CompilerError):
        compiler.build(
            "FUNCTION_BLOCK FB_X\nVAR\n    x : REAL;\nEND_VAR\nx := y;\nEND_FUNCTION_BLOCK\n", "FB_X", [], [], tmp_path
        )
