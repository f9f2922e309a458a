"""Every attention against the reference in plain Python, forward and gradient, and the laws that it obeys by itself."""

import pytest
import torch
from torch import Tensor, nn

from attncli.nn.attention import Attention
from attncli.nn.kernels import fused
from attncli.nn.normalizers import Signed
from attncli.nn.records import Record
from attncli.nn.steps import OnAttention
from attncli.nn.view import View, view_of_memory, view_of_self
from attncli.spec.masks import parse
from attncli.streams import Stream, stream
from tests import catalogue
from tests.nn.models import batch, build, writers
from tests.nn.oracle import attention, moved, outputs

CLOSE = {"rtol": 1e-10, "atol": 1e-11}
LENGTHS, READS = (5, 3), (3, 2)  # keys and queries of two rows: the shorter ones are padded

GROUPED = "{heads: 4, kv_heads: 2, d_head: 6}"  # one that the fused kernel serves
SELF = {f"score {name}": {"score": kind} for name, kind in catalogue.SCORES.items()}
SELF |= {f"normalizer {name}": {"normalizer": kind} for name, kind in catalogue.NORMALIZERS.items()}
SELF |= {f"step {name}": {"steps": step, "heads": GROUPED} for name, step in catalogue.STEPS.items()}
SELF |= {f"kind {name}": {"heads": kind} for name, kind in (catalogue.KINDS | catalogue.LATENTS).items()}
SELF |= {
    f"causal step {name}, {mask}": {"steps": step, "mask": mask, "heads": heads}
    for name, step in catalogue.CAUSAL_STEPS.items()
    for mask, heads in (
        ("causal", GROUPED),
        ("k < q", GROUPED),
        ("causal & window(before=by_head(0, 1, 2, 3))", GROUPED),
    )
}
CROSS = {name: given for name, given in SELF.items() if "span" not in name and "short" not in name}
SELF |= {f"masked step {name}": {"steps": step, "mask": "k < q"} for name, step in catalogue.STEPS.items()}
SELF |= {f"mask {mask}": {"mask": mask} for mask in catalogue.MASKS}
FREE = {name: kind for name, kind in catalogue.POSITIONS.items() if name not in catalogue.BACKWARD}
SELF |= {f"position {name}": {"position": kind} for name, kind in FREE.items()}
SELF |= {f"causal {name}": {"position": kind, "mask": "causal"} for name, kind in catalogue.POSITIONS.items()}
SHARED = "{values: keys, projections: [query, key, output], persistent: 1}"
for name, kind in catalogue.POSITIONS.items():
    if kind.startswith(("{kind: rotary", "{kind: xpos")):
        for mask in ("causal", "full")[: 1 if name in catalogue.BACKWARD else 2]:
            lone = "xpos" in name or "longrope" in name  # which compare keys at two places
            steps = SHARED.replace(", persistent: 1", "") if lone else SHARED
            SELF[f"shared {name}, {mask}"] = {"position": kind, "mask": mask, "steps": steps, "heads": GROUPED}
SELF |= {f"heads {name}": {"heads": heads} for name, heads in catalogue.HEADS.items()}
CROSS["mask"] = {"mask": "abs(q - k) <= h"}
CROSS["wide memory"] = {"heads": "{heads: 2, d_head: 5, d_value: 3, bias: [key, output]}", "d_memory": 9}
CROSS["additive, unlike widths"] = {
    "heads": "{heads: 1, projections: none}", "d_memory": 9, "score": "{kind: additive, d_hidden: 4}", "d_query": 10,
}  # fmt: skip
CROSS["general, unlike widths"] = {
    "heads": "{heads: 2, projections: [output]}", "d_memory": 8, "score": "general", "d_query": 10,
}  # fmt: skip
CASES = {f"self {name}": (given, True) for name, given in SELF.items()}
CASES |= {f"cross {name}": (given, False) for name, given in CROSS.items()}
every_case = pytest.mark.parametrize(("given", "alone"), CASES.values(), ids=CASES.keys())


def inputs(module: Attention, given: dict, alone: bool) -> tuple[Tensor, Tensor, View, list[int], list[int]]:
    """x (b q d), memory (b k d), their view, and the real queries and keys of each row."""
    memory_stream = stream([[1] * length for length in LENGTHS], pad=0)
    memory = torch.randn(2, max(LENGTHS), given.get("d_memory", 12), dtype=torch.float64)
    if alone:
        return memory, memory, view_of_self(memory_stream), list(LENGTHS), list(LENGTHS)
    reader = stream([[1] * length for length in READS], pad=0)
    x = torch.randn(2, max(READS), given.get("d_query", 12), dtype=torch.float64)
    return x, memory, view_of_memory(reader, memory_stream), list(READS), list(LENGTHS)


