"""What the stories of reward need besides the metrics: each held-out prompt, a fitted curve, counts of completions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from msgspec import Struct, field

from rlpeaks_tui.run import present
from rlpeaks_tui.run.follow import Follower, Snapshot
from rlpeaks_tui.run.heldout import HeldOutPrompts, read_held_out
from rlpeaks_tui.run.layout import Layout
from rlpeaks_tui.run.measured import Evaluation
from rlpeaks_tui.stats.heldout import ks_of
from rlpeaks_tui.stats.passk import PassCurve, pass_curve
from rlpeaks_tui.stats.scaling import Sigmoid, fit_sigmoid

from ..axes import Floats
from ..raster import Ints

MOST_PROMPTS, MOST_SAMPLES = 10_000, 4096
"""Beyond these the record of an evaluation is not worked through."""
RESAMPLES = 200


class TaskAtBase(Struct, frozen=True):
    """Held-out prompts of one task, and the base's accuracy on them; nan where it is not known."""

    prompts: int
    base: float


class Passes(Struct, frozen=True):
    """pass@k of policy and base, from the evaluation at `step` of `samples` tries a prompt."""

    step: int
    samples: int
    policy: PassCurve
    base: PassCurve | None


class Earned(Struct, frozen=True, eq=False):
    """What `Earnings` found.

    Attributes:
        tasks: of the held-out prompts, empty where they are not told apart.
        passes: of the newest evaluation that led to the step shown.
        ceiling: the fit to the evaluations up to the step shown; None without any.
        generated: steps of the generations that led to the step shown, rising, and how many completions each had.
        group_size: completions of one prompt; 0 where not known.
    """

    tasks: Mapping[str, TaskAtBase] = field(default_factory=dict)
    passes: Passes | None = None
    ceiling: Sigmoid | None = None
    generated: tuple[Ints, Ints] = field(default_factory=lambda: (np.empty(0, np.int64), np.empty(0, np.int64)))
    group_size: int = 0


class Earnings:
    """The study of the reward panel: works out again only what has new evaluations or another step."""

    def __init__(self) -> None:
        self._prompts: HeldOutPrompts | None = None
        self._evaluated: tuple[object, Mapping[str, TaskAtBase], Passes | None] | None = None
        self._fitted: tuple[bytes, Sigmoid] | None = None

    def __call__(self, follower: Follower, snapshot: Snapshot, step: int) -> Earned:
        if self._prompts is None:
            self._prompts = read_held_out(Layout(snapshot.directory))
        tasks, passes = self._of_newest(present.evaluation(snapshot, step))
        found = present.rollouts(follower, snapshot, step)
        numbers, steps = present.generations(snapshot, step)
        return Earned(
            tasks,
            passes,
            self._ceiling(snapshot, step),
            (steps, snapshot.rollout_sizes[numbers].astype(np.int64)),
            0 if found is None or not len(found.group) else int(np.bincount(found.group).max()),
        )

    def _of_newest(self, found: Evaluation | None) -> tuple[Mapping[str, TaskAtBase], Passes | None]:
        if self._evaluated is None or self._evaluated[0] is not found:
            self._evaluated = (found, tasks_of(self._prompts, found), passes_of(found))
        return self._evaluated[1], self._evaluated[2]

    def _ceiling(self, snapshot: Snapshot, step: int) -> Sigmoid | None:
        series, of_error = (present.series(snapshot, f"eval/pass@1{part}") for part in ("", "_se"))
        known = (series.steps <= step) & np.isfinite(series.values)
        if not known.any():
            return None
        steps, accuracy = series.steps[known], series.values[known]
        error = _at(of_error.steps, of_error.values, steps)
        first = present.series(snapshot, "eval/base_pass@1").at(step)
        key = steps.tobytes() + accuracy.tobytes() + np.float64(np.nan if first is None else first).tobytes()
        if self._fitted is None or self._fitted[0] != key:
            rng = np.random.default_rng(0)
            start = np.nan if first is None else first
            self._fitted = (key, fit_sigmoid(steps, np.clip(accuracy, 0, 1), error, start, rng, RESAMPLES))
        return self._fitted[1]


def _at(steps: Ints, values: Floats, wanted: Ints) -> Floats:
    """The value last written for exactly each of `wanted`; nan where there is none. Steps rise."""
    end = np.searchsorted(steps, wanted, side="right")
    exact = np.append(-1, steps)[end] == wanted
    return np.where(exact & (end > 0), np.append(np.nan, values)[end], np.nan)


def tasks_of(prompts: HeldOutPrompts | None, found: Evaluation | None) -> dict[str, TaskAtBase]:
    """The tasks of the held-out prompts with the base's accuracy, as the evaluation had it."""
    if prompts is None:
        return {}
    base = np.empty(0) if found is None else found.base_rate
    aligned = len(base) == len(prompts.tasks)
    tasks = {}
    for task in sorted({task for task in prompts.tasks if task}):
        rows = [i for i, name in enumerate(prompts.tasks) if name == task]
        known = base[rows][np.isfinite(base[rows])] if aligned else np.empty(0)
        tasks[task] = TaskAtBase(len(rows), float(known.mean()) if len(known) else np.nan)
    return tasks


def passes_of(found: Evaluation | None) -> Passes | None:
    """pass@k with intervals from the rates of each prompt; None where the record does not hold them."""
    if found is None or found.samples > MOST_SAMPLES:
        return None
    policy = _curve(found.rate, found.samples)
    return None if policy is None else Passes(found.step, found.samples, policy, _curve(found.base_rate, found.samples))


def _curve(rates: Floats, samples: int) -> PassCurve | None:
    rates = rates[np.isfinite(rates)]
    if not 0 < len(rates) <= MOST_PROMPTS or rates.min() < 0 or rates.max() > 1:
        return None
    right = np.rint(rates * samples).astype(np.int64)
    return pass_curve(np.full(len(right), samples), right, ks_of(samples), np.random.default_rng(0), RESAMPLES)
