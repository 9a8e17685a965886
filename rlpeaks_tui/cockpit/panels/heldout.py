"""Held-out against training: does what is earned carry over to prompts that are never trained on, and what can the
policy do that its base cannot.
"""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace

from rlpeaks_tui.run import present
from rlpeaks_tui.stats.heldout import ks_of
from rlpeaks_tui.stats.longrun import series_mean
from rlpeaks_tui.stats.student import degrees_between, student95
from rlpeaks_tui.stats.summaries import Estimate, combined, smooth

from ..axes import Axis, Floats, linear, span_of
from ..cells import SOFT, Cells, Ink, fit, width_of
from ..chart import Band, Line, Points, draw
from ..raster import Ints
from ..scene import Scene
from ..words import number, percent, plural, signed
from .earned import Earned
from .parts import chart, nothing, ticks_for, typical_span
from .story import Part, Told, across, level, plus_minus, tell, until, untold
from .tasks import task_ink

ONCE, ERROR, BASE = "eval/pass@1", "eval/pass@1_se", "eval/base_pass@1"
BY_TASK = "eval/accuracy/"
RECENT = 20
"""Rows of training that are held against one evaluation."""


def story(scene: Scene, width: int, height: int) -> Cells:
    """Held-out accuracy with its error over the training reward of the same tasks, pass@k, and tasks one by one."""
    once = scene.value(ONCE)
    if once is None:
        return untold("Held out", scene.why(ONCE), scene, width, height)
    judged = evaluated(scene, once)
    study = scene.study if isinstance(scene.study, Earned) else Earned()
    base = scene.value(BASE)
    value = f"{number(once)} {plus_minus(judged.half)}".rstrip()
    note = f"held out, {signed(once - base)} on base" if base is not None else "held out"
    parts = [Part("accuracy over steps", lambda w, h: _over_time(scene, study, w, h))]
    if len(_ks(scene, study)) > 1:
        parts.append(Part("right at least once in k tries", lambda w, h: _passes(scene, study, w, h)))
    tasks = sum(name.startswith(BY_TASK) for name in scene.snapshot.columns.names())
    parts.append(Part("by task, held out beside training", lambda w, h: _tasks(scene, study, w, h), max(3, tasks + 2)))
    sign = "*" if scene.ascii_only else "◆"
    caption = [
        f"{sign} held out with 95 % interval",
        "solved: right in one sample or more",
        "line: training, same tasks in the same mix",
        "level: base",
        "bands: 95 %, resampling prompts",
    ]
    told = Told("Held out", Ink.REWARD, value, note, _unit(scene, study), _said(scene, study, judged), caption, parts)
    return tell(told, scene, width, height)


def prompts_of(scene: Scene) -> int:
    """How many prompts the evaluation of the step shown held; 0 where it left no record of them."""
    found = present.evaluation(scene.snapshot, scene.step)
    return 0 if found is None else int(np.isfinite(found.rate).sum())


def quantile(scene: Scene) -> float:
    """Half-width of the 95 % interval of an evaluation in its standard errors, which are those between prompts."""
    return student95(degrees_between(prompts_of(scene)))


def evaluated(scene: Scene, once: float) -> Estimate:
    """Held-out accuracy with its error between prompts; nan where that is not known."""
    error, prompts = scene.value(ERROR), prompts_of(scene)
    spread = np.nan if error is None else error
    return Estimate(once, spread, prompts, prompts, degrees_between(prompts))


def training_at(scene: Scene, study: Earned, step: int) -> Estimate | None:
    """What training earns on the tasks of the held-out prompts, in their mix, over the last RECENT rows up to `step`.

    None where some task has fewer than five rows.
    """
    total, least = np.zeros(RECENT), RECENT
    for name, weight in mix(scene, study).items():
        series = scene.series(name)
        rows = series.values[(series.steps <= step) & np.isfinite(series.values)][-RECENT:]
        least = min(least, len(rows))
        # Added up row by row: what a step does to every task does not average out.
        total[-len(rows) :] += weight * rows if len(rows) else 0.0
    return series_mean(total[-least:]) if least >= 5 else None


def mix(scene: Scene, study: Earned) -> dict[str, float]:
    """Training metrics and their weights, that together are as the held-out prompts are: by task where both know them.

    Equal weights where it is not known how many prompts each task has.
    """
    names = scene.snapshot.columns.names()
    tasks = [name.removeprefix(BY_TASK) for name in names if name.startswith(BY_TASK)]
    if not tasks or any(f"reward/{task}" not in names for task in tasks):
        return {"reward": 1.0}
    counts = {task: study.tasks[task].prompts if task in study.tasks else 0 for task in tasks}
    if not all(counts.values()):
        counts = dict.fromkeys(tasks, 1)
    total = sum(counts.values())
    return {f"reward/{task}": count / total for task, count in counts.items()}


