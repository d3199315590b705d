"""Keys that koios-model-utils writes for the Koios platform (schema version 1), as far as they go.

    koios.bindings             JSON: inputs and outputs in order, each with a name, a normalisation and bounds
    koios.training             JSON: sample_rate and scan_rate in seconds, obs_depth, model_type, output_mode
    koios.observation_space    JSON: the windows of the input, one after the other, where it is flattened

Inputs are [1, inputs] or [1, depth, inputs], oldest first. A normalisation maps a value to the element and back:

    MIN_MAX      (value - min) / (max - min)             0 .. 1
    SYMMETRIC    2 (value - min) / (max - min) - 1      -1 .. 1
    Z_SCORE      (value - mean) / std

Bounds that the platform takes from a tag (TAG_RANGE) are not in the file; what is left open is in `Contract.gaps`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rt_engine.contract.check import Ends, Tensor
from rt_engine.contract.tables import Reading, json_of, shown
from rt_engine.contract.terms import Contract, Element, Provenance, Scaling, TensorContract
from rt_engine.errors import ContractError

ORIGIN = "koios"
BINDINGS, TRAINING, SPACE = "koios.bindings", "koios.training", "koios.observation_space"
SCHEMA = 1
SAME = 1e-6
"""Relative; two periods that differ by less are one."""


def understood(metadata: Mapping[str, str], ends: Ends) -> Contract | None:
    """The contract that these keys make; None: they are not there.

    What cannot be understood is no error: it is left out, and `Contract.gaps` says so.
    """
    if not {BINDINGS, TRAINING, SPACE} & metadata.keys():
        return None
    reader = _Reader(metadata)
    return reader.contract(ends)


@dataclass
class _Reader:
    metadata: Mapping[str, str]
    gaps: list[str] = field(default_factory=list)

    def contract(self, ends: Ends) -> Contract:
        """What the keys say of a model with these ends."""
        training, bindings = self._table(TRAINING), self._table(BINDINGS)
        rate, stride = self._rate(training)
        inputs = self._tensor("inputs", bindings, ends, stride)
        outputs = self._tensor("outputs", bindings, ends, 1) if self._are_values(training) else ()
        self.gaps.append("units are not written, if not in the descriptions")
        plain = all((e.scale, e.offset) == (1.0, 0.0) for tensor in (*inputs, *outputs) for e in tensor.elements)
        scaling: Scaling = "inside" if plain else "outside"
        words = {key: _text(training, key) for key in ("scenario_name", "algorithm", "exported_at")}
        name = " ".join(filter(None, (words["scenario_name"], words["algorithm"])))
        provenance = Provenance(name, created=words["exported_at"])
        return Contract(inputs, outputs, rate, scaling, provenance=provenance, origin=ORIGIN, gaps=tuple(self.gaps))

    def _table(self, key: str) -> dict[str, Any]:
        """The JSON of a key; empty where it is not there or no table."""
        try:
            found = json_of(self.metadata[key], key) if key in self.metadata else {}
            if not isinstance(found, dict):
                raise ContractError(f"{key} is {shown(found)}, not a table")
            if found and found.get("schema_version") != SCHEMA:
                raise ContractError(
                    f"{key} has the schema version {shown(found.get('schema_version'))}; {SCHEMA} is understood"
                )
            return found
        except ContractError as error:
            self.gaps.append(str(error))
            return {}

    def _rate(self, training: dict[str, Any]) -> tuple[float | None, int]:
        """(how often the model runs, every which of these steps a sample is)."""
        try:
            table = Reading(training, TRAINING)
            if not table.has("sample_rate"):
                raise ContractError("the rate is not written")
            sample = table.number("sample_rate")
            scan = table.number("scan_rate") if training.get("scan_rate") is not None else sample
            steps = sample / scan if scan > 0 else 0.0
            if not steps or not 1 - SAME < steps < 1 << 16 or abs(steps - round(steps)) > SAME * steps:
                raise ContractError(f"samples every {sample} s and runs every {scan} s do not fit together")
            if round(steps) > 1:
                self.gaps.append(
                    f"it was trained with a sample every {sample:g} s, and is meant to run every {scan:g} s"
                )
            return 1 / scan, round(steps)
        except (ContractError, ArithmeticError) as error:
            self.gaps.append(str(error))
            return None, 1

    def _are_values(self, training: dict[str, Any]) -> bool:
        """Is an output the value of its tag?"""
        mode, model = (_text(training, key).upper() for key in ("output_mode", "model_type"))
        if mode == "DISCRETE":
            self.gaps.append("the outputs are not described: they stand for actions of a list (output_mode DISCRETE)")
        if model in ("RELATIVE", "VELOCITY"):
            self.gaps.append(f"the outputs are not described: they are changes of a value (model_type {model})")
        return mode != "DISCRETE" and model not in ("RELATIVE", "VELOCITY")

    def _tensor(self, side: str, bindings: dict[str, Any], ends: Ends, stride: int) -> tuple[TensorContract, ...]:
        """What the bindings of one side say of the only tensor there."""
        if not bindings:
            return ()
        tensors = ends.inputs if side == "inputs" else ends.outputs
        try:
            if len(tensors) != 1:
                raise ContractError(f"the model has {len(tensors)} {side}; bindings are of one")
            tables = _in_order(Reading(bindings, BINDINGS).tables(side))
            denormalised = bindings.get("output_denormalized") is True
            elements = [
                _Binding(table).input() if side == "inputs" else _Binding(table).output(denormalised)
                for table in tables
            ]
            if len({element.name for element in elements}) < len(elements):
                raise ContractError("two bindings have the same name")
            if side == "inputs" and SPACE in self.metadata:
                return self._windows(tensors[0], elements, stride)
            return (_whole(tensors[0], tuple(elements), stride),)
        except (ContractError, ArithmeticError) as error:
            self.gaps.append(f"the {side} are not described: {error}")
            return ()

    def _windows(self, tensor: Tensor, elements: list[Element], stride: int) -> tuple[TensorContract, ...]:
        """The flattened windows of the observation space, each of one binding."""
        leaves = Reading(self._table(SPACE), SPACE).tables("leaves")
        if len(leaves) != len(elements):
            raise ContractError(f"the observation space has {len(leaves)} windows for {len(elements)} bindings")
        parts: list[TensorContract] = []
        start = 0
        for leaf, element in zip(leaves, elements, strict=True):
            length = leaf.whole("slice_length")
            if length > 1 and leaf.text("window_order", "OLDEST_FIRST").upper() != "OLDEST_FIRST":
                raise ContractError(f"the window of {element.name} has its newest sample first")
            if leaf.has("sample_rate"):
                raise ContractError(f"the window of {element.name} has a rate of its own")
            parts.append(TensorContract(tensor.name, (element,), length, stride, start))
            start += parts[-1].size
        if tensor.size is not None and tensor.size != start:
            raise ContractError(f"the windows have {start} elements, '{tensor.name}' has {tensor.size}")
        return tuple(parts)


def _text(table: dict[str, Any], key: str) -> str:
    """Short text; empty where it is something else."""
    return value[:1000] if isinstance(value := table.get(key), str) else ""


def _in_order(tables: list[Reading]) -> list[Reading]:
    """By their `binding_order`, which counts from 1 without a gap; as they stand where it is not written."""
    places = [table.whole("binding_order", at) for at, table in enumerate(tables, 1)]
    if sorted(places) != list(range(1, len(tables) + 1)):
        raise ContractError(
            f"the places of the bindings are {shown(places[0]) if places else 'none'}, ..., not 1 to {len(tables)}"
        )
    return [table for _, table in sorted(zip(places, tables, strict=True), key=lambda pair: pair[0])]


def _whole(tensor: Tensor, elements: tuple[Element, ...], stride: int) -> TensorContract:
    """All bindings in a row, once for each sample: [1, inputs] or [1, depth, inputs]."""
    size, count = tensor.size, len(elements)
    if size is None or not count or size % count:
        raise ContractError(
            f"{count} bindings do not make the {size or 'unknown number of'} elements of '{tensor.name}'"
        )
    depth = size // count
    if depth > 1 and (tensor.shape is None or tensor.shape[-1] != count):
        raise ContractError(
            f"'{tensor.name}' has {size} elements for {count} bindings, and in which order is not written"
        )
    return TensorContract(tensor.name, elements, depth, stride if depth > 1 else 1)


@dataclass
class _Binding:
    table: Reading

    def __post_init__(self) -> None:
        self.name = self.table.text("name")

    def input(self) -> Element:
        """element = value * scale + offset."""
        scale, offset, low, high = self._normalisation()
        low, high = self._bounds(low, high)
        return Element(self.name, "", scale, offset, low, high)

    def output(self, denormalised: bool) -> Element:
        """value = element * scale + offset."""
        if denormalised:
            low, high = self._between("range_min", "range_max")
            return self._clamped(self.name, 1.0, 0.0, low, high)
        scale, offset, low, high = self._normalisation()
        if (scale, offset) == (1.0, 0.0):
            low, high = self._between("range_min", "range_max")
        low, high = self._bounds(low, high)
        return self._clamped(self.name, 1 / scale, -offset / scale, low, high)

    def _normalisation(self) -> tuple[float, float, float, float]:
        """(scale, offset, low, high) of element = value * scale + offset."""
        kind = self.table.text("normalization_type", "NONE").upper()
        if kind == "NONE":
            return 1.0, 0.0, -math.inf, math.inf
        source = self.table.text("normalization_source", "CUSTOM").upper()
        if source != "CUSTOM":
            raise ContractError(f"{self.name} is scaled by the range of its tag ({source}), which is not in the file")
        if kind == "Z_SCORE":
            mean, deviation = self.table.number("custom_mean"), self.table.number("custom_std")
            return 1 / deviation, -mean / deviation, -math.inf, math.inf
        least, greatest = self.table.number("custom_minimum"), self.table.number("custom_maximum")
        if kind not in ("MIN_MAX", "SYMMETRIC"):
            raise ContractError(f"{self.name} has the normalisation {shown(kind)}, which is not known")
        width = (greatest - least) / (1 if kind == "MIN_MAX" else 2)
        return 1 / width, -least / width - (0 if kind == "MIN_MAX" else 1), least, greatest

    def _bounds(self, low: float, high: float) -> tuple[float, float]:
        """Beyond which the platform takes a value for wrong."""
        mode = self.table.text("failure_range_mode", "NORMALIZATION_RANGE").upper()
        if mode == "CUSTOM":
            return self._between("custom_failure_minimum", "custom_failure_maximum")
        return (-math.inf, math.inf) if mode == "DISABLED" else (low, high)

    def _between(self, low: str, high: str) -> tuple[float, float]:
        return self.table.number(low, -math.inf), self.table.number(high, math.inf)

    def _clamped(self, name: str, scale: float, offset: float, low: float, high: float) -> Element:
        clip = self.table.flag("clamp_output") and math.isfinite(low + high)
        return Element(name, "", scale, offset, low, high, clip)
