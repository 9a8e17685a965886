"""A person's terminal: a program in a pseudo-terminal, its screen as text, and keys to press."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from pathlib import Path

import pyte

# What Textual sends that pyte does not know and would print as text.
_UNKNOWN = re.compile(rb"\x1b\[[<>=?]?[0-9;]*[a-zA-Z](?<=[u])|\x1b\[>4;[0-9]m")


class Terminal:
    """Runs `command` on a screen of `columns` x `rows`."""

    ground = "rgb:0000/0000/0000"
    """Its background, as it answers when it is asked."""

    def __init__(
        self, command: list[str], env: dict[str, str], columns: int = 120, rows: int = 40, cwd: Path | None = None
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.received = 0
        self.raw = bytearray()
        self.status: int | None = None
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            # Before the program starts, or it may look for its size too early.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            if cwd:
                os.chdir(cwd)
            # A size in the environment would be believed over that of the terminal.
            kept = {name: value for name, value in env.items() if name not in ("COLUMNS", "LINES")}
            os.execvpe(
                command[0], command, {**kept, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
            )

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)
        os.kill(self.pid, signal.SIGWINCH)

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def press(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def pump(self, seconds: float) -> bool:
        """Read what has been written within `seconds`; False once the program has ended."""
        ready, _, _ = select.select([self._fd], [], [], seconds)
        if not ready:
            return self._alive()
        try:
            chunk = os.read(self._fd, 1 << 16)
        except OSError:
            chunk = b""
        if not chunk:
            return self._alive(wait=True)
        self.received += len(chunk)
        self.raw += chunk
        self._answer(len(chunk))
        self._stream.feed(_UNKNOWN.sub(b"", chunk))
        return True

    def wait(self, pattern: str, patience: float = 120.0) -> re.Match[str]:
        """Until the screen shows `pattern`; fails with the screen as it is."""
        deadline = time.monotonic() + patience
        while True:
            found = re.search(pattern, self.text)
            if found:
                return found
            assert time.monotonic() < deadline, f"no {pattern!r} on screen:\n{self.text}"
            assert self.pump(0.05) or re.search(pattern, self.text), f"ended before {pattern!r}:\n{self.text}"

    def wait_end(self, patience: float = 60.0) -> int:
        """Until the program has ended; gives its exit status."""
        deadline = time.monotonic() + patience
        while self.status is None:
            assert time.monotonic() < deadline, f"still running:\n{self.text}"
            self.pump(0.05)
        return self.status

    def close(self, patience: float = 60.0) -> None:
        """Close the window, and wait until the program has ended: it gets what a closed window sends."""
        os.close(self._fd)
        if self.status is None:
            os.kill(self.pid, signal.SIGHUP)
        deadline = time.monotonic() + patience
        while self._alive():
            assert time.monotonic() < deadline, "goes on without a terminal"
            time.sleep(0.01)

    def _alive(self, wait: bool = False) -> bool:
        if self.status is None:
            pid, status = os.waitpid(self.pid, 0 if wait else os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is None

    def _answer(self, new: int) -> None:
        """What a real terminal answers when it is asked; a question may lie across two reads."""
        for question, reply in (
            (b"\x1b[6n", b"\x1b[1;1R"),
            (b"\x1b]11;?", f"\x1b]11;{self.ground}\x1b\\".encode()),
            (b"\x1b[c", b"\x1b[?62;c"),
            (b"\x1b[?2026$p", b"\x1b[?2026;2$y"),
        ):
            for _ in range(self.raw.count(question, max(0, len(self.raw) - new - len(question) + 1))):
                self.reply(question, reply)

    def reply(self, question: bytes, answer: bytes) -> None:
        os.write(self._fd, answer)
