"""A run's metrics as a table: one row a step, one column a metric, empty where there was no value."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ..run.follow import Snapshot
from ..run.layout import replace_file

ENDINGS = (".csv", ".jsonl")


def table(snapshot: Snapshot) -> tuple[list[str], list[list[float | int | None]]]:
    """Column names and rows, in order of steps; the first column is the step.

    Where a run went back to a checkpoint, the later values of a repeated step win.
    """
    names = snapshot.columns.names()
    steps = sorted({int(step) for name in names for step in snapshot.columns[name].steps})
    place = {step: row for row, step in enumerate(steps)}
    rows: list[list[float | int | None]] = [[step, *([None] * len(names))] for step in steps]
    for column, name in enumerate(names, 1):
        series = snapshot.columns[name]
        known = np.isfinite(series.values)
        for step, value in zip(series.steps[known].tolist(), series.values[known].tolist(), strict=True):
            rows[place[step]][column] = value
    return ["step", *names], rows


def write(snapshot: Snapshot, output: str) -> str | None:
    """Write the table to `output` (`-`: standard output, as CSV); gives what is wrong with the request, or None."""
    ending = ".csv" if output == "-" else Path(output).suffix
    if ending not in ENDINGS:
        return f"{output}: the ending decides the format; it can be {' or '.join(ENDINGS)}"
    names, rows = table(snapshot)
    text = _csv(names, rows) if ending == ".csv" else _jsonl(names, rows)
    if output == "-":
        sys.stdout.write(text)
        return None
    try:
        replace_file(Path(output), text.encode())
    except OSError as error:
        return f"{output} cannot be written: {error.strerror}"
    print(f"{output}: {len(rows)} steps x {len(names) - 1} metrics")
    return None


def _csv(names: list[str], rows: list[list[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    # repr of a float is the shortest text that reads back as the same number
    writer.writerows([["" if value is None else repr(value) for value in row] for row in rows])
    return out.getvalue()


def _jsonl(names: list[str], rows: list[list[Any]]) -> str:
    lines = [msgspec.json.encode({n: v for n, v in zip(names, row, strict=True) if v is not None}) for row in rows]
    return "".join(line.decode() + "\n" for line in lines)
