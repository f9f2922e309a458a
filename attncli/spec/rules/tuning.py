"""What adapters owe the model: that there are maps of the names, which one place alone uses."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from attncli.spec.attention import ATTENTIONS, AnyAttention, MultiHead
from attncli.spec.base import Fault
from attncli.spec.feedforward import Experts
from attncli.spec.model import Model
from attncli.spec.stacks import Transformer
from attncli.spec.training import Train


def faults(train: Train, model: Model) -> Iterator[Fault]:
    """Every target that names nothing, or what cannot be adapted."""
    if train.lora is None:
        return
    found: list[tuple[str, str]] = list(_places(model))
    for index, pattern in enumerate(train.lora.targets):
        where = ("train", "lora", "targets", index)
        met = [why for address, why in found if fnmatchcase(address, pattern)]
        if not met:
            help = f"there is {found[0][0]}, for one" if found else "there is no Transformer stack"
            yield Fault(where, f"'{pattern}' names no branch of the model", help)
        elif any(met):
            yield Fault(where, f"'{pattern}' names {next(filter(None, met))}", "name other branches")


def _places(model: Model) -> Iterator[tuple[str, str]]:
    """The addresses of branches and of maps of attentions, each with why it cannot be adapted."""
    for name, stack in model.stacks.items():
        if not isinstance(stack, Transformer):
            continue
        for index, layer in enumerate(stack.expanded()):
            shared = "a layer whose weights others share" if layer.share != "none" else ""
            for each in layer.placed():
                if each.branch == "norm":
                    continue
                address = f"{name}.{index}.{each.address}"
                why = shared
                if isinstance(each.part, Experts):
                    why = why or "experts, whose maps are one product"
                elif isinstance(each.part, ATTENTIONS):
                    plain = isinstance(each.part, MultiHead) and each.part.second_projections is None
                    why = why or ("" if plain else f"attention of kind {each.part.kind}, whose maps meet in products")
                    yield from ((f"{address}.{map}", why) for map in _maps(each.part))
                yield address, why


def _maps(part: AnyAttention) -> tuple[str, ...]:
    """The linear maps of an attention."""
    plain = isinstance(part, MultiHead) and part.output == "linear"
    return tuple(name for name in part.projections if name != "output" or plain)
