"""Where things lie in a run directory, and how a file is replaced so that no reader ever sees half of it.

Every path of a run is spelled here once. A reader never writes, and each file has one writer, so the only
care needed is that a replacement is whole when it appears: written beside, then renamed.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

SCHEMA = 1
"""Version of the run directory's layout; a reader opens this and every older one."""

PRIVATE = 0o700
"""Mode of a run directory: who may write in it may steer the run."""


class Layout(Struct, frozen=True):
    """The files of the run at `root`."""

    root: Path

    @property
    def facts(self) -> Path:
        return self.root / "run.json"

    @property
    def journal(self) -> Path:
        return self.root / "journal"

    @property
    def rollouts(self) -> Path:
        return self.root / "rollouts"

    @property
    def layers(self) -> Path:
        return self.root / "layers"

    @property
    def held_out(self) -> Path:
        return self.root / "heldout.json"

    @property
    def console(self) -> Path:
        return self.root / "console.log"

    @property
    def inbox(self) -> Path:
        return self.root / "inbox"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def heartbeat(self) -> Path:
        return self.root / "heartbeat.json"

    @property
    def ranks(self) -> Path:
        return self.root / "ranks"

    def stack(self, rank: int) -> Path:
        """Where a rank writes the stacks of its threads when it is asked to."""
        return self.root / "stacks" / f"rank-{rank}.txt"

    @property
    def exit(self) -> Path:
        return self.root / "exit.json"

    def create(self) -> None:
        """Make the directory and its folders, private to the user.

        Raises:
            FileExistsError: something is already there.
            OSError: the place cannot be written.
        """
        self.root.parent.mkdir(parents=True, exist_ok=True)
        self.root.mkdir(mode=PRIVATE)
        for folder in (self.journal, self.rollouts, self.layers, self.inbox, self.checkpoints):
            folder.mkdir(mode=PRIVATE)


def open_regular(path: Path) -> BinaryIO:
    """`path` for reading. A pipe or a device in a run that came from elsewhere would hold a reader for ever.

    Raises:
        OSError: it cannot be opened, or it is no regular file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(handle, "rb")


def replace_file(path: Path, data: bytes | memoryview) -> None:
    """Put `data` at `path` so that a reader sees the old content or the new, never a part.

    Raises:
        OSError: the disk is full or the place cannot be written; the old content is still there.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(data)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
