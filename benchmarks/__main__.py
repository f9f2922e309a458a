"""Every benchmark in turn, and what came of them: docs/benchmarks.md and docs/pictures/benchmarks.svg.

    python -m benchmarks                     all of it, in under 20 minutes on two cores
    python -m benchmarks --quick             in under five minutes
    python -m benchmarks --only dense decode --no-write

Each script runs in a process of its own with a limit of time. One that fails, or takes too long, is said in the table
and stops none of the others.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.harness import Row, rows_in
from benchmarks.table import draw, write

ROOT = Path(__file__).parents[1]
SCRIPTS = {  # seconds that a whole run may take, and a quick one
    "dense": (210, 90),
    "sentences": (420, 120),
    "window": (180, 60),
    "decode": (240, 60),
    "recurrent": (120, 45),
    "ragged": (90, 30),
    "startup": (60, 40),
    "build_70b": (60, 40),
}


def run(name: str, *, quick: bool) -> list[Row]:
    """The rows of one script; one that says why where it tells none."""
    limit = SCRIPTS[name][quick]
    words = [sys.executable, "-m", f"benchmarks.{name}", *(["--quick"] if quick else [])]
    print(f"{name} …", file=sys.stderr, flush=True)
    began, lost = time.perf_counter(), ""
    try:
        done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=limit)
        said, ended = done.stdout, done.stderr.strip().splitlines()[-1:]
        if done.returncode:
            lost = f"exit code {done.returncode}: {' '.join(ended)[:200]}"
    except subprocess.TimeoutExpired as error:
        said = (error.stdout or b"").decode(errors="replace") if isinstance(error.stdout, bytes) else error.stdout or ""
        lost = f"stopped after {limit} s"
    rows = list(rows_in(said))
    if not rows:
        rows = [Row(name, "", "", notes=[f"no row: {lost or 'the script told none'}"])]
    elif lost:
        rows[-1].notes.append(f"then the script ended: {lost}")
    for row in rows:
        row.notes.append(f"`python -m benchmarks.{name}{' --quick' if quick else ''}`")
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
