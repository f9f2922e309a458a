"""Each law holds over a right model, and is broken by a fault that is planted for it."""

import math
from collections.abc import Callable
from importlib import import_module

import pytest
import torch
from torch import nn

from attncli.checking import laws
from attncli.checking.certificate import judged
from attncli.checking.laws import LAWS, Law, cancels
from attncli.checking.subject import Subject, subject_of
from attncli.nn import attention, cache, normalizers, positions
from attncli.nn.layers import Branch
from attncli.nn.recurrent import Decoder
from attncli.nn.view import View
from attncli.spec.load import load_text

BY_NAME = {law.name: law for law in LAWS}
STACK = "{d_model: 12, max_length: 16, layers: 1, attention: {heads: 2}}"
MODELS = {
    "seq2seq": f"{{encoder: {STACK}, decoder: {STACK}}}",
    "language_model": f"{{decoder: {STACK}}}",
    "masked_language_model": f"{{encoder: {STACK}}}",
    "classification": f"{{encoder: {STACK}}}",
    "tagging": f"{{encoder: {STACK}}}",
}
RECURRENT = (
    "{d_hidden: 6, max_length: 16, input: {d_embedding: 5}, encoder: {kind: recurrent, direction: both}, "
    "decoder: {kind: recurrent, cross_attention: {score: additive}, query: previous_state, input_feeding: context}}"
)


def subject(task: str = "seq2seq", model: str | None = None) -> Subject:
    text = f"name: x\ntask: {task}\nmodel: {model or MODELS[task]}\ntokenizer: {{kind: words, vocabulary: 17}}\n"
    return subject_of(load_text(text).run)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
@pytest.mark.parametrize("task", MODELS)
def test_a_right_model_obeys(law: Law, task: str) -> None:
    verdict = judged(law, subject(task))
    assert verdict.holds, verdict
    assert (verdict.cases > 0) == (verdict.spared is None)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_a_right_recurrent_model_obeys(law: Law) -> None:
    assert judged(law, subject(model=RECURRENT)).holds


Plant = Callable[[pytest.MonkeyPatch], None]


