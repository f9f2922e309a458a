"""Specs with one mistake: refused in words, at the line of the mistake, nearly always with the word that was meant."""

import random
import re

import pytest

from attncli.errors import SpecError
from attncli.spec.load import load_text
from tests.spec.mutations import LETTERS, SPECS, mutants, typo
from tests.spec.reports import refused

COUNT = 300
NAMED = {"key": 0.98, "kind": 0.98, "value": 1.0, "level": 1.0, "twice": 1.0}
"""The share of mutants whose help names the word that was meant: one letter of `relu` off may be nearer to `gelu`."""


@pytest.mark.parametrize("kind", NAMED)
def test_a_mistake_is_found_in_its_line_and_its_word_is_named(kind):
    named = 0
    for mutant in mutants(kind, COUNT, seed=1):
        report = refused(mutant.text)
        assert re.search(rf"^s\.yaml:{mutant.line}:\d+: .", report, re.M), report
        excerpt = mutant.text.split("\n")[mutant.line - 1][:40]
        assert f"\n{mutant.line} | {excerpt}" in report or f"\n{mutant.line} | …" in report
        named += mutant.meant in report
    assert named >= NAMED[kind] * COUNT


@pytest.mark.parametrize("kind", ["key", "kind", "twice"])
def test_a_mistake_is_reported_once(kind):
    """A misspelt word breaks nothing else, so nothing else is blamed for it."""
    alone = sum(len(re.findall(r"^s\.yaml:", refused(mutant.text), re.M)) == 1 for mutant in mutants(kind, 100, seed=2))
    assert alone >= 95


def test_mistakes_gather():
    """Two mistakes in different sections give both."""
    for one in mutants("value", 60, seed=3):
        if "\nseed:" in one.text or "tokenizer:" not in one.text or "lead" in one.text:
            continue
        report = refused(one.text + "\nsead: 3\n")
        if "faults in s.yaml" in report:
            assert "did you mean 'seed'?" in report
            return
    pytest.fail("no two mistakes were reported together")


def outcome(text: str) -> str:
    """The report of a spec; an empty one if it loads."""
    try:
        load_text(text)
    except SpecError as error:
        return str(error)
    return ""


def test_whatever_is_cut_out_of_a_spec_is_no_crash():
    """Pieces lost, doubled, or letters put in: a spec, or a SpecError with a place."""
    draw, reports = random.Random(4), []
    for _ in range(1000):
        text = draw.choice(SPECS).read_text(encoding="utf-8")
        start = draw.randrange(len(text))
        stop = start + draw.choice([1, 1, 3, 20])
        piece = draw.choice(["", text[start:stop] * 2, draw.choice(LETTERS + "{}[]:,-#&*!|>'\"%@`~\t\n\0\ufeff 0.")])
        reports.append(outcome(text[:start] + piece + text[stop:]))
    assert all(report.startswith("spec.yaml:") for report in reports if report)
    assert 100 < reports.count("") < 900


def test_a_typo_is_one_step_away():
    draw = random.Random(5)
    for word in ("heads", "learning_rate", "kind"):
        for _ in range(50):
            wrong = typo(word, draw)
            assert abs(len(wrong) - len(word)) <= 1
            assert len(set(wrong) - set(word)) <= 1
