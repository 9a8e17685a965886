"""Which weights a run changed, as bits: what two runs need to be compared without their checkpoints.

One file for the last state of the run, `layers/masks.npz`, because only whole runs are compared: n / 8 bytes for each
of the two masks. Not compressed, since bits of this kind hardly shrink and training waits for the writing.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from .layout import open_regular, replace_file
from .text import clean_line

FILE = "masks.npz"
BIGGEST_FILE = 4 << 30

Mask = NDArray[np.bool_]
Bytes = NDArray[np.uint8]


class Masks(Struct, frozen=True):
    """Two masks of each of m modules, as bits.

    Attributes:
        step: of the weights.
        names: the modules.
        shapes: of each module.
        changed: the weight differs from its starting value once both are rounded to bfloat16; the bits of all modules
            in turn, row-major, first bit highest, each module beginning with a new byte.
        top: among the tenth of the module that moved the farthest; laid out alike.
    """

    step: int
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    changed: Bytes
    top: Bytes

    def modules(self) -> Iterator[tuple[str, Mask, Mask]]:
        """Name, changed and top of each module, the masks in its shape; one module in memory at a time."""
        start = 0
        for name, shape in zip(self.names, self.shapes, strict=True):
            end = start + _bytes(shape)
            yield name, _unpack(self.changed[start:end], shape), _unpack(self.top[start:end], shape)
            start = end


def pack(step: int, modules: Iterator[tuple[str, Mask, Mask]]) -> Masks:
    """Masks from name, changed and top of each module, taken one at a time.

    Raises:
        ValueError: the two masks of a module differ in shape, or a module is empty.
    """
    names, shapes, changed, top = [], [], [], []
    for name, one, two in modules:
        if one.shape != two.shape or not one.size:
            raise ValueError(f"{name}: masks of shapes {one.shape} and {two.shape}")
        names.append(name)
        shapes.append(tuple(one.shape))
        changed.append(np.packbits(one.reshape(-1)))
        top.append(np.packbits(two.reshape(-1)))
    none = [np.zeros(0, np.uint8)]
    return Masks(step, tuple(names), tuple(shapes), np.concatenate(changed or none), np.concatenate(top or none))


def write_masks(folder: Path, masks: Masks) -> int:
    """Put the masks at `folder`/masks.npz, whole; gives the bytes written. Raises OSError when the disk refuses."""
    data = io.BytesIO()
    # [m, most dimensions]; no module has a dimension of 0, so 0 fills what a shape leaves free
    table = np.zeros((len(masks.shapes), max(map(len, masks.shapes), default=0)), np.int64)
    for row, shape in zip(table, masks.shapes, strict=True):
        row[: len(shape)] = shape
    np.savez(
        data,
        step=np.int64(masks.step),
        names=np.array(masks.names, dtype=np.str_),
        shapes=table,
        changed=masks.changed,
        top=masks.top,
    )
    replace_file(folder / FILE, data.getbuffer())
    return data.tell()


def read_masks(folder: Path) -> Masks | None:
    """The masks of a run, or None when there are none or the file is damaged."""
    try:
        with open_regular(folder / FILE) as file:
            # The sizes that the archive states are those it is unpacked to at the most.
            if sum(member.file_size for member in zipfile.ZipFile(file).infolist()) > BIGGEST_FILE:
                return None
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                step, told, table = archive["step"], archive["names"], archive["shapes"]
                changed, top = archive["changed"], archive["top"]
    except Exception:
        # A damaged archive fails in as many ways as zipfile, zlib and numpy's header parser have.
        return None
    if step.shape != () or step.dtype.kind != "i" or told.dtype.kind != "U" or told.ndim != 1:
        return None
    if table.dtype.kind != "i" or table.ndim != 2 or len(table) != len(told) or (table < 0).any():
        return None
    if any(array.dtype != np.uint8 or array.ndim != 1 for array in (changed, top)):
        return None
    shapes = tuple(tuple(size for size in row if size) for row in table.tolist())
    if not len(changed) == len(top) == sum(map(_bytes, shapes)):
        return None
    return Masks(int(step), tuple(clean_line(str(name)) for name in told), shapes, changed, top)


def _bytes(shape: tuple[int, ...]) -> int:
    return -(-math.prod(shape) // 8)


def _unpack(packed: Bytes, shape: tuple[int, ...]) -> Mask:
    mask: Mask = np.unpackbits(packed, count=math.prod(shape)).view(np.bool_).reshape(shape)
    return mask
