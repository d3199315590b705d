"""Records by name: what a kernel reads, an operator writes and an exporter translates. Imports no Numba.

    GEMM = Fields("gemm", operands="a b bias out", sizes="rows depth columns ...", params="low high")

    @kernel("gemm_f32", GEMM)                                    a kernel (`parts.abi`): `record.rows` is one load
    def gemm(record):
        for row in range(record.rows): ...

    build.call("gemm_f32", GEMM(a=x, b=w, ..., rows=8))          an operator: a wrong name is an error

    call.record.rows                                             an exporter, a test

A family's fields are in the module of its name beside this file, so that only its own kernels are compiled again when they change.
Their order is the record's (`rt_engine.kernels.interface.record`), which `.rtp` files hold: new fields go behind the others.

Sizes are int64, params float64. Strides count elements unless they say otherwise: `x_row` is the distance from row to row of `x`,
`x_batch` from matrix to matrix.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rt_engine.kernels.interface.record import OPERANDS, PARAMS, SIZES


@dataclass(frozen=True, slots=True)
class Place:
    """Where a field stands: `kind` is a column of `RECORD`."""

    kind: str
    index: int
    optional: bool


@dataclass(frozen=True)
class Fields:
    """Names of what is in the records of a family of kernels, in the order of the record.

    `name?` may be left out: an operand is then absent (a kernel asks `record.has_name`), a number 0. `-` is a place that is not used.
    """

    name: str
    operands: str
    sizes: str = ""
    params: str = ""
    writes: str | None = None
    """The operands that the kernels write, the most important one first; the last one where nothing is said."""

    def __post_init__(self) -> None:
        named = [n.rstrip("?") for n in f"{self.operands} {self.sizes} {self.params}".split() if n != "-"]
        limits = ((self.operands, OPERANDS), (self.sizes, SIZES), (self.params, PARAMS))
        if any(len(text.split()) > most for text, most in limits):
            raise ValueError(
                f"a record of {self.name} has more than {OPERANDS} operands, {SIZES} sizes or {PARAMS} params"
            )
        if len(set(named)) != len(named) or set(named) & set(dir(Record)):
            raise ValueError(f"a name of {self.name} is taken: {', '.join(named)}")
        if any(n not in self.places or self.places[n].kind != "operand" for n in self.written):
            raise ValueError(f"{self.name} writes what is no operand of it: {self.writes}")

    @cached_property
    def places(self) -> dict[str, Place]:
        """Name -> where it stands."""
        columns = {"operand": self.operands, "size": self.sizes, "param": self.params}
        return {
            name.rstrip("?"): Place(kind, index, name.endswith("?"))
            for kind, text in columns.items()
            for index, name in enumerate(text.split())
            if name != "-"
        }

    @cached_property
    def written(self) -> tuple[str, ...]:
        """The operands that the kernels write."""
        return tuple((self.operands.split()[-1].rstrip("?") if self.writes is None else self.writes).split())

    def __call__(self, **values: Any) -> "Record":
        """A record with these values.

        Raises:
            NameError: a name that there is not, or one that is missing.
        """
        wrong = sorted(values.keys() - self.places.keys())
        wrong += [name for name, place in self.places.items() if not place.optional and values.get(name) is None]
        if wrong:
            raise NameError(
                f"{', '.join(wrong)}: not there, or missing, in a record of {self.name} ({', '.join(self.places)})"
            )
        operands, sizes, params = (
            [values.get(name.rstrip("?")) for name in text.split()] for text in (self.operands, self.sizes, self.params)
        )
        whole = tuple(0 if s is None else int(s) for s in sizes)
        return Record(self, tuple(operands), whole, tuple(0.0 if p is None else float(p) for p in params))  # -0.0 too


@dataclass(frozen=True, slots=True)
class Record:
    """The values of one record; its fields are attributes too. What operands are is the caller's: buffers, arrays."""

    fields: Fields
    operands: tuple[Any, ...]
    sizes: tuple[int, ...]
    params: tuple[float, ...]

    def __getattr__(self, name: str) -> Any:
        place = self.fields.places.get(name)
        if place is None:
            raise AttributeError(f"a record of {self.fields.name} has no field '{name}'")
        columns: dict[str, tuple[Any, ...]] = {"operand": self.operands, "size": self.sizes, "param": self.params}
        return columns[place.kind][place.index]
