"""Transfer between phases: matrices by hand, and GEM's own formulas where each stage trains one task."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rlpeaks_tui.stats.catalog import lookup
from rlpeaks_tui.stats.transfer import Stage, transfer

ADD, REVERSE = Stage(0, "add", ["add"]), Stage(100, "reverse", ["reverse"])


def test_two_tasks_by_hand():
    evaluations = [
        (0, {"add": 0.1, "reverse": 0.05}),
        (50, {"add": 0.4, "reverse": 0.1}),
        (100, {"add": 0.8, "reverse": 0.2}),
        (200, {"add": 0.5, "reverse": 0.9}),
    ]
    found = transfer(evaluations, [ADD, REVERSE])
    assert found.tasks == ("add", "reverse")
    assert found.matrix.tolist() == [[0.8, 0.2], [0.5, 0.9]] and found.base.tolist() == [0.1, 0.05]
    assert found.bwt == pytest.approx(-0.3) and found.forgetting == pytest.approx(0.3)
    assert found.fwt == pytest.approx(0.15)
    expected = {"transfer/bwt": -0.3, "transfer/forgetting": 0.3, "transfer/fwt": 0.15}
    assert found.metrics() == pytest.approx(expected)
    assert all(lookup(name) for name in found.metrics())


def test_the_other_order_is_another_matrix():
    evaluations = [(100, {"add": 0.3, "reverse": 0.7}), (200, {"add": 0.9, "reverse": 0.8})]
    found = transfer(evaluations, [Stage(0, "reverse", ["reverse"]), Stage(100, "add", ["add"])])
    assert found.tasks == ("reverse", "add") and found.matrix.tolist() == [[0.7, 0.3], [0.8, 0.9]]
    assert found.bwt == pytest.approx(0.1) and found.forgetting == 0.0
    assert math.isnan(found.fwt)  # nothing was measured before the first stage


@given(st.integers(2, 6).flatmap(lambda n: arrays(np.float64, (n + 1, n), elements=st.floats(0, 1))))
def test_one_task_a_stage_is_gem(table):
    base, matrix = table[0], table[1:]
    n = len(matrix)
    stages = [Stage(10 * i, f"s{i}", {f"t{i}"}) for i in range(n)]
    evaluations = [(10 * i, {f"t{k}": row[k] for k in range(n)}) for i, row in enumerate(table)]
    found = transfer(evaluations, stages)
    assert (found.matrix == matrix).all() and (found.base == base).all()
    assert found.bwt == pytest.approx(sum(matrix[n - 1][i] - matrix[i][i] for i in range(n - 1)) / (n - 1))
    assert found.fwt == pytest.approx(sum(matrix[i - 1][i] - base[i] for i in range(1, n)) / (n - 1))
    lost = [max(matrix[t][i] for t in range(n)) - matrix[n - 1][i] for i in range(n - 1)]
    assert found.forgetting == pytest.approx(sum(lost) / (n - 1)) and found.forgetting >= 0


def test_a_mix_counts_from_the_last_stage_that_trained_a_task():
    stages = [Stage(0, "both", ["a", "b"]), Stage(10, "a only", ["a"]), Stage(20, "c only", ["c"])]
    evaluations = [
        (10, {"a": 0.5, "b": 0.6, "c": 0.0, "unseen": 0.3}),
        (20, {"a": 0.9, "b": 0.4, "c": 0.1, "unseen": 0.2}),
        (30, {"a": 0.7, "b": 0.5, "c": 0.8, "unseen": 0.1}),
    ]
    found = transfer(evaluations, stages)
    assert found.tasks == ("a", "b", "c", "unseen")
    assert found.backward()[:2] == pytest.approx([0.7 - 0.9, 0.5 - 0.6]) and np.isnan(found.backward()[2:]).all()
    assert found.forgotten()[:2] == pytest.approx([0.2, 0.1]) and np.isnan(found.forgotten()[2:]).all()


def test_while_everything_is_still_trained_there_is_no_backward_transfer():
    found = transfer([(10, {"a": 0.5})], [Stage(0, "only", ["a"])])
    assert math.isnan(found.bwt) and math.isnan(found.forgetting) and math.isnan(found.fwt)
    # Nor before the first evaluation after a switch.
    found = transfer([(100, {"add": 0.8, "reverse": 0.2})], [ADD, REVERSE])
    assert math.isnan(found.bwt) and math.isnan(found.forgetting) and np.isnan(found.matrix[1]).all()
    assert transfer([], [ADD]).matrix.shape == (1, 1)


def test_what_was_not_measured_is_left_out_and_never_0():
    evaluations = [(100, {"add": 0.8}), (150, {"add": math.nan, "reverse": 0.3}), (160, {"reverse": 0.4})]
    assert math.isnan(transfer(evaluations, [ADD, REVERSE]).bwt)


@pytest.mark.parametrize("stages", [[], [REVERSE, ADD]])
def test_stages_must_be_in_order(stages):
    with pytest.raises(ValueError, match="in the order of their steps"):
        transfer([], stages)
