"""A memory of past segments: rows go on in the next batch, a stopped run recalls it, losses are of whole texts."""

import random
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from attncli.cli import commands
from attncli.data.batches import Batches
from attncli.data.codec import Codec
from attncli.data.plan import ColumnPlan
from attncli.data.sources import open_splits
from attncli.evaluation.segments import by_segment
from attncli.spec.load import load_spec
from attncli.streams import stream
from attncli.training.folder import RunFolder
from attncli.training.journal import METRICS, read_lines
from tests.nn.models import build
from tests.training.made import weights_of

SPEC = """
name: xl
task: language_model
model: {decoder: {d_model: 8, layers: 2, max_length: 6, segment_memory: 7, attention: {heads: 2}, dropout: 0.1}}
tokenizer: characters
data: {train: t.txt, valid: v.txt, packing: stream}
train: {duration: 9, batch: {kind: sequences, size: 4, accumulate: 2}, checkpoints: {every: 4, keep_last: 9}}
evaluate: {every: 9}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    draw = random.Random(0)
    for name, lines in (("t.txt", 14), ("v.txt", 5)):
        texts = ("".join(draw.choice("abcd") for _ in range(draw.randint(3, 15))) for _ in range(lines))
        (tmp_path / name).write_text("\n".join(texts))
    file = tmp_path / "xl.yaml"
    file.write_text(SPEC)
    return file


def train(spec: Path, folder: Path, *words: str) -> None:
    arguments = ["train", str(spec), "--run", str(folder), "--device", "cpu", "--threads", "1", *words]
    done = CliRunner().invoke(commands, arguments)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(("count", "rows"), [(11, 4), (12, 4), (3, 5), (1, 1)])
def test_rows_of_a_batch_go_on_in_the_next_and_every_example_stands_once(count: int, rows: int) -> None:
    plan = ColumnPlan(count, rows)
    groups = plan.groups(None)
    assert len(groups) == plan.steps == -(-count // rows)
    assert sorted(number for group in groups for number in group) == list(range(count))
    for group, after in pairwise(groups):
        assert (after == group[: len(after)] + 1).all()


def test_the_rows_of_the_data_are_one_text_over_the_batches(spec: Path) -> None:
    run = load_spec(spec).run
    splits = open_splits(run)
    codec = Codec.train(run, splits)
    batches = Batches(splits.train, codec, run.train.batch, run.seed)
    first, second = (batches.batch(0, index) for index in (0, 1))
    assert (first["labels"].values[: len(second["text"].values), -1] == second["text"].values[:, 0]).all()


def test_a_stopped_run_recalls_what_one_that_nobody_stopped_does(spec: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(spec, whole)
    train(spec, parts, "--steps", "6")  # amid an epoch of 7 batches
    train(spec, parts, "--resume")
    files = weights_of(whole, 9)
    assert set(files) == {"model.safetensors", "optimizer.safetensors", "memory.safetensors"}
    assert files == weights_of(parts, 9) and (whole / METRICS).read_bytes() == (parts / METRICS).read_bytes()
    other = spec.read_text().replace("segment_memory: 7, ", "")
    spec.write_text(other)
    train(spec, tmp_path / "none")
    assert weights_of(tmp_path / "none", 9)["model.safetensors"] != files["model.safetensors"]
    (scores,) = [line for line in read_lines(whole / METRICS) if line["split"] == "valid"]
    assert scores["loss"] == pytest.approx(_loss_of_columns(whole), rel=1e-5)


def _loss_of_columns(folder: Path) -> float:
    """The mean loss of the validation data, column by column, each as one long text."""
    found = RunFolder(folder)
    run, codec, model = found.run(), found.codec(), found.model("last")
    valid = open_splits(run).valid
    assert valid is not None
    batches = Batches(valid, codec, run.train.batch, run.seed)
    loss = count = 0.0
    rows = [batches.collate(group) for group in batches.epoch(0)]
    for row in range(len(rows[0]["text"].values)):
        parts = [batch for batch in rows if row < len(batch["text"].values)]
        texts = {
            name: [t for batch in parts for t in batch[name].values[row][batch[name].documents[row] >= 0].tolist()]
            for name in ("text", "labels")
        }
        joined = {"text": stream([texts["text"]], pad=0), "labels": stream([texts["labels"]], pad=-100)}
        with torch.no_grad():
            for losses in by_segment(model, joined):
                loss, count = loss + float(losses.loss), count + float(losses.count)
    return loss / count


def test_losses_by_segment_are_those_of_whole_texts_under_the_mask() -> None:
    head = "name: x\ntask: language_model\ntokenizer: {kind: words, vocabulary: 17}\nmodel: {decoder: {d_model: 8, "
    rest = "layers: 2, attention: {heads: 2"
    model = build(f"{head}max_length: 3, segment_memory: 4, {rest}}}}}}}")
    whole = build(f'{head}max_length: 32, {rest}, mask: "causal & q // 3 * 3 - 4 <= k"}}}}}}')
    whole.load_state_dict(model.state_dict())
    texts = [[2, 5, 6, 7, 8, 9, 10, 4], [2, 11, 3], [2, 5, 7, 6, 12, 4, 4, 3, 9, 9, 8]]
    batch = {"text": stream(texts, pad=0), "labels": stream([[*text[1:], 3] for text in texts], pad=-100)}
    with torch.no_grad():
        parts, expected = list(by_segment(model, batch)), whole.losses(batch)
        assert len(parts) == 4 and len(list(by_segment(whole, batch))) == 1
    assert sum(int(part.count) for part in parts) == int(expected.count)
    assert float(sum(part.loss for part in parts)) == pytest.approx(float(expected.loss), abs=1e-10)
