"""The fault layer: at each operation on the disk, what would stand there if the process, or the power, ended now.

It hears of every operation by `whole.told`, just before it is done, and remembers what was forced to the disk: the
content of a file at its last sync, the names in a folder at its last sync.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ENDINGS = ("kill", "power", "names", "mixture")
"""What is left: all that was done, with the last write half done; only what was forced to the disk; besides that all
names, with no content; of each file and folder by chance the one or the other."""


@dataclass(eq=False)
class Node:
    """A file or a folder: `content` or `names` as they were forced to the disk; a new file has none."""

    content: bytes = b""
    names: dict[str, Node] | None = None


@dataclass
class Disk:
    """Watches the files under `root`. Hand `told` to `whole.told`."""

    root: Path
    before: Callable[[str, Path], None]
    """Called before each operation with its name and its path."""
    operations: list[tuple[str, str]] = field(default_factory=list)
    written: tuple[Path, int] | None = None
    nodes: dict[int, Node] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._force(self.root)

    def told(self, operation: str, path: Path) -> None:
        if not path.is_relative_to(self.root):
            return
        self.before(operation, path)
        self.operations.append((operation, str(path.relative_to(self.root))))
        if operation == "sync":
            self._force(path)
        if operation in ("rename", "remove") and path.exists():
            for one in (path, *path.rglob("*")):
                self.nodes.pop(one.stat().st_ino, None)  # the system may give this number to another file
        self.written = (path, path.stat().st_size if path.is_file() else 0) if operation == "write" else None

    def left(self, ending: str, target: Path) -> None:
        """Write into `target` what stands under the root after this ending."""
        chance = random.Random(len(self.operations))
        keeps_done: dict[str, Callable[[bool], bool]] = {
            "kill": lambda is_folder: True,
            "power": lambda is_folder: False,
            "names": lambda is_folder: is_folder,
            "mixture": lambda is_folder: chance.random() < 0.5,
        }
        self._write(self._node(self.root), self.root, target, keeps_done[ending])
        if ending == "kill" and self.written:
            path, size_before = self.written
            torn = target / path.relative_to(self.root)
            for last in sorted(one for one in (torn, *torn.rglob("*")) if one.is_file())[-1:]:
                with last.open("rb+") as file:
                    file.truncate((size_before + last.stat().st_size) // 2)

    def _write(self, node: Node, done: Path | None, target: Path, keeps_done: Callable[[bool], bool]) -> None:
        """`done` is where the node stands now, None where it does no more."""
        is_folder = node.names is not None
        keeps = done is not None and keeps_done(is_folder)
        if not is_folder:
            target.write_bytes(done.read_bytes() if done and keeps else node.content)
            return
        now = {path.name: path for path in sorted(done.iterdir())} if done else {}
        place = {self._node(path): path for path in now.values()}
        names = {name: self._node(path) for name, path in now.items()} if keeps else node.names or {}
        target.mkdir()
        for name, inner in names.items():
            self._write(inner, place.get(inner), target / name, keeps_done)

    def _node(self, path: Path) -> Node:
        return self.nodes.setdefault(path.stat().st_ino, Node(names={} if path.is_dir() else None))

    def _force(self, path: Path) -> None:
        node = self._node(path)
        if path.is_dir():
            node.names = {inner.name: self._node(inner) for inner in path.iterdir()}
        else:
            node.content = path.read_bytes()
