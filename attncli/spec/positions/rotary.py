"""Positions that turn queries and keys, and what stretches them to longer texts. Mirrored by nn/positions/rotary.py."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from attncli.spec.base import Count, Derived, Fault, Kinds, Positive, Spec

Factor = Annotated[float, Field(gt=1, strict=True, allow_inf_nan=False)]


class NoScaling(Spec):
    """The rates as they are."""

    kind: Literal["none"] = "none"


class Linear(Spec):
    """Positions divided by factor: rates base^(-2i / d_rotary) / factor. Chen et al. 2023, arXiv:2306.15595, eq. 4."""

    kind: Literal["linear"] = "linear"
    factor: Factor


class Ntk(Spec):
    """The base times factor^(d / (d - 2)) with d = d_rotary: the slowest pair turns factor times slower, the fastest as
    before. bloc97 2023 ("NTK-aware"); Peng et al. 2023, arXiv:2309.00071, definition 1.
    """

    kind: Literal["ntk"] = "ntk"
    factor: Factor


class DynamicNtk(Spec):
    """For a row of L tokens, more than original_length L0: the base times (factor L / L0 - factor + 1)^(d / (d - 2)).

    The turn of an early token depends on how long its text becomes, so it is refused in a stack that writes: there a
    text read at once would differ from the same text written token by token. emozilla 2023.
    """

    kind: Literal["dynamic_ntk"] = "dynamic_ntk"
    factor: Annotated[float, Field(ge=1, strict=True, allow_inf_nan=False)]
    original_length: Count


class Llama3(Spec):
    """Slow pairs turn factor times slower, fast ones as before, those between by shares. Dubey et al. 2024,
    arXiv:2407.21783; the rule is that of its code.

    A pair is slow if it makes fewer than `low` turns in original_length, fast from `high` turns on; in between a share
    (turns - low) / (high - low) of its rate stays.
    """

    kind: Literal["llama3"] = "llama3"
    factor: Factor
    low: Positive = 1.0
    high: Positive = 4.0
    original_length: Count

    def faults(self) -> Iterator[Fault]:
        if self.low >= self.high:
            yield Fault(("high",), f"high {self.high:g} must be above low, {self.low:g}", "write low: 1 and high: 4")


class Yarn(Spec):
    """Pairs slower than beta_slow turns in original_length interpolated, faster than beta_fast kept, a ramp between.
    Peng et al. 2023, arXiv:2309.00071, sections 3.2 and 3.4.

    The ramp is linear in the number of the pair. Its ends are `rounded` outwards to whole pairs, as in the authors'
    code, or `exact` (gpt-oss). Scores grow by t^2 with t = 0.1 ln(factor) + 1: through the turned features alone
    (`rotation`, the authors), all features of a head (`logits`, DeepSeek), or not (`none`).
    """

    kind: Literal["yarn"] = "yarn"
    factor: Factor
    original_length: Count
    beta_fast: Positive = 32.0
    beta_slow: Positive = 1.0
    temperature: Literal["rotation", "logits", "none"] = "rotation"
    ramp: Literal["rounded", "exact"] = "rounded"

    def faults(self) -> Iterator[Fault]:
        if self.beta_slow >= self.beta_fast:
            rule = f"beta_fast {self.beta_fast:g} must be above beta_slow, {self.beta_slow:g}"
            yield Fault(("beta_fast",), rule, "write beta_fast: 32 and beta_slow: 1")


class Longrope(Spec):
    """Each pair's rate divided by a number of its own: of `short` up to original_length, of `long` beyond it.
    Ding et al. 2024, arXiv:2402.13753; turned features grow by sqrt(1 + ln factor / ln original_length).

    Under a causal mask a query at a position below original_length reads with `short` and one from there on with
    `long`, as if the text were written token by token; so its keys are kept in both turns. Elsewhere the length of the
    row decides.
    """

    kind: Literal["longrope"] = "longrope"
    factor: Factor
    original_length: Annotated[int, Field(ge=2, strict=True)]
    short: tuple[Positive, ...]
    """d_rotary / 2 numbers."""
    long: tuple[Positive, ...]
    """d_rotary / 2 numbers."""


Scaling = Annotated[Linear | Ntk | DynamicNtk | Llama3 | Yarn | Longrope | NoScaling, Kinds("scaling")]


class Rotary(Spec):
    """Queries and keys turned by angles that grow with the position. Su et al. 2021, arXiv:2104.09864, eq. 34.

    `half` pairs feature i with i + d_rotary/2 (GPT-NeoX, Llama), `interleaved` 2i with 2i + 1 (the paper, GPT-J): the
    same model after a permutation of the rows of the query and key maps, another one without it.
    """

    kind: Literal["rotary"] = "rotary"
    base: Positive = 10000.0
    layout: Literal["half", "interleaved"] = "half"
    d_rotary: Annotated[Count, Derived("d_head")]
    """The first features of a head that are turned; even."""
    scaling: Scaling = NoScaling()
    """How the rates change so that a model of short texts reads longer ones."""

    def faults(self) -> Iterator[Fault]:
        yield from even(self.d_rotary)
        scaling = self.scaling
        if isinstance(scaling, (Ntk, DynamicNtk)) and self.d_rotary == 2:
            rule = f"'{scaling.kind}' raises to the power d_rotary / (d_rotary - 2), and d_rotary is 2"
            yield Fault(("scaling",), rule, "write linear")
        if isinstance(scaling, Yarn) and self.base <= 1:
            yield Fault(("base",), f"yarn needs a base above 1, not {self.base:g}", "write 10000")
        if isinstance(scaling, Longrope):
            for name in ("short", "long"):
                if (given := len(getattr(scaling, name))) != self.d_rotary // 2:
                    rule = f"{given} numbers for {self.d_rotary // 2} pairs of features"
                    yield Fault(("scaling", name), rule, f"write d_rotary / 2 = {self.d_rotary // 2} numbers")


class Xpos(Spec):
    """Rotary, and each pair of a query times z^(p / scale_base), of a key times z^(-p / scale_base): what a pair of
    features adds to the score falls with the distance. Sun et al. 2022, arXiv:2212.10554, algorithm 1.

    z = (2i / d_rotary + 0.4) / 1.4 for pair i. It would grow for keys behind the query, so the mask must be causal.
    """

    kind: Literal["xpos"] = "xpos"
    base: Positive = 10000.0
    layout: Literal["half", "interleaved"] = "half"
    d_rotary: Annotated[Count, Derived("d_head")]
    """The first features of a head that are turned; even."""
    scale_base: Positive = 512.0
    """Tokens in which the score of a pair falls by its z."""

    def faults(self) -> Iterator[Fault]:
        yield from even(self.d_rotary)


class Pope(Spec):
    """sum over features c of m(q_c) m(k_c) cos((k - q) r_c + t_c), m the softplus: what a token holds is the length,
    where it stands the angle. Gopalakrishnan et al. 2025, arXiv:2509.10534, section 3.

    Every feature turns at a rate of its own, r_c = base^(-c / width). t is learned for each head and feature, between
    -2 pi and 0, and 0 at the start. Compared keys are twice as wide: a cosine and a sine of each feature.
    """

    kind: Literal["pope"] = "pope"
    base: Positive = 10000.0


def even(d_rotary: int) -> Iterator[Fault]:
    """Features turn in pairs."""
    if d_rotary % 2:
        yield Fault(
            ("d_rotary",),
            f"d_rotary must be even, since features turn in pairs; it is {d_rotary}",
            "write an even d_rotary, not above d_head",
        )
