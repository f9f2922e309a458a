"""An indexer chooses keys by its formula, learns by its loss alone, and is told right by the reference."""

import pytest
import torch
from torch import Tensor

from attncli.checking.indexed import scores_of
from attncli.checking.oracle import turn_of
from attncli.nn.attention import Attention
from attncli.nn.steps import best_of
from attncli.nn.view import Record, View, view_of_memory, view_of_self
from attncli.reference.indexer import index_loss
from attncli.spec.masks import parse
from attncli.streams import stream
from tests.nn.models import batch, build, transformer
from tests.nn.oracle import attention, moved, outputs

CLOSE = {"rtol": 1e-10, "atol": 1e-11}
SELECT = "{select: {kind: indexer, keys: 2, heads: 3, d_head: 6, loss: 0.7}}"
CASES = {
    "full": {"steps": SELECT},
    "causal": {"steps": SELECT, "mask": "causal"},
    "rotary": {"steps": SELECT, "mask": "causal", "position": "{kind: rotary, layout: half, d_rotary: 4, base: 100.0}"},
    "mask a head": {"steps": SELECT, "mask": "causal & window(before=by_head(1, 2, 3, 4))"},
    "first row blind": {"steps": SELECT, "mask": "k < q"},
    "persistent": {"steps": "{persistent: 3, sink: learned, talking_heads: both, " + SELECT[1:], "mask": "causal"},
    "selective": {"steps": "{selective: first_head, " + SELECT[1:], "mask": "causal"},
    "sparse": {"steps": SELECT, "normalizer": "sparsemax"},
    "differential": {
        "steps": SELECT, "heads": "{kind: differential, heads: 2, kv_heads: 1, d_head: 6, d_value: 7, start: 0.3}"
    },
}  # fmt: skip
every_case = pytest.mark.parametrize("given", CASES.values(), ids=CASES.keys())
LENGTHS = (6, 4)


def seen_by(module: Attention):
    names = {"q_length": 6, "k_length": 6, "document_q": 0, "document_k": 0}
    return lambda q, k, h: bool(module.mask.allows(q, k, h=h, **names))


def viewed(records: list[Record] | None = None) -> View:
    return view_of_self(
        stream([[1] * length for length in LENGTHS], pad=0), None if records is None else records.append
    )


@every_case
def test_outputs_and_weights_are_those_of_the_reference(given):
    module, records = attention(**given), []
    x = torch.randn(2, 6, 12, dtype=torch.float64)
    with torch.no_grad():
        output = module(x, x, viewed(records))
    weights = module.weights(records[0], dtype=torch.float64)
    for row, n in enumerate(LENGTHS):
        expected = outputs(module, x[row, :n], x[row, :n], seen_by(module))
        torch.testing.assert_close(output[row, :n], torch.tensor(expected.output, dtype=torch.float64), **CLOSE)
        for head, rows in enumerate(expected.rows):
            heavy = torch.tensor([one.weights for one in rows], dtype=torch.float64)
            torch.testing.assert_close(weights[row, head, :n, : n + module.ahead], heavy, **CLOSE)


def told_cost(module: Attention, x: Tensor, weights: Tensor, visible: Tensor) -> float:
    """The loss by the reference: of weights (b m q k) over visible (b m q k) keys that are not ahead."""
    losses = []
    for row, n in enumerate(LENGTHS):
        own = x[row, :n].detach()
        scores = scores_of(module.indexer, own, own, turn_of(module.position, n))
        for q in range(n):
            seen = visible[row, :, q, :n].any(0).tolist()
            if any(seen):
                losses.append(index_loss(scores[q], weights[row, :, q, :n].tolist(), seen))
    return 0.7 * sum(losses) / len(losses)


@every_case
def test_the_loss_and_its_gradient_are_those_of_the_reference(given):
    """The indexer learns of the loss alone: neither it nor the choice sends a gradient anywhere else."""
    module = attention(**given)
    x = torch.randn(2, 6, 12, dtype=torch.float64, requires_grad=True)
    caught: list[tuple[Tensor, Tensor]] = []
    weigh = module.indexer.cost
    module.indexer.cost = lambda scores, weights, seen, real: (
        caught.append((weights, seen)) or weigh(scores, weights, seen, real)
    )
    view = viewed()
    module.address = "here"
    output = module(x, x, view)
    weights, seen = caught[0]
    visible = seen.expand(2, -1, 6, 6)
    cost = view.means["here"]
    del module.indexer.cost
    assert cost.item() == pytest.approx(told_cost(module, x, weights, visible), rel=1e-9)
    cost.backward(retain_graph=True)
    assert x.grad is None
    own = {name: parameter for name, parameter in module.named_parameters() if parameter.grad is not None}
    assert set(own) == {"indexer.query.weight", "indexer.weight.weight", "indexer.key.weight"}
    along = {name: torch.randn_like(parameter) for name, parameter in module.named_parameters()}
    slope = sum((parameter.grad * along[name]).sum() for name, parameter in own.items())

    def at(by: float) -> float:
        return told_cost(moved(module, along, by), x, weights, visible)

    assert slope.item() == pytest.approx((at(1e-5) - at(-1e-5)) / 2e-5, rel=1e-6, abs=1e-8)
    module.zero_grad()
    output.square().sum().backward()
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in own.values())
    assert x.grad is not None


