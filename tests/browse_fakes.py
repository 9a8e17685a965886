"""Generations to browse, and texts that would do harm if they could."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from textual.pilot import Pilot

from rlpeaks_tui.cockpit import walk
from rlpeaks_tui.cockpit.browse import finder
from rlpeaks_tui.cockpit.browse.finder import Found
from rlpeaks_tui.cockpit.cells import Cells
from rlpeaks_tui.cockpit.screens.browser import Browser
from rlpeaks_tui.run.rollouts import Block, RolloutReader, Rollouts, RolloutWriter, TokenBlock
from rlpeaks_tui.run.search import Hit, Wanted
from tests.cockpit_pilot import app_of, until, until_seen
from tests.run_fakes import NASTY

HOSTILE = [
    *NASTY,
    "[bold red]markup[/] [link=file:///etc/passwd]here[/link]",
    "مرحبا بالعالم שלום",
    "漢字" * 300,
    "e\u0301" * 400 + "\u0301" * 200,
    "👩‍👩‍👧‍👦🇩🇪👍🏽",
    "a\n\n\nb\tc",
    "",
    "x" * (1 << 20),
    "word " * (1 << 17),
]


def block(step: int, texts: list[str], **more: Any) -> Block:
    """One generation with groups of four."""
    n = len(texts)
    reward = [float(i % 4 == 0) for i in range(n)]
    known: dict[str, Any] = {
        "prompts": [f"{step}+{g}=" for g in range(-(-n // 4))],
        "group": [i // 4 for i in range(n)],
        "rewards": {"correct": list(reward), "brevity": [i / 8 for i in range(n)]},
        "reward": list(reward),
        "advantage": [r - 0.25 for r in reward],
        "length": [len(text) % 1000 for text in texts],
        "truncated": [i % 5 == 4 for i in range(n)],
        "task": ["add" if step % 2 else "sort"] * n,
        "format": [("column", "direct")[i % 2] for i in range(n)],
        "confidence": [i / n for i in range(n)],
        "correct": list(reward),
        **more,
    }
    return Block(step=step, phase="easy", completions=texts, **known)


def traced(index: int, pieces: list[str], seed: int = 0, **more: bytes) -> TokenBlock:
    rng = np.random.default_rng(seed)

    def floats(values: Any) -> bytes:
        return np.asarray(values, "<f4").tobytes()

    n = len(pieces)
    known = {
        "logp": floats(-rng.exponential(1, n)),
        "base_logp": floats(-rng.exponential(1, n)),
        "entropy": floats(rng.random(n)),
        "js": floats(rng.random(n)),
    }
    return TokenBlock(index=index, pieces=pieces, **{**known, **more})


def read(folder: Path, *blocks: Block) -> list[Rollouts]:
    """Blocks as they come back from the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = RolloutWriter(folder)
    for each in blocks:
        writer.append(each)
    reader = RolloutReader(folder)
    reader.refresh()
    found = [reader.read(number) for number in range(len(reader.index))]
    assert all(found)
    return [each for each in found if each is not None]


def words_of(cells: Cells) -> str:
    return "\n".join(cells.rows())


def found_of(rollouts: Rollouts, number: int = 0) -> Found:
    hits = [
        Hit(rollouts.step, number, i, int(rollouts.group[i]), "", rollouts.completions[i], float(rollouts.reward[i]),
            float(rollouts.advantage[i]), rollouts.task[i], rollouts.format[i] or "", int(rollouts.length[i]),
            bool(rollouts.truncated[i]), float(rollouts.correct[i]), float(rollouts.confidence[i]))
        for i in range(len(rollouts.completions))
    ]  # fmt: skip
    return Found(Wanted(), tuple(finder.row_of(hit, None) for hit in hits), done=True, generations=1)


async def browse(pilot: Pilot[int], line: str = "") -> Any:
    app = app_of(pilot)
    walk.read(app, line)
    await until(pilot, lambda: isinstance(app.screen, Browser), "open")
    await until_seen(pilot, "found in|more exist")
    return app
