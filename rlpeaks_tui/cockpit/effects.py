"""Whether a command helped, as the card says it: a line of figures for each metric, and below what they amount to."""

from __future__ import annotations

from rlpeaks_tui.run.entries import ENDED
from rlpeaks_tui.run.follow import CommandMark, Snapshot
from rlpeaks_tui.stats.effect import Compared, effects, named, shortage

TITLE_CELLS = 14


def lines_for(snapshot: Snapshot, mark: CommandMark) -> list[str] | None:
    """What changed between the steps before a command and those after it, in lines for a person.

    None while there are too few steps after it to tell anything. Called by the reader in its thread.
    """
    ended = snapshot.state in ENDED
    for effect in effects(snapshot.columns, snapshot.commands, snapshot.branches, snapshot.phases, ended=ended):
        if effect.command.id == mark.id:
            there = {title: found for title, found in effect.metrics.items() if found}
            known = [(title, found) for title, found in there.items() if found.difference is not None]
            return [line for title, found in known for line in _lines(title, found)] or _never([*there.values()])
    return None


def _never(found: list[Compared]) -> list[str] | None:
    """What to say where there never will be enough to tell anything; None where there still may be."""
    if any(each.verdict == "not enough steps yet" for each in found):
        return None
    most = max(found, key=lambda each: min(each.rows_before, each.rows_after), default=None)
    if most is None:
        return ["nothing was measured that it could be told by"]
    return ["not enough steps to tell:", shortage(most)]


def _lines(title: str, found: Compared) -> list[str]:
    # A slope is a small number a step; nobody thinks in those.
    scale, unit = (100, "; nats in 100 steps") if title == "entropy slope" else (1, "")
    before, after, difference, low, high, expected = (
        None if value is None else scale * value
        for value in (found.before, found.after, found.difference, found.low, found.high, found.expected)
    )
    change = f"{_number(before, 3):>7} → {_number(after, 3)}"
    interval = f"({_number(low)} to {_number(high)})"
    figures = f"{named(title, found):<{TITLE_CELLS}}{change:<17}{_number(difference, sign='+'):>8} {interval}"
    rows = f" ({found.rows_before} steps only)" if found.short else ""
    trend = "" if expected is None else f"; by the trend before{rows} {_number(expected, 3)}"
    return [figures, f"{'':<{TITLE_CELLS}}{found.verdict}{trend}{unit}"]


def _number(value: float | None, digits: int = 2, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.{digits}g}".replace("-", "\u2212")
