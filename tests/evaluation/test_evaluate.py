"""evaluate: the numbers of every task by another route, with models whose weights are random."""

import math
from collections.abc import Sequence

import pytest
import torch

from attncli.decoding import Hypothesis, decoder
from attncli.errors import DataError, InputError
from attncli.evaluation import METRICS, Report, evaluate
from attncli.nn.outputs import Losses
from attncli.streams import IGNORE, Batch, stream
from tests.evaluation.made import ROWS, Made, made


def score(case: Made, **options: object) -> Report:
    run, codec, model, rows = case
    return evaluate(model, codec, rows, run, decode=decoder(model, codec, run), **options)


def fake_decode(texts: list[tuple[list[int], list[int]]]) -> object:
    """A decoder that knows what to write for each source."""

    def decode(batch: Batch, longest: int) -> list[list[Hypothesis]]:
        source = batch["source"]
        rows = [tuple(values[real].tolist()) for values, real in zip(source.values, source.real, strict=True)]
        assert set(batch) == {"source"}
        return [[Hypothesis(known[row][:longest], 0.0, 0.0, True, [])] for row in rows]

    known: dict[tuple[int, ...], list[int]] = {tuple(source): text for source, text in texts}
    return decode


def nll_of(model: torch.nn.Module, batch: Batch) -> list[tuple[float, bool]]:
    """(-ln p, whether likeliest) of each label of a batch of one row."""
    with torch.no_grad():
        logits = model(batch)[0].double()
    labels = batch["labels"].values[0].tolist()
    return [
        (float(row.logsumexp(0) - row[label]), int(row.argmax()) == label)
        for row, label in zip(logits, labels, strict=True)
        if label != IGNORE
    ]


def of_rows(found: Sequence[tuple[float, bool]]) -> dict[str, float]:
    return {
        "perplexity": math.exp(sum(nll for nll, _ in found) / len(found)),
        "token_accuracy": sum(right for _, right in found) / len(found),
    }


def test_translations_are_scored_against_the_references() -> None:
    case = made("seq2seq")
    codec, rows = case.codec, case.rows
    known = []
    for row in rows:
        written = codec.encode({"source": row["source"], "target": "ab" if row is rows[1] else row["target"]}).fields
        known.append(([*written["source"], codec.vocabularies["source"].eos], written["target"]))
    report = evaluate(case.model, codec, rows, case.run, decode=fake_decode(known))
    assert report.metrics["exact_match"] == 3 / 4
    assert 0 < report.metrics["chrf"] < 100
    assert set(report.metrics) == set(METRICS["seq2seq"])
    assert set(report.signatures) == {"bleu", "chrf"}
    assert [row["written"] for row in report.predictions] == ["ba", "ab", "baba", "babababa"]
    assert report.examples[0]["rank"] == "worst"
    assert report.examples[0]["reference"] == "bababa"


def test_perplexity_of_a_translation_is_that_of_its_rows_one_by_one() -> None:
    case = made("seq2seq")
    alone = [nll for row in case.rows for nll in nll_of(case.model, case.codec.collate([case.codec.encode(row)]))]
    report = score(case, metrics=["perplexity", "token_accuracy"])
    assert report.metrics == {name: pytest.approx(value, abs=1e-5) for name, value in of_rows(alone).items()}
    assert report.counts == {"rows": 4, "tokens": len(alone)}


@pytest.mark.parametrize(("target", "text", "exact"), [("Ba", "ba", 1.0), ("Bq", "bq", 0.0), ("ba", "ab", 0.0)])
def test_exact_is_measured_by_what_the_tokenizer_leaves(target: str, text: str, exact: float) -> None:
    """The case is not the model's to know; an unknown token is not what was to be written."""
    case = made("seq2seq", "tokenizer.lowercase=true", rows=[{"source": "ab", "target": target}])
    vocabulary = case.codec.vocabularies["source"]
    known = [([*vocabulary.encode("ab"), vocabulary.eos], vocabulary.encode(text))]
    report = evaluate(case.model, case.codec, case.rows, case.run, decode=fake_decode(known))
    assert report.metrics["exact_match"] == exact
    assert "case:lc" in report.signatures["bleu"]


