"""Programs of two processes that share a gloo group, as `torchrun` starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def start(script: str, *args: object) -> subprocess.Popen[str]:
    """Start `script` of this folder as two ranks."""
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
         str(HERE / script), *map(str, args)],
        env={**os.environ, "PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for the end of both ranks, which must be a good one."""
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors[-3000:]
