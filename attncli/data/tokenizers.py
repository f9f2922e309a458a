"""Tokenizers as the spec describes them, built by the `tokenizers` library.

    bpe         byte-level pairs; any text comes back as it was
    bytes       the 256 bytes; the same
    characters  the most frequent characters of the training data, the rest is unknown
    words       words, punctuation marks and Chinese or Japanese characters, each with the space before it
    wordpiece   pieces of such words, `##` where a piece goes on
    unigram     pieces of what stands between spaces, `▁` for a space; a text's own `▁` comes back as a space
    file        any tokenizer.json

Text without unknown parts comes back exactly, since a space belongs to the word behind it. A word at the beginning of a
text counts as one with a space; a Chinese or Japanese character never takes one, so it has one id wherever it stands.
`lowercase` is applied first and is what comes back.

Training is deterministic for bpe, words, characters and bytes. WordPiece and Unigram of `tokenizers` come out
differently each time, so a run trains its tokenizer once and only reads it afterwards.

The first ids are SPECIALS, 0 to 4, except in a file, whose own special tokens are found by their usual names.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, assert_never

from attncli.data.vocabulary import SIGNS, Vocabulary
from attncli.errors import DataError
from attncli.spec import tokenizer as spec
from attncli.spec.tokenizer import SPECIALS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CJK = r"\p{Han}\p{Hiragana}\p{Katakana}"
WORDS = rf"[{CJK}]| ?(?:(?![{CJK}])\w)+| ?[^\w\s]|\s"
"""A Chinese or Japanese character; a word, a punctuation mark, with the space before it; any other space."""


def train_vocabulary(
    kind: spec.Tokenizer, texts: Callable[[], Iterable[str]], *, where: str = "tokenizer", spans: int = 0
) -> Vocabulary:
    """The vocabulary of a spec, trained on texts where its kind is trained; `where` names it in errors.

    The last `spans` ids are [SPAN0], [SPAN1], … of a task that takes spans away.
    """
    if spans:
        return _with_spans(kind, texts, where, spans)
    match kind:
        case spec.TokenizerFile():
            return Vocabulary(_from_file(kind.path, where))
        case spec.Bytes():
            return Vocabulary(_bytes())
        case spec.Characters():
            return Vocabulary(_characters(kind, texts()))
        case spec.Bpe() | spec.Wordpiece() | spec.Unigram() | spec.Words():
            return Vocabulary(_trained(kind, texts(), where))
        case _:
            assert_never(kind)


def _with_spans(kind: spec.Tokenizer, texts: Callable[[], Iterable[str]], where: str, spans: int) -> Vocabulary:
    names = [span_name(number) for number in range(spans)]
    if isinstance(kind, spec.TokenizerFile):
        found = train_vocabulary(kind, texts, where=where)
        missing = [name for name in names if found.tokenizer.token_to_id(name) is None]
        if missing:
            rule = f"{where}: '{kind.path}' has no token {missing[0]}, which stands for a span"
            raise DataError(rule, help=f"add {spans} special tokens from {names[0]} on, or write corruption: infill")
        return found
    if not isinstance(kind, spec.Bytes):
        kind = kind.model_copy(update={"vocabulary": kind.vocabulary - spans})
    tokenizer = train_vocabulary(kind, texts, where=where).tokenizer
    tokenizer.add_special_tokens(names)
    return Vocabulary(tokenizer)


def span_name(number: int) -> str:
    """The token that stands for a span."""
    return f"[SPAN{number}]"


def _from_file(path: str, where: str) -> "Tokenizer":
    from tokenizers import Tokenizer

    try:
        with open(path, encoding="utf-8") as file:
            return Tokenizer.from_str(file.read())
    except FileNotFoundError:
        rule = f"{where}: there is no file '{path}'"
        raise DataError(rule, help="a path in a spec counts from the spec's own folder") from None
    except IsADirectoryError:
        raise DataError(f"{where}: '{path}' is a folder", help=f"write {path.rstrip('/')}/tokenizer.json") from None
    except OSError:
        raise
    except Exception as error:  # tokenizers raises a bare Exception
        raise DataError(f"{where}: '{path}' is no tokenizer.json: {error}", help="give one of `tokenizers`") from None


def _bytes() -> "Tokenizer":
    """Byte-level pairs without any pair; id 5 + byte."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE(vocab=_numbered(SIGNS[byte] for byte in range(256)), merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIALS))
    return tokenizer


