"""Per-module arrays of the update probes: one small file a probe, found by the step in its name.

Files rather than journal lines, because a model has hundreds of modules and a viewer wants one step's worth
at a time. The format is numpy's own archive, which is read without executing anything it contains.
"""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
from msgspec import Struct
from msgspec.structs import fields
from numpy.typing import NDArray

from .layout import open_regular, replace_file
from .text import clean_line

BIGGEST_FILE = 64 << 20


class Layers(Struct, frozen=True):
    """Update sparsity of m modules at one step; fractions are of unchanged parameters."""

    step: int
    names: tuple[str, ...]
    n: NDArray[np.int64]
    exact: NDArray[np.float64]
    bf16: NDArray[np.float64]
    relative: NDArray[np.float64]
    null: NDArray[np.float64]
    delta_norm: NDArray[np.float64]
    weight_norm: NDArray[np.float64]


_ARRAYS = [field.name for field in fields(Layers) if field.name not in ("step", "names")]


def write_layers(folder: Path, layers: Layers) -> int:
    """Write one probe; gives the bytes written. Raises OSError when the disk refuses."""
    data = io.BytesIO()
    arrays = {name: getattr(layers, name) for name in _ARRAYS}
    np.savez_compressed(data, names=np.array(layers.names, dtype=np.str_), **arrays)
    replace_file(folder / f"{layers.step:09d}.npz", data.getvalue())
    return data.tell()


def layer_steps(folder: Path) -> NDArray[np.int64]:
    """Steps that have a probe, ascending."""
    try:
        stems = [name.removesuffix(".npz") for name in os.listdir(folder) if name.endswith(".npz")]
    except OSError:
        stems = []
    # Up to 18 digits: what fits an int64.
    return np.array(sorted(int(stem) for stem in stems if stem.isdecimal() and len(stem) <= 18), dtype=np.int64)


def read_layers(folder: Path, step: int) -> Layers | None:
    """The probe of `step`, or None when it is missing or damaged."""
    path = folder / f"{step:09d}.npz"
    try:
        with open_regular(path) as file:
            # The sizes that the archive states are those it is unpacked to at the most.
            if sum(member.file_size for member in zipfile.ZipFile(file).infolist()) > BIGGEST_FILE:
                return None
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                told = archive["names"]
                if told.dtype.kind != "U" or told.ndim != 1:
                    return None
                names = tuple(clean_line(str(name)) for name in told)
                n = archive["n"].astype(np.int64, casting="same_kind")
                rest = [name for name in _ARRAYS if name != "n"]
                values = {name: archive[name].astype(np.float64, casting="same_kind") for name in rest}
    except Exception:
        # A damaged archive fails in as many ways as zipfile, zlib and numpy's header parser have.
        return None
    if any(array.shape != (len(names),) for array in (n, *values.values())):
        return None
    return Layers(step=step, names=names, n=n, **values)
