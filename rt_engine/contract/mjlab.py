"""Keys that mjlab and Isaac Lab (whole_body_tracking) write into a policy's file, as far as they go.

    joint_names, default_joint_pos, action_scale      lists with commas, numbers rounded to three decimals
    observation_names                                 the terms of the input, in order
    observation_terms_scale, _clip, _history_length   for each term; a history of 0 is none (mjlab since April 2026)
    observation_history_lengths                       for each term (Isaac Lab)
    clip_actions                                      of the raw action, where somebody added it
    run_path                                          the run that it was trained in

An observation is clipped, then scaled, then kept: each term has its own history, oldest first, terms follow each other. What is not
written (rate, units, widths of terms) is not guessed, or `Contract.gaps` says what was taken for granted: the habits of stock tasks.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rt_engine.contract.check import Ends, Tensor
from rt_engine.contract.tables import shown
from rt_engine.contract.terms import MOST_WINDOW, Contract, Element, Provenance, Scaling, TensorContract
from rt_engine.errors import ContractError

ORIGIN = "mjlab"
NEEDED = ("joint_names", "observation_names")
XYZ = ("x", "y", "z")
VECTORS = {"base_lin_vel": "m/s", "base_ang_vel": "rad/s", "projected_gravity": ""}
"""Terms with three elements -> their unit; the gravity is a direction."""
JOINTS = {"joint_pos": "rad", "joint_vel": "rad/s"}
"""Terms with an element for each joint."""
ACTIONS = "actions"
"""The term with the raw output of the step before."""
MOST_CHARACTERS, MOST_ELEMENTS = 1 << 20, 1 << 14
"""Of a key's text, and of an input or output that is described; no robot has more."""
OTHER_ACTIONS = ("action_type", "action_term")
"""Keys by which variants say that their outputs are no targets of joints."""


def understood(metadata: Mapping[str, str], ends: Ends) -> Contract | None:
    """The contract that these keys make; None: they are not there.

    What cannot be understood is no error: it is left out, and `Contract.gaps` says so.
    """
    if not all(key in metadata for key in NEEDED):
        return None
    reader = _Reader(metadata, ends)
    outputs, inputs = reader.outputs(), reader.inputs()
    tensors = (*inputs, *outputs)
    reader.say_what_is_missing(tensors)
    plain = all((e.scale, e.offset) == (1.0, 0.0) for tensor in tensors for e in tensor.elements)
    scaling: Scaling = "inside" if plain else "outside"
    provenance = Provenance(version=metadata.get("run_path", ""))
    return Contract(inputs, outputs, scaling=scaling, provenance=provenance, origin=ORIGIN, gaps=tuple(reader.gaps))


@dataclass(frozen=True, slots=True)
class _Term:
    """A term of the observation; `width` None: not known."""

    name: str
    width: int | None
    history: int
    scales: tuple[float, ...]
    low: float
    high: float


