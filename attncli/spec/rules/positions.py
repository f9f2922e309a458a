"""What a relative position owes the attention in which it stands."""

from collections.abc import Iterator

from attncli.spec.attention import AnyAttention
from attncli.spec.base import Fault
from attncli.spec.positions import (
    BACKWARD,
    Alibi,
    Bank,
    Disentangled,
    DynamicNtk,
    Forgetting,
    Kerple,
    Longrope,
    Pope,
    Rotary,
    Sandwich,
    Shaw,
    TransformerXl,
    Xpos,
    Yarn,
)
from attncli.spec.rules.sections import Site
from attncli.spec.scores import Cosine, Dot, General, ScaledDot

LINEAR = (ScaledDot, Dot)
"""Scores that are the dot product itself, so that what is added to a key is added to the score."""
FADING = (Alibi, Kerple, Sandwich, Forgetting)
"""Positions that take from a score, the more the farther the key."""
NEAR = 64
"""Tokens of the text in which a mask is asked what it shows."""
FARTHEST = 64
"""scale_bases that a text may be long under xpos: 3.5^64 is near the largest float32."""


def faults(site: Site, *, writes: bool) -> Iterator[Fault]:
    """Every rule that the position breaks; `writes`: the attention reads what its stack predicts."""
    a = site.attention
    for fault in (*_backward(a), *_behind(site), *_alone(a), *_fading(a), *_score(a), *_stretched(site, writes=writes)):
        yield Fault((*site.where, "position", *fault.where), fault.rule, fault.help)


def _backward(a: AnyAttention) -> Iterator[Fault]:
    if isinstance(a.position, BACKWARD) and a.mask.causal() is not None:
        rule = f"'{a.position.kind}' looks back from the query, and the mask '{a.mask.text}' shows keys behind it"
        yield Fault((), rule, "write a causal mask, or another position")


def _behind(site: Site) -> Iterator[Fault]:
    a, length = site.attention, min(site.q_length, NEAR)
    if isinstance(a.position, Bank) and not any(
        row & ((2 << q) - 1) for head in range(a.heads) for q, row in enumerate(a.mask.rows(length, head=head))
    ):
        rule = f"'bank' adds to the scores of keys from the query back, and the mask '{a.mask.text}' shows none of them"
        yield Fault((), rule, "write another position, or another mask")


def _fading(a: AnyAttention) -> Iterator[Fault]:
    if isinstance(a.position, FADING) and a.normalizer.kind == "signed":
        rule = f"'{a.position.kind}' lowers the scores of far keys, and under 'signed' a low score is a large weight"
        yield Fault((), rule, "write rotary, or normalizer: softmax")


def _alone(a: AnyAttention) -> Iterator[Fault]:
    """Steps that meet queries and keys as they are, not as this position leaves them."""
    doubled = isinstance(a.position, Rotary) and isinstance(a.position.scaling, Longrope) and a.mask.causal() is None
    if a.persistent and (doubled or isinstance(a.position, (Xpos, Pope))):
        kind = "longrope" if doubled else a.position.kind
        rule = f"'{kind}' compares keys at two positions, and a persistent key stands at none"
        yield Fault((), rule, "leave persistent out, or write rotary without longrope")
    if doubled and a.span.kind == "predicted":
        yield Fault((), "'longrope' keeps queries in two turns, and a span is predicted of one", "leave span out")
    if isinstance(a.position, Pope) and a.span.kind == "predicted":
        yield Fault((), "'pope' keeps a query as cosines and sines, and a span is predicted of one", "leave span out")
    if isinstance(a.position, Pope) and a.values == "keys":
        rule = "'pope' bends each key to a length of its features, so that no turn makes a value of it again"
        yield Fault((), rule, "write rotary, or leave values out")
    if isinstance(a.position, Forgetting) and a.kv_from is not None:
        rule = f"'forgetting' asks each token as the keys are made, and the keys are those of '{a.kv_from}'"
        yield Fault((), rule, "leave kv_from out, or write another position")


def _score(a: AnyAttention) -> Iterator[Fault]:
    position, score = a.position, a.score
    if isinstance(position, (Shaw, TransformerXl, Xpos, Pope)) and not isinstance(score, LINEAR):
        rule = f"'{position.kind}' is defined for the dot product of query and key, and the score is '{score.kind}'"
        yield Fault((), rule, "write score: scaled_dot or dot, or another position")
    if isinstance(position, Disentangled) and not isinstance(score, ScaledDot):
        rule = f"'disentangled' shares one scale among three products, and the score '{score.kind}' has none"
        yield Fault((), rule, "write score: scaled_dot, or another position")
    if not isinstance(position, Rotary):
        return
    scaling = position.scaling
    if isinstance(scaling, Longrope) and a.mask.causal() is None and not isinstance(score, LINEAR):
        rule = f"'longrope' keeps keys in two turns side by side, and the score '{score.kind}' would compare both"
        yield Fault(("scaling",), rule, "write score: scaled_dot or dot, or another scaling")
    if isinstance(scaling, Yarn) and scaling.temperature == "logits" and not isinstance(score, (*LINEAR, General)):
        rule = f"the score '{score.kind}' does not grow with its query, so that there is no temperature of the logits"
        yield Fault(("scaling", "temperature"), rule, "write temperature: none")
    whole = position.d_rotary == a.d_head
    if isinstance(scaling, Yarn) and scaling.temperature == "rotation" and whole and isinstance(score, Cosine):
        rule = "'cosine' does not see how long the turned features are"
        yield Fault(("scaling", "temperature"), rule, "write temperature: none")


def _stretched(site: Site, *, writes: bool) -> Iterator[Fault]:
    position, length = site.attention.position, site.k_length
    if isinstance(position, Xpos) and length > FARTHEST * position.scale_base:
        rule = f"max_length {length} is more than {FARTHEST} scale_base: queries and keys would overflow float32"
        yield Fault(("scale_base",), rule, f"write scale_base: {-(-length // FARTHEST)} or more")
    scaling = position.scaling if isinstance(position, Rotary) else None
    if not isinstance(scaling, (DynamicNtk, Longrope)):
        return
    if scaling.original_length >= length:
        rule = f"no text is longer than original_length {scaling.original_length}, since max_length is {length}"
        yield Fault(("scaling", "original_length"), rule, f"write less, or a larger max_length on '{site.name}'")
    if writes and (isinstance(scaling, DynamicNtk) or site.attention.mask.causal() is not None):
        rule = f"'{scaling.kind}' turns early tokens by how long their text becomes, which no writer knows"
        yield Fault(("scaling",), rule, "write yarn, ntk or linear")
