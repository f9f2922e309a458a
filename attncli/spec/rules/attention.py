"""What an attention must obey where it stands."""

from collections.abc import Iterator

from attncli.spec.base import Fault
from attncli.spec.fixed import Projection
from attncli.spec.masks.predicates import Causal, Neighbourhood, Prefix, Same
from attncli.spec.masks.rules import mask_faults
from attncli.spec.normalizers import Monotonic, Queries
from attncli.spec.positions import Alibi, Forgetting, Kerple, NoPosition, Rotary, Xpos
from attncli.spec.recurrent import Recurrent
from attncli.spec.rules import kernels, positions, second, sequential, steps
from attncli.spec.rules.sections import Site
from attncli.spec.scores import (
    BiasedDot,
    Cosine,
    Distance,
    Dot,
    Location,
    ScaledDot,
    Synthesizer,
    Trilinear,
)
from attncli.spec.spans import Predicted

COMPARED = (ScaledDot, Dot, Cosine, BiasedDot, Trilinear, Distance)
"""Scores that multiply a query with a key feature by feature."""
MOST_TRIED = 32768
"""Tokens of the rows in which a mask is tried pair by pair where no proof is found."""


def faults(site: Site, *, writes: bool, prompt: bool) -> Iterator[Fault]:
    """Every rule that one attention breaks.

    `writes`: its stack predicts the tokens that it reads; `prompt`: but for those of a prompt.
    """
    yield from _widths(site)
    yield from _score(site)
    yield from kernels.faults(site)
    yield from _normalizer(site, writes=writes)
    yield from sequential.faults(site)
    yield from _span(site)
    yield from steps.faults(site)
    yield from second.faults(site)
    if site.source is not None:
        yield from _cross(site)
    causal = writes and site.source is None
    if site.source is None:
        yield from positions.faults(site, writes=writes)
    yield from _mask(site, causal=causal, prompt=prompt)


def _mask(site: Site, *, causal: bool, prompt: bool) -> Iterator[Fault]:
    most, a = max(site.q_length, site.k_length), site.attention
    lengths = {"q_length": min(site.q_length, MOST_TRIED), "k_length": min(site.k_length, MOST_TRIED)}
    for fault in mask_faults(a.mask, heads=a.heads, causal=causal, prompt=prompt, **lengths):
        if most <= MOST_TRIED or "in rows of at most" not in fault.rule:
            yield Fault((*site.where, "mask"), fault.rule, fault.help)


def _cross(site: Site) -> Iterator[Fault]:
    if not isinstance(site.attention.position, NoPosition):
        kind = site.attention.position.kind
        rule = f"'{kind}' measures distances, and '{site.name}' and '{site.source}' share no positions"
        yield Fault((*site.where, "position"), rule, "write position: none")
    ahead = {
        node.word for node in site.attention.mask.tree.walk() if isinstance(node, (Causal, Prefix, Same, Neighbourhood))
    }
    for word in sorted(ahead):
        rule = f"'{word}' compares places of one text, and '{site.name}' reads '{site.source}'"
        yield Fault((*site.where, "mask"), rule, "write full, or arithmetic such as abs(q - k) <= 10")


