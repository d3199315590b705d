"""Which inputs moved each output: the model is run again with one input moved, and with one input taken away.

    slope    finite difference: (y(x + h) - y(x - h)) / 2h               how an output would follow a small change, here
    effect   occlusion: y(x) - y(x with this input at its base)          what this input's value did to the output

For a linear model the slopes are its weights, and the effects add up to y(x) - y(base); `together` is that difference, so
`together - sum of effects` is what inputs did only jointly. Of a tag with a history there is also the effect of all its samples.
Where an output is not finite, an input without which it is has an infinite effect.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rt_engine.contract.terms import Contract
from rt_engine.errors import InputError, RunError
from rt_engine.explain.labels import Label, Labels, label_at
from rt_engine.model import Model
from rt_engine.program.program import TensorSpec
from rt_engine.program.values import fitted
from rt_engine.run.context import Context

MOST_SOURCES: Final = 1024
"""Elements that are moved one by one; of more, blocks of neighbours are taken away together, without slopes."""
MOST_TARGETS: Final = 256
"""Elements of outputs that are looked at: the first ones."""
STEP: Final = 1 / 64
"""h as a share of an input's deviation, rounded down to a power of two."""


Seen = Callable[[list[NDArray[np.float64]]], NDArray[np.float64]]
"""All outputs of a run -> the targets among their elements."""


@dataclass(frozen=True, slots=True)
class Base:
    """What an input is replaced by, and how much it moves as a rule: as elements of tensors, scaled as the model sees them.

    Args:
        values: tensor -> array of its shape; a tensor that is missing is replaced by zeros, a state by its initial value.
        spread: tensor -> deviation of each element, array of its shape; where it is missing or 0 a value's own size, at least 1.
        said: where they come from: "the mean of the training data", "the median of the recording".
    """

    values: Mapping[str, NDArray[Any]]
    spread: Mapping[str, NDArray[Any]]
    said: str


@dataclass(frozen=True, slots=True)
class Source:
    """An element of an input or state, or a block of neighbours. Values, base and step are in `label.unit`."""

    tensor: str
    indices: tuple[int, ...]
    """Flat."""
    label: Label
    value: float
    base: float
    step: float
    """h of the finite difference; NaN where there is none: an integer, a block."""


@dataclass(frozen=True, slots=True)
class Target:
    """An element of an output, its value in `label.unit`."""

    tensor: str
    index: int
    label: Label
    value: float


@dataclass(frozen=True, slots=True, eq=False)
class Influence:
    """Rows are targets. Slopes: an output's unit by an input's unit; effects: in the output's unit."""

    sources: tuple[Source, ...]
    targets: tuple[Target, ...]
    slopes: NDArray[np.float64]
    effects: NDArray[np.float64]
    together: NDArray[np.float64]
    """y(x) - y(all sources at their base)."""
    tags: tuple[str, ...]
    """Names that several sources share: the samples of a window."""
    tag_effects: NDArray[np.float64]
    shapes: Mapping[str, tuple[int, ...]]
    """Of each input and state."""
    method: str
    """What was done, in sentences."""

    def ranked(self, target: int, most: int = 10) -> list[int]:
        """The sources that moved a target most, by the size of their effects."""
        size = np.nan_to_num(np.abs(self.effects[target]), nan=math.inf)
        return [int(i) for i in np.argsort(-size, kind="stable")[:most]]

    def to_json(self) -> dict[str, Any]:
        """None in the place of NaN and infinity."""
        return {
            "method": self.method,
            "sources": [
                {"tensor": s.tensor, "indices": list(s.indices), "name": str(s.label), "unit": s.label.unit,
                 "value": number(s.value), "base": number(s.base), "step": number(s.step)}
                for s in self.sources
            ],
            "targets": [
                {"tensor": t.tensor, "index": t.index, "name": str(t.label), "unit": t.label.unit, "value": number(t.value)}
                for t in self.targets
            ],
            "slopes": [list(map(number, row)) for row in self.slopes.tolist()],
            "effects": [list(map(number, row)) for row in self.effects.tolist()],
            "together": list(map(number, self.together.tolist())),
            "tags": list(self.tags),
            "tag_effects": [list(map(number, row)) for row in self.tag_effects.tolist()],
        }  # fmt: skip


