"""Contract <-> plain tables, as JSON and TOML hold them. What has its default is not written.

    {"format": 1, "rate_hz": 50.0, "scaling": "outside", "state": {"h_out": "h_in"},
     "inputs": [{"name": "obs", "window": 3, "elements": [{"name": "angle", "unit": "rad", "low": -3.1, "high": 3.1}]}],
     "outputs": [{"name": "torque", "elements": [{"name": "torque", "unit": "Nm", "scale": 20.0, "max_rate": 100.0}]}],
     "provenance": {"name": "pendulum", "version": "3"},
     "statistics": [{"tensor": "obs", "count": 1000, "mean": [0.1], ..., "quantiles": {"0.01": [-2.9]}, "covariance": [[1.2]]}],
     "vectors": [{"inputs": {"obs": ARRAY}, "outputs": {"torque": ARRAY}, "atol": 1e-5, "rtol": 1e-4}]}

An ARRAY is {"type": "float32", "shape": [1, 3], "base64": "..."} (little-endian, C order), or nested lists of numbers.
"""

import base64
import binascii
import math
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rt_engine.contract.tables import Reading, shown
from rt_engine.contract.terms import (
    OWN,
    SCALINGS,
    Contract,
    Element,
    Provenance,
    Statistics,
    TensorContract,
    TestVector,
)
from rt_engine.errors import ContractError

FORMAT = 1
TYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64"),
)
"""Of arrays in test vectors."""
_DEFAULTS = Element("default")


def to_plain(contract: Contract) -> dict[str, Any]:
    """The whole contract; its parts `statistics` and `vectors` may be taken out and kept elsewhere."""
    plain: dict[str, Any] = {"format": FORMAT}
    if contract.rate_hz is not None:
        plain["rate_hz"] = contract.rate_hz
    plain["scaling"] = contract.scaling
    if contract.state:
        plain["state"] = dict(contract.state)
    if provenance := {f.name: v for f in fields(Provenance) if (v := getattr(contract.provenance, f.name))}:
        plain["provenance"] = provenance
    plain["inputs"] = [_tensor_to_plain(tensor) for tensor in contract.inputs]
    plain["outputs"] = [_tensor_to_plain(tensor) for tensor in contract.outputs]
    plain["statistics"] = [_statistics_to_plain(found) for found in contract.statistics]
    plain["vectors"] = [_vector_to_plain(vector) for vector in contract.vectors]
    return {key: value for key, value in plain.items() if value != []}


def from_plain(plain: Any, place: str = "") -> Contract:
    """What `to_plain` made, or somebody wrote; `place` is where it is, in messages.

    Raises:
        ContractError: it is no contract; says where, and what is expected.
    """
    top = Reading(plain, place)
    if (version := top.whole("format", FORMAT)) != FORMAT:
        raise ContractError(
            f"{top.at('format')} is {version}; this version reads {FORMAT}: use a newer rt-engine, or attach it again"
        )
    rate = top.number("rate_hz") if top.has("rate_hz") else None
    scaling = top.text("scaling", "inside")
    if scaling not in SCALINGS:
        raise ContractError(f"{top.at('scaling')} is {shown(scaling)}; it is one of {', '.join(SCALINGS)}")
    state = dict(top.table("state").pairs())
    parts: dict[str, Any] = {
        "inputs": _tensors(top.tables("inputs")),
        "outputs": _tensors(top.tables("outputs")),
        "statistics": tuple(_statistics(table) for table in top.tables("statistics")),
        "vectors": tuple(_vector(table) for table in top.tables("vectors")),
        "provenance": _provenance(top.table("provenance")),
    }
    top.done()
    with top.placed():
        return Contract(rate_hz=rate, scaling=scaling, state=state, origin=OWN, **parts)  # type: ignore[arg-type]  # it is one of them


def _tensor_to_plain(tensor: TensorContract) -> dict[str, Any]:
    plain: dict[str, Any] = {"name": tensor.name}
    plain |= {key: value for key in ("window", "stride") if (value := getattr(tensor, key)) != 1}
    plain |= {"start": tensor.start} if tensor.start else {}
    plain["elements"] = [_element_to_plain(element) for element in tensor.elements]
    return plain


def _element_to_plain(element: Element) -> dict[str, Any]:
    values = {f.name: getattr(element, f.name) for f in fields(Element)}
    return {key: value for key, value in values.items() if value != getattr(_DEFAULTS, key)}


