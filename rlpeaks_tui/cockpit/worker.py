"""A thread that reads for a screen, so that a slow file system never delays a key.

It works when it is asked to and delivers what it has; whoever shows that asks again. It holds nothing that would have
to be waited for, so that a screen lets go of it and goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Worker(threading.Thread, Generic[Answer]):
    """`deliver` is called in this thread with each answer, or with what ended it. Subclasses say how it serves: they
    wait for `_asked` and end soon once `_stopped`.
    """

    def __init__(self, name: str, deliver: Callable[[Answer | Exception], None]) -> None:
        super().__init__(daemon=True, name=f"rlpeaks-{name}")
        self._deliver = deliver
        self._asked = threading.Event()
        self._stopped = False

    def let_go(self) -> None:
        """End soon; what it still works out is for nobody."""
        self._stopped = True
        self._asked.set()

    def run(self) -> None:
        try:
            self._serve()
        except Exception as error:
            if not self._stopped:
                self._deliver(error)

    def _serve(self) -> None:
        raise NotImplementedError
