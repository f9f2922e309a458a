"""What the stacks of a model must obey, alone and between each other."""

from collections.abc import Iterator

from attncli.spec.base import Fault
from attncli.spec.inputs import Tokens
from attncli.spec.model import Model, Stack
from attncli.spec.norms import NoNorm
from attncli.spec.positions import Sinusoidal
from attncli.spec.recurrent import (
    Backward,
    Both,
    ContextFeeding,
    CopyBridge,
    DenseBridge,
    Forward,
    NoBridge,
    Recurrent,
    StateReadout,
)  # fmt: skip
from attncli.spec.rules import layers
from attncli.spec.rules.branches import branch_faults
from attncli.spec.rules.sections import Where
from attncli.spec.stacks import Placed, Transformer
from attncli.spec.words import nearest


def faults(model: Model, writer: str | None) -> Iterator[Fault]:
    """Every rule that the stacks break; `writer` is the stack that predicts the tokens that it reads."""
    if not model.stacks:
        yield Fault(("model",), "there is no stack", "write `encoder: {}` or `decoder: {}`, or both")
    for name, stack in model.stacks.items():
        at = ("model", name)
        yield from _input((*at, "input"), stack.input)
        yield from _sources(at, name, stack, model)
        if isinstance(stack, Transformer):
            yield from _transformer(at, stack)
            yield from layers.faults(at, stack)
        else:
            yield from _recurrent(at, name, stack, model, writes=name == writer)


def reads(stack: Stack) -> set[str]:
    """The stacks that a stack reads."""
    if isinstance(stack, Recurrent):
        return {stack.cross_attention.stack} if stack.cross_attention else set()
    return {cross.stack for layer in stack.layers for cross, _ in layer.crosses}


def _input(at: Where, tokens: Tokens) -> Iterator[Fault]:
    if isinstance(tokens.position, Sinusoidal) and tokens.d_embedding % 2:
        rule = f"sinusoidal positions pair sines with cosines, but the embedding is {tokens.d_embedding} wide"
        yield Fault((*at, "position"), rule, "write an even width, or position: learned")


def _sources(at: Where, name: str, stack: Stack, model: Model) -> Iterator[Fault]:
    crosses: list[tuple[Where, str]] = []
    if isinstance(stack, Recurrent):
        crosses += [((*at, "cross_attention"), stack.cross_attention.stack)] if stack.cross_attention else []
    else:
        crosses += [
            ((*at, "layers", index, *where), cross.stack)
            for index, layer in enumerate(stack.layers) for cross, where in layer.crosses
        ]  # fmt: skip
    for where, source in crosses:
        if source not in model.stacks:
            near = nearest(source, model.stacks)
            help = f"did you mean '{near}'?" if near else f"the stacks are {', '.join(model.stacks)}"
            yield Fault((*where, "stack"), f"there is no stack '{source}'", help)
        elif source == name:
            yield Fault(
                (*where, "stack"), f"'{name}' cannot read itself by cross_attention", "that is what attention does"
            )
        elif name == "encoder":
            yield Fault(
                (*where, "stack"), "the encoder comes before the decoder and cannot read it", "let the decoder read"
            )


def _transformer(at: Where, stack: Transformer) -> Iterator[Fault]:
    normed = not isinstance(stack.final_norm, NoNorm)
    if stack.norm_place == "post" and normed:
        rule = "with norm_place: post every branch ends in a norm already"
        yield Fault((*at, "final_norm"), rule, "leave final_norm out")
    elif normed and stack.layers and stack.layers[-1].order[-1:] == ("norm",):
        yield Fault((*at, "final_norm"), "order ends in a norm already", "leave final_norm out")
    branches = [each for layer in stack.layers for each in layer.placed()]
    if stack.norm_place == "none" and not (isinstance(stack.norm, NoNorm) or normed or _some_norm(branches)):
        yield Fault(
            (*at, "norm"), "norm_place: none leaves no place for it", "take norm away, or write norm_place: pre"
        )
    if stack.stochastic_depth and not stack.layers:
        yield Fault((*at, "stochastic_depth"), "there is no layer to skip", "leave stochastic_depth out")
    for index, layer in enumerate(stack.layers):
        yield from branch_faults((*at, "layers", index), layer)


