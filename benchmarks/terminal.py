"""A pseudo-terminal that only counts: bytes, when they came, and what the program behind it used.

Nothing is emulated, because an emulator in Python takes more processor than the program that is measured: what
a key did is seen by words that the program writes for the first time because of it. `rate` is the speed of a slow
link in bytes a second. With `between`, as behind ssh, so many bytes are taken from the program at once and are on
their way for as long as the link needs; without, the program feels the link at each write.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import tempfile
import termios
import time
from pathlib import Path
from types import TracebackType

import psutil

BITE = 0.01
"""Seconds between two reads from a slow link."""

ANSWERS = ((b"\x1b[6n", b"\x1b[1;1R"), (b"\x1b[c", b"\x1b[?62;c"), (b"\x1b[?2026$p", b"\x1b[?2026;2$y"))
"""What a real terminal answers when it is asked."""


def environment() -> dict[str, str]:
    """Variables for a program as a person has it: a terminal with all colours, and modules compiled once."""
    foreign = ("COLUMNS", "LINES", "NO_COLOR", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if name not in foreign}
    compiled = {"PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "rlpeaks-benchmarks")}
    return {**kept, **compiled, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}


class Counting:
    """Runs `command` on a screen of `columns` x `rows`; `received` is everything that it has written.

    `passed` are descriptors that the program inherits.
    """

    def __init__(
        self,
        command: list[str],
        columns: int,
        rows: int,
        rate: float | None = None,
        between: int = 0,
        passed: tuple[int, ...] = (),
    ) -> None:
        self.received = bytearray()
        self.arrivals: list[tuple[float, int]] = []
        """When a read ended, and how many bytes had come by then."""
        self._rate = rate
        self._between = between
        self._way = bytearray()
        self.began = time.monotonic()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            for descriptor in passed:
                os.set_inheritable(descriptor, True)
            os.execvpe(command[0], command, environment())
        self._process = psutil.Process(self.pid)

    def __enter__(self) -> Counting:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def press(self, keys: str) -> float:
        """Type; gives the moment."""
        at = time.monotonic()
        os.write(self._fd, keys.encode())
        return at

    def read_for(self, seconds: float) -> int:
        """Read for so long; gives the number of bytes."""
        before, end = len(self.received), time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)
        return len(self.received) - before

    def until(self, pattern: bytes, start: int = 0, patience: float = 60.0) -> tuple[float, re.Match[bytes]]:
        """Read until `pattern` has come after byte `start`; gives the moment, and what matched.

        Raises:
            TimeoutError: it did not come within `patience` seconds.
        """
        deadline = time.monotonic() + patience
        compiled, seen = re.compile(pattern), start
        while True:
            found = compiled.search(self.received, seen)
            if found:
                return self.when(found.end()), found
            # A pattern may lie across two reads.
            seen = max(start, len(self.received) - 200)
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {pattern!r} in {bytes(self.received[-2000:])!r}")
            self._read(0.1)

    def when(self, count: int) -> float:
        """The moment at which `count` bytes had come."""
        return next(at for at, total in self.arrivals if total >= count)

    def processor(self) -> float:
        """Seconds of processor time so far."""
        times = self._process.cpu_times()
        return times.user + times.system

    def peak_memory(self) -> int:
        """Bytes of memory that it held at most."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        return int(found[1]) << 10 if found else 0

    def _read(self, seconds: float) -> None:
        if self._rate is not None:
            self._carry(max(1, int(self._rate * BITE)))
        elif select.select([self._fd], [], [], seconds)[0]:
            self._arrive(os.read(self._fd, 1 << 16))

    def _carry(self, most: int) -> None:
        """What the slow link does in one bite of time."""
        time.sleep(BITE)
        room = max(most, self._between) - len(self._way)
        while room > 0 and select.select([self._fd], [], [], 0)[0]:
            taken = os.read(self._fd, room)
            self._way += taken
            room -= len(taken)
        chunk = bytes(self._way[:most])
        del self._way[:most]
        if chunk:
            self._arrive(chunk)

    def _arrive(self, chunk: bytes) -> None:
        self.received += chunk
        self.arrivals.append((time.monotonic(), len(self.received)))
        for question, reply in ANSWERS:
            # A question may lie across two reads.
            for _ in range(self._asked(question, len(chunk))):
                os.write(self._fd, reply)

    def _asked(self, question: bytes, new: int) -> int:
        """How often `question` ended within the `new` bytes that came last."""
        return self.received.count(question, max(0, len(self.received) - new - len(question) + 1))
