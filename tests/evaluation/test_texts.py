"""Scores of written texts."""

from collections import Counter

import pytest
import sacrebleu

from attncli.evaluation.texts import (
    Written,
    bleu_tokenizer,
    corpus_scores,
    groups_by_first_word,
    han_share,
    rouge,
    sentence_chrf,
    worst_and_best,
)

GERMAN = ["Sonntag, 22. November 2026", "Guten Morgen, liebe Welt, wie geht es dir?"]
CHINESE = ["2026年11月22日，星期日", "你好，世界"]


def written(source: str, exact: bool, chrf: float = 0.0) -> Written:
    return Written(source, "", "", exact, chrf)


def test_bleu_takes_the_chinese_tokenizer_for_chinese() -> None:
    assert bleu_tokenizer(GERMAN) == "13a"
    assert bleu_tokenizer(CHINESE) == "zh"
    assert bleu_tokenizer([*GERMAN, *CHINESE]) == "zh"
    assert bleu_tokenizer([]) == "13a"


def test_han_share_counts_letters() -> None:
    assert han_share(["月 1, 2! a"]) == 0.5
    assert han_share(["かなカナ"]) == 0
    assert han_share(["123 …"]) == 0


@pytest.mark.parametrize(("references", "tokenizer"), [(GERMAN, "13a"), (CHINESE, "zh")])
def test_scores_and_signatures_are_sacrebleus(references: list[str], tokenizer: str) -> None:
    texts = [references[0], references[1][:-3] + "?"]
    scores, signatures = corpus_scores(texts, references, lowercase=False)
    assert scores["bleu"] == pytest.approx(sacrebleu.corpus_bleu(texts, [references], tokenize=tokenizer).score)
    assert scores["chrf"] == pytest.approx(sacrebleu.corpus_chrf(texts, [references]).score)
    assert f"tok:{tokenizer}" in signatures["bleu"]
    assert signatures["chrf"].startswith("nrefs:1|case:mixed|")


def test_a_lowercase_tokenizer_is_scored_without_case() -> None:
    lower = [text.lower() for text in GERMAN]
    scores, signatures = corpus_scores(lower, GERMAN, lowercase=True)
    assert scores["bleu"] == pytest.approx(100)
    assert "case:lc" in signatures["bleu"]
    assert corpus_scores(lower, GERMAN, lowercase=False)[0]["bleu"] < 100


def test_chrf_of_a_row() -> None:
    assert sentence_chrf(["same", ""], ["same", "other"]) == [pytest.approx(100), 0]


def test_groups_need_two_to_ten_first_words_of_several_rows() -> None:
    rows = [written("de a", True), written("de b", False), written("zh a", True), written("zh", True)]
    assert groups_by_first_word(rows) == {
        "de": {"exact_match": 0.5, "count": 2},
        "zh": {"exact_match": 1.0, "count": 2},
    }
    assert groups_by_first_word(rows[:2]) == {}
    assert groups_by_first_word(rows[:3]) == {}
    assert groups_by_first_word([written(f"{n % 11} x", True) for n in range(50)]) == {}
    assert len(groups_by_first_word([written(f"{n % 10} x", True) for n in range(50)])) == 10


def test_the_worst_are_not_exact_and_no_row_comes_twice() -> None:
    rows = [written(str(n), exact=n == 0, chrf=n * 7 % 10) for n in range(10)]  # row 0 is exact, with chrF 0
    assert [(rank, row.chrf) for rank, row in worst_and_best(rows, 2)] == [
        ("worst", 1), ("worst", 2), ("best", 9), ("best", 8),
    ]  # fmt: skip
    assert [(rank, row.chrf) for rank, row in worst_and_best(rows[:3], 2)] == [("worst", 4), ("worst", 7), ("best", 0)]
    assert [rank for rank, _ in worst_and_best(rows[:1])] == ["best"]


def f1(text: list[str], reference: list[str], size: int) -> float:
    """ROUGE-N of one row, counted by hand; size 0: of the longest common subsequence, by its recursion."""
    if size == 0:
        table = [[0] * (len(reference) + 1) for _ in range(len(text) + 1)]
        for i, one in enumerate(text, 1):
            for j, other in enumerate(reference, 1):
                table[i][j] = table[i - 1][j - 1] + 1 if one == other else max(table[i - 1][j], table[i][j - 1])
        common, of_text, of_reference = table[-1][-1], len(text), len(reference)
    else:
        grams = [Counter(zip(*(words[shift:] for shift in range(size)), strict=False)) for words in (text, reference)]
        common, of_text, of_reference = (grams[0] & grams[1]).total(), grams[0].total(), grams[1].total()
    return 200 * common / (of_text + of_reference) if common else 0.0


def test_rouge_is_the_mean_f1_of_its_rows() -> None:
    texts = ["The cat sat on the mat, it did.", "nothing alike", "一只猫 sits"]
    references = ["the cat IS on the mat", "all other words", "一只狗 sits here"]
    split = [["the", "cat", "sat", "on", "the", "mat", "it", "did"], ["nothing", "alike"], ["一", "只", "猫", "sits"]]
    whole = [["the", "cat", "is", "on", "the", "mat"], ["all", "other", "words"], ["一", "只", "狗", "sits", "here"]]
    found = rouge(texts, references)
    for name, size in (("rouge", 0), ("rouge_1", 1), ("rouge_2", 2)):
        expected = sum(f1(*pair, size) for pair in zip(split, whole, strict=True)) / 3
        assert found[name] == pytest.approx(expected, rel=1e-5), name