def _some_norm(branches: list[Placed]) -> bool:
    return any(not isinstance(getattr(each.part, "norm", each.part), NoNorm) for each in branches)


def _recurrent(at: Where, name: str, stack: Recurrent, model: Model, *, writes: bool) -> Iterator[Fault]:
    if stack.cross_attention is not None:
        yield from _attending(at, stack, model.stacks.get(stack.cross_attention.stack), writes=writes)
        return
    if stack.query != "state":
        yield Fault((*at, "query"), "nothing asks without cross_attention", "leave query out, or write cross_attention")
    if isinstance(stack.input_feeding, ContextFeeding):
        yield Fault((*at, "input_feeding"), "there is no context without cross_attention", "write input_feeding: none")
    if not isinstance(stack.bridge, NoBridge):
        yield Fault(
            (*at, "bridge"),
            "a bridge starts from the stack that cross_attention reads, and there is none",
            "leave bridge out, or write cross_attention",
        )
    if writes and not isinstance(stack.direction, Forward):
        yield Fault(
            (*at, "direction"), f"'{name}' writes, so it reads from the first token to the last", "leave it out"
        )
    if not writes:
        if stack.input_feeding.kind != "none":
            yield Fault((*at, "input_feeding"), f"'{name}' writes nothing that could be fed back", "leave it out")
        if not isinstance(stack.readout, StateReadout):
            yield Fault((*at, "readout"), f"others read the states of '{name}', so it has no readout", "leave it out")


def _attending(at: Where, stack: Recurrent, source: Stack | None, *, writes: bool) -> Iterator[Fault]:
    cross = stack.cross_attention
    assert cross is not None
    if not writes:
        rule = "a recurrent stack attends while it writes, and this one writes nothing"
        yield Fault((*at, "cross_attention"), rule, "take cross_attention away, or write kind: transformer")
    if not isinstance(cross.norm, NoNorm):
        rule = "a recurrent decoder has no residual branch to normalize"
        yield Fault((*at, "cross_attention", "norm"), rule, "leave norm out")
    if cross.kv_from is not None or cross.value_residual != "none":
        key = "value_residual" if cross.kv_from is None else "kv_from"
        yield Fault((*at, "cross_attention", key), "a recurrent decoder has no other attention", f"leave {key} out")
    if cross.second_projections is not None:
        rule = "rows are chosen to read their own text otherwise, and a recurrent decoder reads another"
        yield Fault((*at, "cross_attention", "second_projections"), rule, "leave second_projections out")
    if source is None:
        return
    if isinstance(stack.bridge, CopyBridge):
        yield from _copied((*at, "bridge"), stack, source)
    if isinstance(stack.bridge, DenseBridge):
        yield from _dense((*at, "bridge"), stack.bridge, cross.stack, source)


def _copied(at: Where, stack: Recurrent, source: Stack) -> Iterator[Fault]:
    if not isinstance(source, Recurrent):
        yield Fault(at, "there is no last state to copy: the encoder is a transformer", "write bridge: dense")
    elif isinstance(source.direction, Both) or source.cell.kind != stack.cell.kind:
        rule = (
            f"a state of {source.cell.kind}, {source.direction.kind}, cannot be copied into {stack.cell.kind}, forward"
        )
        yield Fault(at, rule, "write bridge: dense, or the same cell in one direction")
    elif (source.layers, source.d_hidden) != (stack.layers, stack.d_hidden):
        rule = (f"{source.layers} layers of {source.d_hidden} features cannot be copied into {stack.layers} layers of "
                f"{stack.d_hidden}")  # fmt: skip
        yield Fault(at, rule, "write bridge: dense, or the same layers and d_hidden")


def _dense(at: Where, bridge: DenseBridge, name: str, source: Stack) -> Iterator[Fault]:
    if bridge.of == "mean":
        return
    if not isinstance(source, Recurrent):
        yield Fault((*at, "of"), f"'{name}' is a transformer and has no {bridge.of} state", "write of: mean")
    elif bridge.of == "backward" and not isinstance(source.direction, (Both, Backward)):
        yield Fault((*at, "of"), f"'{name}' has no backward direction", "write of: final")
