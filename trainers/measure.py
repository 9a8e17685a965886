"""Measure a model on the held-out problems, before and after training, always in the same way.

One accuracy says little about a base model for reinforcement learning. What matters is the spread: greedy accuracy
(what it does), pass@32 (what it could do), accuracy by format (what training will choose), stated confidence against
accuracy (whether it knows), and whether completions end by themselves. The counts go with the figures.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rlpeaks_tui.stats.calibration import ece
from rlpeaks_tui.stats.passk import pass_at_k
from trainers.tasks import FORMATS, TASKS, Task, confidence_of, format_of

PROMPTS, SAMPLES, K = 128, 64, 32
COMPLETION = 32
ROWS_AT_ONCE = 1024

Measured = dict[str, Any]


def measure(directory: Path, tasks: tuple[str, ...], seed: int = 0) -> Measured:
    """Measure the model in `directory` on each task; return plain numbers, ready for JSON.

    Per task: greedy accuracy on up to PROMPTS held-out prompts, and from SAMPLES completions of each at temperature 1
    the accuracy, the unbiased pass@K, the share and accuracy of every format, the mean length in tokens (end token
    included), the share that ended within COMPLETION tokens, the mean stated confidence and its calibration error.
    """
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    by_task = {name: _measure_task(model, tokenizer, TASKS[name], seed) for name in tasks}
    return {
        "parameters": model.num_parameters(),
        "sha256": sha256((directory / "model.safetensors").read_bytes()).hexdigest(),
        "samples_per_prompt": SAMPLES,
        "k": K,
        "temperature": 1.0,
        "max_new_tokens": COMPLETION,
        "seed": seed,
        "tasks": by_task,
    }


def complete(
    model: Any, tokenizer: Any, prompts: list[str], samples: int, *, greedy: bool = False, seed: int = 0
) -> tuple[list[str], list[int], list[bool]]:
    """Complete each prompt `samples` times; return texts, lengths in tokens and whether each ended, by prompt."""
    torch.manual_seed(seed)
    texts: list[str] = []
    lengths: list[int] = []
    ended: list[bool] = []
    at_once = max(1, ROWS_AT_ONCE // samples)
    sampling: dict[str, Any] = {"do_sample": False} if greedy else {"do_sample": True, "temperature": 1.0, "top_k": 0}
    for start in range(0, len(prompts), at_once):
        batch = tokenizer(prompts[start : start + at_once], return_tensors="pt", padding=True)
        with torch.inference_mode():
            out = model.generate(**batch, **sampling, num_return_sequences=samples, max_new_tokens=COMPLETION)
        new = out[:, batch["input_ids"].shape[1] :]  # (prompts x samples, new tokens)
        texts += tokenizer.batch_decode(new, skip_special_tokens=True)
        lengths += (new != tokenizer.pad_token_id).sum(1).tolist()
        ended += (new == tokenizer.eos_token_id).any(1).tolist()
    return texts, lengths, ended


def _measure_task(model: Any, tokenizer: Any, task: Task, seed: int) -> Measured:
    problems = task.heldout(PROMPTS)
    prompts = [str(problem.prompt) for problem in problems]
    answers = [problem.answer for problem in problems]
    greedy, _, _ = complete(model, tokenizer, prompts, 1, greedy=True)
    texts, lengths, ended = complete(model, tokenizer, prompts, SAMPLES, seed=seed)

    right = np.array([task.score(t, answers[i // SAMPLES]) for i, t in enumerate(texts)])
    formats = np.array([format_of(text) for text in texts])
    stated = [confidence_of(text) for text in texts]
    says = np.array([c is not None for c in stated])
    confidence = np.array([c for c in stated if c is not None])
    successes = right.reshape(-1, SAMPLES).sum(1).astype(int)  # by prompt
    return {
        "prompts": len(prompts),
        "greedy": float(np.mean([task.score(t, a) for t, a in zip(greedy, answers, strict=True)])),
        "sampled": float(right.mean()),
        "pass_at_k": float(pass_at_k(np.full(len(prompts), SAMPLES), successes, [K]).mean()),
        "formats": {f: _format(right[formats == f], len(texts)) for f in (*FORMATS, "other")},
        "mean_length": float(np.mean(lengths)),
        "max_length": max(lengths),
        "ended": float(np.mean(ended)),
        "stated": float(says.mean()),
        "mean_confidence": float(confidence.mean()) if says.any() else None,
        "ece": ece(confidence, right[says]) if says.any() else None,
    }


def _format(right: np.ndarray, of: int) -> dict[str, float | None]:
    return {"share": len(right) / of, "accuracy": float(right.mean()) if len(right) else None}


def table(measured: Measured) -> str:
    """Lay the figures out as Markdown, one row a task: what the model card shows."""
    n, k = measured["samples_per_prompt"], measured["k"]
    head = [
        *("task", "prompts", "greedy", f"sampled (x{n})", f"pass@{k}"),
        *(f"{f}: share / accuracy" for f in FORMATS),
        *("tokens", "ended", "confidence", "ECE"),
    ]
    rows = [head, ["---"] + ["---:"] * (len(head) - 1)]
    for name, m in measured["tasks"].items():
        shares = [f"{_figure(m['formats'][f]['share'])} / {_figure(m['formats'][f]['accuracy'])}" for f in FORMATS]
        rows.append(
            [
                *(f"`{name}`", str(m["prompts"])),
                *(_figure(m[key]) for key in ("greedy", "sampled", "pass_at_k")),
                *(*shares, f"{m['mean_length']:.1f}"),
                *(_figure(m[key]) for key in ("ended", "mean_confidence", "ece")),
            ]
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def save(measured: Measured, path: Path) -> None:
    """Write the figures as JSON, two spaces in, for people and programs alike."""
    path.write_text(json.dumps(measured, indent=2) + "\n")
