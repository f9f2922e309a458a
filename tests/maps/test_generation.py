"""The law of stitching: a text that was searched for has the maps that it has when it is read at once."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
import torch

from attncli.decoding import decode
from attncli.errors import WorkError
from attncli.maps.budget import Budget
from attncli.maps.generation import Written, capture_generated, replay_error
from attncli.maps.steps import Steps
from attncli.maps.taking import Plan
from attncli.nn.model import Model
from attncli.spec.training import Beam, Decoding, Greedy, Sample
from attncli.streams import Batch, stream
from tests import catalogue
from tests.nn import models

TEXTS = models.writers()
BEAM = Beam(size=3, n_best=3, max_length=7)
WRITERS = [
    "position rotary", "position alibi", "position t5", "heads grouped", "normalizer sparsemax", "input learned",
    "mask causal & window(before=2)", "mask k < q", "score additive", "recurrent encoder", "recurrent Luong gru",
    "recurrent Luong, feeding lstm", "recurrent Bahdanau gru", "recurrent article gru", "recurrent heads",
]  # fmt: skip


def pieces(field: str, ids: Sequence[int]) -> list[str]:
    return [f"{field[0]}{token}" for token in ids]


def generated(model: Model, batch: Batch, decoding: Decoding, plan: Plan | None = None) -> list[list[Written]]:
    search = partial(decode, model, batch, decoding, bos=2, eos=3, pad=0, max_length=32)
    return capture_generated(model, batch, pieces, lambda tap: search(tap=tap), bos=2, eos=3, plan=plan)


def sources() -> Batch:
    return {"source": models.batch()["source"]}


def language_model() -> Model:
    text = models.tiny("{decoder: {d_model: 12, layers: 2}, attention: {heads: 2}}", "language_model")
    return models.build(text)


@pytest.mark.parametrize("name", WRITERS)
def test_a_beam_is_stitched_to_what_a_replay_shows(name: str) -> None:
    model, batch = models.build(TEXTS[name]), sources()
    found = generated(model, batch, BEAM)
    assert [len(hypotheses) for hypotheses in found] == [3] * len(batch["source"].values)
    for row, hypotheses in enumerate(found):
        for written in hypotheses:
            assert replay_error(model, batch, row, written) < 1e-5
            assert {one.address for one in written.maps} == set(model.attentions())
            assert all(one.certificate.holds for one in written.maps)


KINDS = catalogue.KINDS | catalogue.LATENTS | catalogue.RUNNING
KINDS |= {"second": "{heads: 2, second_projections: q % 2 == 1}"}
KINDS = {name: kind for name, kind in KINDS.items() if "no maps" not in name}  # heads of 3, which nothing turns


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_a_beam_of_every_kind_of_attention_is_stitched_to_a_replay(kind: str) -> None:
    """Sums that run over the keys keep those beside them for this; weights may all be below 0."""
    model = models.build(models.tiny(
        "{d_model: 12, max_length: 32, tie_embeddings: none, feedforward: {d_ff: 10}, encoder: {layers: 1}, "
        f"decoder: {{layers: 2, attention: {kind}}}}}"
    ))  # fmt: skip
    batch = sources()
    for row, hypotheses in enumerate(generated(model, batch, BEAM)):
        for written in hypotheses:
            assert replay_error(model, batch, row, written) < 1e-5
            assert all(one.certificate.holds for one in written.maps)


def test_beams_of_the_test_are_reordered_and_leave_the_batch_at_unlike_times() -> None:
    """The test above would prove little if they were not."""
    found = generated(models.build(TEXTS["position rotary"]), sources(), BEAM)
    rows = [written.text.hypothesis.rows for hypotheses in found for written in hypotheses]
    assert any(len(set(one)) > 1 for one in rows)


@pytest.mark.parametrize("decoding", [Greedy(max_length=6), Sample(max_length=6), BEAM], ids=lambda one: one.kind)
def test_prompts_of_unlike_lengths_are_continued_without_their_padding(decoding: Decoding) -> None:
    model, batch = language_model(), {"text": stream([[2, 5, 6, 7], [2, 8], [2, 9, 10, 11, 12]], pad=0)}
    for row, hypotheses in enumerate(generated(model, batch, decoding)):
        for written in hypotheses:
            prompt = batch["text"].values[row][batch["text"].real[row]].tolist()
            read = [*prompt, *written.text.written[:-1]]
            assert replay_error(model, batch, row, written) < 1e-5
            for one in written.maps:
                assert one.queries == one.keys == tuple(pieces("text", read))
                assert one.writes == tuple(pieces("text", [*prompt[1:], *written.text.written]))
                assert one.steps == (0,) * len(prompt) + tuple(range(1, len(written.text.written)))
                assert not np.triu(one.weights, 1).any()


@pytest.mark.parametrize("decoding", [Greedy(max_length=5), Sample(max_length=5)], ids=lambda one: one.kind)
@pytest.mark.parametrize("name", ["position rotary", "recurrent Bahdanau gru"])
def test_other_searches_are_stitched_too(name: str, decoding: Decoding) -> None:
    model, batch = models.build(TEXTS[name]), sources()
    for row, (written,) in enumerate(generated(model, batch, decoding)):
        assert replay_error(model, batch, row, written) < 1e-5
        cross = written.maps[-1]
        assert cross.queries == tuple(pieces("target", [2, *written.text.written[:-1]]))
        assert cross.writes == tuple(pieces("target", written.text.written))
        assert cross.keys == tuple(pieces("source", models.SOURCES[row]))


def test_a_replay_finds_a_row_that_was_stitched_from_the_wrong_beam() -> None:
    model, batch = models.build(TEXTS["position rotary"]), sources()
    written = generated(model, batch, BEAM)[1][0]
    cross = written.maps[-1]
    wrong = cross.weights.copy()
    wrong[:, -1] = np.roll(wrong[:, -1], 1, axis=-1)
    spoilt = type(cross)(**{**vars(cross), "weights": wrong})
    assert replay_error(model, batch, 1, Written(written.text, (*written.maps[:-1], spoilt), written.rows)) > 1e-3


def test_maps_of_the_source_are_the_sentence_s_own() -> None:
    model, batch = models.build(TEXTS["position rotary"]), sources()
    together = generated(model, batch, BEAM)[2][0].maps[0]
    alone = generated(model, {"source": batch["source"].select(torch.tensor([2]))}, BEAM)[0][0].maps[0]
    assert together.queries == alone.queries == tuple(pieces("source", models.SOURCES[2]))
    np.testing.assert_allclose(together.weights, alone.weights, atol=1e-6)


@pytest.mark.parametrize("name", ["position rotary", "recurrent Bahdanau gru"])
def test_branches_that_were_given_up_are_stitched_to_what_their_replay_shows(name: str) -> None:
    model, batch = models.build(TEXTS[name]), sources()
    search = partial(decode, model, batch, BEAM, bos=2, eos=3, pad=0, max_length=32, pruned=True)
    found = capture_generated(model, batch, pieces, lambda tap: search(tap=tap), bos=2, eos=3)
    plain = generated(model, batch, BEAM)
    for row, hypotheses in enumerate(found):
        kept = [one.text.hypothesis for one in hypotheses if not one.text.hypothesis.pruned]
        lost = [one for one in hypotheses if one.text.hypothesis.pruned]
        assert kept == [one.text.hypothesis for one in plain[row]]
        texts = [tuple(one.text.written) for one in hypotheses]
        assert len(set(texts)) == len(texts) > 3  # no text is told twice
        for one in lost:
            assert replay_error(model, batch, row, one) < 1e-5
            written = one.text.hypothesis
            again = log_probability_of(model, batch, row, one.text.written)
            assert written.log_probability == pytest.approx(again, abs=1e-5)


def log_probability_of(model: Model, batch: Batch, row: int, tokens: list[int]) -> float:
    """Of a text read at once; PAD and BOS are never written, which leaves the others' probabilities as they are."""
    one = {"source": batch["source"].select(torch.tensor([row])), "target": stream([[2, *tokens[:-1]]], pad=0)}
    with torch.no_grad():
        logs = model(one)[0].log_softmax(-1)
    return float(logs[torch.arange(len(tokens)), torch.tensor(tokens)].sum())


