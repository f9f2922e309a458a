"""What a training run owes its data and its evaluation."""

from collections.abc import Iterator

from attncli.spec.base import Fault
from attncli.spec.data import Data, Generated
from attncli.spec.training import Evaluate, Train


def faults(train: Train, data: Data | None, evaluate: Evaluate | None, *, attends: bool) -> Iterator[Fault]:
    """Every rule between the training and its neighbours; `attends`: the model has a head, as far as is known."""
    if train.watch is not None and not attends:
        yield Fault(("train", "watch"), "this model has no attention, so there is no head to watch", "leave it out")
    if train.early_stopping is not None and data is not None and not isinstance(data, Generated) and data.valid is None:
        yield Fault(("train", "early_stopping"), "it needs validation data", "write data.valid, or leave it out")
    kept = train.checkpoints.keep_last
    if evaluate is not None and evaluate.average is not None and evaluate.average > kept:
        rule = f"the mean of {evaluate.average} checkpoints needs as many, and keep_last is {kept}"
        yield Fault(("train", "checkpoints", "keep_last"), rule, f"write at least {evaluate.average}")
