"""Searching completions: what a scan of everything finds, at a fraction of the blocks, whatever is damaged."""

from __future__ import annotations

import math
import re
import tempfile
import warnings
import zlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rlpeaks_tui.run.literals import ANYTHING, AllOf, OneOf, compiled, explodes, needs
from rlpeaks_tui.run.rollout_index import NAMED_TASKS
from rlpeaks_tui.run.rollouts import RECORD, Block, RolloutReader, RolloutWriter, TokenBlock
from rlpeaks_tui.run.search import Hit, Search, Wanted, search
from rlpeaks_tui.run.text_filter import BIGGEST_FILTER, Filters, build, fold

# Case in every way that Unicode has it, an escape sequence, and half a character.
LETTERS = ["a", "b", "c", "A", "B", "i", "I", "s", "k", "é", "É", "ſ", "K", "ı", "İ", "σ", "ς", "Σ"]
texts = st.lists(st.sampled_from([*LETTERS, "abc", "Abci", "\x1b[0m", "\ud800", "\n", " "]), max_size=10).map("".join)
numbers = st.one_of(st.none(), st.sampled_from([-1.0, 0.0, 0.5, 1.0, math.nan, math.inf]))
tasks = st.sampled_from(["", "add", "sort", "a\nb"])


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    n = draw(st.integers(0, 4))
    prompts = draw(st.lists(texts, min_size=1, max_size=2))

    def column(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=n, max_size=n))

    return Block(
        step=draw(st.integers(0, 9)),
        phase="",
        prompts=prompts,
        group=column(st.integers(0, len(prompts) - 1)),
        completions=column(texts),
        rewards={},
        reward=column(numbers),
        advantage=column(numbers),
        length=column(st.integers(0, 9)),
        truncated=column(st.booleans()),
        task=column(tasks) if draw(st.booleans()) else [],
        correct=column(numbers) if draw(st.booleans()) else [],
        format=column(st.sampled_from([None, "column", "direct"])) if draw(st.booleans()) else [],
        confidence=column(numbers) if draw(st.booleans()) else [],
        tokens=[TokenBlock(index=i, pieces=[], logp=b"") for i in draw(st.sets(st.integers(0, 5), max_size=2))],
    )


patterns = st.recursive(
    st.sampled_from([*LETTERS, ".", r"\w", "[abc]", "^", "$", r"\b", "abc", "bca", "abci"]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "+?"])).map(lambda p: f"(?:{p[0]}){p[1]}"),
        inner.map(lambda p: f"({p})"),
        inner.map(lambda p: f"(?>{p})"),
        inner.map(lambda p: f"(?={p})"),
        inner.map(lambda p: f"(?!{p})"),
        inner.map(lambda p: f"(?i:{p})"),
    ),
    max_leaves=6,
)


def stored(folder: Path, written: list[Block], limit: int | None = None) -> RolloutReader:
    writer = RolloutWriter(folder, limit)
    for block in written:
        writer.append(block)
    reader = RolloutReader(folder)
    reader.refresh()
    return reader


def scan(reader: RolloutReader, wanted: dict[str, Any]) -> list[tuple[int, int]]:
    """(generation, index) of what a search must find, from everything that can be read."""
    found = []
    for number in reversed(range(len(reader.index))):
        block = reader.read(number)
        for i in range(len(block.completions)) if block else ():
            assert block is not None
            both = (block.prompts[block.group[i]], block.completions[i])
            if "text" in wanted:
                both = tuple(t for t in both if re.search(re.escape(wanted["text"]), t, re.IGNORECASE))
            if "regex" in wanted:
                both = tuple(t for t in both if re.search(wanted["regex"], t))
            low, high = wanted.get("reward", (None, None))
            first, last = wanted.get("steps", (0, 99))
            right = wanted.get("right")
            within = all(
                wanted[name][0] <= getattr(block, name)[i] <= wanted[name][1]
                for name in ("advantage", "confidence", "length")
                if name in wanted
            )
            if (
                both
                and within
                and number >= wanted.get("since", 0)
                and wanted.get("prompt", block.prompts[block.group[i]]) == block.prompts[block.group[i]]
                and wanted.get("format", block.format[i]) == block.format[i]
                and wanted.get("cut", block.truncated[i]) == block.truncated[i]
                and wanted.get("group", block.group[i]) == block.group[i]
                and wanted.get("traced", traced := any(trace.index == i for trace in block.tokens)) == traced
                and (low is None or low <= block.reward[i] <= high)
                and first <= block.step <= last
                and wanted.get("task", block.task[i]) == block.task[i]
                and (right is None or (block.correct[i] >= 0.5 if right else block.correct[i] < 0.5))
            ):
                found.append((number, i))
    return found


