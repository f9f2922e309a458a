"""The film of heads: planted heads are named, the run that is watched is the run, resume goes on with the film."""

import json
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from attncli.cli import commands
from attncli.nn.model import Model
from attncli.training.film import STEADY, Film
from attncli.training.steps import Stepper
from tests.training.made import CPU, Pairs, model_of, run_of, weights_of


def film_of(model: Model, folder: Path, step: int = 0) -> Film:
    return Film(folder, model, Pairs().batch(0, 0), step=step)


def planted() -> Model:
    """Heads 0 and 1 of the decoder's self-attention are one, head 1 of the cross attention adds nothing, head 0 of the
    encoder looks at all keys alike and head 1 at one."""
    model = model_of(run_of("model.attention.heads=2"))
    encoder, own, cross = model.attentions().values()
    with torch.no_grad():
        encoder.query.weight[:8] = 0
        encoder.query.weight[8:] *= 100
        encoder.key.weight[8:] *= 100
        for each in (own.query, own.key):
            each.weight[8:] = each.weight[:8]
        cross.output.weight[:, 8:] = 0
    return model


def test_planted_heads_are_named_after_some_looks(tmp_path: Path) -> None:
    film = film_of(planted(), tmp_path)
    lines = [film.look(step) for step in range(1, STEADY + 1)]
    assert lines[0]["alerts"] == []
    assert set(lines[-1]["alerts"]) == set(film.news())
    said = "\n".join(film.news())
    assert "encoder.0.attention:0 looks at all keys alike (uniform)" in said
    assert "encoder.0.attention:1 looks at one key alone (collapsed)" in said
    assert "decoder.0.attention:0 does what another head does (duplicated)" in said
    assert "decoder.0.attention:1 does what another head does (duplicated)" in said
    assert "decoder.0.cross_attention:1 adds nothing (dead)" in said
    assert len(film.news()) == 5
    film.look(STEADY + 1)
    assert film.news() == []  # said once
    written = (tmp_path / "heads.jsonl").read_text().splitlines()
    assert json.loads(written[0])["heads"]["decoder.0.cross_attention"]["output"] == [1.0, 0.0]
    film.close()


def test_statistics_are_those_of_the_maps(tmp_path: Path) -> None:
    """Entropy and peak of rows, against the weights that a tap is shown, row by row."""
    model = model_of(run_of()).eval()
    film = film_of(model, tmp_path)
    found = film.look(1)["heads"]["encoder.0.attention"]
    film.close()
    records = []
    with torch.no_grad():
        model(film.batch, records.append)
    record = next(each for each in records if each.address == "encoder.0.attention")
    weights, real = record.attention.weights(record), film.batch["source"].real
    for head in range(2):
        entropies, peaks = [], []
        for row, length in enumerate(film.batch["source"].lengths.tolist()):
            for query in torch.nonzero(real[row]).flatten().tolist():
                w = weights[row, head, query, :length].double()
                peaks.append(float(w.max()))
                if length > 1:
                    entropies.append(float(-(w * w.log()).sum() / torch.tensor(float(length)).log()))
        assert found["entropy"][head] == pytest.approx(sum(entropies) / len(entropies), abs=1e-4)
        assert found["peak"][head] == pytest.approx(sum(peaks) / len(peaks), abs=1e-4)


SPEC = """
name: tiny
task: seq2seq
model: {d_model: 16, max_length: 16, attention: {heads: 2}, encoder: {layers: 1}, decoder: {layers: 1}, dropout: 0.1}
tokenizer: characters
data: {train: pairs.tsv}
train: {duration: 12, batch: {kind: sequences, size: 2}, checkpoints: {every: 4}}
"""


def train(folder: Path, *words: str) -> Path:
    (folder / "pairs.tsv").write_text("source\ttarget\nabc\tyz\ncab\tzy\nbca\tyy\n")
    (folder / "tiny.yaml").write_text(SPEC)
    run = folder / ("watched" if any("watch" in word for word in words) else "plain")
    words = ("train", str(folder / "tiny.yaml"), "--run", str(run), "--device", "cpu", "-q", *words)
    done = CliRunner().invoke(commands, words)
    assert done.exit_code == 0, done.output
    return run


def test_the_run_that_is_watched_is_the_run_and_resume_goes_on_with_the_film(tmp_path: Path) -> None:
    every = ("-o", "train.watch={every: 3}")
    plain = train(tmp_path)
    watched = train(tmp_path, *every, "--steps", "7")
    assert [json.loads(line)["step"] for line in (watched / "heads.jsonl").read_text().splitlines()] == [3, 6]
    before = (watched / "heads.jsonl").read_text()
    torn = before + before.splitlines()[-1].replace('"step": 6', '"step": 9') + "\n"
    (watched / "heads.jsonl").write_text(torn)  # a look behind the checkpoint, as a killed run leaves it
    train(tmp_path, *every, "--resume")
    lines = [json.loads(line) for line in (watched / "heads.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 6, 9, 12]
    assert lines[2]["heads"] != lines[1]["heads"]
    assert (watched / "heads.jsonl").read_text().startswith(before)
    assert weights_of(watched, 12) == weights_of(plain, 12)
    events = b"".join(file.read_bytes() for file in (watched / "tensorboard").iterdir())
    assert events.count(b"heads/decoder.0.cross_attention/entropy/1") == 4


def test_a_look_takes_little_of_a_step(tmp_path: Path) -> None:
    """One look every hundred steps, both timed in turn in one process: below 2 %, with much room."""
    run = run_of("model.d_model=64", "model.attention.heads=4")
    model, batch = model_of(run), Pairs(rows=128).batch(0, 0)
    stepper, film = Stepper(model, run.train, CPU), Film(tmp_path, model, batch, step=0)
    shares = []
    for turn in range(6):
        start = time.perf_counter()
        stepper.gradients(batch)
        stepper.update(1e-4, turn + 1)
        middle = time.perf_counter()
        film.look(turn)
        shares.append((time.perf_counter() - middle) / (middle - start))
    film.close()
    assert sorted(shares)[2] / 100 < 0.02


def test_the_key_is_read() -> None:
    watched = run_of("train.watch.every=5").train.watch
    assert watched is not None
    assert watched.every == 5
    assert run_of().train.watch is None


def test_a_model_without_attention_has_no_head_to_watch() -> None:
    from attncli.errors import SpecError
    from attncli.spec.load import load_text

    text = "name: a\ntask: tagging\nmodel: {encoder: {kind: recurrent}}\ntrain: {watch: {every: 5}}\n"
    with pytest.raises(SpecError, match="watch: this model has no attention, so there is no head to watch"):
        load_text(text)
