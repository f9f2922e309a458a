"""The laws of the source tree, read from its syntax trees: who may import whom, and what may never be called."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "attncli"
FILES = sorted(PACKAGE.rglob("*.py"))

RANKS = (
    {"errors"},
    {"reference"},
    {"spec"},
    {"streams", "pictures"},
    {"nn", "data"},
    {"training", "decoding", "evaluation", "maps", "profiling", "checking"},
    {"analysis"},
    {"api"},
    {"cli"},
)
"""Imports point to an earlier line only."""

LONGEST = 350


def name_of(path: Path) -> str:
    """`attncli.nn.scores` of its path."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[str, int]]:
    """Every module imported in a file, with its line. `from a import b` counts as `a.b`, since b may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                above = parts[: len(parts) - node.level + is_package]
                base = ".".join([*above, base] if base else above)
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)


def imported_by(path: Path) -> Iterator[tuple[str, int]]:
    return imports(tree_of(path), name_of(path), path.name == "__init__.py")


def at_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements that run when the module is imported; the bodies of functions and of `if TYPE_CHECKING` do not."""
    waiting = list(tree.body)
    while waiting:
        statement = waiting.pop()
        yield statement
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            waiting += statement.orelse
            continue
        waiting += [child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.stmt)]
        for handler in getattr(statement, "handlers", []):
            waiting += handler.body


def top_imports(path: Path) -> Iterator[tuple[str, int]]:
    """What importing this file imports by itself."""
    statements = [s for s in at_import(tree_of(path)) if isinstance(s, (ast.Import, ast.ImportFrom))]
    yield from imports(ast.Module(statements, []), name_of(path), path.name == "__init__.py")


def part_of(module: str) -> str | None:
    """`nn` of `attncli.nn.scores`; None of what belongs to no rank."""
    parts = module.split(".")
    return parts[1] if parts[0] == "attncli" and len(parts) > 1 else None


def rank_of(part: str) -> int:
    return next(rank for rank, parts in enumerate(RANKS) if part in parts)


def wrong_imports(part: str, imported: Iterator[tuple[str, int]]) -> list[str]:
    """What a file of `part` imports though its rank forbids it."""
    wrong = []
    for module, line in imported:
        other = part_of(module)
        if other in (None, part, "__version__"):
            continue
        if rank_of(other) >= rank_of(part) or (part == "reference" and other != "errors"):
            wrong.append(f"line {line}: {part} must not import {module}")
    return wrong


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_part_has_a_rank():
    ranked = set().union(*RANKS)
    found = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES} - {"__init__", "__main__"}
    assert found <= ranked, f"give these a rank in {Path(__file__).name}: {found - ranked}"


@pytest.mark.parametrize("path", [p for p in FILES if p.parent != PACKAGE or p.stem in set().union(*RANKS)], ids=ids)
def test_imports_point_down(path):
    part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    assert wrong_imports(part, imported_by(path)) == []


@pytest.mark.parametrize(
    ("part", "text", "wrong"),
    [
        ("spec", "from attncli.errors import SpecError", []),
        ("spec", "from attncli import streams", ["line 1: spec must not import attncli.streams"]),
        ("nn", "def f():\n    import attncli.data.codec", ["line 2: nn must not import attncli.data.codec"]),
        ("reference", "import attncli.errors, attncli.spec", ["line 1: reference must not import attncli.spec"]),
        ("maps", "from attncli import __version__", []),
        ("maps", "from ..decoding import beam", ["line 1: maps must not import attncli.decoding.beam"]),
    ],
)
def test_a_wrong_import_is_found(part, text, wrong):
    assert wrong_imports(part, imports(ast.parse(text), f"attncli.{part}.x", is_package=False)) == wrong


SPEC_FILES = [p for p in FILES if p.parent.name in ("spec", "reference") or p.stem == "errors"]


@pytest.mark.parametrize("path", SPEC_FILES, ids=ids)
def test_the_language_never_imports_torch(path):
    assert [m for m, _ in imported_by(path) if m.split(".")[0] in ("torch", "numpy", "safetensors", "datasets")] == []


@pytest.mark.parametrize("path", [p for p in FILES if p.parent.name == "cli"], ids=ids)
def test_commands_import_only_click_and_the_standard_library_at_their_top(path):
    light = sys.stdlib_module_names | {"click"}
    heavy = [
        f"line {line}: {module}"
        for module, line in top_imports(path)
        if module.split(".")[0] not in light
        and not module.startswith(("attncli.cli", "attncli.errors", "attncli.__version__"))
    ]
    assert heavy == [], "import these inside the function that uses them"


SAID = "Mirrored by attncli/nn/"
MIRRORED = [p for p in PACKAGE.glob("spec/*.py") if SAID in p.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", MIRRORED, ids=ids)
def test_what_is_said_to_be_mirrored_is(path):
    mirror = re.search(r"Mirrored by (attncli/nn/\w+(?:\.py)?)", path.read_text(encoding="utf-8"))
    assert mirror is not None
    assert (ROOT / mirror[1]).exists()
    assert Path(mirror[1]).stem == path.stem


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_no_file_is_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_no_module_is_a_drawer_of_odds_and_ends(path):
    assert path.stem not in ("utils", "util", "helpers", "common", "misc")


FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "shelve", "marshal", "joblib"}
FORBIDDEN_CALLS = {"eval", "exec", "torch.load", "torch.save", "yaml.load", "yaml.unsafe_load", "os.system"}


