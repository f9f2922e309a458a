"""What a score or a normalizer owes its place where it reads the weights of earlier steps."""

from collections.abc import Iterator

from attncli.spec.attention import AnyAttention
from attncli.spec.base import Fault
from attncli.spec.normalizers import SEQUENTIAL as NORMALIZERS
from attncli.spec.recurrent import Recurrent
from attncli.spec.rules.sections import Site
from attncli.spec.scores import SEQUENTIAL as SCORES
from attncli.spec.scores import Coverage

DISTRIBUTIONS = ("softmax", "sparsemax", "entmax", "normmax", "hard", "gumbel", "forward")
"""Normalizers whose rows sum to one wherever they see a key."""


def faults(site: Site) -> Iterator[Fault]:
    """Every rule that one attention breaks."""
    a = site.attention
    if not isinstance(site.stack, Recurrent):
        for fault in at_once(a.score, a.normalizer, f"'{site.name}' attends for all tokens at once"):
            yield Fault((*site.where, *fault.where), fault.rule, fault.help)
        return
    if isinstance(a.score, Coverage):
        yield from _shares(site, "coverage")


def at_once(score: object, normalizer: object, why: str) -> Iterator[Fault]:
    """Where there are no steps, nothing comes earlier."""
    if isinstance(score, SCORES):
        rule = f"'{score.kind}' reads the weights of earlier steps, and {why}"
        yield Fault(("score",), rule, "write it in the cross_attention of a recurrent decoder, or score: additive")
    if isinstance(normalizer, NORMALIZERS):
        rule = f"'{normalizer.kind}' reads the weights of the last step, and {why}"
        help = "write it in the cross_attention of a recurrent decoder, or normalizer: softmax"
        yield Fault(("normalizer",), rule, help)


def shares(a: AnyAttention) -> bool:
    """Whether every row of weights that sees a key is a distribution."""
    return a.normalizer.kind in DISTRIBUTIONS and a.sums_to_one


def _shares(site: Site, what: str) -> Iterator[Fault]:
    if not shares(site.attention):
        rule = f"{what} counts shares of one, and these rows need not sum to one"
        yield Fault((*site.where, "normalizer"), rule, "write normalizer: softmax, without a sink or a span")
