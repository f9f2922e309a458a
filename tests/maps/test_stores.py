"""Rows on disk: written block by block, read back as they were, gone on with by the next inspection."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attncli.errors import InputError, WorkError
from attncli.maps.stores import check_space, imported, open_store


def of_folder(path: Path, name: str) -> tuple[Any, str]:
    return np.load(path / f"{name}.npy"), (path / f"{name}.json").read_text("utf-8")


def of_hdf5(path: Path, name: str) -> tuple[Any, str]:
    import h5py

    with h5py.File(path) as file:
        return file[name][:], file[f"{name}:about"][()].decode()


def of_zarr(path: Path, name: str) -> tuple[Any, str]:
    import zarr

    made = zarr.open_group(str(path), mode="r")[name]
    return made[:], made.attrs["about"]


@pytest.mark.parametrize(("file", "module", "read"), [
    ("rows", "numpy", of_folder), ("rows.h5", "h5py", of_hdf5), ("rows.zarr", "zarr", of_zarr),
])  # fmt: skip
def test_blocks_are_read_back_and_samples_are_appended(
    file: str, module: str, read: Callable[[Path, str], tuple[Any, str]], tmp_path: Path
) -> None:
    pytest.importorskip(module, reason=f"the extra that brings {module} is not installed")
    path, rng = tmp_path / file, np.random.default_rng(0)
    whole = rng.random((2, 150, 7), dtype=np.float32)
    whole[:, :70, 5:] = 0  # never written
    for sample in range(2):
        store = open_store(path)
        assert store.samples() == sample
        room = store.room(f"{sample}/decoder.0.attention", whole.shape, {"keys": ["你", "</script>"]})
        for head in range(2):
            for first, last, keys in ((0, 70, 5), (70, 150, 7)):
                room[head, first:last, slice(0, keys)] = whole[head, first:last, :keys] + sample
        store.close()
    for sample in range(2):
        found, about = read(path, f"{sample}/decoder.0.attention")
        expected = whole + sample
        expected[:, :70, 5:] = 0
        np.testing.assert_array_equal(found, expected)
        assert json.loads(about) == {"keys": ["你", "</script>"]}


def test_a_library_that_is_missing_is_named_with_its_extra() -> None:
    with pytest.raises(InputError, match="this format needs no_such_module, which is not installed") as caught:
        imported("no_such_module", "hdf5", Path("rows.h5"))
    assert "pip install 'attncli[hdf5]'" in str(caught.value)


def test_rows_that_the_disk_cannot_hold_are_refused_before_they_are_made(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match=r"the rows take 4e\+03 TB, and .* are free"):
        check_space(tmp_path / "new" / "rows", (1000, 10**6, 10**6))


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows").write_text("mine")
    with pytest.raises(InputError, match="this is a file"):
        open_store(tmp_path / "rows")


def test_a_file_that_is_no_hdf5_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="the extra that brings h5py is not installed")
    (tmp_path / "rows.h5").write_text("mine")
    with pytest.raises(InputError, match="this is no HDF5 file"):
        open_store(tmp_path / "rows.h5")
