"""The cockpit as it is, except that it tells when it has handled a key and when its bytes have left it.

`python -m benchmarks.traced DIRECTORY DESCRIPTOR`, for `benchmarks.cockpit`: the descriptor takes lines such as
`handled 123.4`, the moment on the clock that all processes share, and `left 123.5 40123`, by when so many bytes
had left in all. From outside, neither can be told on a slow link.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from textual.drivers.linux_driver import LinuxDriver

from rlpeaks_tui.cockpit.app import Cockpit
from rlpeaks_tui.cockpit.link import asking

OUT = int(sys.argv[2])


def tell(what: str) -> None:
    os.write(OUT, f"{what}\n".encode())


class Told:
    """A file that tells how much has left after each flush."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._sent = 0

    def write(self, text: str) -> None:
        self._file.write(text)
        self._sent += len(text.encode())

    def flush(self) -> None:
        self._file.flush()
        tell(f"left {time.monotonic()} {self._sent}")

    def fileno(self) -> int:
        return int(self._file.fileno())


class TracedDriver(asking(LinuxDriver)):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._file = Told(self._file)  # type: ignore[assignment]


class Traced(Cockpit):
    def action_command(self, name: str) -> None:
        super().action_command(name)
        tell(f"handled {time.monotonic()}")


if __name__ == "__main__":
    cockpit = Traced(Path(sys.argv[1]), readonly=True)
    cockpit.driver_class = TracedDriver
    cockpit.run()
