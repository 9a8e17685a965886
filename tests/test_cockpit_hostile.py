"""A journal with numbers such as no run has: every panel and story draws it, without a word beside the drawing."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from rlpeaks_tui.cockpit.panels import PANELS, Panel
from rlpeaks_tui.cockpit.reader import Reader, Wanted
from rlpeaks_tui.cockpit.scene import Scene, View
from rlpeaks_tui.run.entries import Checkpoint, Metrics, Note, Phase, Probe
from rlpeaks_tui.run.facts import write_facts
from rlpeaks_tui.run.follow import Follower, Snapshot
from tests.cockpit_fakes import FakeRun, steered_run
from tests.studied_run import studied_run

LATEST = 2**53
SIZES = [(37, 12), (118, 34), (198, 54)]
HUGE = (1e308, -1e308, 5e-324, None, 0.0, 1e308, 1e308)
MADE = {"studied": studied_run, "steered": steered_run}


def snapshot_of(run: FakeRun) -> Snapshot:
    follower = Follower(run.layout.root)
    follower.poll(seconds=60)
    return follower.snapshot()


def far_ahead(run: FakeRun) -> None:
    """Everything happens once more at the last steps that are read, and at one beyond them."""
    write_facts(run.layout, msgspec.structs.replace(run.info, max_steps=LATEST))
    known = snapshot_of(run)
    values = {name: series.lately() for name, series in known.columns.items()}
    for at in (LATEST - 1, LATEST, 2**63 - 1):
        run.journal.write(
            Metrics(t=run.t, step=at, v=values),
            *(msgspec.structs.replace(probes[-1], step=at) for probes in known.probes.values()),
            Phase(t=run.t, step=at, name="late", index=2, of=3),
            Checkpoint(t=run.t, step=at, name=f"late-{at}", bytes=2**62),
            Note(t=run.t, step=at, text="late"),
        )
    known = snapshot_of(run)
    assert known.step == known.notes[-1].step == LATEST and known.skipped > 0


def beyond_all_measure(run: FakeRun) -> None:
    """Every metric takes values that cannot be: all the same one at a step, and later each another."""
    names = snapshot_of(run).columns.names()
    for i, value in enumerate(HUGE * 2):
        run.step += 1
        run.journal.write(Metrics(t=run.t, step=run.step, v=dict.fromkeys(names, value)))
        for j, name in enumerate(names):
            run.journal.write(Probe(t=run.t, name="odd", step=run.step, v={name: HUGE[(i + j) % len(HUGE)]}))


BROKEN = {"far ahead": far_ahead, "beyond all measure": beyond_all_measure}


@pytest.fixture(scope="module", params=[(made, broken) for made in MADE for broken in BROKEN], ids=" ".join)
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made, broken = request.param
    run = MADE[made](tmp_path_factory.mktemp("runs") / "quickstart")
    BROKEN[broken](run)
    return run.layout.root


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.id)
def test_every_panel_and_story_draws_it(root: Path, panel: Panel) -> None:
    reader = Reader(Follower(root), lambda reading: None)
    for cursor in (None, 130):
        read = reader.read(Wanted(cursor, panel.id))
        while read.loading:
            read = reader.read(Wanted(cursor, panel.id))
        assert not read.trouble
        for log in (False, True):
            view = View(panel=panel.id, cursor=cursor, log=log)
            scene = Scene(
                read.snapshot, view, layers=read.layers, rollouts=read.rollouts, study=read.study, health=read.health
            )
            for draw in (panel.draw, *(story.draw for story in panel.stories)):
                for width, height in SIZES:
                    cells = draw(scene, width, height)
                    assert (cells.width, cells.height) == (width, height)
