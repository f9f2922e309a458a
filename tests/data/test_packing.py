"""Documents that share a row: each once, none too many, and the model's losses are those of separate rows."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attncli.data.batches import Batches
from attncli.data.codec import Codec
from attncli.data.packing import packs_of
from attncli.data.sources import open_splits
from attncli.errors import SpecError
from attncli.nn.model import build_model
from attncli.spec.load import load_text
from attncli.streams import IGNORE

TASKS = {
    "language_model": "decoder: {layers: 2, attention: {mask: causal & window(before=3)}}",
    "{kind: language_model, loss_on: answer}": "decoder: {layers: 2, attention: {mask: causal | prefix}}",
    "masked_language_model": "encoder: {attention: {mask: 'same(word) | random_blocks(count=1, size=2, seed=0)'}}",
    "seq2seq": "encoder: {layers: 1, attention: {position: alibi}}, decoder: {layers: 2}",
    "tagging": "encoder: {layers: 2, attention: {mask: k_length - k <= 2 | k == q}, input: {position: learned}}",
}
ROWS = ("a b c\tx y z", "b\tz", "c a b c a\tx y x y x", "a c\ty y", "c\tx", "b b a c\tz z y z", "a b\ty x") * 3


def made(folder: Path, task: str, packing: str, size: int = 4) -> Batches:
    path = folder / "rows.tsv"
    path.write_text("".join(f"{row}\n" for row in ROWS))
    first = ", fields: {text: {column: 0}}" if task in ("language_model", "masked_language_model") else ""
    text = f"""
