"""attncli in Python: the same road as the command line, with typed objects."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import attncli
from attncli.api import Flags, LoadedRun
from attncli.cli import commands
from attncli.errors import DataError, InputError, RunError, SpecError

SPEC = """
name: tiny
task: {task}
model: {{d_model: 12, max_length: 16, {stacks}}}
tokenizer: characters
data: {{train: {file}, test: {file}}}
train: {{duration: 2, batch: {{kind: sequences, size: 2}}, checkpoints: {{every: 1, keep_last: 9}}}}
"""
FILES = {
    "pairs.tsv": "source\ttarget\nabc\t你好\ncab\t好你\nab\t你\nba\t好\n",
    "labels.tsv": "text\tlabel\nabc\tx\ncab\ty\nab\tx\nba\ty\n",
}
TASKS = {
    "s2s": {"task": "seq2seq", "stacks": "encoder: {layers: 1}, decoder: {layers: 1}", "file": "pairs.tsv"},
    "cls": {"task": "classification", "stacks": "encoder: {layers: 1}", "file": "labels.tsv"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two specs and a run of two steps of each."""
    place = tmp_path_factory.mktemp("api")
    for name, text in FILES.items():
        (place / name).write_text(text, "utf-8")
    for name, parts in TASKS.items():
        (place / f"{name}.yaml").write_text(SPEC.format(**parts))
        words = ["train", str(place / f"{name}.yaml"), "--run", str(place / name), "--device", "cpu", "-q"]
        trained = CliRunner().invoke(commands, words)
        assert trained.exit_code == 0, trained.output
    return place


@pytest.fixture(scope="module")
def translator(folder: Path) -> LoadedRun:
    return attncli.load_run(folder / "s2s")


def said(*words: str) -> str:
    done = CliRunner().invoke(commands, list(words))
    assert done.exit_code == 0, done.output
    return done.stdout


def test_what_the_package_offers_is_what_the_module_offers() -> None:
    assert set(attncli.api.__all__) == {"Flags", "LoadedRun", "build", "load_run", "load_spec"}
    for name in ("build", "load_run", "load_spec"):
        assert getattr(attncli, name) is getattr(attncli.api, name)


def test_a_spec_is_loaded_with_its_defaults_and_overrides(folder: Path) -> None:
    spec = attncli.load_spec(folder / "s2s.yaml", overrides=["model.d_model=24"])
    assert spec.model.stacks["encoder"].d_model == 24
    assert attncli.load_spec(str(folder / "s2s.yaml")).model.stacks["encoder"].d_model == 12
    with pytest.raises(SpecError, match=r"model: there is no key 'd_modle' here(.|\n)*help: did you mean 'd_model'"):
        attncli.load_spec(folder / "s2s.yaml", overrides=["model.d_modle=24"])
    with pytest.raises(SpecError, match=r"nowhere\.yaml: there is no such file\nhelp: "):
        attncli.load_spec(folder / "nowhere.yaml")


def test_weights_are_those_of_the_seed_and_the_caller_s_random_numbers_stay(folder: Path) -> None:
    spec = attncli.load_spec(folder / "s2s.yaml")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, other = attncli.build(spec), attncli.build(spec)
    assert torch.equal(torch.rand(3), expected)
    assert not one.training
    for (name, mine), theirs in zip(one.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs), name
    unlike = attncli.build(attncli.load_spec(folder / "s2s.yaml", overrides=["seed=1"]))
    assert any(
        not torch.equal(mine, theirs) for mine, theirs in zip(one.parameters(), unlike.parameters(), strict=True)
    )
    assert {parameter.device.type for parameter in attncli.build(spec, device="meta").parameters()} == {"meta"}


def test_a_run_predicts_what_the_command_prints(folder: Path, translator: LoadedRun) -> None:
    assert translator.predict(["abc", "ba"]) == said(
        "predict", str(folder / "s2s"), "--device", "cpu", "--text", "abc", "--text", "ba"
    ).removesuffix("\n").split("\n")
    assert translator.predict([]) == []
    labels = attncli.load_run(folder / "cls").predict(["abc", "ba", ""])
    assert len(labels) == 3
    assert set(labels) <= {"x", "y"}


