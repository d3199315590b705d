"""What the native replay and Python agree on."""

import numpy as np

TENSOR = np.dtype(
    [
        ("address", "<i8"),
        ("nbytes", "<i8"),
        ("unit", "<i8"),  # so many bytes in a row travel in reverse; 1: as they are
        ("kind", "<i8"),  # of its elements: 4 or 8: floating-point numbers of so many bytes; BOOLS; 0: others
    ]
)
BOOLS = 1
MOST_TENSORS = 8
MOST_BYTES = 4096
"""A request or an answer that is longer is not kept."""

REPLAY = np.dtype(
    [
        ("is_on", "<i8"),
        ("budget", "<i8"),  # requests that may still be answered
        ("answered", "<i8"),
        ("status", "<i8"),  # of a run that failed: then Python answers
        ("version", "<i8"),  # address of the word that tells the slot's version
        ("wanted_version", "<i8"),
        ("execute", "<i8"),  # address of the executor
        ("block", "<i8"),
        ("request_bytes", "<i8"),
        ("inputs_at", "<i8"),
        ("inputs_end", "<i8"),
        ("id_at", "<i8"),
        ("id_end", "<i8"),
        ("answer_bytes", "<i8"),
        ("outputs_at", "<i8"),
        ("status_at", "<i8"),
        ("good", "<i4"),  # what stands at status_at: outputs are finite
        ("not_finite", "<i4"),  # some are not
        ("inputs", "<i8"),  # how many
        ("outputs", "<i8"),
        ("input", TENSOR, MOST_TENSORS),
        ("output", TENSOR, MOST_TENSORS),
        ("request", "u1", MOST_BYTES),
        ("answer", "u1", MOST_BYTES),
    ]
)
"""One connection's: `request` is what it asked last, `answer` what it got. Inputs and id of a request may differ from it."""

WAIT = np.dtype(
    [
        ("epoll", "<i8"),  # file descriptor
        ("events", "<i8"),  # address of `MOST_EVENTS` times struct epoll_event
        ("event_bytes", "<i8"),
        ("table", "<i8"),  # address of one word for each file descriptor: its replay, or 0
        ("most_fd", "<i8"),
    ]
)
"""What an event loop waits for."""

MOST_EVENTS = 64
SERVED_MORE = 1024
"""Requests in a row after which Python has its turn."""
SLOW_NS = 1_000_000
"""A run that took longer is the last one without Python, which decides anew where such calls run."""
NOTHING = -1
"""In `request_bytes`: no request is known."""
