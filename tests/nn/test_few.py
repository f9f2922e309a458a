"""Attention over few keys by batched products, against torch's formula in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from attncli.nn.kernels import few, fused

ROWS, HEADS = 8, 8


def sides(queries: int, keys: int, *, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Query, key and value as heads of states have them: no row lies behind the other."""
    generator = torch.Generator().manual_seed(0)
    made = (torch.randn(ROWS, n, HEADS * 4, generator=generator, dtype=torch.float64) for n in (queries, keys, keys))
    return [x.to(dtype).unflatten(2, (HEADS, 4)).transpose(1, 2).requires_grad_() for x in made]


def formula(query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None) -> Tensor:
    scores = 0.3 * query.double() @ key.double().mT
    if visible is None:
        return scores.softmax(-1) @ value.double()
    weights = scores.masked_fill(~visible, -torch.inf).softmax(-1)
    return weights.masked_fill(~visible.any(-1, keepdim=True), 0) @ value.double()


def seen(rows: int = ROWS) -> Tensor:
    """A mask with rows that see nothing."""
    visible = torch.rand(rows, 1, 7, 9, generator=torch.Generator().manual_seed(1)) < 0.5
    visible[:, :, 2] = False
    return visible


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    ("queries", "keys", "given", "visible"),
    [
        (7, 9, {}, None),
        (7, 9, {"visible": seen()}, seen()),
        (9, 9, {"triangle": True}, torch.ones(9, 9).tril().bool()),
        (7, 9, {"triangle": True, "ahead": 2}, F.pad(torch.ones(7, 7).tril().bool(), (2, 0), value=True)),
    ],
    ids=["all", "mask", "triangle", "keys in front"],
)
def test_mixtures_and_gradients_are_those_of_the_formula(
    dtype: torch.dtype, queries: int, keys: int, given: dict[str, Any], visible: Tensor | None
) -> None:
    found, exact = sides(queries, keys, dtype=dtype), sides(queries, keys)
    call = fused.Call(*found, **({"scale": 0.3, "triangle": False, "visible": None, "bias": None} | given))
    assert few.serves(call.query, call.key)
    out, expected = fused.attend(call, dropout=0.0), formula(*exact, visible)
    grad = torch.randn(expected.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    out.backward(grad.to(dtype))
    expected.backward(grad)
    close = 1e-12 if dtype is torch.float64 else 1e-5
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=close)
    for mine, theirs in zip(found, exact, strict=True):
        assert mine.grad is not None
        torch.testing.assert_close(mine.grad.double(), theirs.grad, rtol=0, atol=close)
    told, _ = fused.told(call, dropout=0.0)
    assert torch.equal(told, out), "a tap changes nothing"


def test_it_serves_few_keys_of_many_heads() -> None:
    query, key, _ = sides(9, few.KEYS)
    assert few.serves(query, key)
    assert not few.serves(query, F.pad(key, (0, 0, 0, 1))), "too many keys"
    assert not few.serves(query[:, :2], key), "heads that share keys"
    assert not few.serves(query[:1], key[:1]), "too few heads"
    assert not few.serves(query, key[:, :, :0]), "no key"
    assert not few.serves(query.bfloat16(), key.bfloat16()), "weights are made in float32 at the least"
    with torch.no_grad():
        assert not few.serves(query, key), "no derivative"
