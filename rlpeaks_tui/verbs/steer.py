"""`rlpeaks ctl`: steer a run without the cockpit, and see what came of it."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from ..run.bounds import check
from ..run.entries import ENDED
from ..run.follow import Follower, Snapshot
from ..run.mailbox import send, sender
from ..run.registry import resolve, runs_folder
from ..run.requests import VERBS, BadCommand, request
from .effects import effect_lines, effects_told
from .headless import mark_told, print_json, read_all
from .stack import stack

CONFIRM = "--yes"
"""Says that a value far from the present one is meant; a refusal that asks for it names it."""

SPECIAL = (
    ("phase NAME --preview", "what switching to a phase would do; sends nothing"),
    ("stack [RANK]", "where a rank is now: its Python stack; without RANK of the one that is stuck, else of the first"),
    ("effects [ID]", "what became of reward, entropy, KL, length and calibration with each command so far"),
)


def ctl(options: argparse.Namespace) -> int:
    """Send a command and wait for its answer: 0 applied, 1 refused or failed or no answer, 2 not a command."""
    directory = resolve(options.run, runs_folder(options.runs))
    if options.command is None:
        return _listed(read_all(directory), options.json)
    if options.command == "effects":
        return _effects(read_all(directory), options)
    if options.command == "stack":
        return stack(directory, options)
    if options.command == "phase" and "--preview" in options.args:
        return _preview(directory, options)
    check(request(options.command, options.args))
    answer = _sent(directory, options, options.args)
    if answer is None:
        return 2
    if _unsure(answer, options) and _sure(answer["why"]):
        answer = _sent(directory, options, [*options.args, CONFIRM])
        if answer is None:
            return 2
    _tell(answer, options.json)
    return 0 if answer["status"] == "applied" or (answer["status"] == "sent" and options.no_wait) else 1


def _sent(directory: Path, options: argparse.Namespace, args: list[str]) -> dict[str, Any] | None:
    """What became of a command, always with the same keys; None when it could not be sent, which was then said."""

    def told(status: str, **known: Any) -> dict[str, Any]:
        unknown: dict[str, Any] = {"id": None, "verb": options.command, "args": args, "who": sender(), "step": None}
        return {**unknown, "status": status, "why": "", "before": {}, "after": {}, **known}

    snapshot = read_all(directory)
    if snapshot.state in ENDED or snapshot.state == "lost":
        return told("refused", why=f"the run has {_ended(snapshot)}")
    try:
        ident = send(directory, options.command, *args)
    except OSError as error:
        print(f"rlpeaks: the inbox of {directory} cannot be written: {error.strerror}", file=sys.stderr)
        return None
    if options.no_wait:
        return told("sent", id=ident)
    follower = Follower(directory)
    deadline = time.monotonic() + options.timeout
    while time.monotonic() < deadline:
        follower.poll(0.2)
        snapshot = follower.snapshot()
        mark = next((m for m in snapshot.commands if m.id == ident), None)
        if mark is not None and mark.status in ("applied", "refused", "failed"):
            return told(**mark_told(mark))
        if not snapshot.live and not follower.more:
            return told("refused", id=ident, why=f"the run has {_ended(snapshot)}")
        time.sleep(0.05)
    why = f"no answer within {options.timeout:.0f} s; it stays in the inbox and is applied at the next safe point"
    return told("sent", id=ident, why=why)


def _ended(snapshot: Snapshot) -> str:
    return "gone silent" if snapshot.state == "lost" else snapshot.state


def _unsure(answer: dict[str, Any], options: argparse.Namespace) -> bool:
    """Whether a value was refused for want of a confirmation that a person is there to give."""
    asks = answer["verb"] == "set" and answer["status"] == "refused" and CONFIRM in answer["why"]
    return asks and CONFIRM not in options.args and sys.stdin.isatty() and sys.stderr.isatty()


def _sure(why: str) -> bool:
    print(f"{why}\nset it all the same? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _tell(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    at = f" at step {answer['step']}" if answer["step"] is not None else ""
    why = f": {answer['why']}" if answer["why"] else ""
    print(f"{answer['verb']} {answer['status']}{at}{why}")
    before, after = answer["before"], answer["after"]
    for key in dict.fromkeys([*before, *after]):
        print(f"  {key}  {_value(before.get(key))} -> {_value(after.get(key))}")


def _value(value: float | str | bool | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _listed(snapshot: Snapshot, as_json: bool) -> int:
    """Every command, what it does, and which cannot work in this run."""
    cannot = dict(snapshot.settings[-1].cannot) if snapshot.settings else {}
    over = f"the run has {_ended(snapshot)}" if snapshot.state in ENDED or snapshot.state == "lost" else ""
    if over:
        cannot = dict.fromkeys(VERBS, over)
        if not as_json:
            print(f"{over}: none of these commands can reach it any more\n")
    for verb in VERBS.values():
        why = {key: reason for key, reason in cannot.items() if key.split()[:1] == [verb.name]}
        if as_json:
            print_json({"verb": verb.name, "usage": verb.usage, "does": verb.does, "cannot": why})
            continue
        print(f"{verb.name} {verb.usage}".rstrip())
        print(f"    {verb.does}")
        for key, reason in why.items():
            print(f"    not in this run{'' if key == verb.name else f' ({key})'}: {reason}")
    for usage, does in () if as_json else SPECIAL:
        print(f"{usage}\n    {does}")
    return 0


def _effects(snapshot: Snapshot, options: argparse.Namespace) -> int:
    if len(options.args) > 1:
        raise BadCommand("effects takes the number or the id of one command, or nothing for all")
    named = options.args[0] if options.args else None
    if options.json:
        for effect in effects_told(snapshot, named):
            print_json(effect)
    else:
        print("\n".join(effect_lines(snapshot, named)))
    return 0


def _preview(directory: Path, options: argparse.Namespace) -> int:
    from .phase_preview import preview

    words = [word for word in options.args if word != "--preview"]
    request("phase", words)
    try:
        found = preview(directory, " ".join(words))
    except ValueError as problem:
        raise BadCommand(str(problem)) from None
    if options.json:
        print_json(found.facts)
    else:
        print("\n".join(found.lines))
    return 0
