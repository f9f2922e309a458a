"""One layer of a Transformer: branches on a residual stream. Mirrors Layer of attncli/spec/stacks.py."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from attncli.nn.attention import Attention, Projected, build_attention
from attncli.nn.cache import KeyValue
from attncli.nn.delta import build_delta
from attncli.nn.dropout import drop
from attncli.nn.experts import Experts, Routed, build_experts
from attncli.nn.feedforward import Feedforward, build_feedforward
from attncli.nn.following import Followed, follow
from attncli.nn.latent import build_latent
from attncli.nn.linear import build_linear
from attncli.nn.norms import build_norm
from attncli.nn.placing import place_of
from attncli.nn.positions import shared_relative
from attncli.nn.residuals import build_residual
from attncli.nn.retention import build_retention
from attncli.nn.second import build_second
from attncli.nn.segments import Recalled
from attncli.nn.states import Memory
from attncli.nn.view import View
from attncli.spec import stacks as spec
from attncli.spec.attention import ATTENTIONS, AnyAttention, CrossAttention, Latent
from attncli.spec.delta import Delta, GatedDelta
from attncli.spec.feedforward import Experts as ExpertsSpec
from attncli.spec.feedforward import Feedforward as FeedforwardSpec
from attncli.spec.feedforward import FeedforwardKind
from attncli.spec.linear import Linear, Performer
from attncli.spec.norms import NoNorm, NormPlace
from attncli.spec.residuals import DeepNorm
from attncli.spec.retention import Retention

Body = Attention | Feedforward | Experts
"""What a branch does."""


class Branch(nn.Module):
    """What a body gives, joined to the stream: close(join(x, body(enter(x)))).

    pre: enter is the norm; post: close is; output: join norms what it adds; sandwich: enter and join do, each with its
    own. Branches side by side enter and close once, through the first of them; `shares` is true of the others. join
    drops units and, while training, all of a branch in a share `skip` of the rows.
    """

    def __init__(
        self, body: Body, *, norm: nn.Module, norm_after: nn.Module | None, place: NormPlace,
        residual: nn.Module, dropout: float, skip: float, shares: bool, beta: float | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.norm = norm
        self.norm_after = norm_after
        self.body = body
        self.residual = residual
        self.place = place
        self.dropout = dropout
        self.skip = skip
        self.shares = shares
        self.beta = beta  # by which DeepNorm draws the first weights smaller

    def enter(self, x: Tensor) -> Tensor:
        """What the body reads."""
        out: Tensor = self.norm(x) if self.place in ("pre", "sandwich") else x
        return out

    def join(self, x: Tensor, y: Tensor) -> Tensor:
        """The stream x with the body's output y added."""
        if self.norm_after is not None:
            y = self.norm_after(y)
        elif self.place == "output":
            y = self.norm(y)
        y = drop(y, self.dropout, self.training)
        if self.skip and self.training:
            y = y * drop(y.new_ones(len(y), 1, 1), self.skip, True)
        out: Tensor = self.residual(x, y)
        return out

    def close(self, x: Tensor) -> Tensor:
        """The stream as the next branch finds it."""
        out: Tensor = self.norm(x) if self.place == "post" else x
        return out


@dataclass
class Handed:
    """What the layers of one forward pass hand to later ones."""

    values: Tensor | None = None
    """(b g n v) of the first attention, at the places of this pass."""
    read: dict[tuple[str, str], Projected] = field(default_factory=dict)
    """Keys and values by the name of a layer and the kind of a branch; of several layers, of the last."""
    recalled: Recalled | None = None
    """States before this segment, where the stack has a memory."""
    pointed: Followed | None = None
    """What the branch gave whose weights a pointer-generator reads."""


@dataclass
class LayerPast:
    """Keys and values of one layer: of its own tokens, and of what it reads."""

    own: dict[str, KeyValue]
    read: dict[str, Projected]
    inputs: dict[str, KeyValue]
    """What was read at each place (b 1 n d) by an attention that convolves; all of it, so that a text may be cut."""

    def caches(self) -> Iterator[KeyValue]:
        """All that grows with the text."""
        yield from self.own.values()
        yield from self.inputs.values()


