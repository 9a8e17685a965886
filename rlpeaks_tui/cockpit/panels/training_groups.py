"""How hard training's own prompts are now: the groups of the newest generations, hardest first.

A group whose completions are all right or all wrong teaches nothing. Which prompts those are is what a curriculum is
made from, and prompts of training recur seldom, so that the groups stand for their prompts.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..cells import BOLD, Cells, Ink, fit, width_of
from ..chart import Line, draw
from ..filtering import filtered
from ..heatmap import shaded
from ..scene import Scene
from ..words import percent
from .completion import one_line
from .parts import axis_over, chart, heading, nothing, ticks_for
from .picking import between, first_shown, of_prompt, pick, picked, raise_row
from .prompt_study import Group, groups_at

KINDS: dict[str, tuple[str, int]] = {
    "all wrong": ("x", Ink.BAD),
    "mixed": ("~", Ink.TEXT),
    "all right": ("•", Ink.GOOD),
    "unknown": ("?", Ink.UNKNOWN),
}
WIDE = 120


def listed(scene: Scene) -> tuple[list[Group], str]:
    """The groups that the filter lets through, the hardest first, the newer of equals."""
    ordered = sorted(groups_at(scene), key=lambda group: (group.rate != group.rate, group.rate, -group.step))
    return filtered(ordered, scene.view.filter, lambda group: f"{group.kind} {group.task} {group.prompt}")


def query(scene: Scene) -> str:
    """The completions of the picked group's prompt in its step."""
    one = pick(scene, listed(scene)[0])
    return f"{of_prompt(one.prompt)} {between(one.step, one.step)}".strip() if one is not None else ""


def training(scene: Scene, width: int, height: int) -> Cells:
    """The list of groups, beside the shares of solved and hopeless ones over time."""
    cells = Cells(width, height)
    found, note = listed(scene)
    if not found:
        heading(cells, scene, "", "", "Training groups", Ink.UNKNOWN)
        kept = len(scene.snapshot.rollout_steps)
        why = "no group matches" if scene.view.filter else "reading the newest generations"
        return nothing(cells, why if kept else "this run keeps no completions")
    everything = groups_at(scene)
    counts = {kind: sum(group.kind == kind for group in everything) for kind in KINDS}
    value = f"{counts['mixed']} of {len(everything)} groups teach"
    rest = ", ".join(f"{counts[kind]} {kind}" for kind in ("all wrong", "all right", "unknown") if counts[kind])
    steps = [group.step for group in everything]
    unit = f"of steps {min(steps):,} to {max(steps):,}"
    heading(cells, scene, "", "", "Training groups", Ink.REWARD, value, note or rest, unit)
    left = width if width < WIDE else max(80, width // 2)
    said = f"hardest first; all right or all wrong: without signal; {scene.look.open}: its completions"
    if height >= 8:
        cells.put(1, 0, fit(said, left), Ink.FAINT)
    at = picked(cells, scene, len(found))
    room = height - 3 if width >= WIDE or height < 24 else max(6, height - 14)
    cells.blit(2, 0, _rows(scene, found, at, left, room))
    if width >= WIDE:
        cells.blit(1, left + 3, _shares(scene, width - left - 3, min(height - 2, 30)))
    elif height >= 24:
        cells.blit(room + 3, 0, _shares(scene, width, height - room - 3))
    return cells


def _rows(scene: Scene, found: Sequence[Group], at: int, width: int, height: int) -> Cells:
    cells = Cells(width, height)
    top = first_shown(at, len(found), height - 1)
    tasks = max(width_of(fit(group.task, 20)) for group in found) if width >= 70 else 0
    room = width - 13 - 10 - 14 - (tasks + 2 if tasks else 0)
    text = min(max(width_of(one_line(group.prompt)) for group in found), room)
    shown = found[top : top + max(0, height - 1)]
    for y, group in enumerate(shown, 1):
        sign, ink = KINDS[group.kind]
        cells.put(y, 1, sign, ink | BOLD)
        cells.put(y, 3, group.kind, ink)
        x = 13
        if text >= 8:
            cells.put(0, x, "prompt", Ink.FAINT)
            cells.put(y, x, fit(one_line(group.prompt), text), Ink.TEXT)
            x += text + 2
        cells.put(0, x, "share right", Ink.FAINT)
        x = shaded(cells, y, x, group.rate, 2, scene.ascii_only) + 1
        x = cells.put(y, x, f"of {group.size}".ljust(6), Ink.DIM)
        cells.put_right(0, x + 6, "step", Ink.FAINT)
        cells.put_right(y, x + 6, f"{group.step:,}", Ink.DIM)
        if tasks:
            cells.put(0, x + 8, "task", Ink.FAINT)
            cells.put(y, x + 8, fit(group.task, 20), Ink.DIM)
        if top + y - 1 == at:
            raise_row(cells, y, 0, width)
    return cells


def _shares(scene: Scene, width: int, height: int) -> Cells:
    """Shares of groups without signal over time, by which kind they are."""
    cells = Cells(width, height)
    if height < 6:
        return cells
    lines = [
        Line(scene.series(name).steps, scene.smoothed(name), ink, label, behind=scene.behind(name, smoothed=True))
        for name, ink, label in (
            ("groups/all_right", Ink.GOOD, "all right"),
            ("groups/all_wrong", Ink.BAD, "all wrong"),
            ("groups/expected_zero_variance", Ink.DIM, "by chance"),
        )
        if len(scene.series(name))
    ]
    if not lines:
        return nothing(cells, scene.why("groups/all_right"))
    now = [scene.value(f"groups/all_{kind}") for kind in ("right", "wrong")]
    said = f"share of groups all right {percent(now[0])}, all wrong {percent(now[1])}; by chance: were all equally hard"
    cells.put(0, 0, fit(said, width), Ink.FAINT)
    axis = axis_over(lines, ticks_for(height - 2), 0.0, 1.0)
    cells.blit(1, 0, draw(chart(scene, lines, axis, labels=11), width, height - 1))
    return cells
