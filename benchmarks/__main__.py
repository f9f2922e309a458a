"""Every benchmark in turn, and what came of them: docs/benchmarks.md and docs/pictures/benchmarks.svg.

    python -m benchmarks                     all of it, in under 20 minutes on two cores
    python -m benchmarks --quick             in under five minutes
    python -m benchmarks --only dense decode --no-write

Each script runs in a process of its own with a limit of time. One that fails, or takes too long, is said in the table
and stops none of the others.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.harness import Row, rows_in
from benchmarks.table import draw, write

ROOT = Path(__file__).parents[1]
SCRIPTS = {  # seconds that a whole run may take, and a quick one
    "dense": (240, 90),
    "sentences": (480, 180),
    "window": (180, 60),
    "memory": (180, 120),
    "decode": (240, 60),
    "recurrent": (120, 60),
    "ragged": (90, 60),
    "startup": (90, 60),
    "maps": (60, 40),
    "tap": (60, 30),
    "page": (120, 60),
    "build_70b": (90, 60),
    "long_maps": (420, 60),
}

QUICK: dict[str, list[str]] = {"build_70b": []}
"""What makes a script quick, where it is not --quick."""


def run(name: str, *, quick: bool) -> list[Row]:
    """The rows of one script; one that says why where it tells none."""
    limit = SCRIPTS[name][quick]
    asked = QUICK.get(name, ["--quick"]) if quick else []
    words = [sys.executable, "-m", f"benchmarks.{name}", *asked]
    print(f"{name} …", file=sys.stderr, flush=True)
    began, lost = time.perf_counter(), ""
    pipe, env = subprocess.PIPE, os.environ | {"BENCH_SECONDS": str(limit)}
    with subprocess.Popen(
        words, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True, env=env
    ) as process:
        try:
            said, ended = process.communicate(timeout=limit)
            if process.returncode:
                lost = f"exit code {process.returncode}: {' '.join(ended.strip().splitlines()[-1:])[:200]}"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with what it has started
            said, _ = process.communicate()
            lost = f"stopped after {limit} s"
    rows = list(rows_in(said))
    if not rows:
        rows = [Row(name, "", "", notes=[f"no row: {lost or 'the script told none'}"])]
    elif lost:
        rows[-1].notes.append(f"then the script ended: {lost}")
    for row in rows:
        row.notes.append(f"`{' '.join(['python -m', *words[2:]])}`")
    print(f"{name}: {time.perf_counter() - began:.0f} s{', ' + lost if lost else ''}", file=sys.stderr, flush=True)
    return rows


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", metavar="SCRIPT", choices=sorted(SCRIPTS))
    parser.add_argument("--no-write", action="store_true", help="print the table alone")
    given = parser.parse_args()
    there = [name for name in given.only or SCRIPTS if (ROOT / "benchmarks" / f"{name}.py").exists()]
    rows = [row for name in there for row in run(name, quick=given.quick)]
    text = write(rows, quick=given.quick)
    print(text)
    if not given.no_write and not given.only:
        draw(rows, ROOT / "docs" / "pictures" / "benchmarks.svg")
        (ROOT / "docs" / "benchmarks.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
