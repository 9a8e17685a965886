"""Forks and moved tokens by piece, against loops over the tokens."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpeaks_tui.stats.pieces import MOST, forks, moved
from rlpeaks_tui.stats.summaries import clustered_mean

tokens = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", " b", "", "\n"]),
        st.sampled_from([0.0, 0.1, 0.5, 1.5, math.nan]),
        st.sampled_from([-2.0, -0.5, math.nan]),
        st.sampled_from([0.0, 0.1, 0.3, math.nan]),
        st.sampled_from([-1.0, 1.0, math.nan]),
        st.integers(0, 4),
    ),
    max_size=40,
)


def _columns(rows):
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(6)]


def _same(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or a == pytest.approx(b)


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


@settings(max_examples=50, deadline=None)
@given(tokens)
def test_forks_are_the_most_open_fifth_grouped_by_piece(rows):
    pieces, entropy, base, js, advantage, owner = _columns(rows)
    found = forks(pieces, entropy, base, js, advantage, owner)
    known = [i for i in range(len(rows)) if not math.isnan(entropy[i])]
    chosen = sorted(known, key=lambda i: (-entropy[i], i))[: math.ceil(round(0.2 * len(known), 6))]
    assert (found.forks, found.tokens) == (len(chosen), len(known))
    total = sum(entropy[i] for i in known)
    assert _same(found.held, sum(entropy[i] for i in chosen) / total if total else math.nan)
    assert [fork.forks for fork in found.pieces] == sorted((fork.forks for fork in found.pieces), reverse=True)
    assert {fork.piece for fork in found.pieces} == {pieces[i] for i in chosen}
    for fork in found.pieces:
        mine = [i for i in chosen if pieces[i] == fork.piece]
        compared = [i for i in mine if not math.isnan(js[i])]
        assert fork.forks == len(mine)
        assert fork.uses == sum(pieces[i] == fork.piece for i in known)
        assert _same(fork.entropy, _mean([entropy[i] for i in mine]))
        assert _same(fork.surprise, -_mean([base[i] for i in mine]))
        assert fork.compared == len(compared)
        assert _same(fork.alike, _mean([float(js[i] <= 0.1) for i in compared]))
        assert _same(fork.advantage.mean, _mean([advantage[i] for i in mine]))


@settings(max_examples=50, deadline=None)
@given(tokens, st.integers(1, 4))
def test_moved_pieces_are_ordered_by_their_mean_shift_and_rare_ones_left_out(rows, least):
    pieces, _, shift, js, _, owner = _columns(rows)
    found = moved(pieces, shift, js, owner, least)
    uses = {piece: [i for i in range(len(rows)) if pieces[i] == piece and not math.isnan(shift[i])] for piece in pieces}
    assert {each.piece for each in found.pieces} == {piece for piece, mine in uses.items() if len(mine) >= least}
    assert found.looked == len(found.pieces)
    sizes = [abs(each.shift.mean) for each in found.pieces]
    assert sizes == sorted(sizes, reverse=True)
    for each in found.pieces:
        mine = uses[each.piece]
        expected = clustered_mean([shift[i] for i in mine], [owner[i] for i in mine])
        assert each.n == len(mine) and _same(each.shift.mean, expected.mean) and _same(each.shift.se, expected.se)
        beyond = {
            i: _mean([shift[j] for j in range(len(rows)) if owner[j] == owner[i] and pieces[j] != each.piece])
            for i in mine
        }
        ahead = clustered_mean([shift[i] - beyond[i] for i in mine], [owner[i] for i in mine])
        assert _same(each.ahead.mean, ahead.mean) and _same(each.ahead.half, ahead.half)
        assert _same(each.js, _mean([js[i] for i in mine]))
        assert _same(each.far, _mean([float(js[i] > 0.1) for i in mine if not math.isnan(js[i])]))


def written(rng: np.random.Generator, completions: int, length: int, vocabulary: int):
    """Pieces and completions of tokens: each completion has favourites of its own, as texts do."""
    often = rng.dirichlet(np.full(vocabulary, 0.7))
    pieces = [rng.choice(vocabulary, length, p=rng.dirichlet(20 * often + 1e-3)) for _ in range(completions)]
    return np.concatenate(pieces).astype(str).tolist(), np.repeat(np.arange(completions), length)


@pytest.mark.parametrize(("completions", "length", "vocabulary"), [(5, 60, 40), (8, 40, 60), (40, 40, 200)])
@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize("drift", [0.0, 0.2])
def test_where_no_piece_moved_more_than_others_hardly_ever_one_is_told(completions, length, vocabulary, skewed, drift):
    """At most 5 % of draws; by one look at each with 1.96 errors, as it was, 34 to 99 % of those without drift."""
    rng, told, draws = np.random.default_rng(6), 0, 100
    for _ in range(draws):
        pieces, owner = written(rng, completions, length, vocabulary)
        shift = drift + rng.normal(0, 0.1, completions)[owner]
        if skewed:
            shift += np.where(rng.random(owner.size) < 0.2, rng.exponential(1, owner.size), 0) - 0.2
        else:
            shift += rng.normal(0, 0.3, owner.size)
        told += moved(pieces, shift, np.full(owner.size, np.nan), owner, 5).raised is not None
    assert told <= 0.05 * draws


def test_a_piece_that_was_raised_is_told_and_one_that_was_lowered_is_not():
    rng, found = np.random.default_rng(7), 0
    for _ in range(100):
        pieces, owner = written(rng, 40, 40, 60)
        common, rare = (sorted(set(pieces), key=pieces.count)[i] for i in (-2, -1))
        raised = np.array(pieces) == common
        shift = rng.normal(0.1, 0.3, owner.size) + 0.6 * raised - 2 * (np.array(pieces) == rare)
        first = moved(pieces, shift, np.full(owner.size, np.nan), owner, 5).raised
        assert first is None or first.piece != rare
        found += first is not None and first.piece == common
    assert found >= 90


def test_the_list_is_bounded_and_columns_must_fit():
    many = [f"{i}" for i in range(6 * MOST)]
    ones = np.ones(6 * MOST)
    found = moved(many, ones, ones, ones, 1)
    assert (len(found.pieces), found.looked) == (MOST, 6 * MOST)
    assert len(forks(many, ones, ones, ones, ones, ones).pieces) == MOST
    with pytest.raises(ValueError, match="do not fit"):
        moved(["a"], [1.0, 2.0], [1.0], [0], 1)
    with pytest.raises(ValueError, match="do not fit"):
        forks(["a"], [1.0], [1.0], [1.0], [1.0], [0, 1])
