"""Batches: purity, nothing lost, what is left out, the cache of ids, and speed."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from attncli.data import encoded
from attncli.data.batches import Batches
from attncli.data.codec import Codec
from attncli.data.encoded import encode_split
from attncli.data.sources import open_splits
from attncli.errors import DataError
from attncli.spec.run import Run
from attncli.spec.training import SequenceBatch, TokenBatch
from attncli.streams import IGNORE, Batch

from .conftest import make_run

Write = Callable[[str, str | bytes], Path]
COPIES = "{kind: generated, name: copy, train: 600, valid: 50, test: 50}"


def made(run: Run, batch: TokenBatch | SequenceBatch | None = None, seed: int = 0) -> Batches:
    splits = open_splits(run)
    assert splits.train is not None
    return Batches(splits.train, Codec.train(run, splits), batch or run.train.batch, seed)


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(one[name].values, other[name].values) for name in one) and set(one) == set(other)


@pytest.mark.parametrize("batch", [TokenBatch(size=300), SequenceBatch(size=7)])
def test_every_row_is_read_once_an_epoch(batch: TokenBatch | SequenceBatch) -> None:
    batches = made(make_run("seq2seq", COPIES), batch)
    rows = list(open_splits(make_run("seq2seq", COPIES)).train or [])
    for epoch in (0, 5):
        assert len(batches.epoch(epoch)) == batches.per_epoch
        seen = []
        for index in range(batches.per_epoch):
            found = batches.batch(epoch, index)
            for ids, length in zip(found["source"].values, found["source"].lengths, strict=True):
                seen.append(batches.codec.decode("source", ids[:length].tolist()))
        assert sorted(seen) == sorted(row["source"] for row in rows)


def test_a_batch_keeps_source_and_target_together_and_the_budget() -> None:
    batches = made(make_run("seq2seq", COPIES), TokenBatch(size=300))
    for index in range(batches.per_epoch):
        batch = batches.batch(0, index)
        assert batch["source"].values.numel() + batch["target"].values.numel() <= 300
        for source, label, length in zip(
            batch["source"].values, batch["labels"].values, batch["source"].lengths, strict=True
        ):
            assert source[:length].tolist() == label[:length].tolist()
            assert (label[length:] == IGNORE).all()
    places = sum(batch[name].values.numel() for index in range(batches.per_epoch)
                 for batch in [batches.batch(0, index)] for name in ("source", "target"))  # fmt: skip
    assert batches.padding_share(0) == pytest.approx(1 - batches.encoded.widths.sum() / places)
    assert batches.padding_share(0) < 0.1


def test_batches_are_a_pure_function_of_seed_epoch_and_index() -> None:
    run = make_run("masked_language_model", "{train: x}")
    corpus = [f"{'word ' * (1 + number % 2)}{number}" for number in range(80)]
    one, other = (lm_batches(run, corpus) for _ in range(2))
    other.batch(4, 0)  # another way there
    for epoch, index in [(3, 1), (0, 0), (3, 0)]:
        assert same(one.batch(epoch, index), other.batch(epoch, index))
    assert not same(one.batch(0, 0), one.batch(1, 0))
    seeded = lm_batches(run, corpus, 1)
    assert [group.tolist() for group in one.epoch(0)] != [group.tolist() for group in seeded.epoch(0)]


def lm_batches(run: Run, corpus: list[str], seed: int = 0) -> Batches:
    from attncli.data.rows import Splits

    from .test_labels import Listed

    rows = Listed([{"text": text} for text in corpus])
    return Batches(rows, Codec.train(run, Splits(train=rows)), SequenceBatch(size=10), seed)


def test_a_language_model_predicts_every_token_once() -> None:
    corpus = ["ab" * length for length in (1, 5, 8, 20, 33)]
    batches = lm_batches(make_run("language_model", "{train: x}"), corpus)
    labels = []
    for index in range(batches.per_epoch):
        batch = batches.batch(0, index)
        assert batch["text"].values.shape[1] <= 16
        labels += batch["labels"].values[batch["labels"].values != IGNORE].tolist()
    vocabulary = batches.codec.vocabularies["text"]
    assert sorted(labels) == sorted(token for text in corpus for token in [*vocabulary.encode(text), vocabulary.eos])
    assert batches.encoded.rows.tolist() == [0, 1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 4]


@pytest.mark.parametrize("batch", [TokenBatch(size=300), SequenceBatch(size=7)])
def test_in_order_has_every_row_with_its_number(batch: TokenBatch | SequenceBatch) -> None:
    run = make_run("seq2seq", COPIES)
    batches, rows = made(run, batch), open_splits(run).train
    assert rows is not None
    seen, lengths = [], []
    for numbers, found in batches.in_order():
        assert len(numbers) <= 7 if isinstance(batch, SequenceBatch) else sum(
            found[name].values.numel() for name in ("source", "target")) <= 300  # fmt: skip
        for number, ids, length in zip(numbers, found["source"].values, found["source"].lengths, strict=True):
            assert batches.codec.decode("source", ids[:length].tolist()) == rows[int(number)]["source"]
            seen.append(int(number))
            lengths.append(int(length))
    assert sorted(seen) == list(range(600))
    assert lengths == sorted(lengths)


def long_rows(write: Write, more: str) -> Run:
    path = write("t.tsv", "ab\tab\n" + "a" * 40 + "\tb\na\tb\n")
    return make_run("seq2seq", f"{{train: '{path}'{more}}}")


def test_long_rows_are_refused_with_their_line(write: Write, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"^{tmp_path}/t.tsv:2: 'source' has 41 tokens"):
        made(long_rows(write, ""))


def test_long_rows_are_left_out_counted_and_said(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    batches = made(long_rows(write, ", on_long: skip"))
    assert (batches.encoded.long, batches.encoded.bad, batches.encoded.rows.tolist()) == (1, 0, [0, 2])
    assert "data.on_long: skip left out 1 of 3 rows" in caplog.messages
    assert len(made(long_rows(write, ", on_long: truncate")).encoded) == 3


def test_bad_rows_are_left_out_counted_and_said(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    path = write("t.tsv", "text\ttags\na b\tX Y\na b\tX\n\tX\nb\tY\n")
    with pytest.raises(DataError, match=r"t\.tsv:4: 'text' is missing"):
        made(make_run("tagging", f"{{train: '{path}'}}"))
    batches = made(make_run("tagging", f"{{train: '{path}', on_bad_row: skip}}"))
    assert (batches.encoded.bad, batches.encoded.rows.tolist()) == (2, [0, 2])
    assert "data.train: 1 bad rows were left out, 3 are used" in caplog.messages
    assert "data.on_bad_row: skip left out 1 of 3 rows" in caplog.messages


def test_nothing_left(write: Write) -> None:
    path = write("t.tsv", "a" * 40 + "\tb\n")
    run = make_run("seq2seq", f"{{train: '{path}', on_long: skip}}")
    with pytest.raises(
        DataError, match=r"no row is left of the data\nhelp: look at data\.on_long and data\.on_bad_row"
    ):
        made(run)


@pytest.mark.parametrize("task", ["seq2seq", "classification", "tagging"])
def test_ids_of_large_splits_lie_on_the_disk(task: str, write: Write, cache: Path) -> None:
    lines = {"seq2seq": "ab\tcd\n", "classification": "ab\tx\nba\ty\n", "tagging": "a b\tX Y\n"}[task]
    run = make_run(task, f"{{train: '{write('t.tsv', lines * 30)}'}}")
    splits = open_splits(run)
    codec = Codec.train(run, splits)
    assert splits.train is not None
    small = encode_split(splits.train, codec)
    large = encode_split(splits.train, codec, large=1)
    again = encode_split(splits.train, codec, large=1)
    for other in (large, again):
        assert all(isinstance(ragged.values, np.memmap) for ragged in other.fields.values())
        assert (other.rows == small.rows).all()
        assert (other.widths == small.widths).all()
        for name, ragged in small.fields.items():
            assert [other.fields[name].row(n) for n in range(len(small))] == [ragged.row(n) for n in range(len(small))]
        if small.labels is not None:
            assert other.labels is not None
            assert [other.labels.row(n) for n in range(len(small))] == [small.labels.row(n) for n in range(len(small))]
    assert len(list((cache / "tokens").iterdir())) == 1


def test_a_stored_split_is_read_again_and_a_torn_one_is_not_there(
    write: Write, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("t.tsv", "ab\tcd\n")
    run = make_run("seq2seq", f"{{train: '{path}'}}")
    splits = open_splits(run)
    assert splits.train is not None
    codec = Codec.train(run, splits)

    def fails(*args: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(encoded, "_write", fails)
        with pytest.raises(OSError, match="the disk is full"):
            encode_split(splits.train, codec, large=1)
    assert not list((cache / "tokens").iterdir())
    encode_split(splits.train, codec, large=1)
    monkeypatch.setattr(encoded, "_encode", fails)
    assert len(encode_split(splits.train, codec, large=1)) == 1


def test_it_is_fast(caplog: pytest.LogCaptureFixture) -> None:
    """Generous limits, in seconds of this process: the machine of the tests may be busy."""
    run = make_run("seq2seq", "{kind: generated, name: dates, train: 10000}")
    with caplog.at_level(logging.INFO):
        start = time.process_time()
        batches = made(run)
        assert time.process_time() - start < 4
    chosen = np.arange(256)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        batches.collate(chosen)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.002
    assert batches.padding_share(0) < 0.05
