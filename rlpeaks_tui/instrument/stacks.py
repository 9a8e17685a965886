"""A stack on a signal: the kernel has this process write where its main thread stands, which is the one that trains.

`faulthandler` writes from within the signal handler, in C, without Python's lock. So it answers also where a rank
hangs in code that never gives the lock back, where nothing that is written in Python would. The kernel interrupts the
main thread for it, whose own frames stand still meanwhile. Those of the other threads do not: to walk them from here
ends the process in a segmentation fault sooner or later (a few hundred signals into a busy one, measured), so they
are left to py-spy, which looks from outside.

The signal is SIGURG. SIGUSR1 and SIGUSR2 end a process that does not expect them, and are taken: Slurm, submitit and
Lightning requeue jobs by them. torchrun, Accelerate and launchers handle TERM, INT, HUP and QUIT. SIGURG does nothing
to a process that has no handler for it, which is why the Go runtime preempts by it too, and it is only ever sent for
out-of-band data on sockets whose owner asked for it. So the worst mistake that a viewer could make does nothing.

A handler that is there already is left alone, and the rank then says that it has no stacks to give.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from pathlib import Path
from typing import BinaryIO

from ..run.layout import PRIVATE, Layout
from ..run.signs import STACK_SIGNAL

BIGGEST = 1 << 20

_open: BinaryIO | None = None
"""Of this process, because handlers are."""
_lock = threading.Lock()
"""The thread that bounds the file may outlive the end of the run for a moment, on a file system that hangs."""


def write_on_signal(layout: Layout, rank: int) -> bool:
    """Have `STACK_SIGNAL` append the main thread's stack to the rank's file; False where it is taken or cannot be."""
    global _open
    if _open is None and _is_taken():
        return False
    path = layout.stack(rank)
    try:
        path.parent.mkdir(mode=PRIVATE, exist_ok=True)
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "wb", 0)
        faulthandler.register(STACK_SIGNAL, file=file, all_threads=False, chain=False)
    except (OSError, RuntimeError, ValueError, AttributeError):
        return False
    if _open is not None:
        _open.close()
    _open = file
    return True


def bound() -> None:
    """Empty the file once it is too large: everybody who asked has read what they asked for long ago."""
    with _lock:
        if _open is not None and os.fstat(_open.fileno()).st_size > BIGGEST:
            os.ftruncate(_open.fileno(), 0)


def stop() -> None:
    """Give the signal back."""
    global _open
    with _lock:
        if _open is not None:
            faulthandler.unregister(STACK_SIGNAL)
            _open.close()
            _open = None


def _is_taken() -> bool:
    """Whether somebody else handles the signal: by way of Python, or in C, as the kernel sees it."""
    if signal.getsignal(STACK_SIGNAL) not in (signal.SIG_DFL, None):
        return True
    try:
        status = Path("/proc/self/status").read_text(errors="replace")
    except OSError:
        return False
    caught = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (STACK_SIGNAL - 1) & 1)
