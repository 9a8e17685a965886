"""Reward for drift: what each nat a token has bought, and whether the next one buys as much.

The way of the run in the plane of drift and reward: where it bends over, drift goes on and reward does not.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from rlpeaks_tui.run import present
from rlpeaks_tui.stats.catalog import called
from rlpeaks_tui.stats.exchange import LEAST, Bought, Price, Stretch, bought, stretches
from rlpeaks_tui.stats.summaries import mean_se, smooth

from ..axes import Floats, linear, span_of
from ..cells import BOLD, SOFT, Cells, Ink
from ..chart import Dots, Points, Tag, draw
from ..raster import Ints
from ..scene import Scene
from ..words import number, plural, signed
from .heldout import BASE, ERROR, ONCE, quantile
from .kl import K3, drift_metric
from .parts import nothing, ticks_for
from .story import Part, Told, across, both, from_zero, plus_minus, tell, until, untold

REWARD = "reward"
PARTS = 4
"""Stretches of equal drift."""
RECENT = 20
"""Steps before an evaluation whose mean drift it is held against."""


class Way(Struct, frozen=True):
    """Steps up to the one shown at which both were recorded, with drift and reward, raw and smoothed."""

    steps: Ints
    drift: Floats
    reward: Floats
    smooth_drift: Floats
    smooth_reward: Floats


def way(scene: Scene) -> Way:
    steps, drift, reward = both(scene, drift_metric(scene), REWARD)
    known = (steps <= scene.step) & np.isfinite(drift) & np.isfinite(reward)
    steps, drift, reward = steps[known], drift[known], reward[known]
    return Way(steps, drift, reward, smooth(drift, scene.half_life), smooth(reward, scene.half_life))


def story(scene: Scene, width: int, height: int) -> Cells:
    """Reward over drift as a path in time, held-out accuracy over drift, and the price by stretch of drift."""
    path = way(scene)
    if len(path.steps) < 2:
        return untold("Reward for drift", scene.why(K3), scene, width, height)
    cut = stretches(path.steps, path.drift, path.reward, path.smooth_drift, PARTS)
    whole = bought(path.steps, path.drift, path.reward)
    parts = [Part("training reward over drift, a dot a step", lambda w, h: _path(scene, path, w, h))]
    parts.append(Part("what each stretch of equal drift bought", lambda w, h: _prices(cut, w, h), PARTS + 3))
    if len(until(scene, ONCE)[0]):
        parts.insert(1, Part("held-out accuracy over drift", lambda w, h: _held_out(scene, path, w, h)))
    caption = [
        "numbers on the way: steps",
        "price: rise of reward over rise of drift within a stretch, 95 % interval",
        "a way that bends over pays more for less",
    ]
    value = "no price" if whole is None or whole.price is None else signed(whole.price.value)
    estimator = called(drift_metric(scene))
    unit = f"reward a nat/token of {estimator} since the start"
    said = [in_all(whole, estimator), *_said(scene, path, cut)]
    return tell(Told("Reward for drift", Ink.KL, value, verdict(cut), unit, said, caption, parts), scene, width, height)


def in_all(whole: Bought | None, estimator: str) -> str:
    """The price of the whole way with its interval, and what it is."""
    if whole is None:
        return f"{2 * LEAST} steps are needed for a price"
    ends = f"last {whole.rows} steps against first {whole.rows}"
    if whole.price is None:
        return f"{estimator} did not clearly rise, {ends}"
    return f"in all {_written(whole.price)} a nat, {ends}"


def verdict(cut: tuple[Stretch, ...]) -> str:
    """Whether drift buys as much as it did, in words: the last stretch against the first."""
    if len(cut) < 2 or cut[-1].rows < LEAST:
        return "too little drift to compare stretches"
    early, late = cut[0].price, cut[-1].price
    if late is None:
        return "drift no longer clearly rises"
    lately = "no clear gain"
    if late.told:
        lately = "reward rises" if late.low > 0 else "reward falls"
    if early is None:
        return f"{lately} lately"
    if late.high < early.low:
        return "returns diminish" if late.low > 0 else f"returns diminish, {lately} lately"
    if late.low > early.high:
        return "returns grow" if late.low > 0 else f"losses shrink, {lately} lately"
    return f"no clear change in price, {lately}" if late.told else f"{lately} lately"


def _said(scene: Scene, path: Way, cut: tuple[Stretch, ...]) -> list[str]:
    said = []
    if len(cut) > 1:
        ends = [
            f"{when} {_written(part.price)} a nat (to step {part.last:,})"
            for when, part in (("at first", cut[0]), ("lately", cut[-1]))
            if part.price is not None
        ]
        said += [", ".join(ends)] if ends else []
    if len(scene.phases) > 1:
        said.append("phases change the mix of tasks: held-out accuracy is the fair measure")
    held_out = _held_out_words(scene, path)
    return [*said, held_out] if held_out else said


def _held_out_words(scene: Scene, path: Way) -> str:
    """The gain of the newest evaluation on the base, by prompt, and the drift of the steps that led to it."""
    found = present.evaluation(scene.snapshot, scene.step)
    if found is None or len(found.rate) != len(found.base_rate):
        return ""
    gain = mean_se(found.rate - found.base_rate)
    before = path.drift[path.steps <= found.step][-RECENT:]
    if not gain.n or not len(before):
        return ""
    half = plus_minus(gain.half)
    drift = f"{number(float(before.mean()))} nats of {called(drift_metric(scene))}, mean of {len(before)} steps"
    return f"held out at step {found.step:,}: {signed(gain.mean)} {half} on base for {drift}"


def _written(found: Price) -> str:
    return f"{signed(found.value, 2)} ({signed(found.low, 2)} to {signed(found.high, 2)})"


def _unpriced(part: Stretch) -> str:
    return f"{plural(part.rows, 'step')}, too few" if part.rows < LEAST else "drift did not clearly rise"


def _path(scene: Scene, path: Way, width: int, height: int) -> Cells:
    x = from_zero(float(path.smooth_drift.max()), width)
    way_x, way_y = path.smooth_drift, path.smooth_reward
    if len(path.steps) < (dense := 12 * max(1, width)):
        # So that no gap between two dots is seen.
        fine, index = np.linspace(0, len(path.steps) - 1, dense), np.arange(len(path.steps))
        way_x, way_y = np.interp(fine, index, way_x), np.interp(fine, index, way_y)
    dots = [Dots(path.drift, path.reward, Ink.REWARD | SOFT), Dots(way_x, way_y, Ink.KL)]
    y = linear(*(span_of(path.reward) or (0.0, 1.0)), ticks_for(height - 1))
    last = len(path.steps) - 1
    tags, points = [], []
    for i in np.unique(np.linspace(0, last, max(2, min(6, width // 14))).round().astype(np.int64)).tolist():
        at = float(path.smooth_drift[i]), float(path.smooth_reward[i])
        ink = Ink.KL | BOLD if i == last else Ink.KL
        points.append(Points(np.array([at[0]]), np.array([at[1]]), ink, "●" if i == last else "○"))
        tags.append(Tag(*at, f"{int(path.steps[i]):,}", ink))
    return draw(replace(across(scene, x, y), dots=dots, points=points, tags=tags), width, height)


def _held_out(scene: Scene, path: Way, width: int, height: int) -> Cells:
    """Evaluations over the smoothed drift at their steps; the base stands at 0."""
    steps, once = until(scene, ONCE)
    drift = np.interp(steps, path.steps, path.smooth_drift)
    half = quantile(scene) * scene.series(ERROR).at_each(steps)
    order = np.argsort(drift, kind="stable")
    points = [Points(drift[order], once[order], Ink.REWARD, "◆", (once - half)[order], (once + half)[order])]
    tags = [Tag(float(drift[-1]), float(once[-1]), f"{int(steps[-1]):,}", Ink.REWARD)]
    values = [once - np.nan_to_num(half), once + np.nan_to_num(half)]
    base = scene.value(BASE)
    if base is not None:
        points.append(Points(np.zeros(1), np.array([base]), Ink.DIM, "○"))
        tags.append(Tag(0.0, base, f"base {base:.2f}", Ink.DIM))
        values.append(np.array([base]))
    x = from_zero(float(drift.max()), width)
    y = linear(*(span_of(*values) or (0.0, 1.0)), ticks_for(height - 1), 0.0, 1.0)
    return draw(replace(across(scene, x, y), points=points, tags=tags), width, height)


def _prices(cut: tuple[Stretch, ...], width: int, height: int) -> Cells:
    """A row a stretch: its drift, what a nat bought within it, the mean reward, its steps, and how many of them there
    still were at that drift: after a fall the last stretch goes on far from its own."""
    cells = Cells(width, height)
    if not cut:
        return nothing(cells, "no drift so far")
    stops = [16, 45, 54, 70, 87]
    titles = ("nats/token", "reward a nat within", "reward", "steps", "at that drift")
    for stop, title in zip(stops, titles, strict=True):
        if stop <= width:
            cells.put_right(0, stop, title, Ink.FAINT)
    for y, part in enumerate(cut[: height - 1], 1):
        figures = (
            f"{number(part.low)} to {number(part.high)}",
            _written(part.price) if part.price else _unpriced(part),
            number(part.reward),
            f"{part.first:,} to {part.last:,}",
            f"{part.within:,} of {part.rows:,}",
        )
        for stop, figure in zip(stops, figures, strict=True):
            if stop <= width:
                told = stop == stops[1] and part.price is not None and part.price.told
                cells.put_right(y, stop, figure, Ink.TEXT if told else Ink.DIM)
    return cells
