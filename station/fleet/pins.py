"""The keys of stations that a commander has seen: the first of each name, in a file that several commands may write.

{"press-1": "ed25519:...", ...}         FOLDER/stations.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from plc_bindings.errors import SigningError
from plc_bindings.security.signing import PublicKey
from station.errors import RolloutError
from station.store.files import FOLDER_MODE, replace_file


class Pins:
    """The file. `known`: what it had when this was made.

    Raises:
        RolloutError: it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "stations.json"
        self.known = self._read()

    def add(self, seen: Mapping[str, PublicKey]) -> None:
        """Keep those that were seen for the first time, beside what others have kept, or taken away, since.

        Raises:
            OSError: it cannot be written.
            RolloutError: it cannot be read any more.
        """
        new = {name: key for name, key in seen.items() if name not in self.known}
        if new:
            self._write({**new, **self._read()})

    def drop(self, station: str) -> bool:
        """The next key of this name is believed; was another one known? Raises as `add` does."""
        pins = self._read()
        if pins.pop(station, None) is None:
            return False
        self._write(pins)
        return True

    def _read(self) -> dict[str, PublicKey]:
        try:
            found = json.loads(self.path.read_bytes())
            return {str(name): PublicKey.parse(text) for name, text in found.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, TypeError, SigningError) as error:
            raise RolloutError(f"{self.path}, the keys of the stations, cannot be read: {error}") from error

    def _write(self, pins: Mapping[str, PublicKey]) -> None:
        text = json.dumps({name: key.text for name, key in sorted(pins.items())}, indent=1).encode()
        self.path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        replace_file(self.path, text)
