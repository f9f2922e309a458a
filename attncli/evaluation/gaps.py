"""Texts with [MASK] in them: as ids, and filled."""

from typing import Any

from torch import Tensor

from attncli.data.vocabulary import Vocabulary
from attncli.spec.tokenizer import Bpe, Tokenizer, TokenizerFile, Unigram, Wordpiece, Words

MASK = "[MASK]"
CANDIDATES = 5


def gapped(text: str, vocabulary: Vocabulary, kind: Tokenizer) -> list[int]:
    """The ids of a text in which each [MASK] is the mask.

    Most tokenizers count the space before a word to the word, so it vanishes with the word; where the next part
    begins with a space that its tokenizer adds by itself, it is not given twice.
    """
    ids: list[int] = []
    parts = text.split(MASK)
    for number, part in enumerate(parts):
        if number and isinstance(kind, (Unigram, Words, Wordpiece)):
            part = part.removeprefix(" ")
        if number + 1 < len(parts) and isinstance(kind, (Bpe, Unigram, Words, Wordpiece, TokenizerFile)):
            part = part.removesuffix(" ")
        ids += [*([vocabulary.mask] if number else []), *(vocabulary.encode(part) if part else [])]
    return ids


def fill(ids: list[int], shares: Tensor, vocabulary: Vocabulary) -> tuple[list[int], list[list[dict[str, Any]]]]:
    """The ids with the likeliest token in each gap, and the candidates of each gap.

    shares: (n c) probabilities at each place. Special tokens are no candidates.
    """
    filled, gaps = list(ids), []
    for place, token in enumerate(ids):
        if token != vocabulary.mask:
            continue
        row = shares[place].clone()
        row[sorted(vocabulary.specials)] = -1.0
        probability, candidates = row.topk(min(CANDIDATES, len(row) - len(vocabulary.specials)))
        filled[place] = int(candidates[0])
        gaps.append(
            [
                {"token": vocabulary.decode([candidate]).strip() or vocabulary.pieces([candidate])[0], "probability": p}
                for candidate, p in zip(candidates.tolist(), probability.tolist(), strict=True)
            ]
        )
    return filled, gaps
