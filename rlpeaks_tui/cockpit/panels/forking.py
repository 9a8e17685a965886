"""Forking tokens: the pieces that were written where the policy really had a choice, and whether its base has one too.

Most of a completion follows from what stands before it; the few tokens that do not decide where it goes (2506.01939).
"""

from __future__ import annotations

from functools import partial

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from rlpeaks_tui.stats.pieces import Fork, Forks, forks
from rlpeaks_tui.stats.tokens import FORKING_SHARE

from ..axes import Axis, Floats, linear
from ..bars import lying
from ..cells import BOLD, Cells, Ink, fit, width_of
from ..chart import Line, Points, Tag, draw
from ..scene import Scene
from ..words import number, percent
from .parts import nothing, scrolled, ticks_for
from .story import Part, Told, across, fixed, tell, untold
from .traces import OfTokens, Sample

OVERLAP = "entropy/forking_overlap"


class Forking(Struct, frozen=True, eq=False):
    """The forks of a sample of tokens.

    `held` float64[n] is the share of all entropy that the most open tokens hold, over even shares of the tokens from 0
    to 1.
    """

    sample: Sample
    found: Forks
    held: Floats


def forking(sample: Sample) -> Forking | str:
    """The forks of a sample, or why there are none."""
    if not np.isfinite(sample.entropy).any():
        return "the entropy of the kept tokens was not recorded"
    columns = sample.entropy, sample.base_logp, sample.js, sample.advantage, sample.completion
    return Forking(sample, forks(sample.pieces, *columns), held_by(sample.entropy))


def study() -> OfTokens[Forking]:
    """That of the entropy panel."""
    return OfTokens(forking)


def held_by(entropy: Floats) -> Floats:
    """The share of all entropy in the first 0, 1, 2 ... 100 hundredths of the tokens, the most open first."""
    known = np.sort(entropy[np.isfinite(entropy)])[::-1]
    total = np.append(0.0, np.cumsum(known))
    shares = np.interp(np.linspace(0, len(known), 101), np.arange(len(total)), total)
    return shares / total[-1] if total[-1] > 0 else np.full(101, np.nan)


def story(scene: Scene, width: int, height: int) -> Cells:
    """The forks by piece: how often, how open, what they earned, and whether the base forks there."""
    if not isinstance(scene.study, Forking):
        why = scene.study if isinstance(scene.study, str) else "the tokens are being read"
        return untold("Forking tokens", why, scene, width, height)
    sample, found = scene.study.sample, scene.study.found
    note = "of entropy in a fifth of the tokens"
    caption = [
        sample.says,
        "± 95 % by completion, one look each",
        "same choice: JS to the base at most 0.1 nats, else it has moved",
        "base nats: how unlikely it finds the piece",
    ]
    parts = [
        Part("by piece that was written at a fork", partial(table, scene, found), least=72),
        Part("share of entropy in the most open tokens", partial(_held, scene, scene.study.held)),
    ]
    unit = "where the policy has a choice"
    told = Told("Forking tokens", Ink.ENTROPY, percent(found.held), note, unit, _said(scene, found), caption, parts)
    return tell(told, scene, width, height)


def _said(scene: Scene, found: Forks) -> list[str]:
    said = []
    first, last = found.pieces[:3], found.forks
    if last:
        share = sum(fork.forks for fork in first) / last
        names = ", ".join(shown(fork.piece) for fork in first)
        said.append(f"{names} are written at {percent(share)} of {last:,} forks")
        said.append(f"a fork has {number(found.threshold)} nats or more")
    if found.compared:
        said.append(f"at {percent(found.alike)} of {found.compared:,} forks the base has nearly the same choice")
    overlap = scene.value(OVERLAP)
    if overlap is not None:
        said.append(f"over all tokens of a step the forks of both overlap by {overlap:.2f} (chance 0.11)")
    return said


def _held(scene: Scene, held: Floats, width: int, height: int) -> Cells:
    if not np.isfinite(held).all():
        return nothing(Cells(width, height), "no token has any entropy")
    tenths = tuple(i / 10 for i in range(0, 11, 2))
    x = Axis(0.0, 1.0, tenths, tuple(percent(tenth) for tenth in tenths))
    lines = [Line(np.linspace(0, 1, 101), held, Ink.ENTROPY, heavy=True)]
    at = float(held[round(100 * FORKING_SHARE)])
    points = [Points(np.array([FORKING_SHARE]), np.array([at]), Ink.ACCENT | BOLD)]
    tags = [Tag(FORKING_SHARE, at, f"{percent(at)} in a fifth", Ink.ACCENT)]
    plan = across(scene, x, linear(0.0, 1.0, ticks_for(height - 1), 0.0, 1.0))
    return draw(replace(plan, lines=lines, points=points, tags=tags), width, height)


def shown(piece: str) -> str:
    """A piece as it can be read: blanks and line ends would not be seen."""
    return "'" + piece.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r") + "'"


def table(scene: Scene, found: Forks, width: int, height: int) -> Cells:
    """One row a piece, the most frequent first."""
    cells = Cells(width, height)
    label = max(6, min(16, max((width_of(shown(fork.piece)) for fork in found.pieces), default=6) + 1, width // 4))
    titles = [("forks", 7), ("of its uses", 12), ("nats", 7), ("advantage", 17), ("same choice", 13), ("base nats", 11)]
    room = width - label - sum(size for _, size in titles)
    while room < 0 and len(titles) > 2:
        room += titles.pop()[1]
    x = label
    for title, size in titles:
        x += size
        cells.put_right(0, x, title, Ink.FAINT)
    rows = max(1, height - 1 - (len(found.pieces) > height - 1))
    top = scrolled(cells, len(found.pieces), rows, scene.view.scroll)
    most = max((fork.forks for fork in found.pieces), default=1)
    for y, fork in enumerate(found.pieces[top : top + rows], 1):
        cells.put(y, 0, fit(shown(fork.piece), label - 1), Ink.TEXT | BOLD)
        x = label
        for (_, size), text in zip(titles, _figures(fork), strict=False):
            x += size
            cells.put_right(y, x, text, Ink.TEXT if size == 7 else Ink.DIM)
        bar = min(room - 12, 40)
        if bar >= 8:
            cells.put(y, x + 3, lying(fork.forks / most, bar, scene.ascii_only), Ink.ENTROPY)
            cells.put_right(y, x + 3 + bar + 6, percent(fork.forks / found.forks), Ink.DIM)
    return cells


def _figures(fork: Fork) -> tuple[str, ...]:
    return (
        f"{fork.forks:,}",
        percent(fork.forks / fork.uses),
        f"{fork.entropy:.3f}",
        fixed(fork.advantage.mean, fork.advantage.half),
        percent(fork.alike) if fork.compared else "-",
        f"{fork.surprise:.2f}" if np.isfinite(fork.surprise) else "-",
    )
