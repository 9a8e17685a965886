"""A rank that hangs: `python tests/hanging.py RUN RANK` gives a sign of life as the instruments do, and then none."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import torch

from rlpeaks_tui.instrument.clock import Clock
from rlpeaks_tui.instrument.life import Life
from rlpeaks_tui.instrument.ranks import Ranks


def waits_for_godot() -> None:
    """Tries every way to split the letters, and holds Python's lock all the while."""
    re.match(r"(a+)+$", "a" * 80 + "b")


def main(run: Path, rank: int) -> None:
    clock = Clock()
    clock.doing("scoring")
    Life(run, Ranks(rank + 1, rank, torch.device("cpu")), clock).sign(4)
    waits_for_godot()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
