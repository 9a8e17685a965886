"""Texts: repetition against zlib and counters, bounds on hostile completions, skipping, formats."""

from __future__ import annotations

import math
import random
import zlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rlpeaks_tui.stats import texts
from rlpeaks_tui.stats.catalog import lookup
from rlpeaks_tui.stats.summaries import mean_se

_random = random.Random(0)
_WORDS = ["".join(_random.choices("abcdefghijklmnopqrstuvwxyz", k=_random.randint(1, 9))) for _ in range(3000)]
PROSE = " ".join(_random.choices(_WORDS, k=800)) + "."
LOOP = "Wait, let me check that again. " * 40

any_text = st.one_of(st.text(), st.text(st.sampled_from("ab =1.,\n\ud800\u4e2d"), max_size=400))


@given(any_text)
def test_the_ratio_is_zlibs(text):
    raw = text.encode("utf-8", "surrogatepass")
    found = texts.zlib_ratio(text)
    if len(raw) < texts.MIN_BYTES:
        assert math.isnan(found)
    else:
        assert found == len(zlib.compress(raw)) / len(raw)


@given(st.lists(st.sampled_from(["a", "bb", "7"]), min_size=12, max_size=60))
def test_repeated_ngrams_are_what_a_counter_finds(words):
    found = texts.repeated_ngrams(" ".join(words))
    grams = [tuple(words[i : i + 8]) for i in range(len(words) - 7)]
    if len(words) < texts.MIN_WORDS:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(1 - len(Counter(grams)) / len(grams))


def test_the_order_of_words_counts():
    assert texts.repeated_ngrams("a b " * 8) == pytest.approx(1 - 2 / 9)


def test_words_are_words_in_any_script():
    """Marks are words by themselves, and so are characters of scripts without spaces: else they had no 8-grams."""
    assert texts.repeated_ngrams("7+5=12, " * 4) == pytest.approx(1 - 6 / 17)  # 24 words with a period of six
    assert texts.repeated_ngrams("\u4eca\u65e5\u306f" * 8) == pytest.approx(1 - 3 / 17)
    assert math.isnan(texts.repeated_ngrams("antidisestablishmentarianism" * 8))


def test_prose_is_not_repetitive_and_a_loop_is():
    found = texts.repetition([PROSE, LOOP, PROSE + LOOP * 3, "7", ""])
    assert found.repeated == pytest.approx(2 / 5)
    assert found.ratio[0] > 0.4 > texts.RATIO > found.ratio[1]
    assert found.ngrams[0] < 0.01 < texts.REPEATED < found.ngrams[2]
    assert np.isnan(found.ratio[3:]).all() and np.isnan(found.ngrams[3:]).all()


def test_a_loop_of_twenty_characters_is_seen_from_the_shortest_text_that_is_judged():
    unit = "abcdefghij klmnopqrs"
    shortest = (unit * 10)[: texts.MIN_BYTES]
    assert texts.zlib_ratio(shortest) < texts.RATIO
    assert texts.zlib_ratio((unit * 10)[: texts.MIN_BYTES // 2]) != texts.zlib_ratio(shortest)  # nan: not judged
    assert len(zlib.compress((unit * 10)[:64].encode())) / 64 > texts.RATIO  # since it would not be seen


def test_nothing_can_be_said_of_short_completions():
    found = texts.repetition(["D91?8", "P12?3"])
    assert math.isnan(found.repeated)
    assert found.answer_repeated == 0.0
    assert math.isnan(texts.repetition([]).answer_repeated)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("so 3 + 4 = 7, the answer is 7. \\boxed{7}", ["7", "7", "7"]),
        ("= 12 + 3 = 15", ["15"]),
        ("The answer: **1,234.5**.", ["1234.5"]),
        ("x=-3", ["-3"]),
        ("it equals $0.5$, which is 1/2", ["0.5"]),
        ("4 apples and 5 pears", []),
        ("this 7, basis 9", []),
        ("", []),
    ],
)
def test_numbers_that_are_stated_as_results(text, found):
    assert texts.answers(text) == found


def test_an_answer_stated_three_times_is_seen_and_tasks_can_bring_their_own():
    found = texts.repetition(["is 7. So it is 7. Yes, 7 = 7 + 0 = 7", "2 + 2 = 4", "A A A"])
    assert found.stated.tolist() == [3, 1, 0]
    assert found.answer_repeated == pytest.approx(1 / 3)
    own = texts.repetition(["A A A", "A B C"], str.split)
    assert own.stated.tolist() == [3, 1]


HOSTILE = [
    "a " * 500_000,
    "=" * 1_000_000,
    "is " * 333_333,
    "=9+9" * 250_000,
    "\u4e2d" * 1_000_000,
    "\ud800" * 1_000_000,
]


