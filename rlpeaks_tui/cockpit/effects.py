"""Whether a command helped, as the card says it: a line of figures for each metric, and below what they amount to."""

from __future__ import annotations

from rlpeaks_tui.run.follow import CommandMark, Snapshot
from rlpeaks_tui.stats.effect import Compared, effects

TITLE_CELLS = 14


def lines_for(snapshot: Snapshot, mark: CommandMark) -> list[str] | None:
    """What changed between the steps before a command and those after it, in lines for a person.

    None while there are too few steps after it to tell anything. Called by the reader in its thread.
    """
    for effect in effects(snapshot.columns, snapshot.commands, snapshot.branches, snapshot.phases):
        if effect.command.id == mark.id:
            known = [
                (title, found) for title, found in effect.metrics.items() if found and found.difference is not None
            ]
            return [line for title, found in known for line in _lines(title, found)] or None
    return None


def _lines(title: str, found: Compared) -> list[str]:
    # A slope is a small number a step; nobody thinks in those.
    scale, unit = (100, "; nats in 100 steps") if title == "entropy slope" else (1, "")
    before, after, difference, low, high, expected = (
        None if value is None else scale * value
        for value in (found.before, found.after, found.difference, found.low, found.high, found.expected)
    )
    change = f"{_number(before, 3):>7} → {_number(after, 3)}"
    interval = f"({_number(low)} to {_number(high)})"
    figures = f"{title:<{TITLE_CELLS}}{change:<17}{_number(difference, sign='+'):>8} {interval}"
    trend = "" if expected is None else f"; by the trend before {_number(expected, 3)}"
    return [figures, f"{'':<{TITLE_CELLS}}{found.verdict}{trend}{unit}"]


def _number(value: float | None, digits: int = 2, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.{digits}g}".replace("-", "\u2212")
