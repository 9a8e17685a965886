"""This rank's sign of life, `ranks/<rank>.json`, as the thread that gives it writes it.

That thread also looks where the training thread stands. Whatever goes wrong here is counted and goes no further.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

from ..run.layout import PRIVATE, Layout
from ..run.signs import RankSign, process_born, write_sign
from . import stacks
from .clock import Clock, memory_used, where
from .ranks import Ranks


class Life:
    """Made by the training thread, which is the one that is looked at.

    Args:
        directory: of the run. On a machine that does not have it there are no signs of this rank.
        ranks: of the training.
        clock: of this rank.
    """

    def __init__(self, directory: Path, ranks: Ranks, clock: Clock) -> None:
        self._layout = Layout(directory)
        self._ranks = ranks
        self._clock = clock
        self._training = threading.get_ident()
        self._born = process_born(os.getpid())
        self.missed = 0
        """Signs that could not be written. A later one says all that they would have said."""
        self._stacks = False
        if directory.is_dir():
            self._stacks = stacks.write_on_signal(self._layout, ranks.mine)

    def sign(self, step: int) -> None:
        """Look where the training thread is, and say so."""
        try:
            collective, place = where(self._training)
            self._clock.waits_in(collective)
            self._write(step, place)
            stacks.bound()
        except Exception:
            self.missed += 1

    def end(self, step: int) -> None:
        """This rank is done: its last sign."""
        try:
            stacks.stop()
            self._stacks = False
            self._write(step, "")
        except Exception:
            self.missed += 1

    def _write(self, step: int, place: str) -> None:
        spans, typical, total, steps = self._clock.told()
        sign = RankSign(
            t=time.time(),
            rank=self._ranks.mine,
            world=self._ranks.world,
            pid=os.getpid(),
            host=socket.gethostname(),
            born=self._born,
            step=step,
            activity=self._clock.activity,
            since=self._clock.since,
            waiting=self._clock.waiting,
            place=place,
            spans=spans,
            typical=typical,
            total=total,
            steps=steps,
            stacks=self._stacks,
            memory=memory_used(self._ranks.gpu),
            missed=self.missed,
        )
        self._layout.ranks.mkdir(mode=PRIVATE, exist_ok=True)
        write_sign(self._layout, sign)
