"""Runs on disk for tests of what reads them, and an independent opinion on what a terminal must never be sent."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rlpeaks_tui.run.entries import Metrics, State
from rlpeaks_tui.run.facts import RunInfo, write_facts
from rlpeaks_tui.run.journal import JournalWriter
from rlpeaks_tui.run.layout import SCHEMA, Layout

BEGAN = 1_700_000_000.0
HERE = socket.gethostname()


def info(**known: Any) -> RunInfo:
    return RunInfo(**{"schema": SCHEMA, "name": "demo", "created": BEGAN, "host": HERE, **known})


def new_run(root: Path, **facts: Any) -> Layout:
    """A run directory with its run.json and nothing else."""
    layout = Layout(root)
    layout.create()
    write_facts(layout, info(**{"name": root.name, **facts}))
    return layout


def finished_run(root: Path, steps: int = 3, **facts: Any) -> Layout:
    """A run that trained for a few steps and ended well."""
    layout = new_run(root, max_steps=steps, model="tiny_arith", **facts)
    writer = JournalWriter(layout.journal, "trainer")
    writer.write(State(t=BEGAN, state="running"))
    writer.write(*[Metrics(t=BEGAN + s, step=s, v={"reward": s / 10, "kl": None}) for s in range(1, steps + 1)])
    writer.write(State(t=BEGAN + steps, state="finished", step=steps))
    writer.close()
    return layout


def live_run(root: Path) -> Layout:
    """A run that goes on: its process is this one."""
    layout = new_run(root, pid=os.getpid(), max_steps=10)
    JournalWriter(layout.journal, "trainer").write(
        State(t=BEGAN, state="running"), Metrics(t=BEGAN, step=4, v={"reward": 0.25})
    )
    return layout


Call = Callable[..., tuple[int, str, str]]
"""One call of the command line: exit status, standard output, standard error."""


def rlpeaks(*args: str, runs: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """One call of the command line in a process of its own, without a terminal."""
    env = {**os.environ, "RLPEAKS_RUNS": str(runs), "HF_HUB_OFFLINE": "1", **more.pop("env", {})}
    command = [sys.executable, "-m", "rlpeaks_tui.cli", *args]
    return subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, **more
    )


@contextmanager
def unprivileged() -> Iterator[None]:
    """As a user whom file permissions hold back, also where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def texts(value: Any) -> Iterator[str]:
    """Every text in structures, containers and the like."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts(key)
            yield from texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts(item)
    elif hasattr(value, "__struct_fields__"):
        for name in value.__struct_fields__:
            yield from texts(getattr(value, name))


# The characters with the property Bidi_Control, which the Unicode database of Python does not tell.
_BIDI = {"\u061c", "\u200e", "\u200f", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}


def is_safe(text: str) -> bool:
    """By the Unicode database: newlines and tabs aside, nothing controls, reorders a line, or is half a character."""
    return all(c in "\n\t" or (unicodedata.category(c) not in ("Cc", "Cs") and c not in _BIDI) for c in text)


NASTY = (
    "\x1b]52;c;cm0gLXJmIH4=\x07",
    "\x1b]0;owned\x07",
    "\x1b]2;owned\x1b\\",
    "\x1b[6n",
    "\x1b[c",
    "\x1b[5n",
    "\x1b[2J\x1b[H",
    "\x1b[10;10Hx",
    "\x1b[?1049h",
    "\x1bP$qm\x1b\\",
    "\x1b_Gi=1;AAAA\x1b\\",
    "\x1b^pm\x1b\\",
    "\x1bXsos\x1b\\",
    "\x1bc",
    "\x1b(0",
    "\x1b#8",
    "\x1b7\x1b8",
    "\x9b6n",
    "\x9b2J",
    "\x9d0;owned\x9c",
    "\x90$qm\x9c",
    "\x84\x85\x8d",
    "\u202eevil\u202c",
    "\u2066a\u2069",
    "\u061c\u200f\u200e",
    "abc\b\b\bxyz",
    "right\rwrong",
    "\x0b\x0c",
    "\x07",
    "\x0e\x0f",
    "\x00\x7f",
    "\x1b",
    "\x1b[",
    "\x1b]0;never ends",
    "\x1b[38;5",
    "\x1b\x1b[\x1b]",
    "\ud800",
    "\u2028\u2029",
    "\ufeff\u200b",
)
