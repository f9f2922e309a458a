"""Retention: chunks, the recurrence, and the weights that they imply are one thing."""

import pytest
import torch
import yaml
from torch.nn import functional as F

from attncli.checking.certificate import judged
from attncli.checking.laws import LAWS
from attncli.checking.subject import subject_of
from attncli.errors import SpecError
from attncli.maps.check import take
from attncli.nn.retention import Retention
from attncli.nn.view import view_of_self
from attncli.reference.retention import decay_of, recurrent
from attncli.streams import stream
from tests import catalogue
from tests.nn.models import build, packed, read, run_of, tiny

CLOSE = {"rtol": 1e-10, "atol": 1e-11}
kinds = pytest.mark.parametrize("kind", catalogue.RETENTIONS.values(), ids=catalogue.RETENTIONS.keys())


def spec(kind):
    model = {"d_model": 12, "max_length": 96, "bias": True, "feedforward": {"d_ff": 10}, "tie_embeddings": "none"}
    model["decoder"] = {"layers": 2, "attention": read(kind)}
    return tiny(yaml.safe_dump(model, default_flow_style=True, width=10_000).strip(), "language_model")


def attention(kind) -> Retention:
    return next(iter(build(spec(kind)).attentions().values()))


@kinds
def test_outputs_are_those_of_the_recurrence_and_the_map_proves_them(kind):
    """Two rows of unlike length, padded on the left, longer than a chunk."""
    module, tokens = attention(kind), stream([[1] * 71, [1] * 3], pad=0, left=True)
    x, records = torch.randn(2, 71, 12, dtype=torch.float64), []
    view = view_of_self(tokens, records.append)
    with torch.no_grad():
        output, asked = module(x, x, view), module.ask(x, view)
        key, value = module.read(x, view)
    taken = take(records[0])
    assert taken.output_error[taken.query_real[:, None].expand_as(taken.output_error)].max() < 1e-10
    gate = F.silu(x @ module.swish.weight.T).unflatten(2, (module.heads, -1)).transpose(1, 2)
    torch.testing.assert_close(asked.gate, gate)
    for row, length in enumerate((71, 3)):
        parts = [
            recurrent(*(each[row, h, -length:].tolist() for each in (asked.query, key, value)), decay=decay_of(h))
            for h in range(module.heads)
        ]
        mixed = module.ending.norm(torch.tensor(parts, dtype=torch.float64)) * gate[row, :, -length:]
        expected = module.output(mixed.transpose(0, 1).flatten(1))
        torch.testing.assert_close(output[row, -length:], expected, **CLOSE)


@kinds
@pytest.mark.parametrize("rows", ["right", "left", "packed"])
def test_the_sums_are_the_weights_forward_and_backward(kind, rows):
    module = attention(kind).train()
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


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("mask=full", "the decay counts back"),
        ("mask=causal & window(before=3)", "the decay counts back"),
        ("position=alibi", "adds to single scores"),
        ("normalizer=softmax", "'normalizer' is a key of kind"),
    ],
)
def test_what_retention_cannot_do_is_refused(override, says):
    with pytest.raises(SpecError, match=says):
        run_of(spec("{kind: retention, heads: 2}"), f"model.decoder.attention.{override}")
