"""Scores of written texts against references: BLEU, chrF, exact match, and the rows to look at.

BLEU: Papineni et al. 2002; chrF: Popović 2015; both by sacrebleu (Post 2018, arXiv:1804.08771), whose signature says
how, so that scores can be compared. Scale: 0 to 100, as the field prints them; exact match is a share, 0 to 1.
"""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

SHARE_OF_HAN = 0.1
"""From this share of the references' letters on, BLEU uses the Chinese tokenizer. That one takes every Han character
for a word and the rest as 13a does, while 13a takes a whole Chinese sentence for one word."""


class Written(NamedTuple):
    """One row: what was read, what should have been written, and what was."""

    source: str
    reference: str
    text: str
    exact: bool
    chrf: float = 0.0


def han_share(texts: Sequence[str]) -> float:
    """Share of Han characters among the letters."""
    letters = [c for text in texts for c in text if c.isalpha()]
    return sum(_is_han(c) for c in letters) / len(letters) if letters else 0.0


def _is_han(character: str) -> bool:
    return "CJK" in unicodedata.name(character, "")


def bleu_tokenizer(references: Sequence[str]) -> str:
    """The name of sacrebleu's tokenizer for these references: `zh` or `13a`."""
    return "zh" if han_share(references) >= SHARE_OF_HAN else "13a"


def corpus_scores(
    texts: Sequence[str], references: Sequence[str], *, lowercase: bool
) -> tuple[dict[str, float], dict[str, str]]:
    """BLEU and chrF of a corpus, and the signature of each."""
    from sacrebleu.metrics.bleu import BLEU  # here, since it is slow to import
    from sacrebleu.metrics.chrf import CHRF

    bleu = BLEU(tokenize=bleu_tokenizer(references), lowercase=lowercase)
    chrf = CHRF(lowercase=lowercase)
    scores, signatures = {}, {}
    for name, metric in (("bleu", bleu), ("chrf", chrf)):
        scores[name] = float(metric.corpus_score(list(texts), [list(references)]).score)
        signatures[name] = str(metric.get_signature())
    return scores, signatures


def rouge(texts: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """F1 of the longest common subsequence (`rouge`), of words and of pairs of words, in the mean over the rows.

    Lin 2004, ROUGE: a package for automatic evaluation of summaries; by torchmetrics, which lowers the case and keeps
    letters and digits, without stemming. In a Chinese text each character is a word.
    """
    from torchmetrics.functional.text import rouge_score

    def words(text: str) -> list[str]:
        spaced = "".join(f" {c} " if _is_han(c) else c for c in text.lower())
        return "".join(c if c.isalnum() else " " for c in spaced).split()

    keys = ("rougeL", "rouge1", "rouge2")
    found = rouge_score(list(texts), list(references), rouge_keys=keys, normalizer=lambda text: text, tokenizer=words)
    names = zip(("rouge", "rouge_1", "rouge_2"), keys, strict=True)
    return {name: 100 * float(found[f"{key}_fmeasure"]) for name, key in names}


def sentence_chrf(texts: Sequence[str], references: Sequence[str]) -> list[float]:
    """chrF of each row, by which rows are ranked."""
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF()
    pairs = zip(texts, references, strict=True)
    return [float(metric.sentence_score(text, [reference]).score) for text, reference in pairs]


def groups_by_first_word(rows: Sequence[Written]) -> dict[str, dict[str, float]]:
    """Exact match by the first word of the source, where there are 2 to 10 of them, each of several rows.

    Sources of several kinds often open with a tag (`de`, `zh`), and a mean hides a kind that fails.
    """
    groups: dict[str, list[bool]] = {}
    for row in rows:
        groups.setdefault(row.source.partition(" ")[0], []).append(row.exact)
    if not 2 <= len(groups) <= 10 or min(map(len, groups.values())) < 2:
        return {}
    return {
        word: {"exact_match": sum(exact) / len(exact), "count": len(exact)} for word, exact in sorted(groups.items())
    }


def worst_and_best(rows: Sequence[Written], count: int = 3) -> list[tuple[str, Written]]:
    """The `count` rows of the lowest chrF that are not exact, then those of the highest; no row twice."""
    ranked = sorted(rows, key=lambda row: row.chrf)
    worst = [row for row in ranked if not row.exact][:count]
    best = [row for row in reversed(ranked) if row not in worst][:count]
    return [("worst", row) for row in worst] + [("best", row) for row in best]
