"""How far two runs changed the same weights, against what chance gives.

"Two seeds change nearly the same weights" is about 60 % where independence gives 37 % (2505.11711), and even that
baseline is too low: a few rows and columns of a matrix move most in any run, so two masks that agree on nothing but
those overlap far more than random ones. The null that keeps each mask's row and column counts takes this away. It is
the maximum-entropy model of the counts, p_ij = sigmoid(a_i + b_j): all its expectations are sums, where drawing
random matrices with the same counts would need many draws of matrices of millions of entries.

Rows with equal counts have equal parameters, so the fit works on the different counts only, however large the matrix.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

BLOCK = 1 << 20
"""Entries of a matrix worked on at once."""

PRECISION = 1e-9
"""Largest error of a fitted row or column count, as a share of the row's or column's length."""

NEWTON_STEPS = 200


class Overlap(Struct, frozen=True):
    """Counts of two masks over the same coordinates of one module or of several.

    Attributes:
        n: coordinates.
        first: how many of them the first mask has, |I1|.
        second: |I2|.
        both: |I1 & I2|.
        chance: expected `both` if the masks were independent and all coordinates alike: of one module or a pool,
            |I1| |I2| / n; within modules, the sum of this over them.
        margins: expected `both` if each mask kept its row and column counts in every matrix and nothing else.
    """

    n: int
    first: int
    second: int
    both: int
    chance: float
    margins: float

    @property
    def o1(self) -> float:
        """|I1 & I2| / |I1|; its chance is `chance` / |I1|, which for one module is |I2| / n. nan when I1 is empty."""
        return _ratio(self.both, self.first)

    @property
    def o2(self) -> float:
        """|I1 & I2| / |I2|; nan when I2 is empty."""
        return _ratio(self.both, self.second)

    @property
    def jaccard(self) -> float:
        """|I1 & I2| / |I1 | I2|; nan when both are empty."""
        return _ratio(self.both, self.first + self.second - self.both)

    @property
    def chance_o1(self) -> float:
        return _ratio(self.chance, self.first)

    @property
    def margins_o1(self) -> float:
        return _ratio(self.margins, self.first)

    @property
    def lift(self) -> float:
        """Observed over chance; 1 says that knowing one mask tells nothing about the other."""
        return _ratio(self.both, self.chance)

    @property
    def honest_lift(self) -> float:
        """Observed over what equal rows and columns already give."""
        return _ratio(self.both, self.margins)


def top_tenth(delta: NDArray[np.floating]) -> Mask:
    """The n // 10 coordinates (at least one) of largest |delta|, without those that did not move at all.

    Which of several equal ones come in is decided by a shuffle that follows from `delta` itself: repeatable, and
    not the same for two runs, which the first of them in memory would be. nan counts as infinite.
    """
    size = np.abs(np.asarray(delta, np.float32)).reshape(-1)
    size[np.isnan(size)] = np.inf
    mask = np.zeros(size.size, np.bool_)
    k = min(max(1, size.size // 10), int(np.count_nonzero(size)))
    if k:
        cut = np.partition(size, size.size - k)[size.size - k]
        mask[size > cut] = True
        equal = np.flatnonzero(size == cut)
        rng = np.random.default_rng(zlib.crc32(np.ascontiguousarray(delta).tobytes()))
        mask[rng.permutation(equal)[: k - int(np.count_nonzero(mask))]] = True
    return mask.reshape(delta.shape)


def overlap(first: Mask, second: Mask) -> Overlap:
    """Two masks of one module, of the same shape; n-dimensional ones are read as [shape[0], rest].

    Vectors and scalars have no second margin; for them `margins` is `chance`.

    Raises:
        ValueError: the shapes differ, or the masks have no coordinates.
    """
    if first.shape != second.shape:
        raise ValueError(f"masks of shapes {first.shape} and {second.shape} are not of the same module")
    if not first.size:
        raise ValueError("the masks have no coordinates")
    ones, twos = int(np.count_nonzero(first)), int(np.count_nonzero(second))
    chance = ones * twos / first.size
    margins = chance
    if first.ndim >= 2:
        rows = first.shape[0]
        margins = expected_intersection(first.reshape(rows, -1), second.reshape(rows, -1))
    return Overlap(first.size, ones, twos, int(np.count_nonzero(first & second)), chance, margins)


def pooled(modules: Iterable[Overlap]) -> Overlap:
    """Several modules as one long vector: chance knows nothing of modules, so differences between them raise the lift.

    Raises:
        ValueError: there are no modules.
    """
    total = within(modules)
    return replace(total, chance=total.first * total.second / total.n)


def within(modules: Iterable[Overlap]) -> Overlap:
    """Several modules, chance taken inside each: its `o1` and `chance_o1` are means over modules weighted by |I1|.

    Raises:
        ValueError: there are no modules.
    """
    parts = list(modules)
    if not parts:
        raise ValueError("there are no modules to put together")
    return Overlap(
        n=sum(part.n for part in parts),
        first=sum(part.first for part in parts),
        second=sum(part.second for part in parts),
        both=sum(part.both for part in parts),
        chance=math.fsum(part.chance for part in parts),
        margins=math.fsum(part.margins for part in parts),
    )


def expected_intersection(first: Mask, second: Mask) -> float:
    """Expected |I1 & I2| of independent masks [m, n] that keep their own row and column counts.

    Raises:
        ValueError: the masks are no matrices of the same shape.
    """
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"masks of shapes {first.shape} and {second.shape}; expected two equal matrices")
    one, two = _Fit.of(first), _Fit.of(second)
    total, step = 0.0, max(1, BLOCK // max(1, first.shape[1]))
    for start in range(0, first.shape[0], step):
        rows = slice(start, start + step)
        total += float((one.probabilities(rows) * two.probabilities(rows)).sum())
    return total


class _Fit(Struct, frozen=True):
    """The model of one mask: p [u, v] for every pair of a row count and a column count, and which row has which."""

    p: Floats
    row_of: Counts  # [m]
    column_of: Counts  # [n]

    @classmethod
    def of(cls, mask: Mask) -> _Fit:
        r, row_of, rows = np.unique(mask.sum(1), return_inverse=True, return_counts=True)
        c, column_of, columns = np.unique(mask.sum(0), return_inverse=True, return_counts=True)
        return cls(_solve(r.astype(np.int64), rows, c.astype(np.int64), columns), row_of, column_of)

    def probabilities(self, rows: slice) -> Floats:
        return self.p[self.row_of[rows]][:, self.column_of]


def _solve(r: Counts, rows: Counts, c: Counts, columns: Counts) -> Floats:
    """Probabilities [u, v] for row counts `r` shared by `rows` rows each, and column counts `c` alike; both rising.

    Counts can leave no choice at some places: a full row, an empty column, and in general a set S of the fullest rows
    and T of the fullest columns with S x T all ones and the rest of the rows by the rest of the columns all zeros.
    There the parameters would be infinite. Such counts are recognised by an equality of Gale and Ryser's
    inequalities, the places are filled in, and the two remaining blocks are problems of the same kind.
    """
    p = np.zeros((len(r), len(c)))
    work = [(np.arange(len(r))[::-1], r[::-1], np.arange(len(c))[::-1], c[::-1])]  # fullest first from here on
    while work:
        u, r, v, c = work.pop()
        if not len(u) or not len(v):
            continue
        m, n = rows[u], columns[v]
        # slack[k, l]: ones that the k fullest groups of rows could hold at the most, beyond what they hold, if all
        # entries outside the l fullest groups of columns were theirs.
        held = np.concatenate([[0], np.cumsum(m * r)])
        tail = np.concatenate([np.cumsum((n * c)[::-1])[::-1], [0]])
        k, l = np.concatenate([[0], np.cumsum(m)]), np.concatenate([[0], np.cumsum(n)])  # noqa: E741
        fixed = np.outer(k, l) + np.outer(k[-1] - k, l[-1] - l)
        tight = (np.outer(k, l) + tail - held[:, None] == 0) & (fixed > 0)
        if not tight.any():
            p[np.ix_(u, v)] = _newton(r, m, c, n)
            continue
        i, j = np.unravel_index(int(np.argmax(tight * fixed)), tight.shape)
        p[np.ix_(u[:i], v[:j])] = 1.0
        work.append((u[:i], r[:i] - l[j], v[j:], c[j:]))
        work.append((u[i:], r[i:], v[:j], c[:j] - k[i]))
    return p


def _newton(r: Counts, rows: Counts, c: Counts, columns: Counts) -> Floats:
    """The interior case: Newton's method with halving on the convex dual, the larger side eliminated exactly."""
    if len(r) < len(c):
        return _newton(c, columns, r, rows).T
    m, n = float(rows.sum()), float(columns.sum())
    a, b = np.log(r / (n - r)), np.log(c / (m - c))  # each margin by itself
    a -= float(np.average(b, weights=columns))

    def dual(a: Floats, b: Floats) -> float:
        z = a[:, None] + b
        return float(rows @ np.logaddexp(0.0, z) @ columns - (rows * r) @ a - (columns * c) @ b)

    value = dual(a, b)
    for _ in range(NEWTON_STEPS):
        p = _sigmoid(a[:, None] + b)
        row_error, column_error = p @ columns - r, rows @ p - c
        if max(np.abs(row_error).max() / n, np.abs(column_error).max() / m) < PRECISION:
            break
        # Hessian [[D, M], [M', E]] in blocks; gradient (g, h).
        w = p * (1 - p)
        mixed = rows[:, None] * w * columns  # M, [u, v]
        d, e = mixed.sum(1), mixed.sum(0)
        g, h = rows * row_error, columns * column_error
        schur = np.diag(e) - mixed.T @ (mixed / d[:, None])
        # a + t, b - t is the same model, so the sum of db is free; this sets it to 0 and changes nothing else.
        schur += np.trace(schur) / len(e)
        db = np.linalg.solve(schur, mixed.T @ (g / d) - h)
        da = -(g + mixed @ db) / d
        size, slope = 1.0, float(g @ da + h @ db)
        while size > 1e-12:
            moved = dual(a + size * da, b + size * db)
            if moved <= value + 1e-4 * size * slope:
                break
            size /= 2
        else:
            break  # no lower value can be told apart: as near as float64 comes
        a, b, value = a + size * da, b + size * db, moved
    return _sigmoid(a[:, None] + b)


def _sigmoid(x: Floats) -> Floats:
    result: Floats = np.exp(-np.logaddexp(0.0, -x))
    return result


def _ratio(a: float, b: float) -> float:
    return a / b if b else math.nan
