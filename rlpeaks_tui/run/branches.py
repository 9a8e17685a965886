"""A run that went back to a checkpoint, as a tree: which rows of a series lead to where it is now, and which were left.

A series holds its rows in the order of logging, and which of them was the first on each branch where the journal tells.
Where it does not, the steps tell it: a step that comes again begins a branch, and so does one beyond the place
at which the branch before was left. What fits both, which only a metric that is recorded now and then can do, then
counts as logged before the run went back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from .columns import Columns, Series
from .entries import Branch, Checkpoint

Ints = NDArray[np.int64]

TRUNK = "main"
MOST_LEFT = 6
"""Branches that were left and are still drawn, the newest of them."""


class Node(Struct, frozen=True, eq=False):
    """A branch: it goes on from step `at` of `parent` since the time `t`, and was left at step `end` (None: it is not).

    The trunk has no parent.
    """

    name: str
    parent: Node | None
    at: int
    end: int | None
    t: float


class Left(Struct, frozen=True):
    """What was left of a series: row numbers `rows` int64[n] of its whole way from the first step; from `start` on they
    are off the present way, except for the first, which joins them to it.
    """

    name: str
    rows: Ints
    start: int


def nodes_of(branches: Sequence[Branch], checkpoints: Sequence[Checkpoint]) -> tuple[Node, ...]:
    """The branches of a run in the order in which they began, the trunk first, the present one last.

    A branch grows from the one on which its checkpoint was written, which need not be the one that was left for it.
    """
    ends = [*(branch.step for branch in branches), None]
    found = [Node(branches[0].parent if branches else TRUNK, None, -1, ends[0], -np.inf)]
    for branch, end in zip(branches, ends[1:], strict=True):
        written = [saved.t for saved in checkpoints if saved.name == branch.checkpoint and saved.t <= branch.t]
        found.append(Node(branch.name, at_time(found, written[-1]) if written else found[-1], branch.at, end, branch.t))
    return tuple(found)


def at_time(nodes: Sequence[Node], t: float) -> Node:
    """The branch that the run was on at time `t`."""
    return [node for node in nodes if node.t <= t][-1]


def way(node: Node) -> list[tuple[Node, float]]:
    """The nodes that lead to `node`, the trunk first, each with the last step that belongs to the way."""
    found: list[tuple[Node, float]] = [(node, np.inf)]
    limit: float = np.inf
    while node.parent is not None:
        limit = min(limit, node.at)
        node = node.parent
        found.append((node, limit))
    return found[::-1]


def on_the_way(nodes: Sequence[Node], t: float, step: int) -> bool:
    """Whether what happened at time `t` and `step` led to where the run is now, or belongs to what was left."""
    then = at_time(nodes, t)
    return any(node is then and step <= limit for node, limit in way(nodes[-1]))


def split(steps: Ints, nodes: Sequence[Node], began: Sequence[int] = ()) -> tuple[Ints, tuple[Left, ...]]:
    """The rows int64[n] of a series that lead to the present, in ascending order of steps, and what was left.

    `began` is that of the series: its first row on each branch but the trunk.
    """
    parts = list(_parts(steps, nodes, began))
    present = _present(steps, parts, nodes)
    left = []
    for node, _ in parts[-MOST_LEFT - 1 :]:
        rows = _rows(steps, parts, node)
        common = min(len(rows), len(present))
        differs = np.flatnonzero(rows[:common] != present[:common])
        fork = int(differs[0]) if len(differs) else common
        if fork < len(rows):
            left.append(Left(node.name, rows, max(0, fork - 1)))
    return present, tuple(left)


def along(columns: Columns, nodes: Sequence[Node]) -> Columns:
    """The metrics of a run along its present way."""
    return columns.each(lambda series: present_of(series, nodes)) if len(nodes) > 1 else columns


def present_of(series: Series, nodes: Sequence[Node]) -> Series:
    """What of a series leads to the present; its steps never decrease."""
    rows = _present(series.steps, list(_parts(series.steps, nodes, series.began)), nodes)
    return Series(series.steps[rows], series.values[rows])


def _present(steps: Ints, parts: Sequence[tuple[Node, slice]], nodes: Sequence[Node]) -> Ints:
    """The rows that lead to the present."""
    # The last part tells the present of a run that went back without saying so.
    tip = nodes[-1] if not parts or parts[-1][0] in nodes else parts[-1][0]
    return _rows(steps, parts, tip)


def _rows(steps: Ints, parts: Sequence[tuple[Node, slice]], node: Node) -> Ints:
    """The rows on the way to `node`."""
    limits = {id(passed): limit for passed, limit in way(node)}
    found = [
        np.arange(part.start, part.start + int(np.searchsorted(steps[part], limits[id(passed)], side="right")))
        for passed, part in parts
        if id(passed) in limits
    ]
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _parts(steps: Ints, nodes: Sequence[Node], began: Sequence[int]) -> Iterator[tuple[Node, slice]]:
    """Stretches of rows, each with the node on which it was logged; steps ascend within each."""
    if len(began) != len(nodes) - 1:
        yield from _told_from_steps(steps, nodes)
        return
    for node, start, stop in zip(nodes, (0, *began), (*began, len(steps)), strict=True):
        for part, rows in _told_from_steps(steps[start:stop], (node,)):
            yield part, slice(start + rows.start, start + rows.stop)


def _told_from_steps(steps: Ints, nodes: Sequence[Node]) -> Iterator[tuple[Node, slice]]:
    falls = (np.flatnonzero(steps[1:] <= steps[:-1]) + 1).tolist()
    node, behind = nodes[0], list(nodes[1:])
    for start, stop in pairwise([0, *falls, len(steps)]):
        if start:
            first = int(steps[start])
            fit = [i for i, n in enumerate(behind) if n.at <= first and (n.end is None or first <= n.end)]
            if fit:
                node, behind = behind[fit[0]], behind[fit[0] + 1 :]
            elif first < steps[start - 1]:
                # A step may be measured twice, but none comes again after a later one unless the run went back.
                node = Node("", node, first - 1, None, np.inf)
        while start < stop:
            beyond = stop
            if node.end is not None and behind:
                beyond = start + int(np.searchsorted(steps[start:stop], node.end, side="right"))
            if beyond > start:
                yield node, slice(start, beyond)
            if beyond < stop:
                node, behind = behind[0], behind[1:]
            start = beyond
