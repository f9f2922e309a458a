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
    assert absent(MultiHead) - {"span"} == set(STEPS)  # spans have lines of their own
    assert set(STEPS) == {key for line in catalogue.STEPS.values() for key in read(line)} - {"normalizer"}
