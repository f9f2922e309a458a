"""Keys of data, training and writing, each at another value in a small run: what is read, trained or written changes.

What is compared is never the spec that a run writes down: batches of ids, the names of files, weights, the lines of
metrics, texts with their scores.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from attncli.api import LoadedRun
from attncli.data.batches import Batches
from attncli.data.codec import Codec
from attncli.data.sources import open_splits
from attncli.errors import AttncliError
from attncli.nn.model import build_model
from attncli.spec.load import Loaded, load_text
from attncli.training.display import Display
from attncli.training.loop import Settings, train
from tests.effects.seen import Seen
from tests.training.made import Lines

FILES = {
    "pairs.tsv": "source\ttarget\n" + "".join(f"{'ab ' * n}c\tC {'ba ' * (n % 3)}\n" for n in range(1, 9)),
    "few.tsv": "source\ttarget\nab c\tC\nba\tC ba\n",
    "bad.tsv": "source\ttarget\nab\tba\nab ab\nba\tab\n",
    "texts.txt": "".join(f"ab {'ba. ' * n}C ab. c{' ab' * n}.\n" for n in range(1, 7)),
    "labels.tsv": "text\tlabel\nab c\tx\nba\ty\nc\tx\nab\ty\n",
    "tags.tsv": "text\ttags\nab c\tB-x O\nba c ab\tO B-x I-x\nab c\tB-x O\n",
    "prompts.tsv": "prompt\tanswer\nab c\tba\nba\tC ab\nc\tab ab\n",
}
SMALL = "d_model: 8, max_length: 48, attention: {heads: 2}, feedforward: {d_ff: 8}"
BASES = {
    "pairs": ("seq2seq", f"{{{SMALL}, encoder: {{layers: 1}}, decoder: {{layers: 1}}}}", "pairs.tsv"),
    "steps": ("seq2seq", "{d_hidden: 8, max_length: 48, encoder: {kind: recurrent}, decoder: {kind: recurrent}}",
              "pairs.tsv"),
    "texts": ("language_model", f"{{{SMALL}, decoder: {{layers: 1}}}}", "texts.txt"),
    "answers": ("language_model", f"{{{SMALL}, decoder: {{layers: 1}}}}", "prompts.tsv"),
    "gaps": ("masked_language_model", f"{{{SMALL}, encoder: {{layers: 1}}}}", "texts.txt"),
    "spans": ("denoising", f"{{{SMALL}, encoder: {{layers: 1}}, decoder: {{layers: 1}}}}", "texts.txt"),
    "labels": ("classification", f"{{{SMALL}, encoder: {{layers: 1}}}}", "labels.tsv"),
    "tags": ("tagging", f"{{{SMALL}, encoder: {{layers: 1}}}}", "tags.tsv"),
}  # fmt: skip
SPEC = """
name: small
task: {task}
model: {model}
tokenizer: characters
data: {{train: {folder}/{file}, valid: {folder}/{file}, test: {folder}/{file}}}
train: {{duration: 4, batch: {{kind: sequences, size: 2}}, learning_rate: 0.01, schedule: {{warmup: 1}}}}
evaluate: {{every: 2}}
"""
Found = dict[str, Any]
Stage = Callable[[Loaded, Path], Found]


class Case(NamedTuple):
    """A key at two values: `-o` overrides that both have, then those of one and of the other."""

    base: str
    stage: Stage
    change: str
    instead: str = ""
    beside: tuple[str, ...] = ()


def read(loaded: Loaded, folder: Path) -> Found:
    """What the data become: rows, vocabularies, and the first batches."""
    run, splits = loaded.run, open_splits(loaded.run, cache=folder)
    codec = Codec.train(run, splits)
    assert splits.train is not None
    batches = Batches(splits.train, codec, run.train.batch, run.seed, cache=folder)
    found: Found = {name: len(rows) for name in ("train", "valid", "test") if (rows := getattr(splits, name))}
    found |= {f"{name} row": dict(rows[0]) for name in ("valid", "test") if (rows := getattr(splits, name))}
    found |= {f"ids of {field}": vocabulary.size for field, vocabulary in codec.vocabularies.items()}
    for number in range(min(2, len(batches.epoch(0)))):
        for name, stream in batches.batch(0, number).items():
            found[f"{number} {name}"] = [stream.values.tolist(), *(each.tolist() for each in stream.carried.values())]
    return found


def written(loaded: Loaded, folder: Path) -> Found:
    """What a model that was not trained yet answers, and how that is scored."""
    run, splits = loaded.run, open_splits(loaded.run, cache=folder)
    codec = Codec.train(run, splits)
    torch.manual_seed(0)
    model = build_model(run, codec.sizes).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.4)
    made = LoadedRun(run, codec, model, "")
    answers = [] if run.task.kind == "masked_language_model" else made.answering().answer(["ab c", "ba ba"])
    return {"answers": [answer.json() for answer in answers], "scores": made.evaluate(limit=3).metrics}


def trained(loaded: Loaded, folder: Path) -> Found:
    """What a run leaves behind."""
    place = folder / f"run-{len(list(folder.iterdir()))}"
    train(loaded, b"", place, Settings(device="cpu"), Display(Lines()))  # type: ignore[arg-type]  # quacks like one
    names = sorted(str(each.relative_to(place)) for each in place.rglob("*") if "tfevents" not in each.name)
    lines = [json.loads(line) for name in ("metrics.jsonl", "heads.jsonl") if (place / name).exists()
             for line in (place / name).read_text("utf-8").splitlines()]  # fmt: skip
    return {"files": names, "lines": lines, "weights": _weights(place)}


def started(loaded: Loaded, folder: Path) -> Found:
    """A run that begins with the weights of another."""
    first = folder / "first"
    if not first.exists():
        task, model, file = BASES["pairs"]
        text = SPEC.format(task=task, model=model, file=file, folder=folder)
        train(load_text(text), b"", first, Settings(device="cpu"), Display(Lines()))  # type: ignore[arg-type]
    return trained(loaded, folder)


def built(loaded: Loaded, folder: Path) -> Found:
    """Parameters, outputs, and the loss of a training step."""
    return {name: {key: each.flatten().tolist() if isinstance(each, torch.Tensor) else each
                   for key, each in make().items()} for name, make in Seen(loaded.run).all()}  # fmt: skip


def _weights(place: Path) -> dict[str, list[float]]:
    from safetensors.torch import load_file

    last = max((place / "checkpoints").glob("step-*"))
    return {f"{file.stem} {name}": each.double().flatten().tolist() for file in last.glob("*.safetensors")
            for name, each in load_file(file).items()}  # fmt: skip


@cache
def outcome(base: str, stage: Stage, overrides: tuple[str, ...], folder: Path) -> Found:
    """What a stage finds of a base; a refusal is found too."""
    task, model, file = BASES[base]
    for name, text in FILES.items():
        if not (folder / name).exists():
            (folder / name).write_text(text, "utf-8")
    given = [one.replace("FOLDER", str(folder)) for one in overrides]
    try:
        return stage(load_text(SPEC.format(task=task, model=model, file=file, folder=folder), given), folder)
    except AttncliError as error:
        return {"refused": str(error)}


def differ(one: Any, other: Any) -> bool:
    """Whether two findings differ beyond rounding."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() != other.keys() or any(differ(value, other[key]) for key, value in one.items())
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) != len(other) or any(map(differ, one, other))
    if isinstance(one, float) and isinstance(other, (int, float)):
        return not (abs(one - other) <= 1e-5 * max(1.0, abs(one)) or (one != one and other != other))
    return bool(one != other)