def number(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if math.isfinite(value) else None


def training_base(model: Model, contract: Contract | None) -> Base | None:
    """The mean and deviation of the training data, if the model's contract has them."""
    values, spread = {}, {}
    for spec in model.inputs:
        found = contract.statistics_of(spec.name) if contract is not None else None
        if found is not None and prod(spec.shape) % len(found.mean) == 0:
            times = prod(spec.shape) // len(found.mean)
            values[spec.name] = np.tile(found.mean, times).reshape(spec.shape)
            spread[spec.name] = np.tile(found.deviation, times).reshape(spec.shape)
    return Base(values, spread, "the mean of the training data, from the model's contract") if values else None


def put(context: Context, inputs: Mapping[str, ArrayLike], state: Mapping[str, ArrayLike] | None) -> None:
    """The inputs, all of them, and the states before the run; those that are not given are at their initial value.

    Raises:
        InputError: a name is unknown or missing, or a shape or type does not fit.
    """
    context.inputs.assign(inputs, "input")
    context.reset()
    context.state.update(state or {})


class Moved:
    """A context that runs again and again from the same inputs and states, with some elements changed."""

    def __init__(
        self, context: Context, inputs: Mapping[str, ArrayLike], state: Mapping[str, ArrayLike] | None
    ) -> None:
        self.context = context
        put(context, inputs, state)
        self._views = {**context.inputs, **context.state}
        self.start = {name: view.copy() for name, view in self._views.items()}

    def run(self, changes: Sequence[tuple[str, NDArray[np.int64], NDArray[Any]]] = ()) -> list[NDArray[np.float64]]:
        """All outputs as float64, flat; NaN where the run ended with a status."""
        for name, value in self.start.items():
            self._views[name][...] = value
        for name, indices, values in changes:
            self._views[name].reshape(-1)[indices] = values
        try:
            self.context.run()
        except RunError:
            return [np.full(view.size, math.nan) for view in self.context.outputs.values()]
        return [view.astype(np.float64).ravel() for view in self.context.outputs.values()]


def influence(
    model: Model,
    inputs: Mapping[str, ArrayLike],
    state: Mapping[str, ArrayLike] | None,
    base: Base | None,
    labels: Labels,
    outputs: Sequence[str] = (),
) -> Influence:
    """Run a model two or three times for each element of its inputs and states. `outputs`: tensors or tags, all by default.

    Raises:
        InputError: none of the outputs is there.
    """
    moved = Moved(model.context(), inputs, state)
    plain = moved.run()
    targets = _targets(model, plain, labels, outputs)
    bases = _bases(model, base)
    sources = _sources(model, moved.start, bases, base, labels)
    scale_out = np.array([t.label.scale for t in targets])
    places = [(next(i for i, s in enumerate(model.outputs) if s.name == t.tensor), t.index) for t in targets]

    def seen(results: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.array([results[tensor][index] for tensor, index in places])

    before = seen(plain)

    def without(chosen: Sequence[Source]) -> NDArray[np.float64]:
        changes = [(s.tensor, np.array(s.indices), bases[s.tensor].reshape(-1)[list(s.indices)]) for s in chosen]
        return np.asarray(_difference(before, seen(moved.run(changes))) * scale_out)

    unknown = np.full(len(targets), math.nan)
    slopes = np.array(
        [unknown if math.isnan(s.step) else _slope(moved, seen, s) * scale_out * s.label.scale for s in sources]
    )
    effects = np.array([without([s]) for s in sources])
    names = [s.label.name for s in sources]
    tags = tuple(name for name in dict.fromkeys(names) if names.count(name) > 1)
    of_tags = np.array([without([s for s in sources if s.label.name == tag]) for tag in tags])
    shapes = {s.name: s.shape for s in (*model.inputs, *model.state)}
    slopes, effects, of_tags = (found.reshape(-1, len(targets)).T for found in (slopes, effects, of_tags))
    said = _method(model, sources, base, targets)
    return Influence(sources, targets, slopes, effects, without(sources), tags, of_tags, shapes, said)


def _targets(
    model: Model, plain: list[NDArray[np.float64]], labels: Labels, wanted: Sequence[str]
) -> tuple[Target, ...]:
    found = []
    for spec, values in zip(model.outputs, plain, strict=True):
        for index, value in enumerate(values[:MOST_TARGETS].tolist()):
            label = label_at(labels, spec, index)
            if not wanted or {spec.name, label.name, str(label)} & set(wanted):
                found.append(Target(spec.name, index, label, value * label.scale + label.offset))
    if not found:
        there = [str(label_at(labels, s, i)) for s in model.outputs for i in range(min(prod(s.shape), 20))]
        raise InputError(f"no output is called {', '.join(wanted)}; there is {', '.join(there) or 'none'}")
    return tuple(found[:MOST_TARGETS])


def _bases(model: Model, base: Base | None) -> dict[str, NDArray[Any]]:
    """What every input and state is replaced by, in its own type."""
    found: dict[str, NDArray[Any]] = {}
    for spec in model.inputs:
        values = base.values.get(spec.name) if base is not None else None
        whole = np.zeros(spec.shape) if values is None else np.asarray(values, np.float64)
        found[spec.name] = (np.rint(whole) if spec.dtype.kind in "iub" else whole).astype(spec.dtype)
    for place, initial in zip(model.program.state, model.program.initial, strict=True):
        found[place.spec.name] = fitted(initial, place.spec, "state")
    return found


def _sources(
    model: Model,
    start: Mapping[str, NDArray[Any]],
    bases: Mapping[str, NDArray[Any]],
    base: Base | None,
    labels: Labels,
) -> tuple[Source, ...]:
    specs = [spec for spec in (*model.inputs, *model.state) if prod(spec.shape)]
    whole = sum(prod(spec.shape) for spec in specs)
    found: list[Source] = []
    for spec in specs:
        share = max(16, MOST_SOURCES * prod(spec.shape) // max(whole, 1)) if whole > MOST_SOURCES else MOST_SOURCES
        spread = base.spread.get(spec.name) if base is not None else None
        if prod(spec.shape) <= share:
            found += [
                _element(spec, i, start[spec.name], bases[spec.name], spread, labels) for i in range(prod(spec.shape))
            ]
        else:
            found += _blocks(spec, share, start[spec.name], bases[spec.name])
    return tuple(found)


def _element(
    spec: TensorSpec, index: int, start: NDArray[Any], base: NDArray[Any], spread: NDArray[Any] | None, labels: Labels
) -> Source:
    label = label_at(labels, spec, index)
    value, rest = float(start.reshape(-1)[index]), float(base.reshape(-1)[index])
    usual = abs(float(np.asarray(spread).reshape(-1)[index])) if spread is not None else 0.0
    step = _step(value, usual, spec.dtype)
    scale = label.scale
    return Source(
        spec.name, (index,), label, (value - label.offset) / scale, (rest - label.offset) / scale, step / abs(scale)
    )


def _step(value: float, usual: float, dtype: np.dtype[Any]) -> float:
    """A power of two, so that x + h is exact as a rule; at least eight steps of the type."""
    if dtype.kind in "iub" or not math.isfinite(value):
        return math.nan
    smallest = 8 * float(np.spacing(np.array(max(abs(value), 1e-30)).astype(dtype))) if dtype.kind == "f" else 2.0**-4
    wanted = max(STEP * (usual if usual > 0 else max(abs(value), 1.0)), smallest)
    return 2.0 ** math.floor(math.log2(wanted)) if math.isfinite(wanted) else math.nan


def _blocks(spec: TensorSpec, most: int, start: NDArray[Any], base: NDArray[Any]) -> list[Source]:
    """Squares of the last two axes over all others, where they are large; else neighbours in a row."""
    index = np.arange(start.size).reshape(start.shape)
    groups: list[tuple[str, NDArray[np.int64]]] = []
    if start.ndim >= 3 and min(start.shape[-2:]) >= 8:
        down, across = start.shape[-2:]
        side = math.ceil(math.sqrt(down * across / most))
        for top in range(0, down, side):
            for left in range(0, across, side):
                chosen = index[..., top : top + side, left : left + side].ravel()
                groups.append((f"{spec.name}[.., {top}:{top + side}, {left}:{left + side}]", chosen))
    else:
        many = math.ceil(start.size / most)
        for first in range(0, start.size, many):
            groups.append((f"{spec.name}[{first}:{first + many}]", index.ravel()[first : first + many]))
    flat, rest = start.reshape(-1).astype(np.float64), base.reshape(-1).astype(np.float64)
    return [
        Source(spec.name, tuple(chosen.tolist()), Label(name), float(flat[chosen].mean()), float(rest[chosen].mean()), math.nan)
        for name, chosen in groups
    ]  # fmt: skip


def _difference(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """before - after; what stays not finite has not changed, what becomes finite or ceases to be has changed without bounds."""
    with np.errstate(invalid="ignore"):
        found = before - after
    was, stays = np.isfinite(before), np.isfinite(after)
    found[~was & ~stays] = 0.0
    found[~was & stays] = math.inf
    found[was & ~stays] = -math.inf
    return found


def _slope(moved: Moved, seen: Seen, source: Source) -> NDArray[np.float64]:
    """dy/dx of every target, both as elements; by the values that x took, not those that were asked for."""
    h = source.step * abs(source.label.scale)
    place = np.array(source.indices)
    value = moved.start[source.tensor].reshape(-1)[place]
    above, below = ((value.astype(np.float64) + d).astype(value.dtype) for d in (h, -h))
    up, down = (seen(moved.run([(source.tensor, place, v)])) for v in (above, below))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((up - down) / (above.astype(np.float64) - below.astype(np.float64)))


def _method(model: Model, sources: Sequence[Source], base: Base | None, targets: Sequence[Target]) -> str:
    """What was done, for whoever reads the figures."""
    usual = "its usual deviation" if base is not None and base.spread else "its own size, at least 1"
    said = base.said if base is not None else "zero, as nothing says what is usual"
    found = [
        f"Effects by occlusion: each input, alone, is replaced by {said}"
        + (", each state by its initial value" if model.state else "")
        + "; the effect is the output as it was, less the output then.",
        f"Slopes by central finite differences, each input moved up and down by 1/{1 / STEP:.0f} of {usual}, rounded down to a power "
        f"of two (column step); a model that answers in steps, as trees do, has slopes of 0 between them.",
    ]
    if any(len(s.indices) > 1 for s in sources):
        found.append(
            f"Inputs have more than {MOST_SOURCES:,} elements: neighbours are replaced together, without slopes."
        )
    if len(targets) == MOST_TARGETS:
        found.append(f"The first {MOST_TARGETS} elements of the outputs are looked at.")
    if any(spec.dtype.kind in "iub" for spec in model.outputs):
        found.append(
            "An output that is an integer may be the number of a class: then its differences say only that it changed."
        )
    return " ".join(found)
