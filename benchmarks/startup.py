"""How long attncli takes to start, beside Python alone and `import torch`, each in a process of its own.

    .venv/bin/python benchmarks/startup.py

The variants are interleaved, so that what disturbs the machine disturbs all of them; the median of 15 is printed.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 15
SPEC = "name: en-de\ntask: seq2seq\nmodel:\n  encoder: {layers: 3}\n  decoder: {layers: 3}\n"


def seconds(words: list[str]) -> float:
    """Wall time of a process, from its start to its end."""
    began = time.perf_counter()
    subprocess.run(words, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    attncli = str(Path(sys.executable).parent / "attncli")
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder, "en-de.yaml")
        spec.write_text(SPEC, encoding="utf-8")
        commands = {
            "python -c pass": ([sys.executable, "-c", "pass"], None),
            "attncli --help": ([attncli, "--help"], 0.15),
            "attncli build SPEC --validate-only": ([attncli, "build", str(spec), "--validate-only"], 0.5),
            "python -c 'import torch'": ([sys.executable, "-c", "import torch"], None),
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(ROUNDS + 1):
            for name, (words, _) in commands.items():
                taken = seconds(words)
                if turn:  # the first fills the caches of the disk
                    times[name].append(taken)
    print(f"{'median of ' + str(ROUNDS):38}{'median':>9}{'least':>9}{'most':>9}{'limit':>9}")
    for name, (_, limit) in commands.items():
        middle = statistics.median(times[name])
        bound = f"{limit:7.2f} s" if limit else ""
        print(f"{name:38}{middle:7.3f} s{min(times[name]):7.3f} s{max(times[name]):7.3f} s{bound}")


if __name__ == "__main__":
    main()
