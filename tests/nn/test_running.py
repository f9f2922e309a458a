"""Attention by sums: the sums, the recurrence, and the weights that they imply are one thing."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor
from torch.nn import functional as F

from attncli.checking.certificate import judged
from attncli.checking.laws import LAWS
from attncli.checking.oracle import turn_of
from attncli.checking.subject import subject_of
from attncli.errors import SpecError
from attncli.maps.check import take
from attncli.nn.delta import DeltaRule
from attncli.nn.features import Favor
from attncli.nn.kernels import linear
from attncli.nn.linear import LinearAttention
from attncli.nn.retention import Retention
from attncli.nn.running import Running, RunningSum
from attncli.nn.view import view_of_self
from attncli.reference import delta as reference_delta
from attncli.reference import linear as reference_linear
from attncli.reference import retention as reference_retention
from attncli.reference.attention import split
from attncli.reference.vectors import affine
from attncli.streams import stream
from tests import catalogue
from tests.nn.models import build, packed, read, run_of, tiny

CLOSE = {"rtol": 1e-10, "atol": 1e-11}
kinds = pytest.mark.parametrize("kind", catalogue.RUNNING.values(), ids=catalogue.RUNNING.keys())
NOWHERE = view_of_self(stream([[1]], pad=0))
TWO_SIDED = [name for name, kind in catalogue.RUNNING.items() if read(kind)["kind"] in ("linear", "performer")]


def spec(kind: str, stack: str = "decoder") -> str:
    model = {"d_model": 12, "max_length": 96, "bias": True, "feedforward": {"d_ff": 10}}
    if stack != "encoder":
        model |= {"tie_embeddings": "none"}
    model[stack] = {"layers": 2, "attention": read(kind)}
    task = "language_model" if stack == "decoder" else "{kind: tagging, tags: 3}"
    return tiny(yaml.safe_dump(model, default_flow_style=True, width=10_000).strip(), task)


def attention(kind: str, stack: str = "decoder") -> Running:
    """The attention of the second layer."""
    return list(build(spec(kind, stack)).attentions().values())[1]


def parts_of(module: Running, x: Tensor) -> list[list[list[list[float]]]]:
    """Queries, keys and values (heads n ·) of one row, queries and keys turned, in plain floats."""
    maps = [(each.weight.tolist(), each.bias.tolist()) for each in (module.query, module.key, module.value)]
    heads = [[split(affine(each, *of), module.heads) for each in x.tolist()] for of in maps]
    turn = turn_of(module.position, len(x))
    if turn is not None:
        for of, side in zip(heads, ("query", "key"), strict=False):
            of[:] = [[turn(part, place, side, h) for h, part in enumerate(parts)] for place, parts in enumerate(of)]
    return [[[each[h] for each in of] for h in range(module.heads)] for of in heads]


def written(module: DeltaRule, x: Tensor) -> Iterator[tuple[Any, ...]]:
    """Queries, keys, values, strengths and what is left of the past at each token, of each head, in plain floats."""
    maps = [(each.weight.tolist(), each.bias.tolist()) for each in (module.query, module.key, module.value)]
    rows = [[number for of in maps for number in affine(each, *of)] for each in x.tolist()]
    if module.convolution is not None:
        rows = reference_delta.convolved(rows, module.convolution.weight.tolist())
    rows = [[reference_delta.silu(each) for each in row] for row in rows]
    wide = module.widths[0]
    sides = [[split(row[at : at + width], heads) for row in rows]
             for at, width, heads in zip((0, wide, 2 * wide), module.widths, (module.qk_heads,) * 2 + (module.heads,),
                                         strict=True)]  # fmt: skip
    strength = (x @ module.strength.weight.T).sigmoid().T.tolist()
    left = torch.ones(module.heads, len(x)).tolist()
    if module.fade is not None:
        step = (1 + (x @ module.fade.map.weight.T + module.fade.offset).exp()).log()
        left = (-module.fade.rate.exp() * step).exp().T.tolist()
    for h in range(module.heads):
        of = h // (module.heads // module.qk_heads)
        query, key = ([reference_delta.unit(row[of]) for row in side] for side in sides[:2])
        yield query, key, [row[h] for row in sides[2]], strength[h], left[h]


def recurrence(module: Running, x: Tensor) -> Tensor:
    """Outputs (n d) of one row, by a recurrence in plain Python up to the ending."""
    if isinstance(module, DeltaRule):
        parts = [
            reference_delta.recurrent(query, key, value, strengths=strengths, fades=fades)
            for query, key, value, strengths, fades in written(module, x)
        ]
        return ended(module, parts, None if module.swish is None else module.swish(x))
    parts, swish = [], None
    for h, (query, key, value) in enumerate(zip(*parts_of(module, x), strict=True)):
        match module:
            case LinearAttention():
                own = module.feature
                feature = partial(reference_linear.feature, kind=getattr(own, "kind", ""))
                if isinstance(own, Favor):
                    feature = partial(reference_linear.favor, directions=own.directions(NOWHERE).tolist())
                causal = module.mask.text == "causal"
                parts.append(reference_linear.recurrent(query, key, value, feature=feature, causal=causal))
            case Retention():
                decay = reference_retention.decay_of(h)
                parts.append(reference_retention.recurrent(query, key, value, decay=decay))
                swish = module.swish(x)
    return ended(module, parts, swish)


def ended(module: Running, parts: list[list[list[float]]], swish: Tensor | None) -> Tensor:
    """Mixtures (h n v), normed, gated and mapped (n d)."""
    mixed = module.ending.norm(torch.tensor(parts, dtype=torch.float64))
    if swish is not None:
        mixed = mixed * F.silu(swish).unflatten(1, (module.heads, -1)).transpose(0, 1)
    return module.output(mixed.transpose(0, 1).flatten(1))


@pytest.mark.parametrize(
    ("name", "stack"), [(name, "decoder") for name in catalogue.RUNNING] + [(name, "encoder") for name in TWO_SIDED]
)
def test_outputs_are_those_of_the_recurrence_and_the_map_proves_them(name, stack):
    """Two rows of unlike length, padded on the left, longer than a chunk."""
    module, tokens = attention(catalogue.RUNNING[name], stack), stream([[1] * 71, [1] * 3], pad=0, left=True)
    x, records = torch.randn(2, 71, 12, dtype=torch.float64), []
    with torch.no_grad():
        output = module(x, x, view_of_self(tokens, records.append))
    taken = take(records[0])
    errors = taken.measures.output_error
    assert errors[taken.query_real[:, None].expand_as(errors)].max() < 1e-10
    for row, length in enumerate((71, 3)):
        torch.testing.assert_close(output[row, -length:], recurrence(module, x[row, -length:]), **CLOSE)


@pytest.mark.parametrize("rows", ["right", "left", "packed"])
@pytest.mark.parametrize(
    ("name", "stack"), [(name, "decoder") for name in catalogue.RUNNING] + [(name, "encoder") for name in TWO_SIDED]
)
def test_the_sums_are_the_weights_forward_and_backward(name, stack, rows):
    module = attention(catalogue.RUNNING[name], stack)
    tokens = stream([[1] * 5, [1] * 3], pad=0, left=rows == "left")
    if rows == "packed":
        tokens = packed(((0, 1), (1,)), ([1] * 3, [1] * 4))
    x, found = torch.randn(*tokens.values.shape, 12, dtype=torch.float64), []
    for by_weights in (False, True):
        own, view = x.clone().requires_grad_(), view_of_self(tokens)
        if by_weights:
            asked = module.ask(own, view)
            mixed, _ = module.by_reference(module.ready(asked, module.read(own, view), view), 0.0)
            output = module.end(mixed, asked)[tokens.real]
        else:
            output = module(own, own, view)[tokens.real]
        module.zero_grad()
        (output * torch.linspace(-1, 1, output.numel(), dtype=torch.float64).view_as(output)).sum().backward()
        found.append((output, own.grad, *(parameter.grad.clone() for parameter in module.parameters())))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


@kinds
def test_every_law_holds(kind):
    subject = subject_of(run_of(spec(kind)))
    verdicts = [judged(law, subject) for law in LAWS]
    assert [(verdict.law, verdict.witness) for verdict in verdicts if not verdict.holds] == []


@pytest.mark.parametrize("name", TWO_SIDED)
def test_every_law_holds_where_all_is_seen(name):
    subject = subject_of(run_of(spec(catalogue.RUNNING[name], "encoder")))
    verdicts = [judged(law, subject) for law in LAWS]
    assert [(verdict.law, verdict.witness) for verdict in verdicts if not verdict.holds] == []


def test_a_running_sum_goes_on_from_where_a_text_was_cut_and_moved():
    def absorb(before: Tensor | None, read: tuple[Tensor, ...], start: int) -> Tensor:
        return linear.added(before, *(x[:, :, start:] for x in read))

    key, value = torch.rand(3, 2, 6, 4, dtype=torch.float64), torch.randn(3, 2, 6, 5, dtype=torch.float64)
    past = RunningSum(6, absorb)
    past.append(key, value)
    past.crop(2)
    past.reorder(torch.tensor([2, 0]))
    kept, moved = key[[2, 0]], value[[2, 0]]
    *_, before = past.append(kept[:, :, 2:3], moved[:, :, 2:3])
    torch.testing.assert_close(before, linear.absorbed(kept[:, :, :2], moved[:, :, :2]))
    all_keys, _, before = past.append(kept[:, :, 3:], moved[:, :, 3:])
    assert torch.equal(all_keys, kept)
    torch.testing.assert_close(before, linear.absorbed(kept[:, :, :3], moved[:, :, :3]))
    assert past.bytes == 2 * 2 * 6 * (4 + 5) * 8 + 2 * 2 * 4 * (5 + 1) * 8


@pytest.mark.parametrize(
    ("kind", "override", "says"),
    [
        ("linear", "mask=causal & window(before=3)", "one sum holds all keys"),
        ("linear", "sink=learned", "'sink' is a key of kind"),
        ("linear", "position=rotary", "'position' is a key of kind"),
        ("performer", "mask=causal & block(3)", "one sum holds all keys"),
        ("performer", "position=alibi", "adds to single scores"),
        ("performer", "position.d_rotary=14", "d_rotary 14 is wider than a head, 12"),
        ("performer", "feature=elu", "'feature' is a key of kind"),
        ("retention", "mask=full", "the decay counts back"),
        ("retention", "mask=causal & window(before=3)", "the decay counts back"),
        ("retention", "position=alibi", "adds to single scores"),
        ("retention", "normalizer=softmax", "'normalizer' is a key of kind"),
        ("delta", "mask=full", "the decay counts back"),
        ("gated_delta", "position=rotary", "'position' is a key of kind"),
        ("gated_delta", "qk_heads=4", "qk_heads must divide heads, but 2 / 4 leaves 2"),
        ("gated_delta", "kv_heads=1", "'kv_heads' is a key of kind"),
    ],
)
def test_what_a_sum_cannot_do_is_refused(kind, override, says):
    text = tiny(
        f"{{tie_embeddings: none, decoder: {{d_model: 24, layers: 1, attention: {{kind: {kind}, heads: 2}}}}}}",
        "language_model",
    )
    with pytest.raises(SpecError, match=says):
        run_of(text, f"model.decoder.attention.{override}")