def mixed(scene: Scene, study: Earned) -> tuple[Ints, Floats]:
    """Steps and smoothed reward of the mix: each task counts with what it earned last; nan until all have been seen."""
    steps = scene.series("reward").steps
    total = np.zeros(len(steps))
    for name, weight in mix(scene, study).items():
        series = scene.series(name)
        known = np.isfinite(series.values)
        values = np.append(np.nan, smooth(series.values[known], scene.half_life))
        total += weight * values[np.searchsorted(series.steps[known], steps, side="right")]
    return steps, total


def comparable(scene: Scene) -> str:
    """Why the training reward is another quantity than the share of right answers; empty where it may be the same."""
    functions = [
        name for name in scene.snapshot.columns.names() if name.startswith("rewards/") and name.endswith("/mean")
    ]
    span = span_of(scene.series("reward").values)
    if len(functions) > 1:
        return f"the training reward holds {len(functions)} functions: compare the shapes, not the levels"
    if span is not None and (span[0] < 0 or span[1] > 1):
        return "the training reward is no share of right answers: compare the shapes, not the levels"
    return ""


def gap(held_out: Estimate, training: Estimate) -> str:
    """Whether training and held-out prompts differ by more than chance, in words."""
    apart = combined((training, held_out), (1.0, -1.0))
    size = f"{signed(apart.mean)} {plus_minus(apart.half)}"
    if not np.isfinite(apart.half):
        return f"training earns {number(training.mean)} on the same mix of tasks"
    if not apart.sign():
        return f"training is at {number(training.mean)} on the same mix: no gap beyond chance ({size})"
    if apart.mean > 0:
        return f"training is ahead by {size}: not all that is earned carries over"
    return f"training is behind by {size}: held-out prompts are easier, or training explores"


def _said(scene: Scene, study: Earned, judged: Estimate) -> list[str]:
    said = []
    steps, _ = until(scene, ONCE)
    training = training_at(scene, study, int(steps[-1])) if len(steps) else None
    if why := comparable(scene):
        said.append(why)
    elif training is not None:
        said.append(gap(judged, training))
    said.append(_gained(scene, study))
    said.append(_solved(scene, study))
    return said


def _gained(scene: Scene, study: Earned) -> str:
    gain, low, high = (scene.value(f"eval/gain{end}") for end in ("", "_low", "_high"))
    if gain is None:
        return ""
    steady = [
        k for k in _ks(scene, study) if 2 * k <= (study.passes.samples if study.passes else max(_ks(scene, study)))
    ]
    name = f"pass@{max(steady)}" if steady else "pass@k"
    if low is None or high is None:
        return f"paired gain in {name} {signed(gain)}"
    told = (
        "an answer is found more often"
        if low > 0
        else "an answer is found less often"
        if high < 0
        else "no clear difference"
    )
    return f"paired gain in {name} {signed(gain)} (90 % {signed(low)} to {signed(high)}): {told}"


def _solved(scene: Scene, study: Earned) -> str:
    mine, its, p = (scene.value(f"eval/{name}") for name in ("policy_only", "base_only", "mcnemar"))
    if mine is None or its is None or p is None:
        return ""
    prompts = study.passes.policy.problems if study.passes else 0
    only, other = (f"{round(share * prompts)}" if prompts else percent(share) for share in (mine, its))
    of = f" of {prompts} prompts" if prompts else " of the prompts"
    told = "not by chance" if p < 0.05 else "chance alone does as much"
    chance = "< 0.01" if p < 0.01 else f"{p:.2f}"
    return f"only the policy solves {only}, only the base {other}{of}: {told} (McNemar p {chance})"


def _unit(scene: Scene, study: Earned) -> str:
    steps, _ = until(scene, ONCE)
    when = f"at step {int(steps[-1]):,}" if len(steps) else ""
    if study.passes is None:
        return f"pass@1 {when}"
    return f"pass@1 {when}, {plural(study.passes.policy.problems, 'prompt')}, {study.passes.samples} samples each"


