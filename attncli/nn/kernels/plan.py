"""Which kernel serves an attention, and why: a pure function of its traits, the device, the dtype and the phase."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, NamedTuple

Phase = Literal["train", "eval"]
Kernel = Literal["fused", "banded", "flex", "chunked", "reference", "linear", "looped"]
Wanted = Literal["auto", "fused", "banded", "flex", "chunked", "reference"]

BANDED_FROM, DISPATCHED = 2, 256
"""Rows of so many times the keys that a block reads, and so many more, are where the banded kernel begins to win: it
starts a dozen operations for each head of each row, which a whole row of the fused kernel does not."""

CHUNKED_FROM = 1 << 22
"""Weights of one call, over all rows and heads, from which on the chunked kernel is no slower than the reference."""
BIASES = 1 << 25
"""Numbers of a bias of all pairs, 128 MiB, from which on the weights of some queries at a time take less."""
CHUNKS = "some queries at a time, made again backward, so that the weights of one block are held"
NARROWEST = 16
"""Features of a key and of a value from which on a GPU multiplies the blocks of FlexAttention."""
FLEX = "FlexAttention: blocks of pairs that the mask hides are not computed, and the weights are not held"
LEARNED_FLEX = "FlexAttention would add up the gradient of a learned bias pair by pair; kernel: flex asks for it"
FLEX_ON_CPU = "the spec asks for it; on the CPU FlexAttention makes all weights, so it is no faster there"
LOOPED = "a loop over the decoder's steps with a backward pass of its own: one product for each weight's gradient"


class Span(NamedTuple):
    """What a local mask comes to: keys that a block of queries reads, the first `columns` of a text among them.

    The first `rows` queries of a text read whole rows besides.
    """

    keys: int
    columns: int = 0
    rows: int = 0

    @property
    def least(self) -> int:
        """Keys of a row from which on the banded kernel begins to win."""
        return BANDED_FROM * (self.keys + self.rows) + DISPATCHED

    def __str__(self) -> str:
        besides = [_first(self.columns, "key")] if self.columns else []
        if self.rows:
            besides.append(f"{_first(self.rows, 'query')}, which read{'s' * (self.rows == 1)} the whole row")
        return "the mask is local" + (" besides " + " and ".join(besides) if besides else "")


def _first(number: int, what: str) -> str:
    many = {"key": "keys", "query": "queries"}[what]
    return f"the first {what}" if number == 1 else f"the first {number:,} {many}"


@dataclass(frozen=True)
class Traits:
    """What of an attention decides its kernel."""

    product: bool  # the score is a dot product of something made of the query and something made of the key
    softmax: bool
    bias: Literal["none", "fixed", "learned"]
    dropout: float
    heads: int
    kv_heads: int
    d_head: int
    d_value: int
    mask: str
    steps: tuple[str, ...] = ()  # keys of the spec that ask for steps which only the reference has
    maps: int = 1  # of weights, over all heads
    span: Span | None = None  # where the mask is local
    far: str | None = None  # what keeps a mask from being local of which a part is
    unbanded: tuple[str, ...] = ()  # what keeps the banded kernel away
    unchunked: tuple[str, ...] = ()  # what keeps the chunked kernel away
    unlooped: tuple[str, ...] | None = None  # in a decoder that goes step by step, what keeps its loop away
    triton: bool = True  # by which torch compiles FlexAttention, is installed
    wanted: Wanted = "auto"


class Size(NamedTuple):
    """Of one call. `near`: both sides lie in the order of their positions, as in a pass over whole rows."""

    batch: int
    queries: int
    keys: int
    near: bool


@dataclass(frozen=True)
class Choice:
    """A kernel and the reasons; where it is a slower one, the reasons name what keeps a faster one away."""

    kernel: Kernel
    reasons: tuple[str, ...]


@lru_cache(maxsize=4096)
def plan(traits: Traits, *, device: str, dtype: str, phase: Phase, size: Size | None) -> Choice:
    """Choose for one attention. `device` is cpu, cuda or mps; `dtype` as torch prints it, without 'torch.'.

    Without a size the rows are as long as they may be, and the reasons say from which length on that holds.
    """
    if traits.wanted == "reference":
        return Choice("reference", ("the spec asks for it",))
    if traits.unlooped is not None and (phase, device, traits.wanted) == ("train", "cpu", "auto"):
        if not traits.unlooped and dtype in ("float32", "float64"):
            return Choice("looped", (LOOPED,))
        if traits.unlooped:
            other = plan(replace(traits, unlooped=None), device=device, dtype=dtype, phase=phase, size=size)
            return Choice(other.kernel, (*other.reasons, "the decoder's loop has no " + ", ".join(traits.unlooped)))
    unflexed = _unflexed(traits, device=device, dtype=dtype, phase=phase, size=size)
    if traits.wanted == "flex":
        if not unflexed:
            return Choice("flex", (FLEX if device == "cuda" else FLEX_ON_CPU,))
        other = plan(replace(traits, wanted="auto"), device=device, dtype=dtype, phase=phase, size=size)
        return Choice(other.kernel, (*other.reasons, *(each for each in unflexed if each not in other.reasons)))
    span, other = traits.span, _whole(traits, device=device, phase=phase, size=size)
    if device == "cuda" and traits.wanted == "auto" and traits.steps == ("soft_cap",):
        other = Choice(other.kernel, (*other.reasons, *unflexed)) if unflexed else Choice("flex", (FLEX,))
    if span is None:
        far = (traits.far,) if traits.far is not None and traits.wanted == "auto" else ()
        return Choice(other.kernel, (*other.reasons, *far))
    least = span.least if traits.wanted != "banded" else 0
    bands = not traits.unbanded and traits.wanted in ("auto", "banded")
    if bands and (size is None or (size.near and size.keys >= least)):
        if device != "cuda" or traits.wanted == "banded":
            return Choice("banded", (_banded(span, least),))
        return _on_cuda(_banded(span, least), least, traits, phase=phase, unflexed=unflexed)
    if traits.wanted == "fused" or (traits.wanted == "chunked" and not traits.unbanded):
        return other
    if traits.unbanded:
        against = f"{span}, but the banded kernel has no " + ", ".join(traits.unbanded)
    elif size is not None and size.near:
        against = f"{span}, but with {size.keys} keys the banded kernel is no faster; it is from {least} on"
    else:
        against = f"{span}, but the banded kernel needs queries and keys that lie side by side"
    return Choice(other.kernel, (*other.reasons, against))


def _on_cuda(banded: str, least: int, traits: Traits, *, phase: Phase, unflexed: tuple[str, ...]) -> Choice:
    """Of the kernels whose cost grows with the length. There the blocks of the banded kernel would be some ten launches
    for each row, key head and few blocks of queries, those of FlexAttention are one launch in all."""
    if traits.bias == "learned" and phase == "train":
        unflexed = (*unflexed, LEARNED_FLEX)
    return Choice("banded", (banded, *unflexed)) if unflexed else Choice("flex", (f"{FLEX}{_short(least)}",))


def _unflexed(traits: Traits, *, device: str, dtype: str, phase: Phase, size: Size | None) -> tuple[str, ...]:
    """What keeps FlexAttention away: what it has not, and what torch 2.13 refuses on a device."""
    missing = [] if traits.product else ["score but dot products"]
    missing += [] if traits.softmax else ["normalizer but softmax"]
    missing += [each for each in traits.unbanded if each not in missing]
    against = [f"FlexAttention has no {', '.join(missing)}"] if missing else []
    if phase == "train" and traits.dropout > 0:
        against.append("FlexAttention has no dropout on the weights; dropout: 0 would allow it")
    if traits.unlooped is not None or (size is not None and not size.near and size.queries < size.keys):
        against.append("steps over kept keys would each make FlexAttention's blocks anew")
    if device == "cpu" and phase == "train":
        against.append("on the CPU FlexAttention has no backward pass")
    if device == "cuda":
        if min(traits.d_head, traits.d_value) < NARROWEST:
            widths = f"{traits.d_head} and {traits.d_value}"
            against.append(f"on CUDA FlexAttention needs {NARROWEST} features a key and a value ({widths})")
        if dtype == "float64":
            against.append("on CUDA FlexAttention has no float64")
        if not traits.triton:
            against.append("on CUDA FlexAttention is compiled by Triton, which is not installed")
    if device not in ("cpu", "cuda"):
        against.append(f"FlexAttention is not called on {device}, where it has no backward pass")
    return tuple(against)


def _banded(span: Span, least: int) -> str:
    return f"{span}: each block of queries reads {span.keys} keys, so the cost grows with the length{_short(least)}"


def _short(least: int) -> str:
    return f"; rows under {least} tokens, and steps with a cache, take the whole row" if least else ""


def _whole(traits: Traits, *, device: str, phase: Phase, size: Size | None) -> Choice:
    """Of the kernels that look at whole rows.

    The fused kernel is torch's scaled_dot_product_attention. Its fast form on the CPU has no dropout, no gradient for
    a bias and no values of another width than the keys; it would fall back to one that holds all weights, as the
    reference does, so the reference is the honest name there.
    """
    if traits.wanted == "chunked":
        return _by_rows(traits, size, ("the spec asks for it",))
    against = []
    if not traits.product:
        against.append("the score is no dot product")
    if not traits.softmax:
        against.append("the normalizer is not softmax")
    against += [f"the fused kernel has no {step}" for step in traits.steps]
    if device == "cpu":
        if phase == "train" and traits.dropout > 0:
            against.append("on the CPU the fused kernel has no dropout on the weights; dropout: 0 would allow it")
        if phase == "train" and traits.bias == "learned":
            against.append("on the CPU the fused kernel gives a learned bias no gradient; rotary would allow it")
        if traits.bias != "none" and size is not None and not traits.unchunked:
            held = traits.maps * size.queries * size.keys
            if held > BIASES:
                against.append(f"on the CPU the fused kernel reads the bias of all pairs at once: {held:,} numbers")
        if traits.d_value != traits.d_head:
            against.append(f"on the CPU the fused kernel needs d_value = d_head ({traits.d_value} and {traits.d_head})")
    if against and (traits.wanted != "fused" or not (traits.product and traits.softmax and not traits.steps)):
        return _by_rows(traits, size, tuple(against))
    reasons = ["a dot product under softmax: the weights need not be held"]
    if traits.wanted == "fused" and against:
        reasons.append("the spec asks for it, though " + "; ".join(against))
    return Choice("fused", tuple(reasons))


def _by_rows(traits: Traits, size: Size | None, against: tuple[str, ...]) -> Choice:
    """The reference, or the same some queries at a time."""
    if traits.unchunked:
        return Choice("reference", (*against, f"all queries at once, because of {', '.join(traits.unchunked)}"))
    if traits.wanted == "chunked":
        return Choice("chunked", against)
    if size is None:
        return Choice("reference", (*against, f"from {CHUNKED_FROM:,} weights a call on, chunked: {CHUNKS}"))
    if size.batch * traits.maps * size.queries * size.keys < CHUNKED_FROM:
        return Choice("reference", against)
    return Choice("chunked", (*against, CHUNKS))
