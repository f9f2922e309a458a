"""attncli profile: counts, measurements, their JSON, and how it refuses."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from attncli.cli import commands
from attncli.nn.model import token_fields
from attncli.profiling import report, roofline
from attncli.profiling.flops import Scene, work_of
from attncli.profiling.report import Setting
from attncli.spec.load import load_spec
from attncli.spec.sizes import sizes_of

SPEC = """\
name: small
task: seq2seq
model:
  d_model: 32
  max_length: 20
  encoder: {layers: 1}
  decoder: {layers: 2}
tokenizer: {kind: bpe, vocabulary: 300}
train: {batch: {size: 200}}
"""


@pytest.fixture(autouse=True)
def threads():
    """The threads that the command sets are its own."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
    torch.set_flush_denormal(False)


@pytest.fixture
def spec(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "130")
    whole = report.Setting

    def hasty(**given):
        return whole(**given, seconds=0.02)

    monkeypatch.setattr(report, "Setting", hasty)
    monkeypatch.setattr(roofline, "SIZES", (64,))
    monkeypatch.setattr(roofline, "COPIED", 2**20)
    path = Path("small.yaml")
    path.write_text(SPEC)
    return path


def profile(*arguments: object) -> Result:
    return CliRunner().invoke(commands, ["profile", *map(str, arguments)], prog_name="attncli")


def test_counts_without_measuring(spec):
    found = json.loads(profile(spec, "--no-measure", "--json").stdout)
    run = load_spec(spec).run
    scene = Scene(5, {"encoder": 20, "decoder": 20}, "train")
    work = work_of(run, sizes_of(run, token_fields(run)), scene)
    assert found["flops"] == sum(w.visible for w in work) < found["flops_dense"] == sum(w.dense for w in work)
    assert {m["name"]: m["flops"] for m in found["modules"] if m["flops"]} == {w.address: w.visible for w in work}
    assert (found["batch"], found["lengths"], found["tokens"]) == (5, scene.lengths, 100)
    assert found["parameters"] == sum(m["parameters"] for m in found["modules"])
    assert "seconds" not in found


@pytest.mark.parametrize("phase", ["train", "forward", "decode"])
def test_measurements(spec, phase):
    result = profile(spec, "--phase", phase, "--json", "--length", 9, "--batch", 3, "--threads", 1, "--device", "cpu")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    seconds, memory = found["seconds"], found["memory"]
    assert 0 < seconds["least"] <= seconds["median"] <= seconds["most"]
    assert found["tokens"] == (3 if phase == "decode" else 27)
    assert found["tokens_per_second"] == pytest.approx(found["tokens"] / seconds["median"])
    assert found["share_of_peak"] == pytest.approx(found["flops"] / seconds["median"] / found["machine"]["flops"])
    assert (found["threads"], found["device"], found["dtype"], found["phase"]) == (1, "cpu", "float32", phase)
    assert memory["parameters"] == 4 * found["parameters"]
    assert memory["peak"] >= memory["parameters"] + memory["gradients"] + memory["optimizer"] + memory["cache"]
    training = phase == "train"
    assert (memory["gradients"] > 0) == (memory["saved"] > 0) == training
    if training:
        assert memory["gradients"] == memory["parameters"]
        assert memory["optimizer"] >= 2 * memory["parameters"]  # AdamW's two moments, and step counters
        assert memory["saved"] >= sum(m["saved_bytes"] for m in found["modules"])
    assert all((m["backward_seconds"] > 0) == training for m in found["modules"])
    assert all(m["forward_seconds"] > 0 for m in found["modules"] if m["name"].startswith(("decoder", "head")))


def test_the_cache_holds_keys_and_values_of_both_attentions(spec):
    found = json.loads(profile(spec, "--phase", "decode", "--json", "--length", 9, "--batch", 3).stdout)
    layers, rows, width, own, read = 2, 3, 32, 9, 9
    assert found["memory"]["cache"] == 4 * layers * rows * 2 * width * (own + read)


def test_table(spec):
    said = profile(spec, "--length", 8).stdout
    words = ("parameters", "dense", "saved", "forward", "backward", "of peak", "cross_attention", "layers 0-1",
             "optimizer and the rest", "tokens/s", "peak memory", "saved for backward", "every attention")  # fmt: skip
    assert [word for word in words if word not in said] == []
    assert "\x1b" not in said
    assert "layers 0-1" not in profile(spec, "--length", 8, "--no-measure", "-v").stdout


@pytest.mark.parametrize("columns", [50, 80, 130])
def test_table_fits(spec, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    said = profile(spec, "--length", 8).stdout
    assert max(map(len, said.split("\n\n")[0].splitlines())) <= columns
    assert "cross_attention" in said


def test_decoding_shows_what_decodes(spec):
    said = profile(spec, "--phase", "decode", "--length", 8).stdout
    assert "encoder" not in said.split("\n\n")[0]
    assert "one token more" in said
    assert "cache" in said


def test_a_sweep_is_a_line_a_length(spec):
    said = profile(spec, "--length", 4, "--length", 16, "--no-measure").stdout
    assert [line.split()[:2] for line in said.splitlines()] == [["length", "rows"], ["4", "25"], ["16", "6"]]
    found = json.loads(profile(spec, "--length", 4, "--length", 16, "--json").stdout)
    assert [each["lengths"]["encoder"] for each in found["sweep"]] == [4, 16]
    assert all(each["seconds"]["median"] > 0 for each in found["sweep"])


def test_trace(spec):
    assert profile(spec, "--length", 4, "--trace", "trace.json").exit_code == 0
    names = {event.get("name") for event in json.loads(Path("trace.json").read_text())["traceEvents"]}
    assert "decoder.1.cross_attention" in names


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--length", "21"], "--length 21: encoder has max_length 20\nhelp: write at most 20"),
        (["--trace", "t.json", "--no-measure"], "--trace shows one measured step"),
        (["--batch", "0"], "0 is not in the range x>=1"),
        (["-o", "model.d_modle=3"], "did you mean 'd_model'?"),
        (["--phase", "trian"], "'trian' is not one of 'train', 'forward', 'decode'"),
    ],
)
def test_refusals(spec, arguments, says):
    result = profile(spec, *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert "Traceback" not in result.output


def test_a_folder_that_is_no_run_is_refused(spec, tmp_path):
    (tmp_path / "folder").mkdir()
    result = profile("folder")
    assert result.exit_code == 2
    assert "folder" in result.stderr
    assert "help: " in result.stderr


def test_a_measured_training_step_trains(spec):
    """What is measured is a whole step: the weights move."""
    run = load_spec(spec).run
    sizes = sizes_of(run, token_fields(run))
    setting = Setting(device=torch.device("cpu"), low_precision=None, seconds=0.01,
                      optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.1))  # fmt: skip
    bench = report._training(run, sizes, Scene(2, {"encoder": 4, "decoder": 4}, "train"), setting)
    before = [p.detach().clone() for p in bench.model.parameters()]
    ended = []
    bench.step(lambda: ended.append(True))
    assert ended == [True]
    assert any(not torch.equal(old, new) for old, new in zip(before, bench.model.parameters(), strict=True))
