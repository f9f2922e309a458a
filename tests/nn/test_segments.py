"""A text read segment by segment with a memory is the text read whole under the mask that says what is forgotten."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from attncli.nn.model import Model
from attncli.nn.states import States
from attncli.streams import Stream, stream
from tests.nn.models import build

LENGTH, MEMORY = 4, 6
TEXTS = [[2, 5, 6, 7, 8, 9, 10, 11, 12, 3, 4, 5, 6, 9, 8], [2, 9, 5, 7, 5, 12, 11, 10, 3, 3, 4, 8, 6, 6, 7]]
ATTENTIONS = (
    ("position: transformer_xl", "causal", "post"),
    ("position: {kind: shaw, max_distance: 5}", "k < q", "pre"),
    ("position: rotary", "causal & window(before=7)", "sandwich"),
    ("position: alibi, qk_norm: rms_norm, sink: learned, talking_heads: both", "causal", "output"),
    ("position: t5, kv_heads: 1, value_residual: first", "causal", "pre"),
    ("position: {kind: cope, maximum: 5}, gate: sigmoid, persistent: 2", "causal", "pre"),
    ("position: forgetting", "causal", "post"),
    ("kind: differential, d_head: 4", "causal & (block(4) | k % 2 == 0)", "pre"),
    ("kind: latent, kv_rank: 6, d_head: 4, d_rotary: 2", "causal", "pre"),
    ("span: {kind: adaptive, maximum: 8, ramp: 3}", "causal & window(before=8)", "pre"),
    ("select: {kind: top, keys: 3}", "h == 0 & causal | h == 1 & causal & window(before=5)", "pre"),
)


def model_of(attention: str, mask: str, place: str, lengths: str) -> Model:
    return build(f"""
name: tiny
task: language_model
model:
  norm_place: {place}
  decoder: {{d_model: 12, layers: 3, {lengths}, attention: {{heads: 2, {attention}, mask: "{mask}"}}}}
tokenizer: {{kind: words, vocabulary: 17}}
""")


def remembering(attention: str, mask: str, place: str) -> Model:
    return model_of(attention, mask, place, f"max_length: {LENGTH}, segment_memory: {MEMORY}")


def text(start: int = 0, end: int = 99) -> Stream:
    """Some places of the texts, which know where they stand."""
    cut = stream([row[start:end] for row in TEXTS], pad=0)
    return replace(cut, positions=cut.positions + start, plain=not start)


def by_segment(model: Model) -> Tensor:
    """States of all segments, each with what the one before has left."""
    recalled: tuple[Tensor, ...] = ()
    found = []
    for start in range(0, len(TEXTS[0]), LENGTH):
        part = replace(stream([row[start : start + LENGTH] for row in TEXTS], pad=0), recalled=recalled)
        states = model.states({"text": part})
        recalled = states.left
        assert all(not each.requires_grad for each in recalled)
        found.append(states.values)
    return torch.cat(found, 1)


@pytest.mark.parametrize(("attention", "mask", "place"), ATTENTIONS)
def test_segments_with_a_memory_are_the_whole_text_under_a_mask(attention: str, mask: str, place: str) -> None:
    model = remembering(attention, mask, place)
    forgets = f"({mask}) & q // {LENGTH} * {LENGTH} - {MEMORY} <= k"
    whole, other = (model_of(attention, seen, place, "max_length: 32") for seen in (forgets, mask))
    for each in (whole, other):
        each.load_state_dict(model.state_dict())
    expected = whole.states({"text": text()}).values
    torch.testing.assert_close(by_segment(model), expected, rtol=0, atol=1e-11)
    if "7" not in mask:  # a window that reaches no farther than the memory of each query forgets the same
        assert not torch.allclose(other.states({"text": text()}).values, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("attention", "mask", "place"), ATTENTIONS)
@pytest.mark.parametrize("cuts", [(1,) * 15, (15,), (3, 7, 5)], ids=["tokens", "whole", "chunks"])
def test_cached_decoding_forgets_what_segments_forget(
    attention: str, mask: str, place: str, cuts: tuple[int, ...]
) -> None:
    model = remembering(attention, mask, place)
    cache, found, start = model.start({"text": text()}, capacity=15), [], 0
    for width in cuts:
        found.append(model.step(text(start, start + width), cache))
        start += width
    expected = model.head(States(by_segment(model), text()))
    torch.testing.assert_close(torch.cat(found, 1), expected, rtol=0, atol=1e-11)


def test_no_gradient_flows_into_the_memory_and_the_maps_get_that_of_its_keys() -> None:
    """It is that of a finite difference of the loss of the second segment, its memory held."""
    model = remembering(*ATTENTIONS[0])
    first = model.states({"text": stream([row[:LENGTH] for row in TEXTS], pad=0)})
    second = replace(stream([row[LENGTH : 2 * LENGTH] for row in TEXTS], pad=0), recalled=first.left)

    def loss() -> Tensor:
        states = model.states({"text": second}).values
        return states.square().sum() + states[..., 0].sum()

    weight = next(iter(model.attentions().values())).key.weight
    (gradient,) = torch.autograd.grad(loss(), [weight])
    with torch.no_grad():
        for row, column in ((0, 0), (3, 5)):
            at = weight[row, column].item()
            sides = []
            for step in (1e-6, -1e-6):
                weight[row, column] = at + step
                sides.append(loss().item())
            weight[row, column] = at
            assert (sides[0] - sides[1]) / 2e-6 == pytest.approx(gradient[row, column].item(), rel=1e-6, abs=1e-7)
