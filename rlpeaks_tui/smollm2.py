"""Where the prepared SmolLM2 lies on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder that `make smollm2` fills: $RLPEAKS_CACHE or ~/.cache/rlpeaks."""
    base = os.environ.get("RLPEAKS_CACHE") or str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "rlpeaks")
    return Path(base).expanduser() / "smollm2-135m-instruct"


def cached() -> Path | None:
    """The prepared model, or None before `make smollm2`."""
    folder = cache_folder()
    return folder if (folder / "config.json").is_file() and (folder / "model.safetensors").is_file() else None
