"""A model in few lines: layers that are alike are one, and each part has a line that says what it is."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from attncli.spec import scores, tasks
from attncli.spec.attention import ATTENTIONS, STEPS, AnyAttention, CrossAttention, Latent
from attncli.spec.feedforward import GATED, Experts, Feedforward, FeedforwardKind
from attncli.spec.norms import Norm
from attncli.spec.recurrent import Recurrent
from attncli.spec.run import Run
from attncli.spec.sizes import Sizes
from attncli.spec.stacks import Layer, Transformer


@dataclass(frozen=True)
class Line:
    """One line: `depth` steps in, the label, what it is, and the addresses of the parts that it stands for."""

    depth: int
    label: str
    what: str
    addresses: tuple[str, ...] = ()


def outline(run: Run, sizes: Sizes, *, every_layer: bool = False) -> Iterator[Line]:
    """The lines of a model, in the order of the forward pass."""
    for name, stack in run.model.stacks.items():
        yield Line(0, name, _stack(stack))
        yield Line(1, "input", _input(stack, sizes), (f"{name}.input",))
        if isinstance(stack, Recurrent):
            yield from _recurrent(name, stack)
        else:
            yield from _layers(name, stack, every_layer=every_layer)
            if stack.final_norm.kind != "none":
                yield Line(1, "final_norm", stack.final_norm.kind, (f"{name}.final_norm",))
    yield from _head(run, sizes)


def _stack(stack: Transformer | Recurrent) -> str:
    if isinstance(stack, Recurrent):
        return f"recurrent, {stack.d_hidden} wide, at most {stack.max_length} tokens"
    recalls = f" and {stack.segment_memory} recalled" if stack.segment_memory else ""
    return f"transformer, {stack.d_model} wide, {stack.depth} layers, at most {stack.max_length} tokens{recalls}"


def _input(stack: Transformer | Recurrent, sizes: Sizes) -> str:
    tokens = stack.input
    mark = " (from data)" if tokens.field in sizes.from_data else ""
    position = "" if tokens.position.kind == "none" else f", {tokens.position.kind} positions"
    return f"{tokens.field}: {sizes.vocabularies[tokens.field]} ids{mark} x {tokens.d_embedding}{position}"


def _layers(name: str, stack: Transformer, *, every_layer: bool) -> Iterator[Line]:
    owners = stack.owners()
    for layer, indices in alike(stack) if not every_layer else _each(stack):
        many = f"{len(indices)} layers alike" if len(indices) > 1 else ""
        label = f"layers {numbers(indices)}" if many else f"layer {indices[0]}"
        yield Line(1, label, many + _shared(layer, owners, indices))
        step = -1
        for each in layer.placed():
            beside = ", beside it" if each.step == step else ""
            step = each.step
            what = _part(each.part) + beside
            yield Line(2, each.address, what, tuple(f"{name}.{index}.{each.address}" for index in indices))


def _part(part: AnyAttention | Feedforward | Norm) -> str:
    if isinstance(part, ATTENTIONS):
        return describe_attention(part)
    return _feedforward(part) if isinstance(part, FeedforwardKind) else part.kind


def _shared(layer: Layer, owners: list[dict[str, int]], indices: list[int]) -> str:
    """Which branches of layers alike have the weights of others."""
    names = {each.branch for each in layer.placed()}
    taken = {name for name in names if any(owners[index][name] != index for index in indices)}
    if not taken:
        return ""
    what = "all weights" if taken == names else f"{' and '.join(sorted(taken))} weights"
    return f"{', ' if len(indices) > 1 else ''}{what} shared"


def _each(stack: Transformer) -> list[tuple[Layer, list[int]]]:
    return [(layer, [index]) for index, layer in enumerate(stack.expanded())]


def alike(stack: Transformer) -> list[tuple[Layer, list[int]]]:
    """Each different layer with the indices at which it stands."""
    found: list[tuple[Layer, list[int]]] = []
    index = 0
    for layer in stack.layers:
        plain = layer.model_copy(update={"repeat": 1})
        indices = next((indices for known, indices in found if known == plain), None)
        if indices is None:
            indices = []
            found.append((plain, indices))
        indices.extend(range(index, index + layer.repeat))
        index += layer.repeat
    return found


def numbers(indices: list[int]) -> str:
    """`0-5`, `0, 2, … 44` or `0-2, 7`, as short as it can be said."""
    if len(indices) > 2:
        step = indices[1] - indices[0]
        if step > 1 and all(b - a == step for a, b in pairwise(indices)):
            return f"{indices[0]}, {indices[1]}, … {indices[-1]}"
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)


def describe_attention(part: AnyAttention) -> str:
    """Heads, score, mask, position and normalizer of an attention in one line."""
    word = "head" if part.maps_a_head == 1 else "pair"
    heads = f"{part.heads} {word}s" if part.heads > 1 else f"1 {word}"
    shared = "" if part.kv_heads == part.heads else f" ({part.kv_heads} kv)"
    words = [f"{heads}{shared} x {part.d_head}", part.score.kind, part.mask.text]
    if isinstance(part.score, scores.ScaledDot):
        words.remove("scaled_dot")
    words += [kind for kind in (part.position.kind,) if kind != "none"]
    words += [kind for kind in (part.normalizer.kind,) if kind != "softmax"]
    words += list(_steps(part))
    words += [kind for kind in (part.kind,) if kind != "multi_head"]
    words += [f"of {part.kv_rank}"] if isinstance(part, Latent) else []
    source = [f"reads {part.stack}"] if isinstance(part, CrossAttention) else []
    return ", ".join(words + source)


def _steps(part: AnyAttention) -> Iterator[str]:
    """The steps that are asked for, as the spec writes them."""
    for key in STEPS:
        value = getattr(part, key, None)
        word = getattr(value, "kind", value)
        if word not in ("none", "own", "linear", None, 0):
            yield f"{key} {word}"


def _feedforward(part: Feedforward) -> str:
    if isinstance(part, Experts):
        shared = f", and {_feedforward(part.shared)} for all" if part.shared else ""
        return f"{part.active} of {part.experts} experts, {_feedforward(part.expert)}{shared}"
    return f"{part.kind}, {part.d_ff} wide" + (", gated" if isinstance(part, GATED) else "")


def _recurrent(name: str, stack: Recurrent) -> Iterator[Line]:
    cross = stack.cross_attention
    if cross and stack.bridge.kind == "dense":
        what = f"from the {getattr(stack.bridge, 'of', '')} state of {cross.stack}"
        yield Line(1, "bridge", what, (f"{name}.bridge",))
    feeding = stack.input_feeding
    if feeding.kind != "none" and getattr(feeding, "combine", "") != "concatenate":
        yield Line(1, "combine", f"{feeding.kind} with the token", (f"{name}.combine",))
    layers = "1 layer" if stack.layers == 1 else f"{stack.layers} layers"
    residual = ", residual" if stack.residual == "add" else ""
    yield Line(1, "rnn", f"{stack.cell.kind}, {layers}, {stack.direction.kind}{residual}", (f"{name}.rnn",))
    if cross:
        what = f"{describe_attention(cross)}, asked by {stack.query}"
        yield Line(1, "cross_attention", what, (f"{name}.cross_attention",))
    if stack.readout.kind != "state":
        yield Line(1, "readout", f"{stack.readout.kind}, {stack.d_readout} wide", (f"{name}.readout",))


def _head(run: Run, sizes: Sizes) -> Iterator[Line]:
    task = run.task
    field = run.model.stacks[task.stack].input.field
    if isinstance(task, tasks.SentencePair):
        what = f"{task.kind}: 2 labels"
    elif isinstance(task, (tasks.Classification, tasks.Tagging)):
        mark = " (from data)" if "label" in sizes.from_data else ""
        what = f"{task.kind}: {sizes.labels} labels{mark}"
    else:
        mark = " (from data)" if field in sizes.from_data else ""
        what = f"{task.kind}: {sizes.vocabularies[field]} ids{mark}"
    yield Line(0, "head", what, ("head",))
    for other in run.beside:
        yield Line(0, "head", f"{other.kind}: 2 labels", (other.kind,))
    if isinstance(task, tasks.Pooled) and isinstance(task.pooling, tasks.AttentionPooling):
        pooling = task.pooling
        yield Line(1, "attention", f"pooling, {pooling.heads} heads, {pooling.score.kind}", ("head.attention",))
