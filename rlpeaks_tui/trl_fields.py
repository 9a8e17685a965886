"""Names and plain types of TRL's GRPOConfig, read from the installed source without importing it."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import Struct

_SOURCES = (
    ("transformers", "training_args.py"),
    ("trl", "trainer/base_config.py"),
    ("trl", "trainer/_base_config.py"),
    ("trl", "trainer/grpo_config.py"),
)
_CLASSES = ("TrainingArguments", "_BaseConfig", "BaseConfig", "GRPOConfig")
_CHECKED = {"int", "float", "bool", "str"}


class Field(Struct, frozen=True):
    """One setting: the plain types it takes, or none when the annotation is not plain; whether it may be left open."""

    types: frozenset[str]
    optional: bool = True

    @property
    def kind(self) -> str:
        names = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
        # A number is a whole number too; naming both would be no help.
        shown = self.types - {"int"} if "float" in self.types else self.types
        return " or ".join(names[t] for t in ("int", "float", "bool", "str") if t in shown)

    def takes(self, value: Any) -> bool:
        """Whether `value`, as read from YAML, fits. What is not plain is left to TRL."""
        if not self.types:
            return True
        if value is None:
            return self.optional
        name = type(value).__name__
        return (
            name not in _CHECKED | {"list", "dict"} or name in self.types or (name == "int" and "float" in self.types)
        )


@cache
def grpo_fields() -> dict[str, Field]:
    """All fields by name; empty when TRL is not installed."""
    fields: dict[str, Field] = {}
    for package, relative in _SOURCES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            continue
        path = Path(spec.origin).parent / relative
        if not path.is_file():
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name in _CLASSES:
                fields.update(_fields(node))
    return fields


def _fields(node: ast.ClassDef) -> dict[str, Field]:
    found: dict[str, Field] = {}
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            words = {part.strip() for part in ast.unparse(item.annotation).strip("'\"").split("|")}
            types = words - {"None"}
            found[item.target.id] = Field(types=frozenset(types if types <= _CHECKED else ()), optional="None" in words)
    return found
