"""Heads and losses. Mirrors attncli/spec/tasks.py.

Losses are sums over the predicted places, with their count, so that micro-batches and processes add up exactly.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.nn.attention import Attention, build_attention
from attncli.nn.feedforward import ACTIVATIONS
from attncli.nn.layers import States
from attncli.nn.norms import build_norm
from attncli.nn.view import Tap, View, positions_of
from attncli.spec import tasks as spec
from attncli.spec.attention import MultiHead
from attncli.spec.masks import parse
from attncli.spec.norms import NoNorm
from attncli.spec.positions import NoPosition
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
        self.map = nn.Linear(d_input, d_output, bias=bias)
        self.activation = _activation(activation)
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.activation(self.map(x)))
        return out


def _activation(name: str) -> nn.Module:
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
        self.output = nn.Linear(d_input, classes, bias=bias)
        self.scale = scale
        self.soft_cap = soft_cap
        self.smoothing = smoothing

    def forward(self, states: States, tap: Tap | None = None) -> Tensor:
        """States (b n d) to logits (b n c)."""
        return self.logits(states.values)

    def logits(self, x: Tensor) -> Tensor:
        """Vectors (… d) to logits (… c)."""
        x = self.transform(x)
        out: Tensor = self.output(x * self.scale if self.scale != 1 else x)
        return out if self.soft_cap is None else self.soft_cap * torch.tanh(out / self.soft_cap)

    def losses(self, states: States, labels: Stream) -> Losses:
        """The loss at the places with a label; no logits are made elsewhere."""
        predicted = labels.values != IGNORE
        if labels.padded:
            predicted = predicted & labels.real
        target = labels.values[predicted]
        return cross_entropy(self.logits(states.values[predicted]), target, smoothing=self.smoothing)


class Pool(nn.Module):
    """Mean, max, first or last real token of the states (b n d): (b d)."""

    def __init__(self, *, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, states: States, tap: Tap | None = None) -> Tensor:
        x, real = states.values, states.stream.real.unsqueeze(2)
        match self.kind:
            case "mean":
                return (x * real).sum(1) / real.sum(1)
            case "max":
                return x.masked_fill(~real, torch.finfo(x.dtype).min).amax(1)
            case "cls":
                place = states.stream.real.int().argmax(1)
            case _:
                width = x.shape[1]
                place = width - 1 - states.stream.real.int().flip(1).argmax(1)
        return x[torch.arange(len(x), device=x.device), place]


class AttentionPool(nn.Module):
    """Learned queries attend to the states, and their outputs lie side by side: (b queries·d)."""

    def __init__(self, *, d_model: int, queries: int, attention: Attention) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.empty(queries, d_model))
        self.attention = attention

    def forward(self, states: States, tap: Tap | None = None) -> Tensor:
        stream, queries = states.stream, len(self.queries)
        ask = torch.arange(queries, device=states.values.device).unsqueeze(0)
        view = View(
            ask, positions_of(stream), None, stream.documents, padded=stream.padded, tap=tap, lengths=stream.lengths
        )
        x = self.queries.unsqueeze(0).expand(len(states.values), -1, -1)
        out: Tensor = self.attention(x, states.values, view)
        return out.flatten(1)


class ClassHead(nn.Module):
    """pooling, then dense with its activation if there is one, then logits over the classes."""

    def __init__(self, *, pooling: nn.Module, d_pooled: int, dense: str, classes: int, smoothing: float) -> None:
        super().__init__()
        self.pooling = pooling
        self.dense = nn.Linear(d_pooled, d_pooled) if dense != "none" else nn.Identity()
        self.activation = _activation(dense)
        self.output = nn.Linear(d_pooled, classes)
        self.smoothing = smoothing

    def forward(self, states: States, tap: Tap | None = None) -> Tensor:
        """States (b n d) to logits (b c)."""
        out: Tensor = self.output(self.activation(self.dense(self.pooling(states, tap))))
        return out

    def losses(self, states: States, labels: Stream) -> Losses:
        """The loss of one label a row."""
        return cross_entropy(self(states), labels.values[:, 0], smoothing=self.smoothing)


Head = TokenHead | ClassHead


def build_head(task: spec.Task, *, name: str, d_input: int, d_logits: int, vocabulary: int, labels: int | None) -> Head:
    """The head of a task on a stack of width d_input; `vocabulary` is that of the field it writes.

    `d_logits` is the width that the map to the vocabulary reads: that of a tied embedding, else d_input.
    """
    match task:
        case spec.Classification():
            return _build_class_head(task, d_input=d_input, classes=labels or 2)
        case spec.Tagging():
            return TokenHead(
                d_input=d_input, classes=labels or 2, bias=True, transform=nn.Identity(), smoothing=0.0, scale=1.0,
                soft_cap=None,
            )  # fmt: skip
        case _:
            transform: nn.Module = nn.Identity()
            assert isinstance(task.output, spec.Linear), "a pointer-generator is built with its decoder"
            if task.output.transform is not None:
                given = task.output.transform
                transform = Transform(
                    d_input=d_input, d_output=d_logits, activation=given.activation,
                    norm=build_norm(given.norm, width=d_logits), bias=given.bias,
                )  # fmt: skip
            return TokenHead(
                d_input=d_logits, classes=vocabulary, bias=task.output.bias, transform=transform,
                smoothing=0.0 if isinstance(task, spec.MaskedLanguageModel) else task.label_smoothing,
                scale=_scale(task.output, d_input), soft_cap=task.output.soft_cap,
            )  # fmt: skip


def _scale(output: spec.Linear, d_model: int) -> float:
    match output.scale:
        case "none":
            return 1.0
        case "inverse_sqrt_d_model":
            return 1 / sqrt(d_model)
        case number:
            return float(number)


def _build_class_head(task: spec.Classification, *, d_input: int, classes: int) -> ClassHead:
    pooling = task.pooling
    if not isinstance(pooling, spec.AttentionPooling):
        return ClassHead(
            pooling=Pool(kind=pooling.kind), d_pooled=d_input, dense=pooling.dense, classes=classes,
            smoothing=task.label_smoothing,
        )  # fmt: skip
    width = d_input // pooling.heads
    made = MultiHead(
        heads=pooling.heads, kv_heads=pooling.heads, d_head=width, d_value=width, bias=(), score=pooling.score,
        normalizer=pooling.normalizer, position=NoPosition(), mask=parse("full"), dropout=0.0, norm=NoNorm(),
        norm_place="pre",
    )  # fmt: skip
    attention = build_attention(made, d_query=d_input, d_memory=d_input, d_output=d_input)
    attention.address = "head.attention"
    pool = AttentionPool(d_model=d_input, queries=pooling.queries, attention=attention)
    return ClassHead(
        pooling=pool, d_pooled=d_input * pooling.queries, dense=pooling.dense, classes=classes,
        smoothing=task.label_smoothing,
    )  # fmt: skip