class Layer(nn.Module):
    """Branches on one residual stream, step by step; a step is a norm of the stream, a branch, or several side by side.

    The name of a child is the branch's place in the spec, `feedforward__1` for the second of a name. `sources` are the
    stacks that branches read, `lenders` the layers whose keys and values they take.
    """

    def __init__(
        self, steps: Sequence[Mapping[str, Branch | nn.Module]], sources: Mapping[str, str], *, called: str | None,
        lenders: Mapping[str, str],
    ) -> None:  # fmt: skip
        super().__init__()
        self.called = called
        self.lenders = dict(lenders)
        for step in steps:
            for name, branch in step.items():
                self.add_module(name, branch)
        self.steps = tuple(tuple(step) for step in steps)
        self.order = tuple(name for step in self.steps for name in step)
        self.sources = dict(sources)
        self.points: str | None = None  # the branch whose weights a pointer-generator reads

    def branches(self) -> Iterator[tuple[str, Branch]]:
        """Each branch with its name, in the order of the forward pass."""
        for name in self.order:
            branch = getattr(self, name)
            if isinstance(branch, Branch):
                yield name, branch

    def reads_itself(self, name: str) -> bool:
        """Whether a branch makes keys of the tokens of its own stack."""
        return name.startswith("attention") and name not in self.lenders

    def forward(
        self, x: Tensor, own: View, memory: Memory, views: Mapping[str, View], handed: Handed,
        past: LayerPast | None = None,
    ) -> Tensor:  # fmt: skip
        """States (b n d) to states (b n d)."""
        for step in self.steps:
            first = getattr(self, step[0])
            if not isinstance(first, Branch):
                x = first(x)
                continue
            entered, stream = first.enter(x), x
            for name in step:
                branch = getattr(self, name)
                through = first if branch is first or branch.shares else branch
                given = read = entered if through is first else through.enter(x)
                if handed.recalled is not None and self.reads_itself(name):
                    read = handed.recalled.before(x, given, through.enter)
                y = self._body(name, branch.body, given, read, own, memory, views, handed, past)
                stream = branch.join(stream, y)
            x = first.close(stream)
        return x

    def _body(
        self, name: str, body: Body, x: Tensor, read: Tensor, own: View, memory: Memory, views: Mapping[str, View],
        handed: Handed, past: LayerPast | None,
    ) -> Tensor:  # fmt: skip
        """What a branch makes of x (b n d); keys of its own stack are made of `read`: x, with what is recalled."""
        if isinstance(body, Feedforward):
            out: Tensor = body(x)
            return out
        if isinstance(body, Experts):
            routed: Routed = body(x, own.query_real)
            if routed.cost is not None:
                own.means[body.address] = routed.cost
            if routed.load is not None:
                own.loads[body.address] = routed.load
            return routed.states
        view = views[self.sources[name]] if name in self.sources else own
        if past is not None and name in past.inputs and body.short is not None:
            (every,) = past.inputs[name].append(x.unsqueeze(1))
            x = read = every[:, 0, -x.shape[1] - body.short.before :]
        projected = self._read(name, body, read, view, memory, handed, past)
        asked = body.ask(x, view)
        if name != self.points:
            return body.attend(asked, projected, view)
        handed.pointed = follow(body, asked, projected, view, ())
        return handed.pointed.output

    def _read(
        self, name: str, body: Attention, x: Tensor, view: View, memory: Memory, handed: Handed, past: LayerPast | None
    ) -> Projected:
        """Keys and values of a branch: those of an earlier layer, of another stack, or of these tokens and the past."""
        kind = name.split("__")[0]
        if name in self.lenders:
            projected = handed.read[self.lenders[name], kind]
        elif name in self.sources:
            projected = past.read[name] if past else body.read(memory[self.sources[name]].values, view)
        else:
            projected = body.read(x, _keys_of_new(view) if past else view, handed.values)
            if handed.values is None:
                handed.values = projected[1]
            if past:
                projected = past.own[name].append(*projected)
        if self.called is not None:
            handed.read[self.called, kind] = projected
        return projected


def _keys_of_new(view: View) -> View:
    """The view in which the new tokens are the keys: their positions turn the keys that go into the cache."""
    new = view.query_positions.shape[1]
    documents = None if view.key_documents is None else view.key_documents[:, -new:]
    keys = view.query_positions[..., -new:]
    return view.once(
        "new",
        lambda: View(view.query_positions, keys, None, documents, padded=view.padded, tap=None, texts=view.texts),
    )


