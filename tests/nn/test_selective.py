"""Selective attention by its definition; test_attention holds it against the reference, the laws its cache."""

import pytest
import torch

from attncli.maps.check import check
from attncli.nn.cache import KeyValue
from attncli.nn.selective import Marks, Selective
from attncli.nn.view import Record, view_of_self
from attncli.streams import stream
from tests.nn.oracle import attention

HEADS = "{heads: 3, kv_heads: 3, d_head: 4}"


def test_marks_add_up_and_spare_the_first_token_and_the_token_itself():
    given = torch.tensor([[9.0, 9, 9, 9], [9, 9, 9, 9], [9, 0.5, 9, 9], [9, 0.25, -3, 9]], dtype=torch.float64)
    positions = torch.arange(4).unsqueeze(0)
    told = torch.empty(1, 4, 4, dtype=torch.float64)
    logits = torch.stack((given, torch.zeros(4, 4, dtype=torch.float64))).unsqueeze(0)
    visible = torch.ones(4, 4, dtype=torch.bool).tril()
    found = Selective(ahead=0)(logits, visible, (positions, positions), None, told)
    assert told[0].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0.5, 0, 0], [0, 0.75, 0, 0]]
    taken = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0.5, 0, 0]], dtype=torch.float64)
    assert torch.equal(logits - found, taken.expand(1, 2, 4, 4))


def test_a_first_head_that_scores_nothing_above_0_marks_nothing():
    x, view = torch.randn(2, 6, 12, dtype=torch.float64), view_of_self(stream([[1] * 6] * 2, pad=0))
    module = attention(mask="causal", heads=HEADS, steps="{selective: first_head}")
    with torch.no_grad():
        with_marks = module(x, x, view)
        module.query.weight[:4] = 0.0
        module.query.bias[:4] = 0.0
        silent = module(x, x, view)
        module.weighing.selective = None
        plain = module(x, x, view)
    torch.testing.assert_close(silent, plain, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(with_marks, plain)


def test_a_text_of_a_packed_row_marks_nothing_of_another():
    module, records = attention(mask="causal", heads=HEADS, steps="{selective: first_head}"), []
    x = torch.randn(1, 7, 12, dtype=torch.float64)
    tokens = stream([[1] * 7], pad=0)
    tokens = type(tokens)(
        tokens.values, tokens.lengths, torch.tensor([[0, 1, 2, 0, 1, 2, 3]]), torch.tensor([[0, 0, 0, 1, 1, 1, 1]]),
        padded=False, packed=True, plain=False,
    )  # fmt: skip
    with torch.no_grad():
        together = module(x, x, view_of_self(tokens, records.append))
        alone = module(x[:, 3:], x[:, 3:], view_of_self(stream([[1] * 4], pad=0)))
    torch.testing.assert_close(together[:, 3:], alone, rtol=1e-12, atol=1e-12)
    assert isinstance(records[0], Record)


def test_only_selective_attention_keeps_marks():
    plain, selective = (attention(mask="causal", steps=steps).cache(7) for steps in ("{}", "{selective: first_head}"))
    assert type(plain) is KeyValue
    assert type(selective) is Marks
    key = torch.zeros(2, 3, 5, 4)
    selective.append(key, key, key.new_empty(2, 1, 5, 0))
    plain.append(key, key)
    assert selective.bytes - plain.bytes == 4 * 2 * 7 * 7


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_what_later_tokens_marked_is_taken_back_with_them(cut):
    """A text is written, cut back and written on otherwise: what is left is as if the first end had never been."""
    module = attention(mask="causal", heads=HEADS, steps="{selective: first_head, persistent: 2}")
    x, other = torch.randn(2, 6, 12, dtype=torch.float64), torch.randn(2, 6, 12, dtype=torch.float64)
    joined = torch.cat((x[:, :cut], other[:, cut:]), 1)
    cache = module.cache(6)
    with torch.no_grad():
        _written(module, cache, x, 0, 6, 1)
        cache.crop(cut)
        found = _written(module, cache, joined, cut, 6, 2)
        torch.testing.assert_close(
            found, module(joined, joined, view_of_self(stream([[1] * 6] * 2, pad=0)))[:, cut:], rtol=1e-11, atol=1e-12
        )


@pytest.mark.parametrize("normalizer", ["softmax", "sigmoid"])
def test_maps_are_proved_in_blocks_of_queries_too(normalizer):
    """What a row has lost is known of the rows before it, which another block may hold."""
    module, records = attention(mask="causal", heads=HEADS, normalizer=normalizer, steps="{selective: first_head}"), []
    x = torch.randn(2, 8, 12, dtype=torch.float64)
    with torch.no_grad():
        module(x, x, view_of_self(stream([[1] * 8] * 2, pad=0), records.append))
    parts = list(check(records[0], block=2 * 3 * 8 * 3))
    assert [part.first for part in parts] == [0, 3, 6]
    whole = module.weights(records[0], dtype=torch.float64)
    for part in parts:
        assert float(part.measures.row_error.max()) < 1e-12
        assert float(part.measures.output_error.max()) < 1e-12
        rows = slice(part.first, part.first + part.weights.shape[2])
        keys = slice(part.start, part.start + part.weights.shape[3])
        torch.testing.assert_close(part.weights.double(), whole[:, :, rows, keys])


def _written(module, cache, x, start, end, size):
    found = []
    for at in range(start, end, size):
        new = x[:, at : min(at + size, end)]
        view = view_of_self(stream([[1] * (at + new.shape[1])] * 2, pad=0))
        view.query_positions = view.key_positions[:, at:]
        view.query_documents, view.aligned = None, False
        projected = cache.append(*module.read(new, view))
        found.append(module.attend(module.ask(new, view), projected, view))
    return torch.cat(found, 1)
