"""The certificates of all specs in the repository, as a table.

    python -m tests.certificates [--out docs/certificates.md]

Ends with 0 if every law holds for every spec, with 1 if one is broken.
"""

import argparse
import datetime
import multiprocessing
import os
import sys
import time
from pathlib import Path

from attncli.checking.certificate import Certificate, certify
from attncli.checking.laws import LAWS
from attncli.checking.measure import TOLERANCE
from attncli.spec.load import load_spec
from tests.matrix.pairs import one_thread

ROOT = Path(__file__).parent.parent
SPECS = sorted((ROOT / "specs").rglob("*.yaml"))

HEAD = """# Certificates

`attncli check` holds the laws below against a small model of the same kinds as a spec's, in float64, its weights
drawn so that none hides behind a 0 or a 1. `python -m tests.certificates` wrote this table on {date}, in {minutes:.0f}
minutes: {held} of {count} specs are certified. An error is the largest of a law's cases beside the size of the numbers
compared; {tolerance:.0e} is allowed. – says that a law has no meaning there, as causality where nothing is written.

"""


def certificate_of(path: Path) -> Certificate:
    """Of one spec."""
    return certify(load_spec(path))


def table(found: dict[str, Certificate], minutes: float) -> str:
    """The certificates as Markdown."""
    date, held = datetime.date.today().isoformat(), sum(each.holds for each in found.values())
    text = HEAD.format(date=date, minutes=minutes, held=held, count=len(found), tolerance=TOLERANCE)
    text += "\n".join(f"* **{law.name}**: {law.says}" for law in LAWS) + "\n\n"
    names = " | ".join(law.name for law in LAWS)
    text += f"| spec | attentions | {names} | seconds |\n|---|---:|{'---:|' * (len(LAWS) + 1)}\n"
    for path, each in found.items():
        told = " | ".join(
            "–" if one.spared else f"{one.error:.0e}" if one.holds else f"**{one.error:.0e}**" for one in each.verdicts
        )
        text += f"| [{path}](../{path}) | {len(each.attentions)} | {told} | {each.seconds:.1f} |\n"
    broken = [f"* {path}: {one.law}: {one.witness}" for path, each in found.items() for one in each.verdicts
              if not one.holds]  # fmt: skip
    return text + ("\nBroken:\n\n" + "\n".join(broken) + "\n" if broken else "")


def main() -> None:
    """Certify every spec in as many processes as there are cores."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the table as Markdown")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    given, began = parser.parse_args(), time.time()
    with multiprocessing.get_context("spawn").Pool(given.jobs, initializer=one_thread) as pool:
        found = {}
        for path, one in zip(SPECS, pool.imap(certificate_of, SPECS), strict=True):
            found[str(path.relative_to(ROOT))] = one
            print(f"{'held' if one.holds else 'BROKEN'} {one.name} {one.seconds:.1f} s", file=sys.stderr, flush=True)
    text = table(found, (time.time() - began) / 60)
    print(text)
    if given.out:
        given.out.write_text(text, encoding="utf-8")
    sys.exit(not all(one.holds for one in found.values()))


if __name__ == "__main__":
    main()
