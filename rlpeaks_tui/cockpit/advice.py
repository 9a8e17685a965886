"""What the verdict advises: the remedy of the worst finding that has one which can be given in this run, now.

A remedy that cannot be given helps nobody: where there is no checkpoint to go back to, or no such setting, the next
finding's is taken. Where something grave begins soon after a command, it is that command which is taken back.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from rlpeaks_tui.run import present
from rlpeaks_tui.run.bounds import RATE
from rlpeaks_tui.run.branches import on_the_way
from rlpeaks_tui.run.follow import Snapshot
from rlpeaks_tui.run.marks import CommandMark
from rlpeaks_tui.run.rates import CUT, configured, lower
from rlpeaks_tui.run.requests import BASE
from rlpeaks_tui.stats.effect import SHORT

from .curriculum import phases_of
from .form import Values
from .questions import CHANGING, settable, to_undo
from .scene import Finding
from .words import asked

FIRST_BETA = 0.04
"""KL coefficient to begin with where there is none: DeepSeekMath's (2402.03300), for long TRL's own default."""

SOON = 50
"""Steps after a change of weights or settings within which what begins is told as having begun after it."""

RECENTLY = 40
"""Values over which it is told whether groups are too easy or too hard: as many as the check looks at."""

REPLACING = ("reset", "rollback")
"""Commands after which what the checks see is for a while still that of the weights before."""

FIRST_RATE = 1e-6
"""Learning rate to go back to where none that is known is of any use: TRL's own default for GRPO."""

_WEIGHTS = ("rollback CHECKPOINT", "set learning_rate=VALUE")
"""Remedies of findings on what the weights have become, which no setting that is put back heals."""


class Answer(Struct, frozen=True):
    """What there is to do about findings; at most one of these is not empty.

    Attributes:
        advised: the command that is advised.
        awaited: the command that has answered the finding just so, or put other weights in place, while it is too soon
            to tell what it did. A second dose before the first can have worked is one too many.
        hindered: why nothing is advised though a finding has a remedy.
    """

    advised: str = ""
    awaited: str = ""
    hindered: str = ""


def answer(snapshot: Snapshot, findings: Sequence[Finding]) -> Answer:
    """The remedy of the worst finding that has one which can be given."""
    hindered = ""
    for finding in findings:
        if not finding.remedy:
            continue
        advice = fit_to_run(snapshot, finding)
        why = hindrance(snapshot, advice)
        if not why:
            waiting = _awaited(snapshot, finding, advice)
            return Answer(awaited=waiting) if waiting else Answer(advice)
        hindered = hindered or f"no {advice}: {why}"
    return Answer(hindered=hindered)


def advised(snapshot: Snapshot, findings: Sequence[Finding]) -> str:
    """The command that is advised; empty where no finding has a remedy that can be given."""
    return answer(snapshot, findings).advised


def awaited(snapshot: Snapshot, findings: Sequence[Finding]) -> str:
    """The command whose effect is waited for; empty where there is none."""
    return answer(snapshot, findings).awaited


def _awaited(snapshot: Snapshot, finding: Finding, advice: str) -> str:
    verb, given = remedy(advice)
    if verb not in CHANGING:
        return ""
    since, tree = finding.since or 0, present.nodes(snapshot)
    for command in reversed(snapshot.commands):
        step = command.effective
        if (
            command.status != "applied"
            or command.verb not in (verb, "undo", *REPLACING)
            or step is None
            or step < since
        ):
            continue
        if command.verb == "undo":
            return ""
        just_so = command.verb in REPLACING or "key" not in given or given["key"] in command.after
        if just_so and on_the_way(tree, command.t, step):
            seen = np.count_nonzero(present.series(snapshot, "reward").steps > step)
            return f"#{command.number}" if seen < SHORT else ""
    return ""


def fit_to_run(snapshot: Snapshot, finding: Finding) -> str:
    """A finding's remedy with what this run can fill in: the newest checkpoint from before the trouble began, or the
    starting weights where there is none, half of the learning rate in force, twice the KL coefficient.

    What is critical takes back the command that it followed. Where there was none and the learning rate is to blame,
    that comes first and going back second, with the weights alone: a checkpoint would bring the old rate along.
    """
    if finding.severity == "critical":
        if back := _taking_back(snapshot, finding):
            return back
        if finding.remedy == "set learning_rate=VALUE" and _lowered(snapshot, finding):
            return f"reset --to {_healthy(snapshot, finding) or BASE}"
    if finding.remedy == "rollback CHECKPOINT":
        healthy = _healthy(snapshot, finding)
        return f"rollback {healthy}" if healthy else f"reset --to {BASE}"
    now = settable(snapshot)
    if finding.remedy == "set learning_rate=VALUE" and "learning_rate" in now:
        return f"set learning_rate={_lower(snapshot, now['learning_rate'], finding.severity):g}"
    if finding.remedy == "phase NAME":
        return f"phase {_whither(snapshot, finding)}"
    if finding.remedy == "set beta=VALUE" and "beta" in now:
        return f"set beta={2 * now['beta'] or FIRST_BETA:g}"
    return finding.remedy


def _whither(snapshot: Snapshot, finding: Finding) -> str:
    """To which phase: a harder one, or where more groups fail wholly than are solved wholly, an easier one."""
    right, wrong = (_lately(snapshot, f"groups/{name}") for name in ("all_right", "all_wrong"))
    return "prev" if finding.rule == "zero-variance" and wrong > right else "next"


def _lately(snapshot: Snapshot, name: str) -> float:
    """Mean of the recent values of a metric; 0 where there is none."""
    values = present.series(snapshot, name).values[-RECENTLY:]
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else 0.0


