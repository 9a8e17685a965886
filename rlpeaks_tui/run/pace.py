"""Whether a run moves, and if it does not, which rank holds it up.

A healthy but slow step and a hung one look the same from outside. What tells them apart is each rank's own past: an
activity that takes many times its median, while the other ranks wait or are done, is stuck. Generation, scoring and
updates have a typical time; probes, checkpoints and commands differ too much from one time to the next, so that
nothing is said of them. A rank that was not yet seen to do something for some steps is unknown, never stuck.

Waiting for other ranks is seen where the training thread stands in a collective of torch.distributed. Gradients that
are reduced inside the backward pass, and collectives of a GPU that return before they are done, look like work. So
where no rank is seen to wait, the one that stands elsewhere than all others is named, and where there is none, all are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from .signs import ENDED, MOST_RANKS, PHASES, RankClock

FLOOR = 10.0
"""Seconds that an activity may take in any case."""
FACTOR = 5.0
"""Times its own median after which an activity counts as stuck."""
SILENT = 30.0
"""Seconds without a sign of life, which comes twice a second, after which a rank counts as stuck."""
HUSHED = 5.0
"""The same where something is stuck already and others do give signs of life."""
STEPS = 3
"""Steps in which a rank must have done something before its median says anything."""
JUDGED = ("generating", "scoring", "updating")


class StuckRank(Struct, frozen=True):
    """A rank that holds up the run, and how that is seen."""

    rank: int
    evidence: str


class Pace(Struct, frozen=True):
    """Whether a run moves. `ranks` are the stuck ones, and `around` says what the others do."""

    state: Literal["unknown", "moving", "stuck"]
    ranks: tuple[StuckRank, ...] = ()
    around: str = ""

    @property
    def evidence(self) -> str:
        """Who is stuck and how that is seen, in one line; empty where nobody is."""
        if not self.ranks:
            return ""
        first = self.ranks[0]
        named = f"{named_ranks([stuck.rank for stuck in self.ranks])} {first.evidence}"
        return f"{named}; {self.around}" if self.around else named


UNKNOWN = Pace("unknown")


def judge_pace(ranks: Sequence[RankClock], state: str, world: int | None) -> Pace:
    """Whether a run in `state` of `world` ranks, of which `ranks` have given signs of life, moves."""
    if state != "running" or not ranks:
        return UNKNOWN
    at_work = [rank for rank in ranks if rank.activity != ENDED]
    gone = [rank for rank in at_work if rank.alive is False]
    if gone:
        return _stuck(gone, ranks, "is gone: its process ended and left no word")
    silent = [rank for rank in at_work if rank.quiet > SILENT]
    if silent:
        return _stuck(silent, ranks, "")
    slow = [rank for rank in at_work if _slow(rank)]
    all_wait = bool(at_work) and all(_waits_long(rank) for rank in at_work)
    hushed = [rank for rank in at_work if rank.quiet > HUSHED]
    if (slow or all_wait) and 0 < len(hushed) < len(at_work):
        return _stuck(hushed, ranks, "")
    if slow:
        return _of_slow(slow, ranks)
    if all_wait:
        return _all_wait(at_work, ranks, world)
    return Pace("moving") if all(_known(rank) for rank in ranks) else UNKNOWN


def _typical(rank: RankClock) -> float | None:
    """The median of what a rank does now, where there is one that it can be held to."""
    return rank.typical.get(rank.activity) if rank.activity in JUDGED and rank.steps >= STEPS else None


def _known(rank: RankClock) -> bool:
    return bool(rank.waiting) or rank.activity == ENDED or _typical(rank) is not None


def _overdue(rank: RankClock) -> bool:
    typical = _typical(rank)
    return typical is not None and rank.age > max(FLOOR, FACTOR * typical)


def _slow(rank: RankClock) -> bool:
    return not rank.waiting and _overdue(rank)


def _waits_long(rank: RankClock) -> bool:
    return bool(rank.waiting) and _overdue(rank)


def _order(rank: RankClock) -> tuple[int, int]:
    """How far a rank has come."""
    if rank.activity == ENDED:
        return rank.step + 1, 0
    return rank.step, PHASES.index(rank.activity) if rank.activity in PHASES else -1


def _of_slow(slow: list[RankClock], ranks: Sequence[RankClock]) -> Pace:
    named = {rank.rank for rank in slow}
    others = [rank for rank in ranks if rank.rank not in named]
    furthest = max(_order(rank) for rank in slow)
    if any(not rank.waiting and _order(rank) <= furthest for rank in others):
        # Somebody else is still at work on the same thing: slow, but not yet stuck.
        return Pace("moving")
    least = min(map(_order, slow))
    behind = [rank for rank in slow if _order(rank) == least]
    if others or len(behind) < len(slow) or len(slow) == 1:
        return _stuck(behind, ranks, "")
    places: dict[str, list[RankClock]] = defaultdict(list)
    for rank in slow:
        places[rank.place].append(rank)
    fewest = min(places.values(), key=len)
    if 2 * len(fewest) < len(slow):
        return _stuck(fewest, ranks, "")
    return Pace("stuck", tuple(_named(rank, "") for rank in slow), "which one holds up the others cannot be seen")


def _all_wait(at_work: Sequence[RankClock], ranks: Sequence[RankClock], world: int | None) -> Pace:
    missing = sorted(set(range(min(world or 0, MOST_RANKS))) - {rank.rank for rank in ranks})
    ended = [rank.rank for rank in ranks if rank.activity == ENDED]
    if ended:
        evidence = "has ended" if len(ended) < 2 else "have ended"
        return Pace("stuck", tuple(StuckRank(rank, evidence) for rank in ended), "all others wait")
    if missing:
        evidence = "gave no sign of life here" if len(missing) < 2 else "give no sign of life here"
        return Pace("stuck", tuple(StuckRank(rank, evidence) for rank in missing), "all others wait")
    calls = ", ".join(f"{rank.rank} in {rank.waiting}" for rank in at_work[:8])
    evidence = f"wait for each other for {spell(float(int(min(rank.age for rank in at_work))))}"
    return Pace("stuck", tuple(StuckRank(rank.rank, evidence) for rank in at_work), f"rank {calls}")


def _stuck(stuck: Sequence[RankClock], ranks: Sequence[RankClock], evidence: str) -> Pace:
    named = {rank.rank for rank in stuck}
    waiting = [rank.rank for rank in ranks if rank.rank not in named and rank.activity != ENDED]
    whom = "it" if len(stuck) == 1 else "them"
    around = f"{named_ranks(waiting)} {'waits' if len(waiting) == 1 else 'wait'} for {whom}" if waiting else ""
    return Pace("stuck", tuple(_named(rank, evidence) for rank in stuck), around)


def _named(rank: RankClock, evidence: str) -> StuckRank:
    if not evidence and rank.quiet > HUSHED:
        lives = "its process lives and does not answer" if rank.alive else f"last heard from {rank.host}"
        evidence = f"silent for {spell(rank.quiet)} while {rank.activity or 'between steps'}, {lives}"
    if not evidence:
        whole = float(int(rank.age))
        evidence = f"{rank.activity} for {spell(whole)}"
        typical = rank.typical.get(rank.activity)
        if typical:
            evidence += f", {spell_times(whole / typical)} its median of {spell(typical)}"
    return StuckRank(rank.rank, evidence)


def named_ranks(ranks: Sequence[int]) -> str:
    """Ranks as a person says them: rank 3; ranks 0, 1, 2; ranks 0 to 6, 8."""
    runs: list[list[int]] = []
    for rank in sorted(ranks):
        if runs and rank == runs[-1][-1] + 1:
            runs[-1].append(rank)
        else:
            runs.append([rank])
    parts: list[str] = []
    for run in runs:
        parts += [f"{run[0]} to {run[-1]}"] if len(run) > 3 else map(str, run)
    shown = parts if len(parts) <= 8 else [*parts[:7], "..."]
    return f"rank{'' if len(ranks) == 1 else 's'} {', '.join(shown)}"


def spell(seconds: float) -> str:
    """A time with its unit and two or three digits: 128 ms, 7.6 s, 48 s, 1m 12s, 3h 20m."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = int(seconds + 0.05)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def spell_times(times: float) -> str:
    """A multiple: 0.9 x, 9.4 x, 120 x."""
    return f"{times:.1f} x" if times < 10 else f"{times:,.0f} x"