def test_each_query_sees_the_keys_of_the_largest_index():
    module, records = attention(steps=SELECT, mask="causal"), []
    x = torch.randn(2, 6, 12, dtype=torch.float64)
    with torch.no_grad():
        module(x, x, viewed(records))
    visible = records[0].visible.expand(2, 1, 6, 6)[0, 0]
    scores = torch.tensor(scores_of(module.indexer, x[0], x[0], None))
    for q in range(6):
        assert visible[q].nonzero().flatten().tolist() == sorted(
            scores[q, : q + 1].topk(min(2, q + 1)).indices.tolist()
        )


def test_a_reader_of_another_text_chooses_among_its_keys():
    module, records = attention(steps=SELECT), []
    reader, memory = stream([[1] * 3, [1] * 2], pad=0), stream([[1] * 6, [1] * 4], pad=0)
    x, read = torch.randn(2, 3, 12, dtype=torch.float64), torch.randn(2, 6, 12, dtype=torch.float64)
    with torch.no_grad():
        output = module(x, read, view_of_memory(reader, memory, records.append))
    assert (records[0].visible.sum(-1) == 2).all()
    expected = outputs(module, x[1, :2], read[1, :4], lambda q, k, h: True).output
    torch.testing.assert_close(output[1, :2], torch.tensor(expected, dtype=torch.float64), **CLOSE)


def test_every_attention_of_a_model_adds_its_loss_by_address():
    spec = transformer(steps=SELECT, position="rotary").replace(
        "cross_attention: {", f"cross_attention: {{{SELECT[1:-1]}, "
    )
    model = build(spec)
    losses = model.losses(batch())
    own = {address for address in model.attentions() if "encoder" in address or "decoder" in address}
    assert set(losses.costs) == own
    assert any("cross_attention" in address for address in own)
    assert all(cost > 0 for cost in losses.costs.values())
    plain = losses.loss - sum(losses.costs.values())
    for attending in model.attentions().values():
        attending.indexer.loss = 0.0
    torch.testing.assert_close(model.losses(batch()).loss, plain)


def test_an_indexer_learns_to_choose_the_keys_that_weigh_most():
    """Beside frozen attention, and seeing what it chose alone: the four keys have more of what all would weigh."""
    one = "{heads: 1, kv_heads: 1, d_head: 4}"
    steps = "{select: {kind: indexer, keys: 4, heads: 8, d_head: 8, loss: 1.0}}"
    module = attention(steps=steps, heads=one, dtype=torch.float32)
    full = attention(heads=one, dtype=torch.float32)
    full.load_state_dict({name: one for name, one in module.state_dict().items() if "indexer" not in name})
    optimiser, unseen = torch.optim.Adam(module.indexer.parameters(), lr=0.05), torch.randn(32, 16, 12)

    def mass() -> float:
        records: list[Record] = []
        with torch.no_grad():
            for each in (module, full):
                each(unseen, unseen, view_of_self(stream([[1] * 16] * 32, pad=0), records.append))
        return float((full.weights(records[1]) * records[0].visible).sum(-1).mean())

    before = mass()
    for _ in range(50):
        x, view = torch.randn(16, 16, 12), view_of_self(stream([[1] * 16] * 16, pad=0))
        module(x, x, view)
        optimiser.zero_grad()
        view.means[""].backward()
        optimiser.step()
    assert mass() > before + 0.15


def test_last_places_decide_nothing():
    """Keys of equal tokens score alike but for rounding, which hangs on the shape of a batch."""
    rounding = 1 + torch.finfo(torch.float64).eps
    scores = torch.tensor([[3.0, 1.0, rounding, 1.0, 0.5, -2.0]], dtype=torch.float64)
    assert best_of(scores, None, 2)[0].tolist() == [True, True, True, True, False, False]
    assert best_of(-scores, torch.tensor([[True] * 4 + [False] * 2]), 1)[0].tolist() == [
        False,
        True,
        True,
        True,
        False,
        False,
    ]


def test_masks_of_heads_choose_for_each_head():
    module, records = attention(steps=SELECT, mask="causal & window(before=by_head(0, 1, 2, 3))"), []
    assert parse(module.mask.text).names >= {"h"}
    x = torch.randn(2, 6, 12, dtype=torch.float64)
    with torch.no_grad():
        module(x, x, viewed(records))
    assert records[0].visible.sum(-1)[0, :, 5].tolist() == [1, 2, 2, 2]
