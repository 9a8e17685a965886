"""How much accuracy is left to buy with entropy, by the law R = -a e^H + b of 2505.22617.

The law holds where nothing props entropy up: reward is bought with entropy, and when that is spent, at H = 0, accuracy
ends at b - a. The present entropy then says how much is still to come, long before the curve of accuracy is flat.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike

LEAST = 5
"""Evaluations that it takes."""

HOLDS = 0.5
"""Share of the variance that the line must explain for its forecast to be of use; the threshold is a choice."""


class Exhaustion(Struct, frozen=True):
    """The fitted line. Numbers are nan where there is none.

    Attributes:
        a, b: of R = -a e^H + b.
        left: a (e^H - 1) at the last entropy, the gain still to come by the law; nan where the law does not hold.
        r2: share of the variance of R that the line explains.
        points: evaluations that went in.
        why: what is missing where `left` is nan, else "".
        error: standard error of `left` for a given entropy, with evaluations as independent; nan with `left`.
    """

    a: float
    b: float
    left: float
    r2: float
    points: int
    why: str
    error: float = np.nan

    def metrics(self) -> dict[str, float]:
        """Values under the names they are journaled by."""
        return {"exhaustion/left": self.left, "exhaustion/r2": self.r2}


def exhaustion(entropy: ArrayLike, accuracy: ArrayLike) -> Exhaustion:
    """Least squares of held-out accuracy on e^H, and what the line leaves to gain.

    Args:
        entropy: H at each evaluation, mean token entropy in nats, shape [n], in the order of training.
        accuracy: R, held-out accuracy, shape [n]; an evaluation where either is not finite is passed over.

    Raises:
        ValueError: the lengths differ.
    """
    h, r = np.asarray(entropy, np.float64).ravel(), np.asarray(accuracy, np.float64).ravel()
    if h.size != r.size:
        raise ValueError(f"{h.size} entropies and {r.size} accuracies do not fit together")
    known = np.isfinite(h) & np.isfinite(r)
    h, r = h[known], r[known]
    if h.size < LEAST:
        return Exhaustion(np.nan, np.nan, np.nan, np.nan, h.size, f"{h.size} of the {LEAST} evaluations that it takes")
    x = np.exp(h)
    apart, gain = x - x.mean(), r - r.mean()
    spread, moved = float(apart @ apart), float(gain @ gain)
    if not spread > 1e-12 * float(x @ x):
        return Exhaustion(np.nan, np.nan, np.nan, np.nan, h.size, "entropy is the same at every evaluation")
    slope = float(apart @ gain) / spread
    r2 = min(slope * slope * spread / moved, 1.0) if moved > 0 else np.nan
    a, b = -slope, float(r.mean()) - slope * float(x.mean())
    if not a > 0:
        return Exhaustion(
            a, b, np.nan, r2, h.size, "accuracy has not risen as entropy fell, so that the law is no help"
        )
    # Of a: what is left is (e^H - 1) of them. Rounding may leave a perfect line a hair below 0.
    error = float(np.sqrt(max(moved - slope * slope * spread, 0.0) / (h.size - 2) / spread))
    share = float(np.expm1(h[-1]))
    return Exhaustion(a, b, a * share, r2, h.size, "", error * abs(share))
