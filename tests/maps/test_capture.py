"""Every attention of every model: exact, with real tokens only, and without a trace in what the model computes."""

import numpy as np
import pytest
import torch

from attncli.maps.capture import capture_forced
from attncli.streams import IGNORE, stream
from tests.nn import models

TEXTS = models.writers()


def pieces(field: str, ids: list[int]) -> list[str]:
    return [f"{field[0]}{token}" for token in ids]


def some(dtype: torch.dtype, text: str) -> models.Model:
    return models.build(text, dtype=dtype)


@pytest.mark.parametrize("name", TEXTS)
def test_every_attention_is_certified_in_float32_and_the_tap_changes_no_bit(name: str) -> None:
    model, batch = some(torch.float32, TEXTS[name]), models.batch()
    with torch.inference_mode():
        plain = model(batch)
    logits, rows = capture_forced(model, batch, pieces)
    assert torch.equal(plain, logits)
    assert all({one.address for one in row} == set(model.attentions()) for row in rows)
    for one in (one for row in rows for one in row):
        assert list(one.certificate.faults()) == [], one.address
        assert one.weights.dtype == np.float32
        weighing = model.attentions()[one.address].weighing
        talks = weighing.after is not None or weighing.difference is not None  # mixed by numbers of any sign
        assert talks or "signed" in name or one.weights.min() >= 0
        assert one.kind == ("cross" if "cross_attention" in one.address else "self")


@pytest.mark.parametrize("name", ["mask causal & window(before=2)", "heads grouped", "recurrent Bahdanau gru"])
def test_a_row_of_a_batch_has_the_maps_it_has_alone_so_no_padding_is_in_them(name: str) -> None:
    model = models.build(TEXTS[name])
    _, together = capture_forced(model, models.batch(), pieces, labels="target")
    for row in range(len(models.SOURCES)):
        _, (alone,) = capture_forced(model, models.batch(row), pieces, labels="target")
        assert [one.address for one in alone] == [one.address for one in together[row]]
        for one, other in zip(alone, together[row], strict=True):
            assert (one.queries, one.keys, one.writes) == (other.queries, other.keys, other.writes)
            np.testing.assert_allclose(one.weights, other.weights, atol=1e-6)


def test_axes_carry_the_tokens_read_and_the_tokens_to_be_written() -> None:
    _, rows = capture_forced(models.build(models.transformer()), models.batch(), pieces, labels="target")
    maps = {one.address: one for one in rows[1]}
    cross = maps["decoder.1.cross_attention"]
    assert (cross.kind, cross.heads) == ("cross", 4)
    assert cross.queries == ("t2", "t11", "t18", "t13", "t14", "t15")
    assert cross.writes == ("t11", "t18", "t13", "t14", "t15", "t3")
    assert cross.rows is cross.writes
    assert cross.keys == ("s9", "s10", "s3")
    own = maps["encoder.0.attention"]
    assert (own.kind, own.queries, own.keys, own.writes) == ("self", cross.keys, cross.keys, None)
    assert own.rows is own.queries


def test_weights_are_those_of_a_softmax_written_out() -> None:
    model, batch, seen = models.build(models.transformer()), models.batch(0), []
    model(batch, lambda record: seen.append(record))
    _, ((*maps,),) = capture_forced(model, batch, pieces)
    for record, one in zip(seen, maps, strict=True):
        assert record.kernel == "fused"
        for head in range(4):
            query, key = record.query[0, head], record.key[0, head // 2]
            logits = (query @ key.T * 0.4).detach()
            if record.address in ("decoder.0.attention", "decoder.1.attention"):
                logits = logits.masked_fill(torch.ones_like(logits).triu(1) > 0, -torch.inf)
            np.testing.assert_allclose(one.weights[head], logits.softmax(-1).numpy(), atol=1e-6)


def test_rows_that_see_no_key_are_counted_and_are_zero() -> None:
    _, rows = capture_forced(models.build(models.transformer(mask="k < q")), models.batch(), pieces)
    maps = {one.address: one for one in rows[0]}
    own = maps["decoder.0.attention"]
    assert own.certificate.empty_rows == own.heads
    assert own.certificate.holds
    assert not own.weights[:, 0].any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kernel", ["auto", "reference"])
def test_half_types_are_certified_within_two_units_in_the_last_place(dtype: torch.dtype, kernel: str) -> None:
    model = some(dtype, models.transformer(kernel=kernel, mask="causal", position="rotary"))
    _, rows = capture_forced(model, models.batch(), pieces)
    for one in (one for row in rows for one in row):
        assert one.dtype == str(dtype)[6:]
        assert list(one.certificate.faults()) == [], one.address


@pytest.mark.parametrize("pooling", ["attention", "attention, location"])
def test_pooling_has_a_map_whose_queries_have_no_tokens(pooling: str) -> None:
    from tests import catalogue

    task = f"{{kind: classification, pooling: {catalogue.POOLINGS[pooling]}}}"
    model = some(
        torch.float32, models.tiny("{max_length: 32, encoder: {d_model: 12, layers: 1}, attention: {heads: 2}}", task)
    )
    batch = {"text": stream([[2, 5, 6, 3], [2, 7, 3]], pad=0), "labels": stream([[0], [1]], pad=IGNORE)}
    logits, rows = capture_forced(model, batch, pieces)
    assert logits.shape == (2, 3)
    pooled = rows[1][-1]
    assert (pooled.address, pooled.kind, pooled.keys) == ("head.attention", "pooling", ("t2", "t7", "t3"))
    assert pooled.queries == tuple(f"query {place}" for place in range(pooled.weights.shape[1]))
    assert all(one.certificate.holds for row in rows for one in row)


def test_only_chooses_addresses() -> None:
    _, rows = capture_forced(models.build(models.transformer()), models.batch(), pieces, only="*.cross_attention")
    assert [one.address for one in rows[0]] == ["decoder.0.cross_attention", "decoder.1.cross_attention"]


@pytest.mark.parametrize("name", ["score scaled_dot, learned", "score additive", "score cosine", "recurrent Luong gru"])
def test_a_model_under_autocast_is_certified_in_the_type_its_kernels_ran_in(name: str) -> None:
    model, batch = some(torch.float32, TEXTS[name]), models.batch()
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        plain = model(batch)
        logits, rows = capture_forced(model, batch, pieces)
    assert torch.equal(plain, logits)
    for one in (one for row in rows for one in row):
        assert list(one.certificate.faults()) == [], one.address
    assert "bfloat16" in {one.dtype for row in rows for one in row}
    fused = [one for row in rows for one in row if one.kernel == "fused"]
    assert all(one.certificate.row_sum_error < 1e-3 for one in fused)  # scores rounded to bfloat16 would be off by more
