"""Spec files: opened, decoded, and laid over those that they extend."""

from pathlib import Path

from attncli.errors import SpecError
from attncli.spec.merge import Covered, merge
from attncli.spec.nodes import Mapping, Node, Scalar, Sequence, Source
from attncli.spec.reader import lines_of, read_mapping
from attncli.spec.report import Found, Stop
from attncli.spec.shapes import unions
from attncli.spec.words import edits, nearest, ours


class Files:
    """Reads one spec and all that it extends. The faults of every file gather in one list."""

    def __init__(self, faults: list[Found], covered: Covered) -> None:
        self.faults = faults
        self.covered = covered
        self.count = 0

    def text(self, text: str, name: str) -> Mapping:
        """The spec in `text`, which messages call `name`; relative paths start at the working folder."""
        return self._whole(text, name, Path.cwd(), ())

    def file(self, path: Path, chain: tuple[Path, ...] = ()) -> Mapping:
        """The spec in a file. Raises SpecError where it cannot be opened or decoded."""
        return self._whole(_decoded(path), str(path), path.absolute().parent, (*chain, path.resolve()))

    def _whole(self, text: str, name: str, folder: Path, chain: tuple[Path, ...]) -> Mapping:
        source = Source(name, lines_of(text), folder, rank=self.count)
        self.count += 1
        root = _kinds_spelt(read_mapping(text, source, self.faults), "", self.faults)
        assert isinstance(root, Mapping)
        found: Node | None = None
        for parent in _parents(root, self.faults):
            found = merge(found, self._base(parent, folder, chain), "", self.covered)
        whole = merge(found, root.without("extends"), "", self.covered)
        assert isinstance(whole, Mapping)
        return whole

    def _base(self, parent: Scalar, folder: Path, chain: tuple[Path, ...]) -> Mapping:
        """The spec that is extended. Raises Stop where it cannot be read, since little can be said without it."""
        path = folder / str(parent.value)
        if path.resolve() in chain:
            names = " -> ".join(file.name for file in (*chain[chain.index(path.resolve()) :], path))
            raise Stop(Found(parent.place, f"extends: the files extend each other, {names}", "break the circle"))
        try:
            return self.file(_short(path), chain)
        except SpecError as error:
            says, _, help = str(error).partition("\nhelp: ")
            raise Stop(Found(parent.place, f"extends: {says}", help)) from None


def _kinds_spelt(node: Node, key: str, faults: list[Found]) -> Node:
    """The value with misspelt `kind` keys reported and put right, so that the keys beside them are not blamed."""
    if isinstance(node, Sequence):
        return Sequence(node.place, tuple(_kinds_spelt(item, "", faults) for item in node.items))
    if not isinstance(node, Mapping):
        return node
    items = {name: _kinds_spelt(item, name, faults) for name, item in node.items.items()}
    words = unions().get(key, frozenset()) if "kind" not in items else frozenset()
    for name, item in node.items.items():
        near = edits(name, "kind") == 1 or ours(name, ["kind"])
        if near and isinstance(item, Scalar) and item.value in words:
            help = "did you mean 'kind'?" if edits(name, "kind") == 1 else "here it is called 'kind'"
            faults.append(Found(node.keys[name], f"{key}: there is no key '{name}' here", help))
            items["kind"] = items.pop(name)
            break
    return Mapping(node.place, items, node.keys)


def _parents(root: Mapping, faults: list[Found]) -> list[Scalar]:
    """The files named by `extends`, farthest first."""
    written = root.get("extends")
    found = written.items if isinstance(written, Sequence) else () if written is None else (written,)
    good = [node for node in found if isinstance(node, Scalar) and isinstance(node.value, str)]
    if written is not None and (len(good) < len(found) or not found):
        faults.append(Found(written.place, "extends: expected a file or a list of files", "write `extends: base.yaml`"))
    return good


def _short(path: Path) -> Path:
    """The path as it is said from the working folder, where that is shorter."""
    whole = path.resolve()
    return whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole


def _decoded(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        beside = {file.stem: file for file in path.parent.glob("*.y*ml")}
        near = nearest(path.stem, beside)
        help = f"did you mean '{beside[near]}'?" if near else "`attncli init DATA_FILE` writes a spec to start from"
        raise SpecError(f"{path}: there is no such file", help=help) from None
    except IsADirectoryError:
        raise SpecError(f"{path}: this is a folder", help="name the spec file in it") from None
    except (OSError, ValueError) as error:  # ValueError: a path that holds a null character
        says = getattr(error, "strerror", None) or error
        raise SpecError(f"{path}: {says}", help="a spec is a file that can be read") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SpecError(f"{path}:{line}: this line is not UTF-8", help="save the file as UTF-8") from None
