"""What `rlpeaks ctl RUN phase NAME` would do, before it does it: the mix, what is known of its tasks, what changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from ..cockpit.words import plural
from ..phases import PHASE_WORDS, Phase
from ..run import present
from ..run.branches import split
from ..run.layout import Layout
from ..run.outcomes import recent_outcomes
from ..run.rollouts import RolloutReader
from ..stats.preview import TaskRate, expected_rate, task_rate
from .headless import read_all

GENERATIONS = 20
"""Generations of each task that are looked back at."""


class Preview(Struct, frozen=True):
    """What switching to a phase would do, as lines for a person and as plain JSON with stable keys."""

    lines: list[str]
    facts: dict[str, Any]


def preview(directory: Path, phase: str) -> Preview:
    """What `phase` (a name, next, prev or auto) would put in force in the run at `directory`.

    Raises:
        ValueError: the run has no such phase; the message says so to a person.
    """
    snapshot = read_all(directory)
    try:
        phases = msgspec.convert(snapshot.info.config.get("phases", []), list[Phase])
    except msgspec.ValidationError:
        raise ValueError("this version cannot read the phases in the run's run.json") from None
    if not phases:
        raise ValueError("this run has no curriculum")
    names = [one.name for one in phases]
    phase_now = present.phase(snapshot)
    now = names.index(phase_now) if phase_now in names else 0
    target = phases[_index(phase, names, now)]
    reader = RolloutReader(Layout(directory).rollouts)
    reader.refresh()
    # What the run has left says nothing of the policy that it has now.
    numbers, _ = split(reader.index["step"], present.nodes(snapshot))
    rates: dict[str, TaskRate | None] = {}
    for task in target.tasks:
        found = recent_outcomes(reader, task, numbers, GENERATIONS)
        rates[task] = task_rate(found.step, found.prompt, found.correct)
    expected = expected_rate(target.tasks, rates)
    total = sum(target.tasks.values())
    # The run's own value of a setting is known in the training process alone.
    back = sorted(set(phases[now].settings) - set(target.settings))
    facts: dict[str, Any] = {
        "phase": target.name,
        "index": names.index(target.name),
        "of": len(phases),
        "now": names[now],
        "step": snapshot.step,
        "tasks": {
            task: {"share": weight / total, "rate": None if (rate := rates[task]) is None else asdict(rate)}
            for task, weight in target.tasks.items()
        },
        "expected": None if expected is None else asdict(expected),
        "settings": dict(target.settings),
        "settings_back": back,
        "ends": target.ends(),
    }
    return Preview(_lines(target, rates, facts), facts)


def _index(phase: str, names: list[str], now: int) -> int:
    match phase:
        case "auto":
            return now
        case "next" | "prev":
            index = now + (1 if phase == "next" else -1)
            if not 0 <= index < len(names):
                raise ValueError(f"{names[now]!r} is the {'last' if phase == 'next' else 'first'} phase")
            return index
    if phase not in names:
        raise ValueError(f"there is no phase {phase!r}; there are: {', '.join(names)}, and {', '.join(PHASE_WORDS)}")
    return names.index(phase)


def _lines(target: Phase, rates: dict[str, TaskRate | None], facts: dict[str, Any]) -> list[str]:
    in_force = ", in force now" if facts["now"] == target.name else ""
    lines = [f"phase {facts['index'] + 1} of {facts['of']}: {target.name}{in_force}"]
    width = max(len(task) for task in rates)
    for task, rate in rates.items():
        share = f"  {task:<{width}}  {facts['tasks'][task]['share']:4.0%} of prompts"
        if rate is None:
            lines.append(f"{share}  pass rate not known: no completion of it is kept")
        else:
            steps = f"step {rate.first}" if rate.first == rate.last else f"steps {rate.first} to {rate.last}"
            told = f"pass rate {rate.rate:.3f} ({rate.low:.3f} to {rate.high:.3f})"
            lines.append(
                f"{share}  {told}, {plural(rate.n, 'completion')} of {plural(rate.prompts, 'prompt')}, {steps}"
            )
    if (mix := facts["expected"]) is None:
        lines.append("expected pass rate: not known, a task has no history in this run")
    else:
        lines.append(f"expected pass rate: {mix['rate']:.3f} ({mix['low']:.3f} to {mix['high']:.3f})")
    if target.settings:
        lines.append("puts in force: " + ", ".join(f"{key} {value:g}" for key, value in target.settings.items()))
    if facts["settings_back"]:
        lines.append(f"back to the run's own: {', '.join(facts['settings_back'])}")
    last = facts["index"] + 1 == facts["of"]
    ends = "never, it is the last phase" if last else " or ".join(target.ends()) or "by hand only"
    lines.append(f"ends: {ends}")
    return lines