def sees_ahead(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(View, "triangle", lambda self, mask: False)
    patch.setattr(View, "_allowed", lambda self, mask, heads: None)


def moves_rows_wrongly(patch: pytest.MonkeyPatch) -> None:
    real = cache.KeyValue.reorder
    patch.setattr(cache.KeyValue, "reorder", lambda self, index: real(self, index.sort().values))


def mixes_up_tokens(patch: pytest.MonkeyPatch) -> None:
    real = cache.Places.next
    patch.setattr(cache.Places, "next", lambda self, values: real(self, values.flip(0)))


def reads_padding(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(View, "key_real", property(lambda self: None))


def reads_the_neighbour(patch: pytest.MonkeyPatch) -> None:
    real = View._visible

    def visible(self: View, mask: object, heads: int) -> torch.Tensor | None:
        self.packed = False
        return real(self, mask, heads)

    patch.setattr(View, "_visible", visible)


def draws(patch: pytest.MonkeyPatch) -> None:
    real = Branch.join
    patch.setattr(Branch, "join", lambda self, x, y: real(self, x, y + 1e-3 * torch.randn_like(y)))


def cuts_the_gradient(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Branch, "enter", lambda self, x: x.detach())


def keeps_a_secret(patch: pytest.MonkeyPatch) -> None:
    real = Branch.__init__

    def made(self: Branch, *given: object, **named: object) -> None:
        real(self, *given, **named)
        self.secret = torch.randn(())

    join = Branch.join
    patch.setattr(Branch, "__init__", made)
    patch.setattr(Branch, "join", lambda self, x, y: join(self, x, y * self.secret))


def mixes_wrongly(patch: pytest.MonkeyPatch) -> None:
    from attncli.nn.kernels import fused

    real = fused.attend  # a tap has `told` in its place
    patch.setattr(fused, "attend", lambda *given, **named: real(*given, **named) * 1.001)


def mixes_a_little_wrongly(patch: pytest.MonkeyPatch) -> None:
    real = attention.Attention.ready
    patch.setattr(
        attention.Attention,
        "ready",
        lambda self, asked, *given: real(self, asked._replace(query=asked.query * 1.001), *given),
    )


def ignores_the_mask(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(View, "_allowed", lambda self, mask, heads: torch.ones(1, 1, 1, 1, dtype=torch.bool))


def pulls_the_keys_too_hard(patch: pytest.MonkeyPatch) -> None:
    real = attention.Attention.read

    def read(self: attention.Attention, *given: object) -> tuple[torch.Tensor, ...]:
        key, *others = real(self, *given)
        return 1.5 * key - 0.5 * key.detach(), *others

    patch.setattr(attention.Attention, "read", read)


PLANTED: dict[str, tuple[str, str, Plant]] = {
    "mixes a little wrongly": ("oracle", "attention, row 2: it is not what", mixes_a_little_wrongly),
    "pulls the keys too hard": ("oracle", "its gradient is not the slope", pulls_the_keys_too_hard),
    "sees ahead": ("causality", "a later one", sees_ahead),
    "moves rows wrongly": ("cache", "after the rows of a beam were moved", moves_rows_wrongly),
    "mixes up the next tokens": ("cache", "", mixes_up_tokens),
    "reads padding": ("padding", "of a batch padded on the", reads_padding),
    "reads what stands in padding": ("unread", "what stands in a place of padding", reads_padding),
    "reads the neighbour in a packed row": ("packing", "packed, is not what it is alone", reads_the_neighbour),
    "draws in evaluation": ("settled", "two evaluations of one batch differ", draws),
    "cuts the gradient": ("gradient", "norm.weight gets no gradient", cuts_the_gradient),
    "keeps what no file holds": ("restored", "written and read again", keeps_a_secret),
    "mixes wrongly": ("kernel", "kernel is not the reference", mixes_wrongly),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_fault_breaks_its_law(planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, witness, plant = PLANTED[planted]
    assert judged(BY_NAME[name], subject()).holds
    plant(monkeypatch)
    verdict = judged(BY_NAME[name], subject())
    assert not verdict.holds
    assert witness in verdict.witness
    assert verdict.error > 1e-6


KERNELS = {
    "fused": ("told", "{heads: 2}"),
    "banded": ("attend", "{heads: 2, mask: window(around=1) | global(2), kernel: banded}"),
    "flex": ("attend", "{heads: 2, kernel: flex, dropout: 0}"),
    "chunked": ("attend", "{heads: 2, kernel: chunked}"),
}


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_fault_of_any_kernel_breaks_the_law_of_kernels(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function, attention = KERNELS[kernel]
    model = MODELS["tagging"].replace("{heads: 2}", attention)
    assert judged(BY_NAME["kernel"], subject("tagging", model)).holds
    module = import_module(f"attncli.nn.kernels.{kernel}")
    real = getattr(module, function)

    def wrong(*given: object, **named: object) -> object:
        made = real(*given, **named)
        return (made[0] * 1.001, *made[1:]) if isinstance(made, tuple) else made * 1.001

    monkeypatch.setattr(module, function, wrong)
    verdict = judged(BY_NAME["kernel"], subject("tagging", model))
    assert not verdict.holds
    assert f"encoder.0.attention: the {kernel} kernel is not the reference" in verdict.witness


def test_what_sleeps_at_small_weights_is_woken_by_wide_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bias that lowers every score may leave a relu nothing; what is cut off stays cut off at any weights."""
    asleep = "{heads: 2, position: kerple, normalizer: {kind: pointwise, divide_by: one}}"
    model = MODELS["seq2seq"].replace("{heads: 2}", asleep)
    assert judged(BY_NAME["gradient"], subject(model=model)).holds
    real = positions.biases.Kerple.at
    monkeypatch.setattr(positions.biases.Kerple, "at", lambda self, distance: real(self, distance).detach())
    assert "position.size gets no gradient" in judged(BY_NAME["gradient"], subject(model=model)).witness
    monkeypatch.undo()
    monkeypatch.setattr(laws, "DRAWS", laws.DRAWS[:3])
    assert "position.size gets no gradient" in judged(BY_NAME["gradient"], subject(model=model)).witness


def test_the_length_of_a_query_is_nothing_to_a_cosine() -> None:
    """But that of what is mixed is, so a norm of self-attention that gets no gradient is a fault."""
    model = MODELS["seq2seq"].replace("heads: 2", "heads: 2, score: cosine")
    scaled = subject(model=model.replace("d_model: 12", "norm: scale_norm, d_model: 12"))
    assert judged(BY_NAME["gradient"], scaled).holds
    assert cancels(scaled.model, "decoder.layers.0.cross_attention.norm.weight")
    assert not cancels(scaled.model, "decoder.layers.0.attention.norm.weight")
    biased = subject(model=model.replace("d_model: 12", "norm: scale_norm, bias: true, d_model: 12"))
    assert not cancels(biased.model, "decoder.layers.0.cross_attention.norm.weight")


def test_keys_that_tie_for_a_choice_have_no_derivative_that_parts_them() -> None:
    """Texts of few tokens, so that keys of equal ones tie for the last place."""
    chosen = "{heads: 2, position: none, select: {kind: indexer, keys: 2, heads: 2, d_head: 6}}"
    model = MODELS["language_model"].replace("{heads: 2}", chosen)
    text = f"name: x\ntask: language_model\nmodel: {model}\ntokenizer: {{kind: words, vocabulary: 7}}\n"
    for seed in range(3):
        verdict = judged(BY_NAME["oracle"], subject_of(load_text(text).run, seed=seed))
        assert verdict.holds, verdict


def test_an_indexer_chooses_from_what_the_window_of_each_head_shows() -> None:
    chosen = "{heads: 2, span: {kind: predicted, half_width: 2}, select: {kind: indexer, keys: 2, heads: 2, d_head: 6}}"
    model = MODELS["tagging"].replace("{heads: 2}", chosen)
    verdict = judged(BY_NAME["oracle"], subject("tagging", model))
    assert verdict.holds, verdict


def test_a_window_that_shows_no_key_stays_where_it_is() -> None:
    """On whichever side of the keys the padding stands."""
    chosen = "{heads: 4, d_head: 6, projections: all, normalizer: moving_window, select: {kind: top, keys: 2}}"
    trial = subject(model=RECURRENT.replace("{score: additive}", chosen))
    for law in ("oracle", "cache", "padding"):
        verdict = judged(BY_NAME[law], trial)
        assert verdict.holds, verdict


def test_a_mask_that_is_ignored_breaks_the_law_of_the_oracle(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other law can know what an encoder's mask should hide."""
    windowed = MODELS["seq2seq"].replace("{heads: 2}", "{heads: 2, mask: window(around=1)}", 1)
    assert judged(BY_NAME["oracle"], subject(model=windowed)).holds
    ignores_the_mask(monkeypatch)
    verdict = judged(BY_NAME["oracle"], subject(model=windowed))
    assert not verdict.holds
    assert "encoder.0.attention, row" in verdict.witness


def test_nan_is_no_small_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalizers.Softmax, "forward", lambda self, logits, visible: logits * math.nan)
    text = MODELS["seq2seq"].replace("{heads: 2}", "{heads: 2, kernel: reference}")
    verdict = judged(BY_NAME["kernel"], subject(model=text))
    assert not verdict.holds
    assert verdict.error == math.inf


def test_a_law_without_meaning_says_why() -> None:
    spared = {law.name: judged(law, subject(model=RECURRENT)).spared for law in LAWS}
    assert spared["packing"] == "a recurrent state runs across the borders of a packed row"
    tagger = {law.name: judged(law, subject("classification")).spared for law in LAWS}
    assert tagger["causality"] == tagger["cache"] == "the task classification writes no text"


def test_the_modules_of_the_subject_are_as_the_spec_says() -> None:
    model = subject(model=RECURRENT).model
    assert isinstance(model.stacks["decoder"], Decoder)
    assert isinstance(model, nn.Module)
    assert all(parameter.dtype == torch.float64 for parameter in model.parameters())
    assert [type(each) for each in model.attentions().values()] == [attention.Attention]
