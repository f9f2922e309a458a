"""Tokenizers: round trips, special tokens, training, files."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from attncli.data.tokenizers import train_vocabulary
from attncli.data.vocabulary import Vocabulary
from attncli.errors import DataError
from attncli.spec import tokenizer as spec
from attncli.spec.tokenizer import BYTE_VOCABULARY, SPECIALS

TEXTS = [
    "Hello, world! (really) don't 3.14", "Python 很有趣", "你好，世界", "a  b\n\nc  ", " lead", " 你 lead", "#1 ##y",
    "Sonntag, 22. November 2026", "2026年11月22日星期日", "naïve café 한국어 かな カナ", "[MASK] x [EOS]", "\n",
    "\ttab", "ÀÉ",
] * 3  # fmt: skip
KINDS = {
    "bpe": spec.Bpe(vocabulary=400),
    "bytes": spec.Bytes(),
    "characters": spec.Characters(),
    "words": spec.Words(),
    "wordpiece": spec.Wordpiece(vocabulary=400),
    "unigram": spec.Unigram(vocabulary=150),
}
TRAINED = {name: train_vocabulary(kind, lambda: TEXTS) for name, kind in KINDS.items()}
ALPHABET = sorted(set("".join(TEXTS)))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("text", sorted(set(TEXTS)))
def test_known_text_comes_back_as_it_was(name: str, text: str) -> None:
    vocabulary = TRAINED[name]
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == text
    assert vocabulary.specials.isdisjoint(ids)


@pytest.mark.parametrize("name", ["bpe", "bytes"])
@settings(max_examples=50, deadline=None)
@given(text=st.text(st.characters(codec="utf-8")))
def test_any_text_comes_back(name: str, text: str) -> None:
    assert TRAINED[name].decode(TRAINED[name].encode(text)) == text


@pytest.mark.parametrize("name", ["characters", "unigram"])
@settings(max_examples=50, deadline=None)
@given(text=st.text(st.sampled_from(ALPHABET)))
def test_any_text_of_known_characters_comes_back(name: str, text: str) -> None:
    assert TRAINED[name].decode(TRAINED[name].encode(text)) == text


@pytest.mark.parametrize("name", ["words", "wordpiece"])
@settings(max_examples=50, deadline=None)
@given(text=st.lists(st.sampled_from([word for text in TEXTS for word in text.split()])).map(" ".join))
def test_any_text_of_known_words_comes_back(name: str, text: str) -> None:
    ids = TRAINED[name].encode(text)
    if TRAINED[name].unk not in ids:
        assert TRAINED[name].decode(ids) == text


@pytest.mark.parametrize("name", KINDS)
def test_special_tokens_come_first(name: str) -> None:
    vocabulary = TRAINED[name]
    assert [vocabulary.tokenizer.id_to_token(token) for token in range(5)] == list(SPECIALS)
    assert (vocabulary.pad, vocabulary.unk, vocabulary.bos, vocabulary.eos, vocabulary.mask) == (0, 1, 2, 3, 4)
    assert vocabulary.specials == set(range(5))
    assert vocabulary.pieces(range(5)) == list(SPECIALS)


@pytest.mark.parametrize("name", KINDS)
def test_a_saved_tokenizer_is_the_same(name: str) -> None:
    again = Vocabulary(Tokenizer.from_str(TRAINED[name].tokenizer.to_str()))
    assert again.encode_many(TEXTS) == TRAINED[name].encode_many(TEXTS)
    assert again.size == TRAINED[name].size


@pytest.mark.parametrize("name", ["bpe", "words", "characters", "bytes"])
def test_training_is_deterministic(name: str) -> None:
    assert train_vocabulary(KINDS[name], lambda: TEXTS).tokenizer.to_str() == TRAINED[name].tokenizer.to_str()


def test_sizes_are_bounded() -> None:
    words = [f"w{number} " * (1 + number % 7) for number in range(500)]
    for kind in (spec.Words(vocabulary=50), spec.Characters(vocabulary=9), spec.Bpe(vocabulary=270),
                 spec.Wordpiece(vocabulary=60), spec.Unigram(vocabulary=20)):  # fmt: skip
        assert train_vocabulary(kind, lambda: words).size <= kind.vocabulary
    assert TRAINED["bytes"].size == BYTE_VOCABULARY


def test_the_most_frequent_characters_are_kept() -> None:
    vocabulary = train_vocabulary(spec.Characters(vocabulary=7), lambda: ["aaab", "ccab"])
    assert vocabulary.pieces([5, 6]) == ["a", "b"]  # b and c are as frequent, and b has the smaller code point
    assert vocabulary.encode("abc") == [5, 6, vocabulary.unk]


def test_bytes_are_their_values() -> None:
    assert TRAINED["bytes"].encode("é!") == [5 + byte for byte in "é!".encode()]


def test_chinese_characters_are_words_of_their_own() -> None:
    vocabulary = TRAINED["words"]
    assert vocabulary.pieces(vocabulary.encode("Python 很有趣")) == ["Python", "␣", "很", "有", "趣"]
    assert vocabulary.encode("你")[0] in vocabulary.encode("a你")


@pytest.mark.parametrize("name", ["bpe", "characters", "words", "wordpiece", "unigram"])
def test_lowercase(name: str) -> None:
    kind = KINDS[name].model_copy(update={"lowercase": True})
    vocabulary = train_vocabulary(kind, lambda: TEXTS)
    assert vocabulary.decode(vocabulary.encode("HELLO, World")) == "hello, world"


def test_unknown_tokens_show() -> None:
    assert TRAINED["words"].decode(TRAINED["words"].encode("world, Nichts! Nie")) == "world, [UNK]! [UNK]"
    assert TRAINED["characters"].decode(TRAINED["characters"].encode("aΩb")) == "a[UNK]b"


@pytest.mark.parametrize("name", KINDS)
def test_padding_and_borders_do_not(name: str) -> None:
    vocabulary = TRAINED[name]
    ids = [vocabulary.bos, *vocabulary.encode("你好"), vocabulary.eos, vocabulary.pad]
    assert vocabulary.decode(ids) == "你好"


@pytest.mark.parametrize(
    ("name", "text", "pieces"),
    [
        ("bytes", "a é\n\t", ["a", "␣", "⟨c3⟩", "⟨a9⟩", "⏎", "⇥"]),
        ("characters", "a é", ["a", "␣", "é"]),
        ("words", "don't (really)", ["don", "'", "t", "(", "really", ")"]),
        ("bpe", "Python 很有趣", ["Python", "␣很有趣"]),
        ("unigram", "很有 q", ["很", "有", "▁", "[UNK]"]),
    ],
)
def test_pieces_are_readable(name: str, text: str, pieces: list[str]) -> None:
    assert TRAINED[name].pieces(TRAINED[name].encode(text)) == pieces


@pytest.mark.parametrize("name", KINDS)
def test_pieces_of_every_id_are_text(name: str) -> None:
    vocabulary = TRAINED[name]
    pieces = vocabulary.pieces(range(vocabulary.size))
    assert all(pieces)
    assert not any(sign in piece for piece in pieces for sign in " \n\t\ud800")
    assert vocabulary.pieces([vocabulary.size + 7]) == [f"⟨{vocabulary.size + 7}⟩"]


@pytest.mark.parametrize("name", KINDS)
def test_words_begin_where_their_first_piece_is(name: str) -> None:
    vocabulary = TRAINED[name]
    words = ["Hello,", "world!", "你好", "café"]
    ((ids, starts),) = vocabulary.encode_words([words])
    assert len(starts) == len(words)
    parts = [ids[start:stop] for start, stop in zip(starts, [*starts[1:], len(ids)], strict=True)]
    assert [vocabulary.decode(part).strip() for part in parts] == words


def test_words_without_a_piece_are_told() -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.CharDelimiterSplit(" ")
    tokenizer.normalizer = __import__("tokenizers").normalizers.Replace("b", "")
    assert Vocabulary(tokenizer).encode_words([["a", "b", "a"], ["a"]]) == [
        "the tokenizer has no piece for the word 'b'", ([0], [0])
    ]  # fmt: skip


def test_unigram_never_reads_a_special_token() -> None:
    vocabulary = train_vocabulary(spec.Unigram(vocabulary=40), lambda: ["MASK mask EOS"] * 5)  # no bracket is known
    assert {0, 2, 3, 4}.isdisjoint(vocabulary.encode("[MASK] [EOS]"))


def test_a_vocabulary_without_room_for_the_characters() -> None:
    with pytest.raises(DataError) as caught:
        train_vocabulary(spec.Unigram(vocabulary=7), lambda: ["abcdefg hijk"])
    assert "tokenizer: 'unigram' cannot be trained on these texts: The vocabulary is not" in str(caught.value)
    assert "\nhelp: write a larger vocabulary, give more text" in str(caught.value)
    signs = ["".join(map(chr, range(0x4E00, 0x4F00)))]
    assert train_vocabulary(spec.Wordpiece(vocabulary=50), lambda: signs).size <= 50


def written(path: Path, tokens: dict[str, int], special: list[str]) -> str:
    tokenizer = Tokenizer(models.WordLevel(tokens, unk_token=special[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(path))
    return str(path)


def test_a_file_s_own_special_tokens_are_found(tmp_path: Path) -> None:
    path = written(tmp_path / "t.json", {"x": 0, "[CLS]": 3, "[SEP]": 4, "[UNK]": 5, "[PAD]": 1, "[MASK]": 2},
                   ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"])  # fmt: skip
    found = train_vocabulary(spec.TokenizerFile(path=path), list)
    assert (found.pad, found.unk, found.bos, found.eos, found.mask) == (1, 5, 3, 4, 2)
    assert found.encode("x") == [0]
    found.require(["bos", "eos", "mask"], field="text")
    path = written(tmp_path / "gpt2.json", {"x": 0, "<|endoftext|>": 1}, ["<|endoftext|>"])
    gpt = train_vocabulary(spec.TokenizerFile(path=path), list)
    assert (gpt.pad, gpt.unk, gpt.bos, gpt.eos, gpt.mask) == (1, 1, 1, 1, -1)
    with pytest.raises(DataError) as caught:
        gpt.require(["bos", "mask"], field="text")
    assert str(caught.value) == (
        "the tokenizer of 'text' has no MASK token, which the task needs\n"
        "help: its tokenizer.json must name one of [MASK] <mask> <|mask|>"
    )


def test_a_file_with_padding_and_templates_gives_plain_ids(tmp_path: Path) -> None:
    settings = json.loads(TRAINED["words"].tokenizer.to_str())
    settings["padding"] = {"strategy": {"Fixed": 50}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                           "pad_type_id": 0, "pad_token": "[PAD]"}  # fmt: skip
    settings["truncation"] = {"max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    (tmp_path / "t.json").write_text(json.dumps(settings))
    found = train_vocabulary(spec.TokenizerFile(path=str(tmp_path / "t.json")), list)
    assert found.encode(TEXTS[0]) == TRAINED["words"].encode(TEXTS[0])


def test_files_that_are_none(tmp_path: Path) -> None:
    for path, message in [
        (tmp_path / "x.json", f"tokenizer: there is no file '{tmp_path}/x.json'\nhelp: a path in a spec counts"),
        (tmp_path, f"tokenizer: '{tmp_path}' is a folder\nhelp: write {tmp_path}/tokenizer.json"),
    ]:
        with pytest.raises(DataError) as caught:
            train_vocabulary(spec.TokenizerFile(path=str(path)), list)
        assert message in str(caught.value)
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(DataError, match=r"bad\.json' is no tokenizer\.json: "):
        train_vocabulary(spec.TokenizerFile(path=str(tmp_path / "bad.json")), list)