def _tensors(tables: list[Reading]) -> tuple[TensorContract, ...]:
    """The parts of all tensors; one that says no start follows the one of its name before it."""
    ends: dict[str, int] = {}
    parts = []
    for table in tables:
        name, window, stride = table.text("name"), table.whole("window", 1), table.whole("stride", 1)
        start = table.whole("start", ends.get(name, 0))
        elements = tuple(_element(element) for element in table.tables("elements"))
        table.done()
        with table.placed():
            parts.append(TensorContract(name, elements, window, stride, start))
        ends[name] = start + parts[-1].size
    return tuple(parts)


def _element(table: Reading) -> Element:
    values: dict[str, Any] = {"name": table.text("name"), "unit": table.text("unit", ""), "clip": table.flag("clip")}
    for key, default in (
        ("scale", 1.0),
        ("offset", 0.0),
        ("low", -math.inf),
        ("high", math.inf),
        ("max_rate", math.inf),
    ):
        values[key] = table.number(key, default)
    table.done()
    with table.placed():
        return Element(**values)


def _provenance(table: Reading) -> Provenance:
    found = Provenance(**{f.name: table.text(f.name, "") for f in fields(Provenance)})
    table.done()
    return found


def _statistics_to_plain(found: Statistics) -> dict[str, Any]:
    plain: dict[str, Any] = {"tensor": found.tensor, "count": found.count}
    plain |= {key: list(getattr(found, key)) for key in ("mean", "deviation", "least", "greatest")}
    if found.quantiles:
        plain["quantiles"] = {repr(float(p)): list(values) for p, values in found.quantiles.items()}
    if found.covariance is not None:
        plain["covariance"] = [list(row) for row in found.covariance]
    return plain


def _statistics(table: Reading) -> Statistics:
    tensor, count = table.text("tensor"), table.whole("count")
    mean, deviation, least, greatest = (table.numbers(key) for key in ("mean", "deviation", "least", "greatest"))
    quantiles = {}
    inner = table.table("quantiles")
    for key in inner.left():
        quantiles[_part(key, inner)] = inner.numbers(key)
    covariance = table.rows("covariance") if table.has("covariance") else None
    table.done()
    with table.placed():
        return Statistics(tensor, count, mean, deviation, least, greatest, quantiles, covariance)


def _part(key: str, table: Reading) -> float:
    try:
        return float(key)
    except ValueError:
        raise ContractError(f'{table.at(key)} is no quantile; its key is a number from 0 to 1, as "0.01"') from None


def _vector_to_plain(vector: TestVector) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for side in ("inputs", "outputs"):
        plain[side] = {name: array_to_plain(array) for name, array in getattr(vector, side).items()}
    return plain | {"atol": vector.atol, "rtol": vector.rtol}


def _vector(table: Reading) -> TestVector:
    inputs, outputs = (dict(table.table(side).each(_array)) for side in ("inputs", "outputs"))
    atol, rtol = table.number("atol", 1e-5), table.number("rtol", 1e-4)
    table.done()
    with table.placed():
        return TestVector(inputs, outputs, atol, rtol)


def array_to_plain(array: NDArray[Any]) -> dict[str, Any]:
    """An array with its type and shape, exactly."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return {
        "type": array.dtype.name,
        "shape": list(array.shape),
        "base64": base64.b64encode(little.tobytes()).decode("ascii"),
    }


def _array(value: Any, place: str) -> NDArray[Any]:
    """What `array_to_plain` made, or nested lists of numbers, which become float64."""
    if isinstance(value, list | int | float):
        return _of_lists(value, place)
    table = Reading(value, place)
    kind, text = table.text("type"), table.text("base64")
    shape = tuple(int(size) for size in table.numbers("shape"))
    table.done()
    if kind not in TYPES:
        raise ContractError(f"{place}.type is {shown(kind)}; it is one of {', '.join(TYPES)}")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ContractError(f"{place}.base64 is no base64: {error}") from None
    dtype = np.dtype(kind).newbyteorder("<")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(data):
        raise ContractError(
            f"{place} has {len(data):,} bytes; its type {kind} and shape {list(shape)} need another number"
        )
    return np.frombuffer(data, dtype).reshape(shape).astype(kind)


def _of_lists(value: Any, place: str) -> NDArray[Any]:
    try:
        array = np.array(value)
    except (ValueError, OverflowError) as error:
        raise ContractError(f"{place} is no array: {str(error)[:100]}; write lists of equal length") from None
    if array.dtype.kind not in "biuf" or not array.size:
        raise ContractError(f"{place} is no array of numbers; write nested lists of numbers")
    return array.astype(np.float64)