def seen_by(module: Attention, queries: int, keys: int):
    names = {"q_length": queries, "k_length": keys, "document_q": 0, "document_k": 0}
    return lambda q, k, h: bool(module.mask.allows(q, k, h=h, **names))


def told(module: Attention, x: Tensor, memory: Tensor, reads: list[int], keys: list[int]) -> list[Tensor]:
    """The reference's outputs of every row, real queries only."""
    return [
        torch.tensor(outputs(module, x[row, :n], memory[row, :m], seen_by(module, n, m)).output, dtype=torch.float64)
        for row, (n, m) in enumerate(zip(reads, keys, strict=True))
    ]


@every_case
def test_outputs_and_weights_are_those_of_the_reference(given, alone):
    module = attention(**given)
    x, memory, view, reads, keys = inputs(module, given, alone)
    records: list[Record] = []
    view.tap = records.append
    with torch.no_grad():
        output = module(x, memory, view)
    weights = module.weights(records[0], dtype=torch.float64)
    for row, (n, m) in enumerate(zip(reads, keys, strict=True)):
        expected = outputs(module, x[row, :n], memory[row, :m], seen_by(module, n, m))
        torch.testing.assert_close(output[row, :n], torch.tensor(expected.output, dtype=torch.float64), **CLOSE)
        for head, rows in enumerate(expected.rows):
            heavy = torch.tensor([one.weights for one in rows], dtype=torch.float64)
            torch.testing.assert_close(weights[row, head, :n, : m + module.ahead], heavy, **CLOSE)
            assert (weights[row, head, :, m + module.ahead :] == 0).all(), "padding has no weight"


@every_case
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_gradients_are_those_of_the_reference(given, alone, training):
    """Along a drawn direction of all weights and inputs at once, by central differences of the reference."""
    module = attention(**given).train(training)
    drawn = module.normalizer.random or module.key_dropout is not None
    if not module.normalizer.exact or (training and drawn):
        pytest.skip("test_normalizers and test_forgetful hold what is no derivative, and what is drawn")
    x, memory, view, reads, keys = inputs(module, given, alone)
    x, memory = x.requires_grad_(), memory.requires_grad_()
    weigh = [torch.randn(n, _width(module, memory), dtype=torch.float64) for n in reads]
    output = module(memory if alone else x, memory, view)
    sum((output[row, :n] * weigh[row]).sum() for row, n in enumerate(reads)).backward()
    along = {name: torch.randn_like(parameter) for name, parameter in module.named_parameters()}
    along_x, along_memory = torch.randn_like(x), torch.randn_like(memory)
    slope = sum((parameter.grad * along[name]).sum() for name, parameter in module.named_parameters())
    slope = slope + (memory.grad * along_memory).sum() + (0 if alone else (x.grad * along_x).sum())

    def at(by: float) -> Tensor:
        other, there = moved(module, along, by), memory.detach() + by * along_memory
        here = there if alone else x.detach() + by * along_x
        rows = told(other, here, there, reads, keys)
        return sum((one * weigh[row]).sum() for row, one in enumerate(rows))

    step = 1e-5
    torch.testing.assert_close(slope, (at(step) - at(-step)) / (2 * step), rtol=1e-6, atol=1e-7)


def _width(module: Attention, memory: Tensor) -> int:
    if isinstance(module.output, nn.Linear):
        return module.output.out_features // (2 if isinstance(module.output, OnAttention) else 1)
    return module.heads * memory.shape[2] // module.kv_heads


KERNELS = [(mask, position) for mask in catalogue.MASKS for position in ("none",)]
KERNELS += [
    (mask, position)
    for mask in ("full", "causal", "window(around=1)", "k < q")
    for position in catalogue.POSITIONS
    if position not in catalogue.UNFUSED and (mask in ("causal", "k < q") or position not in catalogue.BACKWARD)
]


