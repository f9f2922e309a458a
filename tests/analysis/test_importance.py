"""Importance of heads: planted ones are found, an order that tells is told from one that does not."""

import json
import random

import pytest
import torch
from torch import Tensor

from attncli.analysis.importance import faithfulness, importance
from attncli.analysis.keys import faithful_keys, received, without_keys
from attncli.analysis.masking import scaled, unseen
from attncli.analysis.samples import interval, row_losses
from attncli.nn.attention import Attention
from attncli.nn.model import Model
from attncli.streams import Batch, stream
from tests.nn.models import build, tiny

SPEC = tiny("{d_model: 12, max_length: 32, decoder: {layers: 1, attention: {heads: 3, d_head: 4}}}", "language_model")


def text_batch(rows: int = 24) -> Batch:
    generator = random.Random(3)
    texts = [[generator.randrange(5, 13) for _ in range(generator.randint(4, 8))] for _ in range(rows)]
    return {
        "text": stream([[2, *text] for text in texts], pad=0),
        "labels": stream([[*text, 3] for text in texts], pad=-100),
    }


def planted(head: int) -> tuple[Model, Batch]:
    """A model of which one head alone decides what is likely; the right labels are those that it says."""
    model = build(SPEC, dtype=torch.float32)
    attention = model.attentions()["decoder.0.attention"]
    assert isinstance(attention, Attention)
    with torch.no_grad():
        for one in range(3):
            attention.output.weight[:, 4 * one : 4 * one + 4] *= 60.0 if one == head else 1e-3
        model.stacks["decoder"].final_norm.weight *= 12.0
    rows = text_batch()
    with torch.no_grad():
        said = model(rows).argmax(-1)
    labels = rows["labels"]
    rows["labels"] = stream([row[: int(n)].tolist() for row, n in zip(said, labels.lengths, strict=True)], pad=-100)
    return model, rows


@pytest.mark.parametrize("head", [0, 2])
def test_a_planted_head_is_the_most_important_by_masking_and_its_order_is_faithful(head: int) -> None:
    model, rows = planted(head)
    found = importance(model, [rows])
    assert (found.heads[0].address, found.heads[0].head) == ("decoder.0.attention", head)
    assert found.heads[0].masked_low > 10 * max(abs(other.masked) for other in found.heads[1:])
    assert found.faithfulness.low > 0.1
    assert found.samples == 24
    assert json.loads(json.dumps(found.json()))["heads"][0]["head"] == head


def test_on_a_random_model_no_order_tells() -> None:
    found = importance(build(SPEC, dtype=torch.float32, seed=1), [text_batch()])
    assert abs(found.faithfulness.score) < 0.03


def test_the_gradient_of_a_head_is_the_slope_of_the_loss_by_its_factor() -> None:
    model, rows = build(SPEC), text_batch(6)
    found = importance(model, [rows])
    step = 1e-6
    for head in found.heads:
        losses = []
        for factor in (1 - step, 1 + step):
            factors = torch.ones(3, dtype=torch.float64)
            factors[head.head] = factor
            with torch.no_grad(), scaled(model, {head.address: factors}):
                losses.append(row_losses(model, rows).double())
        slopes = (losses[1] - losses[0]) / (2 * step)
        assert head.gradient == pytest.approx(float(slopes.abs().mean()), rel=1e-3)


def test_a_head_without_a_factor_is_the_mixture_without_its_columns() -> None:
    model, rows = build(SPEC), text_batch(5)
    with torch.no_grad(), scaled(model, {"decoder.0.attention": torch.tensor([1.0, 0.0, 1.0])}):
        found = model(rows, unseen)
    with torch.no_grad():
        model.attentions()["decoder.0.attention"].output.weight[:, 4:8] = 0
        torch.testing.assert_close(found, model(rows), rtol=0, atol=1e-12)


def test_the_score_is_the_area_between_the_curves() -> None:
    """Two things of four decide: without both the probability is 0, without one it is 1/2."""

    def left(gone: object) -> Tensor:
        return torch.full((7,), 1 - 0.5 * len({0, 1} & set(gone)))

    found = faithfulness(4, [1, 0, 2, 3], left, seed=0)
    assert found.ordered == (0.5, 0.0, 0.0)
    assert found.score == pytest.approx(sum(found.random) / 3 - 0.5 / 3)
    worst = faithfulness(4, [2, 3, 0, 1], left, seed=0)
    assert worst.score < found.score
    assert (found.low, found.high) == (found.score, found.score)


def test_deleted_keys_are_seen_by_no_query_and_the_others_keep_their_places() -> None:
    model, rows = build(SPEC), text_batch(4)
    gone = torch.zeros_like(rows["text"].real)
    gone[:, 2] = True
    hidden = rows | {"text": without_keys(rows["text"], gone)}
    shares = received(model, hidden, "text")
    assert float(shares[:, 2].abs().max()) == 0
    assert float(shares[:, 1].min()) > 0
    other = hidden["text"].values.clone()
    other[:, 2] = 11
    changed = hidden | {"text": stream([], pad=0).__class__(**{**vars(hidden["text"]), "values": other})}
    real = hidden["text"].real
    torch.testing.assert_close(model(hidden)[real], model(changed)[real], rtol=0, atol=0)


def test_keys_are_judged_text_by_text() -> None:
    model, rows = planted(0)
    scores = faithful_keys(model, [rows])
    assert -1 < scores.low <= scores.score <= scores.high < 1
    assert len(scores.ordered) == len(scores.random) == 7


def test_second_projections_have_no_heads_of_their_own() -> None:
    """Their mixtures end in the output map of the first, whose heads are the ones to mask."""
    text = tiny(
        "{d_model: 12, max_length: 32, decoder: {layers: 1, attention: {heads: 3, d_head: 4, "
        "mask: causal & (window(before=2) | first(1)), second_projections: q < 1}}}",
        "language_model",
    )
    model = build(text, dtype=torch.float32)
    assert [address for address in model.attentions() if address.endswith(".second")]
    found = importance(model, [text_batch(6)])
    assert {head.address for head in found.heads} == {"decoder.0.attention"}
    assert all(head.gradient > 0 for head in found.heads)


def test_one_sample_has_no_interval() -> None:
    mean, low, high = interval([0.5])
    assert (mean, low == low, high == high) == (0.5, False, False)
    mean, low, high = interval([0.0, 1.0, 2.0])
    assert (low, high) == pytest.approx((1 - 1.96 / 3**0.5, 1 + 1.96 / 3**0.5))