@dataclass
class _Reader:
    metadata: Mapping[str, str]
    ends: Ends
    gaps: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.joints = self.names("joint_names")

    def outputs(self) -> tuple[TensorContract, ...]:
        """Targets of the joints: target = action * action_scale + default_joint_pos."""
        try:
            tensor = _chosen(self.ends.outputs, "actions")
            size = _size(tensor)
            if other := [key for key in OTHER_ACTIONS if self.metadata.get(key, "joint_pos") != "joint_pos"]:
                raise ContractError(f"they are of another kind ({other[0]}: {shown(self.metadata[other[0]])})")
            return _checked((TensorContract(tensor.name, self._targets(size)),))
        except ContractError as error:
            self.gaps.append(f"the actions are not described: {error}")
            return ()

    def inputs(self) -> tuple[TensorContract, ...]:
        """The terms of the observation."""
        try:
            tensor = _chosen(self.ends.inputs, "obs")
            terms = self._terms(_size(tensor))
            return _checked(_parts(tensor.name, [(term, self._elements(term)) for term in terms]))
        except ContractError as error:
            self.gaps.append(f"the observations are not described: {error}")
            return ()

    def say_what_is_missing(self, tensors: Sequence[TensorContract]) -> None:
        """What the keys never say."""
        self.gaps.append("the rate is not written: with the stock tasks it is 50 Hz; look at decimation and time step")
        if "joint_stiffness" in self.metadata:
            self.gaps.append(
                "joint_stiffness and joint_damping are gains of the drives, not of the model; set them there"
            )
        if any(re.fullmatch(r"-?\d+\.\d{3}(,-?\d+\.\d{3})*", self.metadata.get(key, "")) for key in _ROUNDED):
            self.gaps.append("default_joint_pos and action_scale were rounded to three decimals when they were written")
        described = {tensor.name for tensor in tensors}
        others = [tensor.name for tensor in (*self.ends.inputs, *self.ends.outputs) if tensor.name not in described]
        if described and others:
            self.gaps.append(f"nothing is written of {', '.join(others)}")

    def _targets(self, count: int) -> tuple[Element, ...]:
        joints, rest = self._joints()
        if len(joints) != count:
            raise ContractError(
                f"there are {len(joints)} joint_names for {count} actions, so which is which is not known"
            )
        scales = self.numbers("action_scale") if "action_scale" in self.metadata else [1.0]
        scales = scales * count if len(scales) == 1 else scales
        if len(scales) != count or 0 in scales:
            raise ContractError(f"action_scale has {len(scales)} numbers for {count} actions, or zeros")
        clips = self.numbers("clip_actions") if "clip_actions" in self.metadata else []
        most = abs(clips[0]) if len(clips) == 1 else math.inf
        self.gaps.append(
            "actions are taken as targets of revolute joints in rad, in the order of joint_names, each action * action_scale + "
            "default_joint_pos, as in the stock tasks"
        )
        reach = [abs(scale) * most for scale in scales]
        return tuple(
            Element(f"target.{joint}", "rad", scale, at, at - r, at + r, clip=math.isfinite(r))
            for joint, scale, at, r in zip(joints, scales, rest, reach, strict=True)
        )

    def _joints(self) -> tuple[list[str], list[float]]:
        joints, rest = self.joints, self.numbers("default_joint_pos")
        if len(rest) != len(joints):
            raise ContractError(f"default_joint_pos has {len(rest)} numbers for {len(joints)} joints")
        return joints, rest

    def _terms(self, size: int) -> list[_Term]:
        """The terms; the width of one that nobody knows is what the others leave of the input."""
        names = self.names("observation_names")
        if not 0 < len(names) <= size:
            raise ContractError(f"observation_names has {len(names)} terms, the input {size} elements")
        histories, clips = self._histories(names), self._for_each("observation_terms_clip", names)
        scales = self._for_each("observation_terms_scale", names)
        terms = []
        for at, name in enumerate(names):
            low, high = (
                (clips[at] if len(clips[at]) == 2 else [-math.inf, math.inf]) if clips else (-math.inf, math.inf)
            )
            terms.append(_Term(name, self._width(name, scales[at] if scales else []), histories[at],
                               tuple(scales[at]) if scales else (1.0,), low, high))  # fmt: skip
        left = size - sum(term.history * term.width for term in terms if term.width is not None)
        unknown = [term for term in terms if term.width is None]
        if len(unknown) > 1:
            raise ContractError(f"how many elements {' and '.join(term.name for term in unknown)} have is not written")
        if left < 0 or (unknown and (left == 0 or left % unknown[0].history)) or (not unknown and left):
            raise ContractError(f"the terms {', '.join(names)} do not make the {size} elements of the input")
        return [
            _Term(t.name, left // t.history, t.history, t.scales, t.low, t.high) if t.width is None else t
            for t in terms
        ]

    def _width(self, name: str, scales: list[float]) -> int | None:
        if name in VECTORS:
            return len(XYZ)
        if name in JOINTS:
            return len(self.joints)
        if name == ACTIONS:
            return _chosen(self.ends.outputs, "actions").size
        return len(scales) if len(scales) > 1 else None

    def _histories(self, names: list[str]) -> list[int]:
        key = next((key for key in _HISTORIES if key in self.metadata), None)
        if key is None:
            self.gaps.append("no history is written, so the observations are taken as of one step")
            return [1] * len(names)
        flat = [values[0] if len(values) == 1 else math.nan for values in self._by_name(key, names)]
        if not all(0 <= length <= MOST_WINDOW and length == int(length) for length in flat):
            raise ContractError(f"{key} is no list of whole numbers from 0 to {MOST_WINDOW:,}")
        kept = self._for_each("observation_terms_flatten_history_dim", names)
        if any(h > 1 and kept and kept[at] == [0.0] for at, h in enumerate(flat)):
            raise ContractError("a term keeps its history in a dimension of its own")
        return [max(1, int(h)) for h in flat]

    def _for_each(self, key: str, names: list[str]) -> list[list[float]]:
        """Numbers for each term; an empty list where the key is not there."""
        return self._by_name(key, names) if key in self.metadata else []

    def _by_name(self, key: str, names: list[str]) -> list[list[float]]:
        found = _values(self.metadata[key], key, names)
        if len(found) == 1 < len(names):
            found = found * len(names)
        if len(found) != len(names):
            raise ContractError(f"{key} has {len(found)} entries for {len(names)} terms")
        return found

    def _elements(self, term: _Term) -> tuple[Element, ...]:
        labels, unit, rest = self._labels(term)
        scales = term.scales * len(labels) if len(term.scales) == 1 else term.scales
        if len(scales) != len(labels) or 0 in scales:
            raise ContractError(
                f"the scale of {term.name} has {len(scales)} numbers for {len(labels)} elements, or zeros"
            )
        clips = math.isfinite(term.low) or math.isfinite(term.high)
        return tuple(
            Element(
                f"{term.name}{label}", unit, scale, -scale * at if at else 0.0, term.low + at, term.high + at, clips
            )
            for label, scale, at in zip(labels, scales, rest, strict=True)
        )

    def _labels(self, term: _Term) -> tuple[list[str], str, list[float]]:
        """What the elements of a term are called behind its name, their unit, and the value at which they are 0."""
        assert term.width is not None
        zeros = [0.0] * term.width
        if term.name in VECTORS:
            return [f".{axis}" for axis in XYZ], VECTORS[term.name], zeros
        if term.name in JOINTS:
            joints, rest = self._joints()
            if term.name == "joint_pos":
                self.gaps.append(
                    "joint_pos is taken as the joint's angle less default_joint_pos, in rad, as in the stock tasks"
                )
                zeros = rest
            return [f".{joint}" for joint in joints], JOINTS[term.name], zeros
        if term.name == ACTIONS:
            self.gaps.append("the observation 'actions' is the raw output of the step before: no sensor gives it")
        else:
            self.gaps.append(f"the units of '{term.name}' are not written")
        return [f"[{i}]" for i in range(term.width)], "", zeros

    def names(self, key: str) -> list[str]:
        """A list of names."""
        return [str(word) for word in _words(self.metadata.get(key, ""))]

    def numbers(self, key: str) -> list[float]:
        """A list of finite numbers."""
        found = [value for values in _values(self.metadata.get(key, ""), key, []) for value in values]
        if not found or not all(map(math.isfinite, found)):
            raise ContractError(f"{key} is no list of finite numbers")
        return found


_ROUNDED = ("default_joint_pos", "action_scale")
_HISTORIES = ("observation_terms_history_length", "observation_history_lengths")


def _chosen(tensors: Sequence[Tensor], name: str) -> Tensor:
    """The one of this name, or the only one."""
    found = [tensor for tensor in tensors if tensor.name == name] or list(tensors)
    if len(found) != 1:
        raise ContractError(
            f"which of {', '.join(tensor.name for tensor in found)} they are is not known; stock tasks say '{name}'"
        )
    return found[0]


def _size(tensor: Tensor) -> int:
    if tensor.size is None or not 0 < tensor.size <= MOST_ELEMENTS:
        raise ContractError(
            f"'{tensor.name}' has {tensor.size or 'an unknown number of'} elements; 1 to {MOST_ELEMENTS:,} are understood"
        )
    return tensor.size


def _checked(tensors: tuple[TensorContract, ...]) -> tuple[TensorContract, ...]:
    """The same; raises where they make no contract (joints of the same name)."""
    Contract(tensors, scaling="outside")
    return tensors


def _parts(name: str, terms: list[tuple[_Term, tuple[Element, ...]]]) -> tuple[TensorContract, ...]:
    """One part for each term with a history; those without that follow each other are one."""
    parts: list[TensorContract] = []
    for term, elements in terms:
        before = parts[-1] if parts else None
        if before is not None and before.window == term.history == 1:
            parts[-1] = TensorContract(name, before.elements + elements, 1, 1, before.start)
        else:
            start = before.start + before.size if before is not None else 0
            parts.append(TensorContract(name, elements, term.history, 1, start))
    return tuple(parts)


def _words(text: str) -> list[object]:
    """The entries of a list as it was written: with commas, or as JSON."""
    text = text[:MOST_CHARACTERS]
    try:
        found = json.loads(text)
        if isinstance(found, list):
            return found
        if isinstance(found, dict):
            return [found]
    except (ValueError, RecursionError):
        pass
    return [word.strip() for word in re.findall(r"\[[^\[\]]*\]|[^,\[\]]+", text) if word.strip()]


def _values(text: str, key: str, names: list[str]) -> list[list[float]]:
    """The entries of a list of numbers, or of lists of them: "1.0,[0.5, 0.25]", "-inf;inf", JSON, also by name."""
    words = _words(text)
    if len(words) == 1 and isinstance(words[0], dict):
        words = [words[0].get(name, 1) for name in names]
    found = []
    for word in words:
        inner = (
            word if isinstance(word, list) else re.split("[;,]", word.strip("[]")) if isinstance(word, str) else [word]
        )
        try:
            found.append([_number(value) for value in inner])
        except (ValueError, TypeError, OverflowError):
            raise ContractError(f"{key} has {shown(word)}, where a number is expected") from None
    if any(math.isnan(v) for values in found for v in values):
        raise ContractError(f"{key} has a number that is none (NaN)")
    return found


def _number(value: object) -> float:
    if isinstance(value, str):
        return float({"True": "1", "False": "0"}.get(value.strip(), value))
    if isinstance(value, int | float):
        return float(value)
    raise TypeError
