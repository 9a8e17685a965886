"""The panels of the cockpit: what each is called, which key leads to it, and the functions that draw it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..cells import Cells
from ..scene import Scene
from . import calibration, completion, console, cost, entropy, facts, formats, kl, metrics, reward, sparsity, timeline

Draw = Callable[[Scene, int, int], Cells]


@dataclass(frozen=True)
class Panel:
    """A panel: `draw` for its place in the overview, `enlarged` for a screen of its own, which shows more."""

    id: str
    key: str
    title: str
    asks: str
    draw: Draw
    enlarged: Draw


PANELS: tuple[Panel, ...] = (
    Panel("reward", "1", "Reward", "is the policy earning more", reward.overview, reward.enlarged),
    Panel("entropy", "2", "Entropy", "how much choice is left", entropy.overview, entropy.enlarged),
    Panel("kl", "3", "KL drift", "how far from the start", kl.overview, kl.enlarged),
    Panel(
        "calibration",
        "4",
        "Calibration",
        "does confidence mean what it says",
        calibration.overview,
        calibration.enlarged,
    ),
    Panel("sparsity", "5", "Update sparsity", "which weights have moved", sparsity.overview, sparsity.enlarged),
    Panel("formats", "6", "Formats", "which ways of answering win", formats.overview, formats.enlarged),
    Panel("completion", "7", "Completions", "what the policy wrote", completion.overview, completion.enlarged),
    Panel("timeline", "8", "Timeline", "what was done when", timeline.overview, timeline.enlarged),
    Panel("console", "9", "Console", "what the training printed", console.overview, console.enlarged),
    Panel("metrics", "0", "Metrics", "everything that is recorded", metrics.enlarged, metrics.enlarged),
    Panel("cost", "t", "Time", "where the time of a step goes", cost.overview, cost.enlarged),
    Panel("facts", "i", "Run", "what run this is", facts.overview, facts.enlarged),
)

BY_ID = {panel.id: panel for panel in PANELS}
MISSION = ("reward", "entropy", "kl", "calibration", "sparsity")
