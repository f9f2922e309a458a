"""Low-rank adapters of linear maps. Mirrors Lora of attncli/spec/tuning.py.

    y = x W^T + b + (alpha / rank) (drop(x) A^T) B^T

Shapes: A (r i), B (o r), for W (o i). Cost: r (i + o) products a token until merged, none afterwards.
Source: Hu et al. 2021, arXiv:2106.09685, section 4.1; A as in torch's linear maps, as their code has it.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from attncli.nn.affine import Linear
from attncli.nn.dropout import drop
from attncli.nn.feedforward import Gate
from attncli.nn.stacks import Transformer
from attncli.spec import tuning as spec


class Adapter(nn.Module):
    """What is added to a linear map. It is a child of that map, whose weight and bias keep their names."""

    def __init__(self, linear: nn.Linear, lora: spec.Lora) -> None:
        super().__init__()
        device = linear.weight.device
        self.down = nn.Parameter(torch.empty(lora.rank, linear.in_features, device=device))
        self.up = nn.Parameter(torch.zeros(linear.out_features, lora.rank, device=device))
        self.scale, self.dropout = lora.alpha / lora.rank, lora.dropout
        self.hook: RemovableHandle = linear.register_forward_hook(self._added)
        if device.type != "meta":
            nn.init.uniform_(self.down, -(linear.in_features**-0.5), linear.in_features**-0.5)

    def _added(self, linear: nn.Module, given: tuple[Tensor], made: Tensor) -> Tensor:
        added: Tensor = self(given[0])
        return made + added

    def forward(self, x: Tensor) -> Tensor:
        """What the adapter adds, (… o) of (… i)."""
        low = F.linear(drop(x, self.dropout, self.training), self.down)
        added: Tensor = F.linear(low, self.up)
        return self.scale * added


def adapt(stacks: Iterator[tuple[str, nn.Module]], lora: spec.Lora) -> None:
    """Give an adapter to every map that a target names."""
    for name, stack in stacks:
        if not isinstance(stack, Transformer):
            continue
        for index, layer in enumerate(stack.each_layer()):
            for child, branch in layer.branches():
                address = f"{name}.{index}.{child.replace('__', '.')}"
                for key, linear in list(branch.body.named_children()):
                    called = (address, f"{address}.{key}")
                    named = any(fnmatchcase(each, pattern) for each in called for pattern in lora.targets)
                    if named and type(linear) in (Linear, Gate):
                        assert isinstance(linear, nn.Linear)
                        linear.add_module("adapter", Adapter(linear, lora))


def freeze(model: nn.Module, fresh: frozenset[str]) -> None:
    """Let adapters learn, and the parameters named; nothing else."""
    adapters = {id(each) for one in model.modules() if isinstance(one, Adapter) for each in one.parameters()}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(id(parameter) in adapters or name in fresh)


@torch.no_grad()
def merge(model: nn.Module) -> None:
    """Add each adapter's product to its map, which is a plain one afterwards."""
    for linear in list(model.modules()):
        adapter = getattr(linear, "adapter", None) if isinstance(linear, nn.Linear) else None
        if isinstance(linear, nn.Linear) and isinstance(adapter, Adapter):
            linear.weight += adapter.scale * adapter.up @ adapter.down
            adapter.hook.remove()
            del linear.adapter
