"""Every pair of options through every law, and the table of it.

    python -m tests.matrix [--out docs/matrix.md] [--limit N] [--seed N] [--family transformer]

Ends with 0 if no pair is wrong, with 1 if one is.
"""

import argparse
import datetime
import multiprocessing
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

from tests.matrix.options import pairs
from tests.matrix.pairs import Family, Result, alone, one_thread, tried_job
from tests.matrix.rules import RULES

FAMILIES: tuple[Family, ...] = ("transformer", "recurrent")


def main() -> None:
    """Try the pairs in as many processes as there are cores, and say what came of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the table as Markdown")
    parser.add_argument("--limit", type=int, help="try so many pairs of each family, drawn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--family", choices=FAMILIES)
    given = parser.parse_args()
    began = time.time()
    families = (given.family,) if given.family else FAMILIES
    results = {family: _family(family, given.limit, given.seed) for family in families}
    table = _table(results, time.time() - began)
    print(table)
    if given.out:
        given.out.write_text(table, encoding="utf-8")
    sys.exit(any(result.outcome == "wrong" for found in results.values() for result in found))


def _family(family: Family, limit: int | None, seed: int) -> list[Result]:
    options = alone(family)
    chosen = pairs(options, seed)
    if limit is not None and limit < len(chosen):
        chosen = random.Random(seed).sample(chosen, limit)
    print(f"{family}: {len(options)} options, {len(chosen)} pairs", file=sys.stderr)
    jobs = [(family, *pair) for pair in chosen]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count(), initializer=one_thread) as pool:
        results = []
        for number, result in enumerate(pool.imap_unordered(tried_job, jobs, chunksize=8), 1):
            results.append(result)
            if result.outcome == "wrong":
                print(f"WRONG {' + '.join(result.names)}: {result.why}", file=sys.stderr)
            if number % 500 == 0:
                print(f"{family}: {number} of {len(jobs)}", file=sys.stderr)
    return results


HEAD = """# The pair matrix

Each pair of options of the language is refused by a named rule, or its model obeys every law of `attncli check`:
causality, cached decoding, padding on either side, packing, evaluation without randomness, a gradient for every
parameter, weights that survive a file, kernels that agree. The options are drawn from the language's own classes
(`tests/matrix/options.py`), so that a new kind enters by itself. `make matrix` tries every pair of kinds, and every key
inside a kind with a few of them. This table is what `python -m tests.matrix {arguments}` wrote on {date}, in
{minutes:.0f} minutes{drawn}.

| family | options | pairs | passed | refused | wrong |
|---|---:|---:|---:|---:|---:|"""


def _table(results: dict[Family, list[Result]], seconds: float) -> str:
    drawn = ", of pairs drawn at random" if "--limit" in sys.argv else ""
    date, arguments = datetime.date.today().isoformat(), " ".join(sys.argv[1:])
    lines = HEAD.format(date=date, minutes=seconds / 60, arguments=arguments, drawn=drawn).splitlines()
    for family, found in results.items():
        counts = Counter(result.outcome for result in found)
        options = len({name for result in found for name in result.names})
        lines.append(
            f"| {family} | {options} | {len(found)} | {counts['passed']} | {counts['refused']} | {counts['wrong']} |"
        )
    lines += ["", "Refusals by rule:", "", "| rule | pairs | reason |", "|---|---:|---|"]
    rules = Counter(result.why for found in results.values() for result in found if result.outcome == "refused")
    lines += [f"| {rule} | {count} | {RULES[rule][1]} |" for rule, count in rules.most_common()]
    wrong = [result for found in results.values() for result in found if result.outcome == "wrong"]
    if wrong:
        lines += ["", "Wrong:", ""] + [f"* {' + '.join(result.names)}: {result.why}" for result in wrong]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
