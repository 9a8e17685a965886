"""What this rank does, since when, and how long it takes it as a rule.

The training says what it begins; nothing is counted more often than that, so a token costs nothing. Waiting for other
ranks is not said by anybody: the calls that wait are the trainer's, Accelerate's and DeepSpeed's own. So the thread
that gives the sign of life looks where the training thread stands, twice a second, and a frame of torch.distributed
is a rank that waits. What cannot be seen so: waits shorter than that, except by chance; gradients that are reduced
inside the backward pass; and collectives of a GPU that return at once and are waited for by a later copy to the host.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from statistics import median

from ..run.signs import PHASES

KEPT_STEPS = 50
KEPT_SPANS = 32
PAUSED = "paused"
COLLECTIVES = ("torch/distributed/distributed_c10d.py", "torch/nn/parallel/distributed.py")
"""Files in whose functions a rank waits: all collectives that are called from Python, and those of DDP."""


class Clock:
    """The activities of one rank. The training thread tells, the thread of the sign of life looks.

    Args:
        now: seconds since 1970.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._spans: list[tuple[str, float]] = []
        self._history: deque[dict[str, float]] = deque(maxlen=KEPT_STEPS)
        self._counted = now()
        """Up to when the present activity is in `spans` already."""
        self.activity = ""
        self.since = self._counted
        self.waiting = ""

    def begin(self) -> None:
        """The first step begins here; what was done before it, such as loading a model, belongs to no step."""
        with self._lock:
            self._spans, self._counted = [], self._now()

    def doing(self, activity: str) -> float:
        """From now on this rank does that; gives the seconds that it did something else before, 0 if it is the same."""
        with self._lock:
            if activity == self.activity:
                return 0.0
            now = self._now()
            lasted = now - self.since
            self._count(now)
            self.activity, self.since, self.waiting = activity, now, ""
            return lasted

    def waits_in(self, collective: str) -> None:
        """The training thread was seen in a collective, or at work where that is empty."""
        with self._lock:
            if self.activity == PAUSED:
                return
            if bool(collective) != bool(self.waiting):
                self._count(self._now())
            self.waiting = collective

    def step_done(self) -> None:
        """A step ends here: what was done since the last one is its share of each activity."""
        with self._lock:
            self._count(self._now())
            sums: dict[str, float] = defaultdict(float)
            for activity, seconds in self._spans:
                sums[activity] += seconds
            self._history.append(dict(sums))
            self._spans = []

    def told(self) -> tuple[list[tuple[str, float]], dict[str, float], dict[str, float], int]:
        """Of the present step the spans that are over; median and sum by activity over the recent steps; how many."""
        with self._lock:
            spans, history = list(self._spans), list(self._history)
        each: dict[str, list[float]] = defaultdict(list)
        for step in history:
            for activity, seconds in step.items():
                each[activity].append(seconds)
        typical = {activity: median(values) for activity, values in each.items()}
        return spans, typical, {activity: sum(values) for activity, values in each.items()}, len(history)

    def _count(self, now: float) -> None:
        """Add what was done since the last time to the present step. A wall clock that was put back counts nothing."""
        seconds, self._counted = max(0.0, now - self._counted), now
        if self.activity == PAUSED or seconds == 0:
            return
        name = "waiting" if self.waiting else self.activity if self.activity in PHASES else "other"
        # A step of more turns than anybody could tell apart adds the later ones to those of their kind.
        full, last = len(self._spans) >= KEPT_SPANS, len(self._spans) - 1
        same = [at for at, (was, _) in enumerate(self._spans) if was == name and (full or at == last)]
        if same:
            self._spans[same[-1]] = (name, self._spans[same[-1]][1] + seconds)
            return
        self._spans.append((name, seconds))


def where(thread: int) -> tuple[str, str]:
    """The collective in which a thread waits, or nothing, and its innermost function: `name (file.py:12)`.

    Nothing is kept of the frame: its variables may be as large as a model.
    """
    frame = sys._current_frames().get(thread)
    if frame is None:
        return "", ""
    code, line = frame.f_code, frame.f_lineno
    del frame
    collective = code.co_name if code.co_filename.endswith(COLLECTIVES) else ""
    return collective, f"{code.co_name} ({os.path.basename(code.co_filename)}:{line})"


def memory_used(gpu: int | None) -> dict[str, int]:
    """Bytes: resident memory of this process and its peak, and what PyTorch has of GPU `gpu`."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"peak": peak * (1 if sys.platform == "darwin" else 1024)}
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        found["rss"] = pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass
    if gpu is not None:
        import torch

        found["gpu"] = int(torch.cuda.memory_allocated(gpu))
        found["gpu peak"] = int(torch.cuda.max_memory_allocated(gpu))
        found["gpu total"] = int(torch.cuda.get_device_properties(gpu).total_memory)
    return found