def test_flags_change_how_it_is_written(translator: LoadedRun) -> None:
    (answer,) = translator.answering(flags=Flags(n_best=3)).answer(["abc"])
    assert len(answer.json()["hypotheses"]) == 3
    assert answer.output == answer.json()["hypotheses"][0]["text"]

    def sample(seed: int) -> list[str]:
        found = translator.answering(flags=Flags(sample=True, temperature=3.0, seed=seed)).answer(["abc", "cab"])
        return [one.output for one in found]

    assert sample(3) == sample(3)
    assert len({tuple(sample(seed)) for seed in range(4)}) > 1
    with pytest.raises(InputError, match=r"--seed is for sampling, and nothing is sampled here\nhelp: add --sample"):
        translator.answering(flags=Flags(seed=3))


def test_long_texts_are_refused_or_cut(translator: LoadedRun) -> None:
    with pytest.raises(InputError, match=r"text 2: 'source' has 22 tokens, BOS and EOS counted, where model\.encoder"):
        translator.answering(on_long="error").answer(["a", "abc" * 7])
    assert len(translator.answering(on_long="truncate").answer(["a", "abc" * 7])) == 2


def test_a_task_that_writes_nothing_reads_no_flags(folder: Path) -> None:
    run = attncli.load_run(folder / "cls")
    for act in (run.answering, run.evaluate):
        with pytest.raises(InputError, match=r"--beam: nothing is written here, since the task is classification"):
            act(flags=Flags(beam=2))


def test_a_run_scores_what_the_command_prints(folder: Path, translator: LoadedRun) -> None:
    told: list[tuple[int, int]] = []
    report = translator.evaluate(progress=lambda done, total: told.append((done, total)))
    assert told == [(4, 4)]
    printed = json.loads(said("evaluate", str(folder / "s2s"), "--device", "cpu", "--json"))
    assert report.json() | {"seconds": 0} == printed | {"seconds": 0}
    assert printed["split"] == "test"
    assert printed["checkpoint"] == translator.checkpoint == "best (step 2)"
    rows = translator.evaluate(data=folder / "pairs.tsv", metrics=["perplexity"], limit=3)
    assert list(rows.metrics) == ["perplexity"]
    assert rows.counts["rows"] == 3


def test_what_cannot_be_scored_is_named(folder: Path, translator: LoadedRun, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tiny: the spec names no data\.valid\nhelp: give a file with --data"):
        translator.evaluate(split="valid")
    with pytest.raises(InputError, match=r"seq2seq has no metric 'blue'; did you mean 'bleu'\?"):
        translator.evaluate(metrics=["blue"])
    bad = tmp_path / "bad.tsv"
    bad.write_text("source\ttarget\nab\tx\ncd\n")
    with pytest.raises(DataError, match=r"bad\.tsv:3: 1 column where the first row has 2"):
        translator.evaluate(data=bad)


def test_checkpoints_by_name_and_step(folder: Path, translator: LoadedRun) -> None:
    found = {which: attncli.load_run(folder / "s2s", checkpoint=which) for which in ("last", "1", "2", "average")}
    assert [run.checkpoint for run in found.values()] == ["last (step 2)", "1 (step 1)", "2 (step 2)", "average"]
    for name, mean in found["average"].model.named_parameters():
        first, second = (found[step].model.get_parameter(name) for step in ("1", "2"))
        torch.testing.assert_close(mean, (first + second) / 2)
    assert not translator.model.training
    with pytest.raises(RunError, match=r"there is no checkpoint '9' \(steps there: 1, 2\)\nhelp: best, last, average"):
        attncli.load_run(folder / "s2s", checkpoint="9")
    with pytest.raises(RunError, match=r"this is no run folder \(resolved\.yaml is missing\)\nhelp: name a folder"):
        attncli.load_run(folder)
    with pytest.raises(InputError, match=r"--device tpu: .* sees no such device here\nhelp: use --device auto"):
        attncli.load_run(folder / "s2s", device="tpu")
