"""Reading completions: what each drawing says, what each key does, and that no text a policy writes can do any harm."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot
from textual.widgets import Input

from rlpeaks_tui.cockpit import walk
from rlpeaks_tui.cockpit.browse import compare, finder, group, listing, through, tokens
from rlpeaks_tui.cockpit.browse.finder import LIMIT, Finder, Found, Opened, Through
from rlpeaks_tui.cockpit.browse.query import parse
from rlpeaks_tui.cockpit.browse.texts import flowed, lined
from rlpeaks_tui.cockpit.cells import HEAT, UNDERLINE, Cells, in_ascii, width_of
from rlpeaks_tui.cockpit.keyed import BROWSER, WITHIN
from rlpeaks_tui.cockpit.scene import Look
from rlpeaks_tui.cockpit.screens.browser import Browser
from rlpeaks_tui.cockpit.screens.enlarged import Enlarged
from rlpeaks_tui.cockpit.screens.overview import Overview
from rlpeaks_tui.run.rollouts import Block, RolloutReader, Rollouts, RolloutWriter, TokenBlock
from rlpeaks_tui.run.search import Hit, Wanted
from tests.cockpit_fakes import FakeRun
from tests.cockpit_pilot import app_of, opened, screen, until, until_seen
from tests.run_fakes import NASTY, is_safe

HOSTILE = [
    *NASTY,
    "[bold red]markup[/] [link=file:///etc/passwd]here[/link]",
    "مرحبا بالعالم שלום",
    "漢字" * 300,
    "e\u0301" * 400 + "\u0301" * 200,
    "👩‍👩‍👧‍👦🇩🇪👍🏽",
    "a\n\n\nb\tc",
    "",
    "x" * (1 << 20),
    "word " * (1 << 17),
]


def block(step: int, texts: list[str], **more: Any) -> Block:
    """One generation with groups of four."""
    n = len(texts)
    reward = [float(i % 4 == 0) for i in range(n)]
    known: dict[str, Any] = {
        "prompts": [f"{step}+{g}=" for g in range(-(-n // 4))],
        "group": [i // 4 for i in range(n)],
        "rewards": {"correct": list(reward), "brevity": [i / 8 for i in range(n)]},
        "reward": list(reward),
        "advantage": [r - 0.25 for r in reward],
        "length": [len(text) % 1000 for text in texts],
        "truncated": [i % 5 == 4 for i in range(n)],
        "task": ["add" if step % 2 else "sort"] * n,
        "format": [("column", "direct")[i % 2] for i in range(n)],
        "confidence": [i / n for i in range(n)],
        "correct": list(reward),
        **more,
    }
    return Block(step=step, phase="easy", completions=texts, **known)


def traced(index: int, pieces: list[str], seed: int = 0, **more: bytes) -> TokenBlock:
    rng = np.random.default_rng(seed)

    def floats(values: Any) -> bytes:
        return np.asarray(values, "<f4").tobytes()

    n = len(pieces)
    known = {
        "logp": floats(-rng.exponential(1, n)),
        "base_logp": floats(-rng.exponential(1, n)),
        "entropy": floats(rng.random(n)),
        "js": floats(rng.random(n)),
    }
    return TokenBlock(index=index, pieces=pieces, **{**known, **more})


def read(folder: Path, *blocks: Block) -> list[Rollouts]:
    """Blocks as they come back from the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = RolloutWriter(folder)
    for each in blocks:
        writer.append(each)
    reader = RolloutReader(folder)
    reader.refresh()
    found = [reader.read(number) for number in range(len(reader.index))]
    assert all(found)
    return [each for each in found if each is not None]


def words_of(cells: Cells) -> str:
    return "\n".join(cells.rows())


# Texts in lines


@given(st.text("ab \n\t漢é\u0301", max_size=60), st.integers(2, 9))
def test_lines_hold_the_whole_text_and_nothing_sticks_out(text: str, width: int) -> None:
    lines = lined(text, width).upto(10**6)
    assert all(width_of(line) <= width for line in lines)
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", text)
    assert len(lines) >= text.count("\n") + 1


@given(st.lists(st.text("ab \n漢é\u0301", max_size=14), max_size=12), st.integers(2, 9))
def test_pieces_follow_each_other_and_nothing_sticks_out(pieces: list[str], width: int) -> None:
    rows = flowed(tuple(pieces), width).upto(10**6)
    assert all(sum(width_of(text) for _, text in row) <= width for row in rows)
    order = [i for row in rows for i, _ in row]
    assert order == sorted(order)
    for i, piece in enumerate(pieces):
        assert "".join(text for row in rows for at, text in row if at == i) == piece.replace("\n", "⏎")