@pytest.mark.parametrize(("mask", "position"), KERNELS)
@pytest.mark.parametrize(
    "heads", ["{heads: 4, kv_heads: 2, d_head: 6}", "{heads: 4, kv_heads: 4, d_head: 6, d_value: 5}"]
)
@pytest.mark.parametrize("rows", ["even", "right", "left"])
def test_the_fused_kernel_gives_what_the_reference_gives(mask, position, heads, rows):
    lengths = (4, 4) if rows == "even" else (5, 3)
    tokens = stream([[1] * length for length in lengths], pad=0, left=rows == "left")
    x = torch.randn(2, max(lengths), 12, dtype=torch.float64)
    found = []
    for kernel in ("fused", "reference"):
        module = attention(mask=mask, position=catalogue.POSITIONS[position], heads=heads, kernel=kernel).train()
        assert module.plan(device="cpu", dtype="float64", training=True, size=None).kernel == kernel
        own = x.clone().requires_grad_()
        output = module(own, own, view_of_self(tokens))[tokens.real]
        (output * torch.linspace(-1, 1, output.numel(), dtype=torch.float64).view_as(output)).sum().backward()
        found.append((output, own.grad, *(parameter.grad for parameter in module.parameters())))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


REWRITTEN = (
    "{sink: learned}",
    "{sink: learned, qk_norm: rms_norm, gate: sigmoid, head_scale: learned, "
    "length_temperature: {kind: llama4, floor: 2}}",
    "{persistent: 2}",
    "{persistent: 2, sink: zero}",
)


@pytest.mark.parametrize("mask", ["full", "causal", "window(around=1)", "k < q"])
@pytest.mark.parametrize("position", ["none", "alibi"])
@pytest.mark.parametrize("steps", REWRITTEN, ids=["sink", "with others", "persistent", "both"])
@pytest.mark.parametrize("rows", ["right", "left"])
def test_steps_that_the_fused_kernel_serves_by_an_exact_rewrite(mask, position, steps, rows):
    tokens = stream([[1] * 5, [1] * 3], pad=0, left=rows == "left")
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    found = []
    for kernel in ("fused", "reference"):
        module = attention(mask=mask, position=catalogue.POSITIONS[position], heads=GROUPED, steps=steps, kernel=kernel)
        assert module.plan(device="cpu", dtype="float64", training=True, size=None).kernel == kernel
        own = x.clone().requires_grad_()
        output = module(own, own, view_of_self(tokens))[tokens.real]
        (output * torch.linspace(-1, 1, output.numel(), dtype=torch.float64).view_as(output)).sum().backward()
        found.append((output, own.grad, *(parameter.grad for parameter in module.parameters())))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, **CLOSE)


def empty_rows() -> Stream:
    """A row of tokens, and a row of padding alone."""
    tokens = stream([[1] * 4, [1] * 2], pad=0)
    documents = tokens.documents.clone()
    documents[1] = -1
    return Stream(tokens.values, documents.eq(0).sum(1), tokens.positions, documents, padded=True, plain=False)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("position", ["none", "alibi", "t5"])
@pytest.mark.parametrize("kernel", ["fused", "reference"])
def test_rows_that_see_no_key_give_zeros_and_gradients_of_zero(kernel, position, dtype):
    module = attention(mask="k < q", position=catalogue.POSITIONS[position], kernel=kernel, dtype=dtype)
    nn.init.zeros_(module.output.bias)
    x = torch.randn(2, 4, 12, dtype=dtype, requires_grad=True)
    output = module(x, x, view_of_self(empty_rows()))
    assert (output[0, 0] == 0).all()
    assert (output[1] == 0).all()
    assert (output[0, 1:] != 0).all()
    output.square().sum().backward()
    assert (x.grad[1] == 0).all()
    for parameter in (x, *module.parameters()):
        assert parameter.grad.isfinite().all()


@pytest.mark.parametrize("normalizer", catalogue.NORMALIZERS.values(), ids=catalogue.NORMALIZERS.keys())
def test_empty_rows_of_every_normalizer(normalizer):
    module = attention(mask="k < q", normalizer=normalizer)
    nn.init.zeros_(module.output.bias)
    x = torch.randn(2, 4, 12, dtype=torch.float64, requires_grad=True)
    output = module(x, x, view_of_self(empty_rows()))
    assert (output[0, 0] == 0).all()
    assert (output[1] == 0).all()
    output.square().sum().backward()
    assert (x.grad[1] == 0).all()
    assert all(parameter.grad.isfinite().all() for parameter in (x, *module.parameters()))


WRITERS = writers()


