"""No text that a policy writes can do any harm in the browser."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from rlpeaks_tui.cockpit.browse import compare, finder, group, listing, through, tokens
from rlpeaks_tui.cockpit.browse.finder import Through
from rlpeaks_tui.cockpit.cells import Cells, in_ascii, width_of
from rlpeaks_tui.cockpit.scene import Look
from rlpeaks_tui.run.rollouts import Rollouts
from tests.browse_fakes import HOSTILE, block, browse, found_of, read, traced, words_of
from tests.cockpit_fakes import FakeRun
from tests.cockpit_pilot import opened, screen
from tests.run_fakes import is_safe


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


def test_a_prompt_through_time_says_which_generations_lie_on_a_branch_that_was_left() -> None:
    moments = tuple(finder.Moment(i, 317, 0, 8, 1.0, 8, 8, 0, 1.0, "1+1=2") for i in (1, 2))
    drawn = through.draw(Through("1+1=", moments, done=True), "1+1=", 2, 0, 0, False, 100, 20, {1})
    rows = [row for row in drawn.rows() if "317" in row]
    assert rows[0].rstrip().endswith("left branch") and rows[1].rstrip().endswith("here") and "left" not in rows[1]
