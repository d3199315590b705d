"""A disk on which nothing is sure but what was synced: what may be found on it after a power cut, from the calls of a program.

What is written to a file is sure when the file was synced; a name in a folder, when the folder was synced. What is not sure may
be there or not, each by itself and in whatever order; the last write to a file may be there in part. POSIX promises no more.
"""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.station.store.traced import Call

Tree = dict[str, bytes | None]
"""Path below the top -> what the file holds; None: a folder."""
Entry = tuple[str, "Node | None"]
"""A name in a folder -> what has it from now on; None: nothing."""


@dataclass(eq=False)
class Node:
    """A file or a folder: what is sure, and what was done to it since."""

    is_folder: bool
    data: bytes = b""
    names: dict[str, "Node"] = field(default_factory=dict)
    done: list[tuple[Entry, ...] | tuple[int, bytes | None]] = field(default_factory=list)
    """Of a folder: entries that change together. Of a file: (offset, bytes), or (size, None): cut there."""

    def sync(self) -> None:
        self.data, self.names = self.now()
        self.done.clear()

    def now(self) -> tuple[bytes, dict[str, "Node"]]:
        return self.after(self.done)

    def after(self, done) -> tuple[bytes, dict[str, "Node"]]:
        """(bytes, names) when so much of what was done is there."""
        data, names = bytearray(self.data), dict(self.names)
        for what in done:
            if not self.is_folder:
                offset, new = what
                data.extend(bytes(max(0, offset - len(data))))
                if new is None:
                    del data[offset:]
                else:
                    data[offset : offset + len(new)] = new
                continue
            for name, node in what:
                names.pop(name, None)
                if node is not None:
                    names[name] = node
        return bytes(data), names


class Disk:
    """A folder on it, as it was when all was synced."""

    def __init__(self, top: str) -> None:
        self.top, self._files, self._written = top, {}, {}
        self._root = _read(top)

    def do(self, call: Call) -> None:
        """What a call does to the folder; nothing, where it is about something else."""
        act = getattr(self, f"_{call.name}", None)
        if act is not None and call.result >= 0:
            act(call)

    def found(self, choose: random.Random | None, is_cut: bool = True) -> Tree:
        """What may be on the disk after a power cut; without one (not `is_cut`), what a killed process leaves.

        `choose`: takes of what is not sure some; None: nothing of it.
        """
        tree: Tree = {}

        def visit(path: str, node: Node) -> None:
            done = node.done if not is_cut else _some(node, choose) if choose is not None else []
            data, names = node.after(done)
            tree[path] = None if node.is_folder else data
            for name, inner in names.items():
                visit(os.path.join(path, name), inner)

        visit("", self._root)
        return tree

    # --- calls --------------------------------------------------------------------------------------------------------

    def _openat(self, call: Call) -> None:
        path = os.path.join(os.fsdecode(call.place), os.fsdecode(call.texts[0]))
        place = self._place(path)
        if place is None:
            return
        folder, name = place
        node = folder.now()[1].get(name) if name else folder
        if node is None:
            assert "O_CREAT" in call.rest
            node = Node(is_folder=False)
            folder.done.append(((name, node),))
        self._files[call.result] = node
        self._written[call.result] = None if "O_APPEND" in call.rest else 0

    def _write(self, call: Call) -> None:
        node = self._files.get(call.file)
        if node is not None:
            at = self._written[call.file]
            offset = len(node.now()[0]) if at is None else at
            node.done.append((offset, call.texts[0][: call.result]))
            self._written[call.file] = None if at is None else at + call.result

    def _ftruncate(self, call: Call) -> None:
        if call.file in self._files:
            self._files[call.file].done.append((int(call.rest.split(",")[1]), None))

    def _fsync(self, call: Call) -> None:
        if call.file in self._files:
            self._files[call.file].sync()

    def _close(self, call: Call) -> None:
        self._files.pop(call.file, None)

    def _mkdir(self, call: Call) -> None:
        if place := self._place(os.fsdecode(call.texts[0])):
            place[0].done.append(((place[1], Node(is_folder=True)),))

    def _rename(self, call: Call) -> None:
        old, new = (self._place(os.fsdecode(text)) for text in call.texts)
        if old is not None and new is not None:
            assert old[0] is new[0], "a rename between folders"
            node = old[0].now()[1][old[1]]
            old[0].done.append(((old[1], None), (new[1], node)))

    def _unlink(self, call: Call) -> None:
        if place := self._place(os.path.join(os.fsdecode(call.place), os.fsdecode(call.texts[0]))):
            place[0].done.append(((place[1], None),))

    _unlinkat = _rmdir = _unlink

    def _place(self, path: str) -> tuple[Node, str] | None:
        """(the folder, the name in it); the folder itself has no name. None: it is elsewhere."""
        if path == self.top:
            return self._root, ""
        if not path.startswith(self.top + "/"):
            return None
        *folders, name = path.removeprefix(self.top + "/").split("/")
        node = self._root
        for folder in folders:
            node = node.now()[1][folder]
        return node, name


def _some(node: Node, choose: random.Random) -> Iterator:
    """Some of what was done; of a write, perhaps only the beginning."""
    for what in node.done:
        if choose.random() < 0.5:
            continue
        if not node.is_folder and what[1] and choose.random() < 0.3:
            yield what[0], what[1][: choose.randrange(len(what[1]))]
        else:
            yield what


def _read(path: str) -> Node:
    if os.path.isdir(path):
        return Node(is_folder=True, names={name: _read(os.path.join(path, name)) for name in os.listdir(path)})
    with open(path, "rb") as file:
        return Node(is_folder=False, data=file.read())


def write(tree: Tree, top: str) -> None:
    """Make the folder that a tree says."""
    for path, data in tree.items():
        place = os.path.join(top, path)
        if data is None:
            os.makedirs(place, 0o700, exist_ok=True)
        else:
            with open(os.open(place, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(data)
