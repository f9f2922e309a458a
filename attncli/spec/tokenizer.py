"""How text becomes ids. Built by attncli/data/tokenizers.py."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from attncli.spec.base import Bool, Count, Fault, Kinds, Spec, Text

SPECIALS = ("[PAD]", "[UNK]", "[BOS]", "[EOS]", "[MASK]")
"""The first ids of every tokenizer that attncli trains, in this order."""

UNKNOWN = SPECIALS.index("[UNK]")

BYTE_VOCABULARY = 256 + len(SPECIALS)


class _Trained(Spec):
    vocabulary: Count = 8000
    """The most ids, special ones included; also what `build` uses before the data have been seen."""
    lowercase: Bool = False

    least: ClassVar[int] = 7
    """The five special ids and two others."""

    def faults(self) -> Iterator[Fault]:
        if self.vocabulary < self.least:
            rule = f"{self.vocabulary} ids are too few: the five special ones and what texts need are {self.least}"
            yield Fault(("vocabulary",), rule, f"write {self.least} or more")


class Bpe(_Trained):
    """Byte-level byte-pair encoding; no text is unknown. Sennrich et al. 2016, arXiv:1508.07909; GPT-2, 2019."""

    kind: Literal["bpe"] = "bpe"
    least: ClassVar[int] = 256 + 5


class Wordpiece(_Trained):
    """Pieces of words, marked with ## where one goes on. Schuster & Nakajima 2012; Devlin et al. 2019.

    Training it twice gives two tokenizers; a run trains it once.
    """

    kind: Literal["wordpiece"] = "wordpiece"


class Unigram(_Trained):
    """Pieces chosen by a unigram language model. Kudo 2018, arXiv:1804.10959.

    Training it twice gives two tokenizers; a run trains it once.
    """

    kind: Literal["unigram"] = "unigram"


class Words(_Trained):
    """Words, punctuation marks, and Chinese and Japanese characters one by one; the rest is unknown."""

    kind: Literal["words"] = "words"


class Characters(_Trained):
    """Unicode characters."""

    kind: Literal["characters"] = "characters"


class Bytes(Spec):
    """The 256 bytes of UTF-8; nothing to train, nothing unknown."""

    kind: Literal["bytes"] = "bytes"


class TokenizerFile(Spec):
    """A tokenizer.json that exists already."""

    kind: Literal["file"] = "file"
    path: Text


Tokenizer = Annotated[Bpe | Wordpiece | Unigram | Words | Characters | Bytes | TokenizerFile, Kinds("tokenizer")]
