"""Comparison of heads, statistics over rows, and alignment errors: on planted cases, and by the command."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from attncli.analysis.alignment import Errors, Gold, links_of, read_gold
from attncli.analysis.comparing import compare, divergences, matched
from attncli.cli import commands
from attncli.errors import DataError, InputError
from attncli.maps.record import Sample
from tests.maps.made import attention
from tests.maps.test_page import data_of

SPEC = """
name: tiny
task: seq2seq
model: {d_model: 12, max_length: 16, attention: {heads: 3}, encoder: {layers: 1}, decoder: {layers: 1}}
tokenizer: words
data: {train: pairs.tsv, valid: pairs.tsv}
train: {duration: 4, batch: {kind: sequences, size: 2}, learning_rate: 0.1, checkpoints: {every: 2, keep_last: 2}}
evaluate: {decoding: greedy, every: 4}
"""


def attncli(*words: str) -> Result:
    return CliRunner().invoke(commands, list(words), env={"COLUMNS": "140"})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")
    (folder / "pairs.tsv").write_text("source\ttarget\na b c\tx y\nc a b\ty x\n", "utf-8")
    (folder / "tiny.yaml").write_text(SPEC)
    done = attncli("train", str(folder / "tiny.yaml"), "--run", str(folder / "run"), "--device", "cpu", "-q")
    assert done.exit_code == 0, done.output
    return folder / "run"


def test_divergence_is_the_mean_of_kullback_and_leibler_to_the_middle() -> None:
    one, other = attention(heads=2, seed=1).whole().astype(float), attention(heads=3, seed=2).whole().astype(float)
    found = divergences(one, other)
    one, other = (each / each.sum(-1, keepdims=True) for each in (one, other))
    assert found.shape == (2, 3)
    for h, g in itertools.product(range(2), range(3)):
        total = 0.0
        for p, q in zip(one[h], other[g], strict=True):
            for a, b in zip(p, q, strict=True):
                total += 0.5 * a * math.log2(2 * a / (a + b)) + 0.5 * b * math.log2(2 * b / (a + b))
        assert found[h, g] == pytest.approx(total / 3, abs=1e-9)
    sure = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    np.testing.assert_allclose(divergences(sure, sure), [[0, 1], [1, 0]], atol=1e-12)


def test_the_assignment_has_the_least_sum() -> None:
    distance = np.random.default_rng(0).uniform(size=(3, 5))
    found = matched(distance)
    least = min(sum(distance[row, c] for row, c in enumerate(chosen)) for chosen in itertools.permutations(range(5), 3))
    assert sum(distance[row, column] for row, column in found.items()) == pytest.approx(least)


def test_heads_in_another_order_are_found_again_and_one_that_moved_is_first() -> None:
    one = attention(heads=4, seed=3)
    weights = one.whole().copy()
    moved = attention(heads=4, seed=9).whole()[0]
    weights[2] = moved
    other = attention(heads=4, seed=3)
    object.__setattr__(other, "weights", weights[[3, 2, 0, 1]])
    sides = [[Sample({}, (each,), "forced") for _ in range(2)] for each in (one, other)]
    found = compare(*sides)
    assert (found.matches[0].head, found.matches[0].other) == (2, 1)
    assert {match.head: match.other for match in found.matches} == {0: 2, 1: 3, 2: 1, 3: 0}
    assert [match.divergence for match in found.matches[1:]] == pytest.approx([0, 0, 0], abs=1e-9)
    assert found.matches[0].low == pytest.approx(found.matches[0].divergence)
    with pytest.raises(InputError, match="reads other tokens in the second run"):
        compare(sides[0], [Sample({}, (attention(queries=["x", "y"], heads=4),), "forced")] * 2)


def test_a_run_against_its_checkpoints_precisions_and_kernels(run: Path) -> None:
    base = (
        "inspect",
        str(run),
        "--device",
        "cpu",
        "--text",
        "a b",
        "--target",
        "x",
        "--text",
        "c b a",
        "--target",
        "y",
    )
    for way, low, high in (("", 0, 1e-9), (",float64", 0, 1e-6), (",reference", 0, 1e-6), (",bfloat16", 1e-12, 0.01)):
        done = attncli(*base, "--compare", f"{run}{way}", "--json")
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout)["comparison"]
        assert all(match["head"] == match["other"] for match in found["matches"])
        assert low <= found["matches"][0]["divergence"] <= high
        assert len(found["matches"]) == 9
    earlier = attncli(*base, "--compare", f"{run}@2")
    assert earlier.exit_code == 0, earlier.output
    assert "decoder.0.cross_attention:" in earlier.stdout
    wrong = attncli(*base, "--compare", f"{run},int8")
    assert wrong.exit_code == 2
    assert "there is no way 'int8'" in wrong.stderr


def test_a_run_of_another_task_reads_other_texts(run: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("a b\nb a\n")
    (tmp_path / "lm.yaml").write_text(
        "name: lm\ntask: language_model\nmodel: {d_model: 8, attention: {heads: 2}, decoder: {layers: 1}}\n"
        "tokenizer: words\ndata: {train: texts.txt}\ntrain: {duration: 1, batch: {kind: sequences, size: 2}}\n"
    )
    other = tmp_path / "other"
    assert attncli("train", str(tmp_path / "lm.yaml"), "--run", str(other), "--device", "cpu", "-q").exit_code == 0
    wrong = attncli("inspect", str(run), "--device", "cpu", "--text", "a", "--compare", str(other))
    assert wrong.exit_code == 2, wrong.output
    said = wrong.stderr.replace("\n", " ")
    assert "that run reads text, and RUN reads source and target help: name a run of the same task" in said


def test_statistics_over_rows_are_means_of_those_of_each_text(run: Path) -> None:
    base = ("inspect", str(run), "--device", "cpu", "--json")
    whole = json.loads(attncli(*base, "--summary", "--split", "train").stdout)
    texts = ("--text", "a b c", "--target", "x y", "--text", "c a b", "--target", "y x")
    single = [sample["attentions"] for sample in json.loads(attncli(*base, *texts).stdout)["samples"]]
    head = next(one for one in whole["heads"] if (one["address"], one["head"]) == ("encoder.0.attention", 1))
    values = [
        next(a for a in sample if a["address"] == "encoder.0.attention")["statistics"]["entropy"][1]
        for sample in single
    ]
    mean, low, high = head["statistics"]["entropy"]
    assert mean == pytest.approx(sum(values) / 2)
    assert high - mean == pytest.approx(1.96 * np.std(values, ddof=1) / 2**0.5)
    assert low == pytest.approx(2 * mean - high)
    assert head["samples"] == 2
    assert "means over 1 texts of valid" in attncli(*base[:-1], "--summary", "--limit", "1").stdout


def test_statistics_over_rows_and_their_alignments_are_on_the_page_of_a_text(run: Path, tmp_path: Path) -> None:
    (tmp_path / "gold").write_text("0-0 1-1\n1-1 2-0\n")
    base = ("inspect", str(run), "--device", "cpu", "--json", "--summary", "--alignments", str(tmp_path / "gold"))
    alone = json.loads(attncli(*base).stdout)
    done = attncli(*base, "--text", "a b c", "--out", str(tmp_path / "maps"))
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["summary"] == alone
    assert data_of((tmp_path / "maps" / "attention.html").read_text("utf-8"))["overview"] == alone
    wrong = attncli(*base, "--out", str(tmp_path / "maps"))
    assert (wrong.exit_code, "add --text, and the page shows what is measured too" in wrong.stderr) == (2, True)


def test_alignment_error_rate_as_och_and_ney_have_it(tmp_path: Path) -> None:
    """A = {(0,0), (1,1), (2,1)}, S = {(0,0)}, P = {(0,0), (1,1)}: 1 - (1 + 2) / (3 + 1)."""
    path = tmp_path / "gold"
    path.write_text("0-0 1?1\n\n")
    gold = read_gold(path)
    assert gold[1] == Gold(frozenset(), frozenset())
    errors = Errors()
    errors.add(frozenset({(0, 0), (1, 1), (2, 1)}), gold[0])
    assert errors.rate == pytest.approx(0.25)
    path.write_text("0-0\n1-1 x\n")
    with pytest.raises(DataError, match="gold:2: 'x' is no link"):
        read_gold(path)


def test_words_of_several_tokens_are_joined_before_they_are_linked() -> None:
    """Source words 0 (two tokens) and 1; together the pieces of word 0 get more than word 1."""
    weights = np.array([[0.3, 0.3, 0.4], [0.1, 0.1, 0.8]])
    assert links_of(weights, ([0, 0, 1], [0, 1])) == {(0, 0), (1, 1)}
    assert links_of(weights, ([0, 0, 1], [0, 0])) == {(1, 0)}


def test_the_command_tells_the_rate_of_every_head(run: Path, tmp_path: Path) -> None:
    (tmp_path / "gold").write_text("0-0 1-1\n1-1 2-0\n")
    words = ("inspect", str(run), "--device", "cpu", "--summary", "--alignments", str(tmp_path / "gold"))
    found = json.loads(attncli(*words, "--json").stdout)["alignments"]
    assert {one["head"] for one in found} == {None, 0, 1, 2}
    assert all(0 <= one["alignment_error_rate"] <= 1 for one in found)
    (tmp_path / "gold").write_text("0-0 1-1\n")
    short = attncli(*words)
    assert short.exit_code == 2
    assert "it has fewer lines than valid" in short.stderr
    (tmp_path / "gold").write_text("0-0 1-1\n1-1 2-0\n0-0\n")
    long = attncli(*words)
    assert long.exit_code == 2
    assert "it has more lines than valid" in long.stderr
    assert attncli(*words, "--limit", "1").exit_code == 0
