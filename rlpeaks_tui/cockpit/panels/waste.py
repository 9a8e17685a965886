"""What was generated for nothing: groups whose rewards are all equal teach a group-normalised method nothing.

Some of that is chance: of prompts with pass rate p a share p^G + (1 - p)^G of groups of G is all right or all wrong.
What is observed beyond it says that prompts differ in difficulty, and which end of it says what to train on instead.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from rlpeaks_tui.stats.groups import expected_zero_variance
from rlpeaks_tui.stats.longrun import series_mean
from rlpeaks_tui.stats.summaries import Estimate, smooth

from ..axes import Axis, linear
from ..cells import BOLD, SOFT, Cells, Ink
from ..chart import Dots, Line, Points, Tag, draw
from ..scene import Scene
from ..words import duration, number, percent
from .earned import Earned
from .parts import Row, chart, metric_table, nothing, raw_and_smooth, ticks_for
from .story import Part, Told, across, both, tell, until, untold

IDLE, EXPECTED = "frac_reward_zero_std", "groups/expected_zero_variance"
RIGHT, WRONG, NONE = "groups/all_right", "groups/all_wrong", "rollouts/no_gradient"
GENERATE = "time/generate"
SEEN = 0.02
"""Share of groups above which there are some to speak of."""
SLIGHT = 0.05
"""Share of groups beyond chance up to which nothing is made of it."""
ROWS = 20
"""Rows from which it is told whether there are more than chance gives."""


class Waste(Struct, frozen=True):
    """What was spent up to a step.

    Attributes:
        idle, completions: without gradient and of all; 0 of 0 where sizes of generations are not on record.
        share: of the completions, or of the generations alike where their sizes are not known.
        seconds, generating: that went into the idle ones, and into all; nan where time was not recorded.
    """

    idle: float
    completions: int
    share: float
    seconds: float
    generating: float


def wasted(scene: Scene, study: Earned) -> Waste | None:
    """Add up the generations that led to the step shown; None where none is on record.

    The time of a step goes to idle completions by their share in the generation that the step belongs to, which is the
    one that ends at it or next after it.
    """
    steps, share = until(scene, NONE)
    if not len(steps):
        return None
    at, sizes = study.generated
    of_step = np.minimum(np.searchsorted(at, steps), max(0, len(at) - 1))
    count = np.where(at[of_step] == steps, sizes[of_step], 0) if len(at) else np.zeros(len(steps))
    idle, completions = float(share @ count), int(count.sum())
    took_at, seconds = until(scene, GENERATE)
    of = np.minimum(np.searchsorted(steps, took_at, side="left"), len(steps) - 1)
    return Waste(
        idle=idle,
        completions=completions,
        share=idle / completions if completions else float(share.mean()),
        seconds=round(float(seconds @ share[of]), 6) if len(took_at) else np.nan,
        generating=round(float(seconds.sum()), 6) if len(took_at) else np.nan,
    )


def story(scene: Scene, width: int, height: int) -> Cells:
    """Groups without spread beside what chance gives, split into solved and hopeless, and what they have cost."""
    if scene.value(IDLE) is None and scene.value(NONE) is None:
        return untold("Waste", scene.why(IDLE), scene, width, height)
    study = scene.study if isinstance(scene.study, Earned) else Earned()
    spent = wasted(scene, study)
    value, note = _main(spent)
    parts = [
        Part("groups whose rewards are all equal", lambda w, h: _shares(scene, w, h)),
        Part("which of them: solved or hopeless", lambda w, h: _kinds(scene, w, h)),
        Part("what chance alone gives, by pass rate", lambda w, h: _chance(scene, study, w, h)),
        Part("now and over the run", lambda w, h: metric_table(scene, _ROWS, w, h), len(_ROWS) + 2),
    ]
    caption = ["dots: as recorded", "lines: smoothed", "expected: p^G + (1 − p)^G for prompts that are equally hard"]
    unit = "completions so far without signal"
    return tell(Told("Waste", Ink.REWARD, value, note, unit, _said(scene, spent), caption, parts), scene, width, height)


_ROWS: list[Row] = [
    ("groups without signal", IDLE, Ink.REWARD),
    ("expected by chance", EXPECTED, Ink.SERIES_1),
    ("all right", RIGHT, Ink.GOOD),
    ("all wrong", WRONG, Ink.BAD),
    ("completions without signal", NONE, Ink.TEXT),
    ("learning from rare successes", "groups/rare_success", Ink.TEXT),
    ("seconds of generating a step", GENERATE, Ink.TEXT),
]


def _main(spent: Waste | None) -> tuple[str, str]:
    if spent is None:
        return "", ""
    note = f"{round(spent.idle):,} of {spent.completions:,} completions" if spent.completions else "of the generations"
    if np.isfinite(spent.seconds):
        note += f", {duration(spent.seconds)} of {duration(spent.generating)} generating"
    return percent(spent.share), note


def _said(scene: Scene, spent: Waste | None) -> list[str]:
    idle, chance = (_recent(scene, name) for name in (IDLE, EXPECTED))
    right, wrong = _recent(scene, RIGHT), _recent(scene, WRONG)
    said = []
    if idle is not None and chance is not None:
        what = _beyond(_apart(scene, IDLE, EXPECTED), idle - chance)
        said.append(f"lately {percent(idle)} of groups without signal, {percent(chance)} expected: {what}")
    if right is not None and wrong is not None and right + wrong > SEEN:
        more = _apart(scene, RIGHT, WRONG).sign()
        if more > 0 and right > 2 * wrong:
            advice = "harder prompts would teach more"
        elif more < 0 and wrong > 2 * right:
            advice = "easier prompts would teach more"
        elif min(right, wrong) > SEEN:
            advice = "both ends are there: sort prompts by pass rate"
        else:
            advice = "which of the two is not clear yet"
        said.append(f"all right {percent(right)}, all wrong {percent(wrong)}: {advice}")
    if spent is not None and spent.completions:
        said.append(
            "a completion without signal still costs its generation; it counts here only where its advantage is 0"
        )
    return said


def _beyond(apart: Estimate, lately: float) -> str:
    """Whether groups are idle more often than chance lets them be for prompts that are equally hard, or less often."""
    if apart.sign() > 0 and lately > SLIGHT:
        return f"{percent(lately)} of groups beyond chance: prompts differ in difficulty"
    if apart.sign() < 0 and lately < -SLIGHT:
        return "fewer than chance gives: part of the reward tells answers apart that are both right or both wrong"
    if abs(apart.mean) + apart.half <= SLIGHT:
        return "about what chance gives for prompts that are equally hard"
    return "too few steps to tell it from chance" if apart.n < ROWS else "not clearly other than chance gives"


def _apart(scene: Scene, one: str, other: str) -> Estimate:
    """The difference of two metrics over the last rows that know both."""
    steps, a, b = both(scene, one, other)
    apart = (a - b)[steps <= scene.step]
    return series_mean(apart[np.isfinite(apart)][-ROWS:])


def _recent(scene: Scene, name: str) -> float | None:
    """The smoothed value at the step shown."""
    _, values = until(scene, name)
    # Older ones weigh less than 1e-9 of it.
    values = values[-math.ceil(30 * scene.half_life) :]
    return float(smooth(values, scene.half_life)[-1]) if len(values) else None


def _shares(scene: Scene, width: int, height: int) -> Cells:
    expected = scene.series(EXPECTED)
    lines = [Line(expected.steps, scene.smoothed(EXPECTED), Ink.SERIES_1, "expected")] if len(expected) else []
    lines += raw_and_smooth(scene, IDLE, Ink.REWARD, "observed")[1:]
    # Of a few groups a step: a line through shares of 0, a half and 1 would fill the plot.
    observed = scene.series(IDLE)
    dots = [Dots(observed.steps.astype(np.float64), observed.values, Ink.REWARD | SOFT)]
    axis = linear(0.0, 1.0, ticks_for(height - 1), 0.0, 1.0)
    return draw(replace(chart(scene, lines, axis, labels=10 if width >= 40 else 0), dots=dots), width, height)


def _kinds(scene: Scene, width: int, height: int) -> Cells:
    lines = []
    for name, ink, label in ((RIGHT, Ink.GOOD, "all right"), (WRONG, Ink.BAD, "all wrong")):
        if len(scene.series(name)):
            lines += raw_and_smooth(scene, name, ink, label)[1:]
    if not lines:
        return nothing(Cells(width, height), scene.why(RIGHT))
    axis = linear(0.0, 1.0, ticks_for(height - 1), 0.0, 1.0)
    return draw(chart(scene, lines, axis, labels=11 if width >= 40 else 0), width, height)


def _chance(scene: Scene, study: Earned, width: int, height: int) -> Cells:
    """p^G + (1 - p)^G over p, and where this run is: the expected share is that of its pass rate."""
    size = study.group_size
    if size < 2:
        return nothing(Cells(width, height), "the size of a group is not known")
    p = np.linspace(0.0, 1.0, 4 * max(1, width))
    chance = np.array([expected_zero_variance([each], size) for each in p.tolist()])
    axis = Axis(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0), ("0", "0.25", "0.5", "0.75", "1"))
    plan = across(scene, axis, linear(0.0, 1.0, ticks_for(height - 1), 0.0, 1.0))
    points, tags = [], []
    found = scene.rollouts
    rate = np.nan if found is None or not np.isfinite(found.correct).any() else float(np.nanmean(found.correct))
    idle = _recent(scene, IDLE)
    if np.isfinite(rate) and idle is not None:
        points.append(Points(np.array([rate]), np.array([idle]), Ink.REWARD | BOLD, "◆"))
        tags.append(Tag(rate, idle, f"observed {number(idle)}", Ink.REWARD))
    # Within the bow of the curve, well above its lowest place.
    tags.append(Tag(0.5, float(chance.min()) + 0.25, f"G = {size}", Ink.SERIES_1))
    lines = [Line(p, chance, Ink.SERIES_1 | SOFT, heavy=True)]
    return draw(replace(plan, lines=lines, points=points, tags=tags), width, height)
