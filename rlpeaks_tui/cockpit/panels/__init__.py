"""The panels of the cockpit: what each is called, which key leads to it, and the functions that draw it."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from ..cells import Cells
from ..scene import Scene, View
from ..study import MakeStudy
from . import (
    budget,
    calibration,
    ceiling,
    checks,
    choice,
    completion,
    confidence_parts,
    confidence_study,
    console,
    cost,
    earned,
    entropy,
    exchange,
    facts,
    forking,
    format_selection,
    formats,
    heldout,
    kl,
    law,
    metrics,
    moved,
    prompt_study,
    prompts,
    reward,
    signs,
    sparsity,
    stack,
    timeline,
    training_groups,
    update_geometry,
    waste,
)

Draw = Callable[[Scene, int, int], Cells]


class Story(Struct, frozen=True):
    """One way in which an enlarged panel tells what it knows; `v` goes from one to the next.

    Attributes:
        title: in the row of tabs.
        draw: the whole panel.
        query: for a story with a picked row, which completions belong to it, as the browser's query; empty: none.
    """

    title: str
    draw: Draw
    query: Callable[[Scene], str] | None = None


class Panel(Struct, frozen=True):
    """A panel: `draw` for its place in the overview, `stories` for a screen of its own, which shows more.

    Without stories it opens the browser of the completions.

    `study` makes what its stories need beyond the snapshot. In a `listing`, `/` filters what is listed. Where the
    stories show `one_list`, what is picked in one of them is picked in the others.
    """

    id: str
    key: str
    title: str
    asks: str
    draw: Draw
    stories: tuple[Story, ...]
    study: MakeStudy | None = None
    listing: bool = False
    one_list: bool = False

    def story(self, view: View) -> Story:
        """The story that is shown."""
        return self.stories[view.story % len(self.stories)]


def _one(draw: Draw) -> tuple[Story, ...]:
    return (Story("", draw),)


PANELS: tuple[Panel, ...] = (
    Panel(
        "reward",
        "1",
        "Reward",
        "is the policy earning more",
        reward.overview,
        (
            Story("training", reward.enlarged),
            Story("held out", heldout.story),
            Story("ceiling", ceiling.story),
            Story("waste", waste.story),
        ),
        earned.Earnings,
    ),
    Panel(
        "entropy",
        "2",
        "Entropy",
        "how much choice is left",
        entropy.overview,
        (
            Story("by task", entropy.enlarged),
            Story("by token", choice.classes),
            Story("covariance", choice.covariance),
            Story("law", law.story),
            Story("forks", forking.story),
        ),
        forking.study,
    ),
    Panel(
        "kl",
        "3",
        "KL drift",
        "how far from the start",
        kl.overview,
        (
            Story("estimates", kl.enlarged),
            Story("reward bought", exchange.story),
            Story("budget", budget.story),
            Story("moved", moved.story),
        ),
        moved.study,
    ),
    Panel(
        "calibration",
        "4",
        "Calibration",
        "does confidence mean what it says",
        calibration.overview,
        (
            Story("reliability", calibration.enlarged, calibration.query),
            Story("by source", confidence_parts.sources),
            Story("by difficulty", confidence_parts.difficulty),
        ),
        confidence_study.Confidence,
    ),
    Panel(
        "sparsity",
        "5",
        "Update sparsity",
        "which weights have moved",
        sparsity.overview,
        (
            Story("layers", sparsity.enlarged),
            Story("by step", sparsity.by_step),
            Story("rank and turn", update_geometry.geometry),
        ),
        sparsity.Probes,
    ),
    Panel(
        "formats",
        "6",
        "Formats",
        "which ways of answering win",
        formats.overview,
        (
            Story("shares", formats.enlarged, formats.query),
            Story("selection", format_selection.story, formats.query),
        ),
        format_selection.Outcomes,
    ),
    Panel("completion", "7", "Completions", "what the policy wrote", completion.overview, ()),
    Panel("timeline", "8", "Timeline", "what was done when", timeline.overview, _one(timeline.enlarged), listing=True),
    Panel(
        "console",
        "9",
        "Console",
        "what the training printed",
        console.overview,
        _one(console.enlarged),
        console.Log,
        listing=True,
    ),
    Panel(
        "metrics",
        "0",
        "Metrics",
        "everything that is recorded",
        metrics.overview,
        (Story("all", metrics.enlarged), Story("one", metrics.large)),
        listing=True,
        one_list=True,
    ),
    Panel(
        "prompts",
        "o",
        "Prompts",
        "what became of each prompt",
        prompts.overview,
        (
            Story("held out", prompts.held_out, prompts.query),
            Story("change by start", prompts.start_and_change, prompts.query),
            Story("training groups", training_groups.training, training_groups.query),
        ),
        prompt_study.Prompts,
        listing=True,
    ),
    Panel(
        "signs",
        "f",
        "Right and wrong",
        "who gains by an update",
        signs.overview,
        (Story("log-probability", signs.changes), Story("gradients", signs.gradients)),
    ),
    Panel(
        "checks",
        "x",
        "Checks",
        "what each health rule says",
        checks.overview,
        _one(checks.enlarged),
        listing=True,
    ),
    Panel(
        "cost",
        "t",
        "Clock",
        "what each rank does, and where the time of a step goes",
        cost.overview,
        (
            Story("now", cost.clock),
            Story("over time", cost.over_time),
            Story("cost of watching", cost.cost),
            Story("stack", stack.stack),
        ),
    ),
    Panel("facts", "i", "Run", "what run this is", facts.overview, _one(facts.enlarged), listing=True),
)

STACK = 3
"""The story of the clock that shows a stack."""

BY_ID = {panel.id: panel for panel in PANELS}
MISSION = ("reward", "entropy", "kl", "calibration", "sparsity")
