"""Attentions that no fused kernel serves, at 2,048 tokens: some queries at a time, beside all weights at once.

    python -m benchmarks.memory

8 heads of 32 (4 of 64 where a tanh layer exists for every pair), forward and backward, float32. Each contestant has a
process of its own, and they take turns. Memory is the most that the first pass takes beyond what the process held;
times are those of later passes, or of the first where one takes long. The last row trains additive attention over
4,096 x 4,096 pairs.
"""

from collections.abc import Callable
from typing import Any

import torch
from numpy import abs as size_of
from pydantic import TypeAdapter

from attncli.nn.attention import Attention, build_attention
from attncli.nn.view import view_of_self
from attncli.spec.attention import MultiHead
from attncli.streams import stream
from benchmarks.harness import Row, main, median
from benchmarks.taken import Apart, Taken

LENGTH, D, LONG = 2048, 256, 8.0
"""Tokens; features; seconds of a pass that is not made again."""
KINDS = {
    "additive": ({"heads": 4, "kv_heads": 4, "d_head": 64, "score": {"kind": "additive", "d_hidden": 64}}, 1.3),
    "entmax": ({"normalizer": {"kind": "entmax", "alpha": 1.5}}, 1.6),
    "T5 bias": ({"position": {"kind": "t5", "buckets": 32, "max_distance": 128, "share": "layer"}}, 1.3),
    "soft-cap": ({"soft_cap": 50.0}, 1.3),
    "talking heads": ({"talking_heads": "both"}, 1.3),
    "dropout": ({"dropout": 0.1, "mask": "causal"}, 1.3),
}
"""What an attention is, and how much time it may take beside all weights at once."""


def attention(kind: str, kernel: str) -> Attention:
    """The module, with the same weights for every kernel."""
    given = {"kind": "multi_head", "heads": 8, "kv_heads": 8, "d_head": 32, "bias": False, "norm": {"kind": "none"},
             "norm_place": "pre", "dropout": 0.0, "mask": "full", "score": {"kind": "scaled_dot", "scale": 32**-0.5},
             "position": {"kind": "none"}, "kernel": kernel}  # fmt: skip
    given |= KINDS[kind][0]
    spec = TypeAdapter(MultiHead).validate_python({"d_value": given["d_head"]} | given)
    module = build_attention(spec, d_query=D, d_memory=D, d_output=D)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.06)
    return module.train()


def passes(module: Attention, length: int) -> list[Any]:
    """The output, and the gradient of the input, of one pass forward and backward, as arrays."""
    torch.manual_seed(1)
    x = torch.randn(1, length, D, requires_grad=True)
    output = module(x, x, view_of_self(stream([[1] * length], pad=0)))
    output.square().sum().backward()
    assert x.grad is not None
    return [output.detach().numpy(), x.grad.numpy()]


def working(kind: str, kernel: str, length: int) -> Callable[[], list[Any]]:
    """One pass, in a process whose libraries have their code and buffers: these are no part of a kernel's memory."""
    module = attention(kind, kernel)
    passes(attention(kind, "chunked"), 512)
    passes(attention(kind, "reference"), 64)
    return lambda: passes(module, length)


def taken(kind: str, length: int, rounds: int) -> tuple[Taken, Taken, list[float]]:
    """The first passes, and the median seconds, of some queries at a time and of all weights at once."""
    with Apart(working, kind, "chunked", length) as ours, Apart(working, kind, "reference", length) as plain:
        firsts = (ours(), plain())
        if max(first.seconds for first in firsts) > LONG:
            return *firsts, [first.seconds for first in firsts]
        times = [(ours().seconds, plain().seconds) for _ in range(rounds)]
    return *firsts, [median(list(each)) for each in zip(*times, strict=True)]


def measure(quick: bool) -> None:
    """A row a kind, and the long one."""
    for kind, (_, most) in KINDS.items():
        length = LENGTH // 2 if quick and kind == "additive" else LENGTH
        row = Row(f"memory: {kind}", f"{length:,} tokens, forward and backward", "ms")
        ours, plain, times = taken(kind, length, 1 if quick else 5)
        row.values = {name: 1e3 * each for name, each in zip(("attncli", "all weights at once"), times, strict=True)}
        row.ratios = {"all weights at once": (times[1] / times[0], 1 / most)}
        ratio = plain.bytes / ours.bytes
        row.checks["memory"] = (
            f"{ours.bytes / 2**20:.0f} MiB against {plain.bytes / 2**20:,.0f}: 1/{ratio:.1f}, of 1/8 wanted"
        )
        if kind != "dropout":  # of which each draws its own
            pairs = zip(ours.found, plain.found, strict=True)
            near = [float(size_of(one - other).max() / size_of(other).max()) for one, other in pairs]
            row.checks["largest difference, of the largest number"] = f"{near[0]:.0e}; of gradients {near[1]:.0e}"
            assert max(near) < 1e-4, near
        row.tell()
    long = Row("memory: additive, 4,096 tokens", "4 heads of 64, forward and backward", "MiB")
    with Apart(working, "additive", "chunked", 4096) as alone:
        held = alone()
    long.values = {"attncli": held.bytes / 2**20}
    long.checks["memory"] = f"{held.bytes / 2**20:.0f} MiB in {held.seconds:.1f} s, of 2,048 MiB wanted"
    long.tell()


if __name__ == "__main__":
    main(measure)
