"""attncli explain, as a user runs it."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from attncli.cli import commands


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(commands, ["explain", *arguments], prog_name="attncli")
    assert result.exit_code == code, result.output
    return result.output


def test_without_a_name_everything_is_listed():
    text = run()
    for word in ("scaled_dot", "biased_dot", "entmax", "rotary", "lstm", "window(before, after)", "加性注意力"):
        assert word in text
    listed = json.loads(run("--json"))
    assert "additive" in next(role for role in listed["roles"] if role["role"] == "score")["kinds"]
    assert listed["chinese"]["加性注意力"] == ["additive", "biased_dot"]


def test_a_kind_is_told_with_source_options_and_numbers():
    text = run("additive")
    assert text.startswith("additive · 加性注意力\na kind of score, under model.attention.score\n")
    assert "arXiv:1409.0473" in text
    assert "d_hidden: an integer of 1 or more; default: d_head" in text
    assert "weights = softmax over what is seen" in text


def test_words_may_be_apart_and_chinese():
    assert run("scaled", "dot") == run("scaled_dot") == run("缩放点积")


@pytest.mark.parametrize(
    "arguments", [["mask", "causal & window(before=3)"], ["掩码", "causal", "&", "window(before=3)"]]
)
def test_a_mask_is_drawn(arguments):
    text = run(*arguments, "--length", "5")
    assert text.splitlines()[3:8] == ["0  █····", "1  ██···", "2  ███··", "3  ████·", "4  ·████"]
    assert "visible pairs: 14 of 25 (56.0%), 5 queries, 5 keys" in text
    assert run("causal & window(before=3)", "--length", "5") == text


def test_a_mask_as_data():
    found = json.loads(run("mask", "window(around=1)", "--length", "3", "--json"))
    assert found["visible"] == 7
    assert found["ahead"] == {"q": 0, "k": 1, "h": 0}
    assert found["causal"] is False
    assert found["empty"] is None


def test_a_kind_as_data():
    (entry,) = json.loads(run("softmax", "--json"))["entries"]
    weights = next(step["value"] for step in entry["example"] if step["name"] == "weights")
    assert sum(weights) == pytest.approx(1)


def test_the_words_of_masks_are_told():
    assert "(q - k) % step == 0" in run("mask")
    assert "q // n == k // n" in run("block")


def test_an_unknown_name_is_the_users_error():
    assert run("sclaed_dot", code=2) == "there is no 'sclaed_dot' to explain\nhelp: did you mean 'scaled_dot'?\n"


def test_flags_of_a_drawing_are_refused_where_none_is_made():
    assert "--length and --heads: of the drawing of a mask" in run("additive", "--length", "8", "--heads", "2", code=2)


def test_a_wrong_mask_is_the_users_error_with_its_column():
    excerpt = "  causal & windw(before=3)\n           ^\n"
    message = f"mask:10: there is no 'windw' in masks\n{excerpt}help: did you mean 'window'?\n"
    assert run("mask", "causal & windw(before=3)", code=2) == message


def test_explain_needs_no_torch():
    code = (
        "import sys; from click.testing import CliRunner; from attncli.cli import commands\n"
        "for words in ([], ['additive'], ['mask', 'causal']):\n"
        "    assert CliRunner().invoke(commands, ['explain', *words]).exit_code == 0\n"
        "print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
