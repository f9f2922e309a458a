"""Attentions that no fused kernel serves, at 2,048 tokens: some queries at a time, beside all weights at once.

    python -m benchmarks.memory

8 heads of 32 (4 of 64 where a tanh layer exists for every pair), forward and backward, float32. Memory is the most that
a process of its own takes beyond what it had. The last row trains additive attention over 4,096 x 4,096 pairs.
"""

import sys

import torch
from pydantic import TypeAdapter
from torch import Tensor

from attncli.nn.attention import Attention, build_attention
from attncli.nn.view import view_of_self
from attncli.spec.attention import MultiHead
from attncli.streams import stream
from benchmarks.harness import Row, interleaved, main, median
from benchmarks.taken import most_memory, tell

LENGTH, D = 2048, 256
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


def passes(module: Attention, length: int) -> list[Tensor]:
    """The output, and the gradient of the input, of one pass forward and backward."""
    torch.manual_seed(1)
    x = torch.randn(1, length, D, requires_grad=True)
    output = module(x, x, view_of_self(stream([[1] * length], pad=0)))
    output.square().sum().backward()
    assert x.grad is not None
    return [output.detach(), x.grad]


def measure(quick: bool) -> None:
    """A row a kind, and the long one."""
    for kind, (_, most) in KINDS.items():
        row = Row(f"memory: {kind}", f"{LENGTH:,} tokens, forward and backward", "ms")
        modules = {"attncli": attention(kind, "chunked"), "all weights at once": attention(kind, "reference")}
        if kind != "dropout":
            found = zip(*(passes(module, LENGTH) for module in modules.values()), strict=True)
            near = [float((one - other).abs().max() / other.abs().max()) for one, other in found]
            row.checks["largest difference, of the largest number"] = f"{near[0]:.0e}; of gradients {near[1]:.0e}"
            assert max(near) < 1e-4, near
        works = {name: lambda module=module: passes(module, LENGTH) for name, module in modules.items()}
        times, row.peak = interleaved(works, row.notes, rounds=1 if quick else 3)
        row.values = {name: 1e3 * median(took) for name, took in times.items()}
        ratio = row.values["all weights at once"] / row.values["attncli"]
        row.ratios = {"all weights at once": (ratio, 1 / most)}
        held = [most_memory("benchmarks.memory", kind, kernel, LENGTH) for kernel in ("chunked", "reference")]
        row.checks["memory"] = (
            f"{held[0] / 2**20:.0f} MiB against {held[1] / 2**20:.0f}: 1/{held[1] / held[0]:.1f}, of 1/8 wanted"
        )
        row.tell()
    long = Row("memory: additive, 4,096 tokens", "4 heads of 64, forward and backward", "MiB")
    long.values = {"attncli": most_memory("benchmarks.memory", "additive", "chunked", 4096) / 2**20}
    long.checks["memory"] = f"{long.values['attncli']:.0f} MiB, of 2,048 wanted"
    long.tell()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        kind, kernel, length = sys.argv[2], sys.argv[3], int(sys.argv[4])
        module = attention(kind, kernel)
        for warm in ("chunked", "reference"):  # code and buffers of the libraries are no part of a kernel's memory
            passes(attention(kind, warm), 512 if warm == "chunked" else 64)
        tell(lambda: passes(module, length))
    else:
        main(measure)