class Tight(Budget):
    """A budget in which nothing is kept whole, and blocks have few rows."""

    block = 60

    def grant(self, size: int) -> bool:
        return False


@pytest.mark.parametrize("name", [
    "mask causal & window(before=2)", "recurrent Bahdanau gru",
])  # fmt: skip
def test_generation_beyond_the_budget_gives_the_summaries_and_the_proofs_of_whole_maps(name: str) -> None:
    model, batch = models.build(TEXTS[name]), {"source": models.batch(0, 1)["source"]}
    whole, reduced = generated(model, batch, BEAM), generated(model, batch, BEAM, Plan(Tight(400)))
    for row, (first, second) in enumerate(zip(whole, reduced, strict=True)):
        for one, other in zip(first, second, strict=True):
            assert replay_error(model, batch, row, other, block=60) < 1e-5
            for a, b in zip(one.maps, other.maps, strict=True):
                assert (a.address, a.queries, a.keys, a.writes, a.steps) == (
                    b.address, b.queries, b.keys, b.writes, b.steps
                )  # fmt: skip
                assert a.weights is not None and b.weights is None
                assert a.certificate.holds and b.certificate.holds
                assert a.certificate.empty_rows == b.certificate.empty_rows
                for statistic, values in a.summary.statistics.items():
                    np.testing.assert_allclose(b.summary.statistics[statistic], values, atol=3e-6, err_msg=statistic)
                np.testing.assert_allclose(b.summary.overview.largest, a.summary.overview.largest, atol=1e-6)
                np.testing.assert_allclose(b.summary.top_weights, a.summary.top_weights, atol=1e-6)


