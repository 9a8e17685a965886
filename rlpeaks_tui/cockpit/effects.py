"""Whether a command helped, as the card says it: a line of figures for each metric, and below what they amount to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rlpeaks_tui.run.entries import ENDED
from rlpeaks_tui.run.follow import Snapshot
from rlpeaks_tui.run.marks import CommandMark
from rlpeaks_tui.stats.answered import answered, compared
from rlpeaks_tui.stats.effect import IN_STEPS, Compared, effects, named, shortage, shown, thought, together

from .words import plural

TITLE, VALUE = 14, 8
"""Cells of a metric's name and of a value; with an interval they fill the card."""

NEVER, NOTHING = "not enough steps to tell:", "nothing was measured that it could be told by"
"""What a card begins with that has nothing to tell."""


def lines_for(snapshot: Snapshot, mark: CommandMark) -> list[str] | None:
    """What changed between the steps before a command and those after it, in lines for a person, the alerts first.

    None while there are too few steps after it to tell anything. Called by the reader in its thread.
    """
    ended, what = snapshot.state in ENDED, compared(snapshot.alerts, mark.t)
    changes = snapshot.commands, snapshot.branches, snapshot.phases
    for effect in effects(snapshot.columns, *changes, ended=ended, compared=what):
        if effect.command.id == mark.id:
            there = {title: found for title, found in effect.metrics.items() if found}
            known = [(title, found) for title, found in there.items() if found.difference is not None]
            if not known and any(found.verdict == "not enough steps yet" for found in there.values()):
                return None
            alerts = answered(effect, snapshot.alerts, snapshot.commands, live=snapshot.live)
            context = [line for line in (together(effect), alerts) if line]
            if not known:
                return [*_never([*there.values()]), *context]
            usual, _ = Counter((found.rows_before, found.rows_after) for _, found in known).most_common(1)[0]
            figures = [line for title, found in known for line in _lines(title, found, usual)]
            return [*context, *([""] if context else []), _head(*usual), *figures]
    return None


def tells(lines: Sequence[str]) -> bool:
    """Whether lines tell anything: a card that does not comes only when it is asked for."""
    return bool(lines) and lines[0] not in (NEVER, NOTHING)


def _never(found: Sequence[Compared]) -> list[str]:
    """What to say where there never will be enough to tell anything."""
    most = max(found, key=lambda each: min(each.rows_before, each.rows_after), default=None)
    return [NOTHING] if most is None else [NEVER, shortage(most)]


def _head(before: int, after: int) -> str:
    counts = f"{'means of':<{TITLE}}{before:>{VALUE}} → {_values(after)}"
    end = TITLE + VALUE + 3 + VALUE + 1 + VALUE
    return f"{counts}{'change':>{end - len(counts)}} (95 % interval)"


def _values(count: int) -> str:
    return plural(count, "value")


def _lines(title: str, found: Compared, usual: tuple[int, int]) -> list[str]:
    """Figures under those of the other metrics, and what they amount to; `usual` many values are those of others."""
    before, after, difference, low, high = (value.replace("-", "\u2212") for value in shown(title, found))
    change = f"{before:>{VALUE}} → {after:<{VALUE}} {difference:>{VALUE}}"
    figures = f"{named(title, found):<{TITLE}}{change} ({low} to {high})"
    amounts = thought(found).replace("-", "\u2212")
    if title == "entropy slope":
        amounts += f"; nats {IN_STEPS}"
    if (found.rows_before, found.rows_after) != usual:
        amounts += f"; {found.rows_before} → {_values(found.rows_after)}"
    return [figures, f"  {amounts}"]