def dangers(tree: ast.AST) -> list[str]:
    """What could run code that lies in a file: unpickling, eval, a shell."""
    found = [
        f"line {line}: import {module}"
        for module, line in imports(tree, "attncli.x", is_package=False)
        if module.split(".")[0] in FORBIDDEN_MODULES
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in FORBIDDEN_CALLS:
                found.append(f"line {node.lineno}: {called}()")
            found += [
                f"line {node.lineno}: {k.arg}=True"
                for k in node.keywords
                if k.arg in ("allow_pickle", "shell", "trust_remote_code") and ast.unparse(k.value) != "False"
            ]
    return found


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_nothing_can_run_code_that_lies_in_a_file(path):
    assert dangers(tree_of(path)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("model.eval()", []),
        ("x = eval('1')", ["line 1: eval()"]),
        ("import torch\ntorch.load(p)", ["line 2: torch.load()"]),
        ("from pickle import loads", ["line 1: import pickle.loads"]),
        ("np.load(p, allow_pickle=True)", ["line 1: allow_pickle=True"]),
    ],
)
def test_a_danger_is_found(text, found):
    assert dangers(ast.parse(text)) == found


BINARY = {".png", ".gif", ".safetensors", ".npz", ".mo", ".parquet"}


def project_files() -> list[Path]:
    """The files of the project as git lists them, those not yet added too; in an unpacked archive all of them."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, check=False)
    names = listed.stdout.decode().split("\0") if listed.returncode == 0 else []
    paths = [ROOT / name for name in names if name] or [p for p in ROOT.rglob("*") if ".venv" not in p.parts]
    return [p for p in paths if p.is_file() and p.suffix not in BINARY]


MACHINE = re.compile(
    r"(?<![\w.])/(?:home|root|Users|work|opt)/[\w.]"  # a path of somebody's machine
    r"|https?://[^\s/]+/(?:[\w-]+/)*(?:simple|whl|packages)(?:/|\b)|\bregistry\.\w+\.\w+"  # where packages lie
    r"|--(?:extra-)?index[-]url\b"  # a place to look for them
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see /home/kim/data.tsv", True),
        ("pip install --" + "-".join(("index", "url", "https://mirror.example/mine")), True),
        ("https://mirror.example/whl/cpu", True),
        ("https://mirror.example/root/packages/ab/cd/torch.tar.gz", True),
        ("https://mirror.example/simple", True),
        ("registry.mirror.example/left", True),
        ("attncli predict runs/opt/x", False),
        ("Install PyTorch as https://pytorch.org/get-started says", False),
    ],
)
def test_a_machine_or_a_registry_is_found(text, found):
    assert bool(MACHINE.search(text)) == found


def test_no_file_names_a_machine_or_a_registry():
    named = []
    for path in project_files():
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if MACHINE.search(line) and path != Path(__file__):
                named.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert named == []


SPEC = """
name: small
task: seq2seq
model:
  encoder: {layers: 1}
  decoder: {layers: 1}
"""

NEVER = {
    ("--help",): ("torch", "pydantic", "yaml", "rich", "numpy"),
    ("--version",): ("torch", "pydantic", "yaml", "rich", "numpy"),
    ("build", "--help"): ("torch", "pydantic", "yaml", "numpy"),
    ("build", "SPEC", "--validate-only"): ("torch", "numpy", "datasets"),
    ("build", "SPEC", "--resolved"): ("torch", "numpy", "datasets"),
    ("build", "SPEC", "--mask"): ("torch", "numpy", "datasets"),
    ("build", "SPEC", "--validate-only", "-o", "model.encoder.layers=0.5"): ("torch", "numpy"),
    ("schema",): ("torch", "numpy"),
    ("explain",): ("torch", "numpy"),
    ("explain", "additive"): ("torch", "numpy"),
}
"""What a command must not import, since its start would be slow."""

PROBE = """
import sys
sys.argv[0] = "attncli"
from attncli.cli import main
try:
    main()
except SystemExit:
    pass
sys.stderr.write("\\nIMPORTED " + " ".join(sys.modules))
"""


@pytest.mark.parametrize("arguments", NEVER, ids=" ".join)
def test_light_commands_stay_light(arguments, tmp_path):
    spec = tmp_path / "small.yaml"
    spec.write_text(SPEC)
    words = [str(spec) if word == "SPEC" else word for word in arguments]
    probe = [sys.executable, "-c", PROBE, *words]
    done = subprocess.run(probe, cwd=tmp_path, capture_output=True, text=True, check=False)
    said, mark, modules = done.stderr.rpartition("IMPORTED ")
    assert mark and "Traceback" not in said, done.stderr
    assert "attncli.cli" in modules.split()
    assert sorted(set(NEVER[arguments]) & set(modules.split())) == []


def test_validation_builds_the_schemas_of_the_kinds_in_use_only(tmp_path):
    """160 further kinds in the union of scores cost nothing until one is written."""
    probe = """
import sys, time
from typing import Annotated, Literal, Union
import attncli.spec.base as base
from pydantic import create_model
kinds = tuple(
    create_model(f"Kind{i}", __base__=base.Spec, kind=(Literal[f"kind{i}"], f"kind{i}"), a=(int, 1), b=(float, 2.0))
    for i in range(160)
)
class Holder(base.Spec):
    choice: Annotated[Union[kinds], base.Kinds("choice")]
Holder.model_validate({"choice": "kind7"})
print(sum(k.__pydantic_complete__ for k in kinds))
"""
    done = subprocess.run([sys.executable, "-c", probe], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
