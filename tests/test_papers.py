"""The table of published claims, on a training of a few steps: what it reads from a run, and how it tells it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

papers = pytest.importorskip("benchmarks.papers")


@pytest.mark.slow
def test_a_short_training_is_read_as_the_table_needs_it(tmp_path: Path) -> None:
    lab = papers.Lab(tmp_path, steps=6)
    text, holds = papers.rank_is_full_and_narrow(lab, 0)
    assert holds and text.startswith("step 6: rank ")
    found = papers.kl_estimates(lab.run(0))
    assert found.rollouts == 256 and found.means.shape == (1, 3)
    (rb, k1, k3), (rb_error, k1_error, k3_error) = found.means[0], found.errors[0]
    assert rb > 0 and rb_error < min(k1_error, k3_error)
    assert abs(k1 - rb) < 5 * k1_error and abs(k3 - rb) < 5 * k3_error
    # The same training again is not trained again.
    assert len(list(tmp_path.iterdir())) == 1
    pair = papers.seeds_agree(lab, [0, 0])
    assert len(pair) == 1 and "top tenth 1.000" in pair[0].measured and pair[0].holds


def test_a_claim_holds_when_two_of_three_seeds_do() -> None:
    claim = papers.CLAIMS[0]
    for holds, verdict in (((True, True, False), "**holds**: 2 of 3"), ((True, False, False), "**does not**: 1 of 3")):
        findings = [papers.Finding(f"seed {seed}", "text", good) for seed, good in enumerate(holds)]
        rows = papers.table([(claim, findings)]).splitlines()
        assert verdict in rows[2] and claim.expected in rows[2]
        assert {row.count("|") for row in rows} == {7}
        assert [row.rstrip("| ").endswith("yes") for row in rows[3:]] == list(holds)
    assert "not measured" in papers.table([(claim, [])])
    assert [claim.name for claim in papers.CLAIMS] == sorted(
        (claim.name for claim in papers.CLAIMS), key=lambda name: int(re.sub(r"\D", "", name))
    )


def test_estimates_are_put_together_by_tokens() -> None:
    tokens, means = np.array([1, 3]), np.array([[0.0, 1.0, 2.0], [0.4, 1.0, 2.0]])
    found = papers.Estimates(2, tokens, means, np.array([[1.0, 2.0, 1.0], [1.0, 4.0, 3.0]]))
    assert found.mean == pytest.approx([0.3, 1.0, 2.0])
    assert found.error == pytest.approx([np.sqrt(10) / 4, np.sqrt(148) / 4, np.sqrt(82) / 4])
    assert found.variances() == pytest.approx((10.0, 5.0))
    assert found.variances(below=0.1) == pytest.approx((4.0, 1.0))
