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
    assert {each.piece for each in found} == {piece for piece, mine in uses.items() if len(mine) >= least}
    sizes = [abs(each.shift.mean) for each in found]
    assert sizes == sorted(sizes, reverse=True)
    for each in found:
        mine = uses[each.piece]
        expected = clustered_mean([shift[i] for i in mine], [owner[i] for i in mine])
        assert each.n == len(mine) and _same(each.shift.mean, expected.mean) and _same(each.shift.se, expected.se)
        assert _same(each.js, _mean([js[i] for i in mine]))
        assert _same(each.far, _mean([float(js[i] > 0.1) for i in mine if not math.isnan(js[i])]))


def test_the_list_is_bounded_and_columns_must_fit():
    many = [f"{i}" for i in range(6 * MOST)]
    ones = np.ones(6 * MOST)
    assert len(moved(many, ones, ones, ones, 1)) == MOST
    assert len(forks(many, ones, ones, ones, ones, ones).pieces) == MOST
    with pytest.raises(ValueError, match="do not fit"):
        moved(["a"], [1.0, 2.0], [1.0], [0], 1)
    with pytest.raises(ValueError, match="do not fit"):
        forks(["a"], [1.0], [1.0], [1.0], [1.0], [0, 1])
