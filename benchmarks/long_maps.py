"""Maps of a long text within a byte budget: 32,768 tokens, 4 layers x 8 heads, d_model 256, causal, 512 MB.

    python -m benchmarks.long_maps [--quick]

The forward pass alone and the one with maps run in a process each, whose peaks of memory are compared; --quick takes
4,096 tokens. At 2,048 tokens the summaries made by blocks are compared with those of whole maps. A second row: at 8,192
tokens the statistics of one layer beside the fused forward of the same attention, with the certificate and without.
"""

import json
import resource
import subprocess
import sys
import time

import numpy as np
import torch
from torch.nn import functional as F

from attncli.api import build
from attncli.maps.budget import Budget
from attncli.maps.capture import capture_forced
from attncli.maps.rebuilding import rebuilt
from attncli.maps.record import AttentionMap
from attncli.maps.reducing import Block, Reducer
from attncli.maps.taking import Axes, Forced, Plan
from attncli.nn.model import Model
from attncli.nn.records import Record
from attncli.spec.load import load_text
from attncli.streams import Batch, stream
from benchmarks.harness import Row, interleaved, main, median

SPEC = """
name: long
task: language_model
model:
  decoder: {{d_model: 256, layers: 4, max_length: {tokens}, dropout: 0, attention: {{heads: 8, d_head: 32}}}}
tokenizer: bytes
"""
BUDGET = 512_000_000


class Small(Budget):
    """A budget in which no map is kept whole."""

    def grant(self, size: int) -> bool:
        return False


def subject(tokens: int) -> tuple[Model, Batch]:
    """The model and a text."""
    model = build(load_text(SPEC.format(tokens=tokens)).run)
    torch.manual_seed(0)
    ids = torch.randint(5, 260, (1, tokens))
    return model, {"text": stream(ids.tolist(), pad=0)}


def pieces(field: str, ids: list[int]) -> list[str]:
    """Any names do."""
    return [str(each) for each in ids]


def child(kind: str, tokens: int) -> None:
    """One run in a process of its own; prints what it took."""
    model, batch = subject(tokens)
    began, before = time.perf_counter(), time.process_time()
    found: dict[str, object] = {}
    with torch.inference_mode():
        if kind == "forward":
            model(batch)
        else:
            _, (maps,) = capture_forced(model, batch, pieces, plan=Plan(Budget(BUDGET)))
            found["certified"] = all(one.certificate.holds for one in maps)
            found["output_error"] = max(one.certificate.output_error for one in maps)
            found["whole"] = sum(one.weights is not None for one in maps)
    found |= {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - before,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(found))


def difference(one: AttentionMap, other: AttentionMap) -> float:
    """The largest between two summaries, of statistics relative to their size."""
    worst = 0.0
    for name, values in one.summary.statistics.items():
        apart = np.abs(values - other.summary.statistics[name]) / np.maximum(np.abs(values), 1)
        worst = max(worst, float(apart.max()))
    mine, theirs = one.summary, other.summary
    for a, b in ((mine.overview.largest, theirs.overview.largest), (mine.overview.mean, theirs.overview.mean),
                 (mine.top_weights, theirs.top_weights), (mine.received, theirs.received)):  # fmt: skip
        worst = max(worst, float(np.abs(a - b).max()))
    return worst


def equal(tokens: int) -> float:
    """The largest difference between maps made by blocks and whole ones."""
    model, batch = subject(tokens)
    _, (whole,) = capture_forced(model, batch, pieces, plan=Plan(Budget(10**12)))
    _, (blocks,) = capture_forced(model, batch, pieces, plan=Plan(Small(BUDGET)))
    assert all(one.weights is not None for one in whole) and all(one.weights is None for one in blocks)
    return max(difference(one, other) for one, other in zip(whole, blocks, strict=True))


def statistics(tokens: int, rounds: int) -> Row:
    """The fused forward of an attention, and what the statistics of its map take besides."""
    model, batch = subject(tokens)
    row = Row(
        "statistics", f"{tokens} tokens, 8 heads of 32, causal: one attention, and the statistics of its map", "s"
    )
    seen: list[Record] = []
    with torch.inference_mode():
        model(batch, lambda record: seen.append(record) if not seen else None)
        record = seen[0]
        names, budget = tuple(map(str, range(tokens))), Small(BUDGET)
        room = budget.block // record.query.shape[1]

        def fused() -> None:
            F.scaled_dot_product_attention(
                record.query, record.key, record.value, is_causal=True, scale=record.attention.score.scale
            )

        def reduced() -> None:
            reducer = Reducer(heads=8, queries=tokens, keys=tokens, own_text=True, ahead=0)
            cell, first = reducer.key_cell, 0
            while first < tokens:
                # as many rows as have room with the keys in front of the last of them
                step = int(((first + cell) ** 2 / 4 + room) ** 0.5 - (first + cell) / 2)
                rows = slice(first, min(tokens, first + max(1, step)))
                made = rebuilt(record.part(rows, slice(0, -(-rows.stop // cell) * cell)), logs=True)
                assert made.logs is not None
                reducer.add(Block(made.weights[0], first, 0, made.logs[0]))
                first = rows.stop
            reducer.summary()

        def certified() -> None:
            tap = Forced(Plan(budget), lambda address, row, queries: Axes("self", names, names, None, 0))
            tap(record)
            tap.maps(0)

        works = {"statistics": reduced, "statistics, certified": certified, "fused forward": fused}
        times, row.peak = interleaved(works, row.notes, rounds=rounds)
    row.values = {name: median(took) for name, took in times.items()}
    for name in ("statistics", "statistics, certified"):
        apart = median([a / b for a, b in zip(times[name], times["fused forward"], strict=True)])
        row.checks[name] = f"{apart:.1f} times the fused forward" + (" (at most 4)" if name == "statistics" else "")
    return row


def measure(quick: bool) -> None:
    """Tell the rows."""
    statistics(2048 if quick else 8192, 3).tell()
    tokens = 4096 if quick else 32_768
    told = {}
    for kind in ("forward", "maps"):
        words = [sys.executable, "-m", "benchmarks.long_maps", "child", kind, str(tokens)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        told[kind] = json.loads(done.stdout.splitlines()[-1])
    row = Row("long maps", f"{tokens} tokens, 4 layers x 8 heads, d_model 256, causal, --budget 512MB", "s")
    row.values = {"attncli, maps": told["maps"]["seconds"], "attncli, forward": told["forward"]["seconds"]}
    over = (told["maps"]["peak"] - told["forward"]["peak"]) / 1e6
    row.checks["memory"] = f"{over:.0f} MB over the forward pass, which peaks at {told['forward']['peak'] / 1e6:.0f} MB"
    row.checks["certified"] = f"{told['maps']['certified']}, map V - output {told['maps']['output_error']:.1e}"
    row.checks["processor"] = f"{told['maps']['cpu']:.0f} s of maps, {told['forward']['cpu']:.0f} s of the forward pass"
    row.checks["equality at 2,048"] = f"largest difference {equal(2048):.1e}"
    row.tell()


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(sys.argv[2], int(sys.argv[3]))
    else:
        main(measure)
