"""A run of a model, explained: values that other programs, the page and the table are made of."""

from dataclasses import dataclass
from typing import Any

from rt_engine.explain.influence import Influence
from rt_engine.explain.tensors import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """All tensors of one run, in the order in which they were made, inputs and states first; and what moved the outputs."""

    model: str
    sha256: str
    tensors: tuple[Tensor, ...]
    influence: Influence | None
    status: int = 0
    """0; or that with which an operator ended the run: there are no tensors behind it then, and no influence."""
    ended_at: str = ""

    def tensor(self, name: str) -> Tensor:
        """The tensor of that name, the last one where there are several.

        Raises:
            KeyError: there is none.
        """
        found = [t for t in self.tensors if t.name == name]
        if not found:
            raise KeyError(f"no tensor is called {name!r}; there is {', '.join(t.name for t in self.tensors)}")
        return found[-1]

    def of_node(self, node: int) -> tuple[Tensor, ...]:
        """What one operator made."""
        return tuple(t for t in self.tensors if t.node == node)

    def to_json(self) -> dict[str, Any]:
        """For pages and programs: no NaN, no arrays but small ones."""
        return {
            "model": self.model,
            "sha256": self.sha256,
            "status": self.status,
            "ended_at": self.ended_at,
            "tensors": [t.to_json() for t in self.tensors],
            "influence": None if self.influence is None else self.influence.to_json(),
        }
