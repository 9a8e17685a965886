"""The cockpit: a run on screen, live or past.

Nothing heavy is imported until somebody watches, so that commands without a screen stay quick.
"""

from __future__ import annotations

from pathlib import Path


def watch(directory: Path, *, readonly: bool = False, ascii_only: bool = False, theme: str | None = None) -> int:
    """Show the run at `directory` until the person leaves; gives the exit status."""
    from .app import watch as show

    return show(directory, readonly=readonly, ascii_only=ascii_only, theme=theme)