@pytest.mark.parametrize("spec", WRITERS.values(), ids=WRITERS.keys())
@torch.no_grad()
def test_a_tap_sees_what_was_done_and_changes_nothing(spec):
    model, records = build(spec), []
    given = batch()
    plain = model(given)
    assert torch.equal(model(given, tap=records.append), plain)
    assert {record.address for record in records} == set(model.attentions())
    for record in records:
        module = record.attention
        assert module is model.attentions()[record.address]
        weights = module.weights(record, dtype=torch.float64)
        shape = (*record.output.shape[:3], record.value.shape[2])
        assert weights.shape == shape
        if record.weights is not None:
            torch.testing.assert_close(weights, record.weights, **CLOSE)
        real = torch.ones(shape[0], shape[2], dtype=torch.bool) if record.query_real is None else record.query_real
        real = real[:, None, :].expand(shape[:3])
        torch.testing.assert_close(module.mixture(record, weights)[real], record.output[real], **CLOSE)
        seen = torch.ones(shape, dtype=torch.bool) if record.visible is None else record.visible.expand(shape)
        assert (weights[~seen] == 0).all()
        mixes = module.weighing.after is not None or module.weighing.difference is not None  # by numbers of any sign
        mixes = mixes or isinstance(module.normalizer, Signed)
        assert mixes or (weights >= 0).all()
        if module.normalizer.sums_to_one:
            total = seen.any(-1).double() if record.total is None else record.total
            torch.testing.assert_close(weights.sum(-1)[real], total[real], **CLOSE)
        if record.key_real is not None:
            assert (weights.amax((1, 2))[~record.key_real] == 0).all()


def fused_records(mask: str, position: str) -> list[Record]:
    module = attention(mask=mask, position=position, heads="{heads: 4, kv_heads: 2, d_head: 6}")
    tokens, records = stream([[1] * 5, [1] * 3], pad=0), []
    view = view_of_self(tokens, records.append)
    with torch.no_grad():
        module(torch.randn(2, 5, 12, dtype=torch.float64), torch.randn(2, 5, 12, dtype=torch.float64), view)
    return records


@pytest.mark.parametrize("mask", ["full", "causal", "window(around=1)", "first(2)"])
@pytest.mark.parametrize("position", ["none", "rotary", "alibi", "t5"])
def test_the_log_sum_exp_of_the_fused_kernel_makes_rows_that_sum_to_one(mask, position):
    """exp(score - lse) is the very weight that the kernel used."""
    (record,) = fused_records(mask, catalogue.POSITIONS[position])
    assert record.kernel == "fused"
    module = record.attention
    key = record.key.repeat_interleave(2, 1)
    logits = module.score.ask(record.query) @ key.transpose(-1, -2) * module.score.scale
    logits = logits if record.bias is None else logits + record.bias
    weights = (logits - record.lse.unsqueeze(-1)).exp()
    if record.visible is not None:
        weights = weights.masked_fill(~record.visible, 0.0)
    real = record.query_real[:, None, :].expand(2, 4, 5)
    torch.testing.assert_close(weights.sum(-1)[real], torch.ones_like(record.lse)[real], **CLOSE)
    torch.testing.assert_close(weights[real], module.weights(record, dtype=torch.float64)[real], **CLOSE)


def test_a_tap_is_free_when_off(monkeypatch):
    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("no one asked")

    monkeypatch.setattr(fused, "told", never)
    monkeypatch.setattr(Attention, "_tell", never)
    module, tokens = attention(), stream([[1] * 4], pad=0)
    x = torch.randn(1, 4, 12, dtype=torch.float64)
    assert module(x, x, view_of_self(tokens)).shape == (1, 4, 11)


@pytest.mark.parametrize("kernel", ["fused", "reference"])
def test_grouped_heads_are_repeated_heads(kernel):
    """kv_heads = 2 of 4 is the attention whose kv heads 0, 0, 1, 1 are equal."""
    grouped = attention(heads="{heads: 4, kv_heads: 2, d_head: 6}", kernel=kernel)
    whole = attention(heads="{heads: 4, kv_heads: 4, d_head: 6}", kernel=kernel)
    whole.query, whole.output = grouped.query, grouped.output
    with torch.no_grad():
        for one, other in ((whole.key, grouped.key), (whole.value, grouped.value)):
            one.weight.copy_(other.weight.view(2, 6, 12).repeat_interleave(2, 0).reshape(24, 12))
            one.bias.copy_(other.bias.view(2, 6).repeat_interleave(2, 0).reshape(24))
        x, view = torch.randn(2, 5, 12, dtype=torch.float64), view_of_self(stream([[1] * 5, [1] * 3], pad=0))
        torch.testing.assert_close(grouped(x, x, view), whole(x, x, view), **CLOSE)


