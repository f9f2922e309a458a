"""What inspection hands on: attention maps with their tokens, and the proof that they are what the model did.

Axes of every map: head, query, key. Weights are the shares of the values in one head's mixture: in float32, as applied.
Places without a token (padding) are in no map. Every map has a summary; its weights are there where the budget held
them. Nothing here needs torch, but for the summary of a map that came without one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from attncli.maps.summary import Floats, Summary

Weights = Floats
Kind = Literal["self", "cross", "pooling"]
AXES = ("head", "query", "key")


@dataclass(frozen=True)
class Certificate:
    """What was measured of one map while it was taken, against the kernel that the model ran.

    Rows that see no key have weights 0 and output 0; they are counted as empty, and are no error.
    """

    row_sum_error: float
    """max |sum over keys - due| over all heads and queries that see a key: 1 is due, or, where `by_design` tells why it
    is not, the sum that the reference makes of what the kernel read (relative to it, where it is above 1)."""
    row_sum_tolerance: float
    output_error: float
    """max |map V - output|, with the output that the kernel itself gave, compared in float64."""
    output_tolerance: float
    forbidden_weight: float = 0.0
    """Largest weight where the mask or the padding lets nothing through."""
    empty_rows: int = 0
    not_finite: int = 0
    """Weights that are no number, or infinite."""
    worst: str = ""
    """The row with the largest share of a tolerance, in words."""
    least_row_sum: float = 1.0
    most_row_sum: float = 1.0
    """Of the rows that are not empty: 1 - these is the mass that is missing."""
    by_design: str = ""
    """Why rows need not sum to 1; empty where they must."""

    @property
    def missing(self) -> str:
        """What rows sum to and why, in words, where they need not sum to 1."""
        span = f"{self.least_row_sum:.3g} to {self.most_row_sum:.3g}"
        return f"rows sum to {span} by design: {self.by_design}" if self.by_design else ""

    def faults(self) -> Iterator[str]:
        """Yield every check that failed, in words. A comparison with NaN fails."""
        if self.not_finite:
            yield f"{self.not_finite} weights are no finite number"
        if not self.row_sum_error <= self.row_sum_tolerance:
            due = "their due" if self.by_design else "1"
            yield f"max|rows - {due}| is {self.row_sum_error:.1e}, above {self.row_sum_tolerance:.1e}"
        if not self.output_error <= self.output_tolerance:
            yield f"max|map V - output| is {self.output_error:.1e}, above {self.output_tolerance:.1e}"
        if not self.forbidden_weight <= 0:
            yield f"a weight of {self.forbidden_weight:.1e} lies where the mask lets nothing through"

    @property
    def holds(self) -> bool:
        """Whether no check failed."""
        return not any(self.faults())


@dataclass(frozen=True)
class Rows:
    """Whole rows of some heads and queries of one map."""

    heads: tuple[int, ...]
    queries: range
    weights: Weights
    """(head query key) of these heads and queries; where they lie on disk, a view of the file."""
    file: str | None = None


@dataclass(frozen=True)
class AttentionMap:
    """All heads of one attention over one sample."""

    address: str
    """Place in the model, as `attncli build` prints it: `decoder.1.cross_attention`."""
    kind: Kind
    queries: tuple[str, ...]
    """The token at each query, as the model read it."""
    keys: tuple[str, ...]
    weights: Weights | None
    """(head query key), all of them; None where they were not kept. Then `rows` may have some, and `summary` tells what
    there is to say of all."""
    certificate: Certificate
    kernel: str
    dtype: str
    """Number format in which the kernel computed."""
    writes: tuple[str, ...] | None = None
    """The token that each query predicted (generation) or had to predict (forced); None where nothing is written."""
    steps: tuple[int, ...] | None = None
    """The call of the model in which each query was computed; None where one call computed them all."""
    ahead: int = 0
    """Keys in front that are learned and stand at no place."""
    reduced: Summary | None = None
    """The summary, where it was made while the map was taken; read `summary`."""
    rows_kept: "Rows | None" = None
    """Whole rows of some heads and queries, where these were asked for."""

    @cached_property
    def summary(self) -> Summary:
        """Statistics, an overview, and the top keys of every row."""
        if self.reduced is not None:
            return self.reduced
        from attncli.maps.reducing import summarize

        return summarize(self.whole(), own_text=self.kind == "self", ahead=self.ahead)

    def whole(self) -> Weights:
        """The weights, where they were kept. Errors: ValueError where not."""
        if self.weights is None:
            raise ValueError(f"{self.address}: the weights of this map were not kept; it has a summary")
        return self.weights

    @property
    def shape(self) -> tuple[int, int, int]:
        """(heads, queries, keys)"""
        heads = self.reduced.top_keys.shape[0] if self.reduced is not None else self.whole().shape[0]
        return heads, len(self.queries), len(self.keys)

    @property
    def heads(self) -> int:
        """Number of heads."""
        return self.shape[0]

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the rows as readers expect them: of a cross attention the tokens written, else those read."""
        return self.writes if self.kind == "cross" and self.writes is not None else self.queries

    @property
    def row_name(self) -> str:
        """What `rows` names."""
        return "token written" if self.rows is self.writes else "query"


