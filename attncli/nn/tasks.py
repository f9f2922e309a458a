"""Heads. Mirrors attncli/spec/tasks.py."""

import torch
from torch import Tensor, nn

from attncli.nn.affine import Linear
from attncli.nn.attention import Attention, build_attention
from attncli.nn.outputs import Losses, TokenHead, build_activation, build_output, cross_entropy
from attncli.nn.states import States
from attncli.nn.view import Tap, View, positions_of
from attncli.spec import tasks as spec
from attncli.spec.attention import MultiHead
from attncli.spec.masks import parse
from attncli.spec.norms import NoNorm
from attncli.spec.positions import NoPosition
from attncli.streams import Stream


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
        self.dense = Linear(d_pooled, d_pooled) if dense != "none" else nn.Identity()
        self.activation = build_activation(dense)
        self.output = Linear(d_pooled, classes)
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
            return build_class_head(task.pooling, d_input=d_input, classes=labels or 2, smoothing=task.label_smoothing)
        case spec.SentencePair():
            return build_class_head(task.pooling, d_input=d_input, classes=2, smoothing=0.0)
        case spec.Tagging():
            return TokenHead(
                d_input=d_input, classes=labels or 2, bias=True, transform=nn.Identity(), smoothing=0.0, scale=1.0,
                soft_cap=None,
            )  # fmt: skip
        case _:
            smoothing = 0.0 if isinstance(task, spec.MaskedLanguageModel) else task.label_smoothing
            return build_output(
                task.output, d_input=d_input, d_logits=d_logits, classes=vocabulary, smoothing=smoothing
            )


def build_class_head(pooling: spec.Pooling, *, d_input: int, classes: int, smoothing: float) -> ClassHead:
    """The head of one label a row."""
    if not isinstance(pooling, spec.AttentionPooling):
        return ClassHead(
            pooling=Pool(kind=pooling.kind), d_pooled=d_input, dense=pooling.dense, classes=classes,
            smoothing=smoothing,
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
        smoothing=smoothing,
    )  # fmt: skip
