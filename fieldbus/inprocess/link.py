"""A device that is a Python function: the link for tests, examples and simulations."""

import time
from collections.abc import Callable, Mapping, Sequence
from traceback import extract_tb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fieldbus.errors import DeviceError, GarbageError, RefusedError
from fieldbus.link.cyclic import CyclicLink
from fieldbus.tags import Tag

Values = Mapping[str, float | NDArray[np.float64]]


class InProcessLink(CyclicLink):
    """Calls `device(outputs) -> inputs` every cycle, in the link's thread.

    `outputs` maps every output tag to its value (a float, or an array if the tag's count is above 1); the device gives
    the same for every input tag. A `DeviceError` that it raises is taken as it is; any other exception as a refusal.
    A device that does not return cannot be interrupted: subscribers see their sample's age grow, not its quality
    change.
    """

    def __init__(
        self,
        name: str,
        tags: Sequence[Tag],
        device: Callable[[dict[str, float | NDArray[np.float64]]], Mapping[str, ArrayLike]],
        cycle_s: float = 0.001,
        timeout_s: float = 0.1,
        *,
        backoff_s: tuple[float, float] = (0.05, 2.0),
    ) -> None:
        super().__init__(name, tags, cycle_s, timeout_s, backoff_s=backoff_s)
        self._device = device

    def _open(self, deadline_ns: int) -> None:
        pass

    def _close(self) -> None:
        pass

    def _exchange(self, outputs: NDArray[np.float64], inputs: NDArray[np.float64], deadline_ns: int) -> int:
        asked_ns = time.monotonic_ns()
        answer = self._call(outputs)
        for name, tag in self._in.cells.tags.items():
            first = self._in.cells.first[name]
            try:
                inputs[first : first + tag.count] = answer[name]
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                if isinstance(answer, Mapping) and name not in answer:
                    gave = ", ".join(map(str, answer)) or "nothing"
                    raise GarbageError(f"the device's answer lacks {name!r}; it gave {gave}") from None
                wanted = "a number" if tag.count == 1 else f"{tag.count} numbers"
                raise GarbageError(f"the device's answer must hold {wanted} for {name!r}: {error}") from None
        return asked_ns

    def _write(self, outputs: NDArray[np.float64], deadline_ns: int) -> None:
        self._call(outputs)

    def _call(self, outputs: NDArray[np.float64]) -> Mapping[str, ArrayLike]:
        values: dict[str, float | NDArray[np.float64]] = {}
        for name, tag in self._out.cells.tags.items():
            first = self._out.cells.first[name]
            values[name] = float(outputs[first]) if tag.count == 1 else outputs[first : first + tag.count].copy()
        self._out.check_age()
        try:
            return self._device(values)
        except DeviceError:
            raise
        except (Exception, SystemExit) as error:
            raise RefusedError(f"the device raised {error!r}{self._place(error)}", code=0) from error

    def _place(self, error: BaseException) -> str:
        """Where in the device's own file it went wrong; nothing when it did not come so far."""
        code = getattr(self._device, "__code__", None)
        lines = [f.lineno for f in extract_tb(error.__traceback__) if code and f.filename == code.co_filename]
        return f" at {code.co_filename}:{lines[-1]}" if code and lines else ""
