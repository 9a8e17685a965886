"""A run's metrics as a table: one row a step, one column a metric, empty where there was no value.

Beside it goes what each column is, since a table outlives the memory of how its numbers were made.
"""

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
from ..stats.catalog import lookup

ENDINGS = (".csv", ".jsonl")
DICTIONARY = ".columns.csv"


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


def dictionary(names: list[str]) -> list[list[str]]:
    """What each column is: its name, title, unit, formula, estimator and source, after a row with these heads.

    A metric that the catalog does not know, as a reward function of one's own may log it, has its name only.
    """
    rows = [["column", "title", "unit", "formula", "estimator", "source"]]
    for name in names:
        if metric := lookup(name):
            rows.append([name, metric.title, metric.unit, metric.formula, metric.estimator, metric.source])
        elif name == "step":
            rows.append([name, "Step", "count", "optimizer steps since the start", "exact", "rlpeaks"])
        else:
            rows.append([name, "", "", "", "", ""])
    return rows


def write(snapshot: Snapshot, output: str) -> str | None:
    """Write the table to `output` and what its columns are beside it; gives what is wrong with the request, or None.

    `-` is standard output, which gets the table as CSV and nothing else.
    """
    ending = ".csv" if output == "-" else Path(output).suffix
    if ending not in ENDINGS:
        return f"{output}: the ending decides the format; it can be {' or '.join(ENDINGS)}"
    names, rows = table(snapshot)
    text = _csv(names, rows) if ending == ".csv" else _jsonl(names, rows)
    if output == "-":
        sys.stdout.write(text)
        return None
    columns = Path(output).with_suffix(DICTIONARY)
    try:
        replace_file(Path(output), text.encode())
    except OSError as error:
        return f"{output} cannot be written: {error.strerror}"
    try:
        replace_file(columns, _written(dictionary(names)).encode())
    except OSError as error:
        return f"{output} is written, but {columns}, what its columns are, cannot be: {error.strerror}"
    print(f"{output}: {len(rows)} steps x {len(names) - 1} metrics; {columns}: what each column is")
    return None


def _csv(names: list[str], rows: list[list[Any]]) -> str:
    # repr of a float is the shortest text that reads back as the same number
    return _written([names, *(["" if value is None else repr(value) for value in row] for row in rows)])


def _written(rows: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _jsonl(names: list[str], rows: list[list[Any]]) -> str:
    lines = [msgspec.json.encode({n: v for n, v in zip(names, row, strict=True) if v is not None}) for row in rows]
    return "".join(line.decode() + "\n" for line in lines)
