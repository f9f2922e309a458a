"""FlexAttention gives what all weights give, forward and gradient; here without a GPU, by torch's own plain form of it.

torch refuses a gradient on the CPU before it looks at anything else; behind that check lies the dense backward pass to
which its GPU kernels answer, and the gradients of these tests are those. No kernel of a GPU has run.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import flex_attention as torchs
from torch.nn.functional import pad

from attncli.nn.attention import Attention
from attncli.nn.flexing import blocks_of, table_of
from attncli.nn.kernels.plan import Choice
from attncli.nn.records import Record
from attncli.nn.serving import Served
from attncli.nn.view import View, view_of_memory, view_of_self
from attncli.spec.masks import parse
from attncli.streams import Stream, stream
from tests import catalogue
from tests.nn.oracle import attention
from tests.nn.test_banded import BIASED, CLOSE, GROUPED, MASKS, ROWS, STEPS, results, rows_of

MORE = ("full", "causal", "causal | prefix", "first(3) & causal", "same(document) & causal", "k < k_length - q",
        "causal & random_blocks(count=2, size=4, seed=3)", "h == 1 | causal", "k < q", "neighbourhood(3)")  # fmt: skip
"""Masks that are not local."""
BIASES = {name: kind for name, kind in BIASED.items() if not name.startswith("rotary")} | {"rotary": BIASED["rotary"]}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where FlexAttention is asked for it serves, for gradients too."""
    real = Served.plan
    monkeypatch.setattr(
        Served, "plan",
        lambda self, **where: Choice("flex", ()) if self.traits.wanted == "flex" else real(self, **where),
    )  # fmt: skip
    monkeypatch.setattr(torchs, "_validate_device", lambda *_: None)