def share_weights(module: nn.Module, owner: nn.Module) -> None:
    """Give a module the parameters of another of its form; it stays a module of its own, with its own address."""
    for one, other in list(zip(module.modules(), owner.modules(), strict=True)):
        for name, parameter in other.named_parameters(recurse=False):
            setattr(one, name, parameter)
        if isinstance(one, Experts) and isinstance(other, Experts):
            one.router = other.router  # whole, since what it chooses by is no parameter


@dataclass(frozen=True)
class Around:
    """What the branches of a layer take from their stack."""

    address: str
    index: int
    d_model: int
    dropout: float
    skip: float
    deepnorm: tuple[float, float]
    widths: Mapping[str, int]
    shared: dict[object, nn.Module]
    leads: bool  # it has the first attention of the stack, with no values before it to mix in


def build_layer(layer: spec.Layer, around: Around) -> Layer:
    steps: dict[int, dict[str, Branch | nn.Module]] = {}
    sources: dict[str, str] = {}
    lenders: dict[str, str] = {}
    for each in layer.placed():
        child = each.branch if each.place == 0 else f"{each.branch}__{each.place}"
        step = steps.setdefault(each.step, {})
        if not isinstance(each.part, (*ATTENTIONS, FeedforwardKind)):
            step[child] = build_norm(each.part, width=around.d_model)
            continue
        if isinstance(each.part, CrossAttention):
            sources[child] = each.part.stack
        part = each.part
        if isinstance(part, ATTENTIONS) and part.kv_from is not None:
            lenders[child] = part.kv_from
        if isinstance(part, ATTENTIONS) and child == "attention" and around.leads:
            part = part.model_copy(update={"value_residual": "none"})
        body = _build_body(part, around)
        address = f"{around.address}.{each.address}"
        if isinstance(body, Experts):
            body.address = address
        if isinstance(body, Attention) and isinstance(part, ATTENTIONS):
            body.stand(address, part.mask.of_layer(around.index))
            if body.watch is not None and layer.name is not None:
                body.watch.own_key = False  # a later layer may read it
        step[child] = _build_branch(each.part, body, around, beside=bool(step), own_norm=each.overridden)
    return Layer(list(steps.values()), sources, called=layer.name, lenders=lenders)


def _build_branch(
    part: AnyAttention | FeedforwardSpec, body: Body, around: Around, *, beside: bool, own_norm: bool
) -> Branch:
    """`beside` another, a branch enters through that one's norm, unless it has its own, and adds plainly."""
    place, norm = part.norm_place, part.norm
    assert norm is not None
    shares = beside and not (own_norm and place in ("pre", "sandwich"))
    before = NoNorm() if shares and place != "output" else norm
    after = build_norm(norm, width=around.d_model) if place == "sandwich" else None
    deep = isinstance(part.residual, DeepNorm)
    return Branch(
        body,
        norm=build_norm(before, width=around.d_model),
        norm_after=after,
        place=place,
        residual=build_residual(part.residual, width=around.d_model, alpha=1.0 if beside else around.deepnorm[0]),
        dropout=around.dropout,
        skip=around.skip,
        shares=shares,
        beta=around.deepnorm[1] if deep else None,
    )


def _build_body(part: AnyAttention | FeedforwardSpec, around: Around) -> Body:
    d_model = around.d_model
    if isinstance(part, ExpertsSpec):
        return build_experts(part, d_model=d_model)
    if not isinstance(part, ATTENTIONS):
        return build_feedforward(part, d_model=d_model)
    memory = around.widths[part.stack] if isinstance(part, CrossAttention) else d_model
    if isinstance(part, (Linear, Performer)):
        return build_linear(part, d_query=d_model, d_memory=memory, d_output=d_model, depth=around.index)
    if isinstance(part, Retention):
        return build_retention(part, d_query=d_model, d_memory=memory, d_output=d_model)
    if isinstance(part, (Delta, GatedDelta)):
        return build_delta(part, d_query=d_model, d_memory=memory, d_output=d_model)
    position = shared_relative(part.position, place=place_of(part, d_model=d_model), shared=around.shared)
    if isinstance(part, Latent):
        return build_latent(part, d_query=d_model, d_memory=memory, d_output=d_model, position=position)
    if part.second_projections is not None:
        return build_second(
            part, part.second_projections, d_query=d_model, d_memory=memory, d_output=d_model, position=position,
            depth=around.index,
        )  # fmt: skip
    return build_attention(
        part, d_query=d_model, d_memory=memory, d_output=d_model, position=position, depth=around.index
    )
