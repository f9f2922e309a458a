"""FLOPs of every part of a model from the spec and the lengths alone: no weights, no torch.

A multiply-add is 2 FLOPs, as torch and DeepSpeed count (fvcore counts 1). Matrix products are counted: linear maps,
scores, mixtures, recurrent cells. Sums, norms, activations, softmax and look-ups are not, so that the count divided
by time compares with the speed of matrix products. Backward is twice forward: one product for each of the two inputs.

An attention has two numbers. `visible` counts the pairs of query and key that its mask shows, so that designs compare
by the work that they mean; `dense` counts every pair, which is what a kernel does that makes all scores.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from attncli.profiling.flops_outputs import map_of
from attncli.profiling.flops_positions import Placed, placed, widens
from attncli.profiling.flops_running import running
from attncli.profiling.flops_select import selected
from attncli.spec import outputs, scores, tasks
from attncli.spec.attention import ATTENTIONS, AnyAttention, CrossAttention, Latent
from attncli.spec.feedforward import GATED, Experts, Feedforward, FeedforwardKind
from attncli.spec.masks import Mask
from attncli.spec.recurrent import (
    Both,
    ContextFeeding,
    DenseBridge,
    DenseReadout,
    Gru,
    Lstm,
    MaxoutReadout,
    NoFeeding,
    ReadoutFeeding,
    Recurrent,
)  # fmt: skip
from attncli.spec.run import Run
from attncli.spec.running import Running
from attncli.spec.sizes import Sizes
from attncli.spec.spans import Predicted
from attncli.spec.stacks import Transformer

Phase = Literal["forward", "train", "decode"]


@dataclass(frozen=True)
class Scene:
    """What is computed: `batch` rows, as many tokens in each stack as `lengths` says.

    `decode` writes one token more in each row, where the cache holds the ones before it: a total of `lengths` tokens.
    """

    batch: int
    lengths: dict[str, int]
    phase: Phase = "forward"


@dataclass(frozen=True)
class Work:
    """FLOPs of one part. Units: operations, a multiply-add being two."""

    address: str
    visible: int
    dense: int

    def times(self, factor: int) -> "Work":
        """This work done `factor` times."""
        return replace(self, visible=self.visible * factor, dense=self.dense * factor)


def work_of(run: Run, sizes: Sizes, scene: Scene) -> list[Work]:
    """The work of each part that has any, in the order of the forward pass."""
    parts = [work for name, stack in run.model.stacks.items() for work in _stack(name, stack, run, scene)]
    parts += _head(run, sizes, scene)
    factor = 3 if scene.phase == "train" else 1
    return [part.times(factor) for part in parts if part.dense]


def _even(address: str, flops: int) -> Work:
    """Work that no mask spares."""
    return Work(address, flops, flops)


def _stack(name: str, stack: Transformer | Recurrent, run: Run, scene: Scene) -> Iterator[Work]:
    writes = name == run.task.stack
    if scene.phase == "decode" and not writes:
        return
    tokens = scene.batch * (1 if scene.phase == "decode" else scene.lengths[name])
    if isinstance(stack, Recurrent):
        yield from _recurrent(name, stack, run, scene, tokens, writes=writes)
        return
    d_model = stack.d_model
    if stack.input.d_embedding != d_model:
        yield _even(f"{name}.input", 2 * tokens * stack.input.d_embedding * d_model)
    for index, layer in enumerate(stack.expanded()):
        for each in layer.placed():
            part, address = each.part, f"{name}.{index}.{each.address}"
            if isinstance(part, ATTENTIONS):
                source = part.stack if isinstance(part, CrossAttention) else name
                yield _attention(address, part, d_model, d_model, _width(run, source), name, source, scene)
            elif isinstance(part, FeedforwardKind):
                yield _even(address, _feedforward(part, tokens, d_model))


def _width(run: Run, name: str) -> int:
    """Width of the states of a stack as others read them."""
    stack = run.model.stacks[name]
    return stack.d_output if isinstance(stack, Recurrent) else stack.d_model


def _feedforward(part: Feedforward, tokens: int, d_model: int) -> int:
    if isinstance(part, Experts):
        shared = 0 if part.shared is None else _feedforward(part.shared, tokens, d_model)
        shared += 2 * tokens * d_model if part.shared is not None and part.shared.gate is not None else 0
        routed = part.active * _feedforward(part.expert, tokens, d_model)
        return 2 * tokens * d_model * part.experts + routed + shared
    return 2 * tokens * d_model * part.d_ff * (3 if isinstance(part, GATED) else 2)


@dataclass(frozen=True)
class _Pairs:
    """Queries, keys that are made anew, and pairs of one row, over all heads."""

    queries: int
    new_keys: int
    visible: int
    dense: int


def _pairs(mask: Mask, heads: int, scene: Scene, reader: str, source: str) -> _Pairs:
    queries, keys = scene.lengths[reader], scene.lengths[source]
    if scene.phase != "decode":
        return _Pairs(queries, keys, mask.visible(queries, keys, heads=heads), heads * queries * keys)
    different = heads if "h" in mask.names else 1
    last = [mask.rows(queries, keys, head).row(queries - 1).bit_count() for head in range(different)]
    visible = sum(last) * (heads // len(last))
    return _Pairs(1, 1 if reader == source else 0, visible, heads * keys)


def _attention(
    address: str, part: AnyAttention, d_query: int, d_output: int, d_memory: int, reader: str, source: str, scene: Scene
) -> Work:
    pairs = _pairs(part.mask, part.heads, scene, reader, source)
    return _attention_work(address, part, d_query, d_output, d_memory, pairs, scene.batch)


def _attention_work(
    address: str, part: AnyAttention, d_query: int, d_output: int, d_memory: int, pairs: _Pairs, batch: int
) -> Work:
    """Maps of queries and keys, then the score and the mixture of each pair."""
    if isinstance(part, Latent):
        return _latent_work(address, part, d_query, d_output, d_memory, pairs, batch)
    if isinstance(part, Running):
        adds = running(part, d_query, d_output, d_memory, queries=pairs.queries, keys=pairs.new_keys)
        return _even(address, 2 * batch * adds)
    heads, kv_heads, projections, each = part.heads, part.kv_heads, part.projections, part.maps_a_head
    ask = part.d_head if part.maps("query") else d_query // (heads * each)
    read = part.d_head if part.maps("key") else d_memory // (kv_heads * each)
    value = part.d_value if part.maps("value") else d_memory // kv_heads
    maps = pairs.queries * d_query * heads * each * ask * ("query" in projections)
    maps += pairs.new_keys * d_memory * kv_heads * each * read * ("key" in projections)
    maps += pairs.new_keys * d_memory * kv_heads * value * ("value" in projections)
    if part.second_projections is not None:
        ends = pairs.dense // (heads * pairs.queries)  # a cache has only the newest queries
        chosen = sum(bool(part.second_projections.allows(ends - q, 0)) for q in range(1, pairs.queries + 1))
        maps += chosen * d_query * heads * each * ask * ("query" in projections)
        again = each * read * ("key" in projections) + value * ("value" in projections)
        maps += pairs.new_keys * d_memory * kv_heads * again
        pairs = replace(pairs, dense=pairs.dense + pairs.dense * chosen // pairs.queries)
    doubled = 2 * (heads * value + d_query) if part.output == "attention_on_attention" else heads * value
    maps += pairs.queries * doubled * d_output * ("output" in projections)
    a_query, a_key, a_pair = _score(part.score, ask, read * widens(part), value)
    position = _placed(part, d_query, ask, read, value, pairs)
    maps += position.row
    maps += heads * each * (pairs.queries * a_query + pairs.new_keys * a_key)
    maps += pairs.queries * heads * part.persistent * (each * a_pair + value)
    maps += pairs.queries * d_query * heads * {"none": 0, "sigmoid": value, "sigmoid_per_head": 1}[part.gate]
    mixed = heads * each * each  # each pair of each map of a head is mixed of all maps
    value += mixed * {"none": 0, "both": 2}.get(part.talking_heads, 1)
    keys = pairs.dense // (heads * pairs.queries)
    widths = {"d_query": d_query, "d_memory": d_memory, "new_keys": pairs.new_keys}
    maps += selected(part.select, queries=pairs.queries, keys=keys, **widths)
    if isinstance(part.span, Predicted):
        maps += pairs.queries * heads * ask * (ask + 1)
    if isinstance(part.score, (scores.Location, scores.Synthesizer)):
        # all places of the table are scored for each query, whatever the mask shows
        return _scaled(address, 2 * batch, maps, pairs, value)
    work = _scaled(address, 2 * batch, maps, pairs, each * a_pair + value)
    return replace(work, visible=work.visible + 2 * position.once, dense=work.dense + 2 * position.once)


def _placed(part: AnyAttention, d_model: int, ask: int, read: int, value: int, pairs: _Pairs) -> Placed:
    keys = pairs.dense // (part.heads * pairs.queries)
    return placed(
        part, d_model=d_model, ask=ask, read=read, value=value, queries=pairs.queries, keys=keys,
        new_keys=pairs.new_keys,
    )  # fmt: skip


def _latent_work(
    address: str, part: Latent, d_query: int, d_output: int, d_memory: int, pairs: _Pairs, batch: int
) -> Work:
    """Maps to the latents, and from them to keys and values; few queries read the latents of a past as they are."""
    wide, keys = part.d_head + part.d_rotary, pairs.dense // (part.heads * pairs.queries)
    maps = pairs.queries * part.heads * ((part.q_rank or d_query) * wide + part.d_value * d_output)
    maps += pairs.queries * d_query * (part.q_rank or 0) + pairs.new_keys * d_memory * (part.kv_rank + part.d_rotary)
    made, pair = part.kv_rank * (part.d_head + part.d_value), wide + part.d_value
    latent, turns = 2 * part.kv_rank + part.d_rotary, part.position.kind in ("rotary", "xpos", "none")
    few = pairs.queries < keys and pairs.queries * (made + keys * latent) < keys * (made + pairs.queries * pair)
    maps += (pairs.queries if few and turns else keys) * part.heads * made
    position = _placed(part, d_query, wide, wide, part.d_value, pairs)
    work = _scaled(address, 2 * batch, maps + position.row, pairs, latent if few and turns else pair)
    return replace(work, visible=work.visible + 2 * position.once, dense=work.dense + 2 * position.once)


def _scaled(address: str, factor: int, maps: int, pairs: _Pairs, each: int) -> Work:
    return Work(address, factor * (maps + pairs.visible * each), factor * (maps + pairs.dense * each))


def _score(score: scores.Score, ask: int, read: int, value: int) -> tuple[int, int, int]:
    """Multiply-adds of a score for each query, each key that is read, and each pair, of one head."""
    match score:
        case scores.General():
            return ask * read, 0, read
        case scores.Additive(d_hidden=hidden) | scores.Coverage(d_hidden=hidden):
            return ask * hidden, read * hidden, hidden
        case scores.LocationAware(d_hidden=hidden, channels=channels, kernel_size=size):
            return ask * hidden, read * hidden, hidden + channels * (size + hidden)
        case scores.BiasedDot():
            return ask, value, read
        case scores.Trilinear():
            return ask, 0, read + 1
        case scores.Distance():
            return 0, 0, read + 2
        case scores.Location(max_length=places) | scores.Synthesizer(max_length=places):
            return ask * places, 0, 0
        case _:
            return 0, 0, read


def _recurrent(name: str, stack: Recurrent, run: Run, scene: Scene, tokens: int, *, writes: bool) -> Iterator[Work]:
    d_embedding = stack.input.d_embedding
    cross = stack.cross_attention
    d_memory = _width(run, cross.stack) if cross else 0
    d_context = _context_width(stack, d_memory)
    fed = {NoFeeding: 0, ContextFeeding: d_context, ReadoutFeeding: stack.d_readout}[type(stack.input_feeding)]
    entering = d_embedding + fed
    if cross and scene.phase != "decode" and isinstance(stack.bridge, DenseBridge):
        yield _even(f"{name}.bridge", 2 * scene.batch * _bridge(stack, run.model.stacks[cross.stack]))
    if fed and not isinstance(stack.input_feeding, NoFeeding) and stack.input_feeding.combine != "concatenate":
        yield _even(f"{name}.combine", 2 * tokens * entering * d_embedding)
        entering = d_embedding
    yield _even(f"{name}.rnn", 2 * tokens * _cells(stack, entering))
    if cross:
        yield _attention(f"{name}.cross_attention", cross, stack.d_query, d_context, d_memory, name, cross.stack, scene)
    if writes:
        yield _even(f"{name}.readout", 2 * tokens * _readout(stack, d_context))


def _readout(stack: Recurrent, d_context: int) -> int:
    """Multiply-adds of a token: the map of context and state, and of what else the kind reads."""
    joined = d_context + stack.d_hidden
    match stack.readout:
        case DenseReadout(gate="none"):
            return joined * stack.d_readout
        case DenseReadout():
            return (2 * joined + stack.input.d_embedding) * stack.d_readout
        case MaxoutReadout(pieces=pieces):
            return (joined + stack.input.d_embedding) * stack.d_readout * pieces
        case _:
            return 0


def _context_width(stack: Recurrent, d_memory: int) -> int:
    cross = stack.cross_attention
    if cross is None:
        return 0
    if "output" in cross.projections:
        return stack.d_hidden
    return cross.heads * cross.d_value if cross.maps("value") else d_memory


def _cells(stack: Recurrent, entering: int) -> int:
    """Multiply-adds of a token in all layers: each gate reads what enters and the last state."""
    ways = 2 if isinstance(stack.direction, Both) else 1
    gates = 4 if isinstance(stack.cell, Lstm) else 3 if isinstance(stack.cell, Gru) else 1
    widths = [entering] + [stack.d_hidden * ways] * (stack.layers - 1)
    return sum(gates * ways * stack.d_hidden * (width + stack.d_hidden) for width in widths)


def _bridge(stack: Recurrent, source: Transformer | Recurrent) -> int:
    assert isinstance(stack.bridge, DenseBridge)
    states = stack.layers * (2 if isinstance(stack.cell, Lstm) else 1)
    if not isinstance(source, Recurrent):
        width = source.d_model
    elif stack.bridge.of == "mean":
        width = source.d_output
    else:
        both = isinstance(source.direction, Both) and stack.bridge.of == "final"
        width = source.d_hidden * (2 if both else 1)
    return width * stack.d_hidden * states


def predicted(run: Run, tokens: int) -> int:
    """Places at which a training step makes logits: those that have a label."""
    if isinstance(run.task, tasks.MaskedLanguageModel):
        return max(1, round(tokens * run.task.rate))
    return tokens


def _head(run: Run, sizes: Sizes, scene: Scene) -> Iterator[Work]:
    task = run.task
    stack = run.model.stacks[task.stack]
    width = stack.d_readout if isinstance(stack, Recurrent) else stack.d_model
    tokens = scene.batch * (1 if scene.phase == "decode" else scene.lengths[task.stack])
    for other in run.beside if scene.phase == "train" else ():  # their logits are of the loss alone
        yield from _class_head(other, width, 2, scene, other.kind)
    match task:
        case tasks.Classification() | tasks.SentencePair():
            yield from _class_head(task, width, sizes.labels or 2, scene)
        case tasks.Tagging():
            yield _even("head", 2 * tokens * width * (sizes.labels or 2))
        case _:
            places = predicted(run, tokens) if scene.phase == "train" else tokens
            tied = run.model.tie_embeddings in ("output", "all")
            read = stack.input.d_embedding if tied else width
            made = map_of(task.output, width, read, sizes.vocabularies[stack.input.field])
            if isinstance(task.output, outputs.PointerGenerator):
                made += _decides(run, stack) if isinstance(stack, Recurrent) else 3 * stack.d_model
            yield _even("head", 2 * places * made)


def _decides(run: Run, stack: Recurrent) -> int:
    """Width of what a pointer-generator decides by: context, what asks, token."""
    memory = _width(run, stack.cross_attention.stack) if stack.cross_attention else 0
    asks = stack.d_hidden * (2 if stack.query == "state_and_cell" else 1)
    return _context_width(stack, memory) + asks + stack.input.d_embedding


def _class_head(task: tasks.Pooled, width: int, classes: int, scene: Scene, address: str = "head") -> Iterator[Work]:
    pooling, pooled = task.pooling, width
    if isinstance(pooling, tasks.AttentionPooling):
        pooled = width * pooling.queries
        keys = scene.lengths[task.stack]
        pairs = _Pairs(pooling.queries, keys, *[pooling.heads * pooling.queries * keys] * 2)
        d_head = width // pooling.heads
        a_query, a_key, a_pair = _score(pooling.score, d_head, d_head, d_head)
        maps = 2 * width * width * (pairs.queries + keys)
        maps += pooling.heads * (pairs.queries * a_query + keys * a_key)
        yield _scaled(f"{address}.attention", 2 * scene.batch, maps, pairs, a_pair + d_head)
    dense = pooled * pooled if pooling.dense != "none" else 0
    yield _even(address, 2 * scene.batch * (dense + pooled * classes))
