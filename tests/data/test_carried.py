"""What masks read of the data, from the columns of a file to the streams of a batch."""

import json
from pathlib import Path

import pytest
import torch

from attncli.data.batches import Batches
from attncli.data.codec import Codec, Fault
from attncli.data.sources import open_splits
from attncli.errors import DataError
from attncli.spec.load import load_text
from attncli.spec.run import Run
from attncli.streams import IGNORE

GRID = """
name: grid
task: {{kind: {task}}}
model: {{encoder: {{d_model: 8, layers: 1, max_length: 32, attention: {{heads: 2, mask: "{mask}"}}}}}}
tokenizer: {{kind: {tokenizer}}}
data:
  train: {path}
  fields: {{row: {{kind: integers, column: r}}, column: {{kind: integers}}, part: {{kind: integer}}}}
train: {{batch: {{kind: sequences, size: 2}}}}
"""
MASK = "neighbourhood(3) | same(word) & k != part"
TEXTS = [
    {"text": "Hello, big  world", "label": "a", "tags": "A A B", "r": [0, 0, 1], "column": "0 1 0", "part": 7},
    {"text": "x y", "label": "b", "tags": "B A", "r": [2, 3], "column": "5 6", "part": -2},
]
PROMPTS = """
name: answers
task: {{kind: language_model, loss_on: {on}}}
model: {{decoder: {{d_model: 8, layers: 1, max_length: 8, attention: {{heads: 2, mask: "{mask}"}}}}}}
tokenizer: words
data: {{train: {path}, on_long: {long}, fields: {{prompt: {{column: q}}}}}}
train: {{batch: {{kind: sequences, size: 4}}}}
"""


def grid(folder: Path, *, task: str = "classification", tokenizer: str = "characters", mask: str = MASK,
         rows: object = None) -> tuple[Run, Codec]:  # fmt: skip
    path = folder / "grid.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows or TEXTS))
    run = load_text(GRID.format(task=task, tokenizer=tokenizer, mask=mask, path=path)).run
    return run, Codec.train(run, open_splits(run, cache=folder))


def prompts(folder: Path, *, on: str = "answer", mask: str = "causal | prefix", long: str = "error") -> Batches:
    path = folder / "prompts.tsv"
    path.write_text("q\tanswer\none two\tb a\nthree\tc b a\n")
    run = load_text(PROMPTS.format(on=on, mask=mask, path=path, long=long)).run
    splits = open_splits(run, cache=folder)
    return Batches(splits.train, Codec.train(run, splits), run.train.batch, 0, cache=folder)


@pytest.mark.parametrize("tokenizer", ["characters", "words", "bytes", "{kind: bpe, vocabulary: 270}"])
def test_each_token_carries_what_its_word_does(tmp_path, tokenizer):
    tokenizer = tokenizer.removeprefix("{kind: ").removesuffix("}")
    run, codec = grid(tmp_path, tokenizer=tokenizer)
    rows = open_splits(run, cache=tmp_path).train
    batch = codec.collate([codec.encode(row) for row in rows])
    text = batch["text"]
    assert text.carried.keys() == {"row", "column", "word", "part"}
    for number, given in enumerate(TEXTS):
        words, real = given["text"].split(), text.real[number]
        pieces = [codec.decode("text", [token]).strip() for token in text.values[number][real].tolist()[1:-1]]
        numbers = text.carried["word"][number][real].tolist()
        assert numbers[0] == numbers[-1] == -1, "BOS and EOS belong to no word"
        for word, whole in enumerate(words):
            said = "".join(piece for piece, own in zip(pieces, numbers[1:-1], strict=True) if own == word)
            assert said == whole
        rows_of = [-1 if own < 0 else given["r"][own] for own in numbers]
        assert text.carried["row"][number][real].tolist() == rows_of
        assert set(text.carried["part"][number].tolist()) == {given["part"]}
    assert text.shared == {"part"}
    assert not batch["labels"].carried


