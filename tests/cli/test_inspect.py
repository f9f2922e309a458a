"""`attncli inspect` on a run that was trained: what it prints, what it writes, and its exit codes."""

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from attncli.cli import commands
from attncli.cli.analyses import print_table, table_of

SPEC = """
name: tiny
task: seq2seq
model: {d_model: 12, max_length: 16, attention: {heads: 2}, encoder: {layers: 1}, decoder: {layers: 1}}
tokenizer: characters
data: {train: pairs.tsv}
train: {duration: 1, batch: {kind: sequences, size: 2}}
evaluate: {decoding: {kind: beam, size: 3}}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one step."""
    folder = tmp_path_factory.mktemp("inspect")
    (folder / "pairs.tsv").write_text("source\ttarget\nabc\t你好\ncab\t好你\n", "utf-8")
    (folder / "tiny.yaml").write_text(SPEC)
    trained = attncli("train", str(folder / "tiny.yaml"), "--run", str(folder / "run"), "--device", "cpu", "-q")
    assert trained.exit_code == 0, trained.output
    return folder / "run"


def attncli(*words: str) -> Result:
    return CliRunner().invoke(commands, list(words), env={"COLUMNS": "80"})


def inspect(run: Path, *words: str) -> Result:
    return attncli("inspect", str(run), "--device", "cpu", *words)


def test_without_a_folder_it_draws_the_cross_attention_and_says_how_to_export(run: Path) -> None:
    done = inspect(run, "--text", "abc", "--target", "你好")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[:2] == ["source: abc", "target: 你好"]
    assert re.fullmatch(r"decoder\.0\.cross_attention · head [01] of 2", lines[2])
    assert any(line.startswith("   你 ") for line in lines)
    assert lines[-1] == "all maps, and a page to look at them: add --out FOLDER"


def test_a_folder_gets_page_and_data_and_the_page_s_place_is_printed(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "maps"
    done = inspect(run, "--text", "abc", "--text", "b", "--out", str(out))
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0] == f"6 maps of 2 texts in {out}"
    assert re.match(r"certified: max\|rows - 1\| \d\.\de-\d\d, max\|map V - output\| ", done.stdout.splitlines()[1])
    assert done.stdout.splitlines()[-1] == f"open {out / 'attention.html'}"
    assert sorted(path.name for path in out.iterdir()) == ["attention.html", "attention.json", "manifest.json"]
    found = json.loads((out / "attention.json").read_text("utf-8"))
    assert found["certified"] is True
    assert found["about"]["checkpoint"] == "best (step 1)"
    sample = found["samples"][1]
    assert sample["texts"]["source"] == "b"
    assert sample["decoding"] == "beam of 3"
    assert sample["replay_error"] < 1e-4
    for attention in sample["attentions"]:
        np.testing.assert_allclose(np.array(attention["weights"]).sum(-1), 1, atol=1e-5)


def test_every_format_is_written(run: Path, tmp_path: Path) -> None:
    done = inspect(run, "--text", "abc", "--only", "*.cross_attention", "--out", str(tmp_path), "--format", "all")
    assert done.exit_code == 0, done.output
    stem = "0-decoder.0.cross_attention"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*(f"attention.{kind}" for kind in ("csv", "html", "json", "npz", "parquet", "safetensors")), f"{stem}.png",
         f"{stem}.svg", "manifest.json"]
    )  # fmt: skip


def test_one_map_is_one(run: Path, tmp_path: Path) -> None:
    done = inspect(run, "--text", "abc", "--only", "encoder.*", "--format", "json", "--out", str(tmp_path))
    assert done.stdout.splitlines()[0] == f"1 map of one text in {tmp_path}"


def test_a_folder_with_maps_is_refused_before_the_model_is_loaded(run: Path, tmp_path: Path) -> None:
    (tmp_path / "attention.html").write_text("mine")
    done = inspect(run / "nowhere", "--text", "abc", "--out", str(tmp_path))
    assert done.exit_code == 2
    assert done.stderr.startswith(f"{tmp_path}: there are maps in this folder already\nhelp: add --force")
    assert (tmp_path / "attention.html").read_text() == "mine"