def _characters(kind: spec.Characters, texts: Iterable[str]) -> "Tokenizer":
    """Pairs of characters without any pair. The most frequent characters, by code point where as frequent."""
    from tokenizers import Tokenizer, decoders, models, normalizers

    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text.lower() if kind.lowercase else text)
    room = kind.vocabulary - len(SPECIALS)
    kept = sorted(sorted(counts), key=lambda sign: -counts[sign])[:room]
    tokenizer = Tokenizer(models.BPE(vocab=_numbered(sorted(kept)), merges=[], unk_token="[UNK]", fuse_unk=False))
    if kind.lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(list(SPECIALS))
    return tokenizer


def _numbered(signs: Iterable[str]) -> dict[str, int]:
    return {sign: number for number, sign in enumerate([*SPECIALS, *signs])}


def _trained(
    kind: spec.Bpe | spec.Wordpiece | spec.Unigram | spec.Words, texts: Iterable[str], where: str
) -> "Tokenizer":
    from tokenizers import Tokenizer, models, trainers
    from tokenizers.pre_tokenizers import ByteLevel

    trainer: Any
    common: dict[str, Any] = {"vocab_size": kind.vocabulary, "special_tokens": list(SPECIALS), "show_progress": False}
    match kind:
        case spec.Bpe():
            tokenizer = Tokenizer(models.BPE())
            trainer = trainers.BpeTrainer(initial_alphabet=ByteLevel.alphabet(), **common)
        case spec.Wordpiece():
            tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
            letters = max(1, (kind.vocabulary - len(SPECIALS)) // 2)  # one may take two ids
            trainer = trainers.WordPieceTrainer(limit_alphabet=letters, **common)
        case spec.Unigram():
            tokenizer = Tokenizer(models.Unigram())
            trainer = trainers.UnigramTrainer(unk_token="[UNK]", **common)
        case spec.Words():
            tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
            trainer = trainers.WordLevelTrainer(**common)
        case _:
            assert_never(kind)
    _fit_spaces(tokenizer, kind)
    try:
        tokenizer.train_from_iterator(_batches(texts), trainer)
    except Exception as error:  # tokenizers raises a bare Exception, unigram on texts that are too few
        rule = f"{where}: '{kind.kind}' cannot be trained on these texts: {error}"
        raise DataError(rule, help="write a larger vocabulary, give more text, or take another kind") from None
    return _never_special(tokenizer) if isinstance(kind, spec.Unigram) else tokenizer


def _fit_spaces(tokenizer: "Tokenizer", kind: spec.Bpe | spec.Wordpiece | spec.Unigram | spec.Words) -> None:
    """Where texts are cut, and how the parts are put together again."""
    from tokenizers import Regex, decoders, normalizers, pre_tokenizers

    lowercase = [normalizers.Lowercase()] if kind.lowercase else []
    if isinstance(kind, spec.Bpe):
        tokenizer.normalizer = normalizers.Sequence(lowercase)
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        return
    first = normalizers.Replace(Regex(rf"\A(?=[^{CJK}])"), " ")
    tokenizer.normalizer = normalizers.Sequence([*lowercase, first])
    if isinstance(kind, spec.Unigram):
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
        pieces: list[Any] = [decoders.Metaspace(prepend_scheme="never")]
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORDS), "isolated")
        pieces = [decoders.Replace("##", "")] if isinstance(kind, spec.Wordpiece) else []
    tokenizer.decoder = decoders.Sequence([*pieces, decoders.Fuse(), decoders.Strip(" ", 1, 0)])


def _never_special(tokenizer: "Tokenizer") -> "Tokenizer":
    """Give the special tokens, which the model takes for pieces like others, a score with which no text has them."""
    settings = json.loads(tokenizer.to_str())
    pieces = settings["model"]["vocab"]
    settings["model"]["vocab"] = [[piece, -1e4 if piece in SPECIALS else score] for piece, score in pieces]
    return tokenizer.from_str(json.dumps(settings))


def _batches(texts: Iterable[str], size: int = 1000) -> Iterator[list[str]]:
    """Texts in lists, since the trainers read lists faster."""
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
