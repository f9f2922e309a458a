"""What a spec makes: parameters and their first values, outputs, losses, gradients, kernels. Cheap things first."""

from collections.abc import Callable, Iterator
from functools import cached_property

import torch
from torch import Tensor

from attncli.checking.subject import Subject, subject_of
from attncli.nn.model import build_model, token_fields
from attncli.spec.run import Run
from attncli.spec.sizes import sizes_of

Found = dict[str, Tensor] | dict[str, str]


class Seen:
    """Of one spec; each thing is made when it is asked for."""

    def __init__(self, run: Run) -> None:
        self.run = run

    @cached_property
    def first(self) -> Found:
        """Parameters as they are drawn."""
        torch.manual_seed(0)
        model = build_model(self.run, sizes_of(self.run, token_fields(self.run)))
        return {name: parameter.detach() for name, parameter in model.named_parameters()}

    @cached_property
    def subject(self) -> Subject:
        return subject_of(self.run)

    @cached_property
    def outputs(self) -> Found:
        torch.manual_seed(0)
        with torch.no_grad():
            return {"outputs": self.subject.model(self.subject.batch())}

    @cached_property
    def trained(self) -> Found:
        """The loss of a training step, and its gradients."""
        model, batch = self.subject.copy().train(), self.subject.batch()
        torch.manual_seed(0)
        loss = model.losses(batch).loss
        loss.backward()
        found = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
        return {"loss": loss.detach(), **found}

    @cached_property
    def kernels(self) -> Found:
        found = {}
        for address, attention in self.subject.model.attentions().items():
            choice = attention.plan(device="cpu", dtype="float32", training=False, size=None)
            found[address] = f"{choice.kernel}: {attention.traits}"
        return found

    def all(self) -> Iterator[tuple[str, Callable[[], Found]]]:
        """What there is to compare."""
        yield "parameters", lambda: self.first
        yield "outputs", lambda: self.outputs
        yield "gradients", lambda: self.trained
        yield "kernels", lambda: self.kernels


def difference(one: Seen, other: Seen) -> str | None:
    """The first thing in which two specs differ beyond rounding; None where they are one."""
    for (name, make), (_, make_other) in zip(one.all(), other.all(), strict=True):
        if _differ(make(), make_other()):
            return name
    return None


def _differ(one: Found, other: Found) -> bool:
    return one.keys() != other.keys() or any(_apart(left, other[name]) for name, left in one.items())


def _apart(left: Tensor | str, right: Tensor | str) -> bool:
    if isinstance(left, str) or isinstance(right, str):
        return left != right
    if left.shape != right.shape or not left.numel():
        return left.shape != right.shape
    size = max(1.0, float(left.abs().max()))
    return float((left.double() - right.double()).abs().max()) > 1e-9 * size
