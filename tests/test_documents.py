"""Documentation is tested: the commands of README, docs/, examples/ and the specs' opening comments run as written.

What is run: lines that begin with `$ ` in ```console blocks, every line of ```bash blocks, and ```python blocks, in
the order of the document, in a copy of the repository, with `--steps 3` after each `attncli train`. A command that
two documents share runs once. What a block may say in HTML comments right before it:

    <!-- not run: why it cannot be run here -->
    <!-- exit code: 2 -->              the commands of the block must end with this code (0 where nothing is said)
    <!-- output checked -->            the lines below each command are part of what it says; a line `…` skips lines

`make` commands are checked to exist; .ci/run runs them. ATTNCLI_FULL_RUNS=1 (`make examples`) trains in full.
"""

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

ROOT = Path(__file__).parent.parent
FOLDERS = ("specs", "examples", "docs")
DOCUMENTS = [
    p
    for p in (
        ROOT / "README.md",
        ROOT / "README.zh.md",
        *sorted(ROOT.glob("docs/*.md")),
        *sorted(ROOT.glob("examples/*.md")),
    )
    if p.exists()
]
SPECS = sorted(ROOT.glob("specs/*.yaml"))
FULL = os.environ.get("ATTNCLI_FULL_RUNS") == "1"
LARGEST = 3_000_000
"""A spec of more parameters is built, not trained."""


@dataclass
class Step:
    """One command, or one block of Python, of a document."""

    line: int
    text: str
    python: bool = False
    exit_code: int = 0
    output: list[str] = field(default_factory=list)
    not_run: str = ""


FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)[^\n`]*\n(?P<body>.*?)^(?P=indent)``` *$", re.M | re.S)
COMMENT = re.compile(r"<!--\s*(not run|exit code|output checked)(?::\s*((?:(?!-->).)*?))?\s*-->\s*\Z", re.S)


def steps_of(text: str) -> list[Step]:
    """The commands of a Markdown document, in order."""
    steps = []
    for block in FENCE.finditer(text):
        said: dict[str, str] = {}
        before = text[: block.start()]
        while comment := COMMENT.search(before):
            said[comment[1]] = comment[2] or ""
            before = before[: comment.start()]
        first = text[: block.start("body")].count("\n") + 1
        for step in _steps_of_block(block["language"], block["body"], first):
            step.not_run = said.get("not run", "")
            step.exit_code = int(said.get("exit code", 0))
            step.output = step.output if "output checked" in said else []
            steps.append(step)
    return steps


def _steps_of_block(language: str, body: str, first: int) -> list[Step]:
    if language == "python":
        return [Step(first, body, python=True)]
    steps: list[Step] = []
    open_line = False
    for number, line in enumerate(body.splitlines(), first):
        words = line.strip()
        if open_line:
            steps[-1].text += " " + words.removesuffix("\\").strip()
        elif language in ("bash", "sh") and words and not words.startswith("#"):
            steps.append(Step(number, words.removesuffix("\\").strip()))
        elif language == "console" and words.startswith("$ "):
            steps.append(Step(number, words[2:].removesuffix("\\").strip()))
        else:
            if language == "console" and steps:
                steps[-1].output.append(line.rstrip())
            continue
        open_line = words.endswith("\\")
    return steps


def steps_of_spec(text: str) -> list[Step]:
    """The commands of a spec's opening comment: `# attncli train specs/x.yaml`."""
    steps = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("#"):
            break
        if found := re.match(r"#\s*(?:\$ )?(attncli .*)", line):
            steps.append(Step(number, re.split(r"\s{2,}#", found[1])[0].strip()))
    return steps


class Workspace:
    """A copy of the repository's folders in which commands run, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cwd = folder
        self.done: dict[tuple[Path, str], tuple[int, str]] = {}
        for name in FOLDERS:
            if (ROOT / name).exists():
                shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("README.md", "README.zh.md", "Makefile", "pyproject.toml", "constraints.txt"):
            if (ROOT / name).exists():
                shutil.copy(ROOT / name, folder / name)

    def run(self, command: str) -> tuple[int, str]:
        """Exit code and words of a command; one that ran before in this place has its words still."""
        if found := re.fullmatch(r"cd (\S+)", command):
            self.cwd = (self.cwd / found[1]).resolve()
            return 0, ""
        key = (self.cwd, command)
        if key not in self.done:
            began = time.perf_counter()
            self.done[key] = self._run(command)
            if FULL:
                print(f"$ {command}\n{self.done[key][1]}[{time.perf_counter() - began:.0f} s]\n", file=sys.__stderr__)
        return self.done[key]

    def _run(self, command: str) -> tuple[int, str]:
        lexer = shlex.shlex(command, posix=True, punctuation_chars="|<>;&()`")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        words = list(lexer)
        composed = any(word and set(word) <= set("|<>;&()`") for word in words) or "$" in command
        if words[0] == "make" and not composed:
            return self._shell(f"make -n -f '{self.folder}/Makefile' {shlex.join(words[1:])}")
        if words[0] == "attncli" and not composed:
            if words[1] == "train" and not FULL:
                words += ["--steps", "3"]
            return self._attncli(words[1:])
        if "attncli train" in command and not FULL:
            pytest.fail(f"{command}: train stands alone, so that `--steps 3` can be appended", pytrace=False)
        return self._shell(command)

    def _attncli(self, arguments: list[str]) -> tuple[int, str]:
        """In this process, since another would first spend seconds on importing torch."""
        from attncli.cli import commands

        with contextlib.chdir(self.cwd):
            result = CliRunner().invoke(commands, arguments, prog_name="attncli")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    def _shell(self, command: str) -> tuple[int, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command}"],
            cwd=self.cwd,
            env=os.environ | {"PATH": path},
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return done.returncode, done.stdout

    def python(self, text: str, names: dict[str, object]) -> str:
        """Run a block of Python; `names` are what earlier blocks of the document have defined."""
        said = io.StringIO()
        with contextlib.chdir(self.cwd), contextlib.redirect_stdout(said):
            exec(compile(text, "<document>", "exec"), names)
        return said.getvalue()


def missing(expected: list[str], said: str) -> str | None:
    """The first expected line that `said` has not where it should; spaces at the ends of lines do not count."""
    lines = [line.rstrip() for line in said.splitlines()]
    place, skipping = 0, True
    for line in expected:
        if line.strip() in ("…", "..."):
            skipping = True
        elif line:
            found = next((i for i in range(place, len(lines)) if lines[i] == line), None)
            if found is None or (not skipping and any(lines[place:found])):
                return line
            place, skipping = found + 1, False
    return None


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    import torch

    threads = torch.get_num_threads()
    yield Workspace(tmp_path_factory.mktemp("repository"))
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader of the documents sees: a terminal of 100 columns without colour."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR", raising=False)


def run_document(document: str, text: str, workspace: Workspace) -> list[str]:
    """Run a document from its top; the commands that were run."""
    workspace.cwd = workspace.folder
    names: dict[str, object] = {}
    ran = []
    for step in steps_of(text):
        place = f"{document}:{step.line}: {step.text}"
        if step.not_run:
            continue
        if step.python:
            code, said = 0, workspace.python(step.text, names)
        else:
            code, said = workspace.run(step.text)
        if code != step.exit_code:
            pytest.fail(f"{place}\nended with {code}, not {step.exit_code}:\n{said[-4000:]}", pytrace=False)
        if line := missing(step.output, said):
            pytest.fail(f"{place}\ndoes not say (or not here): {line}\nit says:\n{said[-4000:]}", pytrace=False)
        ran.append(step.text)
    return ran


@pytest.mark.xdist_group("documents")
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_document(document, workspace):
    text = document.read_text(encoding="utf-8")
    commands = [step for step in steps_of(text) if not step.not_run]
    assert len(run_document(str(document.relative_to(ROOT)), text, workspace)) == len(commands)


def at_hand(spec: Path) -> bool:
    """Whether what the spec trains on is generated, or lies in the repository."""
    from attncli.spec.data import Files, Generated
    from attncli.spec.load import load_spec

    match load_spec(spec).run.data:
        case Generated():
            return True
        case Files(train=paths):
            return all((spec.parent / path).exists() for path in paths)
        case _:
            return False


@pytest.mark.xdist_group("documents")
@pytest.mark.parametrize("spec", SPECS, ids=lambda p: p.stem)
def test_spec(spec, workspace):
    """It is valid, builds, says with which command to begin, and where it is small and its data are here, trains."""
    workspace.cwd = workspace.folder
    name = str(spec.relative_to(ROOT))
    code, said = workspace.run(f"attncli build {name} --json")
    assert code == 0, said
    commands = [step.text for step in steps_of_spec(spec.read_text(encoding="utf-8"))]
    assert any(name in command for command in commands), f"{name}: open it with its command, '# attncli train {name}'"
    trainable = json.loads(said[said.index("{") :])["parameters"] < LARGEST and at_hand(spec)
    if trainable and not any(command.startswith("attncli train") for command in commands):
        commands.insert(0, f"attncli train {name} --run runs/checked-{spec.stem}")
    for command in commands if trainable else [c for c in commands if c.startswith("attncli build")]:
        code, said = workspace.run(command)
        assert code == 0, f"{name}: {command}\nended with {code}:\n{said[-4000:]}"


FIXTURE = """
Say it:

```console
$ attncli --version
attncli, version 0.1.0
$ cd specs
$ attncli build \\
    absent.yaml
```

<!-- not run: nobody is here
     to press the button -->

```bash
press the button
```

<!-- exit code: 3 -->
```bash
# a comment
exit 3
```

<!-- exit code: 0 -->
<!-- output checked -->
```console
$ echo one; echo; echo two; echo three
one
two
$ echo one; echo two; echo three | cat
…
three
```

```python
x = 1
```
"""


def test_commands_are_found_with_what_is_said_of_them():
    found = steps_of(FIXTURE)
    assert [(s.text, s.exit_code, s.not_run.split()[:1], s.output) for s in found if not s.python] == [
        ("attncli --version", 0, [], []),
        ("cd specs", 0, [], []),
        ("attncli build absent.yaml", 0, [], []),
        ("press the button", 0, ["nobody"], []),
        ("exit 3", 3, [], []),
        ("echo one; echo; echo two; echo three", 0, [], ["one", "two"]),
        ("echo one; echo two; echo three | cat", 0, [], ["…", "three"]),
    ]
    assert [FIXTURE.splitlines()[s.line - 1].strip(" $\\") for s in found][:3] == [
        "attncli --version",
        "cd specs",
        "attncli build",
    ]
    assert found[-1] == Step(found[-1].line, "x = 1\n", python=True)


def test_commands_of_a_spec_are_found():
    text = "# yaml: $schema=x\n# Dates.\n#   $ attncli train specs/dates.yaml   # two minutes\nname: x\n# attncli no\n"
    assert [(s.line, s.text) for s in steps_of_spec(text)] == [(3, "attncli train specs/dates.yaml")]


def test_a_document_runs(workspace):
    text = FIXTURE.replace("$ attncli build \\\n    absent.yaml", "").replace("$ cd specs", "")
    text += "\n```python\nassert x == 1\nopen('made.txt', 'w').write('x')\n```\n"
    assert len(run_document("fixture", text, workspace)) == 6
    assert (workspace.folder / "made.txt").exists()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("```bash\nexit 1\n```", "x.md:2: exit 1\nended with 1, not 0"),
        ("<!-- exit code: 2 -->\n```bash\ntrue\n```", "x.md:3: true\nended with 0, not 2"),
        ("```bash\nmake nonsense\n```", "No rule to make target 'nonsense'"),
        ("<!-- output checked -->\n```console\n$ echo one\ntwo\n```", "does not say (or not here): two"),
        ("```bash\nattncli train x.yaml | cat\n```", "train stands alone"),
        ("```bash\nattncli nonsense\n```", "No such command 'nonsense'"),
    ],
)
def test_a_command_that_fails_is_told(text, fault, workspace):
    with pytest.raises(pytest.fail.Exception) as told:
        run_document("x.md", text, workspace)
    assert fault in str(told.value)


def test_a_command_runs_once(workspace):
    workspace.cwd = workspace.folder
    assert workspace.run("echo x >> counted.txt") == workspace.run("echo x >> counted.txt") == (0, "")
    assert (workspace.folder / "counted.txt").read_text() == "x\n"


@pytest.mark.parametrize(
    ("expected", "line"),
    [(["a", "b"], None), (["b", "c"], None), (["a", "c"], "c"), (["a", "…", "c"], None), (["c", "…", "a"], "a"),
     (["x"], "x")],
)  # fmt: skip
def test_expected_lines(expected, line):
    assert missing(expected, "a  \n\nb\nc\n") == line
