"""Worked examples of heads, norms, feed-forward maps and recurrent cells."""

from collections.abc import Callable, Iterator
from functools import partial
from math import tanh
from typing import Any

from attncli.reference import outputs
from attncli.reference.attention import one_head
from attncli.reference.feedforward import activation, rebalanced, route
from attncli.reference.indexer import index_loss, index_scores
from attncli.reference.normalizers import softmax
from attncli.reference.norms import dynamic_tanh, layer_norm, rms_norm, scale_norm
from attncli.reference.recurrent import CellWeights, gru_cell, lstm_cell, rnn_cell, sigmoid
from attncli.reference.residuals import joined
from attncli.reference.scores import scaled_dot
from attncli.reference.steps import best
from attncli.reference.vectors import dot
from attncli.spec import feedforward as ff
from attncli.spec.attention import MultiHead
from attncli.spec.base import Spec, kind_of
from attncli.spec.explain.entries import Step
from attncli.spec.explain.worked_attention import ATTENTIONS, TOKENS
from attncli.spec.explain.worked_positions import POSITIONS
from attncli.spec.norms import DynamicTanh, LayerNorm, RmsNorm, ScaleNorm
from attncli.spec.outputs import Adaptive, Mixture
from attncli.spec.recurrent import Gru, Lstm, Rnn
from attncli.spec.residuals import Add, DeepNorm, Gated, LayerScale, ReZero, Scaled, deepnorm
from attncli.spec.steps import Indexer


def multi_head_steps() -> Iterator[Step]:
    """Two heads over three tokens: each reads half of the width of all of them."""
    yield Step("three tokens of width 4, here query, key and value alike", TOKENS)
    contexts: list[list[list[float]]] = []
    for head in range(2):
        part = [token[2 * head : 2 * head + 2] for token in TOKENS]
        rows = one_head(part, part, score=partial(_own_score, part))
        yield Step(f"head {head} reads features {2 * head} and {2 * head + 1} of every token", part)
        yield Step(f"weights of head {head}, a row for each query, a column for each of the three tokens",
                   [row.weights for row in rows])  # fmt: skip
        contexts.append([row.context for row in rows])
    joined = [[*first, *second] for first, second in zip(*contexts, strict=True)]
    yield Step("the heads' contexts side by side, before the output map", joined)


def _own_score(keys: list[list[float]], query: list[float]) -> list[float]:
    return scaled_dot(query, keys)


def self_attention_steps() -> Iterator[Step]:
    """One head is enough for self-attention: every token asks all tokens of its own sequence."""
    yield Step("one sequence, query, key and value alike", TOKENS)
    rows = one_head(TOKENS, TOKENS, score=partial(_own_score, TOKENS))
    yield Step("weights of one head, a row for each token that asks", [row.weights for row in rows])
    yield Step("contexts", [row.context for row in rows])


FEATURES = [2.0, -1.0, 0.5, 4.5]


def _layer_norm() -> Iterator[Step]:
    yield Step("x", FEATURES)
    yield Step("mean", sum(FEATURES) / len(FEATURES))
    yield Step("layer_norm, gain 1, bias 0", layer_norm(FEATURES, gain=[1.0] * 4))
    yield Step("of 10 x + 3, the same", layer_norm([10 * x + 3 for x in FEATURES], gain=[1.0] * 4))


def _rms_norm() -> Iterator[Step]:
    yield Step("x", FEATURES)
    yield Step("mean of x^2", dot(FEATURES, FEATURES) / len(FEATURES))
    yield Step("rms_norm, gain 1", rms_norm(FEATURES, gain=[1.0] * 4))
    yield Step("of 10 x, the same", rms_norm([10 * x for x in FEATURES], gain=[1.0] * 4))


def _scale_norm() -> Iterator[Step]:
    yield Step("x", FEATURES)
    yield Step("|x|", dot(FEATURES, FEATURES) ** 0.5)
    yield Step("scale_norm, g sqrt(4)", scale_norm(FEATURES, gain=2.0))
    yield Step("of 10 x, the same", scale_norm([10 * x for x in FEATURES], gain=2.0))


