"""The run file: what to train, on what, and how closely to watch it.

A run file is checked once, here, before anything is started: an error names the file, the line, the key and
what would be valid.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec

from . import bundle, yaml_lines
from .config_checks import Refuse, check, check_surroundings
from .phases import Phase, RewardLevel, Until
from .yaml_lines import as_written, nearest


class ConfigError(Exception):
    """A run file or a setting that cannot be used; the message is one line for a person."""


class Accelerate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How `accelerate launch` starts the training process."""

    num_processes: int = 1
    cpu: bool | None = None
    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    config_file: str | None = None
    threads: int | None = None
    """Computing threads of each process; None leaves the choice to PyTorch."""


PROBES = (
    *("kl", "kl_exact", "sparsity", "calibration", "gradients", "after", "rank", "features", "health"),
    *("eval", "routing"),
)


class Probes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much may be spent on measuring, and how often at the most."""

    budget: float = 0.02
    """Share of training time that measuring may take: 0 measures nothing, 1 sets no limit."""
    kl: int = 1
    """Steps between measurements of KL to the starting weights on the rollouts."""
    kl_exact: int = 25
    """Steps between exact KL measurements over the full vocabulary."""
    kl_exact_rollouts: int = 32
    sparsity: int = 25
    gradients: int = 50
    """Steps between splits of the gradient by the sign of the advantage."""
    after: int = 10
    """Steps between measurements of what an update did to right and to wrong completions."""
    rank: int = 100
    features: int = 100
    health: int = 5
    """Steps between looks of the health rules."""
    eval: int = 100
    """Steps between evaluations on held-out prompts, those of the trainer's eval_dataset."""
    routing: int = 200
    """Steps between measurements of how few of the policy's tokens its base needs to do as well."""
    heldout_prompts: int = 48
    """Held-out prompts at most; 0 evaluates nothing."""
    heldout_samples: int = 8
    """Completions of each held-out prompt at an evaluation."""
    calibration: int = 5
    calibration_window: int = 512
    """Rollouts that a calibration figure looks back over, at least: it takes whole generations."""
    starting_weights: bool = True
    """Keep a copy of the starting weights; without it nothing can be compared with them."""
    token_rollouts: int = 4
    """Completions of each generation that are kept token by token."""
    rollouts_mb: int = 2000
    """Megabytes (of a million bytes) that kept completions may take on disk; 0 sets no bound."""

    def every(self) -> dict[str, int]:
        """Steps between two runs of each probe, at the least."""
        return {name: getattr(self, name) for name in PROBES}

    def rollout_bytes(self) -> int | None:
        """What the kept completions may take on disk; None is no bound."""
        return self.rollouts_mb * 1_000_000 or None


