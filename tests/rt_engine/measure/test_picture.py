"""The graph of `inspect --html`: every operator hangs together with the inputs and outputs, and everything is to be seen."""

import json
import re
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import rt_engine
from rt_engine.measure.inspect import Inspection, OperatorRow, inputs_of, outputs_of
from rt_engine.measure.layout import layout
from rt_engine.measure.picture import BOX_WIDTH, GAP_X, LINES, MARGIN, WIDEST, graph_svg, page
from rt_engine.program.program import Program
from rt_engine.program.rtp_writer import to_bytes
from tests import need
from tests.exporters.test_golden import GOLDEN
from tests.plc_bindings.c.models import MODELS
from tests.rt_engine.measure.test_compare import FACTS

CONSTANT = ("torch_fn_ones_like_dynamo", "torch_fn_ones_like_script")
"""They have an output that no input reaches."""
FAMILIES = (
    *("torch_encoder_dynamo", "torch_residual_script", "torch_rotary_dynamo", "torch_gru_dynamo", "torch_lstm_script"),
    *("torch_cond_dynamo", "sklearn_knn", "sklearn_adaboost_regressor", "sklearn_columns", "lightgbm_zipmap"),
)
FILES = sorted(path.stem for path in GOLDEN.glob("*.onnx"))


def program_of(name: str) -> Program:
    """Of an exporter's file, with the shapes of its first example."""
    arrays = np.load(GOLDEN / f"{name}.npz")
    batch = min(key.partition(":")[0] for key in arrays if key.startswith("in"))
    shapes = {key.partition(":")[2]: arrays[key].shape for key in arrays if key.startswith(f"{batch}:")}
    return rt_engine.load(GOLDEN / f"{name}.onnx", shapes=shapes).program


def inspection(program: Program) -> Inspection:
    """Of times that nobody measured."""
    rows = [
        OperatorRow(
            *(n.name, n.operator, n.kernels, n.sources, n.output, n.macs, n.weight_bytes, n.arena_bytes),
            *(1000.0, 1 / len(program.nodes), None, None, None),
        )
        for n in program.nodes
    ]
    ends = inputs_of(program), outputs_of(program)
    return Inspection("m", *ends, tuple(rows), 1000.0, 0, 0, 64, 64, 64, 64, FACTS)


def drawn(program: Program) -> tuple[dict[int, str], set[tuple[int, int]], dict[int, tuple[float, float]]]:
    """(box -> kind, lines, box -> its corner), as they are in the picture."""
    svg = ElementTree.fromstring(graph_svg(inspection(program)))
    place = "{http://www.w3.org/2000/svg}"
    kinds, corners = {}, {}
    for group in svg.iter(f"{place}g"):
        number, box = int(group.attrib["id"][1:]), group.find(f"{place}rect")
        kinds[number], corners[number] = group.attrib["class"], (float(box.attrib["x"]), float(box.attrib["y"]))
        assert 0 <= corners[number][0] <= float(svg.attrib["width"]) - BOX_WIDTH
    lines = {(int(p.attrib["data-from"]), int(p.attrib["data-to"])) for p in svg.iter(f"{place}path")}
    assert float(svg.attrib["width"]) <= WIDEST * (BOX_WIDTH + GAP_X) + LINES + 2 * MARGIN
    return kinds, lines, corners


def reached(start: set[int], lines: set[tuple[int, int]]) -> set[int]:
    """All that lines lead to from there; lines lead to later boxes."""
    found = set(start)
    for source, target in sorted(lines):
        found |= {target} if source in found else set()
    return found


def check(program: Program, constant: bool = False) -> None:
    """Every operator that does anything is drawn, comes from an input, and leads to an output."""
    kinds, lines, corners = drawn(program)
    inputs, operators, outputs = (
        {i for i, k in kinds.items() if k == kind} for kind in ("input", "operator", "output")
    )
    assert len(inputs) == len(program.inputs) + len(program.state) and len(outputs) == len(program.outputs)
    assert len(operators) == sum(bool(node.kernels) for node in program.nodes)
    assert all(corners[s][1] < corners[t][1] for s, t in lines)
    back = reached({-o for o in outputs}, {(-t, -s) for s, t in lines})
    carried = {s for s in operators if not any(a == s for a, _ in lines)} if program.state else set()
    assert operators <= {-i for i in back} | carried
    if not constant:
        assert operators | outputs <= reached(inputs, lines)


@pytest.mark.parametrize("name", FILES)
def test_every_operator_hangs_together_with_the_ends(name):
    """All exporters' files: lines go through views, second outputs, bodies of control flow."""
    check(program_of(name), name in CONSTANT)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_compiled_program_hangs_together_too(name):
    """It is drawn from its file alone."""
    check(rt_engine.load(to_bytes(program_of(name))).program)


def test_a_model_with_state_hangs_together():
    """The state is an input; what carries it leads nowhere in this run."""
    check(MODELS["lstm"]().program)


def test_a_line_that_is_gone_is_seen():
    """The check can fail."""
    program = program_of("torch_encoder_dynamo")
    with pytest.raises(AssertionError):
        check(replace(program, nodes=tuple(replace(node, sources=()) for node in program.nodes)))


def test_nothing_stands_on_anything_else():
    """On a level, boxes and the lines that pass it have room; a wide one is several."""
    fan = [[], *[[0]] * 14, [*range(1, 15)], [15, 0], [16, 3]]
    made = layout(fan, 6, 100, 10, 40)
    assert [len(level) for level in made.levels] == [1, 6, 6, 2, 1, 1, 1]
    for at, level in enumerate(made.levels):
        spans = [(made.middle[i] - 50, made.middle[i] + 50) for i in level]
        passing = [x for (_, where), x in made.passing.items() if where == at]
        half = min(10, 40 / max(len(passing), 1)) / 2
        spans += [(x - half, x + half) for x in passing]
        assert all(end <= start + 1e-6 for (_, end), (start, _) in pairwise(sorted(spans)))
        assert all(start >= -half and end <= made.width + half for start, end in spans)


MEASURE = """<script>
const box = e => { const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom] };
const all = s => [...document.querySelectorAll(s)];
document.title = JSON.stringify({page: document.documentElement.scrollWidth, window: innerWidth,
  graph: box(document.querySelector(".graph")), boxes: all("g").map(box),
  texts: all("g").map(g => [...g.querySelectorAll("text")].map(box)), font: all("text").map(t => box(t)[3] - box(t)[1])});
</script>"""


@pytest.mark.peer("chromium")
@pytest.mark.parametrize("width", [800, 1280])
def test_a_browser_shows_it(tmp_path: Path, width: int):
    """Pages of all families: inputs are seen at once, nothing stands beyond the page, no text beyond its box or too small."""
    browser = need.program("chromium")
    for name in FAMILIES:
        (tmp_path / "page.html").write_text(page(inspection(program_of(name))) + MEASURE)
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
        window = f"--window-size={width},900", f"--user-data-dir={tmp_path / 'profile'}"
        words = [browser, *options, *window, "--dump-dom", (tmp_path / "page.html").as_uri()]
        shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        found = json.loads(re.search(r"<title>(.*?)</title>", shown, re.S)[1])
        left, top, right, _ = found["graph"]
        assert found["boxes"] and found["page"] <= found["window"], name
        assert all(left <= box[0] and box[2] <= right for box in found["boxes"]), name
        assert top <= found["boxes"][0][1] < 900 - MARGIN, name
        for box, texts in zip(found["boxes"], found["texts"], strict=True):
            assert all(box[0] <= text[0] and text[2] <= box[2] + 1 for text in texts), name
        assert min(found["font"]) >= 5, name