name: packed
task: {task}
model: {{d_model: 16, max_length: 12, dropout: 0, attention: {{heads: 2}}, {TASKS[task]}}}
tokenizer: words
data: {{train: {path}, packing: {packing}{first}}}
train: {{batch: {{kind: sequences, size: {size}}}}}
"""
    run = load_text(text).run
    splits = open_splits(run, cache=folder)
    return Batches(splits.train, Codec.train(run, splits), run.train.batch, 0, cache=folder)


@pytest.mark.parametrize("task", TASKS)
@torch.no_grad()
def test_packed_rows_give_what_their_documents_give_alone(tmp_path, task):
    apart, together = made(tmp_path, task, "none", len(ROWS)), made(tmp_path, task, "documents")
    torch.manual_seed(0)
    model = build_model(together.codec.run, together.codec.sizes).double().eval()
    losses = []
    for index in range(together.per_epoch):
        batch = together.batch(0, index)
        outputs = model(batch)
        losses += [] if "masked" in task else [model.losses(batch)]  # its noise is another in every batch
        written = "target" if "target" in batch else "text"
        for row, pack in enumerate(together._packs[number] for number in together.epoch(0)[index]):
            for document, example in enumerate(pack):
                at = batch[written].documents[row] == document
                alone = apart.collate(np.array([example]))
                alone[written].values[0] = batch[written].values[row, at]  # noise and all
                torch.testing.assert_close(outputs[row, at], model(alone)[0], rtol=1e-9, atol=1e-10)
    if losses:
        expected = model.losses(apart.collate(np.arange(len(ROWS))))
        for name in ("loss", "nll", "count", "correct"):
            total = sum(getattr(one, name) for one in losses)
            torch.testing.assert_close(total, getattr(expected, name), rtol=1e-9, atol=1e-9)


def test_rows_are_full_and_hold_each_document_once(tmp_path):
    batches = made(tmp_path, "seq2seq", "documents")
    seen = sorted(example for group in batches.epoch(3) for pack in group for example in batches._packs[pack])
    assert seen == list(range(len(ROWS)))
    assert batches.padding_share(0) < 0.5 * made(tmp_path, "seq2seq", "none").padding_share(0)
    batch = batches.batch(0, 0)
    assert batch["source"].values.shape[1] <= 12
    assert batch["target"].values.shape[1] <= 12
    assert batch["source"].documents.max() > 0
    assert (batch["labels"].values[~batch["labels"].real] == IGNORE).all()
    first = batch["target"].documents[0]
    for document in range(int(first.max()) + 1):
        positions = batch["target"].positions[0][first == document].tolist()
        assert positions == list(range(len(positions))), "positions start anew"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 30)), min_size=1, max_size=60))
def test_packs_hold_what_fits(widths):
    limits = np.array([20, 30])
    packs = packs_of(np.array(widths, dtype=np.int64), limits)
    assert sorted(np.concatenate(packs).tolist()) == list(range(len(widths)))
    totals = [np.array(widths)[pack].sum(0) for pack in packs]
    assert all((total <= limits).all() for total in totals)
    assert packs_of(np.array(widths, dtype=np.int64), limits)[0].tolist() == packs[0].tolist()


def test_packing_is_quick_and_tight():
    widths = np.random.default_rng(0).geometric(0.02, size=(20_000, 1)).clip(1, 512)
    packs = packs_of(widths, np.array([512]))
    assert len(packs) <= 1.01 * -(-widths.sum() // 512)


@pytest.mark.parametrize(
    ("task", "model", "rule"),
    [
        ("classification", "encoder: {}", "classification has one label a row"),
        ("language_model", "decoder: {kind: recurrent}", "the states of 'decoder' would run from one document"),
        ("language_model", "decoder: {attention: {mask: causal & same(document)}}",
         "'same(document)' changes nothing: packing: documents holds documents apart already"),
    ],
)  # fmt: skip
def test_what_cannot_be_packed_is_refused(task, model, rule):
    with pytest.raises(SpecError, match=r"packing") as caught:
        load_text(f"name: x\ntask: {task}\nmodel: {{{model}}}\ndata: {{train: x.tsv, packing: documents}}\n")
    assert rule in str(caught.value)


STREAM = """
name: stream
task: language_model
model: {{d_model: 16, max_length: 7, attention: {{heads: 2}}, decoder: {{layers: 1}}}}
tokenizer: characters
data: {{train: {path}, packing: stream}}
train: {{batch: {{kind: sequences, size: 3}}}}
"""
CORPUS = ["ab", "b", "abcabcabcabcabcab", "", "ca", "cabbacabb", "aaa"]


def test_a_stream_runs_from_text_to_text_and_predicts_each_token_once(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("\n".join(CORPUS) + "\n")
    run = load_text(STREAM.format(path=path)).run
    splits = open_splits(run, cache=tmp_path)
    codec = Codec.train(run, splits)
    batches = Batches(splits.train, codec, run.train.batch, 0, cache=tmp_path)
    vocabulary, read, predicted = codec.vocabularies["text"], [], []
    texts = [row["text"] for row in splits.train]
    flat = [token for text in texts for token in (vocabulary.bos, *vocabulary.encode(text), vocabulary.eos)]
    for number in range(len(batches.encoded)):
        batch = batches.collate(np.array([number]))
        read += batch["text"].values[0].tolist()
        predicted += batch["labels"].values[0].tolist()
        assert batch["text"].values.shape[1] == min(7, len(flat) - 1 - 7 * number)
    assert read == flat[:-1]
    assert predicted == [IGNORE if token == vocabulary.bos else token for token in flat[1:]]
    starts = np.cumsum([0] + [len(vocabulary.encode(text)) + 2 for text in texts])
    assert batches.encoded.rows.tolist() == [
        int(np.searchsorted(starts, 7 * at, "right")) - 1 for at in range(len(batches.encoded))
    ]
    together = batches.batch(0, 0)
    assert together["text"].values.shape[0] == 3 and not together["text"].packed, "a row sees the text before"
    assert batches.padding_share(0) < 0.1


@pytest.mark.parametrize(
    ("task", "model", "says"),
    [
        ("masked_language_model", "encoder: {}", "only a language model of whole texts can read it"),
        ("{kind: language_model, loss_on: answer}", "decoder: {}", "only a language model of whole texts can read it"),
        ("language_model", "decoder: {attention: {mask: causal & same(word)}}", "'word' is of one text"),
        ("language_model", "decoder: {attention: {mask: causal & same(document)}}", "a row of a stream is one text"),
    ],
)
def test_what_no_stream_can_do_is_refused(task, model, says):
    with pytest.raises(SpecError, match=says):
        load_text(f"name: s\ntask: {task}\nmodel: {{{model}}}\ndata: {{train: x.txt, packing: stream}}\n")