def test_only_what_is_asked_for_is_computed() -> None:
    def never(batch: Batch, longest: int) -> list[list[Hypothesis]]:
        raise AssertionError

    case = made("seq2seq")
    report = evaluate(case.model, case.codec, case.rows, case.run, decode=never, metrics=["perplexity"])
    assert set(report.metrics) == {"perplexity"}
    report = score(made("seq2seq", "evaluate.metrics=[exact_match]"))
    assert set(report.metrics) == {"exact_match"}
    assert report.counts == {"rows": 4}
    assert report.signatures == {}


def test_texts_are_cut_at_twice_the_longest_reference() -> None:
    asked = []

    def decode(batch: Batch, longest: int) -> list[list[Hypothesis]]:
        asked.append(longest)
        return [[Hypothesis([], 0.0, 0.0, True, [])]] * len(batch["source"].values)

    case = made("seq2seq")
    evaluate(case.model, case.codec, case.rows, case.run, decode=decode)
    assert set(asked) == {2 * 8 + 32}


@pytest.mark.parametrize("kind", ["transformer", "gru"])
def test_a_language_model_is_scored_token_by_token(kind: str) -> None:
    """Each token by a forward pass of its own, over the last window that may hold it."""
    recurrent = ["model.decoder={kind: recurrent, d_hidden: 16, max_length: 12}"] if kind == "gru" else []
    case = made("language_model", *recurrent)
    vocabulary, size = case.codec.vocabularies["text"], 12
    found = []
    for row in case.rows:
        ids = vocabulary.encode(row["text"])
        text, labels = [vocabulary.bos, *ids], [*ids, vocabulary.eos]
        for place, label in enumerate(labels):
            end = min(len(text), size if place < size else size + math.ceil((place + 1 - size) / 6) * 6)
            start = max(0, end - size)
            batch = {
                "text": stream([text[start : place + 1]], pad=0),
                "labels": stream([[IGNORE] * (place - start) + [label]], pad=IGNORE),
            }
            found += nll_of(case.model, batch)
    report = score(case)
    size_of_texts = sum(len(row["text"].encode()) for row in case.rows)
    bits = sum(nll for nll, _ in found) / math.log(2) / size_of_texts
    assert report.metrics == {
        name: pytest.approx(value, abs=1e-5) for name, value in (of_rows(found) | {"bits_per_byte": bits}).items()
    }
    assert report.counts == {"rows": 4, "tokens": len(found), "bytes": size_of_texts}
    assert report.notes == ()


def test_unknown_tokens_make_bits_per_byte_doubtful() -> None:
    report = score(made("language_model", rows=[{"text": "abQQ"}]))
    assert report.notes == ("2 tokens are unknown to the tokenizer, so bits_per_byte is too small",)
    report = score(made("language_model", rows=[{"text": "abQQ"}]), metrics=["perplexity"])
    assert report.notes == ()


def test_hidden_tokens_are_the_same_at_every_evaluation() -> None:
    case = made("masked_language_model", "task.rate=0.5")
    first = score(case)
    torch.rand(3)
    assert score(case).metrics == first.metrics
    assert set(first.metrics) == {"token_accuracy", "perplexity"}
    assert 0 < first.counts["tokens"] < sum(len(row["text"]) for row in case.rows)
    other = score(made("masked_language_model", "task.rate=0.5", "seed=5"))
    assert other.metrics["perplexity"] != first.metrics["perplexity"]


def test_a_long_text_is_hidden_in_parts_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    case, widths = made("masked_language_model"), []
    losses = case.model.losses

    def watched(batch: Batch) -> Losses:
        widths.append(batch["text"].values.shape[1])
        return losses(batch)

    monkeypatch.setattr(case.model, "losses", watched)
    score(case)
    assert max(widths) == 12


def test_classes_are_scored_by_the_likeliest() -> None:
    case = made("classification")
    with torch.no_grad():
        shares = [case.model(case.codec.collate([case.codec.encode(row)]))[0].softmax(0) for row in case.rows]
    predicted = [case.codec.labels[int(share.argmax())] for share in shares]
    report = score(case)
    right = [row["label"] == guess for row, guess in zip(case.rows, predicted, strict=True)]
    assert report.metrics["accuracy"] == sum(right) / 5
    assert [row["predicted"] for row in report.predictions] == predicted
    assert [row["probability"] for row in report.predictions] == [
        pytest.approx(float(share.max()), abs=1e-5) for share in shares
    ]
    assert sum(map(sum, report.confusion)) == 5
    assert report.labels == ("x", "y", "z")
    ranked = [row["probability"] for row in report.examples if row["rank"] == "worst"]
    assert ranked == sorted(ranked, reverse=True)
    assert all(row["predicted"] != row["reference"] for row in report.examples if row["rank"] == "worst")


