"""Steps of an attention that would have no effect, or no meaning, are refused where they are written."""

import pytest

from attncli.errors import SpecError
from attncli.spec.attention import STEPS, MultiHead
from attncli.spec.load import load_text
from tests import catalogue
from tests.nn.models import read

REFUSED = {
    "{heads: 1, talking_heads: both}": "talking_heads: one head has no other to talk to",
    "{talking_heads: after, mask: causal & window(before=h)}": (
        "talking_heads: after they are mixed, a head has weights where another one's part of 'causal & "
        "window(before=h)' shows keys"
    ),
    "{sink: zero, context_norm: scale_norm}": (
        "sink: 'scale_norm' gives a mixture the same length whatever a sink takes of it, so a sink changes nothing"
    ),
    "{sink: learned, normalizer: sum}": (
        "sink: 'sum' has no sum of exponentials or of shares that a sink could take a part of"
    ),
    "{length_temperature: llama4}": ("floor: the factor is 1 up to position 8192, and 'decoder' has 1024"),
    "{soft_cap: 0}": "soft_cap: ",
    "{score: cosine, d_head: 1, position: none, qk_norm: rms_norm}": (
        "qk_norm: a norm of one number leaves its sign, and so does cosine"
    ),
    "{d_head: 1, position: none, qk_norm: layer_norm}": "a head of one number is its own mean",
    "{heads: 1, qk_norm: {kind: rms_norm, over: projection}}": "over: of one head the projection is the head",
    "{persistent: 4, score: {kind: location, max_length: 1024}}": "persistent: 'location' compares no keys",
    "{select: {kind: top, keys: 1024}}": "keys: no query sees more than 1024 keys, so the best 1024 are all of them",
    "{select: {kind: top, keys: 3}, mask: causal & window(before=2)}": (
        "keys: under 'causal & window(before=2)' no query sees more than 3 keys, so the best 3 are all of them"
    ),
    "{normalizer: {kind: budget, keys: 1024}}": (
        "keys: no query sees more than 1024 keys, so a budget of 1024 pays each whole: no score would count"
    ),
    "{normalizer: {kind: budget, keys: 4}, persistent: 2, mask: causal & window(before=1)}": (
        "keys: under 'causal & window(before=1)' no query sees more than 4 keys, so a budget of 4 pays each whole"
    ),
    "{normalizer: {kind: budget, keys: 3}, select: {kind: top, keys: 3}}": (
        "keys: of the 3 keys that are selected, a budget of 3 pays each whole: no score would count"
    ),
    "{select: {kind: indexer, keys: 2000}}": "keys: no query sees more than 1024 keys, so the best 2000 are all of",
    "{select: {kind: indexer, keys: 1}}": "keys: ",
    "{select: {kind: indexer, keys: 8, d_head: 4}}": "d_head: d_rotary 6 is wider than an index key, 4",
    "{kv_from: lender}": "kv_from: no layer before this one is named 'lender'",
    "{value_residual: first}": "value_residual: the only attention has no earlier values to mix in",
    "{span: {kind: adaptive, maximum: 2000}}": "maximum: no key of 'decoder' is 2000 tokens away: it has 1024",
    "{selective: first_head, mask: causal | prefix}": (
        "selective: tokens tell later ones which are needed no more, and 'causal | prefix' lets a query look ahead"
    ),
    "{selective: first_head, normalizer: {kind: sum, activation: square}}": (
        "selective: under 'sum' a score far below 0 weighs much, and a key that is marked has one"
    ),
    "{selective: first_head, kernel: fused}": "kernel: the fused kernel has no selective",
    "{selective: all}": "selective: ",
    "{key_dropout: 1}": "key_dropout: ",
    "{qk_clip: 9, qk_norm: rms_norm}": "qk_clip: qk_norm takes back what scaling the maps does",
    "{qk_clip: 9, score: cosine}": "qk_clip: the score 'cosine' does not grow with its query and key",
    "{qk_clip: 9, position: pope}": "qk_clip: the lengths that 'pope' makes do not grow",
    "{short_convolution: 1}": "short_convolution: ",
    "{values: keys, v_norm: rms_norm}": "v_norm: the values are the keys, which qk_norm norms",
    "{values: keys, projections: [query, value, output]}": "projections: the values are the keys, so there is no map",
    "{values: keys, d_value: 5}": "d_value: the values are the keys, so that a head mixes 6 features, not 5",
    "{values: keys, kind: differential, heads: 1}": "values: a pair of differential attention has two keys",
    "{values: keys, score: biased_dot}": "score: 'biased_dot' reads each value by itself",
    "{values: keys, score: {kind: location, max_length: 1024}}": "values: 'location' compares no keys",
    "{values: keys, projections: [query, output], position: none}": "values: without a map of keys both are the states",
    "{soft_cap: 50, talking_heads: both, kernel: fused}": ("kernel: the fused kernel has no soft_cap or talking_heads"),
}


