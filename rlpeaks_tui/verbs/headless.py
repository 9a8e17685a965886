"""Verbs that need no screen: what a script, a cron job or a person in a hurry asks."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import asdict

from ..run import endings, present
from ..run.columns import LATELY
from ..run.follow import Follower, Snapshot
from ..run.marks import CommandMark
from ..run.registry import resolve, runs, runs_folder
from ..run.text import clean_tree
from ..stats.effect import brief
from .effects import effects_of, effects_told

SHOWN_EFFECTS = 5


def read_all(directory: Path) -> Snapshot:
    """A snapshot of everything that is in the run now."""
    follower = Follower(directory)
    follower.poll(1.0)
    while follower.more:
        follower.poll(1.0)
    return follower.snapshot()


def status(options: argparse.Namespace) -> int:
    snapshot = read_all(resolve(options.run, runs_folder(options.runs)))
    if options.json:
        print_json(summary(snapshot))
        return 0
    total = f" of {snapshot.max_steps}" if snapshot.max_steps else ""
    named = present.phase(snapshot)
    phase = f", phase {named}" if named else ""
    print(f"{snapshot.info.name}: {snapshot.state}, step {snapshot.step}{total}{phase}")
    if snapshot.state == "failed":
        told = endings.why(snapshot), endings.suspect(snapshot), endings.place(snapshot)
        for said in filter(None, (*told, " ".join(endings.onward(snapshot)))):
            print(f"  {said}")
    elif snapshot.state in ("lost", "stopped") and snapshot.why:
        print(f"  {snapshot.why}")
    elif snapshot.live and snapshot.activity:
        print(f"  {snapshot.activity} for {snapshot.activity_age:.0f} s")
    if snapshot.pace.ranks:
        print(f"  STUCK {snapshot.pace.evidence}")
    for line in (snapshot.exit.tail if snapshot.exit else [])[-12:]:
        print(f"  | {line}")
    names = snapshot.columns.names()
    width = max(map(len, names), default=0)
    for name in names:
        last = snapshot.columns.last(name)
        why = snapshot.columns.why(name)
        print(f"  {name:<{width}}  " + (f"{last[1]:>12.6g}  step {last[0]}" if last else f"{'-':>12}  {why or ''}"))
    for alert in _raised(snapshot):
        print(f"  ALERT {alert['rule']}, told at step {alert['step']}: {alert['text']}")
    for effect in effects_of(snapshot)[-SHOWN_EFFECTS:]:
        print(f"  EFFECT {brief(effect)}")
    return 0


def summary(snapshot: Snapshot) -> dict[str, Any]:
    """The object of `status --json`; its keys are stable."""
    names = snapshot.columns.names()
    last = {name: snapshot.columns.last(name) for name in names}
    return {
        "run": snapshot.directory.resolve().name,
        "directory": str(snapshot.directory.resolve()),
        "state": snapshot.state,
        "activity": snapshot.activity,
        "why": snapshot.why,
        "step": snapshot.step,
        "max_steps": snapshot.max_steps,
        "speed": snapshot.speed,
        "eta_s": snapshot.eta_s,
        "phase": present.phase(snapshot),
        "metrics": {name: {"step": at[0], "value": at[1]} if at else None for name, at in last.items()},
        "missing": {name: why for name in names if last[name] is None and (why := snapshot.columns.why(name))},
        "alerts": _raised(snapshot),
        "commands": [mark_told(mark) for mark in snapshot.commands],
        "effects": effects_told(snapshot),
        "exit": msgspec.to_builtins(snapshot.exit) if snapshot.exit else None,
        "telemetry_lost": snapshot.lost,
        "pace": snapshot.pace.state,
        "stuck": [asdict(rank) for rank in snapshot.pace.ranks],
    }


def _raised(snapshot: Snapshot) -> list[dict[str, Any]]:
    latest = {alert.rule: alert for alert in snapshot.alerts}
    return [
        {"rule": a.rule, "severity": a.severity, "step": a.step, "text": a.text, "remedy": a.remedy}
        for a in latest.values()
        if a.on
    ]


def mark_told(mark: CommandMark) -> dict[str, Any]:
    """A command as an object with stable keys."""
    keys = ("id", "verb", "args", "who", "step", "status", "why", "before", "after")
    return {key: getattr(mark, key) for key in keys}


def ls(options: argparse.Namespace) -> int:
    rows: list[dict[str, Any]] = []
    stuck: set[str] = set()
    for found in runs(runs_folder(options.runs)):
        if found.info is None:
            nothing = dict.fromkeys(("step", "max_steps", "phase", "reward", "model", "created"))
            place = str(found.path.resolve())
            rows.append(
                {"run": found.path.name, "state": "unreadable", **nothing, "directory": place, "why": found.trouble}
            )
            continue
        snapshot = read_all(found.path)
        if snapshot.pace.ranks:
            stuck.add(found.path.name)
        rows.append(
            {
                "run": found.path.name,
                "state": snapshot.state,
                "step": snapshot.step,
                "max_steps": snapshot.max_steps,
                "phase": present.phase(snapshot),
                "reward": snapshot.columns.get_series("reward").lately(),
                "model": snapshot.info.model,
                "created": snapshot.info.created,
                "directory": str(found.path.resolve()),
                "why": snapshot.why,
            }
        )
    if options.json:
        for row in rows:
            print_json(row)
        return 0
    if not rows:
        print(f"no runs in {runs_folder(options.runs)}; start one with: rlpeaks run quickstart")
        return 0
    width = max(len("run"), *(len(str(row["run"])) for row in rows))
    head = f"reward, mean of last {LATELY}"
    room = 14 if stuck else 10
    print(f"{'run':<{width}}  {'state':<{room}}  {'step':>13}  {head}  model")
    for row in rows:
        state = f"{row['state']}, stuck" if row["run"] in stuck else row["state"]
        if row["state"] == "unreadable":
            print(f"{row['run']:<{width}}  {state:<{room}}  {row['why']}")
            continue
        step = f"{row['step']}/{row['max_steps']}" if row["max_steps"] else str(row["step"])
        reward_text = "-" if row["reward"] is None else f"{row['reward']:.3f}"
        print(f"{row['run']:<{width}}  {state:<{room}}  {step:>13}  {reward_text:>{len(head)}}  {row['model']}")
    return 0


def print_json(answer: dict[str, Any]) -> None:
    """One object on one line; a path may hold bytes that are no text."""
    print(msgspec.json.encode(clean_tree(answer)).decode())


def export(options: argparse.Namespace) -> int:
    from .export import write

    directory = resolve(options.run, runs_folder(options.runs))
    problem = write(read_all(directory), options.output)
    if problem:
        print(f"rlpeaks: {problem}", file=sys.stderr)
        return 2
    return 0


def find(options: argparse.Namespace) -> int:
    from .find import find as show

    return show(options)


def explain(options: argparse.Namespace) -> int:
    from .explain import explain as told
    from .reference import metrics_page, rules_page

    if options.markdown or options.rules:
        sys.stdout.write(metrics_page() if options.markdown else rules_page())
        return 0
    return told(options.metric)


def doctor(options: argparse.Namespace) -> int:
    from .doctor import examine

    return examine(runs_folder(options.runs))
