"""The parts of a model and the parameters that they own. A parameter that several parts share is counted once.

A part is what a spec addresses: `encoder.0.attention` is the attention, its norm and its position table together.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import nn

from attncli.nn.attention import Attention
from attncli.nn.experts import Experts
from attncli.nn.feedforward import Feedforward
from attncli.nn.inputs import Tokens
from attncli.nn.layers import Branch
from attncli.nn.model import Model

Shape = tuple[int, ...]


@dataclass
class Part:
    """One addressed part: the shapes of what it owns, and the address of the part that owns what it shares."""

    address: str
    kind: str
    tensors: dict[str, Shape] = field(default_factory=dict)
    shared: dict[str, str] = field(default_factory=dict)
    parameters: int = 0
    bytes: int = 0


def address_of(name: str) -> str:
    """The part of a module or parameter: that of `encoder.layers.0.attention.body.query` is `encoder.0.attention`."""
    words = name.split(".")
    if words[0] == "head":
        return "head.attention" if words[1:3] == ["pooling", "attention"] else "head"
    if words[0] == "others":
        return words[1]
    if words[1:2] == ["layers"]:
        return ".".join((words[0], *words[2:4])).replace("__", ".")
    if words[1:2] == ["attention"]:
        return f"{words[0]}.cross_attention"
    return ".".join(words[:2])


def parts_of(model: Model) -> list[Part]:
    """Every part, in the order of the forward pass. Works on the meta device."""
    parts: dict[str, Part] = {}
    owners: dict[int, str] = {}
    for name, module in _roots(model):
        address = address_of(name)
        part = parts.setdefault(address, Part(address, _kind(module)))
        for local, parameter in module.named_parameters(remove_duplicate=False):
            full = f"{name}.{local}" if name else local
            if address_of(full) != address:
                continue
            owner = owners.setdefault(id(parameter), full)
            if owner != full:
                part.shared[local] = address_of(owner)
                continue
            part.tensors[local] = tuple(parameter.shape)
            part.parameters += parameter.numel()
            part.bytes += parameter.numel() * parameter.element_size()
    return list(parts.values())


def _roots(model: Model) -> Iterator[tuple[str, nn.Module]]:
    """The outermost module of each part, with its name."""
    for stack_name, stack in model.stacks.items():
        for child_name, child in stack.named_children():
            name = f"{stack_name}.{child_name}"
            if isinstance(child, nn.ModuleList):
                for index, layer in enumerate(child):
                    yield from ((f"{name}.{index}.{branch}", module) for branch, module in layer.named_children())
            elif not isinstance(child, nn.Identity):
                yield name, child
    yield "head", model.head
    yield from ((f"others.{name}", head) for name, head in model.others.items())
    yield from ((f"head.{name}", m) for name, m in model.head.named_modules() if isinstance(m, Attention))


def _kind(module: nn.Module) -> str:
    """A word for a module: what a branch holds, else the name of its class."""
    inner = module.body if isinstance(module, Branch) else module
    words = {Attention: "attention", Feedforward: "feedforward", Experts: "experts", Tokens: "input"}
    return next((word for kind, word in words.items() if isinstance(inner, kind)), type(inner).__name__)


def total(parts: list[Part]) -> int:
    """Parameters of the whole model."""
    return sum(part.parameters for part in parts)
