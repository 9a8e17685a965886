"""Masks of changed weights: what was written comes back; a damaged or hostile file is None and never an exception."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rlpeaks_tui.instrument.recorder import Recorder
from rlpeaks_tui.run import masks as module
from rlpeaks_tui.run.layers import layer_steps
from rlpeaks_tui.run.layout import Layout
from rlpeaks_tui.run.masks import Masks, pack, read_masks, write_masks
from tests.run_fakes import NASTY, is_safe, new_run

SHAPES = ((3, 5), (7,), (), (2, 3, 4), (1, 1))


def some(seed: int = 0) -> list[tuple[str, np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [(f"m{i}", rng.random(shape) < 0.5, rng.random(shape) < 0.1) for i, shape in enumerate(SHAPES)]


def some_arrays() -> list[tuple[str, np.ndarray, np.ndarray]]:
    return [(name, np.asarray(one), np.asarray(two)) for name, one, two in some()]


def check(found: Masks | None, expected: list[tuple[str, np.ndarray, np.ndarray]]) -> None:
    assert found is not None
    for (name, changed, top), (name0, changed0, top0) in zip(found.modules(), expected, strict=True):
        assert name == name0 and changed.dtype == top.dtype == np.bool_
        np.testing.assert_array_equal(changed, changed0, strict=True)
        np.testing.assert_array_equal(top, top0, strict=True)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert read_masks(tmp_path) is None
    size = write_masks(tmp_path, pack(12, iter(some_arrays())))
    assert size == (tmp_path / "masks.npz").stat().st_size
    found = read_masks(tmp_path)
    check(found, some_arrays())
    assert found is not None and found.step == 12 and found.shapes == SHAPES
    assert layer_steps(tmp_path).tolist() == []


def test_a_mask_takes_an_eighth_of_a_byte_a_weight(tmp_path: Path) -> None:
    masks = np.zeros((1000, 800), bool)
    assert write_masks(tmp_path, pack(1, iter([("w", masks, masks)]))) < 2 * masks.size / 8 + 2000


@given(st.lists(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=0, max_dims=4, max_side=5)), max_size=5))
def test_any_shapes_come_back(tmp_path_factory: pytest.TempPathFactory, arrays: list[np.ndarray]) -> None:
    folder = tmp_path_factory.mktemp("masks")
    expected = [(f"m{i}", np.asarray(array), ~np.asarray(array)) for i, array in enumerate(arrays)]
    write_masks(folder, pack(0, iter(expected)))
    check(read_masks(folder), expected)


def test_the_recorder_keeps_them_and_tries_again_when_the_disk_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = new_run(tmp_path / "run")
    recorder = Recorder(layout.root)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("rlpeaks_tui.instrument.recorder.write_masks", full)
        recorder.masks(pack(3, iter(some_arrays())))
    assert read_masks(layout.layers) is None
    recorder.close()
    check(read_masks(layout.layers), some_arrays())
    Recorder(None).masks(pack(3, iter(some_arrays())))


def test_masks_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="w: masks of shapes"):
        pack(0, iter([("w", np.zeros(3, bool), np.zeros(4, bool))]))
    with pytest.raises(ValueError, match="w: masks of shapes"):
        pack(0, iter([("w", np.zeros((0, 4), bool), np.zeros((0, 4), bool))]))


def plant(folder: Path, **arrays: Any) -> Masks | None:
    good = {
        "step": np.int64(1),
        "names": np.array(["a", "b"]),
        "shapes": np.array([[3, 3], [9, 0]]),
        "changed": np.zeros(4, np.uint8),
        "top": np.zeros(4, np.uint8),
    }
    np.savez(folder / "masks.npz", **{name: value for name, value in {**good, **arrays}.items() if value is not None})
    return read_masks(folder)


@pytest.mark.parametrize(
    "arrays",
    [
        {"step": None},
        {"step": np.array([1])},
        {"step": np.float64(1)},
        {"names": np.array(["a"])},
        {"names": np.array("ab")},
        {"names": np.zeros(2)},
        {"shapes": np.array([[3, 3], [17, 0]])},
        {"shapes": np.array([[3, -3], [9, 0]])},
        {"shapes": np.array([[2**40, 2**40], [9, 0]])},
        {"shapes": np.array([3, 9])},
        {"shapes": np.array([[3.0, 3.0], [9.0, 0.0]])},
        {"changed": np.zeros(3, np.uint8)},
        {"top": np.zeros(5, np.uint8)},
        {"top": np.zeros(4, np.int64)},
        {"top": np.zeros((4, 1), np.uint8)},
        {"top": np.array([[], {}, None], dtype=object)},
    ],
    ids=str,
)
def test_arrays_of_another_shape_or_kind_are_none(tmp_path: Path, arrays: dict[str, Any]) -> None:
    assert plant(tmp_path) is not None
    assert plant(tmp_path, **arrays) is None


def test_a_file_cut_or_changed_anywhere_is_none_or_has_the_right_sizes(tmp_path: Path) -> None:
    write_masks(tmp_path, pack(12, iter(some_arrays())))
    path = tmp_path / "masks.npz"
    good = path.read_bytes()
    for size in range(0, len(good), 11):
        path.write_bytes(good[:size])
        assert read_masks(tmp_path) is None
    for at in range(0, len(good), 7):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x81]) + good[at + 1 :])
        found = read_masks(tmp_path)
        if found is not None:
            assert all(one.shape == two.shape for _, one, two in found.modules())


def test_nothing_in_a_file_is_ever_executed(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "executed",))

    assert plant(tmp_path, names=np.array([Hostile(), Hostile()], dtype=object)) is None
    (tmp_path / "masks.npz").write_bytes(pickle.dumps(Hostile()))
    assert read_masks(tmp_path) is None
    assert not (tmp_path / "executed").exists()


def test_a_file_that_unpacks_to_more_than_any_masks_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BIGGEST_FILE", 1 << 20)
    with zipfile.ZipFile(tmp_path / "masks.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("names.npy", b"\0" * (1 << 21))
    assert read_masks(tmp_path) is None


def test_what_is_no_file_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "masks.npz")
    assert read_masks(tmp_path) is None
    (tmp_path / "masks.npz").unlink()
    (tmp_path / "masks.npz").mkdir()
    assert read_masks(tmp_path) is None
    assert read_masks(Layout(tmp_path / "nowhere").layers) is None


def test_module_names_cannot_steer_a_terminal(tmp_path: Path) -> None:
    names = tuple(name for name in NASTY if "\ud800" not in name and not name.endswith("\0"))
    mask = np.zeros(3, bool)
    write_masks(tmp_path, pack(1, iter([(name, mask, mask) for name in names])))
    found = read_masks(tmp_path)
    assert found is not None and len(found.names) == len(names)
    assert all(is_safe(name) and "\n" not in name for name in found.names)