@pytest.mark.parametrize("text", [*HOSTILE, "x" * 1_000_000 + PROSE * 3])
def test_a_megabyte_is_no_more_work_than_its_end(text):
    """What the extractor and the compressor are given is bounded, which bounds what they can take."""
    seen = []

    def extract(tail):
        seen.append(len(tail))
        return texts.answers(tail)

    found, end = texts.repetition([text], extract), texts.repetition([text[-texts.LIMIT :]])
    assert seen == [texts.LIMIT]
    assert found.ratio == end.ratio and found.ngrams.tolist() == pytest.approx(end.ngrams.tolist(), nan_ok=True)
    assert texts.answers(text) == texts.answers(text[-texts.LIMIT :])


@given(any_text)
def test_every_text_has_an_answer_to_every_question(text):
    found = texts.repetition([text])
    assert found.stated[0] == max(Counter(texts.answers(text)).values(), default=0)
    assert 0 <= texts.repetition([text, PROSE]).repeated <= 1
    assert all(lookup(name) for name in found.metrics())


# Skipped work.


def _learnt(lengths, task="sum"):
    return texts.SkipBaseline().learn([task] * len(lengths), lengths, np.ones(len(lengths)))


@given(hnp.arrays(np.int64, st.integers(30, 256), elements=st.integers(1, 50)))
def test_a_skip_is_a_success_below_the_tenth_percentile_of_the_first(lengths):
    baseline = _learnt(lengths)
    bound = np.percentile(lengths, 10)
    assert baseline.threshold("sum") == pytest.approx(bound)
    found = baseline.skipped(["sum"] * lengths.size, lengths, np.ones(lengths.size))
    assert found.tolist() == (lengths < bound).astype(float).tolist()
    assert mean_se(found).mean <= 0.1 + 1 / lengths.size


def test_the_baseline_stays_as_it_was_learnt():
    baseline = _learnt(np.full(texts.SKIP_SAMPLE, 20))
    later = baseline.learn(["sum"] * 100, np.full(100, 5), np.ones(100))
    assert later == baseline and later.threshold("sum") == 20.0
    first = texts.SkipBaseline()
    first.learn(["sum"], [3], [1])
    assert first.lengths == {}  # learning gives a new one


def test_only_successes_of_known_tasks_can_skip():
    baseline = _learnt(np.full(40, 20)).learn(["rare"] * 29, np.full(29, 20), np.ones(29))
    found = baseline.skipped(
        ["sum", "sum", "sum", "sum", "rare", "new"], [5, 30, 5, 5, 5, 5], [1, 1, 0, math.nan, 1, 1]
    )
    np.testing.assert_array_equal(found, [1, 0, np.nan, np.nan, np.nan, np.nan])
    wrong = texts.SkipBaseline().learn(["sum"] * 3, [1, 2, 3], [0, math.nan, 0.5])
    assert wrong.lengths == {}
    with pytest.raises(ValueError, match="do not fit together"):
        baseline.skipped(["sum"], [1, 2], [1, 1])


def test_length_quantiles_are_numpys_and_total():
    lengths = np.random.default_rng(0).integers(1, 100, 50).astype(float)
    assert texts.length_quantiles(lengths)[-1] == np.percentile(lengths, 95)
    assert texts.length_quantiles([7, math.nan], (0.95,)).tolist() == [7.0]
    assert np.isnan(texts.length_quantiles([])).all()


# Formats.


def _named(values):
    return dict(zip("abcdefgh", values, strict=False))


@given(
    hnp.arrays(np.float64, st.integers(2, 6), elements=st.floats(0.01, 1)),
    st.integers(0, 2**32 - 1),
    st.floats(0.01, 0.5),
)
def test_pure_selection_leaves_no_residual(weights, seed, speed):
    share = weights / weights.sum()
    advantage = np.random.default_rng(seed).normal(0, 1, share.size)
    after = share + speed * share * (advantage - share @ advantage)
    found = texts.replicator(_named(share), _named(advantage), _named(after))
    assert found.rate == pytest.approx(speed, rel=1e-6)
    assert found.residual == pytest.approx(0.0, abs=1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_any_change_is_fitted_by_least_squares(seed, n):
    rng = np.random.default_rng(seed)
    share, after, advantage = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(n)), rng.normal(0, 1, n)
    force, change = share * (advantage - share @ advantage), after - share
    (rate,), (left,), *_ = np.linalg.lstsq(force[:, None], change, rcond=None)
    found = texts.replicator(_named(share), _named(advantage), _named(after))
    assert found.rate == pytest.approx(rate)
    assert found.residual == pytest.approx(left / (change @ change))


def test_a_change_without_a_reason_and_a_reason_without_a_change():
    half = {"a": 0.5, "b": 0.5}
    drifted = texts.replicator(half, {"a": 0.0, "b": 0.0}, {"a": 0.7, "b": 0.3})
    assert math.isnan(drifted.rate) and drifted.residual == 1.0
    still = texts.replicator(half, {"a": 1.0, "b": -1.0}, half)
    assert math.isnan(still.residual)
    gone = texts.replicator(half, {"a": 1.0, "b": -1.0}, {"a": 1.0})
    assert gone.rate == pytest.approx(1.0) and gone.residual == pytest.approx(0.0)
    assert math.isnan(texts.replicator({}, {}, {}).rate)
    assert math.isnan(texts.replicator(half, {"a": math.nan}, {"a": 0.9}).rate)
