"""Where the policy has moved from its base: by place in the completion, and which pieces it now writes more gladly.

Measured on what the policy wrote: a piece that it has given up altogether is not among them, and a mean shift is above
0 by selection, since its mean over all tokens is the estimate k1 of the drift. So a piece, or a place, is only told as
one that moved where it did so beyond the other tokens of the same completions, and beyond what the furthest of so many
does by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from msgspec import Struct

from rlpeaks_tui.stats.divergence import JS_THRESHOLD
from rlpeaks_tui.stats.pieces import Shifts, moved
from rlpeaks_tui.stats.summaries import Estimate, beyond_the_rest, clustered_mean

from ..axes import linear
from ..bars import lying
from ..cells import BOLD, Cells, Ink, fit, width_of
from ..chart import Line, draw
from ..raster import Ints
from ..scene import Scene
from ..words import number, percent, plural, signed
from .forking import shown
from .parts import chart, nothing, scrolled, ticks_for, typical_span
from .story import Part, Told, fixed, plus_minus, tell, untold
from .traces import OfTokens, Sample

LEAST = 5
"""Times that a piece must have been written to be listed."""
BINS = 10
FAR, OTHER = "shift/js_share", "shift/argmax"


class Place(Struct, frozen=True):
    """A tenth of the completions: mean shift in nats, share of tokens far from the base, of how many it is known.

    `ahead` is by how much that share exceeds that of the rest of the same completions.
    """

    shift: Estimate
    far: float
    measured: int
    ahead: Estimate


class Shifted(Struct, frozen=True, eq=False):
    """How far the tokens of a sample have moved.

    Attributes:
        sample: where they are from.
        overall: mean of log p - log p0, nats.
        far, measured: share of tokens with JS above 0.1 nats, of how many.
        places: by tenth of the completion.
        moved: by piece.
    """

    sample: Sample
    overall: Estimate
    far: float
    measured: int
    places: tuple[Place, ...]
    moved: Shifts


def shifted(sample: Sample) -> Shifted | str:
    """How far the tokens of a sample have moved, or why that is not known."""
    shift = sample.logp - sample.base_logp
    if not np.isfinite(shift).any():
        return "the kept tokens were not scored by the base: probe kl has not run on them"
    return Shifted(
        sample,
        clustered_mean(shift, sample.completion),
        *_far(sample, np.ones(len(shift), np.bool_)),
        by_place(sample),
        moved(sample.pieces, shift, sample.js, sample.completion, LEAST),
    )


def study() -> OfTokens[Shifted]:
    """That of the panel of drift."""
    return OfTokens(shifted)


def by_place(sample: Sample) -> tuple[Place, ...]:
    """The sample cut into tenths of its completions."""
    shift = sample.logp - sample.base_logp
    far = np.where(np.isfinite(sample.js), sample.js > JS_THRESHOLD, np.nan)
    index: Ints = np.minimum((sample.place * BINS).astype(np.int64), BINS - 1)
    beyond = beyond_the_rest(far, index, sample.completion)
    found = []
    for i in range(BINS):
        mine = index == i
        owner = sample.completion[mine]
        ahead = clustered_mean(beyond[mine], owner)
        found.append(Place(clustered_mean(shift[mine], owner), *_far(sample, mine), ahead))
    return tuple(found)


def _far(sample: Sample, mine: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> tuple[float, int]:
    """The share of the tokens that are far from the base, and of how many."""
    js = sample.js[mine & np.isfinite(sample.js)]
    return (float((js > JS_THRESHOLD).mean()) if js.size else np.nan), js.size


def story(scene: Scene, width: int, height: int) -> Cells:
    """The share of tokens that moved, where in the completion, and which pieces."""
    if not isinstance(scene.study, Shifted):
        why = scene.study if isinstance(scene.study, str) else "the tokens are being read"
        return untold("Moved tokens", why, scene, width, height)
    found = scene.study
    value = f"{percent(found.far)} far" if found.measured else f"{number(found.overall.mean)} nats"
    note = f"of tokens, mean shift {signed(found.overall.mean)} {plus_minus(found.overall.half)}".rstrip()
    parts = [
        Part("pieces, by mean shift", partial(_pieces, scene, found), least=36),
        Part("by place in the completion", partial(_places, scene, found), BINS + 2, least=36),
    ]
    if len(scene.series(FAR)):
        parts.append(Part("share of all tokens, at each probe", partial(_over_time, scene)))
    caption = [
        found.sample.says,
        "± 95 % by completion, one look each",
        "bright: unlike other tokens beyond chance over all pieces",
        "shift: log p − log p0, nats",
        f"far: JS above {JS_THRESHOLD:g}",
    ]
    unit = "where policy and base differ"
    told = Told("Moved tokens", Ink.KL, value, note, unit, _said(scene, found), caption, parts)
    return tell(told, scene, width, height)


def _said(scene: Scene, found: Shifted) -> list[str]:
    said = [_furthest(found.places), _raised(found.moved)]
    probe = scene.probe("kl")
    swaps = None if probe is None else probe.facts.get("moved")
    if probe is not None and isinstance(swaps, str) and swaps:
        said.append(f"likeliest token, base to policy at step {probe.step:,}: {fit(swaps, 90)}")
    said.append("pieces that the policy has given up are not in its text")
    return said


def _furthest(places: Sequence[Place]) -> str:
    """The place with the largest share of far tokens, where it stands out of the rest of its completions."""
    known = [place for place in places if place.measured >= LEAST]
    if len(known) < 2:
        return ""
    most = max(known, key=lambda place: place.far)
    if most.ahead.sign(len(known)) <= 0:
        return "no place in the completions is clearly further from the base than the rest"
    ordinal = _ordinal(places.index(most))
    return f"furthest in the {ordinal} tenth of the completions: {percent(most.far)} of its tokens are far"


def _raised(found: Shifts) -> str:
    """The piece that is raised most, where it stands out of the other tokens."""
    of = plural(found.looked, "piece")
    if (first := found.raised) is None:
        return f"none of {of} is clearly raised beyond the other tokens" if found.looked else ""
    uses = plural(first.n, "use")
    most = f"{shown(first.piece)} most, by {number(first.shift.mean)} nats over {uses}"
    return f"clearly raised beyond the other tokens, among {of}: {most}"


def _over_time(scene: Scene, width: int, height: int) -> Cells:
    """Tokens that are far from the base, and those whose likeliest successor is another."""
    lines = [
        Line(
            (series := scene.series(name)).steps,
            series.values,
            ink,
            label,
            heavy=name == FAR,
            behind=scene.behind(name),
        )
        for name, ink, label in ((OTHER, Ink.SERIES_1, "other likeliest"), (FAR, Ink.KL, "far"))
        if len(scene.series(name))
    ]
    _, high = typical_span(lines) or (0.0, 0.1)
    axis = linear(0.0, high, ticks_for(height - 1), 0.0, 1.0)
    return draw(chart(scene, lines, axis, labels=17 if width >= 50 else 0), width, height)


def _ordinal(place: int) -> str:
    return ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "last")[place]


def _places(scene: Scene, found: Shifted, width: int, height: int) -> Cells:
    """A row a tenth: tokens, mean shift, share far."""
    cells = Cells(width, height)
    bar = min(24, width - 38)
    for stop, title in ((6, "tenth"), (13, "tokens"), (28, "shift"), (34, "far")):
        cells.put_right(0, stop, title, Ink.FAINT)
    for y, (i, place) in enumerate(enumerate(found.places[: max(0, height - 1)]), 1):
        cells.put_right(y, 6, f"{i + 1}", Ink.DIM)
        cells.put_right(y, 13, f"{place.shift.n:,}", Ink.DIM)
        cells.put_right(y, 28, fixed(place.shift.mean, place.shift.half, 3), Ink.TEXT)
        if place.measured:
            cells.put_right(y, 34, percent(place.far), Ink.KL)
            if bar >= 4:
                cells.put(y, 36, lying(place.far, bar, scene.ascii_only).rstrip(), Ink.KL)
    return cells


def _pieces(scene: Scene, found: Shifted, width: int, height: int) -> Cells:
    """A row a piece, the most moved first."""
    cells = Cells(width, height)
    if not found.moved.pieces:
        return nothing(cells, f"no piece was written {LEAST} times")
    label = max(6, min(14, max(width_of(shown(piece.piece)) for piece in found.moved.pieces) + 1, width // 3))
    stops = [("uses", label + 7), ("shift", label + 22), ("far", label + 29), ("mean JS", label + 38)]
    stops = [(title, stop) for title, stop in stops if stop <= width]
    for title, stop in stops:
        cells.put_right(0, stop, title, Ink.FAINT)
    rows = max(1, height - 1 - (len(found.moved.pieces) > height - 1))
    top = scrolled(cells, len(found.moved.pieces), rows, scene.view.scroll)
    for y, piece in enumerate(found.moved.pieces[top : top + rows], 1):
        figures = (
            f"{piece.n:,}",
            fixed(piece.shift.mean, piece.shift.half, 3),
            percent(piece.far) if np.isfinite(piece.far) else "-",
            f"{piece.js:.3f}" if np.isfinite(piece.js) else "-",
        )
        clear = piece.ahead.sign(found.moved.looked)
        cells.put(y, 0, fit(shown(piece.piece), label - 1), Ink.TEXT | BOLD)
        for (title, stop), figure in zip(stops, figures, strict=False):
            cells.put_right(y, stop, figure, Ink.TEXT if title == "shift" and clear else Ink.DIM)
    return cells
