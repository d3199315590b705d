"""What a protocol brings to a connection: bytes in, bytes out, no sockets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any


class Conversation(ABC):
    """One client's requests and their answers. Servers' thread only, but for `job`, which its caller runs where it likes."""

    job: Callable[[], Any] | None = None
    """Work that takes long, for a thread; nothing more is answered until its result comes to `resume`."""
    has_more = False
    """Whole requests wait, so that others get their turn: feed(b"") again."""
    is_over_rate = False
    """Some requests were refused, since there were too many: listen to others for a while."""
    is_closed = False
    """What came is no request, so what follows cannot be found: disconnect."""
    requests = 0
    """Answered so far."""

    @abstractmethod
    def feed(self, data: bytes) -> bytes:
        """Take what came; gives what is to be sent. Never raises. Half a request is kept until the rest comes."""

    @abstractmethod
    def resume(self, result: Any) -> bytes:
        """The job is done, with this result or this exception: answers it, and what came meanwhile."""

    @property
    @abstractmethod
    def is_whole(self) -> bool:
        """Was all that came a number of whole requests, and is all of it answered?"""

    @property
    def next_due(self) -> float:
        """When `tick` is to be called (monotonic seconds); infinity: never."""
        return float("inf")

    def tick(self, now: float) -> bytes:
        """What is due at `now`, to be sent unasked."""
        return b""

    @abstractmethod
    def close(self) -> None:
        """The client is gone."""
