"""What the steps of one attention owe each other: a step without effect, or without a meaning, is refused."""

from collections.abc import Iterator

from attncli.spec.attention import MultiHead
from attncli.spec.base import Fault
from attncli.spec.norms import NoNorm
from attncli.spec.rules.sections import Site
from attncli.spec.steps import Llama4Temperature
from attncli.spec.words import listed

SINKING = ("softmax", "sparsemax", "entmax")
"""Normalizers whose weights compete for one unit of mass, so that a logit without a value can take some of it."""
VECTOR_NORMS = ("rms_norm", "layer_norm", "scale_norm", "dyt", "none")
"""Norms of one vector; another one would carry numbers from token to token."""
NORMS = ("qk_norm", "v_norm", "context_norm")


def faults(site: Site) -> Iterator[Fault]:
    """Every rule that the steps of one attention break."""
    for fault in (*_norms(site.attention), *_heads(site.attention), *_sink(site.attention), *_length(site)):
        yield Fault((*site.where, *fault.where), fault.rule, fault.help)
    yield from _kernel(site)


def _kernel(site: Site) -> Iterator[Fault]:
    missing = site.attention.without_kernel
    if site.attention.kernel == "fused" and missing:
        yield Fault((*site.where, "kernel"), f"the fused kernel has no {listed(missing)}", "write kernel: auto")


def _norms(a: MultiHead) -> Iterator[Fault]:
    for key in NORMS:
        norm = getattr(a, key)
        if norm.kind not in VECTOR_NORMS:
            yield Fault((key,), f"'{norm.kind}' measures over places, and a head has one vector at each", "rms_norm")
    if not isinstance(a.qk_norm, NoNorm) and a.qk_norm.over == "projection" and a.heads == a.kv_heads == 1:
        yield Fault(("qk_norm", "over"), "of one head the projection is the head", "leave over out")


def _heads(a: MultiHead) -> Iterator[Fault]:
    if a.talking_heads == "none":
        return
    if a.heads == 1:
        yield Fault(("talking_heads",), "one head has no other to talk to", "write more heads, or leave it out")
    if a.talking_heads != "before" and "h" in a.mask.names:
        rule = f"after they are mixed, a head has weights where another one's part of '{a.mask.text}' shows keys"
        yield Fault(("talking_heads",), rule, "write talking_heads: before, or one mask for all heads")


def _sink(a: MultiHead) -> Iterator[Fault]:
    if a.sink != "none" and a.normalizer.kind not in SINKING:
        rule = f"'{a.normalizer.kind}' has no sum of exponentials or of shares that a sink could take a part of"
        yield Fault(("sink",), rule, f"write a normalizer of {listed(SINKING)}, or leave sink out")


def _length(site: Site) -> Iterator[Fault]:
    temperature = site.attention.length_temperature
    if isinstance(temperature, Llama4Temperature) and temperature.floor > site.q_length:
        rule = f"the factor is 1 up to position {temperature.floor}, and '{site.name}' has {site.q_length}"
        yield Fault(("length_temperature", "floor"), rule, f"write at most {site.q_length}, or leave it out")
