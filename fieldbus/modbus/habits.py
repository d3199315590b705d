"""What devices and gateways do that the specification does not foresee."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How a device has to be treated.

    Attributes:
        connect_pause_s: a device hears nothing so long after it was connected to.
        request_pause_s: it needs so much quiet between an answer and the next request.
        broadcast_pause_s: time that the devices of a serial line need after a request to unit 0, which none answers.
        any_transaction_id: a gateway answers with a transaction id of its own. Since one request is under way at a time,
            what comes is its answer; what came before it was sent is thrown away.
        any_unit: a device answers with another unit's number.
        echo: a serial adapter hears what it sends: each request comes back before its answer.
    """

    connect_pause_s: float = 0.0
    request_pause_s: float = 0.0
    broadcast_pause_s: float = 0.1
    any_transaction_id: bool = False
    any_unit: bool = False
    echo: bool = False


NONE = Habits()
"""As specified."""
