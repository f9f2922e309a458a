"""The first weights. Mirrors `init` of attncli/spec/model.py."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, assert_never

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from attncli.nn.attention import Attention
from attncli.nn.delta import Fade, ShortConvolution
from attncli.nn.differential import Difference
from attncli.nn.layers import Branch
from attncli.nn.positions import T5, Bank, Cope, Directions
from attncli.nn.scores import Additive, BiasedDot, General, Location, Synthesizer, Trilinear
from attncli.nn.spans import Predicted
from attncli.nn.steps import Persistent
from attncli.nn.tasks import AttentionPool
from attncli.nn.trailed import Coverage, LocationAware
from attncli.spec import model as spec

SCORES = (Additive, BiasedDot, General, Location, Coverage, LocationAware, Predicted, Trilinear)


class Undrawn(TorchFunctionMode):
    """While modules are made, torch's own first draws are left out: every one of them is drawn again by `initialise`.

    On the meta device the first draw would also import torch's compiler, which costs most of a second.
    """

    DRAWS = (nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in self.DRAWS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@torch.no_grad()
def initialise(model: nn.Module, init: spec.Init, *, depths: Mapping[str, int]) -> None:
    """Draw every matrix as `init` says; biases are 0, gains 1. Shared weights are drawn once.

    `by_depth` divides the maps that end a branch by sqrt(2 layers of their stack), so that the residual stream's
    variance does not grow with depth: Radford et al. 2019, section 2.3.
    """
    seen: set[int] = set()
    for name, module in model.named_modules():
        depth = depths.get(name.split(".")[0], 1)
        for parameter, inputs, outputs in _matrices(module):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                wide = isinstance(init, spec.T5) and isinstance(module, nn.Embedding)
                _draw(parameter, init, inputs=1 if wide else inputs, outputs=outputs)
        # the children come later in named_modules: what is set here is not drawn again
        if isinstance(module, Branch):
            for linear, factor in _scaled(module, init, depth):
                if id(linear.weight) not in seen:
                    seen.add(id(linear.weight))
                    _draw(linear.weight, init, inputs=linear.in_features, outputs=linear.out_features)
                    linear.weight.mul_(factor)
        if isinstance(init, spec.T5):
            for weight, spread in _of_t5(module):
                if id(weight) not in seen:
                    seen.add(id(weight))
                    nn.init.normal_(weight, std=spread)
        if isinstance(module, Difference):
            for vectors in (module.query, module.key):
                nn.init.normal_(vectors, std=module.START_SPREAD)
        if isinstance(module, Bank):
            seen.add(id(module.profiles.weight))
            nn.init.zeros_(module.profiles.weight)
        if isinstance(module, Fade):
            module.draw()
        if isinstance(module, (T5, Cope)):
            # no distance is preferred at the start; drawn values would be of the size of the scores
            seen.add(id(module.table.weight))
            nn.init.zeros_(module.table.weight)
        _zero_biases(module)


def _scaled(branch: Branch, init: spec.Init, depth: int) -> Iterator[tuple[nn.Linear, float]]:
    """The maps of a branch that start smaller, with their factor: by DeepNorm's beta, else by the depth."""
    if branch.beta is not None:
        names = ("value", "output", "hidden", "gate")
        yield from ((each, branch.beta) for each in _linears(branch.body, names))
    elif getattr(init, "residual", "plain") == "by_depth":
        yield from ((each, (2 * depth) ** -0.5) for each in _linears(branch.body, ("output",)))


def _of_t5(module: nn.Module) -> Iterator[tuple[Tensor, float]]:
    """The maps of an attention's queries, which its children would otherwise draw, with their spread."""
    if isinstance(module, Attention) and isinstance(module.query, nn.Linear):
        d_head = module.query.out_features // module.maps
        yield module.query.weight, (module.query.in_features * d_head) ** -0.5


def _linears(body: nn.Module, names: tuple[str, ...]) -> Iterator[nn.Linear]:
    for name, module in body.named_modules():
        if name.rpartition(".")[2] in names and isinstance(module, nn.Linear):
            yield module


def _matrices(module: nn.Module) -> list[tuple[Tensor, int, int]]:
    """Parameters of this very module that are drawn, with their inputs and outputs."""
    match module:
        case nn.Linear():
            return [(module.weight, module.in_features, module.out_features)]
        case nn.Embedding():
            # read row by row: the vector is what a token gives, whatever the number of tokens
            return [(module.weight, module.embedding_dim, module.embedding_dim)]
        case nn.RNNBase():
            return [(weight, weight.shape[1], weight.shape[0]) for weight in module.parameters() if weight.ndim == 2]
        case ShortConvolution():
            return [(module.weight, module.weight.shape[1], 1)]
        case Persistent():
            # each is as one output of a map: the keys and values of a token whose features have variance 1
            return [(each, each.shape[2], each.shape[1]) for each in module.parameters()]
        case Directions():
            return [(each, each.shape[1], 1) for each in (module.content, module.position)]
        case AttentionPool():
            return [(module.queries, module.queries.shape[1], module.queries.shape[0])]
        case _ if isinstance(module, SCORES):
            # (heads, inputs, outputs) or (heads, inputs)
            own = [p for name, p in module.named_parameters(recurse=False) if name != "bias"]
            return [(p, p.shape[1], p.shape[2] if p.ndim == 3 else 1) for p in own]
        case _:
            return []


def _draw(weight: Tensor, init: spec.Init, *, inputs: int, outputs: int) -> None:
    match init:
        case spec.T5():
            nn.init.normal_(weight, std=inputs**-0.5)
        case spec.FanIn():
            nn.init.normal_(weight, std=init.gain * inputs**-0.5)
        case spec.Normal():
            nn.init.normal_(weight, std=init.std)
        case spec.XavierUniform():
            bound = init.gain * (6 / (inputs + outputs)) ** 0.5
            nn.init.uniform_(weight, -bound, bound)
        case spec.Uniform():
            nn.init.uniform_(weight, -init.bound, init.bound)
        case _:
            assert_never(init)


def _zero_biases(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, Coverage, LocationAware, Synthesizer)) and module.bias is not None:
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.RNNBase):
        for parameter in module.parameters():
            if parameter.ndim == 1:
                nn.init.zeros_(parameter)
