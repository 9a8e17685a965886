"""`rlpeaks doctor`: what this machine can do, and what is missing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .. import bundle, smollm2
from ..terminal import only_ascii

VIEWER = ("textual", "rich", "numpy", "msgspec")
TRAINING = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")
EXTRAS = {"math-verify": "math_verify", "reasoning-gym": "reasoning_gym"}


def examine(runs: Path) -> int:
    """Print one line a finding; gives 0 when runs can be watched, 1 when not."""
    print(f"python        {sys.version.split()[0]} ({sys.executable})")
    watching = _packages("watching", VIEWER, "pip install rlpeaks")
    _packages("training", TRAINING, "pip install 'rlpeaks[train]'")
    found = [name for name, module in EXTRAS.items() if importlib.util.find_spec(module)]
    print(f"tasks         {', '.join(found) if found else 'bundled arithmetic only'}")
    print(f"models        tiny_arith: {'bundled' if bundle.model_folder('tiny_arith') else 'missing'}; ", end="")
    print(f"smollm2: {smollm2.cached() or 'not prepared (make smollm2)'}")
    nvidia = shutil.which("nvidia-smi")
    print(f"machine       {os.cpu_count()} processors; {'NVIDIA driver found' if nvidia else 'no NVIDIA driver found'}")
    spy = shutil.which("py-spy")
    print(
        f"stacks        {'py-spy found' if spy else 'written by the run itself on a signal; py-spy is not installed'}"
    )
    term = os.environ.get("TERM", "unknown")
    colours = (
        "no colour (NO_COLOR)" if os.environ.get("NO_COLOR") else os.environ.get("COLORTERM") or "256 or fewer colours"
    )
    signs = ", ASCII signs only (by its locale or encoding)" if only_ascii() else ""
    print(f"terminal      {term}, {colours}, encoding {sys.stdout.encoding}{signs}")
    if watching:
        print(f"settings      {_settings()}")
    place = runs if runs.exists() else runs.parent
    writable = os.access(place if place.exists() else Path(), os.W_OK)
    print(f"runs          {runs} ({'can be written' if writable else 'CANNOT be written'})")
    return 0 if watching else 1


def _settings() -> str:
    from ..cockpit import settings

    place = settings.place()
    if not place.exists():
        return f"{place} (not there: the defaults are in force)"
    chosen, mistakes = settings.read(place)
    changed = ", ".join(f"{name} {told}" for name, told in settings.told(chosen).items())
    if mistakes:
        under = "\n" + 14 * " "
        return f"{under.join(mistakes)}; the defaults are in force"
    return f"{place} ({changed or 'all as by default'})"


def _packages(purpose: str, names: tuple[str, ...], remedy: str) -> bool:
    found, missing = [], []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    lacking = f"; missing: {', '.join(missing)} ({remedy})" if missing else ""
    print(f"{purpose:<13} {', '.join(found) or 'nothing installed'}{lacking}")
    return not missing
