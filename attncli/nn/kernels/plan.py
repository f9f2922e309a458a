"""Which kernel serves an attention, and why: a pure function of its traits, the device, the dtype and the phase."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Phase = Literal["train", "eval"]


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
    wanted: Literal["auto", "fused", "reference"] = "auto"


@dataclass(frozen=True)
class Choice:
    """A kernel and the reasons; where it is the reference, each reason names what keeps the fused one away."""

    kernel: Literal["fused", "reference", "linear"]
    reasons: tuple[str, ...]


@lru_cache(maxsize=4096)
def plan(traits: Traits, *, device: str, dtype: str, phase: Phase) -> Choice:
    """Choose for one attention. `device` is cpu, cuda or mps; `dtype` as torch prints it, without 'torch.'.

    The fused kernel is torch's scaled_dot_product_attention. Its fast form on the CPU has no dropout, no gradient for
    a bias and no values of another width than the keys; it would fall back to one that holds all weights, as the
    reference does, so the reference is the honest name there.
    """
    if traits.wanted == "reference":
        return Choice("reference", ("the spec asks for it",))
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
        if traits.d_value != traits.d_head:
            against.append(f"on the CPU the fused kernel needs d_value = d_head ({traits.d_value} and {traits.d_head})")
    if against and (traits.wanted == "auto" or not (traits.product and traits.softmax and not traits.steps)):
        return Choice("reference", tuple(against))
    reasons = ["a dot product under softmax: the weights need not be held"]
    if traits.wanted == "fused" and against:
        reasons.append("the spec asks for it, though " + "; ".join(against))
    return Choice("fused", tuple(reasons))
