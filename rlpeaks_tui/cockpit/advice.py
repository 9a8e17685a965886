"""What the verdict advises: the remedy of the worst finding that has one which can be given in this run, now.

A remedy that cannot be given helps nobody: where there is no checkpoint to go back to, or no such setting, the next
finding's is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

from rlpeaks_tui.run import present
from rlpeaks_tui.run.follow import Snapshot
from rlpeaks_tui.run.requests import BASE

from .curriculum import phases_of
from .form import Values
from .questions import settable, to_undo
from .scene import Finding

FIRST_BETA = 0.04
"""KL coefficient to begin with where there is none: DeepSeekMath's (2402.03300), for long TRL's own default."""


def advised(snapshot: Snapshot, findings: Sequence[Finding]) -> str:
    """The command that is advised; empty where no finding has a remedy that can be given."""
    fitted = (fit_to_run(snapshot, finding) for finding in findings if finding.remedy)
    return next((advice for advice in fitted if not hindrance(snapshot, advice)), "")


def fit_to_run(snapshot: Snapshot, finding: Finding) -> str:
    """A finding's remedy with what this run can fill in: the newest checkpoint from before the trouble began, or the
    starting weights where there is none, half of the learning rate in force, twice the KL coefficient."""
    if finding.remedy == "rollback CHECKPOINT":
        begun = snapshot.step if finding.since is None else finding.since
        healthy = [saved.name for saved in snapshot.restorable if saved.step < begun]
        return f"rollback {healthy[-1]}" if healthy else f"reset --to {BASE}"
    now = settable(snapshot)
    if finding.remedy == "set learning_rate=VALUE" and "learning_rate" in now:
        return f"set learning_rate={now['learning_rate'] / 2:g}"
    if finding.remedy == "set beta=VALUE" and "beta" in now:
        return f"set beta={2 * now['beta'] or FIRST_BETA:g}"
    return finding.remedy


def in_words(snapshot: Snapshot, advice: str) -> str:
    """A command that is advised, with what is in force where it would change that; what a person is to choose is said
    in words."""
    verb, given = remedy(advice)
    if verb == "phase" and not given:
        return "another phase"
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
    if (
        verb == "phase"
        and given.get("to") == "prev"
        and present.phase(snapshot) == next(iter(snapshot.info.phases), None)
    ):
        return "there is no phase before the present one"
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