def _dynamic_tanh() -> Iterator[Step]:
    weights: dict[str, Any] = {"alpha": 0.5, "gain": [1.0] * 4, "bias": [0.0] * 4}
    yield Step("x", FEATURES)
    yield Step("dyt, alpha 0.5, gain 1, bias 0", dynamic_tanh(FEATURES, **weights))
    yield Step("of 10 x, not the same", dynamic_tanh([10 * x for x in FEATURES], **weights))


def _residual(kind: type[Spec]) -> Iterator[Step]:
    x, f = [1.0, -2.0, 0.5], [0.2, 0.4, -1.0]
    yield Step("x", x)
    yield Step("f", f)
    match kind_of(kind):
        case "scaled":
            yield Step("by 0.5", joined(x, f, "scaled", by=0.5))
        case "deepnorm":
            for depth in (6, 100):
                alpha, beta = deepnorm(depth, read_by=None, reads=False)
                yield Step(f"alpha and beta of one stack of {depth} layers", [alpha, beta])
            yield Step("alpha x + f with the last alpha, before the norm", joined(x, f, "deepnorm", alpha=alpha))
        case "gated":
            for gate in (0.0, 0.5):
                yield Step(f"a = {gate:g}", joined(x, f, "gated", gain=gate))
        case "rezero":
            for gate in (0.0, 0.5):
                yield Step(f"a = {gate:g}", joined(x, f, "rezero", gain=gate))
        case "layer_scale":
            yield Step("g = [0.1, 0.5, 2]", joined(x, f, "layer_scale", gain=[0.1, 0.5, 2.0]))
        case word:
            yield Step("x + f", joined(x, f, word))


def _experts() -> Iterator[Step]:
    logits = [2.0, -1.0, 1.0, 0.5]
    yield Step("logits of the router, four experts", logits)
    for score, normalize in (("softmax", "selected"), ("softmax", "all"), ("sigmoid", "selected")):
        found = route(logits, 2, score=score, normalize=normalize)
        weights = [found.get(expert, 0.0) for expert in range(4)]
        yield Step(f"weights, active 2, score {score}, normalize {normalize}", weights)
    found = route(logits, 2, offset=[-0.5, 0.5, 0.0, 0.0])
    yield Step("chosen with the offset [-0.5, 0.5, 0, 0] of balance: bias", [found.get(e, 0.0) for e in range(4)])
    yield Step("the offset after a step in which they were chosen 6, 2, 5, 3 times, rate 0.1",
               rebalanced([-0.5, 0.5, 0.0, 0.0], [6, 2, 5, 3], 0.1))  # fmt: skip


def _indexer() -> Iterator[Step]:
    queries, weights, keys = [[1.0, 0.5], [-1.0, 2.0]], [0.8, -0.3], [[1.0, 0.0], [0.5, 2.0], [1.0, 1.0], [-1.0, 0.5]]
    yield Step("index queries a of two heads, width 2", queries)
    yield Step("their weights w", weights)
    yield Step("index keys c of four tokens", keys)
    for head, query in enumerate(queries):
        yield Step(f"relu(a.c), head {head}", [max(dot(query, key), 0.0) for key in keys])
    scores = index_scores(queries, weights, keys)
    yield Step("I = sum of w relu(a.c), / sqrt(2 x 2)", scores)
    seen = best(scores, [True] * 4, keys=2)
    yield Step("the 2 keys that the query sees", ["seen" if sees else "hidden" for sees in seen])
    shares = [[0.7, 0.0, 0.3, 0.0], [0.5, 0.0, 0.5, 0.0]]
    yield Step("weights of two heads of the attention", shares)
    yield Step("KL(their mean || softmax of I over what is seen)", index_loss(scores, shares, seen))


def _feedforward(kind: type[Spec]) -> Iterator[Step]:
    word, points = kind_of(kind), [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]
    gated = issubclass(kind, ff.GATED)
    yield Step("x W" if gated else "hidden unit before", points)
    found = [activation(word, x) for x in points]
    yield Step("after" if not gated else "what the gate lets through", found)
    if gated:
        yield Step("times x V = 3", [3 * each for each in found])