def evaluations(scene: Scene) -> Points:
    """pass@1 at every evaluation with its 95 % interval, where its error is known."""
    series, error = scene.series(ONCE), scene.series(ERROR)
    half = quantile(scene) * error.values if len(error) == len(series) else np.full(len(series), np.nan)
    return Points(series.steps, series.values, Ink.REWARD, "◆", series.values - half, series.values + half)


def _over_time(scene: Scene, study: Earned, width: int, height: int) -> Cells:
    points = evaluations(scene)
    steps, values = mixed(scene, study)
    name = "reward" if "reward" in mix(scene, study) else "training"
    lines = [Line(steps, values, Ink.SERIES_2, name)]
    base = scene.value(BASE)
    if base is not None:
        lines.insert(0, level(scene, base, Ink.DIM, f"base {base:.2f}"))
    low, high = typical_span(lines) or (0.0, 1.0)
    low_point, high_point = span_of(*points.ends) or (0.0, 1.0)
    bounded = not comparable(scene)
    axis = linear(
        min(low, low_point),
        max(high, high_point),
        ticks_for(height - 1),
        0.0 if bounded else None,
        1.0 if bounded else None,
    )
    labels = max(width_of(line.label) for line in lines) + 2
    return draw(chart(scene, lines, axis, [points], labels if width >= 40 else 0), width, height)


def _ks(scene: Scene, study: Earned) -> list[int]:
    """The k at which pass@k is known at the step shown."""
    if study.passes is not None:
        return ks_of(study.passes.samples)
    return [k for k in (1 << i for i in range(13)) if scene.value(f"eval/pass@{k}") is not None]


def _passes(scene: Scene, study: Earned, width: int, height: int) -> Cells:
    ks = _ks(scene, study)
    x = np.log2(np.array(ks, np.float64))
    lines, bands, points = [], [], []
    for label, prefix, ink in (("base", "eval/base_pass@", Ink.SERIES_1), ("policy", "eval/pass@", Ink.REWARD)):
        curve = None
        if study.passes is not None:
            curve = study.passes.policy if label == "policy" else study.passes.base
        if curve is not None:
            values = curve.mean
            bands.append(Band(x, curve.low, curve.high, ink | SOFT))
        else:
            read = [scene.value(f"{prefix}{k}") for k in ks]
            values = np.array([np.nan if value is None else value for value in read])
        if not np.isfinite(values).any():
            continue
        lines.append(Line(x, values, ink, label, heavy=True))
        points.append(Points(x, values, ink, "◆" if label == "policy" else "○"))
    span = span_of(*(line.values for line in lines), *(band.low for band in bands), *(band.high for band in bands))
    y = linear(*(span or (0.0, 1.0)), ticks_for(height - 1), 0.0, 1.0)
    labels = tuple(f"k={k}" if k == 1 else f"{k:,}" for k in ks)
    axis = Axis(float(x[0]), float(x[-1]), tuple(x.tolist()), labels)
    plan = replace(across(scene, axis, y), lines=lines, bands=bands, points=points, labels=8 if width >= 40 else 0)
    return draw(plan, width, height)


def _tasks(scene: Scene, study: Earned, width: int, height: int) -> Cells:
    """One row a task: prompts, the base, the first evaluation and the one shown, and training beside it."""
    cells = Cells(width, height)
    names = [name for name in scene.snapshot.columns.names() if name.startswith(BY_TASK)]
    if not names:
        return nothing(cells, "the held-out prompts name no tasks")
    steps, _ = until(scene, ONCE)
    room = max(8, min(24, width - 46))
    stops = [room + 8 * (i + 1) for i in range(5)]
    for stop, title in zip(stops, ("prompts", "base", "first", "now", "training"), strict=True):
        cells.put_right(0, stop + (title == "training") * 2, title, Ink.FAINT)
    for y, name in enumerate(names[: height - 1], 1):
        task = name.removeprefix(BY_TASK)
        cells.put(y, 0, fit(task, room), task_ink(scene, task))
        of_base = study.tasks.get(task)
        series = scene.series(f"reward/{task}")
        recent = series.values[(series.steps <= int(steps[-1])) & np.isfinite(series.values)][-RECENT:]
        figures = (
            f"{of_base.prompts}" if of_base else "-",
            number(of_base.base) if of_base else "-",
            number(scene.start(name)),
            number(scene.value(name)),
            number(float(recent.mean()) if len(recent) else None),
        )
        for stop, figure in zip(stops, figures, strict=True):
            cells.put_right(y, stop + (stop == stops[-1]) * 2, figure, Ink.TEXT if stop == stops[3] else Ink.DIM)
    return cells