def test_a_tagger_has_no_bos_and_a_masked_model_chunks(tmp_path):
    run, codec = grid(tmp_path, task="tagging", tokenizer="characters")
    example = codec.encode(dict(open_splits(run, cache=tmp_path).train[0]))
    assert example.carried["row"] == [0] * 11 + [1] * 5, "a space belongs to the word before it"
    rows = [{"text": "ab " * 30, "r": list(range(30)), "column": [0] * 30, "part": 1}]
    run, codec = grid(tmp_path, task="masked_language_model", rows=rows)
    whole = codec.encode(open_splits(run, cache=tmp_path).train[0])
    parts = codec.cut(whole)
    assert len(parts) > 1
    assert [number for part in parts for number in part.carried["row"]] == whole.carried["row"]
    noise = torch.Generator().manual_seed(0)
    batch = codec.collate(parts, noise=noise)
    assert batch["text"].carried["row"].shape == batch["text"].values.shape


def test_encoded_on_the_disk_is_encoded_in_memory(tmp_path):
    from attncli.data.encoded import encode_split

    run, codec = grid(tmp_path)
    rows = open_splits(run, cache=tmp_path).train
    memory, disk = encode_split(rows, codec, cache=tmp_path), encode_split(rows, codec, cache=tmp_path, large=1)
    assert memory.fields.keys() == disk.fields.keys() > {"carried.row", "carried.part"}
    for name, ids in memory.fields.items():
        assert [ids.row(i) for i in range(2)] == [disk.fields[name].row(i) for i in range(2)]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"r": "0 1"}, "'row' has 2 integers where 3 are due, one a word"),
        ({"r": "0 x 1"}, "'row' holds what is no integer: 0 x 1"),
        ({"part": "1 2"}, "'part' has 2 integers where 1 are due, one a row"),
        ({"r": "0 99999999999 1"}, "'row' holds what is no integer: 0 99999999999 1"),
    ],
)
def test_a_row_whose_integers_do_not_fit_is_refused(tmp_path, change, rule):
    run, codec = grid(tmp_path)
    row = {"text": TEXTS[0]["text"], "label": "a", "row": "0 0 1", "column": "0 1 0", "part": "7"}
    named = {"row" if name == "r" else name: value for name, value in change.items()}
    with pytest.raises(DataError, match=rule):
        codec.encode(row | named)
    missing = codec.encode_many([{"text": "a b"}])[0]
    assert isinstance(missing, Fault)
    assert missing.rule == "the masks of this model read 'row', which is not given"
    assert run.read_by_masks == ("column", "part", "row", "word")


def test_a_prompt_and_its_answer_are_one_text(tmp_path):
    batches = prompts(tmp_path)
    batch, vocabulary = batches.batch(0, 0), batches.codec.vocabularies["text"]
    for row, length in enumerate(batch["text"].lengths.tolist()):
        ids = batch["text"].values[row, :length].tolist()
        prefix = batch["text"].carried["prefix_length"][row].unique().item()
        labels = batch["labels"].values[row, :length].tolist()
        assert ids[0] == vocabulary.bos
        assert labels[: prefix - 1] == [IGNORE] * (prefix - 1), "what the prompt says is given"
        assert labels[prefix - 1 :] == [*ids[prefix:], vocabulary.eos], "the last token of the prompt predicts"
        assert (vocabulary.decode(ids[1:prefix]), vocabulary.decode(ids[prefix:])) in {
            ("one two", "b a"),
            ("three", "c b a"),
        }


def test_all_is_predicted_where_the_loss_is_on_all(tmp_path):
    batch = prompts(tmp_path, on="all", mask="causal").batch(0, 0)
    assert not ((batch["labels"].values == IGNORE) & batch["labels"].real).any()


def test_a_long_answer_is_never_cut_in_chunks(tmp_path):
    (tmp_path / "prompts.tsv").write_text("")
    codec = prompts(tmp_path).codec
    row = {"prompt": "one two three", "answer": "a b c a b c a b"}
    found = codec.encode_many([row])[0]
    assert isinstance(found, Fault)
    assert found.long
    truncated = Codec(prompts(tmp_path, long="truncate").codec.run, codec.vocabularies)
    example = truncated.encode(row)
    assert len(example.fields["text"]) == 7
    assert truncated.cut(example) == [example]
    assert truncated.encode_many([{"prompt": "one two three " * 5, "answer": "a"}])[0].long
