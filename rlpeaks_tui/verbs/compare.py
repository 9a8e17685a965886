"""`rlpeaks compare`: the last values of two runs side by side, and whether the two changed the same weights.

The share of weights that two runs have in common is never shown alone: beside it stand what independent masks would
share, overall and module by module, and what masks with the same full rows and columns would.
"""

from __future__ import annotations

import argparse
import math
import textwrap
from pathlib import Path
from typing import Any

import msgspec

from ..run.follow import Snapshot
from ..run.layout import Layout
from ..run.masks import Masks, read_masks
from ..run.registry import resolve, runs_folder
from ..run.text import clean_tree
from ..stats.catalog import format_value, lookup
from ..stats.overlap import Overlap, overlap, pooled, within
from .headless import read_all

WIDTH = 96
KINDS = {"changed": "changed in bfloat16", "top": "moved the farthest"}
READING = (
    "How to read this: an honest lift near 1 says that the two runs share nothing beyond which rows and columns of a "
    "matrix move most; the published overlap between seeds, 0.60 where chance gives 0.37 (2505.11711), is a lift of "
    "1.6 before rows and columns are taken into account. Which weights count as changed depends on learning rate and "
    "precision: where nearly all of them do, their overlap is near 1 by chance alone. Those that moved the farthest, "
    "a tenth of each module, are as many in every run."
)


def compare(options: argparse.Namespace) -> int:
    folder = runs_folder(options.runs)
    directories = [resolve(named, folder) for named in (options.first, options.second)]
    snapshots = [read_all(directory) for directory in directories]
    metrics = _metrics(snapshots)
    overlaps, why = _overlaps(directories)
    if options.json:
        answer = {
            "runs": [snapshot.directory.resolve().name for snapshot in snapshots],
            "directories": [str(snapshot.directory.resolve()) for snapshot in snapshots],
            "metrics": metrics,
            "masks": overlaps,
            "masks_missing": why,
        }
        print(msgspec.json.encode(clean_tree(answer)).decode())
        return 0
    _print_metrics([snapshot.info.name for snapshot in snapshots], metrics)
    print()
    if overlaps is None:
        print(f"Changed weights cannot be compared: {why}.")
    else:
        _print_overlaps(overlaps)
    return 0


def _metrics(snapshots: list[Snapshot]) -> dict[str, list[dict[str, Any]]]:
    """Step and last value in both runs, of every metric that both have."""
    found = {}
    for name in snapshots[0].columns.names():
        last = [snapshot.columns.last(name) for snapshot in snapshots]
        if all(last):
            found[name] = [{"step": at[0], "value": at[1]} for at in last if at]
    return found


def _overlaps(directories: list[Path]) -> tuple[dict[str, Any] | None, str]:
    """The object under `masks` in `--json`, or None and why there is none."""
    kept: list[Masks] = []
    for directory in directories:
        masks = read_masks(Layout(directory).layers)
        if masks is None:
            return None, f"{directory.resolve().name} kept no masks of them, which a run does at its end"
        kept.append(masks)
    one, two = kept
    if not one.names or (one.names, one.shapes) != (two.names, two.shapes):
        return None, "the two runs trained different modules"
    parts: dict[str, list[Overlap]] = {kind: [] for kind in KINDS}
    for (_, changed1, top1), (_, changed2, top2) in zip(one.modules(), two.modules(), strict=True):
        parts["changed"].append(overlap(changed1, changed2))
        parts["top"].append(overlap(top1, top2))
    return {
        "steps": [one.step, two.step],
        "modules": len(one.names),
        "weights": sum(part.n for part in parts["top"]),
        **{kind: {"pooled": _told(pooled(of)), "within": _told(within(of))} for kind, of in parts.items()},
    }, ""


def _told(found: Overlap) -> dict[str, float | int | None]:
    """The counts and what follows from them; None where a mask is empty and there is no such number."""
    derived = ("o1", "o2", "jaccard", "chance_o1", "margins_o1", "lift", "honest_lift")
    values = {name: getattr(found, name) for name in derived}
    counts: dict[str, float | int | None] = {
        "first": found.first,
        "second": found.second,
        "both": found.both,
        "share1": found.first / found.n,
        "share2": found.second / found.n,
    }
    return counts | {name: value if math.isfinite(value) else None for name, value in values.items()}


def _print_metrics(names: list[str], metrics: dict[str, list[dict[str, Any]]]) -> None:
    if not metrics:
        print(f"{names[0]} and {names[1]} have no metric in common.")
        return
    # cells: [rows, 3]
    cells = [("last value (at step)", *names)]
    for metric, both in metrics.items():
        known = lookup(metric)
        cells.append((metric, *(f"{format_value(known, at['value'])} ({at['step']})" for at in both)))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for name, first, second in cells:
        print(f"{name:<{widths[0]}}  {first:>{widths[1]}}  {second:>{widths[2]}}")


def _print_overlaps(found: dict[str, Any]) -> None:
    one, two = found["steps"]
    print(f"Changed weights at steps {one} and {two}: {found['modules']} modules, {found['weights']:,} weights")
    print(f"{'':<44}" + "".join(f"{title:>22}" for title in KINDS.values()))
    rows = (
        ("share of weights, first run", "within", "share1"),
        ("share of weights, second run", "within", "share2"),
        ("of the first run's, also in the second's", "within", "o1"),
        ("  by chance, all modules alike", "pooled", "chance_o1"),
        ("  by chance, module by module", "within", "chance_o1"),
        ("  with row and column counts kept", "within", "margins_o1"),
        ("of the second run's, also in the first's", "within", "o2"),
        ("Jaccard", "within", "jaccard"),
        ("lift over chance, all modules alike", "pooled", "lift"),
        ("lift over chance, module by module", "within", "lift"),
        ("honest lift, over rows and columns kept", "within", "honest_lift"),
    )
    for title, how, key in rows:
        cells = (found[kind][how][key] for kind in KINDS)
        print(f"{title:<44}" + "".join(f"{'-' if cell is None else f'{cell:.3f}':>22}" for cell in cells))
    print()
    print(textwrap.fill(READING, WIDTH))