class Checkpoints(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Checkpoints that can be gone back to while the training runs."""

    every: int = 0
    """Steps between checkpoints that are written automatically; 0 writes none."""
    limit_gb: float = 20.0
    """Gigabytes that all checkpoints of the run may take; 0 sets no limit."""


class RunFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run file as typed structures."""

    model: str
    name: str = ""
    trainer: Literal["grpo"] = "grpo"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    seed: int = 0
    phases: list[Phase] = []
    rewards: dict[str, float] = msgspec.field(default_factory=lambda: {"correct": 1.0})
    """Weight of each reward function."""
    grpo: dict[str, Any] = {}
    accelerate: Accelerate = Accelerate()
    probes: Probes = Probes()
    checkpoints: Checkpoints = Checkpoints()


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody's own training script, run unchanged, and how closely to watch what it trains."""

    script: str
    args: list[str] = []
    name: str = ""
    accelerate: Accelerate = Accelerate()
    probes: Probes = Probes()
    checkpoints: Checkpoints = Checkpoints()


def load_script(target: str, args: list[str], settings: list[str]) -> Script:
    """A Python script with its arguments; `--set` takes what stands under `accelerate` and `probes`.

    Raises:
        ConfigError: it is not there, is not Python, or a setting cannot be used.
    """
    path = Path(target)
    try:
        compile(path.read_bytes(), str(path), "exec")
    except FileNotFoundError:
        raise ConfigError(f"{target}: there is no such script") from None
    except OSError as error:
        raise ConfigError(f"{target}: cannot be read: {error.strerror}") from None
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise ConfigError(f"{target}{f':{line}' if line else ''}: not valid Python: {error}") from None
    tree: dict[str, Any] = {"script": str(path.resolve()), "args": args}
    lines: dict[str, int] = {}
    for setting in settings:
        _set(tree, lines, setting)
    script = _convert(tree, lines, path, Script)
    check_surroundings(script, _refusing(lines, path))
    return script


BIGGEST_FILE = 1 << 20


def load(target: str, settings: list[str]) -> tuple[RunFile, Path]:
    """The run file that `target` names (a sample or a path) with `key=value` settings put over it.

    Raises:
        ConfigError: it cannot be used, with a line that says what would be right.
    """
    path = bundle.samples().get(target) or Path(target)
    try:
        with path.open("rb") as file:
            text = file.read(BIGGEST_FILE + 1).decode()
    except FileNotFoundError:
        known = ", ".join(bundle.samples())
        close = nearest(target, list(bundle.samples()))
        raise ConfigError(f"{target}: there is no such run file or sample{close}; samples are: {known}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a run file: it is no UTF-8 text") from None
    if len(text) > BIGGEST_FILE:
        raise ConfigError(f"{path}: not a run file: larger than {BIGGEST_FILE >> 20} MB")
    tree, lines = _parse(text, path)
    for setting in settings:
        _set(tree, lines, setting)
    run_file = _convert(tree, lines, path, RunFile)
    check(run_file, _refusing(lines, path))
    return run_file, path


def _parse(text: str, path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The YAML as plain values, and the line of each key by its dotted path."""
    try:
        tree, lines = yaml_lines.read(text)
    except yaml_lines.Unreadable as error:
        where = f"{path}:{error.line}" if error.line else str(path)
        raise ConfigError(f"{where}: not valid YAML for a run file: {error}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: a run file is a list of `key: value` lines, beginning with `model:`")
    return tree, lines


def _set(tree: dict[str, Any], lines: dict[str, int], setting: str) -> None:
    """Put `key=value` into the tree; sections that are not there are made."""
    key, equals, text = setting.partition("=")
    key = key.strip()
    parts = key.split(".")
    if not equals or not all(parts):
        raise ConfigError(f"--set {setting}: write it as key=value, for example --set grpo.max_steps=12")
    try:
        value, _ = yaml_lines.read(text)
    except yaml_lines.Unreadable:
        value = text
    at: Any = tree
    for i, part in enumerate(parts):
        here, last = ".".join(parts[:i]), i == len(parts) - 1
        place: Any = part
        if isinstance(at, list):
            place = int(part) if re.fullmatch("[0-9]{1,6}", part) else len(at)
            if place >= len(at):
                raise ConfigError(f"--set {setting}: {here} has {len(at)} entries, counted from 0; {part!r} is none")
        elif not isinstance(at, dict):
            raise ConfigError(f"--set {setting}: {here} is not a section")
        elif not last and at.get(part) is None:
            at[part] = {}
            lines.setdefault(".".join(parts[: i + 1]), 0)
        if last:
            at[place] = value
        at = at[place]
    for known in [known for known in lines if known.startswith(f"{key}.")]:
        del lines[known]
    lines[key] = 0


def _where(path: Path, lines: dict[str, int], key: str) -> str:
    while key and key not in lines:
        key = key.rpartition(".")[0]
    line = lines.get(key)
    return "--set" if line == 0 else f"{path}:{line}" if line else str(path)


Checked = TypeVar("Checked", "RunFile", "Script")


def _convert(tree: dict[str, Any], lines: dict[str, int], path: Path, kind: type[Checked]) -> Checked:
    try:
        return msgspec.convert(tree, kind, strict=True)
    except msgspec.ValidationError as error:
        message, _, at = str(error).partition(" - at `$")
        key = re.sub(r"\[(\d+|\.\.\.)\]", r".\1", at.rstrip("`").lstrip(".")).lstrip(".")
        unknown = re.search(r"unknown field `(.+?)`", message)
        if unknown:
            name = unknown.group(1)
            dotted = f"{key}.{name}" if key else name
            valid = [field.encode_name for field in msgspec.structs.fields(_section(key, kind))]
            where = _where(path, lines, dotted)
            listed = "" if nearest(name, valid) else f"; valid here: {', '.join(valid)}"
            raise ConfigError(f"{where}: unknown key {dotted!r}{nearest(name, valid)}{listed}") from None
        missing = re.search(r"missing required field `(.+?)`", message)
        if missing:
            name = f"{key}.{missing.group(1)}" if key else missing.group(1)
            raise ConfigError(
                f"{_where(path, lines, key)}: {name!r} is missing: add `{missing.group(1)}: ...`"
            ) from None
        raise ConfigError(_mistyped(message, key, tree, lines, path, kind)) from None


def _mistyped(message: str, key: str, tree: Any, lines: dict[str, int], path: Path, kind: Any) -> str:
    """A line about the value at `key`, whose type msgspec's `message` refuses."""
    value: Any = tree
    for part in key.split(".") if key else []:
        if part.isdecimal():
            value = value[int(part)]
        elif part and isinstance(value, dict) and part in value:
            value = value[part]
    if key.endswith("....") and isinstance(value, dict):
        # msgspec does not say which value of a section it is; in a run file those are all numbers.
        name, value = next((n, v) for n, v in value.items() if type(v) not in (int, float))
        key = key.removesuffix("...") + name
    expected = re.search(r"Expected `(.+?)`", message)
    words = [_WORDS.get(word, word) for word in expected.group(1).split(" | ")] if expected else []
    section, _, leaf = key.rpartition(".")
    declared = {field.encode_name: field.type for field in msgspec.structs.fields(_section(section, kind))}.get(leaf)
    choices = [str(choice) for choice in get_args(declared)] if get_origin(declared) is Literal else []
    wanted = f"one of {', '.join(choices)}" if choices else " or ".join(words)
    return f"{_where(path, lines, key)}: {key}: " + (
        f"expected {wanted}, got {as_written(value)}" if wanted else message
    )


_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a section of `key: value` lines",
    "null": "nothing",
}


def _section(key: str, top: Any) -> Any:
    """The structure whose fields stand under `key` of a `top`."""
    match key.split("."):
        case ["phases", _, "until", "reward", *_]:
            return RewardLevel
        case ["phases", _, "until", *_]:
            return Until
        case ["phases", *_]:
            return Phase
        case ["accelerate", *_]:
            return Accelerate
        case ["probes", *_]:
            return Probes
        case ["checkpoints", *_]:
            return Checkpoints
    return top


def _refusing(lines: dict[str, int], path: Path) -> Refuse:
    def refuse(key: str, why: str) -> None:
        raise ConfigError(f"{_where(path, lines, key)}: {key}: {why}")

    return refuse
