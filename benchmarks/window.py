"""A causal window of 128 tokens, forward and backward, beside a peer and all pairs under a mask; and how it grows.

    python -m benchmarks.window

8 heads of 32, 8,192 tokens, float32. Growth compares 65,536 tokens with 8,192, each in a process of its own: seconds,
and the most memory that the first pass takes beyond what the process held, its inputs among what is taken.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from attncli.nn.banding import band_of, tile_of
from attncli.nn.kernels import banded
from attncli.nn.positions import Relative
from attncli.spec.masks import parse
from attncli.training.machine import use_threads
from benchmarks.harness import Row, contestant, interleaved, main, median
from benchmarks.taken import Apart

HEADS, WIDTH, WINDOW, LENGTH, LONG = 8, 32, 128, 8192, 65536
MASK = parse(f"causal & window(before={WINDOW - 1})")


def inputs(length: int) -> list[Tensor]:
    """Queries, keys and values (1 h n e)."""
    torch.manual_seed(0)
    return [torch.randn(1, HEADS, length, WIDTH, requires_grad=True) for _ in range(3)]


def ours(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """What an attention with this mask runs between its projections."""
    band = band_of(MASK, HEADS, counted=True)
    tile = tile_of(MASK, HEADS, band, Relative(), query)
    call = banded.Call(band.blocks, WIDTH**-0.5, None, 0.0, key.shape[2], None)
    return banded.attend(query, key, value, tile, call)[0]


def dense(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """torch's fused kernel with the mask of all pairs."""
    at = torch.arange(query.shape[2])
    away = at.unsqueeze(1) - at
    return F.scaled_dot_product_attention(query, key, value, attn_mask=(away >= 0) & (away < WINDOW))


def growing(length: int) -> Callable[[], None]:
    """One forward and backward pass over inputs that are made in it, in a process that has its libraries' buffers."""

    def passes(length: int = length) -> None:
        ours(*inputs(length)).sum().backward()

    passes(2048)
    return passes


def measure(quick: bool) -> None:
    """Both rows."""
    grow(3 if quick else 7)  # first, while this process holds nothing
    use_threads(None)
    row = Row("window 128", f"{LENGTH:,} tokens, {HEADS} heads of {WIDTH}, forward and backward", "ms")
    given = inputs(LENGTH)
    asked = {"attncli": ours, "SDPA, dense mask": dense}
    with contestant("local-attention", row.notes):
        from local_attention import LocalAttention

        asked["local-attention"] = LocalAttention(
            window_size=WINDOW, causal=True, look_backward=1, exact_windowsize=True, autopad=True,
            use_rotary_pos_emb=False,
        )  # fmt: skip
    expected, found = (torch.autograd.grad(f(*given).square().sum(), given) for f in (dense, ours))
    with torch.no_grad():
        apart = max(float((one - other).abs().max()) for one, other in zip(found, expected, strict=True))
        outputs = float((ours(*given) - dense(*given)).abs().max())
    row.checks["largest difference from the dense mask"] = f"{outputs:.0e}; of gradients {apart:.0e}"
    assert outputs < 1e-5 and apart < 1e-3, (outputs, apart)
    works = {name: lambda f=f: f(*given).sum().backward() for name, f in asked.items()}
    dense_work = works.pop("SDPA, dense mask")
    times, row.peak = interleaved(works, row.notes, rounds=3 if quick else 7)
    slow, _ = interleaved({"SDPA, dense mask": dense_work}, row.notes, rounds=1)
    row.values = {name: 1e3 * median(took) for name, took in (times | slow).items()}
    wanted = {"local-attention": 1.6, "SDPA, dense mask": 15.0}
    row.ratios = {
        name: (row.values[name] / row.values["attncli"], wanted[name]) for name in row.values if name in wanted
    }
    band = band_of(MASK, HEADS, counted=True).blocks
    flops = 2 * 7 * HEADS * LENGTH * band.width * WIDTH  # two products forward, five backward
    row.shares["attncli"] = flops / (row.values["attncli"] / 1e3) / row.peak
    row.tell()


def grow(rounds: int) -> None:
    """The row of seconds and memory at both lengths, whose processes take turns."""
    row = Row("window 128, growth", f"{LONG:,} tokens beside {LENGTH:,}, forward and backward", "ms")
    with Apart(growing, LENGTH) as short, Apart(growing, LONG) as long:
        held = [each().bytes for each in (short, long)]
        times = [(short().seconds, long().seconds) for _ in range(rounds)]
    seconds = [median(list(each)) for each in zip(*times, strict=True)]
    row.values = {f"{n:,} tokens": 1e3 * each for n, each in zip((LENGTH, LONG), seconds, strict=True)}
    row.checks["time"] = f"{seconds[1] / seconds[0]:.2f} times, of 8.8 wanted"
    row.checks["memory"] = (
        f"{held[1] / held[0]:.2f} times ({held[0] / 2**20:.0f} and {held[1] / 2**20:.0f} MiB), of 8.8 wanted"
    )
    row.tell()


if __name__ == "__main__":
    main(measure)
