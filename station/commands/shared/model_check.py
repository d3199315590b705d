"""`rt-engine check`: what a station file or a model is, or everything that is wrong with it; nothing runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rt_native.terminal import Column, Sheet
from station.commands.shared.explaining import sentence

if TYPE_CHECKING:
    from rt_engine import Model
    from rt_engine.binding import Binding
    from rt_engine.errors import Reason
    from rt_engine.read.source import Source

MODEL_SUFFIXES = (".onnx", ".rtp")


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """What a model is, or why it is refused. Fields of the half that does not apply are empty."""

    file: str
    runs: bool
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    opsets: Mapping[str, int] = field(default_factory=dict)
    operators: Mapping[str, int] = field(default_factory=dict)
    """How often each occurs in the file."""
    macs: int = 0
    weight_bytes: int = 0
    arena_bytes: int = 0
    notes: tuple[str, ...] = ()
    """Sizes that were assumed; what outputs mean, where it is not what the file says."""
    error: str = ""
    reasons: tuple[Reason, ...] = ()
    """Every node that is refused, if the model is valid and this engine cannot run it."""

    def to_json(self) -> dict[str, Any]:
        """For programs: the same fields."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people: what a model that runs is."""
        opsets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in self.opsets.items())
        operators = ", ".join(f"{count} {name}" for name, count in self.operators.items())
        return [
            f"  inputs: {', '.join(self.inputs) or 'none'}",
            f"  outputs: {', '.join(self.outputs) or 'none'}",
            f"  opset {opsets}; {operators}" if opsets else f"  compiled; {operators}",
            f"  {self.macs:,} multiply-accumulates, {self.weight_bytes:,} weight bytes, {self.arena_bytes:,} arena bytes",
            *(f"  note: {note}" for note in self.notes),
        ]

    def table(self) -> Sheet:
        """For people: what is refused."""
        columns = (Column("operator"), Column("node", rank=1, folds=True), Column("why", folds=True))
        sheet = Sheet((*columns, Column("what helps", folds=True)))
        for reason in self.reasons:
            sheet.add(reason.operator, reason.node, reason.why, reason.help)
        return sheet


def check_model(path: Path, binding: Binding) -> ModelCheck:
    """Load a model, without running it."""
    import rt_engine
    from rt_engine.errors import EngineError, UnsupportedModelError
    from rt_engine.read.source import opened

    try:
        source = opened(path)
        return _good(source, rt_engine.load(source, **binding.options))
    except UnsupportedModelError as error:
        return ModelCheck(str(path), False, error=str(error), reasons=error.reasons)
    except EngineError as error:
        return ModelCheck(str(path), False, error=sentence(error))


def _good(source: Source, model: Model) -> ModelCheck:
    opsets, operators = _contents(source, model)
    report = model.report()
    return ModelCheck(
        source.name,
        True,
        tuple(map(str, model.inputs)),
        tuple(map(str, model.outputs)),
        opsets,
        operators,
        report.macs,
        report.weight_bytes,
        report.arena_bytes,
        model.notes,
    )


def _contents(source: Source, model: Model) -> tuple[dict[str, int], dict[str, int]]:
    """(opsets, how often each operator occurs) in an ONNX file; of a compiled program, which has no opset, in the program."""
    if source.is_program:
        return {}, dict(Counter(node.operator for node in model.program.nodes).most_common())
    from rt_engine.read.frontend import parsed

    proto = parsed(source)
    opsets = {entry.domain: entry.version for entry in proto.opset_import}
    return opsets, dict(Counter(node.op_type for node in proto.graph.node).most_common())