def test_prompts_of_unlike_lengths_beyond_the_budget_are_continued_without_their_padding() -> None:
    model, batch = language_model(), {"text": stream([[2, 5, 6, 7], [2, 8], [2, 9, 10, 11, 12]], pad=0)}
    whole, reduced = generated(model, batch, BEAM), generated(model, batch, BEAM, Plan(Tight(400)))
    for row, (first, second) in enumerate(zip(whole, reduced, strict=True)):
        for one, other in zip(first, second, strict=True):
            assert replay_error(model, batch, row, other, block=60) < 1e-5
            for a, b in zip(one.maps, other.maps, strict=True):
                np.testing.assert_allclose(b.summary.top_weights, a.summary.top_weights, atol=1e-6)


def test_rows_of_steps_wait_in_a_file_once_the_room_in_memory_is_used_up() -> None:
    model, batch = models.build(TEXTS["position rotary"]), sources()
    tight, roomy = Steps(room=400, block=60), Steps(room=10**7, block=60)
    for steps in (tight, roomy):
        decode(model, batch, BEAM, bos=2, eos=3, pad=0, max_length=32, tap=steps)
    assert tight._file._rolled and not roomy._file._rolled
    for address, pieces_ in tight.pieces.items():
        for piece, other in zip(pieces_, roomy.pieces[address], strict=True):
            (one, asked), (two, also) = tight.rows(piece, 1), roomy.rows(other, 1)
            assert torch.equal(one.weights, two.weights) and torch.equal(asked, also)
            assert not one.weights.requires_grad


def test_a_file_that_cannot_be_written_is_said_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(room=400, block=60)
    monkeypatch.setattr(steps, "_file", Full())
    with pytest.raises(WorkError, match=r"beyond the budget.*No space left") as caught:
        decode(models.build(TEXTS["position rotary"]), sources(), BEAM, bos=2, eos=3, pad=0, max_length=32, tap=steps)
    assert "help: write less, narrow --only" in str(caught.value)


class Full:
    """A disk without room."""

    def seek(self, place: int) -> None: ...

    def write(self, content: bytes) -> int:
        raise OSError(28, "No space left on device")


def test_a_replay_finds_a_wrong_row_that_waits_in_the_file() -> None:
    model, batch = models.build(TEXTS["position rotary"]), sources()
    written = generated(model, batch, BEAM, Plan(Tight(400)))[1][0]
    rows = written.rows["decoder.1.cross_attention"]
    piece, row = rows.found[-1]
    rows.found[-1] = (piece, row - 1)
    assert replay_error(model, batch, 1, written) > 1e-3