def test_tags_are_scored_by_words() -> None:
    case = made("tagging")
    guesses = []
    for row in case.rows:
        batch = case.codec.collate([case.codec.encode(row)])
        with torch.no_grad():
            likeliest = case.model(batch)[0].argmax(1)
        guesses += [case.codec.labels[int(tag)] for tag in likeliest[batch["labels"].values[0] != IGNORE]]
    wanted = [tag for row in case.rows for tag in row["tags"].split()]
    report = score(case)
    assert report.counts == {"rows": 3, "words": 6}
    assert report.metrics["accuracy"] == sum(a == b for a, b in zip(wanted, guesses, strict=True)) / 6
    assert set(report.metrics) == {"accuracy", "span_f1", "macro_f1"}
    for row, label in enumerate(report.labels):
        for column, guess in enumerate(report.labels):
            assert report.confusion[row][column] == list(zip(wanted, guesses, strict=True)).count((label, guess))
    assert "span_f1" not in score(made("tagging", "task.scheme=none")).metrics


def test_the_limit_takes_the_first_rows() -> None:
    case = made("classification")
    assert score(case, limit=2).counts == {"rows": 2}
    assert score(case, limit=99).counts == {"rows": 5}
    assert [row["text"] for row in score(case, limit=2).predictions] == ["ab", "abab"]


def test_a_model_in_training_is_scored_without_dropout_and_left_in_training() -> None:
    case = made("seq2seq")
    case.model.train()
    assert score(case, metrics=["perplexity"]).metrics == score(case, metrics=["perplexity"]).metrics
    assert case.model.training


def test_progress_counts_rows() -> None:
    told = []
    score(made("classification"), progress=lambda done, total: told.append((done, total)))
    assert told == [(5, 5)]


LONG = [*ROWS["classification"], {"text": "a" * 40, "label": "x"}]
STRANGE = [*ROWS["classification"], {"text": "a", "label": "w"}]


def test_a_row_that_does_not_fit_is_refused_with_its_place() -> None:
    with pytest.raises(DataError, match=r"rows.tsv:6: 'text' has 42 tokens(.|\n)*max_length is 12\nhelp: "):
        score(made("classification", rows=LONG))
    with pytest.raises(DataError, match=r"rows.tsv:6: there is no label 'w'(.|\n)*help: "):
        score(made("classification", rows=STRANGE))


@pytest.mark.parametrize(("key", "rows"), [("on_long", LONG), ("on_bad_row", STRANGE)])
def test_a_row_that_does_not_fit_is_left_out_where_the_spec_says_so(key: str, rows: list[dict[str, str]]) -> None:
    assert score(made("classification", f"data.{key}=skip", rows=rows)).counts == {"rows": 5, "skipped": 1}
    other = {"on_long": "on_bad_row", "on_bad_row": "on_long"}[key]
    with pytest.raises(DataError):
        score(made("classification", f"data.{other}=skip", rows=rows))


def test_no_row_is_an_error() -> None:
    with pytest.raises(DataError, match="there is no row to score\nhelp: give rows"):
        score(made("classification", rows=[]))


@pytest.mark.parametrize(
    ("kind", "metric", "message"),
    [
        ("seq2seq", "blue", "seq2seq has no metric 'blue'; did you mean 'bleu'\\?\nhelp: its metrics are bleu, chrf"),
        ("classification", "bleu", "classification has no metric 'bleu'\nhelp: its metrics are accuracy, macro_f1"),
    ],
)
def test_a_metric_of_no_such_task_is_refused(kind: str, metric: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        score(made(kind), metrics=[metric])


def test_span_f1_needs_the_scheme() -> None:
    with pytest.raises(InputError, match=r"tagging has no metric 'span_f1'(.|\n)*help: write task.scheme: bio"):
        score(made("tagging", "task.scheme=none"), metrics=["span_f1"])
