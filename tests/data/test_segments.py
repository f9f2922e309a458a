"""Texts of several columns: laid end to end with EOS between them, each token with the number of its part."""

import pytest
import torch

from attncli.data.batches import Batches
from attncli.data.codec import Codec
from attncli.data.sources import open_splits
from attncli.errors import SpecError
from attncli.nn.model import build_model
from attncli.spec.load import load_text

SPEC = """
name: pairs
task: {task}
model:
  encoder: {{d_model: 8, layers: 1, max_length: 20, attention: {{heads: 2}}, input: {{position: learned, segments: 2}}}}
tokenizer: characters
data: {{train: {path}, packing: {packing}, fields: {{text: {{column: [premise, hypothesis]}}}}}}
train: {{batch: {{kind: sequences, size: 2}}}}
"""
ROWS = "premise\thypothesis\tlabel\nab\tcab\tyes\nb\ta\tno\nabc\tb\tyes\n"


def made(folder, task="classification", packing="none"):
    path = folder / "pairs.tsv"
    path.write_text(ROWS if task == "classification" else ROWS.replace("label", "other"))
    run = load_text(SPEC.format(task=task, path=path, packing=packing)).run
    splits = open_splits(run, cache=folder)
    codec = Codec.train(run, splits)
    return codec, Batches(splits.train, codec, run.train.batch, 0, cache=folder)


def test_each_token_carries_the_number_of_its_part(tmp_path):
    codec, batches = made(tmp_path)
    vocabulary, text = codec.vocabularies["text"], batches.collate([0, 1])["text"]
    ab, cab = vocabulary.encode("ab"), vocabulary.encode("cab")
    assert text.values[0].tolist() == [vocabulary.bos, *ab, vocabulary.eos, *cab, vocabulary.eos]
    assert text.carried["segment"][0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert text.carried["segment"][1].tolist() == [0, 0, 0, 1, 1, -1, -1, -1]
    asked = codec.encode({"text": "ab\tcab"})
    assert asked.fields["text"] == codec.encode({"text": "ab", "text 1": "cab"}).fields["text"], "as predict is asked"
    assert codec.encode({"text": "ab"}).carried["segment"] == [0, 0]


def test_packed_texts_keep_their_parts(tmp_path):
    codec, together = made(tmp_path, "masked_language_model", "documents")
    text, texts = together.batch(0, 0)["text"], 0
    assert text.packed
    for row in range(len(text.values)):
        for document in range(int(text.documents[row].max()) + 1):
            places = text.documents[row] == document
            ends = (text.values[row, places] == codec.vocabularies["text"].eos).int()  # noise leaves these as they are
            assert text.carried["segment"][row, places].tolist() == (ends.cumsum(0) - ends).tolist()
            assert ends.sum() == 2
            texts += 1
    assert texts == 3


@torch.no_grad()
def test_the_vector_of_its_part_is_added_to_each_token(tmp_path):
    codec, batches = made(tmp_path)
    model = build_model(codec.run, codec.sizes).double().eval()
    given, layer = batches.collate([0, 2])["text"], model.encoder.input
    table, place = layer.embedding.weight, torch.arange(given.values.shape[1])
    expected = table[given.values] + layer.segments.weight[given.carried["segment"].clamp(min=0)]
    torch.testing.assert_close(layer(given, place.unsqueeze(0)), expected + layer.position.table.weight[place])
    assert layer.segments.weight.abs().min() > 0


MODEL = "encoder: {input: {segments: 2}}"
COLUMNS = "data: {train: x.tsv, fields: {text: {column: [a, b, c]}}}"
REFUSED = {
    "writer": ("language_model", "decoder: {input: {segments: 2}}", "", "no segment would differ"),
    "one": ("{kind: tagging, tags: 3}", "encoder: {input: {segments: 1}}", "", "segments: expected an integer of 2"),
    "more": ("{kind: classification, classes: 2}", MODEL, COLUMNS, "a text has 3 parts, and the input vectors for 2"),
    "tags": ("{kind: tagging, tags: 3}", "encoder: {}", COLUMNS, "read as a whole has several parts"),
    "words": (
        "{kind: classification, classes: 2}",
        "encoder: {attention: {mask: same(word)}}",
        COLUMNS,
        "reads 'word'",
    ),
}


@pytest.mark.parametrize(("task", "model", "data", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_has_no_meaning_is_refused(task, model, data, says):
    with pytest.raises(SpecError, match=says):
        load_text(f"name: s\ntask: {task}\nmodel: {{{model}}}\n{data}\n")
