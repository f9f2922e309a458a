"""A stack of Transformer layers. Mirrors attncli/spec/stacks.py."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attncli.nn.attention import Attention, Projected, build_attention, build_attention_position
from attncli.nn.cache import KeyValue, Places
from attncli.nn.feedforward import Feedforward, build_feedforward
from attncli.nn.inputs import Tokens, build_input
from attncli.nn.norms import build_norm
from attncli.nn.positions import Relative
from attncli.nn.view import Tap, View, positions_of, view_of_memory, view_of_past, view_of_self
from attncli.spec import stacks as spec
from attncli.spec.attention import CrossAttention, MultiHead
from attncli.spec.feedforward import Feedforward as FeedforwardSpec
from attncli.spec.positions import T5
from attncli.spec.positions import Alibi as AlibiSpec
from attncli.streams import Stream


class States(NamedTuple):
    """What a stack gives to others: a vector for each place, and the last states of a recurrent one."""

    values: Tensor  # (b n d)
    stream: Stream
    final: tuple[Tensor, ...] | None = None  # (layers·directions b d_hidden), for an LSTM also the cells


Memory = Mapping[str, States]


class Branch(nn.Module):
    """pre: x + dropout(body(norm(x))); post: norm(x + dropout(body(x)))."""

    def __init__(
        self, body: Attention | Feedforward, *, norm: nn.Module, place: Literal["pre", "post"], dropout: float
    ) -> None:
        super().__init__()
        self.norm = norm
        self.body = body
        self.place = place
        self.dropout = dropout

    def enter(self, x: Tensor) -> Tensor:
        """What the body reads."""
        out: Tensor = self.norm(x) if self.place == "pre" else x
        return out

    def leave(self, x: Tensor, y: Tensor) -> Tensor:
        """The stream x with the body's output y added."""
        if self.dropout:
            y = F.dropout(y, self.dropout, self.training)
        out: Tensor = x + y if self.place == "pre" else self.norm(x + y)
        return out


@dataclass
class LayerPast:
    """Keys and values of one layer: of its own tokens, and of what it reads."""

    own: dict[str, KeyValue]
    read: dict[str, Projected]


class Layer(nn.Module):
    """Branches on one residual stream, in their order; the child's name is the branch's place in the spec."""

    def __init__(self, branches: Mapping[str, Branch], sources: Mapping[str, str]) -> None:
        super().__init__()
        for name, branch in branches.items():
            self.add_module(name, branch)
        self.order = tuple(branches)
        self.sources = dict(sources)

    def branches(self) -> Iterator[tuple[str, Branch]]:
        """Each branch with its name, in the order of the forward pass."""
        for name in self.order:
            branch = getattr(self, name)
            assert isinstance(branch, Branch)
            yield name, branch

    def forward(
        self, x: Tensor, own: View, memory: Memory, views: Mapping[str, View], past: LayerPast | None = None
    ) -> Tensor:
        """States (b n d) to states (b n d)."""
        for name, branch in self.branches():
            body, entered = branch.body, branch.enter(x)
            if isinstance(body, Feedforward):
                y = body(entered)
            elif name in self.sources:
                source = self.sources[name]
                read = past.read[name] if past else body.read(memory[source].values, views[source])
                y = body.attend(body.ask(entered, views[source]), read, views[source])
            else:
                projected = body.read(entered, _keys_of_new(own, entered) if past else own)
                if past:
                    projected = past.own[name].append(*projected)
                y = body.attend(body.ask(entered, own), projected, own)
            x = branch.leave(x, y)
        return x


def _keys_of_new(view: View, x: Tensor) -> View:
    """The view in which the new tokens are the keys: their positions turn the keys that go into the cache."""
    return view.once("new", lambda: View(view.query_positions, view.query_positions[..., -x.shape[1] :], tap=None))