def test_json_has_tokens_certificates_and_statistics(run: Path) -> None:
    done = inspect(run, "--text", "abc", "--decoding", "greedy", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["files"] == []
    first = found["samples"][0]["attentions"][0]
    assert (first["address"], first["keys"]) == ("encoder.0.attention", ["a", "b", "c", "[EOS]"])
    assert first["certificate"]["holds"] is True
    assert len(first["statistics"]["information"]) == 2


def test_the_n_best_of_a_beam_are_samples(run: Path) -> None:
    done = inspect(run, "--text", "abc", "--n-best", "2", "--json")
    assert [one["decoding"] for one in json.loads(done.stdout)["samples"]] == ["beam of 3, 1 of 2", "beam of 3, 2 of 2"]


def test_maps_that_fail_are_written_and_the_exit_code_is_three(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from attncli.nn.kernels import fused

    honest = fused.told

    def spoilt(*parts: Any, **options: Any) -> Any:
        made, lse = honest(*parts, **options)
        return made * 1.01, lse

    monkeypatch.setattr(fused, "told", spoilt)
    done = inspect(run, "--text", "abc", "--target", "好", "--out", str(tmp_path))
    assert done.exit_code == 3
    assert "the maps are not certified: they are not what the kernel computed" in done.stderr
    assert "sample 0: encoder.0.attention: max|map V - output| is " in done.stderr
    assert "certified:" not in done.stdout
    assert json.loads((tmp_path / "manifest.json").read_text())["certified"] is False


@pytest.mark.parametrize(("words", "message"), [
    ([], "there is no text to look at"),
    (["--text", "abc", "--format", "pdf"], "there is no format 'pdf'; choose from html, json, csv, npz, safetensors,"),
    (["--text", "abc", "--only", "nothing"], "--only nothing: no attention has such an address"),
    (["--text", "abc", "--generate", "3"], "--generate: a seq2seq model continues no text"),
    (["--text", "abcabcabcabcabcabc"], "'source' has 19 tokens"),
    (["--text", "abc", "--checkpoint", "7"], "there is no checkpoint '7'"),
    (["--text", "abc", "--format", "png", "--force"], "--format and --force: of what --out writes: add --out FOLDER"),
    (["--summary", "--n-best", "2", "--roles"], "--n-best and --roles: of single texts, and none is given: add --text"),
    (["--importance", "--only", "*"], "--only: of single texts, and none is given: add --text"),
    (["--summary", "--data", "no.tsv"], "--data no.tsv: there is no such file help: name a file with the columns"),
])  # fmt: skip
def test_wrong_input_is_exit_two_with_its_way_out(run: Path, words: list[str], message: str) -> None:
    done = inspect(run, *words)
    assert done.exit_code == 2
    assert message in done.stderr.replace("\n", " ")
    assert done.stdout == ""


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    done = inspect(tmp_path, "--text", "abc")
    assert done.exit_code == 2
    assert "this is no run folder" in done.stderr


def test_rows_chosen_go_to_disk_and_later_samples_are_appended(run: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    words = ("--target", "好", "--rows", str(rows), "--only", "decoder.*", "--heads", "1", "--queries", "0:1")
    done = inspect(run, "--text", "abc", *words)
    assert done.exit_code == 0, done.output
    assert f"whole rows in {rows}" in done.stdout
    again = inspect(run, "--text", "ca", "--target", "你", "--rows", str(rows), "--json")
    assert again.exit_code == 0, again.output
    assert sorted(str(path.relative_to(rows)) for path in rows.rglob("*.npy")) == [
        "0/decoder.0.attention.npy", "0/decoder.0.cross_attention.npy", "1/decoder.0.attention.npy",
        "1/decoder.0.cross_attention.npy", "1/encoder.0.attention.npy",
    ]  # fmt: skip
    found = np.load(rows / "0" / "decoder.0.cross_attention.npy", mmap_mode="r")
    assert found.shape == (1, 1, 4)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
    about = json.loads((rows / "0" / "decoder.0.cross_attention.json").read_text("utf-8"))
    assert about["heads"] == [1]
    assert about["keys"] == ["a", "b", "c", "[EOS]"]
    told = json.loads(again.stdout)["samples"][0]["attentions"][0]
    assert told["kept"] == {"heads": [0, 1], "queries": [0, 3], "file": str(rows)}


def test_rows_beyond_the_budget_are_in_no_file_but_the_summary_is(run: Path, tmp_path: Path) -> None:
    done = inspect(run, "--text", "abc", "--target", "好", "--heads", "0", "--out", str(tmp_path), "--format",
                   "json,npz,csv")  # fmt: skip
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "attention.json").read_text("utf-8"))["samples"][0]["attentions"][0]
    assert found["kept"] == {"heads": [0], "queries": [0, 4], "file": None}
    assert np.array(found["weights"]).shape == (1, 4, 4)
    assert np.array(found["summary"]["overview_mean"]).shape == (2, 4, 4)
    arrays = np.load(tmp_path / "attention.npz")
    assert arrays["0/encoder.0.attention:top_keys"].shape == (2, 4, 8)


@pytest.mark.parametrize(("words", "message"), [
    (("--budget", "tiny"), "--budget tiny: this is no size"),
    (("--budget", "3KB"), "--budget 3KB: this is less than 16 MB"),
    (("--heads", "7"), "--heads 7: encoder.0.attention has heads 0 to 1"),
    (("--queries", "4:2"), "--queries 4:2: this range is empty"),
    (("--rows", __file__), "this is a file"),
    (("--branches",), "--branches: no beam search writes here"),
])  # fmt: skip
def test_what_cannot_be_kept_is_refused_with_its_place(run: Path, words: tuple[str, ...], message: str) -> None:
    done = inspect(run, "--text", "abc", "--target", "好", *words)
    assert done.exit_code == 2
    assert message in done.stderr.replace("\n", " ")


def test_claims_decide_the_exit_code(run: Path) -> None:
    words = ("--text", "abc", "--target", "你好")
    good = inspect(run, *words, "--assert", "no_leak; certified", "--assert", "entropy(decoder) >= 0")
    assert good.exit_code == 0, good.output
    assert good.stdout.count("holds  ") == 3
    bad = inspect(run, *words, "--assert", "no_leak; peak(*) > 1.5")
    assert bad.exit_code == 3
    assert "fails  peak(*) > 1.5: " in bad.stdout
    wrong = inspect(run, *words, "--assert", "no_leaks")
    assert wrong.exit_code == 2
    data = json.loads(inspect(run, *words, "--json", "--roles", "--assert", "no_leak").stdout)
    assert data["claims"] == [{"claim": "no_leak", "holds": True, "found": data["claims"][0]["found"]}]
    assert {"address", "head", "name", "score", "low", "high", "chance", "held"} <= data["roles"][0].keys()


def test_roles_are_named_in_the_terminal(run: Path) -> None:
    done = inspect(run, "--text", "abc", "--text", "cab", "--roles")
    assert done.exit_code == 0, done.output
    assert re.match(r"\d+ of 6 heads have a role, on 2 texts", done.stdout)


def test_the_branches_that_a_beam_gave_up_are_shown_on_request(run: Path) -> None:
    done = inspect(run, "--text", "abc", "--decoding", "beam", "--branches", "--json")
    assert done.exit_code == 0, done.output
    names = [sample["decoding"] for sample in json.loads(done.stdout)["samples"]]
    assert names[0] == "beam of 3"
    count = len(names) - 1
    assert count > 0
    assert names[1:] == [f"beam of 3, branch {rank} of {count} that it gave up" for rank in range(1, count + 1)]


def test_what_is_drawn_at_random_is_shown_too(run: Path) -> None:
    done = inspect(run, "--text", "abc", "--decoding", "sample", "--json")
    assert done.exit_code == 0, done.output
    (sample,) = json.loads(done.stdout)["samples"]
    assert sample["decoding"] == "sample"
    assert sample["replay_error"] < 1e-4


def test_the_same_maps_in_python_have_axes_with_names(run: Path) -> None:
    from attncli import load_run
    from attncli.maps.named import named

    maps = load_run(run).maps(["abc"], targets=["好"])
    assert maps.faults() == []
    weights = named(maps)["0/decoder.0.cross_attention"]["weights"]
    assert weights.axes == ("head", "query", "key")
    assert weights.labels["key"] == ("a", "b", "c", "[EOS]")
    np.testing.assert_allclose(weights.at(head=1).values.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize(("width", "tables"), [(60, 1), (40, 2), (24, 3)])
def test_a_table_that_a_terminal_is_too_narrow_for_goes_on_in_further_ones(width: int, tables: int) -> None:
    """Each behind the names of its rows, so that no number is cut."""
    out = io.StringIO()
    table = table_of("head", "entropy", "peak", "first")
    for head in range(2):
        table.add_row(f"decoder.0:{head}", f"{head}.125", "0.250 ± 0.020", "0.500")
    print_table(Console(file=out, width=width, force_terminal=True, color_system=None), table)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert sum("head" in line for line in lines) == tables
    for word in ("entropy", "peak", "first", "0.125", "1.125", "0.250 ± 0.020", "0.500"):
        assert word in out.getvalue()


def test_rows_of_a_table_carry_what_masks_read(tmp_path: Path) -> None:
    """The number of a row decides what is seen: the same text has other maps with another one."""
    (tmp_path / "pairs.tsv").write_text("source\ttarget\tpart\nabc\t你好\t1\nabc\t好你\t0\n", "utf-8")
    (tmp_path / "tiny.yaml").write_text(
        SPEC.replace("encoder: {layers: 1}", 'encoder: {layers: 1, attention: {mask: "k % 2 == part | k == q"}}')
        .replace("{train: pairs.tsv}", "{train: pairs.tsv, fields: {part: {kind: integer}}}")
    )  # fmt: skip
    run = tmp_path / "run"
    assert attncli("train", str(tmp_path / "tiny.yaml"), "--run", str(run), "--device", "cpu", "-q").exit_code == 0
    words = ("--explain-by", "norm", "--compare", f"{run},reference", "--format", "json")
    done = inspect(run, "--file", str(tmp_path / "pairs.tsv"), "--out", str(tmp_path / "maps"), *words)
    assert done.exit_code == 0, done.output
    samples = json.loads((tmp_path / "maps" / "attention.json").read_text("utf-8"))["samples"]
    for sample, part in zip(samples, (1, 0), strict=True):
        assert sample["texts"]["part"] == str(part)
        own = next(one for one in sample["attentions"] if one["address"] == "encoder.0.attention")
        seen = np.array(own["weights"])[0] > 0
        assert (seen == [[k % 2 == part or k == q for k in range(4)] for q in range(4)]).all()
    refused = inspect(run, "--text", "abc")
    assert (refused.exit_code, "read 'part', which is not given" in refused.stderr) == (2, True)
