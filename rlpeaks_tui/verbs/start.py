"""`rlpeaks run`: check, create, launch, and then show."""

from __future__ import annotations

import argparse
import importlib.util
import signal
import sys
import time
from pathlib import Path

from ..config import ConfigError, RunFile, Script, load, load_script
from ..launch.start import CannotStart, create, discard, start
from ..run import present
from ..run.facts import Exit, process_alive, read_exit
from ..run.follow import Follower, Snapshot
from ..run.layout import Layout
from ..run.registry import NAME, as_argument, runs_folder
from ..run.text import clean_line
from .recorded import recorded

REFUSED = 2
EXIT_SECONDS = 60.0
"""How long to wait for a process to go that has said it is done: it may still be saving its model."""


def run(options: argparse.Namespace) -> int:
    """Start a training. Gives 0 when it ended well, 1 when it failed, 2 when its settings cannot be used."""
    missing = [name for name in ("torch", "trl", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        return _wrong(f"training needs {', '.join(missing)}: pip install 'rlpeaks[train]'")
    if options.name is not None and not NAME.fullmatch(options.name):
        return _wrong(f"--name {options.name}: use letters, digits, '.', '_' and '-', beginning with a letter or digit")
    try:
        if options.target.endswith(".py"):
            settings: RunFile | Script = load_script(options.target, options.script_args, options.settings)
            source = Path(options.target)
        else:
            settings, source = load(options.target, options.settings)
        folder = runs_folder(options.runs)
        again = recorded(options.commands, folder) if options.commands is not None else None
        directory = create(settings, source, folder, sys.argv, options.name, again.planned if again else [])
    except (ConfigError, CannotStart) as problem:
        return _wrong(str(problem))
    if again is not None:
        print(f"commands of {clean_line(options.commands)}: {again}", flush=True)
    start(directory)
    if options.detach:
        print(f"{directory.name} is starting; watch it with: rlpeaks watch {as_argument(directory)}")
        return 0
    if options.headless or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return _follow(directory)
    from ..cockpit import watch

    watch(directory)
    return _after(directory)


def _wrong(problem: str) -> int:
    print(f"rlpeaks: {clean_line(problem)}", file=sys.stderr)
    return REFUSED


def _after(directory: Path) -> int:
    """What to say once the cockpit has closed, in the normal screen."""
    follower = Follower(directory)
    while follower.poll(1.0) and follower.more:
        pass
    snapshot = follower.snapshot()
    if snapshot.live:
        print(f"{directory.name} goes on: step {snapshot.step} of {snapshot.max_steps}.")
        print(f"  rlpeaks watch {as_argument(directory)}       bring the cockpit back")
        print(f"  rlpeaks ctl {as_argument(directory)} stop    end the training")
        return 0
    return _ended(follower, snapshot)


def _ended(follower: Follower, snapshot: Snapshot) -> int:
    directory = snapshot.directory
    ended = _exit(directory, follower.launcher_pid)
    # How the process ended has the last word, also over its own that all went well.
    while follower.poll(1.0) and follower.more:
        pass
    snapshot = follower.snapshot()
    if snapshot.refused:
        discard(directory)
        return _wrong(snapshot.why)
    if snapshot.state in ("finished", "stopped"):
        opens = f"rlpeaks replay {as_argument(directory)} opens it"
        print(f"{directory.name} {snapshot.state} at step {snapshot.step}; {opens}")
        return 0
    print(f"rlpeaks: {directory.name} {snapshot.state} at step {snapshot.step}: {snapshot.why}", file=sys.stderr)
    for line in ended.tail if ended else []:
        print(f"  {line}", file=sys.stderr)
    return 1


def _exit(directory: Path, launcher: int | None) -> Exit | None:
    """The launcher's word on how it ended, which comes a moment after the training process's own."""
    deadline = time.monotonic() + EXIT_SECONDS
    while (ended := read_exit(Layout(directory))) is None and time.monotonic() < deadline:
        if launcher is not None and not process_alive(launcher):
            return read_exit(Layout(directory))
        time.sleep(0.05)
    return ended


def _follow(directory: Path) -> int:
    """Plain progress lines until the training ends; gives its exit status.

    Ctrl+C stops looking and leaves the training alone, as everywhere.
    """
    follower = Follower(directory)
    told: tuple[str, str] = ("", "")
    told_step, next_line = 0, 0.0
    print(f"run {directory}", flush=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    while True:
        follower.poll(0.2)
        snapshot = follower.snapshot()
        if snapshot.activity != snapshot.state == "starting" and (snapshot.state, snapshot.activity) != told:
            told = (snapshot.state, snapshot.activity)
            print(f"starting: {snapshot.activity}", flush=True)
        elif snapshot.state == "paused" != told[0]:
            told = (snapshot.state, "")
            print(f"paused at step {snapshot.step}", flush=True)
        elif snapshot.step > told_step and time.monotonic() >= next_line and not follower.more:
            told, told_step, next_line = (snapshot.state, ""), snapshot.step, time.monotonic() + 1.0
            print(progress_line(snapshot), flush=True)
        if not snapshot.live and not follower.more:
            if snapshot.step > told_step:
                print(progress_line(snapshot), flush=True)
            return _ended(follower, snapshot)
        time.sleep(0.1)


def progress_line(snapshot: Snapshot) -> str:
    """One line: step, speed, and the headline of each panel."""
    total = f"/{snapshot.max_steps}" if snapshot.max_steps else ""
    parts = [f"step {snapshot.step}{total}"]
    if snapshot.speed:
        parts.append(f"{snapshot.speed:.1f}/s")
    named = (("reward", "reward"), ("entropy", "entropy"), ("kl/base_k3", "KL k3"), ("calibration/ece", "ECE"))
    for metric, label in (*named, ("sparsity/bf16", "sparsity (bf16)")):
        last = snapshot.columns.last(metric)
        if last is not None:
            # What was measured long ago says so: it is not the state of this step.
            old = f" (step {last[0]})" if last[0] < 0.75 * snapshot.step else ""
            parts.append(f"{label} {last[1]:.3f}{old}")
    if phase := present.phase(snapshot):
        parts.append(f"phase {phase}")
    return "  ".join(parts)