def spec(attention: str) -> str:
    return (
        "name: x\ntask: language_model\ntokenizer: bytes\n"
        f"model: {{decoder: {{d_model: 24, layers: 1, attention: {attention}}}}}\n"
    )


@pytest.mark.parametrize(("attention", "message"), REFUSED.items(), ids=REFUSED)
def test_a_step_without_effect_or_meaning_is_refused(attention, message):
    with pytest.raises(SpecError) as caught:
        load_text(spec("{heads: 4, " + attention[1:] if "heads: 1" not in attention else attention))
    assert message in str(caught.value)


def test_an_indexer_stands_where_it_can_learn():
    recurrent = "{d_hidden: 16, encoder: {kind: recurrent}, decoder: {kind: recurrent, cross_attention: {SELECT}}}"
    lent = "{d_model: 24, encoder: {layers: 1}, decoder: {layers: [{name: one}, {attention: {kv_from: one, SELECT}}]}}"
    says = (
        "select: an indexer learns of the weights of all queries of a pass at once, and 'decoder' asks step by step",
        "select: an indexer reads the states that keys are made of, and the keys are those of 'one'",
    )
    for model, message in zip((recurrent, lent), says, strict=True):
        text = f"name: x\ntask: seq2seq\ntokenizer: bytes\nmodel: {model}\n"
        with pytest.raises(SpecError) as caught:
            load_text(text.replace("SELECT", "select: {kind: indexer, keys: 4}"))
        assert message in str(caught.value)


def test_marks_are_told_within_a_text_and_kept_beside_keys():
    lent = "layers: [{name: one}, {attention: {kv_from: one, selective: first_head}}]"
    cross = "layers: 1, cross_attention: {selective: first_head}"
    says = (
        "selective: what is marked is kept beside the keys, and keys are those of 'one'",
        "selective: tokens tell later ones which of them are needed no more, and 'decoder' reads 'encoder'",
    )
    for decoder, message in zip((lent, cross), says, strict=True):
        text = (
            f"name: x\ntask: seq2seq\ntokenizer: bytes\nmodel: {{d_model: 24, encoder: {{}}, decoder: {{{decoder}}}}}\n"
        )
        with pytest.raises(SpecError) as caught:
            load_text(text)
        assert message in str(caught.value)


def absent(record: type[MultiHead]) -> set[str]:
    """Keys that are absent unless written."""
    return {
        name
        for name, info in record.model_fields.items()
        if not info.is_required()
        and (info.default in (None, "none", "own", "linear", 0) or getattr(info.default, "kind", "") == "none")
    }


def test_every_step_has_a_line_in_the_catalogue():
    assert absent(MultiHead) == {*STEPS, "second_projections"}  # which are maps, with a list of their own
    beside = {"normalizer", "projections", "d_head", "d_value"}
    lines = [*catalogue.STEPS.values(), *catalogue.CAUSAL_STEPS.values()]
    alone = {key for line in lines for key in read(line)} - beside
    assert set(STEPS) == alone | {name.split(",")[0] for name in catalogue.BETWEEN}