def places(hits: Any) -> list[tuple[int, int]]:
    return [(hit.number, hit.index) for hit in hits]


spans = st.tuples(st.sampled_from([-math.inf, 0.0, 0.5]), st.sampled_from([0.0, 0.5, math.inf]))
wants = st.fixed_dictionaries(
    {},
    optional={
        "text": texts.filter(lambda t: "\x1b" not in t and "\ud800" not in t),
        "regex": patterns,
        "task": tasks.map(lambda name: name.replace("\n", "\u23ce")),
        "reward": spans,
        "advantage": spans,
        "confidence": spans,
        "length": spans,
        "prompt": texts.filter(lambda t: "\x1b" not in t and "\ud800" not in t),
        "format": st.sampled_from(["column", "direct"]),
        "cut": st.booleans(),
        "traced": st.booleans(),
        "group": st.integers(0, 2),
        "since": st.integers(0, 5),
        "steps": st.tuples(st.integers(0, 9), st.integers(0, 9)),
        "right": st.booleans(),
    },
)
# With ten filters at once nothing would ever be found.
few_wants = wants.flatmap(
    lambda w: st.sets(st.sampled_from(sorted(w)), max_size=3).map(lambda k: {n: w[n] for n in k}) if w else st.just(w)
)


@given(st.lists(blocks(), max_size=5), st.lists(few_wants, min_size=1, max_size=4))
@settings(max_examples=200)
def test_a_search_finds_what_a_scan_of_everything_finds(written: list[Block], asked: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        reader = stored(Path(name), written)
        for wanted in asked:
            assert places(Search(reader, Wanted(**wanted), 500)) == scan(reader, wanted)


@given(patterns, st.lists(texts, min_size=1, max_size=3))
@settings(max_examples=300)
def test_what_an_expression_needs_is_in_every_text_that_it_is_found_in(pattern: str, given_: list[str]) -> None:
    def met(need: Any, text: str) -> bool:
        match need:
            case str():
                return fold(need) in fold(text)
            case AllOf(parts):
                return all(met(part, text) for part in parts)
            case OneOf(parts):
                return any(met(part, text) for part in parts)

    expression = compiled(pattern)
    need = needs(expression)
    for text in given_:
        if expression.search(text):
            assert met(need, text)


@pytest.mark.parametrize(
    ("pattern", "need"),
    [
        (r"wait, (\w+)", "wait, "),
        ("wait|hmmm+|actually", OneOf(("wait", "hmm", "actually"))),
        (r"(?:answer|result)s? is (\d+)", AllOf((OneOf(("answer", "result")), " is "))),
        ("(abc)+(def)*", "abc"),
        ("foo(?!bar)", "foo"),
        ("(?i)FÜSSE", "SSE"),
        ("(?x) long er", "longer"),
        ("wait|.", ANYTHING),
        (r"\d+", ANYTHING),
        ("ab", ANYTHING),
        ("(?i)ÉÉÉÉ", ANYTHING),
    ],
)
def test_the_literal_parts_of_an_expression_are_used(pattern: str, need: object) -> None:
    assert needs(compiled(pattern)) == need


@pytest.mark.parametrize("wrong", ["(", "[z-a]", "*", "a{99999999999}", "(?P<n>a)(?P<n>b)"])
def test_what_is_no_expression_is_told(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ValueError, match="regular expression"):
        search(stored(tmp_path, []), regex=wrong)


@pytest.mark.parametrize(
    ("pattern", "freezes"),
    [
        (r"(a+)+$", True), (r"(aa|a)+$", True), (r"(a|a)*?$", True), (r"(a{1,99}){1,99}$", True),
        (r"(a?){30}a{30}$", True), (r"((?:x|(?=y)){2,})", True),
        (r"error|warn", False), (r"(error|warn)ing", False), (r"(error|warn)?: .*[0-9]{1,3}", False),
        (r"(?:[0-9a-f]{4}-)+", False), (r"[ab]+c*d?", False), (r"(?P<n>\d+) of \d+", False),
    ],
)  # fmt: skip
def test_an_expression_that_multiplies_its_ways_is_told_from_one_that_does_not(pattern: str, freezes: bool) -> None:
    assert explodes(re.compile(pattern)) is freezes


@pytest.mark.parametrize("pattern", ["[[a]", "[+--b]", "[a&&b]", "[a||b]", "[a~~b]"])
def test_what_python_may_read_otherwise_one_day_warns_nobody(pattern: str) -> None:
    re.purge()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        expression = compiled(pattern)
        needs(expression), explodes(expression)
    assert not warned and expression.pattern == pattern


def test_case_is_ignored_as_regular_expressions_ignore_it() -> None:
    everything = "".join(map(chr, range(1, 0x110000)))
    for letter in map(chr, range(33, 127)):
        assert {fold(c) for c in re.findall(re.escape(letter), everything, re.IGNORECASE)} == {fold(letter)}


def words(seed: int, count: int) -> str:
    letters = np.random.default_rng(seed).choice(list("etaoinshrdlu    "), count)
    return "".join(letters)


@pytest.mark.parametrize(("seed", "size"), [(0, 900), (1, 60_000), (2, 4)])
def test_a_filter_misses_nothing_and_takes_one_absent_trigram_in_forty_for_present(seed: int, size: int) -> None:
    text = words(seed, size)
    different = len({text[i : i + 3] for i in range(size - 2)})
    sieve = build([text])
    assert different <= len(sieve) <= different + 8
    filters = Filters(sieve, np.array([0]), np.array([len(sieve)]), np.array([zlib.crc32(sieve)], np.uint32))
    for i in range(0, size - 2, max(1, size // 200)):
        assert filters.may_hold(text[i : i + 40].upper())[0]
    absent = [chr(0x400 + i % 64) + chr(0x440 + i // 64 % 64) + chr(0x4E00 + i % 7) for i in range(2000)]
    wrong = sum(bool(filters.may_hold(gram)[0]) for gram in absent)
    # 2.4 % of 2000, within five standard errors.
    assert wrong < 48 + 5 * math.sqrt(48)


def test_a_filter_is_bounded_and_texts_do_not_run_into_each_other() -> None:
    rng = np.random.default_rng(0)
    many = "".join(map(chr, rng.integers(0x4E00, 0x9FFF, 200_000).tolist()))
    assert len(build([many])) == BIGGEST_FILTER
    assert not any(build(["ab", "cd", "", "e"]))
    assert len(build([])) == 8


def plain(step: int, texts_: list[str], **more: Any) -> Block:
    n = len(texts_)
    columns: dict[str, Any] = {"reward": [0.0] * n, "task": ["add"] * n, "correct": [0.0] * n, **more}
    return Block(
        step=step,
        phase="",
        prompts=["1+1="],
        group=[0] * n,
        completions=texts_,
        rewards={},
        advantage=[None] * n,
        length=[1] * n,
        truncated=[False] * n,
        **columns,
    )


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> RolloutReader:
    """A hundred generations in several packs, of which the 40th has everything that is rare."""
    written = [plain(step, [words(step * 9 + i, 60) for i in range(4)]) for step in range(1, 101)]
    rare = ["its a pomegranate", "so", "so", "so"]
    reward, task, correct = [3.0, 0.0, 0.0, None], ["riddle", "add", "add", "add"], [1.0, 0.0, 0.0, None]
    written[39] = plain(40, rare, reward=reward, task=task, correct=correct)
    reader = stored(tmp_path_factory.mktemp("hundred"), written, limit=100_000)
    assert reader.kept.all() and len(np.unique(reader.index["pack"])) >= 3
    return reader


@pytest.mark.parametrize(
    "wanted",
    [
        {"text": "POMEGRANATE"},
        {"regex": r"a pome\w+te$"},
        {"regex": "quarantine|(?i:POMEGRANATE)"},
        {"task": "riddle"},
        {"reward": (2, 3)},
        {"right": True},
        {"steps": (40, 40), "text": "a"},
    ],
    ids=str,
)
def test_only_blocks_that_can_match_are_read(hundred: RolloutReader, wanted: dict[str, Any]) -> None:
    work = search(hundred, **wanted)
    hit = next(work)
    known = Hit(40, 39, 0, 0, "1+1=", "its a pomegranate", 3.0, 0.0, "riddle", "", 1, False, 1.0, 0.0)
    assert replace(hit, advantage=0.0, confidence=0.0) == known
    assert math.isnan(hit.advantage) and math.isnan(hit.confidence)
    assert list(work) == []
    # A filter can be wrong for one block in a hundred or so.
    assert work.blocks_read <= (3 if "text" in wanted or "regex" in wanted else 1)
    assert work.done and work.generations_left == 0


def test_a_prompt_is_found_whole_by_its_beginning_and_what_is_older_can_be_passed_over(tmp_path: Path) -> None:
    long = words(7, 5000)
    asked = {
        step: long + ("" if step in (3, 30) else str(step)) if step % 3 == 0 else f"{step}+1=" for step in range(40)
    }
    reader = stored(tmp_path, [replace_prompt(plain(step, ["a", "b"]), asked[step]) for step in range(40)])
    work = Search(reader, Wanted(prompt=long), 100)
    assert places(work) == [(30, 0), (30, 1), (3, 0), (3, 1)]
    # Only the blocks whose prompt begins alike, and a few that a filter cannot tell apart, are opened.
    assert work.blocks_read <= 14 + 3
    assert places(Search(reader, Wanted(prompt=long, since=4), 100)) == [(30, 0), (30, 1)]
    late = Search(reader, Wanted(since=39), 100)
    assert places(late) == [(39, 0), (39, 1)] and late.blocks_read == 1 and late.step == 39


def replace_prompt(block: Block, prompt: str) -> Block:
    return msgspec.structs.replace(block, prompts=[prompt])


def test_hits_come_newest_first_and_no_more_is_read_than_is_asked_for(hundred: RolloutReader) -> None:
    work = search(hundred, limit=6)
    assert places([next(work) for _ in range(5)]) == [(99, 0), (99, 1), (99, 2), (99, 3), (98, 0)]
    assert work.blocks_read == 2 and not work.done
    assert places(work) == [(98, 1)]
    assert work.done and work.blocks_read == 2


def test_a_search_stops_at_its_bounds_and_goes_on_where_it_was(hundred: RolloutReader) -> None:
    whole = places(search(hundred, regex="e.?t"))
    now = [0.0]

    def clock() -> float:
        now[0] += 0.25
        return now[0]

    work, pieces, calls = search(hundred, regex="e.?t"), [], 0
    while not work.done:
        before = work.blocks_read
        pieces += work.take(blocks=7) if calls % 2 else work.take(1.0, clock=clock)
        assert work.blocks_read - before <= 7
        calls += 1
    assert places(pieces) == whole and calls >= 100 / 7
    assert work.take(seconds=0) == []


def test_a_search_does_not_see_what_came_after_it_began(tmp_path: Path) -> None:
    reader = stored(tmp_path, [plain(1, ["abcd"])])
    work = search(reader, text="abcd")
    RolloutWriter(tmp_path).append(plain(2, ["abcd"]))
    reader.refresh()
    assert places(work) == [(0, 0)]
    assert places(search(reader, text="abcd")) == [(1, 0), (0, 0)]


def test_dropped_generations_are_passed_over_without_a_look(tmp_path: Path) -> None:
    reader = stored(tmp_path, [plain(step, [words(step, 500)]) for step in range(1, 61)], limit=20_000)
    kept = int(reader.kept.sum())
    assert 0 < kept < 60
    work = search(reader)
    assert [hit.step for hit in work] == list(range(60, 60 - kept, -1)) and work.blocks_read == kept


def test_a_filter_that_is_damaged_or_missing_hides_nothing(tmp_path: Path) -> None:
    written = [plain(step, [words(step, 60), "needle" if step == 2 else "hay"]) for step in (1, 2, 3)]
    reader = stored(tmp_path, written)
    sieve = tmp_path / "000001.filter"
    good = sieve.read_bytes()
    for at in range(0, len(good), 3):
        sieve.write_bytes(good[:at] + bytes(12) + good[at + 12 :])
        assert [hit.step for hit in search(reader, text="needle")] == [2]
        sieve.write_bytes(good[:at])
        assert [hit.step for hit in search(reader, text="needle")] == [2]
    sieve.unlink()
    assert [hit.step for hit in search(reader, text="needle")] == [2]


def test_any_flipped_byte_of_the_index_hides_one_generation_at_most(tmp_path: Path) -> None:
    stored(tmp_path, [plain(step, ["needle"], reward=[1.0]) for step in (1, 2, 3)])
    index = tmp_path / "index.bin"
    good = index.read_bytes()
    for at in range(RECORD.itemsize, 2 * RECORD.itemsize):
        for bit in (0x01, 0x80):
            index.write_bytes(good[:at] + bytes([good[at] ^ bit]) + good[at + 1 :])
            reader = RolloutReader(tmp_path)
            reader.refresh()
            for wanted in ({"text": "needle"}, {"task": "add"}, {"reward": (1, 1)}):
                found = places(search(reader, **wanted))  # type: ignore[arg-type]
                assert [p for p in found if p[0] != 1] == [(2, 0), (0, 0)]


def test_more_tasks_than_have_a_bit_are_all_found(tmp_path: Path) -> None:
    reader = stored(tmp_path, [plain(i, ["x"], task=[f"task {i:03d}"]) for i in range(NAMED_TASKS + 20)])
    for i in range(0, NAMED_TASKS + 20, 9):
        work = search(reader, task=f"task {i:03d}")
        assert [hit.step for hit in work] == [i]
        assert work.blocks_read == (1 if i < NAMED_TASKS else 20)


@pytest.mark.parametrize("names", [None, b"", b"[]", b'["other"]', b"{", b"\xff", b"[" * 100_000])
def test_task_names_that_are_lost_hide_nothing(tmp_path: Path, names: bytes | None) -> None:
    stored(tmp_path, [plain(1, ["x"], task=["add"]), plain(2, ["x"], task=["sort"])])
    lost = tmp_path / "tasks.json"
    lost.unlink() if names is None else lost.write_bytes(names)
    # A writer that goes on without the names gives none of their bits a second meaning.
    reader = stored(tmp_path, [plain(3, ["x"], task=["sort"]), plain(4, ["x"], task=["new"])])
    for task, steps in (("add", [1]), ("sort", [3, 2]), ("new", [4])):
        assert [hit.step for hit in search(reader, task=task)] == steps
