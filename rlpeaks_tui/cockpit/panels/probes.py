"""What the instruments may take of training time, what each probe asks for, and what it took."""

from __future__ import annotations

import numpy as np

from rlpeaks_tui.run import present
from rlpeaks_tui.run.pace import spell

from ..cells import Cells, Ink, fit
from ..scene import Scene
from ..words import plural

MEASURES = {
    "kl": "KL to the starting weights over the full vocabulary",
    "sparsity": "which weights have moved",
    "gradients": "the gradient by sign of the advantage",
    "after": "what an update did to completions",
    "rank": "rank of the update",
    "features": "rank of the features",
    "health": "the health rules",
    "eval": "held-out prompts",
    "routing": "how few tokens make the difference",
    "calibration": "stated confidence against outcome",
}


def watching(scene: Scene) -> str:
    """What the instruments cost and lost."""
    share = scene.value("probes/share")
    lost, errors = scene.snapshot.lost, len(scene.snapshot.errors)
    parts = [f"measuring {share * 100:.1f} % of the run" if share is not None else "cost of measuring unknown"]
    parts.append(f"{plural(lost, 'entry').replace('entrys', 'entries')} lost" if lost else "nothing lost")
    if errors:
        parts.append(plural(errors, "error"))
    return ", ".join(parts)


def allowed(scene: Scene) -> float | None:
    """The share of training time that measuring may take at the step shown."""
    told = [entry.v.get("probes.budget") for entry in present.upto(scene.snapshot, scene.snapshot.settings, scene.step)]
    config = scene.snapshot.info.config.get("probes")
    asked = told[-1] if told else config.get("budget") if isinstance(config, dict) else None
    return float(asked) if isinstance(asked, int | float) and 0 <= asked <= 1 else None


def probes(scene: Scene, width: int) -> Cells:
    """A row for each probe that ran or should: steps between runs as asked for and as it was, seconds, share of time.

    Probes are stretched when their budget does not suffice for all of them as often as asked.
    """
    config = scene.snapshot.info.config.get("probes")
    asked = config if isinstance(config, dict) else {}
    prefix = "probes/"
    ran = [name[len(prefix) :] for name in scene.snapshot.columns.names() if name.startswith(prefix)]
    # What a probe is called where it is told is not always what it is called where it is asked for.
    names = [name for name in MEASURES if name in ran] + sorted(set(ran) - {*MEASURES, "share"})
    cells = Cells(width, 3 + max(1, len(names)))
    budget, share = allowed(scene), scene.value("probes/share")
    of = f", {budget * 100:.3g} % allowed" if budget is not None else ""
    took = f"{share * 100:.2f} %" if share is not None else "unknown"
    cells.put(0, 0, fit(f"measuring takes {took} of training time so far{of}", width), Ink.TEXT)
    rest = "over the run, probe by probe; what is missing to the whole keeps and judges completions at every step"
    cells.put(1, 0, fit(rest, width), Ink.FAINT)
    stops = (32, 42, 49, 58, 67)
    for stop, title in zip(stops, ("asked every", "ran every", "runs", "each", "share"), strict=True):
        cells.put_right(2, stop, title, Ink.FAINT)
    if not names:
        cells.put(3, 0, fit("no probe has run yet", width), Ink.UNKNOWN)
    seconds = scene.series("time/step")
    trained = float(np.nansum(seconds.values[seconds.steps <= scene.step]))
    for y, name in enumerate(names, 3):
        series = scene.series(prefix + name)
        upto = series.steps <= scene.step
        steps, took_each = series.steps[upto], series.values[upto]
        cells.put(y, 0, fit(name.replace("_", " "), 20), Ink.DIM)
        every = asked.get("kl_exact" if name == "kl" else name)
        cells.put_right(y, stops[0], str(every) if isinstance(every, int) else "-", Ink.TEXT)
        if not len(steps):
            cells.put_right(y, stops[2], "0", Ink.UNKNOWN)
            continue
        apart = (int(steps[-1]) - int(steps[0])) / (len(steps) - 1) if len(steps) > 1 else None
        stretched = apart is not None and isinstance(every, int) and apart > 1.5 * every
        cells.put_right(y, stops[1], "-" if apart is None else f"{apart:.0f}", Ink.WARN if stretched else Ink.TEXT)
        cells.put_right(y, stops[2], f"{len(steps):,}", Ink.TEXT)
        cells.put_right(y, stops[3], spell(float(np.nanmean(took_each))), Ink.TEXT)
        if trained > 0:
            cells.put_right(y, stops[4], f"{100 * float(np.nansum(took_each)) / trained:.2f} %", Ink.TEXT)
        cells.put(y, stops[4] + 3, fit(MEASURES.get(name, ""), width - stops[4] - 3), Ink.FAINT)
    return cells
