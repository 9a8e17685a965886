"""What is to be said of a run that failed: why, where in the person's own code, and how to go on.

The traceback itself is long, most of it other people's code, and in the console for whoever wants it whole.
"""

from __future__ import annotations

import re
import shlex
import sysconfig
from pathlib import Path

from . import present
from .bounds import RATE, bounds_of
from .entries import Checkpoint
from .facts import RunInfo
from .follow import Snapshot
from .layout import Layout
from .rates import CUT, configured, in_force, lower

FOREIGN = (
    *("site-packages", "dist-packages", "<frozen", "<string>", "/lib/python3.", "/rlpeaks_tui/"),
    sysconfig.get_paths()["stdlib"],
)
"""In the file names of what a person did not write."""

_CALL = re.compile(r'\s*File "(.+)", line (\d+), in (.+)')

_NOT_FINITE = re.compile(r"\b(nan|inf|infinity|non-finite|not finite)\b", re.IGNORECASE)
_RATE_SET = re.compile(rf"(--set=)?\w+\.{RATE}=")


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


def suspect(snapshot: Snapshot) -> str:
    """Why the learning rate is to be doubted first; empty where nothing points to it."""
    rate, bounds = in_force(snapshot), bounds_of(RATE)
    # A rate of 0, as a warm-up begins with, breaks nothing.
    if not rate:
        return ""
    if bounds is not None and not bounds.hold(rate):
        return (
            f"the learning rate, {rate:g}, is the suspect: useful ones are between {bounds.low:g} and {bounds.high:g}"
        )
    last = snapshot.exit.tail[-1:] if snapshot.exit else []
    if any(_NOT_FINITE.search(text) for text in (snapshot.why, *last)):
        return f"the learning rate, {rate:g}, is the suspect: numbers were no longer finite"
    if (since := _left(snapshot)) is not None:
        return f"the learning rate, {rate:g}, is the suspect: the policy had left its start by step {since:,}"
    return ""


def onward(snapshot: Snapshot) -> tuple[str, str]:
    """How to go on: in words, and what is to be typed. What a rate has broken is not to be broken by it again."""
    info, doubted = snapshot.info, bool(suspect(snapshot))
    newest = _sound(snapshot)
    if newest is None:
        told = "no checkpoint is on disk (`checkpoints.every` writes them)"
        if snapshot.restorable:
            told = "every checkpoint on disk is of a policy that had left its start"
        how, typed = _slower(snapshot) if doubted else ("", _started(info))
        return f"{told}; to start again{how}:", shlex.join(typed)
    path = _from_here(Layout(snapshot.directory).checkpoints / newest.name)
    if "model" not in info.config:
        told = f"its newest checkpoint is of step {newest.step:,}; a script goes on from it by"
        return told, f"trainer.train(resume_from_checkpoint={path!r})"
    how, typed = _slower(snapshot) if doubted else ("", _started(info))
    told = f"a new run goes on from the weights of its newest checkpoint, step {newest.step:,}{how and f',{how}'}:"
    return told, shlex.join([*typed, "--set", f"model={path}"])


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


def _left(snapshot: Snapshot) -> int | None:
    """The step at which the run itself told that its policy had left its start; None where that is not so now."""
    told = [alert for alert in present.upto(snapshot, snapshot.alerts, snapshot.step) if alert.rule == "left-start"]
    return told[-1].step if told and told[-1].on else None


def _sound(snapshot: Snapshot) -> Checkpoint | None:
    """The newest checkpoint from before the policy left its start, if it did."""
    left = _left(snapshot)
    sound = [saved for saved in snapshot.restorable if left is None or saved.step < left]
    return sound[-1] if sound else None


def _slower(snapshot: Snapshot) -> tuple[str, list[str]]:
    """The command that started it with a learning rate that is not the one to be doubted, and in words which."""
    info, words = snapshot.info, _started(snapshot.info)
    given = [at for at, word in enumerate(words) if _RATE_SET.match(word)]
    if given:
        dropped = {at - 1 if words[at - 1] == "--set" else at for at in given} | {*given}
        return " with the run file's own learning rate", [w for at, w in enumerate(words) if at not in dropped]
    now, first = in_force(snapshot), configured(snapshot)
    if "trainer" not in info.config or now is None:
        return " with a lower learning rate", words
    # A schedule begins anew, from what the run file says.
    rate = lower(max(now, first or now), first, CUT)
    return " with a lower learning rate", [
        *words,
        "--set",
        f"{info.config['trainer']}.{RATE}={'RATE' if rate is None else f'{rate:g}'}",
    ]


def _from_here(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (OSError, ValueError):
        return str(path.resolve())