def test_heads_that_share_nothing_are_plain_multi_head():
    scale = f"{{kind: scaled_dot, scale: {3**-0.5!r}}}"
    module = attention(heads="{heads: 4, kv_heads: 4, d_head: 3}", score=scale, d_output=12)
    torch_module = nn.MultiheadAttention(12, 4, batch_first=True, dtype=torch.float64).eval()
    with torch.no_grad():
        maps = (module.query, module.key, module.value)
        torch_module.in_proj_weight.copy_(torch.cat([each.weight for each in maps]))
        torch_module.in_proj_bias.copy_(torch.cat([each.bias for each in maps]))
        torch_module.out_proj.load_state_dict(module.output.state_dict())
        tokens, records = stream([[1] * 5, [1] * 3], pad=0), []
        x = torch.randn(2, 5, 12, dtype=torch.float64)
        output = module(x, x, view_of_self(tokens, records.append))
        expected, weights = torch_module(x, x, x, key_padding_mask=~tokens.real, average_attn_weights=False)
        torch.testing.assert_close(output, expected, **CLOSE)
        torch.testing.assert_close(module.weights(records[0], dtype=torch.float64), weights, **CLOSE)


@pytest.mark.parametrize("kernel", ["auto", "reference", "fused"])
def test_dropout_falls_on_weights_in_training_and_leaves_the_mean(kernel):
    module, view = attention(dropout=0.3, kernel=kernel), view_of_self(stream([[1] * 4], pad=0))
    x = torch.randn(1, 4, 12, dtype=torch.float64)
    with torch.no_grad():
        still = module(x, x, view)
        assert torch.equal(module(x, x, view), still)
        module.train()
        many = torch.stack([module(x, x, view) for _ in range(1500)])
    assert not torch.equal(many[0], many[1])
    error = (many.mean(0) - still).abs()
    spread = many.std(0) / len(many) ** 0.5
    assert (error < 5 * spread + 1e-9).all()


def test_dropout_hides_whole_weights_and_scales_the_rest():
    module, records = attention(dropout=0.25, kernel="reference").train(), []
    tokens = stream([[1] * 5], pad=0)
    x = torch.randn(1, 5, 12, dtype=torch.float64)
    nn.init.zeros_(module.value.weight)
    nn.init.ones_(module.value.bias)
    with torch.no_grad():
        module(x, x, view_of_self(tokens, records.append))
    record = records[0]
    torch.testing.assert_close(record.weights.sum(-1), torch.ones_like(record.weights[..., 0]), **CLOSE)
    # with values of one, an output is the sum of the kept weights over 1 - p: one of 2^5 sums
    kept = torch.tensor([[(i >> bit) & 1 for bit in range(5)] for i in range(32)], dtype=torch.float64) / 0.75
    sums = torch.einsum("bhqk,ik->bhqi", record.weights, kept)
    assert ((sums - record.output[..., :1]).abs().amin(-1) < 1e-12).all()
    assert not torch.allclose(record.output, torch.ones_like(record.output))


def test_a_key_map_is_not_built_where_no_key_is_read():
    module = attention(score=catalogue.SCORES["location"])
    assert {name.split(".")[0] for name, _ in module.named_parameters()} == {"query", "value", "output", "score"}
    key, _ = module.read(torch.randn(2, 5, 12, dtype=torch.float64), view_of_self(stream([[1] * 5] * 2, pad=0)))
    assert key.shape == (2, 2, 5, 0)


def test_the_plan_is_asked_with_the_mode_and_the_traits():
    module = attention(dropout=0.1, mask="causal", heads="{heads: 4, kv_heads: 2, d_head: 6}")
    assert module.plan(device="cpu", dtype="float32", training=False, size=None).kernel == "fused"
    assert module.plan(device="cpu", dtype="float32", training=True, size=None).kernel == "reference"
    assert module.traits.mask == parse("causal").text


def test_a_span_at_its_bounds_looks_at_the_token_itself_or_at_all():
    x, view = torch.randn(1, 4, 12, dtype=torch.float64), view_of_self(stream([[1] * 4], pad=0))
    near = attention(steps="{span: {kind: adaptive, maximum: 8, ramp: 1}}", heads=GROUPED)
    records: list[Record] = []
    view.tap = records.append
    with torch.no_grad():
        near.weighing.reach.share.zero_()
        near(x, x, view)
        torch.testing.assert_close(records[-1].weights, torch.eye(4, dtype=torch.float64).expand(1, 4, 4, 4))
        near.weighing.reach.share.fill_(1.0)
        wide = near(x, x, view)
        near.weighing.reach = None
        torch.testing.assert_close(near(x, x, view), wide, **CLOSE)