def test_a_long_text_is_laid_out_only_as_far_as_it_is_looked_at() -> None:
    for text in ("漢字 " * (1 << 18), "x" * (1 << 20), "\n" * (1 << 20)):
        lines = lined(text, 40)
        top, shown, more = lines.window(5, 20)
        assert (top, len(shown), more) == (5, 20, True) and len(lines._made) == 26


# The difference of two texts


@given(st.text("ab 1+\n", max_size=40), st.text("ab 1+\n", max_size=40))
def test_both_texts_can_be_read_out_of_their_difference(one: str, other: str) -> None:
    parts = compare.compare(one, other).parts
    assert "".join(text for where, text in parts if where != compare.OTHER) == one
    assert "".join(text for where, text in parts if where != compare.ONE) == other


def test_a_difference_is_by_word_and_marked_with_signs() -> None:
    found = compare.compare("so 7 + 8 = 15, carry 1", "so 7 + 9 = 16, carry 1")
    assert [part for part in found.parts if part[0] != compare.SAME] == [
        (compare.ONE, "8"), (compare.OTHER, "9"), (compare.ONE, "15"), (compare.OTHER, "16")
    ]  # fmt: skip
    cells, _ = compare.draw(found, ("one", "other"), 0, 70, 12)
    assert "7 + [−8−]{+9+} = [−15−]{+16+}, carry 1" in words_of(cells)
    assert "2 only in the first, 2 only in the second" in words_of(cells)
    same, _ = compare.draw(compare.compare("a b", "a b"), ("one", "other"), 0, 70, 12)
    assert "the same, word for word" in words_of(same)


def test_what_is_too_long_to_compare_is_counted() -> None:
    long = " ".join(map(str, range(3 * compare.MOST_WORDS)))
    found = compare.compare(long, long[::-1])
    assert found.left_out > 0
    cells, _ = compare.draw(found, ("one", "other"), 0, 120, 12)
    assert "too many to compare" in words_of(cells)
    kept = sum(len(text) for _, text in found.parts)
    assert kept + found.left_out == 2 * len(long)


# Tokens


def test_a_push_is_the_gradient_of_the_policy_at_the_token(tmp_path: Path) -> None:
    logits = np.random.default_rng(1).normal(size=7)

    def log_p(z: np.ndarray) -> float:
        return float(z[3] - np.log(np.exp(z).sum()))

    nudged = logits.copy()
    nudged[3] += 1e-6
    gradient = (log_p(nudged) - log_p(logits)) / 1e-6
    logp = np.asarray([log_p(logits)], "<f4").tobytes()
    [rollouts] = read(
        tmp_path, block(1, ["ab"], advantage=[-2.0], tokens=[TokenBlock(index=0, pieces=["ab"], logp=logp)])
    )
    push = next(shade for shade in tokens.SHADES if shade.name == "advantage")
    values = push.values(rollouts.tokens[0], float(rollouts.advantage[0]))
    assert values is not None and values[0] == pytest.approx(-2.0 * gradient, rel=1e-4)


@pytest.fixture
def spelled(tmp_path: Path) -> Rollouts:
    """A generation in which the first of four completions was kept by token."""
    pieces = ["So", " 7", "+", "8", "\n", " is", " 15"]
    [found] = read(tmp_path / "spelled", block(7, ["".join(pieces), "b", "c", "d"], tokens=[traced(0, pieces)]))
    return found


def legend_and_table(rollouts: Rollouts, shade: int, look: Look, width: int = 120) -> tuple[str, str, Cells]:
    cells, _ = tokens.draw(rollouts, 0, "name", 3, shade, 0, look, width, 24)
    rows = cells.rows()
    return rows[1], next(row for row in rows if row.startswith("▸")), cells


