"""How states become probabilities of tokens, and the loss. Mirrors attncli/spec/outputs.py.

Losses are sums over the predicted places, with their count, so that micro-batches and processes add up exactly.
Letters: t predicted places, d width, c ids.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.nn.affine import Linear
from attncli.nn.feedforward import ACTIVATIONS
from attncli.nn.kernels.linear_loss import linear_loss
from attncli.nn.norms import build_norm
from attncli.nn.states import States
from attncli.nn.view import Tap
from attncli.spec import outputs as spec
from attncli.streams import IGNORE, Stream


@dataclass(frozen=True)
class Losses:
    """Sums over the predicted places of a batch."""

    loss: Tensor  # with label smoothing: what is minimised
    nll: Tensor  # -ln p(label), in nats
    count: Tensor  # predicted places
    correct: Tensor  # places where the label is the likeliest
    costs: Mapping[str, Tensor] = field(default_factory=dict)  # what attentions add to the loss, by address
    loads: Mapping[str, Tensor] = field(default_factory=dict)  # (x) choices that fell on each expert, by address

    def plus(self, costs: Mapping[str, Tensor]) -> "Losses":
        """These losses with costs, which `loss` then holds."""
        if not costs:
            return self
        detached = {address: cost.detach() for address, cost in costs.items()}
        return replace(self, loss=self.loss + sum(costs.values()), costs=detached)


def cross_entropy(logits: Tensor, labels: Tensor, *, smoothing: float) -> Losses:
    """(1 - s) (-ln p(label)) + s mean_c(-ln p(c)) over the places whose label is not IGNORE.

    Szegedy et al. 2016, arXiv:1512.00567, section 7, with the uniform share over all c classes, the label's included,
    as torch has it. Shapes: logits (t c), labels (t).
    """
    logits = logits.float() if logits.dtype != torch.float64 else logits
    nll = F.cross_entropy(logits, labels, reduction="sum", ignore_index=IGNORE)
    loss = nll
    if smoothing:
        loss = F.cross_entropy(logits, labels, reduction="sum", ignore_index=IGNORE, label_smoothing=smoothing)
    real = labels != IGNORE
    correct = ((logits.detach().argmax(-1) == labels) & real).sum()
    return Losses(loss, nll.detach(), real.sum(), correct)


class Transform(nn.Module):
    """norm(activation(W x + b))."""

    def __init__(self, *, d_input: int, d_output: int, activation: str, norm: nn.Module, bias: bool) -> None:
        super().__init__()
        self.map = Linear(d_input, d_output, bias=bias)
        self.activation = build_activation(activation)
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.activation(self.map(x)))
        return out


def build_activation(name: str) -> nn.Module:
    return {"none": nn.Identity, "tanh": nn.Tanh}[name]() if name in ("none", "tanh") else _Pointwise(name)


class _Pointwise(nn.Module):
    """One of the activations of a feed-forward map."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.function = ACTIVATIONS[name]

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class TokenHead(nn.Module):
    """Logits over ids at every place. Serves seq2seq, language_model, masked_language_model and tagging."""

    def __init__(
        self, *, d_input: int, classes: int, bias: bool, transform: nn.Module, smoothing: float, scale: float,
        soft_cap: float | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.transform = transform
        self.output = Linear(d_input, classes, bias=bias)
        self.scale = scale
        self.soft_cap = soft_cap
        self.smoothing = smoothing

    def forward(self, states: States, tap: Tap | None = None) -> Tensor:
        """States (b n d) to logits (b n c)."""
        return self.logits(states.values)

    def logits(self, x: Tensor) -> Tensor:
        """Vectors (… d) to logits (… c)."""
        out: Tensor = self.output(self._read(x))
        return out if self.soft_cap is None else self.soft_cap * torch.tanh(out / self.soft_cap)

    def _read(self, x: Tensor) -> Tensor:
        """What the map to the logits reads."""
        x = self.transform(x)
        return x * self.scale if self.scale != 1 else x

    def losses(self, states: States, labels: Stream) -> Losses:
        """The loss at the places with a label; no logits are made elsewhere, and never all of them."""
        predicted = predicted_places(labels)
        target, x = labels.values[predicted], self._read(states.values[predicted])
        sums = linear_loss(
            x, self.output.weight, self.output.bias, target, smoothing=self.smoothing, soft_cap=self.soft_cap
        )
        return Losses(sums.loss, sums.nll, torch.tensor(len(target), device=target.device), sums.correct)


def predicted_places(labels: Stream) -> Tensor:
    """(b n): true where there is a label."""
    predicted = labels.values != IGNORE
    return predicted & labels.real if labels.padded else predicted


def wide(x: Tensor) -> Tensor:
    """At least float32."""
    return x if x.dtype == torch.float64 else x.float()


class AdaptiveHead(TokenHead):
    """ln p(w) = ln softmax(head)_w below the first cutoff, else ln softmax(head)_cluster + ln softmax(tail of it)_w.

    Grave et al. 2017, arXiv:1609.04309, section 4.2; torch's AdaptiveLogSoftmaxWithLoss where factor is above 1. With
    factor 1 all rows are those of one matrix `output`, which may be an embedding. In float32 or wider.
    """

    def __init__(self, *, d_input: int, classes: int, cutoffs: Sequence[int], factor: int, bias: bool) -> None:
        super().__init__(
            d_input=d_input, classes=classes if factor == 1 else cutoffs[0], bias=bias, transform=nn.Identity(),
            smoothing=0.0, scale=1.0, soft_cap=None,
        )  # fmt: skip
        self.edges = (*cutoffs, classes)
        self.clusters = Linear(d_input, len(cutoffs), bias=bias)
        sizes = [end - start for start, end in zip(self.edges, self.edges[1:], strict=False)]
        widths = [d_input // factor**power for power in range(1, len(sizes) + 1)]
        self.tails = nn.ModuleList(
            nn.Sequential(Linear(d_input, width, bias=False), Linear(width, size, bias=bias))
            for width, size in zip(widths, sizes, strict=True)
        ) if factor > 1 else None  # fmt: skip

    def logits(self, x: Tensor) -> Tensor:
        """Log-probabilities (… c) of vectors (… d)."""
        head = self._head(x)
        first = self.edges[0]
        tails = (head[..., first + i, None] + self._tail(i, x) for i in range(len(self.edges) - 1))
        return torch.cat([head[..., :first], *tails], -1)

    def losses(self, states: States, labels: Stream) -> Losses:
        """-ln p(label) at the places with a label; a tail is made where it holds the label."""
        predicted = predicted_places(labels)
        x, target = states.values[predicted], labels.values[predicted]
        head, first = self._head(x), self.edges[0]
        cluster = torch.bucketize(target, torch.tensor(self.edges[:-1], device=target.device), right=True)
        entry = torch.where(cluster == 0, target, first + cluster - 1)
        gained = head.gather(1, entry.unsqueeze(1)).squeeze(1)
        for i, start in enumerate(self.edges[:-1]):
            places = (cluster == i + 1).nonzero().squeeze(1)
            own = self._tail(i, x[places]).gather(1, (target[places] - start).unsqueeze(1)).squeeze(1)
            gained = gained.index_add(0, places, own)
        nll = -gained.sum()
        count = torch.tensor(len(target), device=target.device)
        return Losses(nll, nll.detach(), count, self._correct(x, head, target, gained))

    @torch.no_grad()
    def _correct(self, x: Tensor, head: Tensor, target: Tensor, gained: Tensor) -> Tensor:
        """How often the label is the likeliest. A cluster that is less likely as a whole than the label holds no rival,
        so all logits are made only where another may.
        """
        first = self.edges[0]
        hopeful = (gained >= head[:, :first].amax(1)).nonzero().squeeze(1)
        sure = (head[hopeful, first:] < gained[hopeful].unsqueeze(1)).all(1)
        asked = hopeful[~sure]
        return sure.sum() + (self.logits(x[asked]).argmax(1) == target[asked]).sum()

    def _head(self, x: Tensor) -> Tensor:
        """Log-probabilities (… first cutoff + clusters)."""
        first = self.edges[0]
        bias = None if self.output.bias is None else self.output.bias[:first]
        ids = F.linear(x, self.output.weight[:first], bias)
        return wide(torch.cat([ids, self.clusters(x)], -1)).log_softmax(-1)

    def _tail(self, i: int, x: Tensor) -> Tensor:
        """Log-probabilities (… ids of cluster i), given that cluster."""
        if self.tails is not None:
            return wide(self.tails[i](x)).log_softmax(-1)
        own = slice(self.edges[i], self.edges[i + 1])
        bias = None if self.output.bias is None else self.output.bias[own]
        return wide(F.linear(x, self.output.weight[own], bias)).log_softmax(-1)


class MixtureHead(TokenHead):
    """ln sum_k softmax(V h)_k softmax(W tanh(G_k h + c_k) + b): log-probabilities, in float32 or wider.

    Yang et al. 2018, arXiv:1711.03953, eq. 3. Memory: t components c floats.
    """

    def __init__(
        self, *, d_input: int, d_logits: int, classes: int, components: int, bias: bool, smoothing: float
    ) -> None:
        super().__init__(
            d_input=d_logits, classes=classes, bias=bias, transform=nn.Identity(), smoothing=smoothing, scale=1.0,
            soft_cap=None,
        )  # fmt: skip
        self.components = components
        self.latent = Linear(d_input, components * d_logits)
        self.prior = Linear(d_input, components, bias=False)

    def logits(self, x: Tensor) -> Tensor:
        """Log-probabilities (… c) of vectors (… d)."""
        latent = torch.tanh(self.latent(x)).view(*x.shape[:-1], self.components, -1)
        shares = wide(self.prior(x)).log_softmax(-1)
        return (shares.unsqueeze(-1) + wide(self.output(latent)).log_softmax(-1)).logsumexp(-2)

    def losses(self, states: States, labels: Stream) -> Losses:
        """The loss at the places with a label; no probabilities are made elsewhere."""
        predicted = predicted_places(labels)
        target = labels.values[predicted]
        return cross_entropy(self.logits(states.values[predicted]), target, smoothing=self.smoothing)


def build_output(output: spec.Output, *, d_input: int, d_logits: int, classes: int, smoothing: float) -> TokenHead:
    """The head over a vocabulary on states of width d_input; `d_logits` is the width of its rows."""
    match output:
        case spec.Linear():
            transform: nn.Module = nn.Identity()
            if output.transform is not None:
                given = output.transform
                transform = Transform(
                    d_input=d_input, d_output=d_logits, activation=given.activation,
                    norm=build_norm(given.norm, width=d_logits), bias=given.bias,
                )  # fmt: skip
            return TokenHead(
                d_input=d_logits, classes=classes, bias=output.bias, transform=transform, smoothing=smoothing,
                scale=_scale(output, d_input), soft_cap=output.soft_cap,
            )  # fmt: skip
        case spec.Adaptive():
            return AdaptiveHead(
                d_input=d_input, classes=classes, cutoffs=output.cutoffs, factor=output.factor, bias=output.bias
            )
        case spec.Mixture():
            return MixtureHead(
                d_input=d_input, d_logits=d_logits, classes=classes, components=output.components, bias=output.bias,
                smoothing=smoothing,
            )  # fmt: skip
        case spec.PointerGenerator():
            raise AssertionError("a pointer-generator is built with its decoder")
        case _:
            assert_never(output)


def _scale(output: spec.Linear, d_model: int) -> float:
    match output.scale:
        case "none":
            return 1.0
        case "inverse_sqrt_d_model":
            return 1 / sqrt(d_model)
        case number:
            return float(number)
