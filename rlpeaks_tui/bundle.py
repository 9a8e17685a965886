"""Where the trainers, sample run files and the tiny model lie: beside the package in a checkout, inside it
in a wheel."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def root() -> Path:
    """The folder that holds `trainers/` and `sample_configs/`."""
    inside = _PACKAGE / "_bundled"
    return inside if inside.is_dir() else _PACKAGE.parent


def samples() -> dict[str, Path]:
    """The sample run files, by the name that `rlpeaks run` takes."""
    return {path.stem: path for path in sorted((root() / "sample_configs").glob("*.yaml"))}


def model_folder(name: str) -> Path | None:
    """The folder of a bundled model, or None when there is none of this name."""
    folder = root() / "trainers" / name
    return folder if os.path.isfile(folder / "config.json") else None