@pytest.mark.parametrize("shade", range(len(tokens.SHADES)))
@pytest.mark.parametrize("flat", [False, True])
def test_tokens_are_shaded_over_a_range_that_the_legend_has_in_numbers(
    spelled: Rollouts, shade: int, flat: bool
) -> None:
    trace = spelled.tokens[0]
    kind = tokens.SHADES[shade]
    values = {
        "entropy": trace.entropy,
        "KL": trace.logp - trace.base_logp,
        "JS": trace.js,
        "advantage": spelled.advantage[0] * (1 - np.exp(trace.logp)),
        "log p": trace.logp,
    }[kind.name]
    legend, picked, cells = legend_and_table(spelled, shade, Look(flat=flat))
    assert kind.name in legend and f"{np.abs(values).max():.3f}" in legend
    assert "4" in picked and '"8"' in picked and f"{abs(values[3]):.3f}" in picked
    # Every other number of the picked token is there too.
    for number in (trace.entropy[3], trace.js[3], trace.logp[3], np.exp(trace.logp[3])):
        assert f"{abs(number):.3f}" in picked
    strongest = int(np.argmax(np.abs(np.delete(values, 3))))
    strongest += strongest >= 3
    weakest = int(np.argmin(np.abs(np.delete(values, 3))))
    weakest += weakest >= 3
    # The text in rows: a line break is a sign that ends its row.
    assert cells.rows()[3].startswith("So 7+8⏎") and cells.rows()[4].startswith(" is 15")
    place = {0: (3, 0), 1: (3, 3), 2: (3, 4), 4: (3, 6), 5: (4, 1), 6: (4, 4)}
    strong, weak = (int(cells.inks[place[i]]) for i in (strongest, weakest))
    assert strong != weak and bool(strong & HEAT) is not flat
    if kind.signed and not flat:
        for i, at in place.items():
            if abs(values[i]) > np.abs(values).max() / 16:
                assert bool(cells.inks[at] & UNDERLINE) == (values[i] < 0)
    if flat:
        assert strong & UNDERLINE and "grey to" in legend and not (cells.inks & HEAT).any()


def test_v_passes_over_what_was_not_measured(tmp_path: Path) -> None:
    trace = traced(0, ["a", "b"], base_logp=b"", js=b"")
    [found] = read(tmp_path, block(1, ["ab"], tokens=[trace]))
    seen, shade = [], 0
    for _ in range(3):
        seen.append(tokens.SHADES[shade].name)
        shade = tokens.next_shade(found, 0, shade, 1)
    assert seen == ["entropy", "advantage", "log p"] and tokens.SHADES[shade].name == "entropy"
    assert tokens.SHADES[tokens.next_shade(found, 0, 0, -1)].name == "log p"
    assert "not measured: KL, JS" in legend_and_table(found, 0, Look())[0]


def test_a_completion_without_tokens_says_so(spelled: Rollouts) -> None:
    cells, _ = tokens.draw(spelled, 1, "name", 0, 0, 0, Look(), 100, 20)
    words = words_of(cells)
    assert "kept by token for a sample only: 1 of 4" in words and "tokens:yes" in words and "\nb " in words


def test_up_and_down_lead_to_the_token_in_the_row_above_and_below() -> None:
    pieces = ("aaa", "bbb", "ccc", "ddd", "e", "f")
    assert [[i for i, _ in row] for row in flowed(pieces, 6).upto(9)] == [[0, 1], [2, 3], [4, 5]]
    assert tokens.moved(pieces, 6, 1, 1) == 3 and tokens.moved(pieces, 6, 3, -1) == 1
    assert tokens.moved(pieces, 6, 5, -9) in (0, 1) and tokens.moved(pieces, 6, 0, 99) == 4


# The list and the group


def found_of(rollouts: Rollouts, number: int = 0) -> Found:
    hits = [
        Hit(rollouts.step, number, i, int(rollouts.group[i]), "", rollouts.completions[i], float(rollouts.reward[i]),
            float(rollouts.advantage[i]), rollouts.task[i], rollouts.format[i] or "", int(rollouts.length[i]),
            bool(rollouts.truncated[i]), float(rollouts.correct[i]), float(rollouts.confidence[i]))
        for i in range(len(rollouts.completions))
    ]  # fmt: skip
    return Found(Wanted(), tuple(finder.row_of(hit, None) for hit in hits), done=True, generations=1)


@pytest.mark.parametrize("size", [(78, 19), (118, 35), (198, 54), (40, 8), (12, 3), (1, 1)])
def test_numbers_of_the_list_stand_under_each_other(tmp_path: Path, size: tuple[int, int]) -> None:
    rewards = [0.0, 1.0, -12.5, None, 123.25, 1e9, 0.5, 1.0]
    [rollouts] = read(tmp_path, block(412, [f"text {i}" for i in range(8)], reward=rewards))
    cells = listing.draw(found_of(rollouts), "", None, 412, 1, 0, (0, 2), "", rollouts, *size)
    assert (cells.width, cells.height) == size
    if size[0] < 78:
        return
    rows = cells.rows()
    title = rows[2]
    for name in ("step", "reward", "adv", "answer", "length", "text"):
        assert name in title
    end = title.index("reward") + len("reward")
    told = [row[:end].split()[-1] for row in rows[3:11]]
    assert told == ["0.00", "1.00", "−12.50", "-", "123.25", "1e+09", "0.50", "1.00"]
    assert all(row[end] == " " for row in rows[3:11])
    assert rows[4].startswith("▸") and rows[5].startswith("x")
    assert ("conf" in title and "task" in title) == (size[0] >= 118)
    assert ("prompt" in words_of(cells)) == (size[1] >= listing.PREVIEW_FROM)
    assert all(char < "\x7f" for row in in_ascii(cells).rows() for char in row)


