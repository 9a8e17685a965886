"""The cockpit: a run on screen, live or past.

Nothing heavy is imported until somebody watches, so that commands without a screen stay quick.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path


def watch(directory: Path, *, readonly: bool = False, ascii_only: bool = False, theme: str | None = None) -> int:
    """Show the run at `directory` until the person leaves; gives the exit status."""
    # What importing makes stays: searching it for garbage takes a tenth of the start, and stalls a key now and then.
    gc.disable()
    # A key is painted with the next of Textual's frames; it makes one only where there is something to paint.
    os.environ.setdefault("TEXTUAL_FPS", "120")
    from .start import watch as show

    gc.freeze()
    gc.enable()
    return show(directory, readonly=readonly, ascii_only=ascii_only, theme=theme)