def _lower(snapshot: Snapshot, rate: float, severity: str) -> float:
    """A learning rate to try instead; where a part of it is of no more use, one that others train with."""
    return lower(rate, configured(snapshot), CUT if severity == "critical" else 2) or FIRST_RATE


def led_up(snapshot: Snapshot, finding: Finding) -> CommandMark | None:
    """The last command that changed weights or settings at most SOON steps before a finding began; None: there is none.

    What follows a change need not come from it, but is where to look first.
    """
    if finding.since is None:
        return None
    tree = present.nodes(snapshot)
    for command in reversed(snapshot.commands):
        step = command.effective
        if command.status != "applied" or command.verb not in CHANGING or step is None:
            continue
        if 0 < finding.since - step <= SOON and command.before != command.after and on_the_way(tree, command.t, step):
            return command
    return None


def after_what(snapshot: Snapshot, finding: Finding) -> str:
    """The command that a finding began soon after, in words; empty where there is none."""
    command = led_up(snapshot, finding)
    return "" if command is None else f"after #{command.number} {asked(command)}"


def _taking_back(snapshot: Snapshot, finding: Finding) -> str:
    """What takes back the command that led up to a finding; empty where there is none or nothing does."""
    command = led_up(snapshot, finding)
    # What follows a rollback comes from training on; to undo it would lead back to what was fled from.
    if command is None or command.step is None or command.verb == "rollback":
        return ""
    last = to_undo(snapshot)
    undo = "undo" if last is not None and last.number == command.number else ""
    if undo and (command.verb not in ("set", "phase") or finding.remedy not in _WEIGHTS):
        return undo
    # To undo a setting leaves the weights as they are, so that going back to before it comes first.
    saved = [each.name for each in snapshot.restorable if each.step <= command.step and each.t <= command.t]
    return f"rollback {saved[-1]}" if saved else undo


def _healthy(snapshot: Snapshot, finding: Finding) -> str:
    """The newest checkpoint from before the trouble began; empty where there is none."""
    begun = snapshot.step if finding.since is None else finding.since
    return next((saved.name for saved in reversed(snapshot.restorable) if saved.step < begun), "")


def _lowered(snapshot: Snapshot, finding: Finding) -> bool:
    """Whether a command has lowered the learning rate since the finding began; that a schedule does is no answer."""
    since, tree = snapshot.step if finding.since is None else finding.since, present.nodes(snapshot)
    for command in reversed(snapshot.commands):
        before, after, step = command.before.get(RATE), command.after.get(RATE), command.effective
        if command.status != "applied" or step is None or step < since or not on_the_way(tree, command.t, step):
            continue
        if isinstance(before, int | float) and isinstance(after, int | float) and before != after:
            return after < before
    return False


def in_words(snapshot: Snapshot, advice: str) -> str:
    """A command that is advised, with what is in force where it would change that, or the phase that it leads to."""
    verb, given = remedy(advice)
    if verb == "phase" and given.get("to") in ("next", "prev"):
        names, step = [phase.name for phase in phases_of(snapshot)], 1 if given["to"] == "next" else -1
        here = present.phase(snapshot)
        at = names.index(here) + step if here in names else -1
        named = f" ({names[at]})" if 0 <= at < len(names) else ""
        return f"{advice}{named}"
    now = settable(snapshot).get(given["key"]) if verb == "set" else None
    return advice if now is None else f"{advice} ({now:g} now)"


def hindrance(snapshot: Snapshot, advice: str) -> str:
    """Why a remedy cannot be given in this run now; empty when it can."""
    verb, given = remedy(advice)
    cannot = snapshot.settings[-1].cannot if snapshot.settings else {}
    if verb in cannot:
        return cannot[verb]
    if verb == "set" and given["key"] not in settable(snapshot):
        return cannot.get(f"set {given['key']}", f"this run has no setting {given['key']}")
    if verb == "set" and f"{settable(snapshot)[given['key']]:g}" == given["value"]:
        return f"{given['key']} is {given['value']} already"
    names = [phase.name for phase in phases_of(snapshot)] if verb == "phase" else []
    if names:
        ends = {"prev": (names[0], "before"), "next": (names[-1], "after")}
        end, where = ends.get(given.get("to", ""), (None, ""))
        if present.phase(snapshot) == end:
            return f"there is no phase {where} the present one"
    return lacking(verb, snapshot)


def lacking(verb: str, snapshot: Snapshot) -> str:
    """Why there is nothing yet that `verb` could do; empty when there is."""
    if verb == "rollback" and not snapshot.restorable:
        return "there is no checkpoint on disk to roll back to; the command checkpoint writes one"
    if verb == "phase" and not phases_of(snapshot):
        return "this run has no curriculum"
    if verb == "set" and not settable(snapshot):
        return "this run has not said which settings are in force"
    if verb == "undo" and to_undo(snapshot) is None:
        return "there is nothing to undo: no command has changed weights or settings"
    return ""


def remedy(advice: str) -> tuple[str, Values]:
    """The command that a verdict advises, and what of it is known; words in capitals are for the person to fill in."""
    verb, _, rest = advice.partition(" ")
    known = "" if rest.isupper() else rest
    match verb:
        case "phase":
            return verb, {"to": known} if known else {}
        case "rollback":
            return verb, {"checkpoint": known} if known else {}
        case "reset":
            return verb, {"to": known.removeprefix("--to ")}
        case "probe":
            return verb, {"name": known}
        case "set":
            key, _, value = rest.partition("=")
            return verb, {"key": key, "value": "" if value.isupper() else value}
    return verb, {}