def test_a_group_shows_what_each_function_gave_and_the_prompt_in_full(tmp_path: Path) -> None:
    prompt = "Add them. " + "please " * 300 + "THE END"
    [rollouts] = read(tmp_path, block(3, [f"answer {i}" for i in range(4)], prompts=[prompt]))
    for width, height in ((78, 19), (118, 35), (198, 54)):
        cells, _ = group.draw(rollouts, 0, 2, 0, 3, width, height)
        rows = cells.rows()
        title = next(row for row in rows if "brevity" in row)
        assert "correct" in title and "reward" in title and "adv" in title
        picked = next(row for row in rows if row.startswith("▸   3"))
        assert picked.split()[2:7] == ["0.00", "−0.25", "wrong", "0.00", "0.25"]
        assert next(row for row in rows if row.startswith("x   4"))
        assert sum(f"answer {i}" in words_of(cells) for i in range(4)) >= 2
        assert "← from the first reads all of the prompt" in words_of(cells) and "THE END" not in words_of(cells)
        whole, _ = group.draw(rollouts, 0, group.PROMPT, 10**6, None, width, height)
        assert "THE END" in words_of(whole)
    for size in ((30, 5), (5, 2), (1, 1)):
        for index in (0, group.PROMPT):
            cells, _ = group.draw(rollouts, 0, index, 0, None, *size)
            assert (cells.width, cells.height) == size


def test_a_row_begins_where_the_text_that_was_looked_for_stands() -> None:
    text = "x" * 500 + " pomegranate " + "y" * 500
    pattern = re.compile("pome.*te")
    shown, (begin, end) = finder.excerpt(text, pattern)
    assert shown[begin:end] == "pomegranate" and begin < 40 and len(shown) < 400
    assert finder.excerpt("a\nb", re.compile("b")) == ("a⏎b", (2, 3))
    assert finder.excerpt("abc", re.compile("z")) == ("abc", (0, 0))


# The thread


class Listener:
    """Takes what a finder delivers; `then` is called in its thread with the first answer."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.answers: list[Any] = []
        self._fresh = threading.Condition()
        self._then = then

    def __call__(self, answer: Any) -> None:
        with self._fresh:
            self.answers.append(answer)
            self._fresh.notify_all()
        if len(self.answers) == 1:
            self._then()

    def wait(self, true: Callable[[Any], bool]) -> Any:
        with self._fresh:
            assert self._fresh.wait_for(lambda: bool(self.answers) and true(self.answers[-1]), 30), self.answers[-1:]
            return self.answers[-1]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20,000 completions in 625 generations, the same prompt in every 25th; one is a pomegranate."""
    folder = tmp_path_factory.mktemp("many")
    writer = RolloutWriter(folder)
    for step in range(1, 626):
        texts = [f"{step} and {i}" for i in range(32)]
        if step == 100:
            texts[5] = "a pomegranate"
        prompts = [f"prompt {step} {g}" for g in range(8)]
        if step % 25 == 0:
            prompts[3] = "what is asked again"
        writer.append(block(step, texts, prompts=prompts, rewards={}, task=["rare" if step == 300 else "add"] * 32))
    return folder


@pytest.fixture
def looking(many: Path) -> Iterator[tuple[Finder, Listener]]:
    heard = Listener()
    thread = Finder(many, heard)
    thread.start()
    yield thread, heard
    thread.let_go()
    thread.join(10)
    assert not thread.is_alive()


def done(answer: Any) -> bool:
    return isinstance(answer, Found) and answer.done


def test_the_list_of_twenty_thousand_reads_no_more_blocks_than_it_shows(looking: tuple[Finder, Listener]) -> None:
    thread, heard = looking
    thread.ask(Wanted())
    found = heard.wait(done)
    assert len(found.rows) == LIMIT and found.more
    assert found.blocks <= LIMIT // 32 + 2
    assert [row.step for row in found.rows[:33]] == [625] * 32 + [624]
    assert all(len(answer.rows) <= LIMIT for answer in heard.answers)


