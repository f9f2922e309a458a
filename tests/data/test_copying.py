"""Words that the vocabulary lacks have ids of their own in a row, and come back as they were."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from attncli.data.codec import Codec
from attncli.data.copying import decode, extended
from attncli.data.sources import open_splits
from attncli.nn.model import build_model
from attncli.spec.load import load_text

Write = Callable[[str, str | bytes], Path]
BODY = """
name: copies
task: {kind: seq2seq, label_smoothing: 0, output: pointer_generator}
model: {d_hidden: 8, max_length: 16, encoder: {kind: recurrent}, decoder: {kind: recurrent}}
tokenizer: KIND
"""


def made(write: Write, kind: str = "{kind: words, vocabulary: 8}") -> Codec:
    """Of these texts the vocabulary holds `the`, with and without a space before it, and one more."""
    path = write("t.tsv", "source\ttarget\nthe cat met the dog\tthe dog met the cat\nthe the the\tthe the\n")
    run = load_text(f"{BODY.replace('KIND', kind)}data: {{train: '{path}'}}\n").run
    return Codec.train(run, open_splits(run))


def test_a_word_of_the_source_has_one_id_in_both_texts_and_a_word_of_the_target_alone_has_none(write: Write) -> None:
    vocabulary = made(write).vocabularies["source"]
    source, target = extended(vocabulary, "the zebra met the gnu, the zebra", "the gnu saw the zebra")
    size = vocabulary.size
    own = [token for token in source if token >= size]
    assert own[0] == size
    assert source[1] == source[-1] == size, "the same word, the same id"
    assert [token >= size for token in target].count(True) == 2
    assert target[1] in source
    assert target[-1] == source[1]
    assert vocabulary.unk in target, "`saw` is in no source"


@pytest.mark.parametrize("text", ["the zebra met the gnu", "zebra", "the", "gnu gnu the zebra"])
def test_what_is_copied_comes_back(write: Write, text: str) -> None:
    vocabulary = made(write).vocabularies["source"]
    _, target = extended(vocabulary, "a zebra, the gnu met " + text, text)
    assert decode(vocabulary, target, "a zebra, the gnu met " + text) == text
    assert "[UNK]" in decode(vocabulary, [vocabulary.unk, *target], text)


def test_batches_carry_the_ids_to_the_model_and_answers_the_words(write: Write) -> None:
    codec = made(write)
    row = {"source": "the zebra met the gnu", "target": "the gnu"}
    batch = codec.collate([codec.encode(row)])
    assert batch["labels"].values.max() >= codec.vocabularies["source"].size
    torch.manual_seed(0)
    model = build_model(codec.run, codec.sizes)
    losses = model.losses(batch)
    assert losses.loss.isfinite()
    ids = codec.encode(row).fields["target"]
    assert codec.decode("target", ids, row["source"]) == "the gnu"
    assert [piece.strip("␣") for piece in codec.pieces("target", ids, row["source"])] == ["the", "gnu"]


def test_pieces_of_words_need_no_ids_beyond_the_vocabulary(write: Write) -> None:
    codec = made(write, "characters")
    assert not codec.copies
    batch = codec.collate([codec.encode({"source": "the cat", "target": "cat"})])
    assert batch["source"].values.max() < codec.vocabularies["source"].size
    assert build_model(codec.run, codec.sizes).losses(batch).loss.isfinite()
