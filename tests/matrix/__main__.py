"""Every pair of options through every law, and the table of it.

    python -m tests.matrix [--out docs/matrix.md] [--log matrix.jsonl] [--minutes M] [--seed N] [--jobs N]

The pairs come in an order, drawn by the seed, in which every option comes early: `--minutes` or `--limit` stops after a
share of them in which each option stands about equally often. What is written in the log is not tried again, so that a
run that was stopped goes on where it was; begin a new log after a change of the code. Ends with 0 if no pair is wrong,
with 1 if one is.
"""

import argparse
import datetime
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.matrix.options import Pairs, in_order, pairs
from tests.matrix.pairs import Family, Job, Result, alone, model_of, one_thread, tried_jobs
from tests.matrix.rules import RULES

FAMILIES: tuple[Family, ...] = ("transformer", "recurrent")
Found = dict[tuple[str, ...], Result]
"""The results by family and names."""


def main() -> None:
    """Try the pairs in as many processes as there are cores, and say what came of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="write the table as Markdown")
    parser.add_argument("--log", type=Path, help="keep each result here, a line of JSON, and go on from it")
    parser.add_argument("--minutes", type=float, help="stop after so long")
    parser.add_argument("--limit", type=int, help="try so many pairs of each family")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--family", choices=FAMILIES)
    given = parser.parse_args()
    began = time.time()
    families = (given.family,) if given.family else FAMILIES
    every = {family: in_order(pairs(alone(family), given.seed), given.seed) for family in families}
    found = _tried(every, given)
    table = _table(every, found, time.time() - began)
    print(table)
    if given.out:
        given.out.write_text(table, encoding="utf-8")
    sys.exit(any(result.outcome == "wrong" for result in found.values()))


def _jobs(every: dict[Family, Pairs], limit: int | None) -> Iterator[Job]:
    """The pairs of all families, each in its order and all about equally far on."""
    ranked = [
        (number / len(chosen), family, pair)
        for family, chosen in every.items()
        for number, pair in enumerate(chosen if limit is None else chosen[:limit])
    ]
    yield from ((family, *pair) for _, family, pair in sorted(ranked, key=lambda each: each[0]))


def _tried(every: dict[Family, Pairs], given: argparse.Namespace) -> Found:
    found = _logged(given.log)
    jobs = [job for job in _jobs(every, given.limit) if _key(job[0], [one.name for one in job[1:]]) not in found]
    done, began = len(found), time.time()
    print(f"{len(jobs)} pairs to try, {done} in the log", file=sys.stderr)
    told = 0
    with multiprocessing.get_context("spawn").Pool(given.jobs, initializer=one_thread) as pool:
        alike: dict[str, list[Job]] = {}
        for job, model in zip(jobs, pool.imap(model_of, jobs, chunksize=50), strict=True):
            alike.setdefault(model or str(len(alike)), []).append(job)
        print(f"{len(alike)} models, {(time.time() - began) / 60:.1f} min", file=sys.stderr, flush=True)
        for results in pool.imap_unordered(tried_jobs, alike.values(), chunksize=4):
            for family, result in results:
                found[_key(family, result.names)] = result
                if given.log:
                    with given.log.open("a", encoding="utf-8") as log:
                        line = [family, result.names, result.outcome, result.why, result.model]
                        log.write(json.dumps(line) + "\n")
                if result.outcome == "wrong":
                    print(f"WRONG {' + '.join(result.names)}: {result.why}", file=sys.stderr, flush=True)
            spent, number = (time.time() - began) / 60, len(found) - done
            if number // 500 > told:
                told = number // 500
                left = spent / number * (len(jobs) - number)
                print(f"{done + number} pairs, {spent:.1f} min; all would take {left:.0f} more", file=sys.stderr,
                      flush=True)  # fmt: skip
            if given.minutes is not None and spent >= given.minutes:
                pool.terminate()
                break
    return found


def _key(family: str, names: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return (family, *names)


def _logged(log: Path | None) -> Found:
    if log is None or not log.exists():
        return {}
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.endswith("]")]
    return {_key(family, names): Result(tuple(names), *rest) for family, names, *rest in lines}


HEAD = """# The pair matrix

Each pair of options of the language is refused by a named rule, or its model obeys every law of `attncli check`: each
attention and its gradient against plain Python floats, causality, cached decoding (token by token, in chunks, after a
prefill, after beams moved, after a cut), padding on either side, packing, evaluation without randomness, a gradient for
every parameter, weights that survive a file, kernels that agree, zeros where a row sees no key. The options are drawn
from the language's own classes (`tests/matrix/options.py`), so that a new kind enters by itself. `make matrix` tries
every pair of kinds, and every key inside a kind with a few of them. This table is what
`python -m tests.matrix {arguments}` wrote on {date}, in {minutes:.0f} minutes. Pairs were drawn by their seed; each
option stood in at least {least} of them. Pairs may mean the same model, since an option may say what is so without it;
each model is tried once, and attentions are held to Python floats once a process for all models that have just these.

| family | options | pairs | tried | models | passed | refused | run | wrong |
|---|---:|---:|---:|---:|---:|---:|---:|---:|"""


def _table(every: dict[Family, Pairs], found: Found, seconds: float) -> str:
    date, arguments = datetime.date.today().isoformat(), " ".join(sys.argv[1:])
    uses = Counter((family, name) for family, *names in found for name in names)
    least = min((uses[family, option.name] for family, chosen in every.items() for pair in chosen for option in pair),
                default=0)  # fmt: skip
    lines = HEAD.format(date=date, minutes=seconds / 60, arguments=arguments, least=least).splitlines()
    for family, chosen in every.items():
        counts = Counter(result.outcome for (of, *_), result in found.items() if of == family)
        options, tried = len({option.name for pair in chosen for option in pair}), sum(counts.values())
        models = {result.model for (of, *_), result in found.items() if of == family and result.model}
        lines.append(
            f"| {family} | {options} | {len(chosen)} | {tried} | {len(models)} | {counts['passed']} | "
            f"{counts['refused']} | {counts['passed'] / max(1, tried):.1%} | {counts['wrong']} |"
        )
    lines += ["", "Refusals by rule:", "", "| rule | pairs | reason |", "|---|---:|---|"]
    rules = Counter(result.why for result in found.values() if result.outcome == "refused")
    lines += [f"| {rule} | {count} | {RULES[rule][1]} |" for rule, count in rules.most_common()]
    wrong = [result for result in found.values() if result.outcome == "wrong"]
    if wrong:
        lines += ["", "Wrong:", ""] + [f"* {' + '.join(result.names)}: {result.why}" for result in wrong]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
