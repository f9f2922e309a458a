"""Texts of every task become samples with maps that hold, and the texts that belong to them."""

from collections.abc import Sequence

import pytest
import torch

from attncli.data.codec import Codec
from attncli.data.rows import Row, Rows, Splits
from attncli.decoding import Hypothesis, decode
from attncli.errors import InputError
from attncli.maps.samples import Inspector
from attncli.nn.model import build_model
from attncli.nn.records import Tap
from attncli.spec.load import load_text
from attncli.spec.training import Beam
from attncli.streams import Batch
from tests.nn.models import shake

BODY = {
    "seq2seq": "{d_model: 12, max_length: 16, attention: {heads: 2}, encoder: {layers: 1}, decoder: {layers: 1}}",
    "language_model": "{d_model: 12, max_length: 8, attention: {heads: 2}, decoder: {layers: 1}}",
    "masked_language_model": "{d_model: 12, attention: {heads: 2}, encoder: {layers: 1}}",
    "classification": "{d_model: 12, attention: {heads: 2}, encoder: {layers: 1}}",
    "tagging": "{d_model: 12, attention: {heads: 2}, encoder: {layers: 1}}",
}
ROWS = {
    "seq2seq": [{"source": "abc", "target": "xyz"}],
    "language_model": [{"text": "abcxyz"}],
    "masked_language_model": [{"text": "abcxyz"}],
    "classification": [{"text": "abc", "label": "good"}, {"text": "xyz", "label": "bad"}],
    "tagging": [{"text": "abc xyz", "tags": "A B"}],
}


class Few(Rows):
    """Rows of a list."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows, self.fields, self.fingerprint = rows, tuple(rows[0]), "few"

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]

    def place(self, index: int) -> str:
        return str(index)


def inspector(task: str, *, only: str = "*") -> Inspector:
    run = load_text(f"name: t\ntask: {task}\nmodel: {BODY[task]}\ntokenizer: characters\n").run
    codec = Codec.train(run, Splits(Few(ROWS[task]), None, None))
    model = build_model(run, codec.sizes).eval()
    shake(model)
    return Inspector(run, codec, model, only)


def search_of(one: Inspector, decoding: Beam):
    vocabulary = next(iter(one.codec.vocabularies.values()))

    def search(batch: Batch, tap: Tap) -> list[list[Hypothesis]]:
        return decode(
            one.model,
            batch,
            decoding,
            bos=vocabulary.bos,
            eos=vocabulary.eos,
            pad=vocabulary.pad,
            max_length=8,
            tap=tap,
        )

    return search


@pytest.mark.parametrize("task", BODY)
def test_every_task_is_read_at_once(task: str) -> None:
    one = inspector(task)
    row = {name: text for name, text in ROWS[task][0].items() if name not in ("label", "tags")}
    sample = one.forced(row, place="--text")
    assert {attention.address for attention in sample.attentions} == set(one.model.attentions())
    assert list(sample.faults()) == []
    assert sample.decoding == "forced"
    assert {name: sample.texts[name] for name in row} == row
    expected = {"classification": {"good", "bad"}, "tagging": {"A A", "A B", "B A", "B B"}}.get(task)
    assert expected is None or sample.texts["prediction"] in expected


@pytest.mark.parametrize("task", ["seq2seq", "language_model"])
def test_what_is_forced_has_the_log_probability_of_its_tokens(task: str) -> None:
    one = inspector(task)
    sample = one.forced(ROWS[task][0], place="--text")
    batch = one.codec.collate([one.codec.encode(ROWS[task][0])])
    with torch.inference_mode():
        expected = -float(one.model.losses(batch).nll)
    assert sample.log_probability == pytest.approx(expected, rel=1e-5)
    written = sample.attentions[-1].writes
    assert written == (*(ROWS[task][0].get("target") or ROWS[task][0]["text"]), "[EOS]")


@pytest.mark.parametrize("task", ["seq2seq", "language_model"])
def test_hypotheses_are_samples_of_their_own_and_confirmed_by_a_replay(task: str) -> None:
    one = inspector(task)
    row = {"source": "cab"} if task == "seq2seq" else {"text": "ca"}
    beam = Beam(size=3, n_best=2, max_length=5)
    samples = one.generated(row, search_of(one, beam), name="beam of 3", place="--text")
    assert [sample.decoding for sample in samples] == ["beam of 3, 1 of 2", "beam of 3, 2 of 2"]
    assert samples[0].log_probability is not None
    for sample in samples:
        assert list(sample.faults()) == []
        assert sample.replay_error is not None
        assert 0 <= sample.replay_error < 1e-5
        written = [token for token in sample.attentions[-1].writes or () if token != "[EOS]"]
        assert sample.texts["prediction"] == "".join(written[0 if task == "seq2seq" else len(row["text"]) :])


def test_a_text_longer_than_the_model_is_refused() -> None:
    with pytest.raises(InputError, match=r"--text: 'text' has 10 tokens, and the model has 8 positions\nhelp: shorten"):
        inspector("language_model").forced({"text": "abcabcabc"}, place="--text")


def test_an_empty_text_without_tokens_is_refused() -> None:
    with pytest.raises(InputError, match=r"f\.txt:3: 'text' is empty, so there is nothing to look at"):
        inspector("tagging").forced({"text": ""}, place="f.txt:3")


def test_a_pattern_that_no_attention_has_is_refused_with_those_there_are() -> None:
    inspector("seq2seq", only="*.cross_attention").check()
    with pytest.raises(InputError) as caught:
        inspector("seq2seq", only="cross").check()
    assert str(caught.value) == (
        "--only cross: no attention has such an address\n"
        "help: there are encoder.0.attention, decoder.0.attention, decoder.0.cross_attention"
    )
