"""What recent steps were made of: one definition for every place that tells it, so that no two of them differ.

For the present the ranks' own signs tell it, which see every second of a step. Of older steps only the journal of the
first rank is left: there, what is neither generating, scoring nor measuring counts as the update.
"""

from __future__ import annotations

from msgspec import Struct

from rlpeaks_tui.run.pace import named_ranks, spell

from ..cells import Cells, Ink, fit
from ..scene import Scene
from ..words import percents
from .lanes import PARTS, UNEVEN, Part
from .story import until

WINDOW = 50
"""Steps whose mean is told, as many as the ranks' own signs cover."""


class Made(Struct, frozen=True):
    """The mean of the last steps up to the one shown.

    Attributes:
        steps: how many.
        seconds: of a step.
        parts: each part with its seconds a step, which add up to `seconds`; None where they are not known.
        held: seconds a step in which the run was paused or a command was applied: beside the step, not in it.
    """

    steps: int
    seconds: float
    parts: tuple[tuple[Part, float | None], ...]
    held: float

    @property
    def was_held(self) -> bool:
        """Whether it is worth a row; a moment goes by at every safe point."""
        return self.held >= 0.01 * self.seconds

    @property
    def shares(self) -> list[float | None]:
        return [None if seconds is None else seconds / self.seconds for _, seconds in self.parts]


def made(scene: Scene) -> Made | None:
    """None where no step is over."""
    held = _lately(scene, "time/wait") or 0.0
    ranks = [rank for rank in scene.snapshot.ranks if rank.steps and sum(rank.total.values()) > 0]
    if ranks and scene.view.cursor is None:
        count = sum(rank.steps for rank in ranks)
        known = {part.activity: sum(rank.total.get(part.activity, 0.0) for rank in ranks) for part in PARTS}
        # What a later version may tell of beside these is no part of this one's.
        known["other"] += sum(sum(rank.total.values()) for rank in ranks) - sum(known.values())
        parts = tuple((part, known[part.activity] / count) for part in PARTS if part.metric or known[part.activity] > 0)
        return Made(max(rank.steps for rank in ranks), sum(known.values()) / count, parts, held)
    step = _lately(scene, "time/step")
    if step is None or step <= 0:
        return None
    told = [(part, _lately(scene, part.metric)) for part in PARTS if part.metric]
    rest = max(0.0, step - sum(seconds for _, seconds in told if seconds is not None))
    if rest > 0.005 * step or any(seconds is None for _, seconds in told):
        told.append((PARTS[-1], rest))
    # Parts that were taken from other steps than the whole may add up to more than it.
    whole = sum(seconds for _, seconds in told if seconds is not None)
    return Made(len(until(scene, "time/step")[1][-WINDOW:]), whole, tuple(told), held)


def recent(scene: Scene, what: Made | None, width: int) -> Cells:
    """Each part of the recent steps of all ranks: its share, its mean, its median, and the rank that takes longest."""
    ranks = [rank for rank in scene.snapshot.ranks if rank.steps]
    if what is None or not ranks:
        return Cells(width, 0)
    several = len(ranks) > 1
    seconds = {
        part.activity: (each, share) for (part, each), share in zip(what.parts, percents(what.shares), strict=True)
    }
    cells = Cells(width, 2 + len(PARTS))
    bar = max(0, min(60, width - (64 if several else 42)))
    end = 12 + bar
    cells.put(0, 0, fit(f"last {what.steps:,} steps{', all ranks' if several else ''}", max(0, end - 1)), Ink.FAINT)
    for stop, title in ((8, "share"), (18, "mean"), (28, "median")):
        cells.put_right(0, end + stop, title, Ink.FAINT)
    if several:
        cells.put(0, end + 32, "longest", Ink.FAINT)
    for y, part in enumerate(PARTS, 1):
        mean, share = seconds.get(part.activity, (None, ""))
        medians = sorted((rank.typical[part.activity], rank.rank) for rank in ranks if part.activity in rank.typical)
        cells.put(y, 0, part.letter if scene.ascii_only else part.sign, part.ink)
        cells.put(y, 2, part.label, Ink.DIM if mean else Ink.UNKNOWN)
        if not mean:
            cells.put_right(y, end + 28, "none seen", Ink.UNKNOWN)
            continue
        exact = mean / what.seconds * bar
        length = round(exact) if exact < 1 else max(1, round(exact))
        cells.fill(y, 12, length, part.letter if scene.ascii_only else part.sign, part.ink)
        cells.put_right(y, end + 8, share, Ink.TEXT)
        cells.put_right(y, end + 18, spell(mean), Ink.TEXT)
        if not medians:
            continue
        cells.put_right(y, end + 28, spell(medians[len(medians) // 2][0]), Ink.TEXT)
        longest, who = medians[-1]
        if several and longest > UNEVEN * medians[len(medians) // 2][0]:
            cells.put_right(y, end + 40, spell(longest), Ink.DIM)
            cells.put(y, end + 42, named_ranks([who]), Ink.DIM)
    cells.put(
        1 + len(PARTS),
        0,
        fit("means add up to a step, medians do not: steps with a probe are longer", width),
        Ink.FAINT,
    )
    return cells


def _lately(scene: Scene, name: str) -> float | None:
    """Mean of the last WINDOW steps up to the one shown: a probe that is due now and then makes single ones uneven.

    What is less than nothing is no time.
    """
    _, values = until(scene, name)
    mean = float(values[-WINDOW:].mean()) if len(values) else -1.0
    return mean if mean >= 0 else None
