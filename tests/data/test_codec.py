"""From rows to batches, task by task; vocabularies, labels, lengths, and the files of a run."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attncli.data.codec import Codec, Example
from attncli.data.sources import open_splits
from attncli.errors import DataError, InputError, RunError
from attncli.nn.model import build_model, token_fields
from attncli.spec.run import Run
from attncli.streams import IGNORE, Batch

from .conftest import make_run

Write = Callable[[str, str | bytes], Path]
PAD, UNK, BOS, EOS, MASK = range(5)

TABLES = {
    "seq2seq": "source\ttarget\nab\tba\nabc\tcba\n",
    "language_model": "abc\nab\n",
    "masked_language_model": "abc abc\nab\n",
    "classification": "text\tlabel\nab\tgood\nba\tbad\n",
    "tagging": "text\ttags\nab c\tB O\nc\tO\n",
}


def trained(task: str, write: Write, *, more: str = "", kind: str = "", **options: object) -> tuple[Run, Codec]:
    name = "t.txt" if task.endswith("language_model") else "t.tsv"
    run = make_run(kind or task, f"{{train: '{write(name, TABLES[task])}'{more}}}", **options) if not kind else None
    assert run is not None
    return run, Codec.train(run, open_splits(run))


def ids(codec: Codec, text: str, field: str = "text") -> list[int]:
    return codec.vocabularies[field].encode(text)


def values(batch: Batch, name: str) -> list[list[int]]:
    return batch[name].values.tolist()


def test_seq2seq(write: Write) -> None:
    _, codec = trained("seq2seq", write)
    ab, abc = ids(codec, "ab", "source"), ids(codec, "abc", "source")
    batch = codec.collate(
        [codec.encode({"source": "ab", "target": "abc"}), codec.encode({"source": "abc", "target": "ab"})]
    )
    assert values(batch, "source") == [[*ab, EOS, PAD], [*abc, EOS]]
    assert values(batch, "target") == [[BOS, *abc], [BOS, *ab, PAD]]
    assert values(batch, "labels") == [[*abc, EOS], [*ab, EOS, IGNORE]]
    assert batch["labels"].lengths.tolist() == batch["target"].lengths.tolist() == [4, 3]
    assert set(codec.collate([codec.encode({"source": "ab"})])) == {"source"}


def test_language_model(write: Write) -> None:
    _, codec = trained("language_model", write)
    batch = codec.collate([codec.encode({"text": "ab"}), codec.encode({"text": "abc"})])
    assert values(batch, "text") == [[BOS, *ids(codec, "ab"), PAD], [BOS, *ids(codec, "abc")]]
    assert values(batch, "labels") == [[*ids(codec, "ab"), EOS, IGNORE], [*ids(codec, "abc"), EOS]]


def test_masked_language_model(write: Write) -> None:
    _, codec = trained("masked_language_model", write)
    example = codec.encode({"text": "abc"})
    whole = codec.collate([example])
    assert list(whole) == ["text"]
    assert values(whole, "text") == [[BOS, *ids(codec, "abc"), EOS]]
    batch = codec.collate([example] * 20, noise=torch.Generator().manual_seed(1))
    chosen = batch["labels"].values != IGNORE
    assert chosen.any(1).all()
    assert not chosen[:, [0, -1]].any()
    assert torch.equal(batch["labels"].values[chosen], whole["text"].values.expand(20, -1)[chosen])


def test_classification(write: Write) -> None:
    _, codec = trained("classification", write)
    assert codec.labels == ("bad", "good")
    batch = codec.collate(
        [codec.encode({"text": "ab", "label": " good "}), codec.encode({"text": "b", "label": "bad"})]
    )
    assert values(batch, "text") == [[BOS, *ids(codec, "ab"), EOS], [BOS, *ids(codec, "b"), EOS, PAD]]
    assert values(batch, "labels") == [[1], [0]]
    assert "labels" not in codec.collate([codec.encode({"text": "ab"})])


def test_tagging(write: Write) -> None:
    _, codec = trained("tagging", write)
    assert codec.labels == ("B", "O")
    batch = codec.collate([codec.encode({"text": "ab  c", "tags": "O B"}), codec.encode({"text": "c", "tags": "B"})])
    assert values(batch, "text") == [ids(codec, "ab c"), [*ids(codec, "c"), PAD, PAD, PAD]]
    assert values(batch, "labels") == [[1, IGNORE, IGNORE, 0], [0, IGNORE, IGNORE, IGNORE]]
    assert set(codec.collate([codec.encode({"text": "ab c"})])) == {"text"}


@pytest.mark.parametrize(
    ("task", "row", "message"),
    [
        ("tagging", {"text": "ab c", "tags": "O"}, "f:3: 2 words and 1 tags\nhelp: give one tag a word"),
        ("tagging", {"text": "ab c", "tags": "O X"}, "f:3: there is no label 'X'\nhelp: the training data have B, O"),
        ("classification", {"text": "a", "label": "goood"},
         "f:3: there is no label 'goood'; did you mean 'good'?\nhelp: the training data have bad, good"),
        ("classification", {"text": "a" * 39, "label": "bad"},
         "f:3: 'text' has 41 tokens, BOS and EOS counted, where model.encoder.max_length is 40\n"
         "help: write a larger max_length, or data.on_long: skip or truncate"),
        ("tagging", {"text": "a" * 41, "tags": "B"}, "f:3: 'text' has 41 tokens, BOS and EOS counted, where model.enc"),
        ("seq2seq", {"source": "a" * 39, "target": "b" * 40}, "f:3: 'target' has 41 tokens, BOS and EOS counted, where "
         "model.decoder.max_length is 40"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_used(task: str, row: dict[str, str], message: str, write: Write) -> None:
    _, codec = trained(task, write)
    with pytest.raises(DataError) as caught:
        codec.encode(row, place="f:3")
    assert str(caught.value).startswith(message)
    with pytest.raises(DataError, match=r"^(?!f:3)"):
        codec.encode(row)


def test_labels_that_the_spec_names(write: Write) -> None:
    run = make_run("classification", f"{{train: '{write('t.tsv', TABLES['classification'])}'}}",
                   overrides=("task.classes=[good, bad, ugly]",))  # fmt: skip
    codec = Codec.train(run, open_splits(run))
    assert codec.labels == ("good", "bad", "ugly")
    with pytest.raises(DataError, match="the spec names good, bad, ugly"):
        codec.encode({"text": "a", "label": "nice"})


@pytest.mark.parametrize("length", [39, 40, 60])
def test_long_rows_are_truncated_to_what_fits(length: int, write: Write) -> None:
    _, codec = trained("seq2seq", write, more=", on_long: truncate")
    batch = codec.collate([codec.encode({"source": "a" * length, "target": "b" * length})])
    assert {name: stream.values.shape[1] for name, stream in batch.items()} == dict.fromkeys(batch, 40)
    assert values(batch, "source")[0][-1] == EOS
    _, tagger = trained("tagging", write, more=", on_long: truncate")
    example = tagger.encode({"text": "a " * 30, "tags": "B " * 30})
    assert len(example.fields["text"]) == len(example.labels) == example.length == 40


@settings(max_examples=40, deadline=None)
@given(text=st.text("abc ", max_size=70))
def test_chunks_of_a_language_model_lose_nothing(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    codec = lm(tmp_path_factory)
    chunks = codec.cut(codec.encode({"text": text}))
    wanted = [*ids(codec, text), EOS]
    batches = [codec.collate([chunk]) for chunk in chunks]
    assert [label for batch in batches for label in values(batch, "labels")[0]] == wanted
    assert [token for batch in batches for token in values(batch, "text")[0]] == [BOS, *wanted[:-1]]
    assert all(
        batch["text"].values.shape[1] == chunk.length <= 16 for batch, chunk in zip(batches, chunks, strict=True)
    )
    assert all(chunk.length == 16 for chunk in chunks[:-1])


@settings(max_examples=40, deadline=None)
@given(text=st.text("abc ", max_size=70))
def test_chunks_of_a_masked_language_model_lose_nothing(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    codec = lm(tmp_path_factory, "masked_language_model")
    chunks = codec.cut(codec.encode({"text": text}))
    assert [token for chunk in chunks for token in chunk.fields["text"]] == ids(codec, text)
    for chunk in chunks:
        (row,) = values(codec.collate([chunk]), "text")
        assert (row[0], row[-1]) == (BOS, EOS)
        assert len(row) == chunk.length <= 16


CODECS: dict[str, Codec] = {}


def lm(factory: pytest.TempPathFactory, task: str = "language_model") -> Codec:
    """One codec for all examples that hypothesis draws."""
    if task not in CODECS:
        path = factory.mktemp("lm") / "t.txt"
        path.write_text("abc abc\n")
        run = make_run(task, f"{{train: '{path}'}}")
        CODECS[task] = Codec.train(run, open_splits(run))
    return CODECS[task]


def test_other_tasks_are_not_cut(write: Write) -> None:
    _, codec = trained("seq2seq", write)
    example = codec.encode({"source": "ab", "target": "ab"})
    assert codec.cut(example) == [example]
    assert example.length == 6


def test_one_vocabulary_or_one_each(write: Write) -> None:
    _, shared = trained("seq2seq", write)
    assert shared.vocabularies["source"] is shared.vocabularies["target"]
    more = ", fields: {target: {tokenizer: {kind: words, vocabulary: 20}}}"
    _, codec = trained("seq2seq", write, more=more)
    assert codec.vocabularies["source"].encode("ba") == [6, 5]  # trained on the source alone, a before b
    assert codec.decode("target", codec.vocabularies["target"].encode("ba")) == "ba"
    assert codec.sizes.vocabularies == {"source": 8, "target": 7}


@pytest.mark.parametrize("task", TABLES)
@pytest.mark.parametrize("kind", ["bpe", "characters", "words"])
def test_a_saved_codec_is_the_same(task: str, kind: str, write: Write, tmp_path: Path) -> None:
    run, codec = trained(task, write, tokenizer=kind)
    folder = tmp_path / "run"
    folder.mkdir()
    codec.save(folder)
    again = Codec.load(run, folder)
    labelled = task in ("classification", "tagging")
    assert {path.name for path in folder.iterdir()} == {"tokenizer.json"} | ({"labels.json"} if labelled else set())
    rows = list(open_splits(run).train or [])
    assert [again.encode(row) for row in rows] == [codec.encode(row) for row in rows]
    assert (again.sizes, again.labels, again.fingerprint) == (codec.sizes, codec.labels, codec.fingerprint)


def test_a_field_s_own_tokenizer_has_a_file_of_its_own(write: Write, tmp_path: Path) -> None:
    run, codec = trained("seq2seq", write, more=", fields: {source: {tokenizer: bytes}, target: {tokenizer: words}}")
    folder = tmp_path / "run"
    folder.mkdir()
    codec.save(folder)
    assert {path.name for path in folder.iterdir()} == {"tokenizer.source.json", "tokenizer.target.json"}
    assert Codec.load(run, folder).sizes == codec.sizes


def test_files_of_a_run_that_are_missing_or_torn(write: Write, tmp_path: Path) -> None:
    run, codec = trained("classification", write)
    folder = tmp_path / "run"
    folder.mkdir()
    codec.save(folder)
    for name, torn, message in [
        ("tokenizer.json", None, "there is no such file in the run"),
        ("tokenizer.json", b"{", "this is no tokenizer: "),
        ("tokenizer.json", b"\xff", "this is not text"),
        ("labels.json", b"[", "this is no list of labels"),
    ]:
        codec.save(folder)
        (folder / name).unlink() if torn is None else (folder / name).write_bytes(torn)
        with pytest.raises(RunError) as caught:
            Codec.load(run, folder)
        assert str(caught.value).startswith(f"{folder / name}: {message}")
        assert "help: train the run again; its tokenizer is written before the first step" in str(caught.value)


def test_files_are_written_whole_and_reach_the_disk(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    _, codec = trained("classification", write)
    synced: list[str] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    codec.save(tmp_path)
    assert {Path(path).name for path in synced} >= {tmp_path.name}
    assert len(synced) == 3
    assert json.loads((tmp_path / "labels.json").read_text()) == {"labels": ["bad", "good"]}
    assert not list(tmp_path.glob(".*"))


def test_a_tokenizer_file_must_have_what_the_task_needs(write: Write, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    path = tmp_path / "tokenizer.json"
    Tokenizer(models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>")).save(str(path))
    with pytest.raises(DataError, match="the tokenizer of 'source' has no EOS token, which the task needs"):
        trained("seq2seq", write, tokenizer=f"{{kind: file, path: '{path}'}}")


def test_a_model_without_a_place_for_a_token(write: Write) -> None:
    with pytest.raises(InputError, match=r"^model\.encoder\.max_length: 2 leaves no place beside BOS and EOS\nhelp: "):
        trained("masked_language_model", write, overrides=("model.encoder.max_length=2",))


def test_training_needs_training_rows() -> None:
    from attncli.data.rows import Splits

    with pytest.raises(DataError, match="there are no training rows to train a tokenizer on"):
        Codec.train(make_run("seq2seq", "{kind: generated, name: copy}"), Splits())


def test_texts_and_pieces(write: Write) -> None:
    _, codec = trained("seq2seq", write)
    tokens = [BOS, *ids(codec, "cab", "target"), EOS]
    assert codec.decode("target", tokens) == "cab"
    assert codec.pieces("target", tokens) == ["[BOS]", "c", "a", "b", "[EOS]"]


@pytest.mark.parametrize("task", TABLES)
def test_the_model_takes_the_batches(task: str, write: Write) -> None:
    run, codec = trained(task, write)
    assert set(token_fields(run)) == set(codec.vocabularies)
    model = build_model(run, codec.sizes)
    examples = [codec.encode(row) for row in open_splits(run).train or []]
    batch = codec.collate(examples, noise=torch.Generator().manual_seed(0))
    losses = model.losses(batch)
    assert losses.loss.isfinite()
    assert int(losses.count) == int((batch["labels"].values != IGNORE).sum())


def test_an_example_is_plain() -> None:
    assert Example({"text": [5]}).before is None
