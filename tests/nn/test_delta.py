"""What the delta rule is, beside what it shares with every running sum."""

import pytest
import torch
from torch import nn

from attncli.nn.delta import DeltaRule, Fade, ShortConvolution
from attncli.nn.kernels import delta
from attncli.nn.model import build_model
from attncli.nn.view import Record, view_of_self
from attncli.reference import delta as reference
from attncli.spec.sizes import Sizes
from attncli.streams import stream
from tests.nn.models import build, run_of, tiny

SPEC = tiny("{tie_embeddings: none, decoder: {d_model: 12, layers: 1, attention: {kind: gated_delta, heads: 2}}}",
            "language_model")  # fmt: skip


def drawn(count: int) -> list[torch.Tensor]:
    """q, k, v, b and ln a of two rows of two heads."""
    generator = torch.Generator().manual_seed(4)
    query, key, value = (
        torch.randn(2, 2, count, width, dtype=torch.float64, generator=generator) for width in (3, 3, 4)
    )
    strength, fade = torch.rand(2, 2, 2, count, dtype=torch.float64, generator=generator).log()
    return [query, nn.functional.normalize(key, dim=-1), value, strength.exp(), fade]


def test_the_gradient_is_that_of_small_steps(monkeypatch):
    """Over three chunks, after a state, and across texts that begin within a chunk and at its border."""
    monkeypatch.setattr(delta, "CHUNK", 2)
    given = [each[:1, :1].contiguous().requires_grad_() for each in drawn(5)]
    state = torch.randn(1, 1, 3, 4, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda *x: delta.attend(*x[:-1], state=x[-1], documents=None), [*given, state], fast_mode=False
    )
    documents = torch.tensor([[0, 1, 1, 1, 2]])
    assert torch.autograd.gradcheck(lambda *x: delta.attend(*x, state=None, documents=documents)[0], given)


@pytest.mark.parametrize("size", [1, 2, 3, 64])
def test_chunks_of_every_size_are_the_walk_token_by_token(monkeypatch, size):
    monkeypatch.setattr(delta, "CHUNK", size)
    given, states = drawn(7), []
    found, last = delta.attend(*given, state=None, documents=None)
    for row in range(2):
        for head in range(2):
            query, key, value, strength, fade = (each[row, head] for each in given)
            expected = reference.recurrent(
                *(each.tolist() for each in (query, key, value)), strengths=strength.tolist(),
                fades=fade.exp().tolist(), told=states.append,
            )  # fmt: skip
            scaled = found[row, head] / 3**0.5
            torch.testing.assert_close(scaled, torch.tensor(expected, dtype=torch.float64))
            torch.testing.assert_close(last[row, head], torch.tensor(states[-1], dtype=torch.float64))


@pytest.mark.parametrize("size", [2, 3, 64])
def test_texts_of_one_row_begin_anew(monkeypatch, size):
    monkeypatch.setattr(delta, "CHUNK", size)
    given, documents = drawn(9), torch.tensor([[0, 0, 0, 1, 2, 2, 2, 2, -1], [0, 0, 1, 1, 1, 1, 1, 3, 3]])
    found, _ = delta.attend(*given, state=None, documents=documents)
    for row in range(2):
        for text in documents[row].unique():
            at = documents[row] == text
            alone, _ = delta.attend(*(each[row : row + 1, :, at] for each in given), state=None, documents=None)
            torch.testing.assert_close(found[row, :, at], alone[0])


def test_implied_weights_are_what_values_of_single_tokens_give():
    query, key, _, strength, fade = (each[:1, :1] for each in drawn(6))
    expected = reference.recurrent(
        query[0, 0].tolist(), key[0, 0].tolist(), torch.eye(6).tolist(), strengths=strength[0, 0].tolist(),
        fades=fade[0, 0].exp().tolist(),
    )  # fmt: skip
    found = delta.implied(query, key, strength, fade, visible=None)[0, 0] / 3**0.5
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    some = delta.implied(query[:, :, 4:], key, strength, fade, visible=None)[0, 0] / 3**0.5
    torch.testing.assert_close(some, found[4:])
    assert not found.triu(1).any()


def test_a_key_written_again_at_full_strength_forgets_its_first_value():
    key = torch.eye(2, dtype=torch.float64)[[0, 1, 0]][None, None]
    value = torch.arange(6, dtype=torch.float64).view(1, 1, 3, 2)
    full, kept = torch.ones(1, 1, 3, dtype=torch.float64), torch.zeros(1, 1, 3, dtype=torch.float64)
    _, state = delta.attend(key, key, value, full, kept, state=None, documents=None)
    assert torch.equal(state[0, 0], torch.stack((value[0, 0, 2], value[0, 0, 1])))


def test_the_map_says_that_a_forgotten_value_has_no_share():
    key, full = torch.eye(2, dtype=torch.float64)[[0, 1, 0]][None, None], torch.ones(1, 1, 3, dtype=torch.float64)
    weights = delta.implied(key, key, full, torch.zeros_like(full), visible=None)[0, 0]
    assert torch.equal(weights, torch.eye(3, dtype=torch.float64))


def test_the_short_convolution_is_that_of_torch_and_stops_at_the_borders_of_texts():
    own, x = ShortConvolution(channels=3, taps=4).double(), torch.randn(2, 6, 3, dtype=torch.float64)
    nn.init.normal_(own.weight)
    padded = nn.functional.pad(x.mT, (3, 0))
    expected = nn.functional.conv1d(padded, own.weight.unsqueeze(1), groups=3).mT
    torch.testing.assert_close(own(x, None), expected)
    documents = torch.tensor([[0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1]])
    for row, first in ((0, 2), (1, 4)):
        torch.testing.assert_close(own(x, documents)[row, first:], own(x[row : row + 1, first:], None)[0])


def test_fading_starts_where_mamba_2_starts():
    model = build_model(run_of(SPEC, "model.decoder.attention.heads=6"), Sizes({"text": 13}))
    (fade,) = (module for module in model.modules() if isinstance(module, Fade))
    assert 1 <= fade.rate.exp().min() <= fade.rate.exp().max() <= 16
    step = nn.functional.softplus(fade.offset)
    assert 0.00099 <= step.min() < step.max() <= 0.1001


def test_a_step_of_writing_reads_as_many_mapped_states_as_the_convolution_has_taps(monkeypatch):
    model = build(SPEC)
    seen, whole = [], ShortConvolution.forward
    monkeypatch.setattr(
        ShortConvolution, "forward", lambda own, x, documents: (seen.append(x.shape[1]), whole(own, x, documents))[1]
    )
    cache = model.start({}, capacity=9)
    model.step(stream([[1] * 8], pad=0), cache)
    seen.clear()
    model.step(cache.next(torch.full((1, 1), 4)), cache)
    assert max(seen) == 4


def test_half_precision_maps_keep_the_rule_in_float32():
    module = next(iter(build(SPEC, dtype=torch.float32).attentions().values()))
    assert isinstance(module, DeltaRule)
    records: list[Record] = []
    x = torch.randn(1, 70, 12)
    with torch.no_grad():
        exact = module(x, x, view_of_self(stream([[1] * 70], pad=0)))
        with torch.autocast("cpu", torch.bfloat16):
            rough = module(x, x, view_of_self(stream([[1] * 70], pad=0), records.append))
    assert records[0].key.dtype == torch.float32
    assert (rough.float() - exact).norm() < 0.03 * exact.norm()
