"""What the ability to be inspected costs a model that is not: nothing.

    python -m benchmarks.tap [--quick]

The model as it is, with no tap, beside the same model without any line that knows of taps: `untapped` takes these out
of the source of its attentions and compiles what is left. Told are the median of the ratios of rounds that take turns,
its 95 % interval (by order statistics: no distribution is assumed), and whether both dispatch the same operations on
the same sizes in the same order, for each kernel.
"""

import ast
import inspect
import math
import textwrap
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from attncli.api import build
from attncli.nn.attention import Attention
from attncli.spec.load import load_text
from attncli.streams import stream
from benchmarks.harness import Row, main, median

SPEC = """
name: tap
task: language_model
model:
  decoder: {{d_model: 256, layers: 4, max_length: 128, dropout: 0, attention: {attention}}}
tokenizer: bytes
"""
KINDS = {
    "fused": "{heads: 8, kernel: fused}",
    "banded": "{heads: 8, kernel: banded, mask: causal & window(before=15)}",
    "chunked": "{heads: 8, kernel: chunked, score: additive}",
    "reference": "{heads: 8, kernel: reference}",
    "linear": "{kind: linear, heads: 8}",
}
NEAR = 0.01
"""How far from 1 the interval may lie."""


class Untap(ast.NodeTransformer):
    """Takes out what is done where there is a tap."""

    def __init__(self) -> None:
        self.taken = 0

    def visit_If(self, node: ast.If) -> Any:
        """`if ….tap is not None:` and its body go; of `if ….tap is None:` the body stays."""
        self.generic_visit(node)
        test = node.test
        if not (isinstance(test, ast.Compare) and ast.unparse(test.left).endswith(".tap")):
            return node
        self.taken += 1
        off = node.orelse if isinstance(test.ops[0], ast.IsNot) else node.body
        return off or ast.Pass()


def untapped(model: nn.Module) -> int:
    """Leaves the attentions of a model without a line that knows of taps; how many branches were taken out."""
    made: dict[type[Attention], tuple[type[Attention], int]] = {}
    for module in model.modules():
        if isinstance(module, Attention):
            module.__class__, _ = made.setdefault(type(module), _bare(type(module)))
    return sum(taken for _, taken in made.values())


def _bare(kind: type[Attention]) -> tuple[type[Attention], int]:
    own: dict[str, Any] = {}
    taken = 0
    for method in {name: each for base in reversed(kind.__mro__) for name, each in vars(base).items()}.values():
        if inspect.isfunction(method) and "tap" in method.__code__.co_names:
            tree, taking = ast.parse(textwrap.dedent(inspect.getsource(method))), Untap()
            tree = ast.fix_missing_locations(taking.visit(tree))
            if taking.taken:
                exec(compile(tree, inspect.getfile(method), "exec"), method.__globals__, own)
                taken += taking.taken
    return type(kind.__name__, (kind,), own), taken


class Operations(TorchDispatchMode):
    """Every operation that is dispatched, with the sizes of what it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Any, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Notes it, and does it."""
        sizes = [tuple(each.shape) for each in args if isinstance(each, torch.Tensor)]
        self.seen.append((str(func), *sizes))
        return func(*args, **(kwargs or {}))


def operations(model: nn.Module, batch: Any) -> list[tuple[Any, ...]]:
    """Of one pass."""
    with Operations() as mode:
        model(batch)
    return mode.seen


def same(kind: str) -> tuple[bool, int, int]:
    """Whether both dispatch the same; how many operations, and how many branches the other does not have."""
    model, batch = subject(kind)
    model(batch)  # what is made once
    plain = operations(model, batch)
    taken = untapped(model)
    return plain == operations(model, batch), len(plain), taken


def subject(kind: str) -> tuple[nn.Module, Any]:
    """A model of this kernel, and a text."""
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    model = build(load_text(SPEC.format(attention=KINDS[kind])).run)
    return model, {"text": stream(torch.randint(5, 260, (1, 128)).tolist(), pad=0)}


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Of the median, to 95 %: the values whose ranks are n/2 - and + 0.98 root n."""
    ordered, half = sorted(values), 0.98 * math.sqrt(len(values))
    low, high = math.floor(len(values) / 2 - half), math.ceil(len(values) / 2 + half)
    return ordered[max(0, low)], ordered[min(len(values) - 1, high)]


def ratios(kind: str, rounds: int) -> tuple[list[float], list[float]]:
    """Of each round, in turns of both orders: time as it is / time without taps; and seconds as it is."""
    (model, batch), (bare, _) = subject(kind), subject(kind)
    untapped(bare)
    found, times = [], []

    def timed(one: nn.Module) -> float:
        began = time.perf_counter()
        one(batch)
        return time.perf_counter() - began

    for turn in range(rounds + 10):
        if turn % 2:
            as_it_is, without = timed(model), timed(bare)
        else:
            without, as_it_is = timed(bare), timed(model)
        if turn >= 10:
            found.append(as_it_is / without)
            times.append(as_it_is)
    return found, times


def measure(quick: bool) -> None:
    """Tell the row."""
    row = Row(
        "tap off", "4 layers x 8 heads x 128 tokens: a model that could be inspected beside one that could not", "ms"
    )
    found, times = ratios("fused", 100 if quick else 600)
    low, high = interval(found)
    row.values = {"attncli": median(times) * 1e3, "attncli without taps": median(times) / median(found) * 1e3}
    holds = "holds" if low <= 1 <= high and low > 1 - NEAR and high < 1 + NEAR else "does not hold"
    row.checks["ratio of the times"] = (
        f"{median(found):.4f}, 95 % interval {low:.4f} to {high:.4f}: it should have 1 in it and lie within "
        f"{NEAR:.0%} of it, which {holds}"
    )
    for kind in KINDS:
        alike, count, taken = same(kind)
        row.checks[kind] = f"{'the same' if alike else 'OTHER'} {count} operations; {taken} branches taken out"
    row.tell()


if __name__ == "__main__":
    main(measure)
