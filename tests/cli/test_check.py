"""`attncli check`: the certificate, as text and as JSON, and exit code 3 with the witness."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from attncli.cli import commands

SPEC = """
name: tiny
task: language_model
model: {decoder: {d_model: 16, layers: 1, attention: {heads: 2, mask: causal & window(before=200)}}}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(SPEC)
    return path


def check(*words: object) -> Result:
    return CliRunner().invoke(commands, ["check", *map(str, words)], prog_name="attncli")


def test_a_right_model_is_certified(spec: Path) -> None:
    done = check(spec)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith("tiny, made small: ")
    assert "✓ causality  No output depends on a token that comes after it." in lines
    assert lines[-1].startswith("certified: tiny, errors within 1e-08")


def test_json_has_every_law(spec: Path) -> None:
    done = check(spec, "--json", "--seed", "3")
    found = json.loads(done.stdout)
    assert (found["holds"], found["seed"], found["name"]) == (True, 3, "tiny")
    assert {"causality", "cache", "padding", "packing", "gradient", "kernel"} <= {law["law"] for law in found["laws"]}
    assert all(law["error"] < found["tolerance"] for law in found["laws"])
    assert "window(before=12)" in found["spec"]


def test_a_wrong_model_ends_with_three_and_its_witness(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from attncli.nn.cache import KeyValue

    monkeypatch.setattr(KeyValue, "reorder", lambda self, index: None)
    done = check(spec)
    assert done.exit_code == 3
    assert "✗ cache" in done.stdout
    assert "it fails: RuntimeError: The expanded size" in done.stdout
    assert done.stderr.startswith("tiny: not certified: cache\nhelp: ")


def test_a_wrong_spec_ends_with_two(spec: Path) -> None:
    done = check(spec, "-o", "model.decoder.attention.heads=3")
    assert done.exit_code == 2
    assert "heads" in done.stderr
