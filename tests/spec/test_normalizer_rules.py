"""Normalizers that would look ahead, or do nothing, are refused where they are written."""

import pytest

from attncli.spec.load import load_text
from tests.spec.reports import refused, unmarked, whole

HELP = "write softmax, or another one that weighs each query alone"
AHEAD = "a later query takes its share of the keys"


@pytest.mark.parametrize("key", ["attention", "cross_attention"])
def test_queries_do_not_compete_in_a_stack_that_writes(key):
    text = (
        "name: x\ntask: seq2seq\nmodel:\n  encoder: {layers: 1}\n"
        f"  decoder: {{layers: 1, {key}: {{normalizer: ▸queries}}}}\n"
    )
    if key == "attention":  # which cross_attention starts from
        text = text.replace("queries}}", "queries}, cross_attention: {normalizer: softmax}}")
    rule = f"normalizer: under 'queries' {AHEAD}, and 'decoder' writes token by token"
    assert refused(unmarked(text)) == whole(text, (rule, HELP))


def test_queries_do_not_compete_under_a_causal_mask():
    text = (
        "name: x\ntask: tagging\nmodel:\n  encoder: {layers: 1, attention: {normalizer: ▸queries, "
        "mask: causal & window(before=3)}}\n"
    )
    rule = f"normalizer: under 'queries' {AHEAD}, which 'causal & window(before=3)' is to prevent"
    assert refused(unmarked(text)) == whole(text, (rule, HELP))


def test_one_query_has_no_other_to_compete_with():
    text = (
        "name: x\ntask: {kind: classification, pooling: {kind: attention, normalizer: ▸queries}}\n"
        "model:\n  encoder: {layers: 1, attention: {normalizer: queries}}\n"
    )
    rule = "normalizer: one query has no other to compete with: every key would weigh the same"
    assert refused(unmarked(text)) == whole(text, (rule, "write queries: 2 or more, or another normalizer"))


@pytest.mark.parametrize("position", ["alibi", "kerple", "{kind: sandwich, width: 6}", "forgetting"])
def test_far_keys_would_have_the_largest_signed_weights(position):
    kind = position.strip("{}").removeprefix("kind: ").split(",")[0]
    text = (
        "name: x\ntask: language_model\nmodel:\n  decoder: {layers: 1, attention: {normalizer: signed, "
        f"position: ▸{position}}}}}\n"
    )
    rule = f"position: '{kind}' lowers the scores of far keys, and under 'signed' a low score is a large weight"
    assert refused(unmarked(text)) == whole(text, (rule, "write rotary, or normalizer: softmax"))


@pytest.mark.parametrize(("written", "says"), [
    ("{kind: entmax, alpha: 1}", "alpha"),
    ("{kind: normmax, alpha: 1}", "alpha"),
    ("{kind: budget, keys: 0}", "keys"),
    ("{kind: gumbel, temperature: 0}", "temperature"),
    ("{kind: sigmoid, offset: visible}", "offset"),
    ("{kind: pointwise, activation: gelu}", "activation"),
])  # fmt: skip
def test_what_a_normalizer_cannot_take_is_refused_at_its_key(written, says):
    text = f"name: x\ntask: tagging\nmodel: {{encoder: {{layers: 1, attention: {{normalizer: {written}}}}}}}\n"
    assert f": {says}: " in refused(text)


@pytest.mark.parametrize("normalizer", ["sum", "{kind: pointwise, activation: relu_squared}"])
@pytest.mark.parametrize("position", ["none", "rotary", "alibi", "t5"])
def test_what_is_never_above_zero_needs_another_cut(normalizer, position):
    text = (
        "name: x\ntask: language_model\nmodel:\n  decoder:\n    layers: 1\n    attention: "
        f"{{score: distance, position: {position}, normalizer: ▸{normalizer}}}\n"
    )
    if position == "t5":  # a learned bias may lift them
        assert load_text(unmarked(text)).run
        return
    cut = "relu" if normalizer == "sum" else "relu_squared"
    rule = f"normalizer: 'distance' is never above 0, and {cut} makes 0 of all that is below: no score would count"
    assert refused(unmarked(text)) == whole(text, (rule, "write softmax, or activation: softplus"))


def test_a_hard_stop_needs_scores_that_may_be_positive():
    text = (
        "name: x\ntask: seq2seq\nmodel:\n  encoder: {kind: recurrent}\n  decoder:\n    kind: recurrent\n"
        "    cross_attention: {score: distance, normalizer: ▸monotonic}\n"
    )
    rule = (
        "normalizer: 'distance' is never above 0, and hard 'monotonic' stops at scores from 0 on alone: "
        "no score would count"
    )
    assert refused(unmarked(text)) == whole(text, (rule, "write evaluation: expected, or another score"))
    assert load_text(unmarked(text).replace("monotonic", "{kind: monotonic, evaluation: expected}")).run


def test_a_bank_of_distances_back_needs_keys_there():
    text = (
        "name: x\ntask: tagging\nmodel:\n  encoder:\n    layers: 1\n"
        "    attention: {mask: ~causal, position: ▸{kind: bank, extent: 4, d_bank: 2}}\n"
    )
    rule = "position: 'bank' adds to the scores of keys from the query back, and the mask '~causal' shows none of them"
    assert refused(unmarked(text)) == whole(text, (rule, "write another position, or another mask"))
    assert load_text(unmarked(text).replace("~causal", "window(around=2)")).run