def carrying(kind: str, length: int = 40) -> Stream:
    """Rows that carry what masks may read."""
    tokens = rows_of(kind, length)
    numbers = {"prefix_length": torch.tensor([[3], [length - 5]]).expand(tokens.positions.shape),
               "row": tokens.positions // 5, "column": tokens.positions % 5}  # fmt: skip
    return replace(tokens, carried=numbers)


def pair(**given: str | float | torch.dtype) -> list[Attention]:
    """The same attention by FlexAttention and by the reference."""
    return [attention(**given, kernel=kernel) for kernel in ("flex", "reference")]  # type: ignore[arg-type]


def compare(tokens: Stream, memory: Stream | None = None, **given: str) -> None:
    """Outputs."""
    x = torch.randn(2, 80, 12, dtype=torch.float64)
    read = tokens if memory is None else memory
    view = view_of_self(tokens) if memory is None else view_of_memory(tokens, memory)
    own, other = x[:, : tokens.values.shape[1]], x[:, : read.values.shape[1]]
    flex, reference = pair(**given)
    records: list[Record] = []
    with torch.no_grad():
        found = flex(own, other, replace(view, tap=records.append))
        expected = reference(own, other, view)
    assert records[0].kernel == "flex"
    torch.testing.assert_close(found[tokens.real], expected[tokens.real], **CLOSE)


def ran(module: Attention, x: Tensor, view: View) -> Record:
    records: list[Record] = []
    module(x, x, replace(view, tap=records.append))
    return records[0]


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("mask", MASKS + MORE)
def test_every_mask(mask: str, rows: str) -> None:
    compare(carrying(rows), mask=mask, heads=GROUPED)


@pytest.mark.parametrize("mask", ["causal", "full", "window(around=9) & dilated(3)"])
@pytest.mark.parametrize("position", BIASES.values(), ids=BIASES.keys())
def test_every_position_that_reads_distances_alone(position: str, mask: str) -> None:
    compare(rows_of("left", 40), mask=mask, position=position, heads=GROUPED)


@pytest.mark.parametrize("mask", ["causal", "k < q & window(before=12)"])
@pytest.mark.parametrize("steps", STEPS)
def test_steps_between_scores_and_weights(mask: str, steps: str) -> None:
    compare(rows_of("packed", 40), mask=mask, steps=steps, position="alibi", heads=GROUPED)


@pytest.mark.parametrize("score", ["trilinear", "distance", "cosine", "{kind: scaled_dot, scale: learned}", "general"])
@pytest.mark.parametrize(
    "heads", ["{heads: 4, kv_heads: 1, d_head: 6, d_value: 5}", "{heads: 3, kv_heads: 3, d_head: 4}"]
)
def test_every_product_and_grouping(score: str, heads: str) -> None:
    compare(rows_of("right", 40), mask="causal", score=score, heads=heads)


@pytest.mark.parametrize(("queries", "keys"), [(75, 30), (30, 75), (30, 1)])
@pytest.mark.parametrize("position", ["none", "t5"])
def test_a_reader_of_other_rows(queries: int, keys: int, position: str) -> None:
    tokens, memory = (stream([[1] * n, [1] * -(-n // 2)], pad=0) for n in (queries, keys))
    compare(tokens, memory, mask="full", heads=GROUPED, position=catalogue.POSITIONS[position])


def test_rows_of_trees_of_texts() -> None:
    x, ways = torch.randn(2, 9, 12, dtype=torch.float64), torch.rand(2, 9, 9).gt(0.5)
    view = replace(view_of_self(rows_of("even", 9)), ways=ways, aligned=False)
    with torch.no_grad():
        found, expected = (each(x, x, view) for each in pair(mask="causal", heads=GROUPED))
    torch.testing.assert_close(found, expected, **CLOSE)


GRADIENTS = {
    "plain": {"mask": "causal & window(before=9)"},
    "heads that see otherwise": {"mask": "causal & window(before=by_head(1, 3, 8, 30))"},
    "t5": {"mask": "causal", "position": catalogue.POSITIONS["t5"]},
    "learned slopes": {"mask": "causal & window(before=9)", "position": "{kind: alibi, slopes: learned}"},
    "cap": {"mask": "causal | prefix", "steps": "{soft_cap: 0.7}", "position": catalogue.POSITIONS["kerple"]},
    "sink": {"mask": "k < q & window(before=9)", "steps": "{sink: learned}"},
    "cap and sink": {"mask": "causal", "steps": "{soft_cap: 0.7, sink: learned}", "score": "trilinear"},
    "wide values": {"mask": "full", "heads": "{heads: 4, kv_heads: 1, d_head: 6, d_value: 5}", "score": "distance"},
}


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("given", GRADIENTS.values(), ids=GRADIENTS.keys())
def test_gradients_of_everything(given: dict[str, str]) -> None:
    """By torch's dense backward pass, of the learned bias and through the log-sum-exp that a sink reads."""
    tokens, x = carrying("packed"), torch.randn(2, 40, 12, dtype=torch.float64)
    module, reference = pair(**{"heads": GROUPED} | given)
    assert ran(module, x, view_of_self(tokens)).kernel == "flex"
    for one, other in zip(*(results(each, x, tokens) for each in (module, reference)), strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("sink", ["none", "learned"])
def test_rows_that_see_no_key_give_zeros_and_gradients_of_zero(sink: str) -> None:
    module = attention(mask="k < q", heads=GROUPED, kernel="flex", steps=f"{{sink: {sink}}}", position="alibi")
    torch.nn.init.zeros_(module.output.bias)
    tokens = rows_of("packed", 40)
    x = torch.randn(2, 40, 12, dtype=torch.float64, requires_grad=True)
    output = module(x, x, view_of_self(tokens))
    first = (tokens.positions == 0) & tokens.real
    assert (output[first] == 0).all()
    assert (output[tokens.real & ~first] != 0).any(-1).all()
    output[tokens.real].square().sum().backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in (x, *module.parameters()))


@pytest.mark.parametrize("sink", ["none", "learned"])
@pytest.mark.parametrize("mask", ["causal & window(before=9)", "k < q"])
def test_the_weights_and_the_log_sum_exp_that_a_tap_is_told(mask: str, sink: str) -> None:
    module, tokens = attention(mask=mask, heads=GROUPED, steps=f"{{sink: {sink}}}", kernel="flex"), rows_of("right")
    x = torch.randn(2, 75, 12, dtype=torch.float64)
    with torch.no_grad():
        record = ran(module, x, view_of_self(tokens))
    assert record.kernel == "flex"
    assert record.lse is not None
    weights = module.weights(record, dtype=torch.float64)
    real = tokens.real[:, None].expand(record.output.shape[:3])
    torch.testing.assert_close(module.mixture(record, weights)[real], record.output[real], **CLOSE)
    logits = module.score(module._pair(record.query, record.key, record.value, record.query_positions,
                                       record.key_positions, None))  # fmt: skip
    again = (logits - record.lse.unsqueeze(-1)).exp().masked_fill(~record.visible, 0.0)
    torch.testing.assert_close(again[real], weights[real], **CLOSE)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_narrow_types_are_within_twice_the_error_of_all_weights(dtype: torch.dtype) -> None:
    given = {"mask": "causal & window(before=9)", "position": "alibi", "heads": GROUPED, "steps": "{sink: learned}"}
    x, exact, coarse = torch.randn(2, 75, 12, dtype=torch.float64), [], []
    with torch.no_grad():
        for module in pair(**given):
            exact.append(module(x, x, view_of_self(rows_of("even"))))
            narrow = module.to(dtype)
            coarse.append(narrow(x.to(dtype), x.to(dtype), view_of_self(rows_of("even"))).double())
    ours, plain = ((one - other).abs().max() for one, other in zip(coarse, exact, strict=True))
    assert ours <= 2 * plain


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("mask", MASKS[::2] + MORE)
def test_blocks_hold_what_is_seen(mask: str, rows: str) -> None:
    """torch's plain form asks every pair and does not look at them; a kernel of a GPU does."""
    view, length, size = view_of_self(carrying(rows, 300)), 300, 128
    made, seen = blocks_of(view, parse(mask), 4), view.visible(parse(mask), 4)
    if made is None or seen is None:
        assert made is seen
        return
    if view.triangle(parse(mask)):  # no query sees the padding behind its row
        seen = torch.ones(length, length, dtype=torch.bool).tril().view(1, 1, length, length)
    whole = pad(seen.expand(2, 4, length, length), (0, -length % size, 0, -length % size))
    if rows == "packed":  # queries of padding see what they like
        whole = whole.where(pad(view.query_real, (0, -length % size))[:, None, :, None], False)
        made = blocks_of(replace(view, query_documents=view.query_documents.where(view.query_real, -2), memo={}),
                         parse(mask), 4)  # fmt: skip
        assert made is not None
    blocks = whole.unflatten(3, (-1, size)).unflatten(2, (-1, size)).transpose(3, 4).flatten(4)
    some, every = blocks.any(4), blocks.all(4)
    for told, count in ((made.kv_num_blocks, some & ~every), (made.full_kv_num_blocks, every)):
        assert told is not None
        assert torch.equal(told.expand(2, 4, -1), count.sum(3))
    assert torch.equal(made.to_dense().expand_as(some), some.int())


def test_blocks_that_the_mask_hides_are_left_out() -> None:
    tokens = rows_of("even", 1024)
    made = {mask: blocks_of(view_of_self(tokens), parse(mask), 4)
            for mask in ("full", "causal", "causal & window(before=127)", "block(128)")}  # fmt: skip
    assert made.pop("full") is None
    parts = {mask: int(each.kv_num_blocks.sum() + each.full_kv_num_blocks.sum()) for mask, each in made.items() if each}
    assert parts == {"causal": 36, "causal & window(before=127)": 15, "block(128)": 8}


def test_a_bias_is_a_table_of_distances() -> None:
    module = attention(position=catalogue.POSITIONS["t5"], heads=GROUPED)
    table = table_of(module.position, view_of_self(rows_of("even")))
    assert table is not None
    assert table.values.shape == (4, 149)


def test_a_step_that_may_want_a_gradient_is_served_by_another_kernel_on_the_cpu() -> None:
    module, x = attention(mask="causal", heads=GROUPED, kernel="flex"), torch.randn(2, 9, 12, dtype=torch.float64)
    assert ran(module, x, view_of_self(rows_of("even", 9))).kernel == "fused"
    with torch.no_grad():
        assert ran(module, x, view_of_self(rows_of("even", 9))).kernel == "flex"
        assert ran(module.train(), x, view_of_self(rows_of("even", 9))).kernel == "fused"


@pytest.mark.usefixtures("asked")
def test_more_masks_than_torch_compiles_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past its own limit torch would make all weights, without a word. Here it traces what it compiles for a GPU."""
    graphs = []

    def traced(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(torchs, "flex_attention", torch.compile(torchs.flex_attention, backend=traced))
    x, tokens = torch.randn(2, 20, 12, dtype=torch.float64), rows_of("even", 20)
    with torch._dynamo.config.patch(recompile_limit=1):
        for mask in MASKS[::7]:
            given = {"mask": mask, "heads": GROUPED, "position": "{kind: alibi, slopes: learned}"}
            for one, other in zip(*(results(each, x, tokens) for each in pair(**given)), strict=True):
                torch.testing.assert_close(one, other, **CLOSE)
    assert len(graphs) == len(MASKS[::7])
