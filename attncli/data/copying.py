"""Words that the vocabulary lacks, as ids of one row: what a pointer-generator copies (See et al. 2017, section 2.2).

The words of a source that are unknown get the ids behind the vocabulary, in the order in which they first come: size,
size + 1, …. In the target such a word has the id of the source's; one that the source has not stays unknown.
"""

from collections.abc import Sequence

from attncli.data.vocabulary import Vocabulary


def extended(vocabulary: Vocabulary, source: str, target: str | None = None) -> tuple[list[int], list[int]]:
    """The ids of a source and of its target."""
    pieces = _pieces(vocabulary, source)
    words = _unknown(vocabulary, pieces)
    places = {word: vocabulary.size + place for place, word in enumerate(words)}
    return _ids(vocabulary, pieces, places), _ids(vocabulary, _pieces(vocabulary, target or ""), places)


def decode(vocabulary: Vocabulary, ids: Sequence[int], source: str) -> str:
    """The text of ids that were written beside a source."""
    words = _unknown(vocabulary, _pieces(vocabulary, source))
    text = vocabulary.decode([token if token < vocabulary.size else vocabulary.unk for token in ids])
    sign, parts = vocabulary.pieces([vocabulary.unk])[0], []
    for token in ids:
        if token >= vocabulary.size or token == vocabulary.unk:
            before, _, text = text.partition(sign)
            place = token - vocabulary.size
            parts += [before, words[place] if 0 <= place < len(words) else sign]
    return "".join([*parts, text])


def named(vocabulary: Vocabulary, ids: Sequence[int], source: str) -> list[str]:
    """What each id stands for beside a source."""
    words = _unknown(vocabulary, _pieces(vocabulary, source))
    own = {vocabulary.size + place: word for place, word in enumerate(words)}
    return [own.get(token, piece) for token, piece in zip(ids, vocabulary.pieces(ids), strict=True)]


def _pieces(vocabulary: Vocabulary, text: str) -> list[tuple[int, str]]:
    """The id and the letters of each token of a text."""
    found = vocabulary.tokenizer.encode(text, add_special_tokens=False)
    return [(token, text[start:end].strip()) for token, (start, end) in zip(found.ids, found.offsets, strict=True)]


def _unknown(vocabulary: Vocabulary, pieces: Sequence[tuple[int, str]]) -> list[str]:
    return list(dict.fromkeys(word for token, word in pieces if token == vocabulary.unk))


def _ids(vocabulary: Vocabulary, pieces: Sequence[tuple[int, str]], places: dict[str, int]) -> list[int]:
    return [places.get(word, token) if token == vocabulary.unk else token for token, word in pieces]
