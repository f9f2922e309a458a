"""Experts: who is chosen, with which weight, against the reference; the loss that balances them."""

import pytest
import torch

from attncli.errors import SpecError
from attncli.nn.experts import Experts
from attncli.nn.experts import imbalance as module_imbalance
from attncli.reference.feedforward import imbalance, rebalanced, route, served
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
    if module.router.offset is not None:
        options["offset"] = module.router.offset.copy_(torch.tensor([0.2, -0.1, 0.0, 0.1])).tolist()
    x = torch.randn(2, 9, 12, dtype=torch.float64)
    output, cost, load = module(x, None)
    assert cost is None
    seen = set()
    for b in range(2):
        for n in range(9):
            token = x[b, n]
            chosen = route(module.router.map(token).tolist(), written["active"], **options)
            expected = sum(weight * module.experts[e](token) for e, weight in chosen.items())
            if module.shared is not None:
                gate = 1 if module.shared_gate is None else torch.sigmoid(module.shared_gate(token))
                expected = expected + gate * module.shared(token)
            torch.testing.assert_close(output[b, n], expected, **CLOSE)
            seen |= set(chosen)
    assert len(seen) == written["experts"], "every expert is used by somebody"
    assert (load is None) == (module.router.offset is None)


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
    chosen = torch.tensor([[0, 1], [2, 3], [1, 2], [3, 0]])
    assert module_imbalance(torch.full((4, 4), 0.25), chosen).item() == pytest.approx(1)


@torch.no_grad()
def test_the_router_is_float32_where_the_states_are_not():
    module = experts("{kind: experts, experts: 3, active: 2, expert: {d_ff: 5}}").bfloat16()
    output, _, _ = module(torch.randn(2, 5, 12).bfloat16(), None)
    scores, _, weights = module.router(torch.randn(5, 12).bfloat16())
    assert (output.dtype, scores.dtype, weights.dtype) == (torch.bfloat16, torch.float32, torch.float32)


@torch.no_grad()
def test_in_training_an_expert_serves_no_more_than_its_capacity():
    module = experts(
        "{kind: experts, experts: 3, active: 2, expert: {d_ff: 5, dropout: 0.0}, capacity: 0.7, balance: none}"
    )
    x = torch.randn(2, 9, 12, dtype=torch.float64)
    real = torch.tensor([[True] * 9, [True] * 4 + [False] * 5])
    whole = module.eval()(x, real).states
    states = module.train()(x, real).states
    _, chosen, weights = module.router(x[real])
    kept = set(served(chosen.tolist(), 3, 0.7))
    expected = torch.zeros(13, 12, dtype=torch.float64)
    for token in range(13):
        for expert, weight in zip(chosen[token].tolist(), weights[token], strict=True):
            if (token, expert) in kept:
                expected[token] += weight * module.experts[expert](x[real][token])
    torch.testing.assert_close(states[real], expected, **CLOSE)
    assert len(kept) < 26 and (whole[real] - states[real]).abs().max() > 1e-3, "some are left out in training alone"


def test_the_offset_follows_the_choices_of_the_real_places_of_a_step():
    text = "{kind: experts, experts: 4, active: 2, expert: {d_ff: 5}, balance: {kind: bias, rate: 0.05}}"
    stack = f"d_model: 12, layers: [{{repeat: 2, share: all}}], attention: {{heads: 2}}, feedforward: {text}"
    body = f"{{encoder: {{{stack}}}}}"
    model = build(tiny(body, "{kind: tagging, tags: 3}"))
    parts = [
        {"text": stream([[5, 6, 7, 8], [9, 10]], pad=0), "labels": stream([[1, 2, 0, 1], [2, 2]], pad=-100)},
        {"text": stream([[7, 8, 9]], pad=0), "labels": stream([[1, 2, 0]], pad=-100)},
    ]
    routers = [layer.feedforward.body.router for layer in model.encoder.layers]
    assert routers[0] is routers[1], "layers that share their weights share what chooses"
    first = [0.01, -0.02, 0.0, 0.03]
    with torch.no_grad():
        routers[0].offset.copy_(torch.tensor(first))
    used, loads = [0] * 4, {}
    for part in parts:
        made: list[torch.Tensor] = []
        hook = routers[0].register_forward_hook(lambda _, __, out, made=made: made.append(out[1]))
        losses = model.losses(part)
        assert losses.costs == {}
        hook.remove()
        for chosen in made:
            for expert in chosen[part["text"].real.flatten()].flatten().tolist():
                used[expert] += 1
        loads = {address: loads.get(address, 0) + load for address, load in losses.loads.items()}
    assert sum(used) == 2 * 2 * 9
    model.settle(loads)
    assert routers[0].offset.tolist() == pytest.approx(rebalanced(first, used, 0.05))
    assert "encoder.layers.0.feedforward.body.router.offset" in model.state_dict(), "a checkpoint keeps it"


REFUSED = {
    "{kind: experts, experts: 2, active: 2}": "2 of 2 experts leave nothing to choose",
    "{kind: experts, experts: 4, active: 1}": "divided by itself, is 1 and teaches the router nothing",
    "{kind: experts, experts: 6, active: 2, router: {groups: 4}}": "4 groups do not divide 6 experts",
    "{kind: experts, experts: 6, active: 4, router: {groups: 3, active_groups: 1}}": "have fewer than 4 experts",
    "{kind: experts, experts: 6, active: 2, expert: {norm: none}}": "an expert is no branch of the stream",
    "{kind: experts, experts: 4, active: 2, capacity: 2.0}": "room for every token",
    "{kind: experts, experts: 4, active: 2, expert: {gate: sigmoid}}": "only the shared map of experts has one",
    "{kind: gelu, gate: sigmoid}": "only the shared map of experts has one",
    "{kind: experts, experts: 6, active: 2, d_ff: 8}": "'d_ff' is a key of kind",
}


@pytest.mark.parametrize(("text", "says"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_has_no_meaning_is_refused(text, says):
    with pytest.raises(SpecError, match=says):
        run_of(tiny(f"{{encoder: {{feedforward: {text}}}}}", "{kind: tagging, tags: 3}"))
