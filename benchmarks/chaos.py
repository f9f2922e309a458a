"""Kill a training with SIGKILL at random moments and resume it until it ends: it must end as one that never was killed.

    .venv/bin/python benchmarks/chaos.py [SEED]

Compared are, byte for byte, the weights and the optimizer's states of the last checkpoint and the run's metrics.
Ends with 0 if all are equal, with 1 if not.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPEC = """
name: chaos
task: seq2seq
model:
  d_model: 32
  max_length: 24
  encoder: {layers: 1}
  decoder: {layers: 1}
tokenizer: characters
data: {kind: generated, name: reverse, train: 2000, valid: 100, test: 100}
train:
  duration: 600
  batch: {kind: sequences, size: 16}
  checkpoints: {every: 20}
evaluate: {every: 150}
"""
LEAST_KILLS = 10


def train(spec: Path, folder: Path) -> subprocess.Popen[str]:
    """Start a training, or continue it, with two threads."""
    attncli = str(Path(sys.executable).parent / "attncli")
    words = [attncli, "train", str(spec), "--run", str(folder), "--resume", "--threads", "2", "--device", "cpu"]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def undisturbed(spec: Path, folder: Path) -> float:
    """Train to the end; the seconds that it took."""
    began = time.perf_counter()
    process = train(spec, folder)
    _, said = process.communicate()
    if process.returncode:
        sys.exit(f"the training itself fails:\n{said}")
    return time.perf_counter() - began


def disturbed(spec: Path, folder: Path, whole: float, chance: random.Random) -> int:
    """Kill and resume; after enough kills let it end. Returns the kills that met it at work."""
    kills = 0
    while True:
        process = train(spec, folder)
        try:
            wait = chance.uniform(0.3, 1.1) * whole / 2 if kills < LEAST_KILLS else None
            _, said = process.communicate(timeout=wait)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            continue
        if process.returncode:
            sys.exit(f"a resumed training fails:\n{said}")
        return kills


def last_of(folder: Path) -> dict[str, bytes]:
    """What must be equal, by name."""
    checkpoint = sorted((folder / "checkpoints").glob("step-*"))[-1]
    found = {name: (checkpoint / name).read_bytes() for name in ("model.safetensors", "optimizer.safetensors")}
    return found | {"metrics.jsonl": (folder / "metrics.jsonl").read_bytes(), "step": checkpoint.name.encode()}


def main() -> None:
    """One undisturbed run, one that is killed, and what they share."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else int(time.time())
    print(f"seed {seed}: run this again with `benchmarks/chaos.py {seed}`")
    with tempfile.TemporaryDirectory() as place:
        spec = Path(place, "chaos.yaml")
        spec.write_text(SPEC, encoding="utf-8")
        whole = undisturbed(spec, Path(place, "undisturbed"))
        kills = disturbed(spec, Path(place, "killed"), whole, random.Random(seed))
        one, other = last_of(Path(place, "undisturbed")), last_of(Path(place, "killed"))
    print(f"undisturbed in {whole:.1f} s, the other killed {kills} times")
    unlike = [name for name in one if one[name] != other[name]]
    for name in one:
        print(f"{name:24}{'NOT EQUAL' if name in unlike else 'equal'}")
    sys.exit(1 if unlike else 0)


if __name__ == "__main__":
    main()
