"""Texts with [MASK] in them: as ids, and filled."""

import re
from typing import Any

from torch import Tensor

from attncli.data.vocabulary import Vocabulary
from attncli.spec.tokenizer import Bpe, Tokenizer, TokenizerFile, Unigram, Wordpiece, Words

MASK = "[MASK]"
CANDIDATES = 5


def gapped(text: str, vocabulary: Vocabulary, kind: Tokenizer) -> tuple[list[int], list[int]]:
    """The ids of a text in which each [MASK] is the mask, and for each the number of its word, from 0.

    Most tokenizers count the space before a word to the word, so it vanishes with the word; where the next part
    begins with a space that its tokenizer adds by itself, it is not given twice.
    """
    ids: list[int] = []
    words: list[int] = []
    gaps = [found.start() for found in re.finditer(re.escape(MASK), text)]
    for start, end in zip([0, *(gap + len(MASK) for gap in gaps)], [*gaps, len(text)], strict=True):
        first, last = start, end
        if start and isinstance(kind, (Unigram, Words, Wordpiece)):
            first += text[start:end].startswith(" ")
        if end in gaps and isinstance(kind, (Bpe, Unigram, Words, Wordpiece, TokenizerFile)):
            last -= text[first:end].endswith(" ")
        if first < last:
            found = vocabulary.encode_part(text, slice(first, last))
            ids, words = ids + found[0], words + found[1]
        if end in gaps:
            ids, words = [*ids, vocabulary.mask], [*words, len(text[: end + 1].split()) - 1]
    return ids, words


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
