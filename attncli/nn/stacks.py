"""A stack of Transformer layers. Mirrors attncli/spec/stacks.py."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from attncli.nn.attention import Attention
from attncli.nn.cache import KeyValue, Places
from attncli.nn.experts import Experts
from attncli.nn.groups import chosen, groups_of, joined, read_by
from attncli.nn.inputs import Tokens, build_input
from attncli.nn.layers import Around, Handed, Layer, LayerPast, build_layer, share_weights
from attncli.nn.norms import build_norm
from attncli.nn.segments import Recalled, Segment, view_of_segment, within
from attncli.nn.states import Copying, Memory, States
from attncli.nn.view import Tap, positions_of, view_of_memory, view_of_past, view_of_self
from attncli.spec import stacks as spec
from attncli.streams import Stream


class Transformer(nn.Module):
    """input, layers, final norm. Vaswani et al. 2017, arXiv:1706.03762; pre-norm: Xiong et al. 2020."""

    def __init__(
        self, *, field: str, input: Tokens, layers: list[Layer], final_norm: nn.Module, d_output: int,
        segment: Segment | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.segment = segment
        self.field = field
        self.d_output = d_output
        self.input = input
        self.layers = nn.ModuleList(layers)
        self.final_norm = final_norm
        self.pointed: str | None = None  # the stack whose tokens a pointer-generator copies
        self.d_decides = 3 * d_output

    def point(self) -> None:
        """Let the last attention to another stack tell its weights, for a pointer-generator."""
        for layer in reversed(list(self.each_layer())):
            if layer.sources:
                layer.points = next(name for name in reversed(layer.order) if name in layer.sources)
                self.pointed = layer.sources[layer.points]
                return

    @property
    def apart(self) -> bool:
        """Whether rows may go in groups: experts and indexers learn of all of them, and what points tells of all."""
        bodies = [branch.body for layer in self.each_layer() for _, branch in layer.branches()]
        learns = any(isinstance(body, Experts) or getattr(body, "indexer", None) is not None for body in bodies)
        return self.pointed is None and not learns

    def each_layer(self) -> Iterator[Layer]:
        """The layers, typed."""
        for layer in self.layers:
            assert isinstance(layer, Layer)
            yield layer

    def sources(self) -> set[str]:
        """The stacks that this one reads."""
        return {source for layer in self.each_layer() for source in layer.sources.values()}

    def forward(self, tokens: Stream, memory: Memory, tap: Tap | None = None) -> States:
        """Ids (b n) to states (b n d). Rows of like length go together, where that computes less padding."""
        groups = groups_of(tokens) if tap is None and self.apart and self.segment is None else None
        if groups is None:
            return self._together(tokens, memory, tap)
        parts, read = [], {name: memory[name] for name in self.sources()}
        for rows in groups:
            index = torch.tensor(rows)
            parts.append(self._together(chosen(tokens, index), read_by(read, index), tap).values)
        return States(joined(parts, groups, tokens.values.shape[1]), tokens)

    def _together(self, tokens: Stream, memory: Memory, tap: Tap | None) -> States:
        recalled = None if self.segment is None else Recalled(self.segment.memory, tokens.recalled)
        own = view_of_self(tokens, tap)
        if self.segment is not None and tokens.recalled:
            own = view_of_segment(tokens, self.segment, tokens.recalled[0].shape[1], tap)
        views = {name: view_of_memory(tokens, memory[name].stream, tap) for name in self.sources()}
        for view in views.values():
            view.means = own.means
        x = word = self.input(tokens, positions_of(tokens))
        handed = Handed(recalled=recalled)
        for layer in self.each_layer():
            x = layer(x, own, memory, views, handed)
        left = () if recalled is None else tuple(recalled.left)
        x = self.final_norm(x)
        copying = self._copying(handed, x, word, {name: memory[name].stream for name in views})
        return States(x, tokens, copying=copying, means=own.means, loads=own.loads, left=left)

    def _copying(self, handed: Handed, x: Tensor, word: Tensor, read: Mapping[str, Stream]) -> Copying | None:
        if self.pointed is None or handed.pointed is None:
            return None
        context, weights = handed.pointed.output, handed.pointed.weights
        return Copying(torch.cat((context, x, word), 2), weights.mean(1), read[self.pointed].values)

    def start(self, memory: Memory, *, rows: int, capacity: int) -> "TransformerPast":
        """An empty past of at most `capacity` tokens, with what is read of other stacks projected once."""
        layers = []
        for layer in self.each_layer():
            pasts = LayerPast({}, {}, {})
            for name, branch in layer.branches():
                if isinstance(branch.body, Attention) and branch.body.short is not None:
                    pasts.inputs[name] = KeyValue(capacity)
                if isinstance(branch.body, Attention) and name not in layer.lenders:
                    if name not in layer.sources:
                        pasts.own[name] = branch.body.cache(capacity)
                        continue
                    states = memory[layer.sources[name]]
                    read = branch.body.read(states.values, view_of_memory(states.stream, states.stream))
                    pasts.read[name] = tuple(x.repeat_interleave(rows, 0) for x in read)
            layers.append(pasts)
        return TransformerPast(layers, {name: _repeated(memory[name].stream, rows) for name in self.sources()})

    def step(self, tokens: Stream, past: "TransformerPast", places: Places, tap: Tap | None = None) -> States:
        """States (b n d) of new tokens, which join the past; `places` has them already."""
        own = view_of_past(tokens, places, tap)
        if self.segment is not None:
            own = within(own, self.segment)
        views = {name: view_of_memory(tokens, stream, tap) for name, stream in past.sources.items()}
        x = word = self.input(tokens, own.query_positions)
        handed = Handed()
        for layer, one in zip(self.each_layer(), past.layers, strict=True):
            x = layer(x, own, {}, views, handed, one)
        past.length += tokens.values.shape[1]
        x = self.final_norm(x)
        return States(x, tokens, copying=self._copying(handed, x, word, past.sources))


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
            for own in layer.caches():
                own.reorder(index)
            layer.read = {name: tuple(x[index] for x in read) for name, read in layer.read.items()}
        self.sources = {name: stream.select(index) for name, stream in self.sources.items()}

    def keep(self, places: Tensor) -> None:
        for layer in self.layers:
            for own in layer.caches():
                own.keep(places)
        self.length = places.shape[1]

    def crop(self, length: int) -> None:
        for layer in self.layers:
            for own in layer.caches():
                own.crop(length)
        self.length = min(self.length, length)

    @property
    def bytes(self) -> int:
        own = sum(cache.bytes for layer in self.layers for cache in layer.caches())
        read = sum(x.numel() * x.element_size() for layer in self.layers for pair in layer.read.values() for x in pair)
        return own + read


def _first_attention(stack: spec.Transformer) -> int | None:
    """The layer whose values others mix in, unless later layers have its weights, and so what mixes them."""
    owners = [own["attention"] for own in stack.owners()]
    first = next((index for index, layer in enumerate(stack.expanded()) if layer.attentions), None)
    return None if first is None or owners.count(first) > 1 else first


def build_transformer(
    name: str, stack: spec.Transformer, *, vocabulary: int, widths: Mapping[str, int], deepnorm: tuple[float, float]
) -> Transformer:
    """The module of a Transformer stack; `widths` are those of the stacks that it reads, `deepnorm` alpha and beta."""
    shared: dict[object, nn.Module] = {}
    layers: list[Layer] = []
    first = _first_attention(stack)
    for index, (layer, owners) in enumerate(zip(stack.expanded(), stack.owners(), strict=True)):
        skip = stack.stochastic_depth * (index + 1) / stack.depth
        around = Around(
            f"{name}.{index}", index, stack.d_model, layer.dropout, skip, deepnorm, widths, shared, leads=index == first
        )
        built = build_layer(layer, around)
        for child, module in built.named_children():
            owner = owners[child.split("__")[0]]
            if owner != index:
                share_weights(module, layers[owner].get_submodule(child))
        layers.append(built)
    return Transformer(
        field=stack.input.field,
        input=build_input(stack.input, vocabulary=vocabulary, d_model=stack.d_model, max_length=stack.max_length),
        layers=layers,
        final_norm=build_norm(stack.final_norm, width=stack.d_model),
        d_output=stack.d_model,
        segment=None if stack.segment_memory is None else Segment(stack.max_length, stack.segment_memory),
    )
