"""Linear attention: one sum for all queries, the recurrence, and the weights that they imply are one thing."""

import pytest
import torch
import yaml

from attncli.checking.certificate import judged
from attncli.checking.laws import LAWS
from attncli.checking.subject import subject_of
from attncli.errors import SpecError
from attncli.maps.check import take
from attncli.nn.kernels import linear
from attncli.nn.linear import RunningSum, build_linear
from attncli.nn.view import view_of_self
from attncli.reference.attention import split
from attncli.reference.linear import recurrent
from attncli.reference.vectors import affine
from attncli.spec.attention import Linear
from attncli.streams import stream
from tests import catalogue
from tests.nn.models import packed, read, run_of, shake, tiny

CLOSE = {"rtol": 1e-10, "atol": 1e-11}
kinds = pytest.mark.parametrize("kind", catalogue.LINEARS.values(), ids=catalogue.LINEARS.keys())
masks = pytest.mark.parametrize("mask", ["causal", "full"])


def attention(kind, mask):
    given = {"bias": True, "norm": "none", "norm_place": "pre", "mask": mask} | read(kind)
    module = build_linear(Linear.model_validate(given), d_query=12, d_memory=12, d_output=12)
    shake(module)
    return module.double().eval()


@kinds
@masks
def test_outputs_are_those_of_the_recurrence_and_the_map_proves_them(kind, mask):
    """Two rows of unlike length, padded on the left, longer than a chunk."""
    module, tokens = attention(kind, mask), stream([[1] * 71, [1] * 3], pad=0, left=True)
    x, records = torch.randn(2, 71, 12, dtype=torch.float64), []
    with torch.no_grad():
        output = module(x, x, view_of_self(tokens, records.append))
    taken = take(records[0])
    assert taken.output_error[taken.query_real[:, None].expand_as(taken.output_error)].max() < 1e-10
    maps = [(each.weight.tolist(), each.bias.tolist()) for each in (module.query, module.key, module.value)]
    for row, length in enumerate((71, 3)):
        states = x[row, -length:].tolist()
        heads = [[split(affine(each, *of), module.heads) for each in states] for of in maps]
        parts = [
            recurrent(*([each[h] for each in of] for of in heads), kind=module.feature, causal=mask == "causal")
            for h in range(module.heads)
        ]
        mixed = torch.tensor(parts, dtype=torch.float64).unsqueeze(0)
        expected = module.output(module.ending(mixed, None).transpose(1, 2).flatten(2))[0]
        torch.testing.assert_close(output[row, -length:], expected, **CLOSE)


@kinds
@masks
@pytest.mark.parametrize("rows", ["right", "left", "packed"])
def test_the_sums_are_the_weights_forward_and_backward(kind, mask, rows):
    module = attention(kind, mask).train()
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
    model = {"d_model": 12, "max_length": 32, "bias": True, "feedforward": {"d_ff": 10}}
    model |= {name: {"layers": 2, "attention": read(kind)} for name in ("encoder", "decoder")}
    subject = subject_of(run_of(tiny(yaml.safe_dump(model, default_flow_style=True, width=10_000).strip())))
    verdicts = [judged(law, subject) for law in LAWS]
    assert [(verdict.law, verdict.witness) for verdict in verdicts if not verdict.holds] == []


def test_a_running_sum_goes_on_from_where_a_text_was_cut_and_moved():
    key, value = torch.rand(3, 2, 6, 4, dtype=torch.float64), torch.randn(3, 2, 6, 5, dtype=torch.float64)
    past = RunningSum(6, linear.added)
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
    ("override", "says"),
    [
        ("mask=causal & window(before=3)", "one sum holds all keys"),
        ("sink=learned", "'sink' is a key of kind"),
        ("position=rotary", "'position' is a key of kind"),
    ],
)
def test_what_a_sum_cannot_do_is_refused(override, says):
    spec = tiny("{tie_embeddings: none, decoder: {d_model: 24, layers: 1, attention: {kind: linear, heads: 2}}}",
                "language_model")  # fmt: skip
    with pytest.raises(SpecError, match=says):
        run_of(spec, f"model.decoder.attention.{override}")
