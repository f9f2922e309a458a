"""Text to ids and back, for one or several fields: what the rest of attncli sees of a tokenizer.

A text that the tokenizer knows comes back as it was: decode(encode(x)) == x. What that leaves out is said in
attncli/data/tokenizers.py. Special tokens are never read from text: `[MASK]` in a text is six characters.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from attncli.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

NAMES = {
    "pad": ("[PAD]", "<pad>", "<|pad|>", "<|padding|>", "<|endoftext|>", "</s>", "[EOS]"),
    "unk": ("[UNK]", "<unk>", "<|unk|>", "<|endoftext|>"),
    "bos": ("[BOS]", "[CLS]", "<s>", "<bos>", "<|begin_of_text|>", "<|startoftext|>", "<|endoftext|>"),
    "eos": ("[EOS]", "[SEP]", "</s>", "<eos>", "<|end_of_text|>", "<|endoftext|>"),
    "mask": ("[MASK]", "<mask>", "<|mask|>"),
}
"""Under which names special tokens are looked up, the first that exists wins."""


class Vocabulary:
    """A tokenizer with the ids of its special tokens; one that it has not is -1."""

    def __init__(self, tokenizer: "Tokenizer") -> None:
        tokenizer.encode_special_tokens = True
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.tokenizer = tokenizer
        self.size: int = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
        self.pad, self.unk, self.bos, self.eos, self.mask = (_special(tokenizer, names) for names in NAMES.values())
        settings = json.loads(tokenizer.to_str())
        self._model = str(settings["model"]["type"])
        self._bytes = "ByteLevel" in json.dumps([settings["decoder"], settings["pre_tokenizer"]])
        self._names = {entry["id"]: entry["content"] for entry in settings["added_tokens"] if entry["special"]}
        self.specials = frozenset(self._names)
        """The ids that no text has."""

    def require(self, roles: Iterable[str], *, field: str) -> None:
        """Raise DataError if the tokenizer has no token for one of the roles (bos, eos, mask, …) that a task needs."""
        for role in roles:
            if getattr(self, role) < 0:
                raise DataError(
                    f"the tokenizer of '{field}' has no {role.upper()} token, which the task needs",
                    help=f"its tokenizer.json must name one of {' '.join(NAMES[role])}",
                )

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without special tokens."""
        return self.encode_many([text])[0]

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of many texts, on all cores."""
        found = [one.ids for one in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        return [self._without_specials(ids) for ids in found] if self._model == "Unigram" else found

    def _without_specials(self, ids: list[int]) -> list[int]:
        """Unigram models hold special tokens as pieces that a text may match."""
        if self.specials.isdisjoint(ids):
            return ids
        return [self.unk if token in self.specials else token for token in ids]

    def encode_words(self, sentences: Sequence[Sequence[str]]) -> list[tuple[list[int], list[int]] | str]:
        """For each list of words their ids, with spaces between, and the place of the first id of each word.

        A sentence with a word that has no id of its own gets the reason as text.
        """
        texts = [" ".join(words) for words in sentences]
        encodings = self.tokenizer.encode_batch(texts, add_special_tokens=False)
        found: list[tuple[list[int], list[int]] | str] = []
        for words, encoding in zip(sentences, encodings, strict=True):
            ids = self._without_specials(encoding.ids) if self._model == "Unigram" else encoding.ids
            starts = _word_starts(words, encoding.offsets)
            found.append(starts if isinstance(starts, str) else (ids, starts))
        return found

    def words_of(self, texts: Sequence[str]) -> list[list[int]]:
        """For each id of each text the number of its word, from 0: the one in which its first letter stands.

        Words are what stands between spaces; a piece of spaces alone belongs to the word before it.
        """
        encodings = self.tokenizer.encode_batch(texts, add_special_tokens=False)
        return [_word_numbers(text, one.offsets) for text, one in zip(texts, encodings, strict=True)]

    def encode_part(self, text: str, part: slice) -> tuple[list[int], list[int]]:
        """The ids of a part of a text, and for each the number of its word in the whole text."""
        (ids,), start = self.encode_many([text[part]]), part.start
        offsets = self.tokenizer.encode(text[part], add_special_tokens=False).offsets
        return ids, _word_numbers(text, [(start + begin, start + end) for begin, end in offsets])

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids. PAD, BOS and EOS are left out, an unknown token shows as such."""
        kept = [token for token in ids if token not in (self.pad, self.bos, self.eos)]
        text = str(self.tokenizer.decode(kept, skip_special_tokens=False))
        if self._model in ("WordLevel", "WordPiece") and self.unk in kept:
            unknown = self._names.get(self.unk, "[UNK]")
            text = re.sub(rf"\s*{re.escape(unknown)}", f" {unknown}", text).strip()
        return text

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """What each id stands for, readable: spaces as ␣ or ▁, bytes that are no character alone as ⟨e4⟩."""
        return [self._piece(token) for token in ids]

    def _piece(self, token: int) -> str:
        if token in self._names:
            return str(self._names[token])
        piece = self.tokenizer.id_to_token(token)
        if piece is None:
            return f"⟨{token}⟩"
        if self._bytes:
            piece = _readable(bytes(BYTES[sign] for sign in piece if sign in BYTES))
        elif found := re.fullmatch("<0x([0-9A-F]{2})>", piece):
            piece = _readable(bytes.fromhex(found[1]))
        elif self._model == "WordLevel" and len(piece) > 1:
            piece = piece.removeprefix(" ")
        return piece.replace(" ", "␣").replace("\n", "⏎").replace("\t", "⇥")


def _word_starts(words: Sequence[str], offsets: Sequence[tuple[int, int]]) -> list[int] | str:
    """The first piece that reaches into each word, by the characters (start, end) of the pieces."""
    starts: list[int] = []
    place = begin = 0
    for word in words:
        while place < len(offsets) and offsets[place][1] <= begin:
            place += 1
        if place == len(offsets) or offsets[place][0] >= begin + len(word) or place in starts[-1:]:
            return f"the tokenizer has no piece for the word '{word}'"
        starts.append(place)
        begin += len(word) + 1
    return starts


def _word_numbers(text: str, offsets: Sequence[tuple[int, int]]) -> list[int]:
    starts = [found.start() for found in re.finditer(r"\S+", text)]
    numbers = []
    for start, end in offsets:
        letter = re.search(r"\S", text[start:end])
        place = start + (letter.start() if letter else 0)
        numbers.append(max(0, bisect_right(starts, place) - 1))
    return numbers


def _special(tokenizer: "Tokenizer", names: Sequence[str]) -> int:
    found = (tokenizer.token_to_id(name) for name in names)
    return next((token for token in found if token is not None), -1)


def _readable(raw: bytes) -> str:
    """UTF-8 as characters, the bytes of no whole character as ⟨e4⟩."""
    text = raw.decode("utf-8", errors="surrogateescape")
    return re.sub("[\udc80-\udcff]", lambda found: f"⟨{ord(found[0]) - 0xDC00:02x}⟩", text)


def _byte_signs() -> dict[int, str]:
    """The printable character by which byte-level tokenizers write each byte, after GPT-2's encoder.py (2019)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + place) for place, byte in enumerate(others)}


SIGNS = _byte_signs()
BYTES = {sign: byte for byte, sign in SIGNS.items()}
