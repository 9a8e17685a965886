"""The health rules one by one: what each says, since when, on what evidence, and what would act on it.

The verdict names the worst; here is also what passes and what could not be told, so that "all clear" can be looked
into. Beside the picked one stand its metric with the value at which it fires, where it has one, and when it did.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlpeaks_tui.run import present
from rlpeaks_tui.run.columns import Series
from rlpeaks_tui.run.entries import Alert
from rlpeaks_tui.stats.catalog import lookup
from rlpeaks_tui.stats.judging import CLEAR_AFTER, FIRE_AFTER
from rlpeaks_tui.stats.judging import Finding as Judged

from ..advice import advised, awaited, hindrance, in_words
from ..axes import span_of
from ..cells import BOLD, SOFT, Cells, Ink, fit, width_of, wrap
from ..chart import Line, draw
from ..filtering import filtered
from ..scene import Finding, Scene
from ..words import cited, number, plural
from .parts import axis_over, chart, heading, nothing, ticks_for, written
from .picking import first_shown, pick, picked, raise_row

ORDER = ("firing", "unknown", "ok", "n/a")
SIGN = {"firing": ("!", Ink.WARN), "unknown": ("?", Ink.UNKNOWN), "ok": ("•", Ink.GOOD), "n/a": ("−", Ink.FAINT)}
STRENGTH = {"published": "measured in a paper", "folklore": "common practice", "ours": "our own threshold"}
WIDE = 120
"""Columns from which on the picked check stands beside the list and not below it."""
NEWEST = 3
"""Times at which a check was told that its history names."""
STATE, TITLE = 3, 12
SINCE = 14


UNJUDGED = "nothing is judged before the whole journal is read"


def overview(scene: Scene, width: int, height: int) -> Cells:
    """The list alone, as far as it has room."""
    cells = Cells(width, height)
    if not scene.health.judged:
        heading(cells, scene, "checks", "x", "Checks", Ink.UNKNOWN)
        return nothing(cells, UNJUDGED)
    _head(cells, scene, "x")
    cells.blit(1, 0, _list(scene, in_order(scene), -1, width, height - 1))
    return cells


def enlarged(scene: Scene, width: int, height: int) -> Cells:
    """Adds what the picked check says in full: its evidence, what it rests on, its metric, its history, its remedy."""
    cells = Cells(width, height)
    if not scene.health.judged:
        heading(cells, scene, "", "", "Checks", Ink.UNKNOWN)
        return nothing(cells, UNJUDGED)
    found, note = listed(scene)
    _head(cells, scene, "", note)
    if not found:
        return nothing(cells, "no check matches")
    at = picked(cells, scene, len(found))
    if width >= WIDE:
        left = min(100, width // 2)
        cells.blit(2, 0, _list(scene, found, at, left, height - 2))
        cells.blit(2, left + 3, _detail(scene, found[at], width - left - 3, height - 2))
        return cells
    room = min(len(found), max(3, (height - 3) // 3 if height < 24 else (height - 3) * 2 // 5))
    cells.blit(1, 0, _list(scene, found, at, width, room))
    cells.blit(room + 2, 0, _detail(scene, found[at], width, height - room - 2))
    return cells


def _head(cells: Cells, scene: Scene, key: str, note: str = "") -> None:
    counts = {state: sum(one.state == state for one in scene.health.judged) for state in ORDER}
    said = ", ".join(f"{counts[state]} {state}" for state in ORDER[1:] if counts[state])
    value = plural(counts["firing"], "check") + (" fires" if counts["firing"] == 1 else " fire")
    unit = f"at step {scene.step:,}" if scene.view.cursor is not None else "each rule for itself"
    heading(cells, scene, "checks", key, "Checks", Ink.TEXT, value, note or said, unit)


def in_order(scene: Scene) -> list[Judged]:
    """Every check: firing ones first, in the order in which the verdict tells them, then as the rules are ordered."""
    told = {finding.rule: at for at, finding in enumerate(scene.health.findings)}
    return sorted(scene.health.judged, key=lambda one: (ORDER.index(one.state), told.get(one.rule.id, 0)))


def listed(scene: Scene) -> tuple[list[Judged], str]:
    """The checks that the filter lets through, and a note about it."""

    def text(one: Judged) -> str:
        return f"{one.state} {one.rule.id} {one.rule.title} {one.evidence}"

    return filtered(in_order(scene), scene.view.filter, text)


def advice(scene: Scene) -> str:
    """The command that the picked check advises; empty where it does not fire or nothing can be done in this run."""
    one = pick(scene, listed(scene)[0])
    return _advised(scene, one) if one is not None else ""


def waiting(scene: Scene) -> str:
    """The command whose effect on the picked check is waited for; empty where there is none."""
    one = pick(scene, listed(scene)[0])
    return awaited(scene.snapshot, _findings(scene, one)) if one is not None else ""


def _advised(scene: Scene, one: Judged) -> str:
    return advised(scene.snapshot, _findings(scene, one))


def _findings(scene: Scene, one: Judged) -> list[Finding]:
    return [finding for finding in scene.health.findings if finding.rule == one.rule.id]


def _list(scene: Scene, found: Sequence[Judged], at: int, width: int, height: int) -> Cells:
    """One row a check: what it says in a sign and a word, its title, since when, and evidence where there is room."""
    cells = Cells(width, height)
    titles = max(width_of(one.rule.title) for one in found)
    title = min(titles, width - TITLE - SINCE - 1)
    evidence = TITLE + title + 1 + SINCE
    top = first_shown(at, len(found), height)
    for y, one in enumerate(found[top : top + height]):
        sign, ink = SIGN[one.state]
        ink = Ink.BAD if one.severity == "critical" else ink
        loud = BOLD if one.state == "firing" else 0
        cells.put(y, 1, sign, ink | loud)
        cells.put(y, STATE, one.state, ink | loud)
        cells.put(y, TITLE, fit(one.rule.title, title), Ink.TEXT | loud if one.state in ("firing", "ok") else Ink.DIM)
        if one.since is not None:
            cells.put(y, TITLE + title + 1, f"since {one.since:,}", Ink.TEXT)
        if width - evidence >= 30:
            cells.put(y, evidence, fit(one.evidence, width - evidence), Ink.DIM)
        if top + y == at:
            raise_row(cells, y, 0, width)
    return cells


def _detail(scene: Scene, one: Judged, width: int, height: int) -> Cells:
    """The picked check in words, then its metric where there is room."""
    cells = Cells(width, height)
    sign, ink = SIGN[one.state]
    ink = Ink.BAD if one.severity == "critical" else ink
    state = one.state if one.severity is None else f"{one.state}, {'critical' if ink == Ink.BAD else 'a warning'}"
    x = cells.put(0, 0, f"{sign} {state}", ink | BOLD) + 2
    cells.put(0, x, fit(one.rule.title, width - x), Ink.TEXT | BOLD)
    y = 1
    # Where it is tight the curve still gets its five rows: what the rule rests on gives way to it.
    tight = height < 16
    rows: list[tuple[str, str, int, int]] = [
        ("evidence", one.evidence, Ink.TEXT, 2 if tight else 4),
        ("remedy", _remedy(scene, one), Ink.ACCENT if one.state == "firing" else Ink.DIM, 1 if tight else 2),
        ("history", _held(scene, one), Ink.TEXT, 1 if tight else 3),
        ("rests on", f"{cited(one.rule.source)} ({STRENGTH[one.rule.strength]})", Ink.DIM, 1 if tight else 4),
    ]
    if not tight:
        rows.append(("judged", _judged(one), Ink.DIM, 3))
        rows.append(("id", one.rule.id, Ink.DIM, 1))
    for label, text, shade, most in rows:
        lines = wrap(text, width - 10, most)
        if y + len(lines) > height:
            break
        cells.put(y, 0, label, Ink.FAINT)
        for line in lines:
            cells.put(y, 10, line, shade)
            y += 1
    if height - y >= 5:
        gap = int(not tight)
        cells.blit(y + gap, 0, _curve(scene, one, width, min(height - y - gap, 18)))
    return cells


def _remedy(scene: Scene, one: Judged) -> str:
    # What is fitted to the run when it fires is left open here.
    remedy = in_words(scene.snapshot, one.rule.remedy.removesuffix("=VALUE"))
    if one.state != "firing":
        return f"would be {remedy}, if it fired"
    advice = _advised(scene, one)
    if (sent := awaited(scene.snapshot, _findings(scene, one))) and scene.snapshot.live:
        return f"waiting for the effect of {sent}"
    if not advice:
        return f"{remedy}, but {hindrance(scene.snapshot, one.rule.remedy) or 'this run does not take it'}"
    said = in_words(scene.snapshot, advice)
    if one.severity == "critical" and advice.startswith("set learning_rate="):
        said = f"{said}, then going back, which heals the weights"
    if not scene.snapshot.live:
        return f"{said}, but the run has ended"
    return said if scene.readonly else f"{said}, {scene.look.act} opens it"


def _judged(one: Judged) -> str:
    rule = one.rule
    needs = " and ".join(need.replace("|", " or ") for need in rule.needs)
    parts = [f"at each value of {rule.needs[0].replace('|', ' or ')}", f"from {needs}"]
    if rule.window > 1:
        parts.append(f"over {rule.window} of them")
    if rule.warmup:
        parts.append(f"unknown for the first {rule.warmup} steps")
    parts.append(f"fires after {FIRE_AFTER} in a row, clears after {CLEAR_AFTER}")
    return ", ".join(parts)


def _held(scene: Scene, one: Judged) -> str:
    """When it was told, and where it fires since when it holds, which is earlier."""
    if one.since is None:
        return history(scene, one.rule.id)
    return f"holds since step {one.since:,}; {history(scene, one.rule.id)}; it is told after {FIRE_AFTER} in a row"


def history(scene: Scene, rule: str) -> str:
    """When the run itself told that the rule fires, up to the step shown, the newest last."""
    alerts = present.upto(scene.snapshot, scene.snapshot.alerts, scene.step)
    spans = _spans([alert for alert in alerts if alert.rule == rule])
    if not spans:
        return "the run has not told it"
    times = "once" if len(spans) == 1 else f"{len(spans)} times"
    shown = [f"{first:,} to {last:,}" if last is not None else f"{first:,} to now" for first, last in spans[-NEWEST:]]
    more = "lately " if len(spans) > len(shown) else ""
    return f"told {times}: {more}{', '.join(shown)}"


def _spans(alerts: Sequence[Alert]) -> list[tuple[int, int | None]]:
    """First step and the one at which it cleared, None where it has not."""
    spans: list[tuple[int, int | None]] = []
    for alert in alerts:
        if alert.on and (not spans or spans[-1][1] is not None):
            spans.append((alert.step, None))
        elif not alert.on and spans and spans[-1][1] is None:
            spans[-1] = spans[-1][0], alert.step
    return spans


def _curve(scene: Scene, one: Judged, width: int, height: int) -> Cells:
    """The metric that sets the rule's pace, smoothed over it as recorded, and the value at which the rule fires, where
    that moves as it was at each step up to the one shown."""
    cells = Cells(width, height)
    names = one.rule.needs[0].split("|")
    name = next((name for name in names if scene.value(name) is not None), "")
    if not name:
        cells.put(0, 0, fit(f"{names[0]}: {scene.why(names[0])}", width), Ink.UNKNOWN)
        return cells
    known = lookup(name)
    title = f"{known.title}, {known.unit}" if known and known.unit else known.title if known else name
    series = scene.series(name)
    smooth = scene.smoothed(name)
    # The number beside it is the curve's own: a limit is compared with that, and not with a single value.
    now = number(Series(series.steps, smooth).at(scene.step))
    lines = [
        Line(series.steps, series.values, Ink.SERIES_0 | SOFT),
        Line(series.steps, smooth, Ink.SERIES_0, now, heavy=True),
    ]
    shown = lines[:2]
    if one.line is not None:
        said = written(name, one.line)
        at, limits = one.moves or (np.array(scene.x, np.int64), np.full(2, one.line))
        # Where a limit is far away from everything that was seen it would flatten the curve; its number is enough then.
        low, high = span_of(series.values) or (np.nan, np.nan)
        room = 3 * max(high - low, abs(high) * 0.1, 1e-12)
        near = (limits >= low - room) & (limits <= high + room)
        lines.append(Line(at, np.where(near, limits, np.nan), Ink.WARN, f"fires {said}" if near[-1] else ""))
        shown = lines if near.any() else shown
        title += (
            f"; it fires at {said}" if one.moves is None else f"; its limit moves with the run, at this step {said}"
        )
    cells.put(0, 0, fit(f"{title}; thin: as recorded", width), Ink.FAINT)
    labels = max(width_of(line.label) for line in shown) + 2
    bounds = known.bounds if known else (None, None)
    axis = axis_over(shown, ticks_for(height - 2), bounds[0], bounds[1])
    cells.blit(1, 0, draw(chart(scene, shown, axis, labels=labels), width, height - 1))
    return cells
