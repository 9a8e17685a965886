"""Asking a rank where it is: the Python stack of the thread that trains, and of its others where py-spy can see them.

py-spy reads it from outside where it is installed and may; else the process itself is signalled, and its handler
writes its stack into the run directory. A signal to the wrong process is the worst that a viewer could do, so nothing
that a run says is trusted for it. The process is held by a descriptor first, which a recycled number cannot fool. Then
the kernel is asked: it belongs to this user, it was born when the rank says, it holds this run's file of stacks open,
and it has a handler for the signal, which is always the same one and does nothing where it is not handled.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from .layout import Layout, open_regular
from .signs import STACK_SIGNAL, RankSign, process_born, read_sign
from .text import clean_line

PATIENCE = 5.0
"""Seconds to wait for an answer."""
LOOK = 0.02
BIGGEST = 256 << 10
MOST_FRAMES = 2000
LONGEST_LINE = 1000
"""Characters of a line that are looked at: patterns take time as the square of them."""


class NoStack(Exception):
    """The stack cannot be had; the message says why, and what would help."""


class Frame(Struct, frozen=True):
    """One call: `function` at `line` of `file`."""

    function: str
    file: str
    line: int


class Thread(Struct, frozen=True):
    """A thread's calls, the innermost first."""

    name: str
    frames: tuple[Frame, ...]


class Stack(Struct, frozen=True):
    """Where a rank was at `t` (seconds since 1970), as `way` told it: the thread that trains comes first."""

    rank: int
    t: float
    way: str
    threads: tuple[Thread, ...]


def ask(directory: Path, rank: int, patience: float = PATIENCE) -> Stack:
    """Where `rank` of the run at `directory` is now. Takes up to twice `patience` seconds where nobody answers.

    Raises:
        NoStack: it is on another machine, gone, not to be asked, or gave no answer.
    """
    layout = Layout(directory)
    sign = read_sign(layout, rank)
    if sign is None:
        raise NoStack(f"rank {rank} of this run has given no sign of life, so where it runs is not known")
    if sign.host != socket.gethostname():
        command = f"rlpeaks ctl {shlex.quote(str(directory.resolve()))} stack {rank}"
        raise NoStack(f"rank {rank} runs on {sign.host}; ask it there: {command}")
    with _held(sign) as handle:
        return _by_py_spy(sign, patience) or _by_signal(layout, sign, handle, patience)


@contextmanager
def _held(sign: RankSign) -> Iterator[int]:
    """A descriptor of the rank's own process, and of no other that has got its number.

    Raises:
        NoStack: the process is gone, or it cannot be made sure that it is the rank's.
    """
    if not hasattr(os, "pidfd_open") or not hasattr(signal, "pidfd_send_signal"):
        raise NoStack("only Linux tells a process from another that has got its number; run py-spy by hand")
    if not 0 < sign.pid <= 1 << 22:
        raise NoStack(f"rank {sign.rank} says that it is process {sign.pid}, which no process can be")
    try:
        handle = os.pidfd_open(sign.pid)
    except ProcessLookupError:
        raise NoStack(f"rank {sign.rank} is gone: there is no process {sign.pid}") from None
    except OSError as error:
        raise NoStack(f"process {sign.pid} cannot be looked at: {error.strerror}") from None
    try:
        born = process_born(sign.pid)
        if born is None or born != sign.born:
            raise NoStack(f"rank {sign.rank} is gone: process {sign.pid} is another one now, and was left alone")
        try:
            owner = os.stat(f"/proc/{sign.pid}").st_uid
        except OSError:
            raise NoStack(f"rank {sign.rank} is gone") from None
        if owner != os.getuid():
            raise NoStack(f"rank {sign.rank} belongs to another user, who alone can ask it")
        yield handle
    finally:
        os.close(handle)


def _by_py_spy(sign: RankSign, patience: float) -> Stack | None:
    """As py-spy sees it without halting the process; None where it is not installed, or may not look."""
    program = shutil.which("py-spy")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "dump", "--nonblocking", "--pid", str(sign.pid)],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=patience, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    threads = _threads(done.stdout[:BIGGEST].decode("utf-8", "replace")) if done.returncode == 0 else ()
    return Stack(sign.rank, time.time(), "py-spy", threads) if threads else None


