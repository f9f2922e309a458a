"""Windows of 128 tokens, forward and backward, beside a peer and all pairs under a mask; and how they grow.

    python -m benchmarks.window

8 heads of 32, 8,192 tokens, float32: a causal window, and one to both sides besides which 4 global tokens see all and
are seen by all. Growth compares 65,536 tokens with 8,192, each in a process of its own: seconds, and the most memory
that the first pass takes beyond what the process held, its inputs among what is taken.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from attncli.nn.attention import Attention, build_attention
from attncli.nn.banding import span_of
from attncli.nn.serving import Ready
from attncli.nn.view import view_of_self
from attncli.spec.attention import MultiHead
from attncli.spec.masks import Mask, parse
from attncli.streams import stream
from attncli.training.machine import use_threads
from benchmarks.harness import Row, contestant, interleaved, main, median
from benchmarks.taken import Apart

HEADS, WIDTH, WINDOW, LENGTH, LONG = 8, 32, 128, 8192, 65536
MASKS = {
    "window 128": parse(f"causal & window(before={WINDOW - 1})"),
    "window 128 and 4 global tokens": parse(f"window(around={WINDOW // 2}) | global(4)"),
}


def inputs(length: int) -> list[Tensor]:
    """Queries, keys and values (1 h n e)."""
    torch.manual_seed(0)
    return [torch.randn(1, HEADS, length, WIDTH, requires_grad=True) for _ in range(3)]


def attention(mask: Mask) -> Attention:
    """One without maps of its own."""
    given = {"kind": "multi_head", "heads": HEADS, "kv_heads": HEADS, "d_head": WIDTH, "d_value": WIDTH, "mask": mask}
    given |= {"projections": "none", "bias": False, "norm": "none", "norm_place": "pre", "dropout": 0.0}
    d_model = HEADS * WIDTH
    given |= {"position": "none", "score": {"kind": "scaled_dot", "scale": WIDTH**-0.5}}
    return build_attention(MultiHead.model_validate(given), d_query=d_model, d_memory=d_model, d_output=d_model)


def ours(module: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """What an attention runs between its projections."""
    tokens = view_of_self(stream([[1] * query.shape[2]], pad=0))
    return module.serve(Ready(query, key, value, (), tokens, query))


def dense(pairs: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """torch's fused kernel with the mask of all pairs, which is made once."""
    return F.scaled_dot_product_attention(query, key, value, attn_mask=pairs)


def growing(mask: str, length: int) -> Callable[[], None]:
    """One forward and backward pass over inputs that are made in it, in a process that has its libraries' buffers."""
    module = attention(MASKS[mask])

    def passes(length: int = length) -> None:
        ours(module, *inputs(length)).sum().backward()

    passes(2048)
    return passes


def measure(quick: bool) -> None:
    """The rows of both masks."""
    for name in MASKS:  # first, while this process holds nothing
        grow(name, 3 if quick else 7)
    use_threads(None)
    for name in MASKS:
        beside(name, 3 if quick else 7)


def beside(name: str, rounds: int) -> None:
    """The row of one mask and the other ways to the same."""
    row = Row(name, f"{LENGTH:,} tokens, {HEADS} heads of {WIDTH}, forward and backward", "ms")
    mask, given = MASKS[name], inputs(LENGTH)
    asked: dict[str, Callable[..., Tensor]] = {"attncli": partial(ours, attention(mask))}
    wanted = {"SDPA, dense mask": 15.0}
    if name == "window 128":  # a peer has no global tokens
        wanted["local-attention"] = 1.6
        with contestant("local-attention", row.notes):
            from local_attention import LocalAttention

            asked["local-attention"] = LocalAttention(
                window_size=WINDOW, causal=True, look_backward=1, exact_windowsize=True, autopad=True,
                use_rotary_pos_emb=False,
            )  # fmt: skip
    at = torch.arange(LENGTH)
    whole = partial(dense, mask.allows(at.unsqueeze(1), at))
    expected, found = (torch.autograd.grad(f(*given).square().sum(), given) for f in (whole, asked["attncli"]))
    with torch.no_grad():
        apart = max(float((one - other).abs().max()) for one, other in zip(found, expected, strict=True))
        outputs = float((asked["attncli"](*given) - whole(*given)).abs().max())
    row.checks["largest difference from the dense mask"] = f"{outputs:.0e}; of gradients {apart:.0e}"
    assert outputs < 1e-5 and apart < 1e-3, (outputs, apart)
    works = {name: lambda f=f: f(*given).sum().backward() for name, f in asked.items()}
    times, row.peak = interleaved(works, row.notes, rounds=rounds)
    slow, _ = interleaved({"SDPA, dense mask": lambda: whole(*given).sum().backward()}, row.notes, rounds=1)
    row.values = {name: 1e3 * median(took) for name, took in (times | slow).items()}
    row.ratios = {
        name: (row.values[name] / row.values["attncli"], wanted[name]) for name in row.values if name in wanted
    }
    span = span_of(mask, HEADS)
    assert span is not None
    flops = 2 * 7 * HEADS * LENGTH * (span.keys + span.rows) * WIDTH  # two products forward, five backward
    row.shares["attncli"] = flops / (row.values["attncli"] / 1e3) / row.peak
    row.tell()


def grow(name: str, rounds: int) -> None:
    """The row of seconds and memory at both lengths, whose processes take turns."""
    row = Row(f"{name}, growth", f"{LONG:,} tokens beside {LENGTH:,}, forward and backward", "ms")
    with Apart(growing, name, LENGTH) as short, Apart(growing, name, LONG) as long:
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