STEPPED = ("train.schedule={kind: step, start: 1, every: 1, factor: 0.5}",)
CYCLE = ("train.schedule={kind: one_cycle, rise: 0.3, start: 0.04}",)
STOPS = ("train.duration=6", "evaluate.every=1", "train.early_stopping={metric: loss, patience: 1}",
         "train.learning_rate=1.0")  # fmt: skip
BEAM = ("evaluate.decoding={kind: beam, size: 4, min_length: 4, max_length: 8}",)
SAMPLE = ("evaluate.decoding={kind: sample, max_length: 12}",)
KEPT = ("train.checkpoints={every: 1, keep_last: 1, keep_best: 0}",)
SCHEDULED = ("task={kind: seq2seq, teacher_forcing: {scheduled: 0.5, over: 4}}",)
GENERATED = ("data={kind: generated, name: dates, train: 12, valid: 4, test: 4}",)
FORCING = "task.teacher_forcing"
LAYERS = "model.decoder.layers="
LONG = "model.attention.position={scaling: {kind: longrope, factor: 4, "
GROUPED = ("model.feedforward={kind: experts, experts: 4, active: 2, expert: {d_ff: 6}, router: {groups: 2}}",)
START = "train.start={from: FOLDER/first}"
LORA = "train.lora={rank: 2, targets: [encoder.*.attention]}"


def _optimizer(kind: str, *pairs: tuple[str, str, str]) -> dict[str, Case]:
    """Keys of an optimizer: the class and key, the key, another value."""
    beside = (f"train.optimizer={kind}",)
    return {name: Case("pairs", trained, f"train.optimizer.{key}={value}", "", beside) for name, key, value in pairs}


