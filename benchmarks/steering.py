"""What looking for commands costs a training step, and how long a command waits at a safe point.

`python -m benchmarks.steering`

The training process looks into the run's inbox after every step. Measured with an empty inbox, as it nearly
always is, on the file system of the temporary folder; then with one command in it, answered and journaled
with fsync.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import torch

from rlpeaks_tui.instrument.controls import Controls
from rlpeaks_tui.instrument.ranks import Ranks
from rlpeaks_tui.instrument.recorder import Recorder
from rlpeaks_tui.instrument.steering import Answer, Steering
from rlpeaks_tui.run.facts import RunInfo, write_facts
from rlpeaks_tui.run.layout import SCHEMA, Layout
from rlpeaks_tui.run.mailbox import send

LOOKS, COMMANDS = 20_000, 200


class Nothing:
    """Answers commands and changes nothing, so that only the way there and back is measured."""

    settings: dict[str, float] = {}  # noqa: RUF012
    cannot: dict[str, str] = {}  # noqa: RUF012

    def apply(self, request: Any, step: int) -> Answer:
        return Answer()

    def settle(self, step: int) -> None: ...


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout(Path(folder) / "run")
        layout.create()
        write_facts(layout, RunInfo(schema=SCHEMA, name="run", created=time.time()))
        recorder = Recorder(layout.root)
        ranks = Ranks(1, 0, torch.device("cpu"))
        controls = Controls(recorder, ranks, cast(Steering, Nothing()), lambda: 1)
        began = time.perf_counter()
        for _ in range(LOOKS):
            controls.poll()
        each = (time.perf_counter() - began) / LOOKS
        print(f"looking into an empty inbox: {each * 1e3:.4f} ms a step ({LOOKS:,} looks)")
        waits = []
        for i in range(COMMANDS):
            send(layout.root, "note", str(i), who="benchmark")
            began = time.perf_counter()
            controls.poll()
            controls.safe_point()
            waits.append(time.perf_counter() - began)
        recorder.close()
        waits.sort()
        print(f"taking, answering and journaling one command: median {statistics.median(waits) * 1e3:.2f} ms, "
              f"95th percentile {waits[int(0.95 * COMMANDS)] * 1e3:.2f} ms")  # fmt: skip


if __name__ == "__main__":
    main()
