"""A kernel that is asked for by name must be able to serve what the attention is."""

from collections.abc import Iterator

from attncli.spec.attention import AnyAttention
from attncli.spec.base import Fault
from attncli.spec.normalizers import Queries, Softmax
from attncli.spec.positions import T5, Alibi, Kerple, LogDistance, NoPosition, Pope, Rotary, Sandwich, Xpos
from attncli.spec.recurrent import Recurrent
from attncli.spec.rules.sections import Site
from attncli.spec.scores import Cosine, Distance, Dot, General, ScaledDot, Trilinear
from attncli.spec.steps import Indexer
from attncli.spec.words import listed

PRODUCTS = (ScaledDot, Dot, Cosine, General, Trilinear, Distance)
"""Scores that are a dot product of something made of each side."""
OF_DISTANCE = (NoPosition, Rotary, Xpos, Pope, Alibi, T5, Kerple, Sandwich, LogDistance)
"""Positions that turn queries and keys, or add a number to each distance."""
AUTO = "write kernel: auto"


def faults(site: Site) -> Iterator[Fault]:
    """Every reason why the kernel that is written cannot serve."""
    a, where = site.attention, (*site.where, "kernel")
    match a.kernel:
        case "fused":
            for rule in _products("fused", a, a.without_kernel):
                yield Fault(where, rule, AUTO)
        case "banded":
            for rule in _products("banded", a, _unbanded(a)):
                yield Fault(where, rule, AUTO)
            if isinstance(site.stack, Recurrent):
                yield Fault(where, f"'{site.name}' goes step by step, and the banded kernel serves whole rows", AUTO)
            if a.mask.local(a.heads) is None:
                needs = "a mask that bounds the distance but for a few first keys and queries, as a window does"
                rule = f"the banded kernel needs {needs}; this is '{a.mask}'"
                yield Fault(where, rule, f"{AUTO}, or a window on both sides")
        case "flex":
            for rule in _products("flex", a, _unbanded(a)):
                yield Fault(where, rule, AUTO)
            if isinstance(site.stack, Recurrent):
                yield Fault(where, f"'{site.name}' goes step by step, and the flex kernel serves whole rows", AUTO)
            if a.dropout:
                yield Fault(where, f"the flex kernel has no dropout on the weights, and here it is {a.dropout}",
                            f"{AUTO}, or dropout: 0 in the attention")  # fmt: skip
        case "chunked":
            yield from (Fault(where, rule, AUTO) for rule in _unchunked(site))
        case "auto" | "reference":
            pass


def _products(kernel: str, a: AnyAttention, missing: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(a.score, PRODUCTS):
        yield f"the {kernel} kernel has no score '{a.score.kind}'"
    if not isinstance(a.normalizer, Softmax):
        yield f"the {kernel} kernel has no normalizer '{a.normalizer.kind}'"
    if missing:
        yield f"the {kernel} kernel has no {listed(missing)}"


def _unbanded(a: AnyAttention) -> tuple[str, ...]:
    """The keys that ask for what blocks of near keys do not give; a cap they have."""
    asked = {
        f"position {a.position.kind}": not isinstance(a.position, OF_DISTANCE),
        "persistent": a.persistent > 0,
        "key_dropout": a.key_dropout > 0,
    }
    others = [key for key in a.without_kernel if key != "soft_cap" and not key.startswith("position ")]
    return (*(key for key, written in asked.items() if written), *others)


def _unchunked(site: Site) -> Iterator[str]:
    """Why not some queries can be served before the others."""
    a = site.attention
    if isinstance(site.stack, Recurrent):
        yield f"'{site.name}' goes step by step, and the chunked kernel serves whole rows"
    if isinstance(a.normalizer, Queries) or a.selective != "none":
        which = "selective" if a.selective != "none" else f"normalizer '{a.normalizer.kind}'"
        yield f"under {which} a row depends on other queries, and the chunked kernel makes some at a time"
    if isinstance(a.select, Indexer):
        yield "an indexer learns from whole rows of weights, and the chunked kernel makes some at a time"
    counts = {name for name in a.mask.names if name in ("q_length", "k_length") or name.startswith("most ")}
    if counts:
        yield f"'{a.mask}' counts the tokens of a text, of which the chunked kernel sees some at a time"