CASES: dict[str, Case] = {
    # the top
    "run.Run.task": Case("gaps", read, "task=[masked_language_model, sentence_pair]"),
    "run.Run.model": Case("pairs", trained, "model.d_model=12"),
    "run.Run.train": Case("pairs", trained, "train.duration=3"),
    "run.Run.evaluate": Case("pairs", trained, "evaluate.every=1"),
    "run.Run.seed": Case("pairs", trained, "seed=1"),
    "run.Run.language": Case("pairs", read, "language=99"),
    "run.Run.tokenizer": Case("pairs", read, "tokenizer=words"),
    "run.Run.data": Case("pairs", read, "data.train=FOLDER/few.tsv"),
    # data
    "tokenizer.Bpe.vocabulary": Case("pairs", read, "tokenizer.vocabulary=264", "tokenizer.vocabulary=261",
                                     ("tokenizer=bpe",)),
    "tokenizer.Bpe.lowercase": Case("pairs", read, "tokenizer.lowercase=true", "", ("tokenizer=words",)),
    "data.Field_.tokenizer": Case("pairs", read, "data.fields.source.tokenizer=words"),
    "data.Files.fields": Case("pairs", read, "data.fields.source.column=target"),
    "data.Field_.column": Case("pairs", read, "data.fields.source.column=1", "data.fields.source.column=0"),
    "data.Files.packing": Case("texts", read, "data.packing=stream"),
    "data.Files.on_bad_row": Case("pairs", read, "data.on_bad_row=skip", "", ("data.train=FOLDER/bad.tsv",)),
    "data.Files.on_long": Case("pairs", read, "data.on_long=truncate", "data.on_long=skip", ("model.max_length=12",)),
    "data.Files.train": Case("pairs", read, "data.train=FOLDER/few.tsv"),
    "data.Files.valid": Case("pairs", read, "data.valid=FOLDER/few.tsv"),
    "data.Files.test": Case("pairs", read, "data.test=FOLDER/few.tsv"),
    "data.Share.share": Case("pairs", read, "data.valid={share: 0.75}", "data.valid={share: 0.5}"),
    "data.Generated.name": Case("pairs", read, "data.name=copy", "", GENERATED),
    "data.Generated.train": Case("pairs", read, "data.train=10", "", GENERATED),
    "data.Generated.valid": Case("pairs", read, "data.valid=5", "", GENERATED),
    "data.Generated.test": Case("pairs", read, "data.test=5", "", GENERATED),
    "data.Generated.targets": Case("pairs", read, "data.targets=[de]", "", GENERATED),
    "tasks.MaskedLanguageModel.rate": Case("gaps", read, "task={kind: masked_language_model, rate: 0.6}"),
    "tasks.Denoising.corruption": Case("spans", read, "task={kind: denoising, corruption: sentinels}",
                                       "task={kind: denoising, corruption: infill}"),
    "tasks.Infill.rate": Case("spans", read, "task={kind: denoising, corruption: {kind: infill, rate: 0.5}}"),
    "tasks.Infill.mean_span": Case(
        "spans", read, "task={kind: denoising, corruption: {kind: infill, mean_span: 9}}",
        "task={kind: denoising, corruption: {kind: infill, mean_span: 2}}"),
    "tasks.Infill.permute": Case(
        "spans", read, "task={kind: denoising, corruption: {kind: infill, permute: sentences}}",
        "task={kind: denoising, corruption: {kind: infill, permute: none}}"),
    "tasks.SentencePair.negatives": Case("gaps", read, "task={kind: sentence_pair, negatives: swapped}",
                                         "task={kind: sentence_pair, negatives: random}"),
    "tasks.LanguageModel.loss_on": Case(
        "answers", read, "task={kind: language_model, loss_on: all}",
        "task={kind: language_model, loss_on: answer}", ("data.fields.answer.column=answer",)),
    "tasks.Tagging.scheme": Case("tags", written, "task={kind: tagging, scheme: bio}"),
    "inputs.Tokens.segments": Case("labels", trained, "model.encoder.input.segments=2"),
    # training
    "training.Train.duration": Case("pairs", trained, "train.duration=3"),
    "training.Train.batch": Case("pairs", trained, "train.batch={kind: tokens, size: 60}"),
    "training.TokenBatch.size": Case("pairs", read, "train.batch.size=60", "",
                                     ("train.batch={kind: tokens, size: 90}",)),
    "training.SequenceBatch.size": Case("pairs", read, "train.batch.size=3"),
    "training.Train.learning_rate": Case("pairs", trained, "train.learning_rate=0.02"),
    "training.Train.clip": Case("pairs", trained, "train.clip=0.01", "", ("train.optimizer=sgd",)),
    "training.Train.precision": Case("pairs", trained, "train.precision=bf16", "train.precision=float32"),
    "training.Train.optimizer": Case("pairs", trained, "train.optimizer=sgd"),
    "training.Train.schedule": Case("pairs", trained, "train.schedule=constant"),
    "training.Cosine.floor": Case("pairs", trained, "train.schedule.floor=0.5"),
    "training.Cosine.warmup": Case("pairs", trained, "train.schedule.warmup=3"),
    "training.LinearDecay.floor": Case("pairs", trained, "train.schedule.floor=0.5", "", ("train.schedule=linear",)),
    "training.StepDecay.start": Case("pairs", trained, "train.schedule.start=2", "", STEPPED),
    "training.StepDecay.every": Case("pairs", trained, "train.schedule.every=2", "", STEPPED),
    "training.StepDecay.factor": Case("pairs", trained, "train.schedule.factor=0.2", "", STEPPED),
    "training.OneCycle.rise": Case("pairs", trained, "train.schedule.rise=0.7", "", CYCLE),
    "training.OneCycle.start": Case("pairs", trained, "train.schedule.start=0.5", "", CYCLE),
    "training.Train.ema": Case("pairs", trained, "train.ema=0.5"),
    "training.Train.checkpoints": Case("pairs", trained, "train.checkpoints.every=1"),
    "training.Checkpoints.every": Case("pairs", trained, "train.checkpoints.every=3"),
    "training.Checkpoints.keep_last": Case("pairs", trained, "train.checkpoints.keep_last=3", "", KEPT),
    "training.Checkpoints.keep_best": Case("pairs", trained, "train.checkpoints.keep_best=3", "",
                                           (*KEPT, "evaluate.every=1")),
    "training.Train.early_stopping": Case("pairs", trained, "train.early_stopping={patience: 1}", "",
                                          STOPS[:2] + STOPS[3:]),
    "training.EarlyStopping.patience": Case("pairs", trained, "train.early_stopping.patience=9", "", STOPS),
    "training.EarlyStopping.metric": Case("labels", trained, "train.early_stopping.metric=no_such", "", STOPS),
    **_optimizer("adamw", ("training.AdamW.weight_decay", "weight_decay", "0.5"),
                 ("training.AdamW.betas", "betas", "[0.5, 0.6]"), ("training.AdamW.epsilon", "epsilon", "0.1")),
    **_optimizer("adam", ("training.Adam.betas", "betas", "[0.5, 0.6]"), ("training.Adam.epsilon", "epsilon", "0.1")),
    **_optimizer("sgd", ("training.Sgd.momentum", "momentum", "0.9")),
    **_optimizer("adagrad", ("training.Adagrad.accumulator", "accumulator", "0.5"),
                 ("training.Adagrad.epsilon", "epsilon", "0.1")),
    **_optimizer("adadelta", ("training.Adadelta.rho", "rho", "0.5"), ("training.Adadelta.epsilon", "epsilon", "0.01")),
    "training.Train.watch": Case("pairs", trained, "train.watch={every: 2}"),
    "training.Watch.every": Case("pairs", trained, "train.watch.every=1", "", ("train.watch={every: 2}",)),
    "tasks.Seq2seq.teacher_forcing": Case("steps", trained, SCHEDULED[0]),
    "tasks.Scheduled.scheduled": Case("steps", trained, f"{FORCING}.scheduled=1.0", "", SCHEDULED),
    "tasks.Scheduled.over": Case("steps", trained, f"{FORCING}.over=1", "", SCHEDULED),
    "attention.MultiHead.qk_clip": Case("pairs", trained, "model.attention.qk_clip=0.001"),
    "model.Model.segment_memory": Case("texts", trained, "model.segment_memory=4", "",
                                       ("data.packing=stream", "model.max_length=8")),
    # keys of the body that need more than themselves
    "tasks.Seq2seq.weight": Case("gaps", trained, "task=[masked_language_model, {kind: sentence_pair, weight: 0.2}]",
                                 "task=[masked_language_model, sentence_pair]"),
    "outputs.Adaptive.cutoffs": Case(
        "texts", trained, "task={kind: language_model, output: {kind: adaptive, cutoffs: [8]}}",
        "task={kind: language_model, output: {kind: adaptive, cutoffs: [6]}}"),
    "stacks.Layer.name": Case(
        "texts", built, f"{LAYERS}[{{name: two}}, {{name: one}}, {{attention: {{kv_from: one}}}}]",
        f"{LAYERS}[{{name: one}}, {{name: two}}, {{attention: {{kv_from: one}}}}]"),
    "attention.MultiHead.kv_from": Case(
        "texts", built, f"{LAYERS}[{{name: one}}, {{name: two}}, {{attention: {{kv_from: two}}}}]",
        f"{LAYERS}[{{name: one}}, {{name: two}}, {{attention: {{kv_from: one}}}}]"),
    "stacks.Override.attention": Case(
        "texts", built, f"{LAYERS}[{{order: [{{attention: {{heads: 1}}}}, feedforward]}}]"),
    "stacks.Override.feedforward": Case(
        "texts", built, f"{LAYERS}[{{order: [attention, {{feedforward: {{d_ff: 9}}}}]}}]"),
    "stacks.Override.cross_attention": Case(
        "pairs", built, f"{LAYERS}[{{order: [attention, {{cross_attention: {{heads: 1}}}}, feedforward]}}]"),
    "stacks.Override.norm": Case("texts", built, f"{LAYERS}[{{order: [attention, feedforward, {{norm: layer_norm}}]}}]",
                                 f"{LAYERS}[{{order: [attention, feedforward, norm]}}]"),
    "feedforward.Experts.capacity": Case("texts", built, "model.feedforward.capacity=0.3", "", GROUPED),
    "feedforward.Bias.rate": Case("texts", trained, "model.feedforward.balance={kind: bias, rate: 0.9}",
                                  "model.feedforward.balance={kind: bias, rate: 0.001}", GROUPED),
    "positions.biases.T5.max_distance": Case("labels", built, "model.attention.position.max_distance=6", "",
                                             ("model.attention.position={kind: t5, buckets: 8}",)),
    "positions.rotary.Longrope.short": Case(
        "texts", built, f"{LONG}original_length: 16, short: [1.0, 1.5], long: [2.0, 3.0]}}}}",
        f"{LONG}original_length: 16, short: [1.0, 1.0], long: [2.0, 3.0]}}}}"),
    "positions.rotary.Longrope.long": Case(
        "texts", built, f"{LONG}original_length: 2, short: [1.0, 1.5], long: [2.0, 3.0]}}}}",
        f"{LONG}original_length: 2, short: [1.0, 1.5], long: [2.0, 5.0]}}}}"),
    "positions.rotary.DynamicNtk.factor": Case(
        "labels", built, "model.attention.position.scaling.factor=8", "",
        ("model.attention.position={scaling: {kind: dynamic_ntk, factor: 2, original_length: 4}}",)),
    "recurrent.Recurrent.residual": Case("steps", built, "model.decoder.residual=add", "", ("model.decoder.layers=2",)),
    "feedforward.Swiglu.clamp": Case("texts", built, "model.feedforward.clamp=0.01"),
    "stacks.Transformer.segment_memory": Case("texts", trained, "model.decoder.segment_memory=4", "",
                                              ("data.packing=stream", "model.max_length=8")),
    "training.Train.start": Case("pairs", started, START),
    "tuning.Start.from": Case("pairs", started, "train.start.from=FOLDER/nowhere", "", (START,)),
    "training.Train.lora": Case("pairs", started, LORA, "", (START,)),
    **{f"tuning.Lora.{key}": Case("pairs", started, f"train.lora.{key}={value}", "", (START, LORA))
       for key, value in (("rank", "3"), ("alpha", "9"), ("dropout", "0.5"), ("targets", "[decoder.*.attention]"))},
    # writing and scoring
    "training.Evaluate.metrics": Case("pairs", written, "evaluate.metrics=[chrf]"),
    "training.Evaluate.every": Case("pairs", trained, "evaluate.every=1"),
    "training.Evaluate.decoding": Case("pairs", written, "evaluate.decoding={kind: greedy, max_length: 3}"),
    "training.Greedy.max_length": Case("texts", written, "evaluate.decoding={kind: greedy, max_length: 3}",
                                       "evaluate.decoding={kind: greedy, max_length: 5}"),
    **{f"training.Beam.{key}": Case("pairs", written, f"evaluate.decoding.{key}={value}", "", BEAM)
       for key, value in (("size", "1"), ("length_penalty", "-2.0"), ("n_best", "2"), ("min_length", "0"),
                          ("max_length", "5"))},
    **{f"training.Sample.{key}": Case("texts", written, f"evaluate.decoding.{key}={value}", "", SAMPLE)
       for key, value in (("temperature", "0.01"), ("top_k", "1"), ("top_p", "0.01"), ("max_length", "3"))},
}  # fmt: skip
"""`module.Class.key`, and the run in which it is seen."""
