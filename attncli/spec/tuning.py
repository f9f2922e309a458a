"""Training that goes on from another run. Read by attncli/training/starting.py; lora is built by attncli/nn/lora.py."""

from collections.abc import Iterator
from typing import Annotated

from attncli.spec.base import Count, Derived, Fault, Positive, Rate, Spec, Text


class Start(Spec):
    """The weights to start from: `from` is the folder of a run, whose best checkpoint and vocabularies are taken.

    Weights of one name and shape are copied. What this model has beside them is drawn, what the run has beside them is
    left; both are said. A weight of a stack that has another shape there is an error.
    """

    __annotations__ = {"from": Text}  # a word of Python, and the key of the language


class Lora(Spec):
    """Low-rank adapters: y = W x + b + alpha / rank B A x, A (rank, d_in) drawn, B (d_out, rank) 0 at the start.

    What came from `start` is frozen: adapters learn, and weights that `start` has not, such as a new head. Checkpoints
    hold all weights; evaluation and prediction add the products to W. Hu et al. 2021, arXiv:2106.09685, section 4.1.
    """

    rank: Count
    alpha: Annotated[Positive, Derived("rank")]
    dropout: Rate = 0.0
    """On what the adapters read."""
    targets: tuple[Text, ...]
    """Patterns of the branches (`encoder.*.attention`), all of whose linear maps are adapted, or of single maps of an
    attention (`decoder.*.attention.query`)."""

    def faults(self) -> Iterator[Fault]:
        if not self.targets:
            yield Fault(("targets",), "targets is empty", "write patterns, such as ['*.attention.query']")
