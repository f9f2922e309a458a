"""Experts: who is chosen, with which weight, against the reference; the loss that balances them."""

import pytest
import torch

from attncli.errors import SpecError
from attncli.nn.experts import Experts
from attncli.reference.feedforward import imbalance, route
from attncli.streams import stream
from tests import catalogue
from tests.nn.models import build, read, run_of, tiny, transformer

ROUTERS = {name: text for name, text in catalogue.FEEDFORWARDS.items() if "experts" in name}
CLOSE = {"rtol": 1e-11, "atol": 1e-12}


def experts(text: str, **more: str) -> Experts:
    model = build(transformer(feedforward=text, **more))
    return model.encoder.layers[0].feedforward.body


@pytest.mark.parametrize("text", ROUTERS.values(), ids=ROUTERS.keys())
@torch.no_grad()
def test_outputs_are_the_weighed_sum_over_the_chosen(text):
    module, written = experts(text), read(text)
    options = written.get("router", {})
    options.pop("bias", None)
    x = torch.randn(2, 9, 12, dtype=torch.float64)
    output, cost = module(x, None)
    assert cost is None
    seen = set()
    for b in range(2):
        for n in range(9):
            token = x[b, n]
            chosen = route(module.router.map(token).tolist(), written["active"], **options)
            expected = sum(weight * module.experts[e](token) for e, weight in chosen.items())
            if module.shared is not None:
                expected = expected + module.shared(token)
            torch.testing.assert_close(output[b, n], expected, **CLOSE)
            seen |= set(chosen)
    assert len(seen) == written["experts"], "every expert is used by somebody"


def test_the_balance_loss_is_added_with_its_weight_and_told_by_address():
    text = "{kind: experts, experts: 4, active: 2, expert: {d_ff: 5}, balance: {weight: 0.3}}"
    body = f"{{encoder: {{d_model: 12, layers: 2, attention: {{heads: 2}}, feedforward: {text}}}}}"
    model = build(tiny(body, "{kind: tagging, tags: 3}"))
    batch = {"text": stream([[5, 6, 7, 8], [9, 10]], pad=0), "labels": stream([[1, 2, 0, 1], [2, 2]], pad=-100)}
    routers = [layer.feedforward.body.router for layer in model.encoder.layers]
    made: list[tuple[torch.Tensor, torch.Tensor]] = []
    for router in routers:
        router.register_forward_hook(lambda _, __, out: made.append((out[0], out[1])))
    losses = model.losses(batch)
    assert list(losses.costs) == ["encoder.0.feedforward", "encoder.1.feedforward"]
    real = batch["text"].real.flatten()
    for (scores, chosen), cost in zip(made, losses.costs.values(), strict=True):
        expected = 0.3 * imbalance(scores[real].tolist(), chosen[real].tolist())
        assert cost.item() == pytest.approx(6 * expected, rel=1e-11)
    assert losses.loss.item() == pytest.approx(losses.nll.item() + sum(cost.item() for cost in losses.costs.values()))
    losses.loss.backward()
    assert all(router.map.weight.grad.abs().max() > 1e-6 for router in routers)


def test_the_balance_of_an_encoder_reaches_the_loss_of_its_decoder():
    text = "{kind: experts, experts: 3, active: 2, expert: {d_ff: 5}}"
    from tests.nn.models import batch

    costs = build(transformer(feedforward=text)).losses(batch()).costs
    assert {address.split(".")[0] for address in costs} == {"encoder", "decoder"}


@torch.no_grad()
def test_experts_that_are_used_alike_cost_their_weight():
    module = experts("{kind: experts, experts: 4, active: 2, expert: {d_ff: 5}, balance: {weight: 0.01}}")
    chosen = torch.tensor([[0, 1], [2, 3], [1, 2], [3, 0]])
    assert module._imbalance(torch.full((4, 4), 0.25), chosen, None).item() == pytest.approx(1)


@torch.no_grad()
def test_the_router_is_float32_where_the_states_are_not():
    module = experts("{kind: experts, experts: 3, active: 2, expert: {d_ff: 5}}").bfloat16()
    output, _ = module(torch.randn(2, 5, 12).bfloat16(), None)
    scores, _, weights = module.router(torch.randn(5, 12).bfloat16())
    assert (output.dtype, scores.dtype, weights.dtype) == (torch.bfloat16, torch.float32, torch.float32)


REFUSED = {
    "{kind: experts, experts: 2, active: 2}": "2 of 2 experts leave nothing to choose",
    "{kind: experts, experts: 4, active: 1}": "divided by itself, is 1 and teaches the router nothing",
    "{kind: experts, experts: 6, active: 2, router: {groups: 4}}": "4 groups do not divide 6 experts",
    "{kind: experts, experts: 6, active: 4, router: {groups: 3, active_groups: 1}}": "have fewer than 4 experts",
    "{kind: experts, experts: 6, active: 2, expert: {norm: none}}": "an expert is no branch of the stream",
    "{kind: experts, experts: 6, active: 2, d_ff: 8}": "'d_ff' is a key of kind",
}


@pytest.mark.parametrize(("text", "says"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_has_no_meaning_is_refused(text, says):
    with pytest.raises(SpecError, match=says):
        run_of(tiny(f"{{encoder: {{feedforward: {text}}}}}", "{kind: tagging, tags: 3}"))
