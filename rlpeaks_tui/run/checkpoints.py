"""Checkpoints of a run on disk: which are whole, how large they are, and which may go when room is short.

A checkpoint is written into a folder beside its place and renamed when everything is in it, its manifest
last. So a folder without a manifest that agrees with its files was never finished, whatever it is called,
and is neither offered nor loaded.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import msgspec

from .entries import Step, Whole, clean_decode
from .layout import Layout, open_regular
from .requests import NAME

MANIFEST = "rlpeaks.json"
UNFINISHED = ".unfinished-"
BIGGEST_MANIFEST = 1 << 20

Origin = Literal["hand", "auto", "undo", "stop"]
"""Who asked for a checkpoint: a person, the setting `checkpoints.every`, a command that can be undone, or the end."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a checkpoint beside its files.

    `files` has the size of every file in bytes. `micro_step` counts forward passes as the trainer does; `reference` is
    true when the reference's weights are in it, because they are no longer those of the start.
    """

    name: str
    step: Step
    created: float
    origin: Origin
    branch: str
    world_size: Whole
    micro_step: Whole
    files: dict[str, Whole]
    settings: dict[str, float]
    curriculum: dict[str, Any] = {}
    reference: bool = False

    @property
    def bytes(self) -> int:
        return sum(self.files.values())


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a whole checkpoint; None when the folder is none, or was never finished."""
    try:
        with open_regular(folder / MANIFEST) as file:
            raw = file.read(BIGGEST_MANIFEST + 1)
        manifest: Manifest = clean_decode(raw, Manifest)
        whole = manifest.name == folder.name and all(
            Path(name).name == name and (folder / name).stat().st_size == size for name, size in manifest.files.items()
        )
    except (OSError, ValueError, RecursionError):
        return None
    return manifest if whole else None


def whole_checkpoints(layout: Layout) -> dict[str, Manifest]:
    """Every whole checkpoint of the run by name, oldest first."""
    try:
        folders = [path for path in layout.checkpoints.iterdir() if NAME.fullmatch(path.name) and path.is_dir()]
    except OSError:
        return {}
    found = [manifest for path in folders if (manifest := read_manifest(path)) is not None]
    return {manifest.name: manifest for manifest in sorted(found, key=lambda manifest: manifest.created)}


def sweep(layout: Layout) -> None:
    """Remove what a killed process left unfinished."""
    for path in layout.checkpoints.glob(f"{UNFINISHED}*"):
        shutil.rmtree(path, ignore_errors=True)


def make_room(layout: Layout, coming: int, limit: int, needed: Collection[str]) -> list[str] | None:
    """Delete checkpoints until `coming` more bytes stay within `limit`; gives the names that went.

    Only those that nobody asked for by name may go, the oldest first: written automatically, or for an undo that is no
    longer possible. Gives None, and deletes nothing, where that is not enough.

    Args:
        coming: bytes about to be written.
        limit: bytes that all checkpoints may take.
        needed: names that must stay: an undo or a branch still needs them.
    """
    whole = whole_checkpoints(layout)
    taken = sum(manifest.bytes for manifest in whole.values())
    going: list[str] = []
    for name, manifest in whole.items():
        if taken + coming <= limit:
            break
        if manifest.origin in ("auto", "undo") and name not in needed:
            going.append(name)
            taken -= manifest.bytes
    if taken + coming > limit:
        return None
    for name in going:
        # Out of sight first, so that nobody is offered half of it.
        aside = layout.checkpoints / f"{UNFINISHED}{name}"
        (layout.checkpoints / name).rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
    return going
