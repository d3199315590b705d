"""A simulated bus in a process of its own, as `python -m fieldbus.ethercat.simulated` is: a master that holds the interpreter cannot
keep the slaves' firmware from answering."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.fieldbus.ethercat.buses import SLAVES, network


class Plant:
    """The process, and orders to it."""

    def __init__(self, slaves):
        words = [sys.executable, "-m", "fieldbus.ethercat.simulated", "--interface", SLAVES, "--slaves", slaves]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ready = self._answer()

    def _answer(self):
        answer = json.loads(self._process.stdout.readline())
        assert answer.pop("ok"), answer["error"]
        return answer

    def order(self, do, slave=None, **more):
        """Carry out an order; its answer."""
        given = {"do": do, **({} if slave is None else {"slave": slave}), **more}
        self._process.stdin.write(json.dumps(given).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self):
        """Be gone."""
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@contextmanager
def plant(slaves: str) -> Iterator[Plant]:
    """Slaves on the wire; their master opens MASTER from this thread."""
    with network():
        found = Plant(slaves)
        try:
            yield found
        finally:
            found.close()
