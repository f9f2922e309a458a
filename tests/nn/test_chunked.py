"""Some queries at a time give what all give at once, forward and gradient, and hold one block of weights."""

import pytest
import torch
from torch import Tensor

from attncli.nn import sparse
from attncli.nn.kernels import chunked
from attncli.nn.view import Record, view_of_self
from attncli.streams import Stream, stream
from tests import catalogue
from tests.nn.oracle import attention
from tests.nn.test_banded import GROUPED, Largest, results, rows_of

CLOSE = {"rtol": 1e-9, "atol": 1e-10}
LENGTH = 11


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Four queries a block."""
    monkeypatch.setattr(chunked, "LEAST", 4)
    monkeypatch.setattr(chunked, "FLOATS", 1)


def compare(given: dict[str, str], tokens: Stream, memory: Stream | None = None) -> None:
    x = torch.randn(2, tokens.values.shape[1], 12, dtype=torch.float64)
    found = []
    for kernel in ("chunked", "reference"):
        module = attention(**given, kernel=kernel).eval()
        torch.manual_seed(1)
        found.append(results(module, x, tokens, memory))
    for one, other in zip(*found, strict=True):
        if one is None or other is None:
            assert one is other
            continue
        torch.testing.assert_close(one, other, **CLOSE)


ROWWISE = {name: kind for name, kind in catalogue.NORMALIZERS.items() if name not in catalogue.READERS_ONLY}
GIVEN = {f"score {name}": {"score": kind} for name, kind in catalogue.SCORES.items()}
GIVEN |= {f"normalizer {name}": {"normalizer": kind} for name, kind in ROWWISE.items()}
GIVEN |= {f"step {name}": {"steps": step, "heads": GROUPED, "mask": "k < q"} for name, step in catalogue.STEPS.items()
          if "selective" not in name}  # fmt: skip
GIVEN |= {f"kind {name}": {"heads": kind, "mask": "causal"} for name, kind in catalogue.KINDS.items()}
GIVEN |= {f"position {name}": {"position": kind, "mask": "causal"} for name, kind in catalogue.POSITIONS.items()}
GIVEN |= {f"far {name}": {"position": kind, "mask": "window(around=3)"} for name, kind in catalogue.POSITIONS.items()
          if name not in catalogue.BACKWARD}  # fmt: skip
GIVEN |= {f"mask {mask}": {"mask": mask} for mask in catalogue.MASKS if "length" not in mask}


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN.keys())
def test_every_kind_that_has_rows_of_its_own(given):
    for rows in ("left", "packed"):
        compare(given, rows_of(rows, LENGTH) if rows == "left" else packed())


def packed() -> Stream:
    """Rows of two texts and a rest of padding, and of one."""
    documents = torch.tensor([[0] * 4 + [1] * 5 + [-1] * 2, [0] * 11])
    positions = torch.tensor([[*range(4), *range(5), 0, 0], [*range(11)]])
    return Stream(torch.ones(2, 11, dtype=torch.long), torch.tensor([9, 11]), positions, documents, packed=True,
                  plain=False)  # fmt: skip


@pytest.mark.parametrize("given", [GIVEN["score additive"], GIVEN["normalizer entmax"], {"mask": "abs(q - k) <= h"},
                                   {"steps": "{span: {kind: predicted, half_width: 2}}"}])  # fmt: skip
def test_a_reader_of_another_text(given):
    tokens, memory = (stream([[1] * n, [1] * (n - 2)], pad=0) for n in (11, 6))
    compare(given, tokens, memory)


@pytest.mark.parametrize(("kind", "solver"), [
    ("{kind: entmax, alpha: 1.5}", "_by_newton"), ("{kind: entmax, alpha: learned}", "_by_newton"),
    ("{kind: entmax, alpha: 3.0}", "_by_halves"), ("{kind: normmax, alpha: 3.0}", "_level"),
    ("{kind: budget, keys: 2}", "_price"),
])  # fmt: skip
def test_thresholds_are_solved_for_once_a_block(kind, solver, monkeypatch):
    solved = []
    solve = getattr(sparse, solver)
    monkeypatch.setattr(sparse, solver, lambda *given: solved.append(1) or solve(*given))
    module = attention(normalizer=kind, kernel="chunked").train()
    x = torch.randn(2, LENGTH, 12, dtype=torch.float64, requires_grad=True)
    output = module(x, x, view_of_self(rows_of("even", LENGTH)))
    forward = len(solved)
    first, again = (torch.autograd.grad(output.square().sum(), x, retain_graph=True)[0] for _ in range(2))
    assert forward == 3
    assert len(solved) == forward
    assert torch.equal(first, again)


@pytest.mark.parametrize("given", [
    {"dropout": 0.4}, {"normalizer": "{kind: gumbel, temperature: 0.5}"}, {"steps": "{key_dropout: 0.5}"},
], ids=["dropout", "gumbel", "keys"])  # fmt: skip
def test_what_is_drawn_is_drawn_again_backward(given):
    module = attention(**given, heads=GROUPED, kernel="chunked", position="alibi").train()
    tokens = rows_of("even", LENGTH)

    def drawn(x: Tensor) -> Tensor:
        torch.manual_seed(3)
        return module(x, x, view_of_self(tokens))

    x = torch.randn(2, LENGTH, 12, dtype=torch.float64, requires_grad=True)
    along, by = torch.randn_like(x), 1e-6
    drawn(x).square().sum().backward()
    after = torch.get_rng_state()
    with torch.no_grad():
        slope = (drawn(x + by * along).square().sum() - drawn(x - by * along).square().sum()) / (2 * by)
        torch.testing.assert_close((x.grad * along).sum(), slope, rtol=1e-6, atol=1e-6)
        assert torch.equal(torch.get_rng_state(), after), "a pass leaves the generator where another one does"
        one, other = module(x, x, view_of_self(tokens)), module(x, x, view_of_self(tokens))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("steps", ["{}", "{sink: learned}", "{talking_heads: both}",
                                   "{span: {kind: adaptive, maximum: 3, ramp: 2, loss: 0.01}}"])  # fmt: skip
@pytest.mark.parametrize("position", ["none", "t5", "transformer_xl"])
def test_what_a_tap_is_told(steps, position):
    module = attention(steps=steps, heads=GROUPED, kernel="chunked", mask="causal",
                       position=catalogue.POSITIONS[position])  # fmt: skip
    records: list[Record] = []
    tokens = rows_of("right", LENGTH)
    x = torch.randn(2, LENGTH, 12, dtype=torch.float64)
    with torch.no_grad():
        module(x, x, view_of_self(tokens, records.append))
    (record,) = records
    assert (record.kernel, record.weights) == ("chunked", None)
    weights = module.weights(record, dtype=torch.float64)
    real = tokens.real[:, None].expand(record.output.shape[:3])
    torch.testing.assert_close(module.mixture(record, weights)[real], record.output[real], **CLOSE)
    total = torch.ones_like(record.output[..., 0]) if record.total is None else record.total
    torch.testing.assert_close(weights.sum(-1)[real], total[real], **CLOSE)


def test_half_types_are_no_further_from_float32_than_those_of_the_reference():
    """Under autocast both passes of a block compute as the whole does."""
    found = []
    x = torch.randn(2, LENGTH, 12)
    for kernel, half in (("chunked", True), ("reference", True), ("reference", False)):
        module = attention(score="{kind: additive, d_hidden: 5}", kernel=kernel, dtype=torch.float32, heads=GROUPED)
        own = x.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            output = module(own, own, view_of_self(rows_of("even", LENGTH)))
        output.float().square().sum().backward()
        assert (output.dtype, own.grad.dtype) == (torch.bfloat16 if half else torch.float32, torch.float32)
        found.append((output.float(), own.grad))
    for one, other, exact in zip(*found, strict=True):
        assert (one - exact).norm() <= 2 * (other - exact).norm()


def test_weights_of_one_block_are_held(monkeypatch):
    monkeypatch.setattr(chunked, "LEAST", 16)
    module = attention(normalizer="sparsemax", heads=GROUPED, kernel="chunked")
    x = torch.randn(2, 200, 12, dtype=torch.float64, requires_grad=True)
    with Largest() as largest:
        module(x, x, view_of_self(rows_of("even", 200))).sum().backward()
    assert largest.numbers <= 2 * 4 * 16 * 200


def test_a_causal_block_reads_no_later_key(monkeypatch):
    seen = []
    plain = chunked.attend

    def watched(make, parts, *rest, **named):
        seen.extend(parts)
        return plain(make, parts, *rest, **named)

    monkeypatch.setattr(chunked, "attend", watched)
    x = torch.randn(2, 12, 12, dtype=torch.float64)
    for mask in ("causal", "causal & window(before=2)", "full"):
        attention(normalizer="sparsemax", mask=mask, kernel="chunked")(x, x, view_of_self(rows_of("even", 12)))
    keys = [(part.keys.start, part.keys.stop) for part in seen]
    assert keys == [(0, 4), (0, 8), (0, 12), (0, 4), (2, 8), (6, 12), (0, 12), (0, 12), (0, 12)]
