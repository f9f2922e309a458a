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
    "{sink: learned, normalizer: sum}": (
        "sink: 'sum' has no sum of exponentials or of shares that a sink could take a part of"
    ),
    "{length_temperature: llama4}": ("floor: the factor is 1 up to position 8192, and 'decoder' has 1024"),
    "{soft_cap: 0}": "soft_cap: ",
    "{heads: 1, qk_norm: {kind: rms_norm, over: projection}}": "over: of one head the projection is the head",
    "{persistent: 4, score: {kind: location, max_length: 1024}}": "persistent: 'location' compares no keys",
    "{select: {kind: top, keys: 1024}}": "keys: no query sees more than 1024 keys, so the best 1024 are all of them",
    "{kv_from: lender}": "kv_from: no layer before this one is named 'lender'",
    "{value_residual: first}": "value_residual: the only attention has no earlier values to mix in",
    "{span: {kind: adaptive, maximum: 2000}}": "maximum: no key of 'decoder' is 2000 tokens away: it has 1024",
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


def absent(record: type[MultiHead]) -> set[str]:
    """Keys that are absent unless written."""
    return {
        name
        for name, info in record.model_fields.items()
        if not info.is_required() and (info.default in (None, "none", 0) or getattr(info.default, "kind", "") == "none")
    }


def test_every_step_has_a_line_in_the_catalogue():
    assert absent(MultiHead) == set(STEPS)
    alone = {key for line in catalogue.STEPS.values() for key in read(line)} - {"normalizer"}
    assert set(STEPS) == alone | {name.split(",")[0] for name in catalogue.BETWEEN}
