"""What became of each held-out prompt: its share right from evaluation to evaluation, beside that of the base.

A mean hides that some prompts are learned while others are lost. Every prompt has a row here, and a class that says
how clear its change is, so that what is few and what is many can be told before anybody reads a prompt.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from msgspec import Struct

from rlpeaks_tui.run import present
from rlpeaks_tui.run.measured import Evaluation
from rlpeaks_tui.stats.difficulty import CLASSES, CLEAR, difficulty
from rlpeaks_tui.stats.paired import mcnemar

from ..axes import Floats
from ..bars import lying
from ..cells import BOLD, Cells, Ink, fit, heat, width_of
from ..filtering import filtered
from ..heatmap import levels
from ..scene import Scene
from ..words import signed
from .completion import one_line
from .parts import clauses, heading, nothing
from .picking import first_shown, of_prompt, pick, picked, raise_row
from .prompt_study import LONGEST, Asked

ORDER = ("forgotten", "dead", "stuck", "learned", "kept", "unknown")
SIGN: dict[str, tuple[str, int]] = {
    "forgotten": ("▼", Ink.BAD),
    "dead": ("x", Ink.DIM),
    "stuck": ("~", Ink.WARN),
    "learned": ("▲", Ink.GOOD),
    "kept": ("•", Ink.TEXT),
    "unknown": ("?", Ink.UNKNOWN),
}
BY_CHANCE = 40
"""Of so many prompts that did not change about one counts as learned and one as forgotten."""
STRIP, ASCII_STRIP = "·░▒▓█", "_.:+#"
"""None right, up to a third, two thirds, less than all, all; blank means that it is not known."""
WIDE = 110
NARROWEST = 34
"""Columns of the plane of base and change, at least."""
STRIP_AT, FIGURES = 15, 19


class Fate(Struct, frozen=True):
    """One held-out prompt: its place, text, task and class, shares right of the base and now, and by evaluation."""

    number: int
    prompt: str
    task: str
    kind: str
    base: float
    now: float
    rates: Floats

    @property
    def change(self) -> float:
        return self.now - self.base


def fates(scene: Scene) -> Sequence[Fate]:
    """Every held-out prompt at the step shown: by class, and in it those that changed most first."""
    seen = evaluations(scene)
    return _fates(tuple(seen), scene.study if isinstance(scene.study, Asked) else None) if seen else ()


# Of the newest evaluation and study: a person moves through the list far more often than there is a new one.
@lru_cache(maxsize=1)
def _fates(seen: tuple[Evaluation, ...], study: Asked | None) -> tuple[Fate, ...]:
    last = seen[-1]
    asked = study.held_out if study else None
    named = asked is not None and len(asked.prompts) == len(last.rate)
    prompts = asked.prompts if asked and named else [f"prompt {i + 1}" for i in range(len(last.rate))]
    tasks = asked.tasks if asked and named else [""] * len(last.rate)
    rates = np.stack([one.rate for one in seen], axis=1)
    found = [
        Fate(i, prompts[i][:LONGEST], tasks[i][:LONGEST], kind, float(last.base_rate[i]), float(last.rate[i]), rates[i])
        for i, kind in enumerate(kinds(last))
    ]
    return tuple(sorted(found, key=lambda fate: (ORDER.index(fate.kind), _rank(fate))))


def _rank(fate: Fate) -> float:
    change = np.nan_to_num(fate.change)
    return float(-change if fate.kind in ("learned", "kept") else change)


def kinds(last: Evaluation) -> list[str]:
    """The class of each prompt, unknown where an outcome is not."""
    whole = np.isfinite(last.rate) & np.isfinite(last.base_rate)
    right, then = (np.rint(np.clip(part[whole], 0, 1) * last.samples) for part in (last.rate, last.base_rate))
    names = np.full(len(last.rate), "unknown", dtype=object)
    names[whole] = [CLASSES[i] for i in difficulty(then, right, last.samples).index.tolist()]
    return [str(name) for name in names]


def evaluations(scene: Scene) -> list[Evaluation]:
    """Those that led to the step shown, of the same prompts, one a step."""
    by_step = {one.step: one for one in present.upto(scene.snapshot, scene.snapshot.evaluations, scene.step)}
    seen = [by_step[step] for step in sorted(by_step)]
    return [one for one in seen if len(one.rate) == len(seen[-1].rate)]


def listed(scene: Scene, found: Sequence[Fate]) -> tuple[Sequence[Fate], str]:
    """The prompts that the filter lets through, which may name a class, a task or text."""
    return filtered(found, scene.view.filter, lambda fate: f"{fate.kind} {fate.task} {fate.prompt}")


def query(scene: Scene) -> str:
    """The completions that training wrote for the picked prompt."""
    one = pick(scene, listed(scene, fates(scene))[0])
    return of_prompt(one.prompt) if one is not None else ""


def overview(scene: Scene, width: int, height: int) -> Cells:
    """How many prompts are in each class; the prompts themselves are on a screen of their own."""
    cells = Cells(width, height)
    everything = fates(scene)
    if not everything:
        heading(cells, scene, "prompts", "o", "Prompts", Ink.UNKNOWN)
        return nothing(cells, scene.why("eval/pass@1"))
    counts = counted(everything)
    value = f"{counts['learned']} learned, {counts['forgotten']} forgotten"
    held = f"{len(everything)} held out"
    heading(cells, scene, "prompts", "o", "Prompts", Ink.REWARD, value, point(everything), held)
    shown = [kind for kind in ORDER if counts[kind] or kind != "unknown"]
    for y, kind in enumerate(shown[: height - 2], 2):
        sign, ink = SIGN[kind]
        cells.put(y, 0, sign, ink | BOLD)
        cells.put(y, 2, kind, ink)
        cells.put_right(y, 16, str(counts[kind]), Ink.TEXT)
        cells.put(y, 18, lying(counts[kind] / len(everything), max(0, width - 18), scene.ascii_only), ink)
    return cells


def held_out(scene: Scene, width: int, height: int) -> Cells:
    """The list, with base and change as a plane beside it where there is room."""
    cells = Cells(width, height)
    shown = head(cells, scene)
    if shown is None:
        return cells
    everything, found, at = shown
    columns = columns_for(found, width if width < WIDE else max(90, width * 11 // 20))
    beside = columns.width + 3 if width - columns.width - 3 >= NARROWEST else width
    top = 3 if height >= 14 else 2
    signs = ASCII_STRIP if scene.ascii_only else STRIP
    said = f"{point(everything)}; by evaluation: share right, {signs[0]} none {signs[-1]} all"
    cells.put(1, 0, fit(said, width), Ink.FAINT)
    if top == 3:
        cells.put(2, 0, clauses(_how(scene.look.open), width, 1)[0], Ink.FAINT)
    cells.blit(top, 0, rows(scene, found, at, columns, height - top))
    if beside < width:
        cells.put(3, beside, fit("change; digits: several prompts", width - beside), Ink.FAINT)
        cells.blit(4, beside, scatter(everything, found[at], width - beside, min(height - 4, 34)))
    return cells


def start_and_change(scene: Scene, width: int, height: int) -> Cells:
    """The plane alone, for a screen without room for both."""
    cells = Cells(width, height)
    shown = head(cells, scene)
    if shown is None:
        return cells
    everything, found, at = shown
    said = "each sign a held-out prompt, a digit several, in brackets the picked one"
    cells.put(1, 0, fit(said, width), Ink.FAINT)
    one = found[at]
    sign, ink = SIGN[one.kind]
    cells.put(2, 0, sign, ink)
    cells.put(2, 2, fit(f"{one.kind}: {text_of(one.prompt)}", width - 24), ink)
    cells.put_right(2, width, f"{_share(one.base)} to {_share(one.now)}", Ink.TEXT)
    cells.blit(4, 0, scatter(everything, one, width, height - 5))
    x = 0
    for name, (sign, ink) in SIGN.items():
        x = cells.put(height - 1, x, f"{sign} {name}", ink) + 3
    return cells


def head(cells: Cells, scene: Scene) -> tuple[Sequence[Fate], Sequence[Fate], int] | None:
    """The heading; gives all prompts, those listed, and the place of the pick; None where there is nothing."""
    everything = fates(scene)
    if not everything:
        heading(cells, scene, "", "", "Prompts", Ink.UNKNOWN)
        nothing(cells, scene.why("eval/pass@1"))
        return None
    found, note = listed(scene, everything)
    counts = counted(everything)
    rest = ", ".join(f"{counts[kind]} {kind}" for kind in ("stuck", "dead", "kept", "unknown") if counts[kind])
    value = f"{counts['learned']} learned, {counts['forgotten']} forgotten"
    unit = f"{len(everything)} held out, at step {evaluations(scene)[-1].step:,}"
    heading(cells, scene, "", "", "Prompts", Ink.REWARD, value, note or rest, unit)
    if not found:
        nothing(cells, "no prompt matches")
        return None
    return everything, found, picked(cells, scene, len(found))


def _how(key: str) -> list[str]:
    """How to read the list, and what `key` opens from it."""
    return [
        f"learned, forgotten: by over {CLEAR:g} standard errors",
        "stuck: no clear change",
        f"{key}: training's completions only",
        "held-out answers are not kept",
    ]


def counted(everything: Sequence[Fate]) -> Counter[str]:
    """How many prompts are in each class."""
    return Counter(fate.kind for fate in everything)


def point(everything: Sequence[Fate]) -> str:
    """What the classes come to, against what chance alone would give."""
    learned, forgotten, unknown = map(counted(everything).__getitem__, ("learned", "forgotten", "unknown"))
    total = len(everything) - unknown
    if not total:
        return "the base's answers are not known"
    most = by_chance(total)
    if forgotten > most:
        uneven = mcnemar(learned, forgotten) < 0.05
        if uneven and forgotten > learned:
            return "more is lost than won"
        return "some is paid for with what was known" if learned > most else "some of what was known is lost"
    return "learned, no forgetting beyond chance" if learned > most else "no more changed than chance changes"


def by_chance(total: int) -> int:
    """The most prompts of so many unchanged ones that count as learned in 97.5 of 100 cases; as many as forgotten."""
    chance = total / BY_CHANCE
    term = inside = math.exp(-chance)
    most = 0
    while inside < 0.975:
        most += 1
        term *= chance / most
        inside += term
    return most


class Columns(Struct, frozen=True):
    """How wide the list's columns are: text, strip with `each` cells an evaluation, task; 0: it has no room."""

    text: int
    strip: int
    each: int
    task: int

    @property
    def width(self) -> int:
        beside = sum(part + gap for part, gap in ((self.strip, 1), (self.task, 3)) if part)
        return STRIP_AT + self.text + FIGURES + beside