@pytest.mark.parametrize(
    ("line", "steps", "blocks"),
    [
        ("pomegranate", {100}, 30),
        ("/a pome.*ate/", {100}, 30),
        ("task:rare correct:yes", {300}, 1),
        ("step:17-18 group:3 cut:yes", {17, 18}, 2),
        ("task:none", set(), 0),
    ],
)
def test_a_query_opens_only_blocks_that_can_match(
    looking: tuple[Finder, Listener], line: str, steps: set[int], blocks: int
) -> None:
    thread, heard = looking
    thread.ask(parse(line))
    found = heard.wait(done)
    assert {row.step for row in found.rows} == steps and not found.more
    assert found.blocks <= blocks


def test_a_search_stops_when_something_else_is_wanted_or_nothing(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_blocks = []
    real = RolloutReader.read
    monkeypatch.setattr(RolloutReader, "read", lambda self, n: read_blocks.append(n) or real(self, n))
    monkeypatch.setattr(finder, "SLICE", 0.0)
    endless, quick = parse(r"/^\d+z$/"), parse("task:rare")
    heard = Listener(then=lambda: thread.ask(quick))
    thread = Finder(many, heard)
    thread.start()
    thread.ask(endless)
    found = heard.wait(lambda answer: done(answer) and answer.wanted == quick)
    assert len(found.rows) == 32 and len(read_blocks) <= 3
    stopped = Listener(then=lambda: other.let_go())
    other = Finder(many, stopped)
    other.start()
    other.ask(endless)
    for each in (thread, other):
        each.let_go()
        each.join(10)
        assert not each.is_alive()
    assert len(read_blocks) <= 6


def test_one_prompt_through_time_is_found_by_its_filter(
    looking: tuple[Finder, Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_blocks = []
    real = RolloutReader.read
    monkeypatch.setattr(RolloutReader, "read", lambda self, n: read_blocks.append(n) or real(self, n))
    thread, heard = looking
    thread.through("what is asked again")
    answer = heard.wait(lambda answer: isinstance(answer, Through) and answer.done)
    assert [moment.step for moment in answer.moments] == list(range(625, 0, -25))
    assert len(read_blocks) <= 25 + 20
    first = answer.moments[0]
    assert (first.group, first.count, first.reward, first.right, first.best) == (3, 4, 0.25, 1, 12)
    assert first.text == "625 and 12"


def test_what_comes_later_is_put_at_the_top_and_the_bound_holds(tmp_path: Path) -> None:
    folder = tmp_path / "rollouts"
    read(folder, *(block(step, [f"{step}.{i}" for i in range(8)]) for step in (1, 2)))
    heard = Listener()
    thread = Finder(folder, heard)
    thread.start()
    thread.ask(parse("adv:>0"))
    assert [row.step for row in heard.wait(done).rows] == [2, 2, 1, 1]
    RolloutWriter(folder).append(block(3, ["3.0", "3.1"]))
    thread.follow()
    found = heard.wait(lambda answer: done(answer) and answer.generations == 3)
    assert [(row.step, row.index) for row in found.rows] == [(3, 0), (2, 0), (2, 4), (1, 0), (1, 4)]
    thread.open(2)
    opened_ = heard.wait(lambda answer: isinstance(answer, Opened))
    assert opened_.rollouts.completions == ("3.0", "3.1")
    thread.open(99)
    assert heard.wait(lambda answer: isinstance(answer, Opened) and answer.number == 99).rollouts is None
    thread.let_go()
    thread.join(10)


# The screen, by keys


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    """Ten generations of a run that goes on; the last one has tokens, and the first prompt was asked three times."""
    made = FakeRun(tmp_path / "quickstart", max_steps=100)
    made.state("running")
    made.probes = False
    for step in range(1, 11):
        made.advance(1)
        generation(made, step)
    return made


def generation(made: FakeRun, step: int) -> None:
    texts = [f"answer {step} {i}" for i in range(8)]
    prompts = ["asked again" if step in (2, 5, 10) else f"{step}+1=", f"{step}+2="]
    pieces = ["an", "swer", " ", "now", "\n", "done"]
    made.rollouts.append(block(step, texts, prompts=prompts, tokens=[traced(0, pieces)] if step == 10 else []))


def at(app: Any) -> str:
    """The row that is picked."""
    return next((line for line in screen(app).split("\n") if line.startswith(" ▸")), "")


async def browse(pilot: Pilot[int], line: str = "") -> Any:
    app = app_of(pilot)
    walk.read(app, line)
    await until(pilot, lambda: isinstance(app.screen, Browser), "open")
    await until_seen(pilot, "found in|more exist")
    return app


async def test_the_panel_of_completions_opens_the_browser_and_escape_leaves_it(run: FakeRun) -> None:
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = app_of(pilot)
        await pilot.press("7", "z")
        await until_seen(pilot, "80 found in 10 generations")
        assert isinstance(app.screen, Browser)
        await until_seen(pilot, r"▸ +10 +1 +1\.00 +\+0\.75 +right")
        await until_seen(pilot, "correct 1.00  brevity 0.00")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, Overview), "back")
        await pilot.press("2", "2", "7")
        await until(pilot, lambda: isinstance(app.screen, Browser), "over an enlarged panel")
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, Enlarged) and app.screen.panel == "kl", "another panel")
        names = [thread.name for thread in threading.enumerate()]
        await until(pilot, lambda: "rlpeaks-finder" not in [t.name for t in threading.enumerate()], f"ended: {names}")


