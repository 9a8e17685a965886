"""What a million completions cost to keep, and how long it takes to find some of them again.

`python -m benchmarks.rollouts [--completions N]`

The completions are made up: blocks of 32 in groups of eight, sums and short reasoning in words whose frequencies fall
as they do in English. Every search is complete, to the oldest generation, and starts with a reader just opened. The
files are in the system's cache, as just after writing; the last line is what a search would cost without an index.
"""

from __future__ import annotations

import argparse
import math
import queue
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from rlpeaks_tui.cockpit.browse.finder import Finder, Found
from rlpeaks_tui.cockpit.browse.query import parse
from rlpeaks_tui.run.rollouts import Block, RolloutReader, RolloutWriter
from rlpeaks_tui.run.search import search

GROUP, BLOCK = 8, 32
TASKS = ("addition", "multiplication", "sorting", "dates")
RARE = "pomegranate"


def vocabulary(rng: np.random.Generator, size: int = 5000) -> list[str]:
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    weights = np.arange(26, 0, -1) / np.arange(1, 27).sum()
    return ["".join(rng.choice(letters, n, p=weights)) for n in rng.integers(2, 9, size)]


def blocks(count: int, n: int, words: int, rng: np.random.Generator) -> Iterator[Block]:
    """`count` generations of n completions with about `words` words each."""
    known = vocabulary(rng)
    rank = 1 / np.arange(1, len(known) + 1)
    pool = rng.choice(len(known), 1 << 20, p=rank / rank.sum()).tolist()
    rare_text, rare_task = count // 5, range(count // 3, count // 3 + max(1, count // 1000))
    for step in range(1, count + 1):
        a, b = rng.integers(10, 100, (2, n // GROUP)).tolist()
        start = rng.integers(0, len(pool) - words, n).tolist()
        right = (rng.random(n) < 0.2 + 0.6 * step / count).astype(float).tolist()
        # A format bonus that one generation in a thousand earns.
        bonus = 0.5 if step % 1000 == 500 else 0.0
        texts = [" ".join([known[w] for w in pool[s : s + words]]) + f" = {s % 199}" for s in start]
        if step == rare_text:
            texts[3] = f"{texts[3]} {RARE}"
        logp = rng.normal(-9, 2, (4, n)).round(4).tolist()
        task = "riddles" if step in rare_task else TASKS[step // 10 % len(TASKS)]
        yield Block(
            step=step,
            phase="warm up" if step < count // 2 else "full",
            prompts=[f"{x}+{y}=" for x, y in zip(a, b, strict=True)],
            group=[i // GROUP for i in range(n)],
            completions=texts,
            rewards={"correct": list(right), "format": [bonus] * n},
            reward=[r + bonus for r in right],
            advantage=[r - 0.5 for r in right],
            length=[words + 3] * n,
            truncated=[False] * n,
            task=[task] * n,
            correct=list(right),
            logp=logp[0],
            base_logp=logp[1],
            entropy=logp[2],
            k3=logp[3],
        )


def seconds(call: Callable[[], str]) -> tuple[float, str]:
    began = time.perf_counter()
    found = call()
    return time.perf_counter() - began, found


def opened(folder: Path) -> RolloutReader:
    reader = RolloutReader(folder)
    reader.refresh()
    return reader


def write(folder: Path, made: Iterator[Block]) -> tuple[list[float], int]:
    """Seconds that each block took to append, and bytes on disk in the end."""
    writer, took = RolloutWriter(folder), []
    for block in made:
        began = time.perf_counter()
        writer.append(block)
        took.append(time.perf_counter() - began)
    return took, sum(path.stat().st_size for path in folder.iterdir())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--completions", type=int, default=1_000_000)
    count = max(1, parser.parse_args().completions // BLOCK)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        long, short = Path(name, "long"), Path(name, "short")
        long.mkdir()
        took, size = write(long, blocks(40, 64, 400, rng))
        each = f"{size / 40 / 64:.0f} bytes a completion"
        print(f"append 64 completions of 2,000 characters: median {np.median(took) * 1e3:.2f} ms, {each}")
        short.mkdir()
        took, size = write(short, blocks(count, BLOCK, 8, rng))
        print(f"append 32 short completions: median {np.median(took) * 1e3:.2f} ms, {count:,} blocks")
        by = {kind: sum(p.stat().st_size for p in short.glob(f"*.{kind}")) for kind in ("pack", "filter", "bin")}
        parts = ", ".join(f"{kind} {bytes_ / count / BLOCK:.1f}" for kind, bytes_ in by.items())
        print(f"on disk: {size / 1e6:.1f} MB, {size / count / BLOCK:.1f} bytes a completion ({parts})")

        def find(**wanted: object) -> Callable[[], str]:
            def call() -> str:
                work = search(opened(short), limit=10**9, **wanted)  # type: ignore[arg-type]
                hits = sum(1 for _ in work)
                return f"{hits:,} hits, {work.blocks_read:,} blocks read"

            return call

        def first_rows(line: str, whole: bool) -> Callable[[], str]:
            def call() -> str:
                answers: queue.SimpleQueue[object] = queue.SimpleQueue()
                finder = Finder(short, answers.put)
                finder.start()
                finder.ask(parse(line))
                found = answers.get()
                while isinstance(found, Found) and not (found.done or (found.rows and not whole)):
                    found = answers.get()
                finder.let_go()
                finder.join()
                assert isinstance(found, Found)
                return f"{len(found.rows):,} rows, {found.blocks:,} blocks read"

            return call

        def everything() -> str:
            reader = opened(short)
            read = sum(reader.read(number) is not None for number in range(len(reader.index)))
            return f"{read:,} blocks read"

        looks: dict[str, Callable[[], str]] = {
            "open": lambda: f"{len(opened(short).index):,} generations",
            "one step": lambda: f"step {getattr(opened(short).at(count // 2), 'step', None)}",
            "a rare task": find(task="riddles"),
            "a reward range": find(reward=(1.2, math.inf)),
            "a rare text": find(text=RARE),
            "a rare regex": find(regex=r"\bpome\w+te\b"),
            "a text that is not there": find(text="quarantine zone"),
            "browser, first rows": first_rows("", whole=False),
            "browser, its whole list": first_rows("", whole=True),
            "browser, a rare text": first_rows(RARE, whole=True),
            "browser, wrong and sure": first_rows("correct:no length:>9 task:dates", whole=True),
            "everything, read": everything,
        }
        for what, look in looks.items():
            spent, found = seconds(look)
            print(f"{what:26} {spent:9.4f} s   {found}")


if __name__ == "__main__":
    main()