@dataclass(frozen=True)
class Sample:
    """One text, or one hypothesis of a search, with the maps of every attention that worked on it."""

    texts: dict[str, str]
    """Each field in full: source, target, prediction, text, label."""
    attentions: tuple[AttentionMap, ...]
    decoding: str
    """How the tokens came about: forced, greedy, `beam 1 of 4`, …"""
    log_probability: float | None = None
    replay_error: float | None = None
    """Largest difference between the stitched weights of a generation and those of a teacher-forced replay."""
    replay_tolerance: float = 1e-4
    written: tuple[int, ...] | None = None
    """Ids that a search wrote, EOS among them where the text ended; None where the text was read at once."""

    def faults(self) -> Iterator[str]:
        """Yield every failed check of this sample with its place."""
        for attention in self.attentions:
            for fault in attention.certificate.faults():
                yield f"{attention.address}: {fault} ({attention.certificate.worst})"
        if self.replay_error is not None and not self.replay_error <= self.replay_tolerance:
            yield (
                f"generation: the stitched weights differ from a replay by {self.replay_error:.1e}, "
                f"above {self.replay_tolerance:.1e}"
            )


@dataclass(frozen=True)
class Maps:
    """Everything that one inspection took."""

    samples: tuple[Sample, ...]
    about: dict[str, str] = field(default_factory=dict)
    """Where the maps come from, in the order to show: run, checkpoint, date, versions, device."""

    def faults(self) -> list[str]:
        """Every failed check with its sample and place; empty where the maps are certified."""
        return [f"sample {index}: {fault}" for index, sample in enumerate(self.samples) for fault in sample.faults()]

    def items(self) -> Iterator[tuple[str, Sample, AttentionMap]]:
        """Yield (name, sample, map) with a name that is unique in the collection: `0/decoder.1.cross_attention`."""
        for index, sample in enumerate(self.samples):
            for attention in sample.attentions:
                yield f"{index}/{attention.address}", sample, attention

    def missing(self) -> list[str]:
        """Where rows do not sum to 1 by design, and what they sum to: a line for each attention of the first sample."""
        first = self.samples[0].attentions if self.samples else ()
        return [f"{one.address}: {one.certificate.missing}" for one in first if one.certificate.by_design]

    @property
    def row_sum_error(self) -> float:
        """The largest of all maps."""
        return max((a.certificate.row_sum_error for _, _, a in self.items()), default=0.0)

    @property
    def output_error(self) -> float:
        """The largest of all maps."""
        return max((a.certificate.output_error for _, _, a in self.items()), default=0.0)
