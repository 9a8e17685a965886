"""Group relative policy optimization of a causal language model with TRL, from a run directory.

Started as `accelerate launch -m trainers.grpo RUN_DIRECTORY`: everything it does is in the run's run.json.
It says what it is doing from its first line on, because importing and loading take seconds in which nothing
else moves.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

from rlpeaks_tui.instrument.recorder import Recorder

REFUSED = 2
"""Exit status of a run whose settings cannot be used; the reason is the run's last state."""


def main(directory: Path) -> int:
    recorder = Recorder(directory if int(os.environ.get("RANK", "0")) == 0 else None)
    recorder.state("starting", "importing PyTorch, Transformers and TRL")
    # Importing makes a million objects that stay: searching them for garbage takes a tenth of the start, and again
    # with every full collection.
    gc.disable()
    try:
        from trainers.grpo_training import Refused, train
    except BaseException as error:
        recorder.state("failed", why=f"{type(error).__name__}: {error}")
        recorder.close()
        raise
    gc.freeze()
    gc.enable()
    try:
        train(directory, recorder)
    except Refused as refusal:
        recorder.state("failed", why=str(refusal), refused=True)
        print(f"rlpeaks: {refusal}", file=sys.stderr)
        return REFUSED
    except BaseException as error:
        recorder.state("failed", why=f"{type(error).__name__}: {error}")
        raise
    finally:
        recorder.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
