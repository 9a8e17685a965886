"""Per-module arrays: what was written comes back; a damaged or hostile archive is None and never an exception."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlpeaks_tui.run import layers
from rlpeaks_tui.run.layers import Layers, layer_steps, read_layers, write_layers
from tests.run_fakes import NASTY, is_safe

FRACTIONS = ("exact", "bf16", "relative", "null", "delta_norm", "weight_norm")


def probe(step: int, names: tuple[str, ...] = ("layers.0.q", "layers.0.k", "head")) -> Layers:
    random = np.random.default_rng(step)
    columns: dict[str, Any] = {name: random.random(len(names)) for name in FRACTIONS}
    return Layers(step=step, names=names, n=random.integers(1, 1 << 40, len(names)), **columns)


def check(found: Layers | None, expected: Layers) -> None:
    assert found is not None
    assert (found.step, found.names) == (expected.step, expected.names)
    for name in ("n", *FRACTIONS):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def plant(folder: Path, **arrays: Any) -> Layers | None:
    expected = probe(1)
    good = {"names": np.array(expected.names), **{name: getattr(expected, name) for name in ("n", *FRACTIONS)}}
    kept = {name: value for name, value in {**good, **arrays}.items() if value is not None}
    np.savez_compressed(folder / "000000001.npz", **kept)
    return read_layers(folder, 1)


def test_what_was_written_is_read_and_listed_in_order(tmp_path: Path) -> None:
    for step in (30, 5, 1_000_000, 0):
        assert write_layers(tmp_path, probe(step)) == (tmp_path / f"{step:09d}.npz").stat().st_size
    assert layer_steps(tmp_path).tolist() == [0, 5, 30, 1_000_000]
    for step in (0, 5, 30, 1_000_000):
        check(read_layers(tmp_path, step), probe(step))
    assert read_layers(tmp_path, 6) is None


def test_names_that_are_no_step_are_not_listed(tmp_path: Path) -> None:
    write_layers(tmp_path, probe(7))
    for name in ("x.npz", "9" * 40 + ".npz", "-3.npz", ".000000008.npz.12.tmp", "7.txt", "1e3.npz"):
        (tmp_path / name).touch()
    assert layer_steps(tmp_path).tolist() == [7]
    assert layer_steps(tmp_path / "nowhere").tolist() == []


def test_any_flipped_byte_gives_the_numbers_or_none(tmp_path: Path) -> None:
    write_layers(tmp_path, probe(1))
    path = tmp_path / "000000001.npz"
    good = path.read_bytes()
    damaged = 0
    for at in range(0, len(good), 5):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x81]) + good[at + 1 :])
        found = read_layers(tmp_path, 1)
        damaged += found is None
        if found is not None:
            check(found, probe(1))
    assert damaged > len(good) // 5 // 2


def test_a_file_cut_anywhere_is_none(tmp_path: Path) -> None:
    write_layers(tmp_path, probe(1))
    path = tmp_path / "000000001.npz"
    good = path.read_bytes()
    for size in range(0, len(good), 7):
        path.write_bytes(good[:size])
        assert read_layers(tmp_path, 1) is None


@pytest.mark.parametrize(
    "arrays",
    [
        {"n": None},
        {"exact": np.zeros(2)},
        {"exact": np.zeros((3, 1))},
        {"names": np.array("one")},
        {"names": np.zeros((3, 2))},
        {"n": np.array([0.5, 1.0, 2.0])},
        {"n": np.array(["a", "b", "c"])},
        {"bf16": np.array([1j, 2j, 3j])},
        {"bf16": np.array([[], {}, None], dtype=object)},
        {"bf16": np.zeros(3, [("a", "<i4")])},
    ],
    ids=str,
)
def test_arrays_of_another_shape_or_kind_are_none(tmp_path: Path, arrays: dict[str, Any]) -> None:
    assert plant(tmp_path) is not None
    assert plant(tmp_path, **arrays) is None


def test_nothing_in_an_archive_is_ever_executed(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "executed",))

    np.savez(tmp_path / "000000001.npz", names=np.array([Hostile()], dtype=object))
    assert read_layers(tmp_path, 1) is None
    (tmp_path / "000000001.npz").write_bytes(pickle.dumps(Hostile()))
    assert read_layers(tmp_path, 1) is None
    assert not (tmp_path / "executed").exists()


def header(shape: str) -> bytes:
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "member",
    [
        header("(99999999999999,)"),
        header("(-1,)"),
        header("'x'"),
        header("(" * 500),
        header("__import__('os')"),
        b"",
        b"\x93NUMPY",
    ],
)
def test_headers_that_lie_are_none(tmp_path: Path, member: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "000000001.npz", "w") as archive:
        for name in ("names", "n", *FRACTIONS):
            archive.writestr(f"{name}.npy", member)
    assert read_layers(tmp_path, 1) is None


def test_an_archive_that_unpacks_to_more_than_any_probe_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "BIGGEST_FILE", 1 << 20)
    assert plant(tmp_path, names=np.array(["x" * (1 << 20)] * 3)) is None
    assert (tmp_path / "000000001.npz").stat().st_size < 1 << 20


def test_what_is_no_file_or_no_archive_is_none(tmp_path: Path) -> None:
    path = tmp_path / "000000001.npz"
    np.save(io.BytesIO(), np.zeros(1))
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    assert read_layers(tmp_path, 1) is None
    path.unlink()
    os.mkfifo(path)
    assert read_layers(tmp_path, 1) is None
    path.unlink()
    path.mkdir()
    assert read_layers(tmp_path, 1) is None


def test_module_names_cannot_steer_a_terminal(tmp_path: Path) -> None:
    names = tuple(name for name in NASTY if "\ud800" not in name and not name.endswith("\0"))
    write_layers(tmp_path, probe(1, names))
    found = read_layers(tmp_path, 1)
    assert found is not None and len(found.names) == len(names)
    assert all(is_safe(name) and "\n" not in name for name in found.names)