ENTERED, STATE, MEMORY = [1.0, -1.0], [0.5], [0.2]


def _cell(gates: int) -> CellWeights:
    """One unit; each gate reads the input with its own two numbers and the state with one."""
    of_input = [[0.5 * (gate + 1), 0.25] for gate in range(gates)]
    return CellWeights(of_input, [[1.0 - 0.75 * gate] for gate in range(gates)])


def _gates(names: str, weights: CellWeights) -> Iterator[Step]:
    yield Step("x", ENTERED)
    yield Step("h", STATE)
    for gate, name in enumerate(names):
        entered, kept = dot(weights.input[gate], ENTERED), dot(weights.state[gate], STATE)
        yield Step(f"W_{name} x", entered)
        yield Step(f"U_{name} h", kept)
        if name not in "ng":
            yield Step(f"{name} = sigmoid of the sum", sigmoid(entered + kept))


def _gru() -> Iterator[Step]:
    weights = _cell(3)
    yield from _gates("rzn", weights)
    reset = sigmoid(dot(weights.input[0], ENTERED) + dot(weights.state[0], STATE))
    new = tanh(dot(weights.input[2], ENTERED) + reset * dot(weights.state[2], STATE))
    yield Step("n = tanh(W_n x + r U_n h)", new)
    yield Step("h' = (1 - z) n + z h", gru_cell(ENTERED, STATE, weights))
    yield Step("h' with reset before", gru_cell(ENTERED, STATE, weights, reset="before"))


def _lstm() -> Iterator[Step]:
    weights = _cell(4)
    yield from _gates("ifgo", weights)
    yield Step("g = tanh(W_g x + U_g h)", tanh(dot(weights.input[2], ENTERED) + dot(weights.state[2], STATE)))
    state, memory = lstm_cell(ENTERED, STATE, MEMORY, weights)
    yield Step("c", MEMORY)
    yield Step("c' = f c + i g", memory)
    yield Step("h' = o tanh(c')", state)


def _rnn() -> Iterator[Step]:
    weights = _cell(1)
    entered, kept = dot(weights.input[0], ENTERED), dot(weights.state[0], STATE)
    yield Step("x", ENTERED)
    yield Step("h", STATE)
    yield Step("W x", entered)
    yield Step("U h", kept)
    yield Step("h' = tanh(W x + U h)", rnn_cell(ENTERED, STATE, weights))
    yield Step("h' with activation relu", rnn_cell(ENTERED, STATE, weights, activation="relu"))


def _adaptive() -> Iterator[Step]:
    head, tails = [2.0, 1.0, 0.5], [[1.0, 0.0, -1.0]]
    yield Step("logits of ids 0 and 1, and of the one cluster", head)
    yield Step("logits within the cluster, ids 2 to 4", tails[0])
    yield Step("probabilities of the ids", outputs.adaptive(head, tails))


def _mixture() -> Iterator[Step]:
    prior, latent, weight = [0.5, -0.5], [[1.0, -1.0], [-1.0, 0.5]], [[1.0, 0.0], [0.0, 1.0], [-1.0, 1.0]]
    yield Step("shares of two components", softmax(prior))
    for one in latent:
        yield Step(f"softmax of a component, G h + c = {one}", outputs.mixture([0.0], [one], weight))
    yield Step("probabilities of three ids", outputs.mixture(prior, latent, weight))


LAYERS: dict[type[Spec], Callable[[], Iterator[Step]]] = {
    **POSITIONS,
    **ATTENTIONS,
    MultiHead: multi_head_steps,
    LayerNorm: _layer_norm,
    RmsNorm: _rms_norm,
    Gru: _gru,
    Lstm: _lstm,
    Rnn: _rnn,
    ScaleNorm: _scale_norm,
    ff.Experts: _experts,
    Indexer: _indexer,
    Adaptive: _adaptive,
    Mixture: _mixture,
    DynamicTanh: _dynamic_tanh,
    **{kind: partial(_residual, kind) for kind in (Add, Scaled, DeepNorm, ReZero, LayerScale, Gated)},
    **{kind: partial(_feedforward, kind) for kind in (*ff.GATED, *ff.UNGATED)},
}
