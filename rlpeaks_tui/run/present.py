"""What a run that went back has on its present way: records of a branch that was left are not shown as the present.

Curves know their rows; what is told one record at a time is chosen here, the newest at or before a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np

from .branches import Ints, Node, nodes_of, on_the_way, present_of, split, way
from .columns import Series
from .entries import Probe
from .follow import Follower, Snapshot
from .layers import Layers
from .measured import Evaluation, Reliability
from .rollouts import Rollouts


class Recorded(Protocol):
    """What was measured at a step and a time."""

    @property
    def step(self) -> int: ...
    @property
    def t(self) -> float: ...


Record = TypeVar("Record", bound=Recorded)


def nodes(snapshot: Snapshot) -> tuple[Node, ...]:
    """The branches of the run; the last one is the present."""
    return nodes_of(snapshot.branches, snapshot.checkpoints)


def series(snapshot: Snapshot, name: str) -> Series:
    """A metric along the present branch and those that it came from: its steps never decrease."""
    found = snapshot.columns.get_series(name)
    if found.ordered and not snapshot.branches:
        return found
    return present_of(found, nodes(snapshot))


def generations(snapshot: Snapshot, step: int) -> tuple[Ints, Ints]:
    """Numbers and steps int64[n] of the generations at or before `step`, ascending; of a step that has several, the
    last one.
    """
    rows, _ = split(snapshot.rollout_steps, nodes(snapshot))
    steps = snapshot.rollout_steps[rows]
    upto = int(np.searchsorted(steps, min(step, snapshot.step), side="right"))
    rows, steps = rows[:upto], steps[:upto]
    last = np.append(steps[1:] != steps[:-1], True)[: len(steps)]
    return rows[last], steps[last].astype(np.int64)


def left_generations(snapshot: Snapshot) -> frozenset[int]:
    """Numbers of the generations that lie on a branch which was left."""
    rows, _ = split(snapshot.rollout_steps, nodes(snapshot))
    left = np.ones(len(snapshot.rollout_steps), np.bool_)
    left[rows] = False
    return frozenset(np.flatnonzero(left).tolist())


def rollouts(follower: Follower, snapshot: Snapshot, step: int) -> Rollouts | None:
    """The newest generation."""
    numbers, _ = generations(snapshot, step)
    return follower.generation(int(numbers[-1])) if len(numbers) else None


def layer_steps(snapshot: Snapshot, step: int) -> Ints:
    """Steps int64[n] at or before `step` that have an update probe, ascending.

    The files are named by their step, so that the last branch that was probed there has it.
    """
    tree = nodes(snapshot)
    last = {id(node): limit for node, limit in way(tree[-1])}
    limits = np.array([last.get(id(node), -1) for node in tree])
    # What has no time yet was written after all that the journal tells.
    on = limits[np.searchsorted([node.t for node in tree], snapshot.layer_times, side="right") - 1]
    upto = snapshot.layer_steps <= np.minimum(on, min(step, snapshot.step))
    return np.asarray(snapshot.layer_steps[upto])


def layers(follower: Follower, snapshot: Snapshot, step: int) -> Layers | None:
    """The newest update probe."""
    steps = layer_steps(snapshot, step)
    return follower.layers(int(steps[-1])) if len(steps) else None


def reliability(snapshot: Snapshot, step: int) -> Reliability | None:
    """The newest calibration diagram."""
    return _newest(snapshot, snapshot.calibrations, step)


def evaluation(snapshot: Snapshot, step: int) -> Evaluation | None:
    """The newest evaluation of the held-out prompts."""
    return _newest(snapshot, snapshot.evaluations, step)


def probe(snapshot: Snapshot, name: str, step: int) -> Probe | None:
    """The newest result of a probe."""
    return _newest(snapshot, snapshot.probes.get(name, ()), step)


def phase(snapshot: Snapshot) -> str | None:
    """The phase that the run is in; also the one of the generation that the next step uses."""
    found = _newest(snapshot, snapshot.phases, snapshot.step + 1)
    return None if found is None else found.name


def upto(snapshot: Snapshot, records: Sequence[Record], step: int) -> list[Record]:
    """Of `records`, which are in the order of time, those at or before `step`."""
    tree = nodes(snapshot)
    return [record for record in records if record.step <= step and on_the_way(tree, record.t, record.step)]


def _newest(snapshot: Snapshot, records: Sequence[Record], step: int) -> Record | None:
    tree = nodes(snapshot)
    found = (each for each in reversed(records) if each.step <= step and on_the_way(tree, each.t, each.step))
    return next(found, None)
