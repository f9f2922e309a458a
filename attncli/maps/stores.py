"""Where whole rows go that are written to disk: arrays that take a block of rows at a time, in any order.

An array is named `<sample>/<address>` and has the axes (head query key) of the rows chosen; what was not written is 0.
A store that exists is gone on with: new samples get the numbers after those that are there.

    .h5, .hdf5    HDF5, chunked and compressed; needs h5py        tokens and heads as JSON in `<name>:about`
    .zarr         Zarr, chunked and compressed; needs zarr        the same in the attribute `about`
    else          a folder of NumPy files, which every reader can map into memory; tokens in `<name>.json` beside them
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from attncli.errors import InputError, WorkError
from attncli.maps.budget import shown
from attncli.maps.summary import Floats

CHUNK = 64
"""Rows of a chunk."""
About = Mapping[str, Any]


class Store(Protocol):
    """What takes rows."""

    path: Path

    def room(self, name: str, shape: tuple[int, int, int], about: About) -> Floats:
        """An array of zeros that is written through. Errors: InputError where the disk has no room for it."""

    def samples(self) -> int:
        """The first number that no sample has yet."""

    def close(self) -> None:
        """Everything is on disk."""


class Folder:
    """A folder of NumPy files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: list[np.memmap[Any, Any]] = []

    def room(self, name: str, shape: tuple[int, int, int], about: About) -> Floats:
        check_space(self.path, shape)
        file = self.path / f"{name}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        made = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=shape)
        file.with_suffix(".json").write_text(_text(about) + "\n", "utf-8")
        self._open.append(made)
        return made

    def samples(self) -> int:
        return _after([entry.name for entry in self.path.iterdir()] if self.path.is_dir() else [])

    def close(self) -> None:
        for array in self._open:
            array.flush()


class Hdf5:
    """One HDF5 file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        h5py = imported("h5py", "hdf5", path)
        try:
            self._file = h5py.File(path, "a")
        except OSError as error:
            raise InputError(f"--rows {path}: this is no HDF5 file: {error}", help="name another file") from None

    def room(self, name: str, shape: tuple[int, int, int], about: About) -> Floats:
        check_space(self.path.parent, shape)
        chunks = (1, min(CHUNK, shape[1]), shape[2])
        made: Floats = self._file.create_dataset(
            name, shape, np.float32, chunks=chunks, compression="gzip", compression_opts=1, shuffle=True, fillvalue=0.0
        )
        self._file[f"{name}:about"] = _text(about)  # an attribute has 64 kB at the most
        return made

    def samples(self) -> int:
        return _after(list(self._file))

    def close(self) -> None:
        self._file.close()


class Zarr:
    """One Zarr group."""

    def __init__(self, path: Path) -> None:
        self.path = path
        zarr = imported("zarr", "zarr", path)
        self._group = zarr.open_group(str(path), mode="a")

    def room(self, name: str, shape: tuple[int, int, int], about: About) -> Floats:
        check_space(self.path.parent, shape)
        chunks = (1, min(CHUNK, shape[1]), shape[2])
        made: Any = self._group.create_array(name, shape=shape, dtype="float32", chunks=chunks, fill_value=0.0)
        made.attrs["about"] = _text(about)
        taken: Floats = made
        return taken

    def samples(self) -> int:
        return _after(list(self._group.group_keys()))

    def close(self) -> None:
        pass


def open_store(path: Path) -> Store:
    """The store that the name of a path asks for. Errors: InputError where its library is not installed, or where
    something else stands there."""
    if path.suffix in (".h5", ".hdf5"):
        return Hdf5(path)
    if path.suffix == ".zarr":
        return Zarr(path)
    if path.exists() and not path.is_dir():
        raise InputError(f"--rows {path}: this is a file", help="name a folder, or a file that ends in .h5 or .zarr")
    return Folder(path)


def imported(module: str, extra: str, path: Path) -> Any:
    """A library that an extra brings. Errors: InputError that names the extra."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError:
        rule = f"{path}: this format needs {module}, which is not installed"
        raise InputError(rule, help=f"pip install 'attncli[{extra}]', or choose another format") from None


def check_space(path: Path, shape: tuple[int, ...]) -> None:
    """Errors: WorkError where the disk has less room than an array of this shape takes."""
    size, place = 4 * int(np.prod(shape)), path.absolute()
    while not place.exists():
        place = place.parent
    if size > (free := shutil.disk_usage(place).free):
        raise WorkError(f"{path}: the rows take {shown(size)}, and {shown(free)} are free",
                        help="choose fewer with --only, --heads, --queries")  # fmt: skip


def _text(about: About) -> str:
    return json.dumps(dict(about), ensure_ascii=True)


def _after(names: list[str]) -> int:
    return max((int(name) + 1 for name in names if name.isdecimal()), default=0)
