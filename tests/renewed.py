"""Expected drawings that are files: compared as they are; `RENEW=1 pytest FILE` writes them anew, for the diff."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).parent / "goldens"


def compare(name: str, found: str) -> None:
    """Fails unless `found` is what tests/goldens/`name` holds; with RENEW=1 it is put there first."""
    path = HERE / name
    if os.environ.get("RENEW") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(found, encoding="utf-8")
    assert path.is_file(), f"no tests/goldens/{name}; RENEW=1 writes it"
    assert path.read_text(encoding="utf-8") == found, f"tests/goldens/{name} differs; RENEW=1 writes it anew"
