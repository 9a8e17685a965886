"""Looking for completions in a thread: it reads no more than it must, and what is wanted now goes first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rlpeaks_tui.cockpit.browse import finder
from rlpeaks_tui.cockpit.browse.finder import LIMIT, Finder, Found, Opened, Through
from rlpeaks_tui.cockpit.browse.query import parse
from rlpeaks_tui.run.rollouts import RolloutReader, RolloutWriter
from rlpeaks_tui.run.search import Wanted
from tests.browse_fakes import block, read


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
