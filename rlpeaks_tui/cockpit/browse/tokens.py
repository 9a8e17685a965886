"""One completion token by token: shaded by what is asked, with the numbers of the token that is picked.

A shade is a ground in the colours of the heat scale, or a class of type (grey, plain, bold, underlined) on a terminal
without them; either way the legend carries the range in numbers, and every number of the picked token stands below.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from rlpeaks_tui.run.rollouts import Rollouts, TokenTrace
from rlpeaks_tui.run.text import clean_line

from ..cells import BLANK, BOLD, HEAT_LEVELS, REVERSE, UNDERLINE, Cells, Ink, fit, heat, width_of
from ..heatmap import levels
from ..scene import Look
from .columns import Column, decimal, fitting, paragraph, put_row, put_titles
from .texts import flowed, lined

Values = NDArray[np.float64]
"""float64[T], one number a token."""

CLASSES = (Ink.FAINT, Ink.TEXT, Ink.TEXT | BOLD, Ink.TEXT | BOLD | UNDERLINE)
CLASS_NAMES = ("grey", "plain", "bold", "underlined")
TOP = 3
"""Rows above the text."""
BAR = 12
"""Cells of the longest bar in the table."""


class Shade(Struct, frozen=True):
    """A way to shade tokens.

    Attributes:
        name: of what is shown.
        unit: of its numbers.
        says: what a strong shade means.
        values: float64[T] from a trace and the advantage of its completion; None where it was not measured.
        strength: what of a value is shaded, never negative: itself, its size, or its opposite.
        signed: a value below zero means the opposite, and is underlined.
    """

    name: str
    unit: str
    says: str
    values: Callable[[TokenTrace, float], Values | None]
    strength: Callable[[Values], Values]
    signed: bool = False


def _kept(array: NDArray[np.float32]) -> Values | None:
    return array.astype(np.float64) if len(array) else None


def _drift(trace: TokenTrace, advantage: float) -> Values | None:
    logp, base = _kept(trace.logp), _kept(trace.base_logp)
    return None if logp is None or base is None else logp - base


def _push(trace: TokenTrace, advantage: float) -> Values | None:
    logp = _kept(trace.logp)
    # d log p / d logit of the token itself is 1 - p, so this is how far one step of the policy gradient pushes it.
    return None if logp is None or not np.isfinite(advantage) else advantage * -np.expm1(np.minimum(logp, 0.0))


SHADES = (
    Shade("entropy", "nats", "where the policy had a choice", lambda t, a: _kept(t.entropy), np.abs),
    Shade("KL k1", "nats", "likelier than at the start; underlined: less likely", _drift, np.abs, True),
    Shade("JS", "nats", "where policy and start differ most", lambda t, a: _kept(t.js), np.abs),
    Shade(
        "advantage", "A (1 − p)", "how hard the update pushes the token; underlined: away from it", _push, np.abs, True
    ),
    Shade("log p", "nats", "how surprising the token is", lambda t, a: _kept(t.logp), lambda v: np.maximum(-v, 0.0)),
)
"""KL of a token is log p minus log p of the starting weights; its mean over samples is the estimate k1."""


def trace_of(block: Rollouts, index: int) -> TokenTrace | None:
    return next((trace for trace in block.tokens if trace.index == index), None)


def measured(trace: TokenTrace, advantage: float) -> list[int]:
    """The shades, by their place in SHADES, for which there are numbers."""
    return [i for i, shade in enumerate(SHADES) if shade.values(trace, advantage) is not None]


def next_shade(block: Rollouts, index: int, shade: int, by: int) -> int:
    """The shade `by` places after this one among those that were measured; the same where none was."""
    trace = trace_of(block, index)
    there = measured(trace, float(block.advantage[index])) if trace is not None else []
    return there[((there.index(shade) if shade in there else 0) + by) % len(there)] if there else shade


def draw(
    block: Rollouts | None,
    index: int,
    name: str,
    token: int,
    shade: int,
    scroll: int,
    look: Look,
    width: int,
    height: int,
) -> tuple[Cells, int]:
    """The screen of one completion by token, and the first row of text that it really shows.

    Args:
        block: its generation; None while it is read.
        index: its place there.
        name: of the completion, in words.
        token: the one picked.
        shade: which of SHADES.
        scroll: rows that a text without tokens is moved down by.
        look: what the terminal can show.
    """  # fmt: skip
    cells = Cells(width, height)
    end = cells.put(0, 0, "Tokens", Ink.TEXT | BOLD)
    cells.put(0, end + 2, fit(name, width - end - 2), Ink.DIM)
    if block is None or index >= len(block.completions):
        cells.put(2, 0, fit("reading, or this generation is damaged or not kept any more", width), Ink.UNKNOWN)
        return cells, 0
    trace = trace_of(block, index)
    if trace is None or not trace.pieces:
        others = len(block.tokens)
        told = f"kept by token for a sample only: {others} of {len(block.completions)} completions of this step"
        cells.put(1, 0, fit(f"{told}; / tokens:yes lists them", width), Ink.UNKNOWN)
        text = block.completions[index]
        top, _, _ = lined(text, width).window(scroll, height - TOP)
        paragraph(cells, TOP, 0, text, width, height - TOP, Ink.TEXT, top)
        return cells, top
    advantage = float(block.advantage[index])
    there = measured(trace, advantage)
    shade = shade if shade in there else there[0] if there else shade
    values = SHADES[shade].values(trace, advantage)
    token = max(0, min(token, len(trace.pieces) - 1))
    _legend(cells, 1, trace, advantage, shade, look.flat)
    inks = _inks(values, SHADES[shade], look.flat) if values is not None else None
    rows = flowed(trace.pieces, width)
    room = max(1, min(len(rows.upto(height)), (height - TOP) * 3 // 5))
    at = row_of(trace.pieces, width, token)
    top, shown, _ = rows.window(max(0, at - room // 2), room)
    for y, row in enumerate(shown, TOP):
        x = 0
        for i, text in row:
            picked = i == token
            ink = Ink.CURSOR | BOLD | REVERSE if picked else int(inks[i]) if inks is not None else Ink.TEXT
            x = cells.put(y, x, text or ("▸" if picked else ""), ink)
    _table(cells, TOP + room + 1, trace, advantage, token, shade)
    return cells, top


def row_of(pieces: tuple[str, ...], width: int, token: int) -> int:
    """The row in which a token begins."""
    rows, count = flowed(pieces, width), 64
    while True:
        made = rows.upto(count)
        for at, row in enumerate(made):
            if row and row[-1][0] >= token:
                return at
        if rows.whole:
            return max(0, len(made) - 1)
        count *= 4


def moved(pieces: tuple[str, ...], width: int, token: int, down: int) -> int:
    """The token in another row that stands closest below or above `token`."""
    rows = flowed(pieces, width)
    at = row_of(pieces, width, token)
    made = rows.upto(at + max(0, down) + 1)
    x = sum(width_of(text) for i, text in made[at] if i < token)
    target = max(0, min(at + down, len(made) - 1))
    best, used = token, 0
    for i, text in made[target]:
        if used > x:
            break
        best, used = i, used + width_of(text)
    return best


def _inks(values: Values, shade: Shade, flat: bool) -> NDArray[np.int64]:
    """The ink of each token."""
    strength = shade.strength(values)
    level = levels(strength, 0.0, top_of(strength))
    if flat:
        inks = np.array(CLASSES, np.int64)[np.maximum(level, 0) * len(CLASSES) // HEAT_LEVELS]
        return np.where(level < 0, int(Ink.UNKNOWN), inks)
    grounds = np.array([_ground(step) for step in range(HEAT_LEVELS)], np.int64)
    inks = grounds[np.maximum(level, 0)] | np.where((values < 0) & shade.signed, UNDERLINE, 0)
    return np.where(level < 0, int(Ink.UNKNOWN), inks)


def _ground(level: int) -> int:
    """A heat ground with letters that can be read on it; the weakest is the plain ground, so that a text stays calm."""
    return int(Ink.TEXT) if level == 0 else heat(HEAT_LEVELS - 1 if level < 8 else 0, level)


def top_of(strength: Values) -> float:
    """The upper end of the range: the strongest of this completion."""
    known = strength[np.isfinite(strength)]
    return float(known.max()) if len(known) and known.max() > 0 else 1.0


def _legend(cells: Cells, y: int, trace: TokenTrace, advantage: float, shade: int, flat: bool) -> None:
    kind = SHADES[shade]
    values = kind.values(trace, advantage)
    if values is None:
        cells.put(y, 0, "nothing was measured by token", Ink.UNKNOWN)
        return
    top = top_of(kind.strength(values))
    lead = "−" if kind.name == "log p" else ""
    x = cells.put(y, 0, kind.name, Ink.ACCENT | BOLD) + 2
    if flat:
        for i, (ink, name) in enumerate(zip(CLASSES, CLASS_NAMES, strict=True)):
            x = cells.put(y, x, name, ink)
            x = cells.put(y, x, f" to {lead}{decimal(top * (i + 1) / len(CLASSES), digits=3)}", Ink.DIM) + 2
    else:
        x = cells.put(y, x, "0", Ink.DIM) + 1
        for level in range(1, HEAT_LEVELS):
            cells.inks[y, x : x + 1] = heat(0, level)
            cells.chars[y, x : x + 1] = BLANK
            x += 1
        x = cells.put(y, x + 1, f"{lead}{decimal(top, digits=3)}", Ink.TEXT) + 1
    x = cells.put(y, x, kind.unit, Ink.FAINT) + 2
    if x + width_of(kind.says) <= cells.width:
        x = cells.put(y, x, kind.says, Ink.DIM) + 2
    there = measured(trace, advantage)
    missing = [other.name for i, other in enumerate(SHADES) if i not in there]
    note = f"not measured: {', '.join(missing)}" if missing else ""
    if note and x + width_of(note) <= cells.width:
        cells.put_right(y, cells.width, note, Ink.UNKNOWN)


def _columns(trace: TokenTrace, advantage: float, shade: int) -> list[Column[int]]:
    """Of the table of tokens: every number that was measured, the one shaded first and with a bar."""
    kinds = measured(trace, advantage)
    columns: list[Column[int]] = [
        Column("token", 9, 0, lambda i: (f"{i + 1:,}", Ink.DIM), fits=True),
        Column("", 14, 0, lambda i: (f'"{clean_line(trace.pieces[i], limit=64)}"', Ink.TEXT | BOLD), left=True),
    ]
    for rank, kind in enumerate([shade, *(kind for kind in kinds if kind != shade)], 1):
        values = SHADES[kind].values(trace, advantage)
        if values is None:
            continue
        title = SHADES[kind].unit if SHADES[kind].name == "advantage" else SHADES[kind].name
        columns.append(Column(title, 9, rank, _number(values, SHADES[kind].signed, kind == shade)))
        if kind == shade:
            columns.append(Column("", BAR, 2, _bar(SHADES[kind].strength(values)), left=True))
    for rank, (title, logs) in enumerate((("p", trace.logp), ("start p", trace.base_logp)), 6):
        if len(logs):
            columns.append(Column(title, 7, rank, _number(np.exp(np.minimum(logs, 0.0)), False, False)))
    return columns


def _number(values: Values, sign: bool, shaded: bool) -> Callable[[int], tuple[str, int]]:
    def show(i: int) -> tuple[str, int]:
        value = float(values[i])
        ink = Ink.TEXT | BOLD if shaded else Ink.DIM
        return decimal(value, sign, 3), ink if np.isfinite(value) else Ink.UNKNOWN

    return show


def _bar(strength: Values) -> Callable[[int], tuple[str, int]]:
    top = top_of(strength)

    def show(i: int) -> tuple[str, int]:
        share = strength[i] / top if np.isfinite(strength[i]) else 0.0
        return "━" * round(share * BAR), Ink.ACCENT

    return show


def _table(cells: Cells, y: int, trace: TokenTrace, advantage: float, token: int, shade: int) -> None:
    """The picked token and those around it with all their numbers."""
    room = cells.height - y - 1
    top = max(0, min(token - room // 2, len(trace.pieces) - room))
    shown = range(top, min(top + room, len(trace.pieces)))
    sized = fitting(_columns(trace, advantage, shade), shown, cells.width)
    put_titles(cells, y, sized)
    for at, i in enumerate(shown, y + 1):
        put_row(cells, at, sized, i, i == token)
