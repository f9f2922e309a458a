"""What building a 70-billion-parameter model on the meta device costs beyond `import torch`, in one run.

    python -m benchmarks.build_70b

Limits: 1.0 s and 150 MB. Time and memory are read in one process: after `import torch`, and after `attncli build` has
read the spec, built 80 layers, counted them and written the graph as JSON.
"""

import io
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path

from benchmarks.harness import Row

ROUNDS = 5
SECONDS, MEGABYTES = 1.0, 150.0
SPEC = """
name: llama-70b
task: language_model
model:
  tie_embeddings: none
  decoder:
    d_model: 8192
    max_length: 8192
    dropout: 0
    norm: {kind: rms_norm, epsilon: 1e-5}
    attention: {heads: 64, kv_heads: 8, position: {kind: rotary, base: 500000}}
    feedforward: {kind: swiglu, d_ff: 28672}
    layers: 80
tokenizer: {kind: bpe, vocabulary: 128256}
"""


def resident() -> float:
    """The most memory that this process has held, in megabytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def one_round(spec: str) -> None:
    """In a process of its own: print parameters, seconds and megabytes."""
    import torch  # noqa: F401  # what is measured is what comes on top of it

    before, began = resident(), time.perf_counter()
    from attncli.cli import commands

    said = io.StringIO()
    with redirect_stdout(said):
        commands(["build", spec, "--json"], standalone_mode=False)
    taken, grown = time.perf_counter() - began, resident() - before
    import json

    print(json.loads(said.getvalue())["parameters"], taken, grown)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder, "llama-70b.yaml")
        spec.write_text(SPEC, encoding="utf-8")
        rounds = []
        for _ in range(ROUNDS):
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.build_70b", str(spec)], check=True, capture_output=True, text=True
            )
            rounds.append([float(word) for word in done.stdout.split()])
    parameters, seconds, megabytes = zip(*rounds, strict=True)
    row = Row("build, 70 billion parameters", f"{parameters[0]:,.0f} parameters, beyond import torch", "s")
    row.values["attncli build"] = statistics.median(seconds)
    row.checks[f"at most {SECONDS} s and {MEGABYTES} MB"] = (
        f"{statistics.median(seconds):.2f} s, {statistics.median(megabytes):.1f} MB, medians of {ROUNDS}"
    )
    row.tell()


if __name__ == "__main__":
    one_round(sys.argv[1]) if len(sys.argv) > 1 else main()
