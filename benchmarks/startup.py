"""How long attncli takes to start: its help, a validation, and the first training step of a run whose data are cached.

    python -m benchmarks.startup

Each command in a process of its own, beside Python alone, `import torch`, and the help of a peer; interleaved, medians.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from benchmarks.harness import Row, main

HELP, VALIDATION, FIRST_STEP = 0.15, 0.5, 6.0
"""Seconds that each may take."""
SPEC = "name: en-de\ntask: seq2seq\nmodel:\n  encoder: {layers: 3}\n  decoder: {layers: 3}\n"
RUN = """
name: first
task: seq2seq
model: {d_model: 128, max_length: 64, encoder: {layers: 2}, decoder: {layers: 2}}
tokenizer: characters
data: {kind: generated, name: dates, targets: [de, zh], train: 20000}
"""


def seconds(words: list[str]) -> float:
    """Wall time of a process, from its start to its end."""
    began = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True)
    return time.perf_counter() - began


def interleaved(commands: dict[str, list[str]], rounds: int) -> dict[str, float]:
    """The median of each; a first round fills the caches of the disk."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, words in commands.items():
            taken = seconds(words)
            if turn:
                times[name].append(taken)
    return {name: statistics.median(taken) for name, taken in times.items()}


def measure(quick: bool) -> None:
    """The rows."""
    python, attncli = sys.executable, [sys.executable, "-c", "from attncli.cli import main; main()"]
    with tempfile.TemporaryDirectory() as folder:
        spec, run = Path(folder, "en-de.yaml"), Path(folder, "first.yaml")
        spec.write_text(SPEC, encoding="utf-8")
        run.write_text(RUN, encoding="utf-8")
        light = {
            "attncli --help": [*attncli, "--help"],
            "attncli build SPEC --validate-only": [*attncli, "build", str(spec), "--validate-only"],
            "python -c pass": [python, "-c", "pass"],
        }
        if find_spec("joeynmt"):
            light["joeynmt --help"] = [python, "-m", "joeynmt", "--help"]
        found = interleaved(light, 3 if quick else 9)
        step = [*attncli, "train", str(run), "--run", str(Path(folder, "run")), "--steps", "1", "--force"]
        found |= interleaved({"attncli train SPEC --steps 1": step, "import torch": [python, "-c", "import torch"]}, 2)
    limits = dict(zip((*light, "attncli train SPEC --steps 1"), (HELP, VALIDATION), strict=False))
    limits["attncli train SPEC --steps 1"] = FIRST_STEP
    row = Row("start-up", "each command in a process of its own", "s", values=found)
    for name, limit in limits.items():
        row.checks[f"{name} in at most {limit:g} s"] = "yes" if found[name] <= limit else f"no, {found[name]:.2f} s"
    row.notes.append("the training step is timed to the end of the process, its checkpoint included")
    row.tell()


if __name__ == "__main__":
    main(measure)
