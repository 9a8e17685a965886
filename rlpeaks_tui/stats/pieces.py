"""Which tokens a policy hesitates at, and which ones it now writes more gladly than its base: by piece of text.

The tokens are those of a sample of completions, so a piece that is written often is seen often. Tokens of one
completion lean on each other: errors are taken between completions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from rlpeaks_tui.stats.divergence import JS_THRESHOLD
from rlpeaks_tui.stats.summaries import Estimate, Floats, beyond_the_rest, clustered_mean
from rlpeaks_tui.stats.tokens import forking

Labels = NDArray[np.int64]
MOST = 40
"""Pieces that are told at most."""


class Fork(Struct, frozen=True):
    """A piece that was written where the policy had a choice.

    Attributes:
        piece: its text.
        forks, uses: how often it was written at a fork, and at all.
        entropy: mean over its forks, nats.
        advantage: of the completions, mean over its forks.
        surprise: mean of -log p0 over its forks, nats: how unlikely the base finds it; nan where not measured.
        compared: forks whose distribution was compared with the base's.
        alike: share of those where the two hardly differ (JS at most 0.1 nats), so that the base has the same choice;
            nan where none was compared.
    """

    piece: str
    forks: int
    uses: int
    entropy: float
    advantage: Estimate
    surprise: float
    compared: int
    alike: float


class Forks(Struct, frozen=True):
    """The forks of a sample: the top fifth of its tokens by entropy (2506.01939).

    Attributes:
        threshold: least entropy of a fork, nats; nan without tokens.
        forks, tokens: how many.
        held: share of all entropy that the forks hold.
        compared, alike: as of `Fork`, over all forks.
        pieces: the most frequent first, at most MOST.
    """

    threshold: float
    forks: int
    tokens: int
    held: float
    compared: int
    alike: float
    pieces: tuple[Fork, ...]


class Moved(Struct, frozen=True):
    """A piece, and how much more likely the policy makes it than the base does where the policy writes it.

    Attributes:
        piece: its text.
        n: how often it was written.
        shift: mean of log p - log p0, nats.
        ahead: by how much that exceeds the mean of the other tokens of the same completions, nats.
        js: mean Jensen-Shannon divergence of the two distributions where it was written; nan where not measured.
        far: share of those above 0.1 nats; nan where not measured.
    """

    piece: str
    n: int
    shift: Estimate
    ahead: Estimate
    js: float
    far: float


class Shifts(Struct, frozen=True):
    """What moved, of all pieces that were written often enough to be looked at.

    Whichever of many pieces lies furthest out does so partly by chance: what is said of it has to hold among all that
    were looked at (`Estimate.half_among`), and to be compared with other tokens. A mean shift is above 0 by selection:
    what a policy writes is what it has raised, and the mean over all tokens is the estimate k1 of the drift.

    Attributes:
        looked: how many pieces were looked at.
        pieces: by mean shift, the greatest first whichever its sign; at most MOST.
    """

    looked: int
    pieces: tuple[Moved, ...]

    @property
    def raised(self) -> Moved | None:
        """The first that is raised beyond the other tokens of its completions, chance over all pieces apart."""
        clear = (piece for piece in self.pieces if piece.ahead.sign(self.looked) > 0)
        return next((piece for piece in clear if piece.shift.mean > 0), None)


def forks(
    pieces: Sequence[str],
    entropy: ArrayLike,
    base_logp: ArrayLike,
    js: ArrayLike,
    advantage: ArrayLike,
    completion: ArrayLike,
) -> Forks:
    """Find the forks of a sample and group them by piece.

    Args:
        pieces: text of each of T tokens.
        entropy: of the policy at each, nats, shape [T].
        base_logp: log p0 of each, nats, shape [T]; nan where not measured.
        js: Jensen-Shannon divergence from the base at each, nats, shape [T]; nan where not measured.
        advantage: of the completion of each, shape [T]; nan where not known.
        completion: which completion each belongs to, shape [T].

    Raises:
        ValueError: the lengths differ.
    """
    h, base, shifted, a, owner = _columns(pieces, entropy, base_logp, js, advantage, completion)
    known = np.isfinite(h)
    threshold, chosen = forking(h[None], known[None])
    fork = chosen[0]
    names, label = _labels(pieces)
    uses = np.bincount(label[known], minlength=len(names))
    count = np.bincount(label[fork], minlength=len(names))
    order = np.lexsort((np.arange(len(names)), -count))[:MOST]
    found = []
    for i in order[count[order] > 0].tolist():
        mine = fork & (label == i)
        compared, alike = _alike(shifted[mine])
        scored = base[mine & np.isfinite(base)]
        found.append(
            Fork(
                piece=names[i],
                forks=int(count[i]),
                uses=int(uses[i]),
                entropy=float(h[mine].mean()),
                advantage=clustered_mean(a[mine], owner[mine]),
                surprise=-float(scored.mean()) if scored.size else np.nan,
                compared=compared,
                alike=alike,
            )
        )
    total = float(h[known].sum())
    return Forks(
        threshold=threshold,
        forks=int(fork.sum()),
        tokens=int(known.sum()),
        held=float(h[fork].sum()) / total if total > 0 else np.nan,
        compared=_alike(shifted[fork])[0],
        alike=_alike(shifted[fork])[1],
        pieces=tuple(found),
    )


def moved(pieces: Sequence[str], shift: ArrayLike, js: ArrayLike, completion: ArrayLike, least: int) -> Shifts:
    """Which pieces the policy makes more or less likely than its base does.

    Args:
        pieces: text of each of T tokens.
        shift: log p - log p0 of each, nats, shape [T]; nan where not measured.
        js: as for `forks`.
        completion: which completion each belongs to, shape [T].
        least: times that a piece must have been written.

    Raises:
        ValueError: the lengths differ.
    """
    d, apart, owner, _ = _columns(pieces, shift, js, completion, completion)
    known = np.isfinite(d)
    names, label = _labels(pieces)
    count = np.bincount(label[known], minlength=len(names))
    total = np.bincount(label[known], d[known], len(names))
    mean = np.divide(total, count, out=np.zeros(len(names)), where=count >= max(least, 1))
    order = np.lexsort((np.arange(len(names)), -np.abs(mean)))
    order = order[count[order] >= max(least, 1)]
    beyond = beyond_the_rest(np.where(known, d, np.nan), label, owner)
    found = []
    for i in order[:MOST].tolist():
        mine = known & (label == i)
        measured = apart[mine & np.isfinite(apart)]
        found.append(
            Moved(
                piece=names[i],
                n=int(count[i]),
                shift=clustered_mean(d[mine], owner[mine]),
                ahead=clustered_mean(beyond[mine], owner[mine]),
                js=float(measured.mean()) if measured.size else np.nan,
                far=float((measured > JS_THRESHOLD).mean()) if measured.size else np.nan,
            )
        )
    return Shifts(len(order), tuple(found))


def _alike(js: Floats) -> tuple[int, float]:
    """How many were measured, and the share of those at which policy and base hardly differ."""
    measured = js[np.isfinite(js)]
    return measured.size, float((measured <= JS_THRESHOLD).mean()) if measured.size else np.nan


def _labels(pieces: Sequence[str]) -> tuple[list[str], Labels]:
    """The different pieces in the order in which they first appear, and which of them each token is."""
    number: dict[str, int] = {}
    label = np.fromiter((number.setdefault(piece, len(number)) for piece in pieces), np.int64, len(pieces))
    return list(number), label


def _columns(pieces: Sequence[str], *columns: ArrayLike) -> list[Floats]:
    found = [np.asarray(column, np.float64).ravel() for column in columns]
    if any(column.size != len(pieces) for column in found):
        raise ValueError(f"{len(pieces)} pieces and columns of {[column.size for column in found]} do not fit together")
    return found
