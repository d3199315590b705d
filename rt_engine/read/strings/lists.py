"""Values that are strings, in components that share a list of names."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import onnx
from onnx import NodeProto, TensorProto

from rt_engine.errors import Reason
from rt_engine.program.naming import UNKNOWN
from rt_engine.read.strings.kinds import Attributes

UNUSED = b"_Unused"
"""What LabelEncoder gives by default where ONNX says nothing else: no name of a list."""
HELP = "turn text into categories or numbers before the model; strings here stand for names that the model itself lists"


@dataclass(slots=True)
class Categories:
    """What became of the strings."""

    inputs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Input -> its names, in the order of their indices."""
    outputs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    open_outputs: set[str] = field(default_factory=set)
    """Outputs that may be `UNKNOWN`."""
    reasons: list[Reason] = field(default_factory=list)
    """Where strings are no categories: the model is refused."""


class Lists:
    """Which values are strings, which of them share a list, and what is in it. `found` is what is told of them."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self.proto, self.found = proto, Categories()
        self.open: set[str] = set()
        """Values that may be `UNKNOWN`."""
        self.types: dict[str, int] = {}
        """ONNX's element type of values that are no strings, as far as it is known."""
        self.tensors: list[tuple[str, TensorProto]] = []
        """Constants of strings, by the name of their value."""
        self._above: dict[str, str] = {}
        self._names: dict[str, dict[bytes, int]] = defaultdict(dict)
        self._told: dict[str, tuple[str, ...]] = {}

    def is_string(self, name: str) -> bool:
        """Is a value one of strings?"""
        return name in self._above

    def add(self, name: str, is_open: bool = False) -> None:
        """A value is one of strings."""
        self._above.setdefault(name, name)
        if is_open:
            self.open.add(name)

    def join(self, names: list[str]) -> None:
        """Values share one list."""
        for name in names[1:]:
            self._above[self.root(name)] = self.root(names[0])

    def root(self, name: str) -> str:
        """The value that stands for all that share a list with this one."""
        while (above := self._above[name]) != name:
            self._above[name] = self._above[above]
            name = above
        return name

    def names_of(self, name: str) -> dict[bytes, int]:
        """A value's names, and their indices."""
        return self._names[self.root(name)]

    def place(self, name: str, text: bytes) -> int:
        """The index of a name in the list of a value; put behind all others if it is new."""
        names = self.names_of(name)
        return names.setdefault(text, len(names))

    def list_all(self, name: str, texts: Iterable[bytes]) -> None:
        """Put names into the list of a value."""
        names = self.names_of(name)
        for text in texts:
            names.setdefault(text, len(names))

    def default(self, node: NodeProto, given: Attributes) -> int:
        """The index of what a LabelEncoder or CategoryMapper gives for what it does not know."""
        name = node.output[0]
        if not self.is_string(name):
            return UNKNOWN
        text = given["default_string"].s if "default_string" in given else UNUSED
        if "default_tensor" in given and given["default_tensor"].t.string_data:
            text = given["default_tensor"].t.string_data[0]
        return self.names_of(name).get(text, UNKNOWN) if text == UNUSED else self.place(name, text)

    def texts(self, name: str) -> tuple[str, ...]:
        """The list of a component, once for all its values."""
        root = self.root(name)
        if root not in self._told:
            self._told[root] = tuple(text.decode("utf-8", "replace") for text in self._names[root])
        return self._told[root]

    def refuse(self, node: NodeProto, why: str, help: str = HELP) -> None:
        """Strings of a node are no categories."""
        self.found.reasons.append(Reason(node.name or node.op_type, node.op_type, why, help))