def columns_for(found: Sequence[Fate], width: int) -> Columns:
    """The columns of a list in at most `width` cells."""
    task = max(width_of(fit(fate.task, 20)) for fate in found) if width >= 90 else 0
    evaluations, room = len(found[0].rates), max(4, (width - 56) // 2)
    # Two cells an evaluation where they fit, so that a short history is no speck.
    each = 2 if 2 * evaluations <= room else 1
    strip = min(each * evaluations, room // each * each)
    free = width - Columns(0, strip, each, task).width
    if free < 8:
        strip, free = 0, free + strip + 1
    return Columns(max(0, min(max(width_of(text_of(fate.prompt)) for fate in found), free)), strip, each, task)


def rows(scene: Scene, found: Sequence[Fate], at: int, columns: Columns, height: int) -> Cells:
    """One row a prompt: class, text, shares by evaluation as a strip, base, now, change, task."""
    cells = Cells(columns.width, height)
    x = STRIP_AT + columns.text
    end = x + (columns.strip + 1 if columns.strip else 0)
    for stop, title in ((end + 5, "base"), (end + 11, "now"), (end + 19, "change")):
        cells.put_right(0, stop, title, Ink.FAINT)
    cells.put(0, x, fit("by evaluation" if columns.strip >= 13 else "by eval", columns.strip, ""), Ink.FAINT)
    top = first_shown(at, len(found), height - 1)
    for y, fate in enumerate(found[top : top + height - 1], 1):
        sign, ink = SIGN[fate.kind]
        cells.put(y, 1, sign, ink | BOLD)
        cells.put(y, 3, fate.kind, ink)
        cells.put(y, 13, fit(text_of(fate.prompt), columns.text), Ink.TEXT)
        if columns.strip:
            heat_strip(cells, y, x, fate.rates[-(columns.strip // columns.each) :], columns.each, scene.ascii_only)
        cells.put_right(y, end + 5, _share(fate.base), Ink.DIM)
        cells.put_right(y, end + 11, _share(fate.now), Ink.TEXT)
        cells.put_right(y, end + 19, signed(round(fate.change, 2))[:5] if fate.change == fate.change else "-", ink)
        if columns.task:
            cells.put(y, end + 22, fit(fate.task, columns.task), Ink.DIM)
        if top + y - 1 == at:
            raise_row(cells, y, 0, cells.width)
    return cells


def heat_strip(cells: Cells, y: int, x: int, rates: Floats, wide: int, ascii_only: bool) -> None:
    """`wide` cells for each share: five glyphs from none to all right, in the shade of heat; blank where not known."""
    glyphs = ASCII_STRIP if ascii_only else STRIP
    for i, (rate, level) in enumerate(zip(rates.tolist(), levels(rates, 0.0, 1.0).tolist(), strict=True)):
        if level >= 0:
            place = 0 if rate <= 0 else 4 if rate >= 1 else 1 + int(rate * 3)
            # The darkest shades of heat are for grounds; a dot in them could not be seen.
            cells.put(y, x + i * wide, glyphs[place] * wide, heat(5 + level * 2 // 3) if place else Ink.DIM)


def scatter(found: Sequence[Fate], one: Fate, width: int, height: int) -> Cells:
    """Prompts in the plane of the base's share right, across, and its change, up; nothing where it has no room."""
    cells = Cells(width, height)
    left, plot = 6, height - 2
    wide = width - left - 1
    if wide < 20 or plot < 5:
        return cells
    zero = round((plot - 1) / 2)
    cells.fill(zero, left, wide, "─", Ink.FAINT)
    for label, row in (("+1", 0), ("0", zero), ("−1", plot - 1)):
        cells.put_right(row, left - 1, label, Ink.DIM)
    places: dict[tuple[int, int], list[Fate]] = {}
    for fate in found:
        if fate.change == fate.change:
            at = round((1 - fate.change) / 2 * (plot - 1)), left + round(fate.base * (wide - 1))
            places.setdefault(at, []).append(fate)
    for (row, column), here in places.items():
        sign, ink = SIGN[here[0].kind]
        text = sign if len(here) == 1 else str(len(here)) if len(here) < 10 else "9+"
        cells.put(row, column, text, ink | BOLD)
        if any(fate.number == one.number for fate in here):
            cells.put(row, column - 1, "[", Ink.CURSOR | BOLD)
            cells.put(row, column + width_of(text), "]", Ink.CURSOR | BOLD)
    for label, share in (("0", 0.0), ("0.5", 0.5), ("1", 1.0)):
        cells.put(plot, left + round(share * (wide - 1)) - len(label) // 2, label, Ink.DIM)
    cells.put(plot + 1, left, fit("share right of the base", wide), Ink.FAINT)
    return cells


def text_of(prompt: str) -> str:
    """A prompt in a row."""
    return one_line(prompt)


def _share(value: float) -> str:
    return f"{value:.2f}" if value == value else "-"
