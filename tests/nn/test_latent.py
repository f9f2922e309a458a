"""What latent attention is, beside the laws that it shares with every attention."""

import pytest
import torch
import yaml

from attncli.checking.certificate import judged
from attncli.checking.laws import LAWS
from attncli.checking.subject import subject_of
from attncli.errors import SpecError
from attncli.nn.latent import LatentAttention
from attncli.streams import stream
from tests import catalogue
from tests.nn.models import build, read, run_of, tiny

SPEC = tiny(
    "{tie_embeddings: none, max_length: 32, d_model: 24, decoder: {layers: 2, feedforward: {d_ff: 9}, "
    "attention: {kind: latent, heads: 2, kv_rank: 5, d_rotary: 4}}}",
    "language_model",
)


@pytest.mark.parametrize("kind", catalogue.LATENTS.values(), ids=catalogue.LATENTS.keys())
@pytest.mark.parametrize("position", ["{layout: interleaved}", "none"])
def test_every_law_holds(kind, position):
    attention = read(kind) | {"position": read(position)}
    stack = {"layers": 2, "attention": attention}
    model = {"d_model": 12, "max_length": 32, "bias": True, "feedforward": {"d_ff": 10}, "encoder": stack}
    model |= {"decoder": dict(stack, attention=dict(attention))}
    subject = subject_of(run_of(tiny(yaml.safe_dump(model, default_flow_style=True, width=10_000).strip())))
    verdicts = [judged(law, subject) for law in LAWS]
    assert [verdict.law for verdict in verdicts if not verdict.holds] == []


@torch.no_grad()
def test_a_cache_holds_the_latent_and_the_shared_key_alone():
    model = build(SPEC)
    cache = model.start({}, rows=3, capacity=7)
    model.step(cache.next(torch.full((3, 1), 4)), cache)
    assert cache.bytes == 2 * 3 * 7 * (5 + 4) * 8  # layers, rows, places, kv_rank and d_rotary, float64


@pytest.mark.parametrize("kind", catalogue.LATENTS.values(), ids=catalogue.LATENTS.keys())
@pytest.mark.parametrize("position", ["{layout: interleaved}", "none", "{scaling: {kind: yarn, factor: 4, "
                                      "original_length: 16, temperature: logits}}"])  # fmt: skip
@torch.no_grad()
def test_latents_compared_and_mixed_as_they_are_give_what_keys_and_values_give(monkeypatch, kind, position):
    """Rows padded on the left, in chunks of three tokens and of one; the first tokens are read at once."""
    attention = read(kind) | {"position": read(position)}
    model = {"tie_embeddings": "none", "d_model": 12, "max_length": 32, "bias": True, "feedforward": {"d_ff": 10}}
    model |= {"decoder": {"layers": 2, "attention": attention}}
    text = tiny(yaml.safe_dump(model, default_flow_style=True, width=10_000).strip(), "language_model")
    found, absorbed, whole = [], [], LatentAttention._absorbed
    monkeypatch.setattr(
        LatentAttention, "_absorbed", lambda own, *given: (absorbed.append(own.address), whole(own, *given))[1]
    )
    for _ in range(2):
        built = build(text)
        cache = built.start({}, rows=1, capacity=12)
        logits = [built.step(stream([[4, 5, 6, 7, 8], [9, 10]], pad=0, left=True), cache)]
        logits += [built.step(cache.next(torch.full((2, 1), token)), cache) for token in (3, 7, 5, 4)]
        found.append(torch.cat([logits[0][:, -1:], *logits[1:]], 1))
        if len(found) == 1:
            assert len(absorbed) == 2 * 4
            monkeypatch.setattr(LatentAttention, "absorbs", lambda *sizes: False)
    assert len(absorbed) == 2 * 4
    torch.testing.assert_close(found[0], found[1], rtol=1e-10, atol=1e-11)


def test_latents_are_absorbed_where_that_is_less_work_and_nothing_is_added_to_single_scores():
    attention = next(iter(build(SPEC).attentions().values()))
    assert attention.absorbs(1, 20)
    assert attention.absorbs(1, 2)
    assert not attention.absorbs(1, 1)
    assert not attention.absorbs(20, 20)
    added = next(iter(build(SPEC, "model.decoder.attention.position=alibi").attentions().values()))
    assert not added.absorbs(1, 20)


def test_the_parts_of_a_head_have_widths_of_their_own():
    attention = run_of(SPEC).model.stacks["decoder"].layers[0].attention
    assert (attention.d_head, attention.d_rotary, attention.d_value) == (12, 4, 12)
    assert attention.position.d_rotary == 4
    assert attention.score.scale == pytest.approx(16**-0.5)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("kv_heads=1", "'kv_heads' is a key of kind"),
        ("v_norm=rms_norm", "'v_norm' is a key of kind"),
        ("d_rotary=3", "turns pairs of features"),
        ("position.d_rotary=6", "wider than the part that turns, 4"),
    ],
)
def test_what_a_latent_has_no_place_for_is_refused(override, says):
    with pytest.raises(SpecError, match=says):
        run_of(SPEC, f"model.decoder.attention.{override}")


def test_others_take_no_values_of_a_latent():
    layers = "[{}, {attention: {kind: multi_head, heads: 2, value_residual: first}}]"
    with pytest.raises(SpecError, match="keeps no values"):
        run_of(SPEC, f"model.decoder.layers={layers}")
