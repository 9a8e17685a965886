"""What the policy wrote: the group of this step that tells most, its best completion and its worst."""

from __future__ import annotations

import numpy as np

from rlpeaks_tui.run.rollouts import Rollouts

from ..cells import BOLD, Cells, Ink, fit, wrap
from ..raster import Ints
from ..scene import Scene
from .parts import heading, nothing

RETURN = "⏎"


def overview(scene: Scene, width: int, height: int) -> Cells:
    cells = Cells(width, height)
    rollouts = scene.rollouts
    if rollouts is None or not len(rollouts.completions):
        heading(cells, scene, "completion", "7", "Completion", Ink.UNKNOWN)
        return nothing(cells, why(scene))
    group = telling_group(rollouts)
    members = np.flatnonzero(rollouts.group == group)
    earned = " ".join(short(r) for r in rollouts.reward[members].tolist())
    note = f"step {rollouts.step:,}, group {group + 1} of {len(rollouts.prompts)}"
    heading(cells, scene, "completion", "7", "Completion", Ink.TEXT, "", note)
    y = 1
    room = height - 1
    for line in wrap(one_line(rollouts.prompts[group]), width, max(1, min(3, room // 5))):
        cells.put(y, 0, line, Ink.DIM)
        y += 1
    best, worst = extremes(rollouts, members)
    shown = [("best ", best), ("worst", worst)] if best != worst else [("all  ", best)]
    left = height - y - (1 if room >= 7 else 0)
    for i, (name, index) in enumerate(shown):
        share = left // len(shown) + (left % len(shown) > i)
        y += one(cells, rollouts, y, name, index, width, share)
    if room >= 7:
        cells.put(height - 1, 0, "rewards", Ink.FAINT)
        cells.put(height - 1, 8, fit(earned, width - 8), Ink.DIM)
    return cells


def strip(scene: Scene, width: int) -> Cells:
    """Two rows for a small screen: the prompt, and the best completion with what it earned."""
    cells = Cells(width, 2)
    rollouts = scene.rollouts
    if rollouts is None or not len(rollouts.completions):
        cells.put(0, 0, fit(why(scene), width), Ink.UNKNOWN)
        return cells
    group = telling_group(rollouts)
    best, _ = extremes(rollouts, np.flatnonzero(rollouts.group == group))
    cells.put(0, 0, fit(one_line(rollouts.prompts[group]), width), Ink.DIM)
    earned = earnings(rollouts, best)
    start = cells.put_right(1, width, earned, Ink.DIM)
    cells.put(1, 0, fit(one_line(rollouts.completions[best]), start - 2), Ink.TEXT)
    return cells


def one(cells: Cells, rollouts: Rollouts, y: int, name: str, index: int, width: int, room: int) -> int:
    """One completion in at most `room` rows: what it earned, then its text; gives the rows used."""
    if room < 1:
        return 0
    earned = earnings(rollouts, index)
    good = rollouts.reward[index] > 0 and rollouts.advantage[index] >= 0
    end = cells.put(y, 0, name, (Ink.GOOD if good else Ink.BAD) | BOLD)
    end = cells.put(y, end + 2, earned, Ink.TEXT)
    extra = [f"{int(rollouts.length[index])} tokens", rollouts.format[index] or ""]
    extra.append("cut off" if rollouts.truncated[index] else "")
    note = ", ".join(item for item in extra if item)
    if end + 2 + len(note) <= width:
        cells.put_right(y, width, note, Ink.DIM)
    lines = wrap(one_line(rollouts.completions[index]), width - 2, room - 1)
    for i, line in enumerate(lines, 1):
        cells.put(y + i, 2, line, Ink.TEXT)
    return room


def telling_group(rollouts: Rollouts) -> int:
    """The group with the widest spread of rewards; the first of several."""
    spreads = [0.0] * len(rollouts.prompts)
    for group in range(len(rollouts.prompts)):
        rewards = rollouts.reward[rollouts.group == group]
        rewards = rewards[np.isfinite(rewards)]
        spreads[group] = float(np.ptp(rewards)) if len(rewards) else -1.0
    return int(np.argmax(spreads))


def extremes(rollouts: Rollouts, members: Ints) -> tuple[int, int]:
    """The best and the worst completion among `members` by reward; the first of equals."""
    rewards = rollouts.reward[members]
    best = np.where(np.isfinite(rewards), rewards, -np.inf)
    worst = np.where(np.isfinite(rewards), rewards, np.inf)
    return int(members[np.argmax(best)]), int(members[np.argmin(worst)])


def earnings(rollouts: Rollouts, index: int) -> str:
    """Reward and advantage of one completion, always equally wide."""
    reward, advantage = float(rollouts.reward[index]), float(rollouts.advantage[index])
    return f"reward {reward:5.2f}  advantage {advantage:+5.2f}".replace("-", "−").replace("nan", "  -")


def why(scene: Scene) -> str:
    if not len(scene.snapshot.rollout_steps):
        return "nothing has been generated yet" if scene.snapshot.live else "this run keeps no completions"
    return f"no completions at or before step {scene.step:,}"


def one_line(text: str) -> str:
    """Text with its line breaks as signs."""
    return text.replace("\n", f" {RETURN} ")


def short(value: float) -> str:
    """A reward in as few characters as tell it: 1, 0, .5, -."""
    if not np.isfinite(value):
        return "-"
    return f"{value:.2f}".rstrip("0").rstrip(".").replace("-", "−") or "0"
