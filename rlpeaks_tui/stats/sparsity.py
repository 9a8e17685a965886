"""How much of a model an update changed, under every definition in use, beside a null that has no structure.

"RL updates a sparse subnetwork" (2505.11711) depends on the precision in which one looks: under AdamW nearly
every parameter moves in float32, and what bfloat16 then shows as unchanged is mostly movement below half a unit
in its last place (2511.08567, 2602.03839). So one number is never given alone: exact, after rounding to bfloat16,
within the paper's absolute tolerance, within a relative one, and the bfloat16 figure again with the same changes
dealt to random coordinates. Structure is the observed share minus that null, not the share.

Memory stays bounded whatever the module's size: arrays are read once, in chunks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

ETA = 1e-3
"""Relative tolerance of 2511.08567: unchanged when |d| <= ETA * max(|w0|, |w1|)."""

NULL_SAMPLE = 65_536
"""Coordinates of a module used for the shuffled null; its standard error is then at most 0.2 %."""

CHUNK = 1 << 15
"""Coordinates worked on at once: the temporaries of a chunk stay in the cache, which is half the time."""

LEADING = 16
"""Most singular directions whose turning is measured."""

NOT_FINITE = "the update is not finite: it cannot be measured"

Array = NDArray[np.floating]
Float32s = NDArray[np.float32]


class ModuleSparsity(Struct, frozen=True):
    """Shares of unchanged coordinates of one module, or of several pooled by size.

    All shares are fractions of `n` in [0, 1]. A coordinate that is nan counts as changed.

    Attributes:
        name: the parameter's name, or the name given to the pool.
        n: number of coordinates.
        exact: equal in float32.
        bf16: equal once both are rounded to bfloat16.
        relative: |d| <= 1e-3 * max(|w0|, |w1|) in float32.
        atol: both rounded to bfloat16, |d| <= 1e-5 in bfloat16, the definition of 2505.11711.
        null: as `bf16`, after dealing the module's changes d to random coordinates of it.
        null_n: coordinates that `null` rests on.
        delta_norm: Euclidean norm of d.
        weight_norm: Euclidean norm of the starting weights.
    """

    name: str
    n: int
    exact: float
    bf16: float
    relative: float
    atol: float
    null: float
    null_n: int
    delta_norm: float
    weight_norm: float

    @property
    def structure(self) -> float:
        """bf16 - null: what the size of the changes alone does not explain."""
        return self.bf16 - self.null

    @property
    def finite(self) -> bool:
        """Whether all weights are finite. Where they are not, each differs from its start: no finding."""
        return math.isfinite(self.delta_norm)


class UpdateRank(Struct, frozen=True):
    """Three ranks of a change, because the first alone misleads: almost any noise makes it full.

    Attributes:
        numeric: singular values above max(shape) * s1 * eps(float32), as `matrix_rank` counts them.
        fraction: numeric / min(shape).
        stable: |d|_F^2 / s1^2, the number of directions that carry weight; 0 for no change.
        energy90: fewest directions that hold 90 % of |d|_F^2.
        angle: by how many degrees the change turned the leading singular directions of the weights; nan where it was
            not measured or they have none. See `subspace_angle`.
        nss: how far it moved their singular values. See `spectral_shift`.
    """

    numeric: int
    fraction: float
    stable: float
    energy90: int
    angle: float = math.nan
    nss: float = math.nan


def bfloat16_round(x: Array) -> Float32s:
    """Each value as the nearest bfloat16 (ties to even), given back as float32; nan stays nan.

    Done on the raw bits, since numpy has no bfloat16. Overflow becomes infinity, as in hardware.
    """
    source = np.ascontiguousarray(x, np.float32)
    bits = source.view(np.uint32)
    # Adding just under half a unit, plus the last kept bit, carries exactly when round-to-nearest-even would.
    rounded = bits >> np.uint32(16)
    rounded &= np.uint32(1)
    rounded += np.uint32(0x7FFF)
    rounded += bits
    rounded &= np.uint32(0xFFFF0000)
    result: Float32s = rounded.view(np.float32)
    nan = np.isnan(source)
    if nan.any():  # the carry may have turned a nan's payload into another number
        result[nan] = np.nan
    return result.reshape(np.shape(x))


def _largest_that_rounds_to(value: float) -> np.float32:
    """Largest float32 that rounds to the bfloat16 of `value`; the last kept bit decides where the tie goes."""
    kept = bfloat16_round(np.array([value], np.float32)).view(np.uint32)
    half = np.uint32(0x8000) - ((kept >> np.uint32(16)) & np.uint32(1))
    return np.float32((kept + half).view(np.float32)[0])


# The paper subtracts in bfloat16 and compares with 1e-5 rounded to bfloat16. Rounding is monotone, so the
# comparison can be made on the unrounded difference with this threshold, one rounding less per coordinate.
_ATOL = _largest_that_rounds_to(1e-5)


def measure(
    name: str,
    theta0: Array,
    theta1: Array,
    rng: np.random.Generator,
    *,
    null_sample: int = NULL_SAMPLE,
    chunk: int = CHUNK,
) -> ModuleSparsity:
    """Compare one module's starting and present weights.

    Args:
        name: carried into the result.
        theta0: starting weights, any shape; read as float32.
        theta1: present weights, same shape.
        rng: draws the sample and the shuffle of the null; the same state gives the same null.
        null_sample: coordinates used for the null; a smaller module is used whole.
        chunk: coordinates worked on at once.

    Raises:
        ValueError: the shapes differ, or the module is empty.
    """
    if theta0.shape != theta1.shape:
        raise ValueError(f"{name}: shape was {theta0.shape} and is {theta1.shape}")
    if not theta0.size:
        raise ValueError(f"{name}: the module has no elements")
    before, after = theta0.reshape(-1), theta1.reshape(-1)
    exact = bf16 = relative = atol = 0
    delta_square = weight_square = 0.0
    # inf - inf is nan, which the comparisons below rightly call changed.
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, before.size, chunk):
            w0 = np.asarray(before[start : start + chunk], np.float32)
            w1 = np.asarray(after[start : start + chunk], np.float32)
            delta = w1 - w0
            b0, b1 = bfloat16_round(w0), bfloat16_round(w1)
            bound = np.maximum(np.abs(w0), np.abs(w1))
            bound *= np.float32(ETA)
            np.minimum(bound, np.finfo(np.float32).max, out=bound)  # a change to infinity is a change
            exact += int(np.count_nonzero(w0 == w1))
            bf16 += int(np.count_nonzero(b0 == b1))
            relative += int(np.count_nonzero(np.abs(delta) <= bound))
            atol += int(np.count_nonzero(np.abs(b1 - b0) <= _ATOL))
            delta_square += _square(delta)
            weight_square += _square(w0)
        null, null_n = _shuffled_null(before, after, rng, null_sample)
    n = before.size
    return ModuleSparsity(
        name=name,
        n=n,
        exact=exact / n,
        bf16=bf16 / n,
        relative=relative / n,
        atol=atol / n,
        null=null,
        null_n=null_n,
        delta_norm=math.sqrt(delta_square),
        weight_norm=math.sqrt(weight_square),
    )


def _square(x: Float32s) -> float:
    """|x|^2. Squares of what is beyond 1e19 overflow float32, though the values are finite."""
    found = float(np.square(x).sum())
    return found if math.isfinite(found) else float(np.square(x, dtype=np.float64).sum())


def pool(modules: Iterable[ModuleSparsity], name: str = "all") -> ModuleSparsity:
    """Several modules as one, each coordinate counting the same (so each module by its size).

    Raises:
        ValueError: there are no modules.
    """
    parts = list(modules)
    n = sum(part.n for part in parts)
    if not n:
        raise ValueError("there are no modules to pool")

    def mean(field: str) -> float:
        return math.fsum(part.n * getattr(part, field) for part in parts) / n

    return ModuleSparsity(
        name=name,
        n=n,
        exact=mean("exact"),
        bf16=mean("bf16"),
        relative=mean("relative"),
        atol=mean("atol"),
        null=mean("null"),
        null_n=sum(part.null_n for part in parts),
        delta_norm=math.hypot(*(part.delta_norm for part in parts)),
        weight_norm=math.hypot(*(part.weight_norm for part in parts)),
    )


def rank_from_singular_values(values: Array, shape: tuple[int, ...]) -> UpdateRank:
    """Ranks from the singular values of a float32 matrix of `shape`, given in falling order."""
    s = np.asarray(values, np.float64)
    if not s.size or s[0] == 0:
        return UpdateRank(0, 0.0, 0.0, 0)
    # matrix_rank compares in float32; the values came from there, so the same cut counts the same.
    cut = np.float32(s[0]) * np.float32(max(shape)) * np.finfo(np.float32).eps
    numeric = int(np.count_nonzero(np.asarray(values, np.float32) > cut))
    energy = np.cumsum(np.square(s / s[0]))
    energy90 = int(np.searchsorted(energy, 0.9 * energy[-1])) + 1
    return UpdateRank(numeric, numeric / min(shape), float(energy[-1]), energy90)


def leading(shape: tuple[int, ...]) -> int:
    """How many singular directions count as leading: a quarter of them, 16 at the most and one at the least."""
    return max(1, min(LEADING, min(shape) // 4))


def subspace_angle(before: Array, after: Array) -> float:
    """Largest principal angle between two subspaces, in degrees from 0 to 90.

    Args:
        before, after: orthonormal bases in their columns, shape [d, k] both.

    Raises:
        ValueError: the shapes differ.
    """
    if before.shape != after.shape:
        raise ValueError(f"bases of shapes {before.shape} and {after.shape} span spaces of different kinds")
    a, b = np.asarray(before, np.float64), np.asarray(after, np.float64)
    cosines = a.T @ b
    # Each of cosine and sine is blind where it is flat, so the smaller of the two tells the angle.
    cosine = float(np.linalg.svd(cosines, compute_uv=False)[-1])
    sine = float(np.linalg.svd(b - a @ cosines, compute_uv=False)[0])
    return math.degrees(math.atan2(sine, cosine))


def spectral_shift(before: Array, after: Array) -> float:
    """Normalised shift of the spectrum, |s1 - s0| / |s0| of singular values in falling order (2511.08567)."""
    s0, s1 = np.asarray(before, np.float64), np.asarray(after, np.float64)
    norm = float(np.linalg.norm(s0))
    return float(np.linalg.norm(s1 - s0)) / norm if norm else math.nan


def _shuffled_null(before: Array, after: Array, rng: np.random.Generator, limit: int) -> tuple[float, int]:
    """Share still equal in bfloat16 when the changes of a sample are dealt to its coordinates at random."""
    n = min(before.size, limit)
    if n == before.size:
        w0, w1 = np.asarray(before, np.float32), np.asarray(after, np.float32)
    else:
        index = np.sort(rng.choice(before.size, n, replace=False, shuffle=False))  # sorted: one way through memory
        w0, w1 = np.asarray(before[index], np.float32), np.asarray(after[index], np.float32)
    moved = w0 + rng.permutation(w1 - w0)
    return int(np.count_nonzero(bfloat16_round(w0) == bfloat16_round(moved))) / n, n
