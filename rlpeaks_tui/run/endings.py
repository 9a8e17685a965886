"""What is to be said of a run that failed: why, where in the person's own code, and how to go on.

The traceback itself is long, most of it other people's code, and in the console for whoever wants it whole.
"""

from __future__ import annotations

import re
import shlex
import sysconfig
from pathlib import Path

from .facts import RunInfo
from .follow import Snapshot
from .layout import Layout

FOREIGN = (
    *("site-packages", "dist-packages", "<frozen", "<string>", "/lib/python3.", "/rlpeaks_tui/"),
    sysconfig.get_paths()["stdlib"],
)
"""In the file names of what a person did not write."""

_CALL = re.compile(r'\s*File "(.+)", line (\d+), in (.+)')


def why(snapshot: Snapshot) -> str:
    """Why it failed, in a line."""
    said, ended = snapshot.why or "it is not known why", snapshot.exit
    if ended is not None and ended.signal == "SIGKILL":
        return f"{said}: as a rule its machine was out of memory"
    if ended is not None and ended.tail and said == f"exit status {ended.code}":
        return f"{said}: {ended.tail[-1].strip()}"
    return said


def place(snapshot: Snapshot) -> str:
    """The last call in the person's own code; empty where the traceback names none."""
    for line in reversed(snapshot.exit.tail if snapshot.exit else []):
        call = _CALL.match(line)
        if call and not foreign(call[1]):
            return f"{call[1]}:{call[2]}, in {call[3]}"
    return ""


def onward(snapshot: Snapshot) -> tuple[str, str]:
    """How to go on: in words, and what is to be typed."""
    info = snapshot.info
    if not snapshot.restorable:
        return "no checkpoint is on disk (`checkpoints.every` writes them); to start again:", shlex.join(_started(info))
    newest = snapshot.restorable[-1]
    path = _from_here(Layout(snapshot.directory).checkpoints / newest.name)
    if "model" not in info.config:
        told = f"its newest checkpoint is of step {newest.step:,}; a script goes on from it by"
        return told, f"trainer.train(resume_from_checkpoint={path!r})"
    told = f"a new run goes on from the weights of its newest checkpoint, step {newest.step:,}:"
    return told, shlex.join([*_started(info), "--set", f"model={path}"])


def foreign(file: str) -> bool:
    """Whether a file is not of the person who trains."""
    return any(part in file for part in FOREIGN)


def _started(info: RunInfo) -> list[str]:
    """The command that started it, without the name that is taken now."""
    if info.argv[1:2] != ["run"]:
        return info.argv
    kept, words = ["rlpeaks"], iter(info.argv[1:])
    for word in words:
        if word == "--name":
            next(words, None)
        elif not word.startswith("--name="):
            kept.append(word)
    return kept


def _from_here(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (OSError, ValueError):
        return str(path.resolve())
