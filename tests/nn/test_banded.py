"""Blocks of near keys give what all keys give under the mask, forward and gradient, at a cost linear in the length."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from attncli.nn.attention import Attention
from attncli.nn.banding import band_of
from attncli.nn.kernels import banded
from attncli.nn.kernels.plan import Size, plan
from attncli.nn.records import Record
from attncli.nn.view import View, view_of_memory, view_of_self
from attncli.spec.masks import parse
from attncli.streams import Stream, stream
from tests import catalogue
from tests.nn.oracle import attention
from tests.spec.mask_texts import predicates

CLOSE = {"rtol": 1e-9, "atol": 1e-10}
MASKS = (
    "causal & window(before=9)",
    "window(around=40)",
    "window(before=0, after=3)",
    "k < q & window(before=33)",
    "block(7)",
    "block(64) & causal",
    "block(300)",
    "abs(q // 8 - k // 8) <= 1",
    "causal & window(before=60) & dilated(4)",
    "window(around=9) & dilated(3)",
    "causal & window(before=by_head(1, 31, 32, 70))",
    "h % 2 == 0 & causal & window(before=5) | h % 2 == 1 & block(5)",
    "causal & window(before=20) & k % 3 != 1",
    "window(around=9) | global(4)",
    "causal & (window(before=9) | first(by_head(4, 5, 6, 1)))",
    "abs(q // 8 - k // 8) <= 1 | global(40)",
    "block(7) | first(3) & h % 2 == 0",
    "window(around=9) & dilated(3) | first(2) & q % 5 != 1",
    "(window(around=20) | global(1)) & ~(q < 1)",
    "k < q & (window(before=3) | k < 40)",
    "window(around=2) & k % 3 != 1 | q < 3",
)
ROWS = ("even", "right", "left", "packed")
GROUPED = "{heads: 4, kv_heads: 2, d_head: 6}"


def rows_of(kind: str, length: int = 75) -> Stream:
    """Rows of one length, padded on a side, or of several documents."""
    if kind != "packed":
        return stream([[1] * length, [1] * (length if kind == "even" else length // 2)], pad=0, left=kind == "left")
    parts = [(length // 2, length // 3), (5, 0, length - 20)]
    documents = torch.full((2, length), -1)
    positions = torch.zeros(2, length, dtype=torch.long)
    for row, sizes in enumerate(parts):
        start = 0
        for document, size in enumerate(sizes):
            documents[row, start : start + size] = document
            positions[row, start : start + size] = torch.arange(size)
            start += size
    return Stream(
        torch.ones(2, length, dtype=torch.long), documents.ge(0).sum(1), positions, documents, packed=True, plain=False
    )


def results(module: Attention, x: Tensor, tokens: Stream, memory: Stream | None = None) -> list[Tensor]:
    """Outputs and gradients of everything."""
    own = x.clone().requires_grad_()
    if memory is None:
        read, view = own, view_of_self(tokens)
    else:
        read, view = own.flip(2)[:, : memory.values.shape[1]], view_of_memory(tokens, memory)
    output = module(own[:, : tokens.values.shape[1]], read, view)[tokens.real]
    (output * torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)).sum().backward()
    return [output, own.grad, *(parameter.grad for parameter in module.parameters())]


def ran(module: Attention, x: Tensor, view: View) -> str:
    records: list[Record] = []
    view.tap = records.append
    module(x, x, view)
    return records[0].kernel


def compare(options: dict[str, str], tokens: Stream, memory: Stream | None = None) -> None:
    longest = max(tokens.values.shape[1], 0 if memory is None else memory.values.shape[1])
    x = torch.randn(2, longest, 12, dtype=torch.float64)
    banded_, reference = (attention(**options, kernel=kernel).train() for kernel in ("banded", "reference"))
    for one, other in zip(*(results(each, x, tokens, memory) for each in (banded_, reference)), strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("mask", MASKS)
def test_every_local_mask(mask, rows):
    module, tokens = attention(mask=mask, heads=GROUPED, kernel="banded"), rows_of(rows)
    x = torch.randn(2, tokens.values.shape[1], 12, dtype=torch.float64)
    assert ran(module, x, view_of_self(tokens)) == "banded"
    compare({"mask": mask, "heads": GROUPED}, tokens)


numbers = st.integers(1, 45).map(str)
near = st.one_of(
    st.tuples(numbers, numbers).map("window(before={0[0]}, after={0[1]})".format),
    st.tuples(numbers, st.integers(1, 4)).map("window(around={0[0]}) & dilated({0[1]})".format),
    numbers.map("causal & block({})".format),
)
ends = st.one_of(
    st.tuples(st.sampled_from(["first({})", "global({})", "q < {}", "k // 3 < {}"]), numbers).map(
        lambda pair: pair[0].format(pair[1])
    ),
    st.tuples(numbers, predicates.filter(lambda text: "document" not in text)).map("k < {0[0]} & ({0[1]})".format),
)
wholes = st.sampled_from(
    ["{} | {}", "causal & ({} | {})", "k < q & ({} | {})", "({} | {}) & ~(q < 2)", "h % 2 == 0 & {} | {}"]
)


@settings(max_examples=60, deadline=None)
@given(st.tuples(wholes, near, ends), st.sampled_from(ROWS), st.sampled_from(["none", "alibi", "t5"]), st.booleans())
def test_any_local_mask_with_global_keys_and_queries(parts, rows, position, capped):
    """Of random numbers and predicates, a key that is near and global among them."""
    mask = parts[0].format(*parts[1:]).replace("by_head(", "by_head(2, 3, ")
    assert parse(mask).local(4) is not None
    steps = "{sink: learned, soft_cap: 0.7}" if capped else "{}"
    options = {"mask": mask, "position": catalogue.POSITIONS[position], "heads": GROUPED, "steps": steps}
    compare(options, rows_of(rows, 50))


BIASED = {
    name: kind for name, kind in catalogue.POSITIONS.items()
    if name.split(",")[0] in ("rotary", "alibi", "t5", "kerple", "sandwich", "log_distance")
}  # fmt: skip


@pytest.mark.parametrize("mask", ["causal & window(before=40)", "window(around=9) & dilated(3)", "block(5)"])
@pytest.mark.parametrize("position", BIASED.values(), ids=BIASED.keys())
def test_every_position_that_reads_distances_alone(position, mask):
    compare({"mask": mask, "position": position, "heads": GROUPED}, rows_of("left"))


STEPS = ("{soft_cap: 0.7}", "{sink: learned}", "{sink: zero, soft_cap: 0.5}", catalogue.STEPS["many"],
         "{length_temperature: {kind: llama4, floor: 2}, soft_cap: 0.9}")  # fmt: skip


@pytest.mark.parametrize("mask", ["causal & window(before=12)", "k < q & window(before=12)"])
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("rows", ["right", "packed"])
def test_steps_between_scores_and_weights(mask, steps, rows):
    compare({"mask": mask, "steps": steps, "position": "alibi", "heads": GROUPED}, rows_of(rows))


@pytest.mark.parametrize("score", ["trilinear", "distance", "cosine", "{kind: scaled_dot, scale: learned}", "general"])
@pytest.mark.parametrize(
    "heads", ["{heads: 4, kv_heads: 1, d_head: 6, d_value: 5}", "{heads: 3, kv_heads: 3, d_head: 4}"]
)
def test_every_product_and_grouping(score, heads):
    compare({"mask": "window(before=11, after=2)", "score": score, "heads": heads}, rows_of("right"))


@pytest.mark.parametrize(("queries", "keys"), [(75, 30), (30, 75), (64, 64)])
def test_a_reader_near_what_it_reads(queries, keys):
    """Luong's local-m over rows of other lengths; where one side starts elsewhere, whole rows are read."""
    tokens, memory = (stream([[1] * n, [1] * (n // 2)], pad=0) for n in (queries, keys))
    compare({"mask": "abs(q - k) <= 10", "heads": GROUPED}, tokens, memory)
    left = stream([[1] * keys, [1] * (keys // 2)], pad=0, left=True)
    compare({"mask": "abs(q - k) <= 10", "heads": GROUPED}, tokens, left)


def test_the_weights_and_the_log_sum_exp_that_a_tap_is_told():
    masks = ("causal & window(before=9)", "k < q & window(before=9)", "window(around=9) | global(3)")
    for mask, sink in itertools.product(masks, ("none", "learned")):
        module = attention(mask=mask, heads=GROUPED, steps=f"{{sink: {sink}}}", position="alibi", kernel="banded")
        records: list[Record] = []
        tokens = rows_of("right")
        x = torch.randn(2, 75, 12, dtype=torch.float64)
        with torch.no_grad():
            module(x, x, view_of_self(tokens, records.append))
        (record,) = records
        weights = module.weights(record, dtype=torch.float64)
        real = tokens.real[:, None].expand(record.output.shape[:3])
        torch.testing.assert_close(module.mixture(record, weights)[real], record.output[real], **CLOSE)
        if record.total is not None:
            torch.testing.assert_close(weights.sum(-1)[real], record.total[real], **CLOSE)
        logits = module.score(module._pair(record.query, record.key, record.value, record.query_positions,
                                           record.key_positions, None)) + record.bias  # fmt: skip
        assert (record.lse is None) == ("global" in mask)  # rows that are served whole
        if record.lse is None:
            continue
        again = (logits - record.lse.unsqueeze(-1)).exp().masked_fill(~record.visible, 0.0)
        torch.testing.assert_close(again[real], weights[real], **CLOSE)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_rows_that_see_no_key_give_zeros_and_gradients_of_zero(dtype):
    module = attention(mask="k < q & window(before=3)", heads=GROUPED, kernel="banded", dtype=dtype)
    torch.nn.init.zeros_(module.output.bias)
    tokens = rows_of("packed", 40)
    x = torch.randn(2, 40, 12, dtype=dtype, requires_grad=True)
    output = module(x, x, view_of_self(tokens))
    first = (tokens.positions == 0) & tokens.real
    assert (output[first] == 0).all()
    assert (output[tokens.real & ~first] != 0).any(-1).all()
    output[tokens.real].float().square().sum().backward()
    assert all(each.grad.isfinite().all() for each in (x, *module.parameters()))


def test_half_types_are_summed_in_float32():
    """Within twice the error of all weights made in the same dtype."""
    exact, coarse = [], []
    x = torch.randn(2, 75, 12, dtype=torch.float64)
    for kernel in ("banded", "reference"):
        module = attention(mask="causal & window(before=9)", heads=GROUPED, kernel=kernel)
        exact.append(module(x, x, view_of_self(rows_of("even"))))
        half = module.bfloat16()
        coarse.append(half(x.bfloat16(), x.bfloat16(), view_of_self(rows_of("even"))).double())
    ours, plain = ((one - other).abs().max() for one, other in zip(coarse, exact, strict=True))
    assert ours <= 2 * plain


def test_dropout_draws_the_same_weights_backward_and_leaves_the_mean():
    module = attention(mask="causal & window(before=9)", heads=GROUPED, kernel="banded", dropout=0.4)
    tokens = rows_of("even", 40)
    x = torch.randn(2, 40, 12, dtype=torch.float64)
    still = module(x, x, view_of_self(tokens)).detach()
    module.train()

    def drawn(x: Tensor) -> Tensor:
        torch.manual_seed(3)
        return module(x, x, view_of_self(tokens))

    own, along, by = x.clone().requires_grad_(), torch.randn_like(x), 1e-6
    drawn(own).square().sum().backward()
    with torch.no_grad():
        slope = (drawn(x + by * along).square().sum() - drawn(x - by * along).square().sum()) / (2 * by)
        torch.testing.assert_close((own.grad * along).sum(), slope, rtol=1e-6, atol=1e-6)
        many = torch.stack([module(x, x, view_of_self(tokens)) for _ in range(400)])
    assert not torch.equal(many[0], many[1])
    assert ((many.mean(0) - still).abs() < 5.5 * many.std(0) / 20 + 1e-9).all()


class Largest(TorchDispatchMode):
    """The most numbers that a tensor had."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for each in out if isinstance(out, tuple | list) else (out,):
            if isinstance(each, Tensor) and each.dim() and 0 not in each.stride():
                self.numbers = max(self.numbers, each.untyped_storage().nbytes() // each.element_size())
        return out


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("position", ["rotary", "alibi", "t5"])
@pytest.mark.parametrize("mask", ["causal & window(before=9)", "window(around=5) | global(2)"])
def test_nothing_of_queries_by_keys_is_made(rows, position, mask):
    most = []
    for length in (600, 1200):
        module = attention(mask=mask, heads=GROUPED, position=catalogue.POSITIONS[position])
        tokens = rows_of(rows, length)
        x = torch.randn(2, length, 12, dtype=torch.float64, requires_grad=True)
        with Largest() as largest:
            module(x, x, view_of_self(tokens)).sum().backward()
        most.append(largest.numbers)
    assert most[1] <= max(2.1 * most[0], banded.CACHED), most
    assert most[1] < 1200 * 1200 / 2


def test_a_tile_is_as_narrow_as_the_mask_allows():
    assert band_of(parse("block(64)"), 1, counted=True).blocks == (64, 0, 0)
    assert band_of(parse("block(64)"), 1, counted=False).blocks == (64, 1, 1)
    assert band_of(parse("causal & window(before=127)"), 1, counted=True).blocks == (32, 4, 0)
    assert band_of(parse("causal & window(before=124) & dilated(4)"), 1, counted=True).blocks == (32, 1, 0)


def test_short_rows_and_steps_of_a_cache_read_whole_rows():
    module = attention(mask="causal & window(before=9)", heads=GROUPED)
    where = {"device": "cpu", "dtype": "float32", "phase": "eval"}
    assert plan(module.traits, **where, size=None).kernel == "banded"
    assert plan(module.traits, **where, size=Size(1, 1000, 1000, near=True)).kernel == "banded"
    assert plan(module.traits, **where, size=Size(1, 20, 20, near=True)).kernel == "fused"
    assert plan(module.traits, **where, size=Size(1, 1, 1000, near=False)).kernel == "fused"