class Transformer(nn.Module):
    """input, layers, final norm. Vaswani et al. 2017, arXiv:1706.03762; pre-norm: Xiong et al. 2020."""

    def __init__(self, *, field: str, input: Tokens, layers: list[Layer], final_norm: nn.Module, d_output: int) -> None:
        super().__init__()
        self.field = field
        self.d_output = d_output
        self.input = input
        self.layers = nn.ModuleList(layers)
        self.final_norm = final_norm

    def each_layer(self) -> Iterator[Layer]:
        """The layers, typed."""
        for layer in self.layers:
            assert isinstance(layer, Layer)
            yield layer

    def sources(self) -> set[str]:
        """The stacks that this one reads."""
        return {source for layer in self.each_layer() for source in layer.sources.values()}

    def forward(self, tokens: Stream, memory: Memory, tap: Tap | None = None) -> States:
        """Ids (b n) to states (b n d)."""
        own = view_of_self(tokens, tap)
        views = {name: view_of_memory(tokens, memory[name].stream, tap) for name in self.sources()}
        x = self.input(tokens, positions_of(tokens))
        for layer in self.each_layer():
            x = layer(x, own, memory, views)
        return States(self.final_norm(x), tokens)

    def start(self, memory: Memory, *, rows: int, capacity: int) -> "TransformerPast":
        """An empty past of at most `capacity` tokens, with what is read of other stacks projected once."""
        layers = []
        for layer in self.each_layer():
            pasts = LayerPast({}, {})
            for name, branch in layer.branches():
                if isinstance(branch.body, Attention):
                    if name not in layer.sources:
                        pasts.own[name] = KeyValue(capacity)
                        continue
                    states = memory[layer.sources[name]]
                    key, value = branch.body.read(states.values, view_of_memory(states.stream, states.stream))
                    pasts.read[name] = (key.repeat_interleave(rows, 0), value.repeat_interleave(rows, 0))
            layers.append(pasts)
        return TransformerPast(layers, {name: _repeated(memory[name].stream, rows) for name in self.sources()})

    def step(self, tokens: Stream, past: "TransformerPast", places: Places, tap: Tap | None = None) -> Tensor:
        """States (b n d) of new tokens, which join the past; `places` has them already."""
        own = view_of_past(tokens, places, tap)
        views = {name: view_of_memory(tokens, stream, tap) for name, stream in past.sources.items()}
        x = self.input(tokens, own.query_positions)
        for layer, one in zip(self.each_layer(), past.layers, strict=True):
            x = layer(x, own, {}, views, one)
        past.length += tokens.values.shape[1]
        out: Tensor = self.final_norm(x)
        return out


def _repeated(stream: Stream, rows: int) -> Stream:
    return stream.select(torch.arange(len(stream.values), device=stream.values.device).repeat_interleave(rows))


class TransformerPast:
    """What a Transformer keeps while it writes."""

    def __init__(self, layers: list[LayerPast], sources: dict[str, Stream]) -> None:
        self.layers = layers
        self.sources = sources
        self.length = 0

    def reorder(self, index: Tensor) -> None:
        for layer in self.layers:
            for own in layer.own.values():
                own.reorder(index)
            layer.read = {name: (key[index], value[index]) for name, (key, value) in layer.read.items()}
        self.sources = {name: stream.select(index) for name, stream in self.sources.items()}

    def crop(self, length: int) -> None:
        for layer in self.layers:
            for own in layer.own.values():
                own.crop(length)
        self.length = min(self.length, length)

    @property
    def bytes(self) -> int:
        own = sum(cache.bytes for layer in self.layers for cache in layer.own.values())
        read = sum(x.numel() * x.element_size() for layer in self.layers for pair in layer.read.values() for x in pair)
        return own + read


def build_transformer(name: str, stack: spec.Transformer, *, vocabulary: int, widths: Mapping[str, int]) -> Transformer:
    """The module of a Transformer stack; `widths` are those of the stacks that it reads."""
    shared: dict[object, Relative] = {}
    layers = []
    for index, layer in enumerate(stack.expanded()):
        branches: dict[str, Branch] = {}
        sources: dict[str, str] = {}
        for kind in layer.order:
            place = sum(1 for existing in branches if existing.split("__")[0] == kind)
            child = kind if place == 0 else f"{kind}__{place}"
            part = getattr(layer, kind)
            body = _build_body(part, d_model=stack.d_model, widths=widths, shared=shared)
            if isinstance(body, Attention):
                body.address = f"{name}.{index}.{kind}" + (f".{place}" if place else "")
            if isinstance(part, CrossAttention):
                sources[child] = part.stack
            norm = build_norm(part.norm, width=stack.d_model)
            branches[child] = Branch(body, norm=norm, place=part.norm_place, dropout=layer.dropout)
        layers.append(Layer(branches, sources))
    return Transformer(
        field=stack.input.field,
        input=build_input(stack.input, vocabulary=vocabulary, d_model=stack.d_model, max_length=stack.max_length),
        layers=layers,
        final_norm=build_norm(stack.final_norm, width=stack.d_model),
        d_output=stack.d_model,
    )


def _build_body(
    part: MultiHead | FeedforwardSpec, *, d_model: int, widths: Mapping[str, int], shared: dict[object, Relative]
) -> Attention | Feedforward:
    if not isinstance(part, MultiHead):
        return build_feedforward(part, d_model=d_model)
    memory = widths[part.stack] if isinstance(part, CrossAttention) else d_model
    position = _shared_position(part, shared)
    return build_attention(part, d_query=d_model, d_memory=memory, d_output=d_model, position=position)


def _shared_position(part: MultiHead, shared: dict[object, Relative]) -> Relative:
    """One module for all attentions of a stack that turn or bias alike; tables of a layer's own are built anew."""
    match part.position:
        case T5(share="layer") | AlibiSpec(slopes="learned"):
            return build_attention_position(part)
        case position:
            key = (position, part.heads, part.mask.causal() is None)
            if key not in shared:
                shared[key] = build_attention_position(part)
            return shared[key]