def _by_signal(layout: Layout, sign: RankSign, handle: int, patience: float) -> Stack:
    path = layout.stack(sign.rank)
    if not sign.stacks:
        raise NoStack(
            f"rank {sign.rank} has no handler for it, because the program has one of its own; install py-spy to look"
        )
    if not _holds_open(sign.pid, path) or not _catches(sign.pid):
        raise NoStack(f"process {sign.pid} does not look like rank {sign.rank} of this run, and was left alone")
    before = _size(path)
    try:
        signal.pidfd_send_signal(handle, STACK_SIGNAL)
    except OSError as error:
        raise NoStack(f"rank {sign.rank} cannot be asked: {error.strerror}") from None
    deadline = time.monotonic() + patience
    size = before
    while time.monotonic() < deadline:
        time.sleep(LOOK)
        now = _size(path)
        # It is written piece by piece; two looks that find the same find all of it.
        if now == size and now != before:
            threads = _threads(_text(path, before if now > before else 0))
            if threads:
                return Stack(sign.rank, time.time(), "its own handler", threads)
        size = now
    raise NoStack(
        f"rank {sign.rank} (process {sign.pid}) did not answer within {patience:g} s: it is stopped, or in a call of "
        "the kernel that cannot be interrupted"
    )


def _holds_open(pid: int, path: Path) -> bool:
    """Whether a process has this very file open, by whatever name; it is a file of this user, and no way to another."""
    try:
        wanted = os.lstat(path)
        if not stat.S_ISREG(wanted.st_mode) or wanted.st_uid != os.getuid():
            return False
        handles = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False
    for handle in handles:
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(f"/proc/{pid}/fd/{handle}"), wanted):
                return True
    return False


def _catches(pid: int) -> bool:
    """Whether a process has a handler for the signal, as the kernel sees it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return False
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (STACK_SIGNAL - 1) & 1)


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _text(path: Path, start: int) -> str:
    try:
        with open_regular(path) as file:
            file.seek(start)
            return file.read(BIGGEST).decode("utf-8", "replace")
    except OSError:
        return ""


_HEAD = re.compile(
    r"^(?P<current>Current thread|Thread) (?P<id>0x[0-9a-fA-F]+|\d+)(?P<rest>.*)$"
    r"|^(?P<alone>Stack) \(most recent call first\):$"
)
_FAULT = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+|\?\?\?) in (?P<function>.*)$')
_SPY = re.compile(r"^    (?P<function>.+?) \((?P<file>.*?)(?::(?P<line>\d+))?\)$")


def _threads(text: str) -> tuple[Thread, ...]:
    """What `faulthandler` or `py-spy dump` wrote, the training thread first.

    `faulthandler` marks the thread that took the signal, which is the main one; py-spy knows its name.
    """
    found: list[tuple[bool, str, list[Frame]]] = []
    for line in (whole[:LONGEST_LINE] for whole in text.split("\n")[:MOST_FRAMES]):
        head = _HEAD.match(line)
        if head:
            name = re.search(r'"(.*)"|\[(.*)\]', head["rest"] or "")
            said = next(filter(None, name.groups()), "") if name else ""
            main = head["alone"] or head["current"] == "Current thread" or said == "MainThread"
            shown = "training thread" if main else f"thread {said or head['id']}"
            found.append((bool(main), clean_line(shown, limit=80), []))
            continue
        call = _FAULT.match(line) or _SPY.match(line)
        if call and found:
            number = call["line"]
            frame = Frame(
                clean_line(call["function"], limit=120),
                clean_line(call["file"], limit=400),
                int(number) if number and number.isdecimal() and len(number) < 10 else 0,
            )
            found[-1][2].append(frame)
    found.sort(key=lambda thread: not thread[0])
    return tuple(Thread(name, tuple(frames)) for _, name, frames in found)