def _widths(site: Site) -> Iterator[Fault]:
    """Without a map the states themselves are query, key, value or output, and their widths are what they are."""
    a, maps = site.attention, site.attention.projections
    raw: dict[Projection, tuple[int, int, str]] = {
        "query": (site.d_query, a.heads * a.maps_a_head, "heads"),
        "key": (site.d_key, a.kv_heads * a.maps_a_head, "kv_heads"),
        "value": (site.d_key, a.kv_heads, "kv_heads"),
    }
    for name, (wide, parts, word) in raw.items():
        if not a.maps(name) and wide % parts:
            rule = f"{parts} do not divide the {wide} features of a raw {name}"
            yield Fault((*site.where, word), rule, f"write {word} that divide {wide}, or a {name} map")
            return
    query = a.d_head if "query" in maps else site.d_query // raw["query"][1]
    key = a.d_head if a.maps("key") else site.d_key // raw["key"][1]
    value = a.d_value if a.maps("value") else site.d_key // a.kv_heads
    if a.d_head not in (query, key) or ("query" not in maps and not a.maps("key") and a.d_head != query):
        rule = f"without query and key maps a head is {query} wide, not {a.d_head}"
        yield Fault((*site.where, "d_head"), rule, f"leave d_head out; it is {query}")
    elif query != key and isinstance(a.score, COMPARED):
        rule = f"'{a.score.kind}' needs queries and keys of one width, but they are {query} and {key} wide"
        yield Fault((*site.where, "score"), rule, "write score: general or additive, or projections: [query, key]")
    if a.values == "keys" and key != a.d_value:
        rule = f"the values are the keys, so that a head mixes {key} features, not {a.d_value}"
        yield Fault((*site.where, "d_value"), rule, f"leave d_value out; it is {key}")
    elif a.d_value != value:
        rule = f"without a value map a head mixes {value} features, not {a.d_value}"
        yield Fault((*site.where, "d_value"), rule, f"leave d_value out; it is {value}")
    if "output" not in maps and not isinstance(site.stack, Recurrent) and a.heads * value != site.d_query:
        rule = f"without an output map {a.heads} heads of {value} must give the {site.d_query} features of the stack"
        yield Fault((*site.where, "projections"), rule, "add output to the projections")


def _score(site: Site) -> Iterator[Fault]:
    score = site.attention.score
    if isinstance(score, (Location, Synthesizer)) and score.max_length < site.k_length:
        read = site.source or site.name
        rule = f"max_length {score.max_length} is less than the max_length of '{read}', {site.k_length}"
        help = f"write max_length: {site.k_length} here, or max_length: {score.max_length} on '{read}'"
        yield Fault((*site.where, "score", "max_length"), rule, help)


NOTHING_ADDED = (NoPosition, Rotary, Xpos, Alibi, Kerple, Forgetting)
"""Positions that turn, or that lower a logit and never raise it."""


def _normalizer(site: Site, *, writes: bool) -> Iterator[Fault]:
    a, cut = site.attention, getattr(site.attention.normalizer, "activation", "")
    lowers = isinstance(a.score, Distance) and isinstance(a.position, NOTHING_ADDED)
    if lowers and cut in ("relu", "relu_squared") and a.talking_heads in ("none", "after"):
        rule = f"'distance' is never above 0, and {cut} makes 0 of all that is below: no score would count"
        yield Fault((*site.where, "normalizer"), rule, "write softmax, or activation: softplus")
    hard = isinstance(a.normalizer, Monotonic) and a.normalizer.evaluation == "hard"
    if lowers and hard and a.talking_heads in ("none", "after"):
        rule = "'distance' is never above 0, and hard 'monotonic' stops at scores from 0 on alone: no score would count"
        yield Fault((*site.where, "normalizer"), rule, "write evaluation: expected, or another score")
    if not isinstance(site.attention.normalizer, Queries):
        return
    where, help = (*site.where, "normalizer"), "write softmax, or another one that weighs each query alone"
    if writes:
        rule = f"under 'queries' a later query takes its share of the keys, and '{site.name}' writes token by token"
        yield Fault(where, rule, help)
    elif site.attention.mask.causal(heads=site.attention.heads) is None:
        text = site.attention.mask.text
        rule = f"under 'queries' a later query takes its share of the keys, which '{text}' is to prevent"
        yield Fault(where, rule, help)


def _span(site: Site) -> Iterator[Fault]:
    if isinstance(site.attention.span, Predicted) and site.source is None and site.attention.mask.causal() is None:
        rule = "the place is predicted as a share of the length, which is unknown while a text is written"
        yield Fault((*site.where, "span"), rule, "write it in the cross_attention, or leave it out")
