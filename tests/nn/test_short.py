"""Short convolution stays within its text: padding and other documents of a row count 0, ahead and behind."""

import pytest
import torch

from attncli.nn.view import view_of_self
from attncli.streams import Stream, stream
from tests.nn.oracle import attention

CLOSE = {"rtol": 1e-10, "atol": 1e-11}


@pytest.mark.parametrize("mask", ["causal", "full"])
@torch.no_grad()
def test_texts_packed_in_one_row_are_convolved_apart(mask):
    module = attention(heads="{heads: 4, kv_heads: 2, d_head: 6}", steps="{short_convolution: 3}", mask=mask)
    lengths = (4, 1, 3)
    x = torch.randn(1, sum(lengths), 12, dtype=torch.float64)
    documents = torch.tensor([[text for text, length in enumerate(lengths) for _ in range(length)]])
    positions = torch.tensor([[place for length in lengths for place in range(length)]])
    ids = torch.ones_like(documents)
    row = Stream(ids, documents.ge(0).sum(1), positions, documents, padded=False, packed=True, plain=False)
    together, start = module(x, x, view_of_self(row)), 0
    for length in lengths:
        alone = x[:, start : start + length]
        expected = module(alone, alone, view_of_self(stream([[1] * length], pad=0)))
        torch.testing.assert_close(together[:, start : start + length], expected, **CLOSE)
        start += length