async def test_each_layer_opens_with_enter_and_closes_with_escape(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = await browse(pilot)
        await pilot.press("down", "down", "up")
        await until(pilot, lambda: "answer 10 1" in at(app), "second row")
        await pilot.press("enter")
        await until_seen(pilot, "Group 1 of 2, step 10")
        await until_seen(pilot, r"▸   2 +0\.00 +−0\.25 +wrong")
        await pilot.press("left", "enter")
        await until_seen(pilot, "Tokens  step 10  group 1  1 of 4")
        await until_seen(pilot, r"an +.*swer|answer now")
        await until_seen(pilot, r'▸ +1 +"an"')
        await pilot.press("right", "right")
        await until_seen(pilot, r'▸ +3 +" "')
        await pilot.press("down")
        await until_seen(pilot, r'▸ +6 +"done"')
        for name in ("KL", "JS", "advantage", "log p", "entropy"):
            await pilot.press("v")
            await until_seen(pilot, f"\n {name} ")
        await pilot.press("V")
        await until_seen(pilot, "\n log p ")
        await pilot.press("escape")
        await until_seen(pilot, "Group 1 of 2")
        await pilot.press("left")
        await until_seen(pilot, "prompt in full")
        await pilot.press("escape")
        await until_seen(pilot, "Completions")
        assert "answer 10 1" in at(app)


async def test_a_mistake_is_said_and_the_line_stays_until_it_is_right(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = await browse(pilot)
        await pilot.press("slash")
        await until_seen(pilot, r"step:100-200 .*\n.*reward:>0\.5")
        field = app.screen.query_one(Input)
        field.value = "reward:high"
        await pilot.press("enter")
        await until_seen(pilot, "reward:high is no range; write it as reward:0.5-1")
        field.value = "step:3-4 correct:yes"
        await pilot.press("enter")
        await until_seen(pilot, "4 found in 10 generations")
        await until_seen(pilot, "/ step:3-4 correct:yes")
        assert "answer 4 0" in at(app)
        await pilot.press("slash", "escape")
        await until_seen(pilot, "/ step:3-4 correct:yes")
        walk.read(app, "task:other")
        await until_seen(pilot, "no task is called other; there are: .*add.*sort")
        walk.read(app, "reward:nothing")
        await until_seen(pilot, "reward:nothing is no range")


async def test_another_panel_can_ask_for_what_stands_behind_a_number(run: FakeRun) -> None:
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = await browse(pilot, "conf:0.8-1 step:3-4")
        await until_seen(pilot, "2 found")
        assert "0.88" in at(app) and "answer 4 7" in at(app)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, Overview), "back where it came from")


async def test_the_list_shows_the_run_at_the_cursor(run: FakeRun) -> None:
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = await browse(pilot)
        await pilot.press("left_curly_bracket", "left_curly_bracket")
        await until_seen(pilot, "at or before step 8")
        await until(pilot, lambda: "answer 8 0" in at(app), "older")
        await pilot.press("left")
        await until_seen(pilot, "at or before step 7")
        await pilot.press("g")
        await until(pilot, lambda: "answer 10 0" in at(app), "newest")
        app.go_to(4)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, Overview), "left")
        await browse(pilot)
        await until_seen(pilot, "at or before step 4")
        assert "answer 4 0" in at(app)


