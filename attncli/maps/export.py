"""Write maps into a folder: the formats asked for, and manifest.json with the certificate and every file's checksum.

A folder is never written over by surprise. One that already holds files to be written is refused; with `force`, the
files of an earlier export are replaced, as its manifest lists them, and those that somebody changed since stay and
are named. Maps whose certificate fails are written all the same, since somebody has to look at them, but every file
that can says so, and `certify` then raises: the caller's exit code is 3.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from attncli.errors import CheckError, InputError
from attncli.maps.formats import describe, to_csv, to_json, to_npz, to_parquet, to_safetensors, to_text
from attncli.maps.record import Maps

Format = Literal["html", "json", "csv", "npz", "safetensors", "parquet", "png", "svg"]
FORMATS: tuple[Format, ...] = get_args(Format)
MANIFEST = "manifest.json"
STEM = "attention"

_DATA: dict[str, Callable[[Maps], bytes]] = {
    "json": to_json,
    "csv": to_csv,
    "parquet": to_parquet,
    "npz": to_npz,
    "safetensors": to_safetensors,
}


def names(maps: Maps, formats: Sequence[Format]) -> list[str]:
    """The files that an export writes, manifest last."""
    found = [f"{STEM}.{kind}" for kind in formats if kind not in ("png", "svg")]
    found += [f"{stem}.{kind}" for kind in formats if kind in ("png", "svg") for stem in _stems(maps)]
    return [*found, MANIFEST]


def export(
    maps: Maps, folder: Path, formats: Sequence[Format], *, force: bool = False, page: dict[str, Any] | None = None,
    beside: Mapping[str, bytes] = MappingProxyType({}),
) -> list[Path]:  # fmt: skip
    """Write every format; the paths in the order of `names`. `page` goes to attncli.maps.page.assemble: its `budget` of
    bytes, roles that are `found` already, the maps of another run to show `beside` these. `beside` are files that
    belong to these maps, by name: they come and go with them.

    Errors: InputError where the folder holds files that are not this function's to replace.
    """
    check_folder(folder, force=force)
    folder.mkdir(parents=True, exist_ok=True)
    earlier = _ours(folder)
    wanted = [*beside, *names(maps, formats)]
    if foreign := [name for name in wanted if (folder / name).exists() and name not in earlier]:
        raise InputError(
            f"{folder / foreign[0]}: this file exists, and no unchanged export of attncli wrote it",
            help="choose another folder, or move the file away",
        )
    for name in earlier:
        (folder / name).unlink()
    entries: list[dict[str, Any]] = []
    try:
        for name, content in chain(beside.items(), _contents(maps, formats, page or {})):
            _write(folder / name, content)
            entries.append({"name": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()})
        manifest = json.loads(to_text(describe(maps) | {"files": entries}))
        _write(folder / MANIFEST, (json.dumps(manifest, ensure_ascii=True, indent=1) + "\n").encode())
    except BaseException:  # a full disk, or Ctrl-C: without a manifest these would be files of nobody
        for entry in entries:
            (folder / entry["name"]).unlink(missing_ok=True)
        raise
    return [folder / name for name in wanted]


def certify(maps: Maps) -> None:
    """Raise CheckError where a check of the maps failed, with every fault."""
    if faults := maps.faults():
        shown = "\n".join(f"  {fault}" for fault in faults[:8])
        more = f"\n  and {len(faults) - 8} more" if len(faults) > 8 else ""
        raise CheckError(
            f"the maps are not certified: they are not what the kernel computed\n{shown}{more}",
            help="do not trust them; --device cpu tells whether it is this device's kernel; please report it",
        )


def check_folder(folder: Path, *, force: bool) -> None:
    """Raise InputError where an export may not go into this folder; cheap, so that it can be asked before the work."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: this is a file; maps are written into a folder", help="name another folder")
    if not force and folder.is_dir() and any((folder / name).exists() for name in (MANIFEST, *_data_names())):
        raise InputError(
            f"{folder}: there are maps in this folder already",
            help="add --force to replace them, or name another folder",
        )


def _data_names() -> Iterator[str]:
    return (f"{STEM}.{kind}" for kind in FORMATS if kind not in ("png", "svg"))


def _contents(maps: Maps, formats: Sequence[Format], page: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    for kind in formats:
        match kind:
            case "html":
                from attncli.maps.page import assemble

                yield f"{STEM}.html", assemble(maps, **page).encode()
            case "png" | "svg":
                from attncli.maps.pictures import draw

                for stem, (_, sample, attention) in zip(_stems(maps), maps.items(), strict=True):
                    yield f"{stem}.{kind}", draw(attention, sample, kind)
            case _:
                yield f"{STEM}.{kind}", _DATA[kind](maps)


def _stems(maps: Maps) -> list[str]:
    """A file name for each map that every file system takes, unique in the collection."""
    found: list[str] = []
    for name, _, _ in maps.items():
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
        found.append(stem if stem not in found else f"{stem}-{len(found)}")
    return found


def _ours(folder: Path) -> list[str]:
    """Files of an earlier export that nobody has changed since, by its manifest, which comes last."""
    try:
        manifest: Any = json.loads((folder / MANIFEST).read_text("utf-8"))
        entries = [(str(entry["name"]), str(entry["sha256"])) for entry in manifest["files"]]
        written_here = str(manifest["format"]).startswith("attncli maps ")
    except (OSError, ValueError, KeyError, TypeError):
        return []
    if not written_here:
        return []
    found = [name for name, digest in entries if _is_plain(name) and _digest(folder / name) == digest]
    return [*found, MANIFEST]


def _is_plain(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9._-]+", name) is not None and name not in (".", "..", MANIFEST)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else ""


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: a reader never sees half a file."""
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