async def test_new_generations_come_at_the_top_and_never_move_what_is_read(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = await browse(pilot)
        run.advance(1)
        generation(run, 11)
        await until(pilot, lambda: "answer 11 0" in at(app), "at the top")
        await pilot.press("pagedown")
        await until(pilot, lambda: "answer 11 0" not in at(app), "moved")
        before = screen(app).split("\n")[6:22]
        run.advance(1)
        generation(run, 12)
        await until_seen(pilot, "1 newer generation, home shows it")
        assert screen(app).split("\n")[6:22] == before
        await pilot.press("home")
        await until(pilot, lambda: "answer 12 0" in at(app), "followed again")


async def test_rows_that_arrive_late_do_not_move_what_is_read(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = await browse(pilot)
        await pilot.press("pagedown", "pagedown", "up")
        await until(pilot, lambda: "answer 10 0" not in screen(app), "moved")
        before = screen(app).split("\n")[6:22]
        assert "▸" in "".join(before)
        found = app.screen._list.found
        late = tuple(replace(row, number=99, step=11, text=f"late {row.index}") for row in found.rows[:8])
        # The search for them had begun while the list was still at its top.
        app.screen.post_message(Browser.Answered(replace(found, rows=(*late, *found.rows))))
        await until(pilot, lambda: app.screen._list.found is not found, "taken")
        assert screen(app).split("\n")[6:22] == before
        await pilot.press("home")
        await until(pilot, lambda: "late 0" in at(app), "there they are")


async def test_a_held_view_keeps_the_list_as_it_is(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = await browse(pilot)
        await pilot.press("down", "space")
        await until_seen(pilot, "held at 10")
        assert "answer 10 1" in at(app)
        await pilot.press("home")
        run.advance(1)
        generation(run, 11)
        await until_seen(pilot, "1 newer generation, space shows it")
        assert "answer 10 0" in at(app)
        await pilot.press("space")
        await until(pilot, lambda: "answer 11 0" in at(app), "followed again")


async def test_a_click_picks_a_row_and_a_second_one_opens_it(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = await browse(pilot)
        y = next(y for y, line in enumerate(screen(app).split("\n")) if "answer 10 3" in line)
        await pilot.click(offset=(20, y))
        await until(pilot, lambda: "answer 10 3" in at(app), "picked")
        await pilot.click(offset=(20, y))
        await until_seen(pilot, "Group 1 of 2, step 10")
        await until_seen(pilot, "▸   4")
        # In the footer a click is the key that stands there, not the one of the overview.
        for key, then in (("enter tokens", "Tokens  step 10"), ("esc back", "Group 1"), ("esc back", "80 found")):
            x = screen(app).split("\n")[-1].index(key)
            await pilot.click(offset=(x + 1, 23))
            await until_seen(pilot, then)
        await pilot.click(offset=(screen(app).split("\n")[-1].index("? help"), 23))
        await until_seen(pilot, "Keys .*esc closes")


async def test_x_marks_one_and_compares_it_with_another_of_another_step(run: FakeRun) -> None:
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = await browse(pilot)
        await until_seen(pilot, "brevity")
        await pilot.press("x")
        await until_seen(pilot, "marked; x on another")
        await pilot.press("x")
        await until_seen(pilot, "no longer marked")
        await pilot.press("x")
        walk.read(app, "step:3")
        await until_seen(pilot, "8 found")
        await until_seen(pilot, "brevity 0.00")
        assert "x compare" in screen(app)
        await pilot.press("enter", "right", "x")
        await until_seen(pilot, r"only in−\]  step 10  group 1  1 of 4")
        await until_seen(pilot, r"only in\+\}  step 3  group 1  2 of 4")
        await until_seen(pilot, re.escape("answer [−10 0−]{+3 1+}") + "|" + re.escape("answer [−10−]{+3+} [−0−]{+1+}"))
        await pilot.press("escape")
        await until_seen(pilot, "Group 1 of 2, step 3")


async def test_o_shows_the_prompt_through_time(run: FakeRun) -> None:
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = await browse(pilot)
        await until_seen(pilot, "brevity")
        await pilot.press("o")
        await until_seen(pilot, "answered in 3 generations")
        rows = [line for line in screen(app).split("\n") if "1 of 4" in line]
        assert [line.replace("▸", " ").split()[:4] for line in rows] == [
            [s, "4", "0.25", "1"] for s in ("10", "5", "2")
        ]
        assert "here" in rows[0] and "answer 5 0" in rows[1]
        await pilot.press("down", "enter")
        await until_seen(pilot, "Group 1 of 2, step 5")
        await pilot.press("o")
        await until_seen(pilot, "answered in 3 generations")
        await pilot.press("escape", "escape", "escape", "o")
        await until_seen(pilot, "answered in 3 generations")
        await pilot.press("escape")
        await until_seen(pilot, "80 found")


async def test_the_help_and_the_footer_name_the_keys(run: FakeRun) -> None:
    async with opened(run.layout.root, (80, 24)) as pilot:
        app = await browse(pilot)
        footer = screen(app).split("\n")[-1]
        for hint in ("esc back", "enter group", "/ find", "q leave", "? help"):
            assert hint in footer
        await pilot.resize_terminal(160, 45)
        await pilot.press("question_mark")
        await until_seen(pilot, BROWSER)
        for own in WITHIN:
            if own.where == BROWSER and own.listed:
                await until_seen(pilot, re.escape(own.title))


async def test_the_palette_means_the_browser_while_it_is_open(run: FakeRun) -> None:
    async with opened(run.layout.root, (120, 40)) as pilot:
        app = await browse(pilot)
        app.action_command("filter")
        await until(pilot, lambda: bool(app.screen.query(Input)), "asked")
        await pilot.press("escape")
        app.action_command("story")
        await until_seen(pilot, "Tokens  step 10")
        app.action_command("enlarge")
        await until(pilot, lambda: isinstance(app.screen, Overview), "back")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[FakeRun, Rollouts]:
    """A run whose texts, prompts, names and tokens are all hostile."""
    made = FakeRun(tmp_path_factory.mktemp("hostile") / "quickstart", probes=False)
    made.state("running")
    made.advance(1)
    texts = HOSTILE + ["end"] * (-len(HOSTILE) % 4)
    n = len(texts)
    written = block(
        1,
        texts,
        prompts=texts[-n // 4 :],
        task=texts,
        format=texts,
        rewards={"[b]\x1b[2J": [1.0] * n},
        tokens=[traced(i, [text[:9], text[9:4000]], seed=i) for i, text in enumerate(texts)],
    )
    made.rollouts.append(written)
    [rollouts] = read(made.layout.root / "again", written)
    return made, rollouts


def harmless(cells: Cells, width: int, height: int) -> bool:
    rows = [*cells.rows(), *in_ascii(cells).rows()]
    assert all(is_safe(row) and "\n" not in row and "\t" not in row for row in rows)
    assert all(width_of(row) == width for row in rows) and (cells.width, cells.height) == (width, height)
    return True


@pytest.mark.parametrize(("width", "height"), [(78, 26), (33, 9)])
def test_no_text_of_a_policy_leaves_its_place(hostile: tuple[FakeRun, Rollouts], width: int, height: int) -> None:
    _, rollouts = hostile
    found = found_of(rollouts)
    for i, text in enumerate(rollouts.completions):
        of = int(rollouts.group[i])
        name = group.named(rollouts, i)
        assert harmless(listing.draw(found, text[:99], None, 1, i, i, None, "", rollouts, width, height), width, height)
        for index in (i, group.PROMPT):
            for scroll in (0, 3):
                cells, _ = group.draw(rollouts, of, index, scroll, None, width, height)
                assert harmless(cells, width, height)
        for look in (Look(), Look(flat=True)):
            cells, _ = tokens.draw(rollouts, i, name, 1, i % len(tokens.SHADES), 0, look, width, height)
            assert harmless(cells, width, height)
        difference = compare.compare(text, rollouts.completions[i - 1])
        cells, _ = compare.draw(difference, (name, name), 0, width, height)
        assert harmless(cells, width, height)
        moment = finder.Moment(0, 1, of, 4, 1.0, 1, 4, i, 1.0, finder.shown_in_line(text[:320]))
        cells = through.draw(Through(text, (moment,), done=True), text, 0, 0, 0, False, width, height)
        assert harmless(cells, width, height)


@pytest.mark.parametrize("options", [{}, {"ascii_only": True}], ids=["unicode", "ascii"])
async def test_no_text_of_a_policy_does_any_harm(hostile: tuple[FakeRun, Rollouts], options: dict[str, bool]) -> None:
    made, _ = hostile
    async with opened(made.layout.root, (120, 90), **options) as pilot:
        app = await browse(pilot)
        for key in ("end", "enter", "end", "v", "x", "escape", "escape", "up", "up", "x", "end", "escape", "o"):
            await pilot.press(key)
            strips = app.screen._compositor.render_strips()
            assert all(strip.cell_length == 120 and is_safe(strip.text) for strip in strips)
            assert not options or screen(app).isascii()


def test_nothing_that_is_not_a_number_is_written_as_one(tmp_path: Path) -> None:
    [rollouts] = read(
        tmp_path,
        block(1, ["a", "b"], reward=[None, math.inf], advantage=[None, None], correct=[], confidence=[], rewards={}),
    )
    cells = listing.draw(found_of(rollouts), "", None, 1, 0, 0, None, "", rollouts, 118, 35)
    assert "nan" not in words_of(cells) and "inf" not in words_of(cells)
    cells, _ = group.draw(rollouts, 0, 0, 0, None, 118, 35)
    assert "nan" not in words_of(cells) and "inf" not in words_of(cells)
