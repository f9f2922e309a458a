"""The trainers that benchmarks/sentences.py sets against each other, each in a process of its own.

    python -m benchmarks.contestants NAME FOLDER UPDATES

Each runs its own whole loop on FOLDER/train.{src,trg}, whose words are numbers of tokens. A hook on torch's optimizers
prints a line after every update: the clock, and the real target tokens that the updates so far have read. After UPDATES
the loop is broken off, and the mean of -ln p(token) on FOLDER/valid.{src,trg} is printed.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.evened import evened

Pairs = list[tuple[list[int], list[int]]]
VOCABULARY, D, FF, LAYERS, HEADS, DROPOUT, SMOOTHING, RATE = 4000, 256, 1024, 3, 4, 0.1, 0.1, 1e-3
UNKNOWN, PAD, BOS, EOS = range(4)
FIRST = 4
"""The id of token 0 where the peers have four special ids."""


class Enough(BaseException):
    """The updates are done: leave the trainer's loop, whatever it catches."""


class Count:
    """Counts tokens and updates, and says so."""

    def __init__(self, updates: int) -> None:
        self.updates, self.done, self.tokens = updates, 0, 0

    def updated(self, *_: object) -> None:
        """After every optimizer step."""
        self.done += 1
        now = {"clock": time.perf_counter(), "processor": time.process_time(), "tokens": self.tokens}
        print(json.dumps(now), flush=True)
        if self.done >= self.updates:
            raise Enough


def read(folder: Path, split: str) -> Pairs:
    """Pairs of numbers of tokens."""
    sides = [(folder / f"{split}.{side}").read_text(encoding="utf-8").splitlines() for side in ("src", "trg")]
    return [tuple([int(word[1:]) for word in line.split()] for line in pair) for pair in zip(*sides, strict=True)]


def batches(pairs: Pairs) -> Iterator[tuple[Any, Any, Any]]:
    """Validation pairs as padded ids: sources with EOS, targets behind BOS, labels with EOS."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    ordered = sorted(pairs, key=lambda pair: (len(pair[1]), len(pair[0])))
    for start in range(0, len(ordered), 64):
        part = [[[token + FIRST for token in side] for side in pair] for pair in ordered[start : start + 64]]
        sides = ([[*s, EOS] for s, _ in part], [[BOS, *t] for _, t in part], [[*t, EOS] for _, t in part])
        yield tuple(pad_sequence([torch.tensor(row) for row in side], True, PAD) for side in sides)


def loss(logits: Callable[[Any, Any], Any], pairs: Pairs) -> float:
    """Mean of -ln p over the real tokens of the labels."""
    import torch
    from torch.nn.functional import cross_entropy

    total, count = 0.0, 0
    with torch.no_grad():
        for source, target, labels in batches(pairs):
            out = logits(source, target).flatten(0, 1)
            total += float(cross_entropy(out, labels.flatten(), ignore_index=PAD, reduction="sum"))
            count += int((labels != PAD).sum())
    return total / count


def attncli(folder: Path, count: Count, seed: int = 1) -> float:
    """attncli's own loop, run folder and journals included; the loss is that of its own validation."""
    import math

    from rich.console import Console

    from attncli.spec.load import load_spec
    from attncli.training import session
    from attncli.training.display import Display
    from attncli.training.loop import Settings, train

    spec, run = folder / "attncli.yaml", folder / f"run-{seed}-{count.updates}"
    of = session.tokens_of

    def gradients(stepper: Any, batch: Any, plain: Any = session.Stepper.gradients) -> Any:
        count.tokens += of(batch)
        return plain(stepper, batch)

    session.Stepper.gradients = gradients
    loaded = load_spec(spec, (f"seed={seed}", f"evaluate.every={count.updates}"))
    display = Display(Console(stderr=True), quiet=True, verbose=False)
    settings = Settings(device="cpu", steps=count.updates, force=True)
    count.updates += 1  # the session ends itself
    train(loaded, spec.read_bytes(), run, settings, display)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return math.log(next(line["perplexity"] for line in lines if line["split"] == "valid"))


def transformers(folder: Path, count: Count) -> float:
    """Seq2SeqTrainer on Marian, rows grouped by length."""
    import tempfile

    import torch
    from transformers import MarianConfig, MarianMTModel, Seq2SeqTrainer, Seq2SeqTrainingArguments
    from transformers.trainer_utils import set_seed

    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    rows = [
        {"input_ids": [token + FIRST for token in s] + [EOS], "labels": [token + FIRST for token in t] + [EOS]}
        for s, t in read(folder, "train")
    ]
    rows = [row | {"length": len(row["input_ids"])} for row in rows]

    def collate(part: list[dict[str, list[int]]]) -> dict[str, Any]:
        wide, long = (max(len(row[name]) for row in part) for name in ("input_ids", "labels"))
        count.tokens += sum(len(row["labels"]) for row in part)
        ids, labels = ([row[name] + [pad] * (size - len(row[name])) for row in part] for name, pad, size in
                       (("input_ids", PAD, wide), ("labels", -100, long)))  # fmt: skip
        given, before = torch.tensor(ids), torch.tensor([[BOS, *row[:-1]] for row in labels])
        before[before == -100] = PAD
        seen = (given != PAD).long()
        return {"input_ids": given, "attention_mask": seen, "decoder_input_ids": before, "labels": torch.tensor(labels)}

    set_seed(1)
    config = MarianConfig(
        vocab_size=VOCABULARY + FIRST, d_model=D, encoder_layers=LAYERS, decoder_layers=LAYERS,
        encoder_attention_heads=HEADS, decoder_attention_heads=HEADS, encoder_ffn_dim=FF, decoder_ffn_dim=FF,
        dropout=DROPOUT, attention_dropout=DROPOUT, activation_dropout=DROPOUT, activation_function="relu",
        pad_token_id=PAD, eos_token_id=EOS, decoder_start_token_id=BOS, forced_eos_token_id=EOS,
        max_position_embeddings=160, scale_embedding=True,
    )  # fmt: skip
    model = MarianMTModel(config)
    given = {
        "output_dir": tempfile.mkdtemp(dir=folder), "max_steps": count.updates + 1, "learning_rate": RATE,
        "per_device_train_batch_size": facts["sentences"], "lr_scheduler_type": "constant", "adam_beta2": 0.98,
        "adam_epsilon": 1e-9, "weight_decay": 0.0, "max_grad_norm": 1.0, "label_smoothing_factor": SMOOTHING,
        "save_strategy": "no", "report_to": [], "use_cpu": True, "dataloader_num_workers": 0, "logging_steps": 50,
        "remove_unused_columns": False, "disable_tqdm": True, "length_column_name": "length",
    }  # fmt: skip
    arguments = Seq2SeqTrainingArguments(**given, train_sampling_strategy="group_by_length")
    trainer = Seq2SeqTrainer(model=model, args=arguments, train_dataset=rows, data_collator=collate)
    plain, lengths = trainer._get_train_sampler, [len(row["labels"]) for row in rows]
    trainer._get_train_sampler = lambda *given: evened(list(plain(*given)), lengths, facts)
    try:
        trainer.train()
    except Enough:
        model.eval()
    return loss(
        lambda s, t: model(input_ids=s, attention_mask=(s != PAD).long(), decoder_input_ids=t, use_cache=False).logits,
        read(folder, "valid"),
    )


EOLE = """
seed: 1
src_vocab: {folder}/eole.vocab
tgt_vocab: {folder}/eole.vocab
src_vocab_size: 4010
tgt_vocab_size: 4010
share_vocab: true
overwrite: true
report_every: 1000
data:
  pairs: {{path_src: {folder}/train.src, path_tgt: {folder}/train.trg}}
training:
  world_size: 0
  gpu_ranks: []
  model_path: {folder}/eole
  train_steps: 100000
  valid_steps: 100000
  save_checkpoint_steps: 100000
  batch_type: tokens
  batch_size: {places}
  bucket_size: 16384
  num_workers: 0
  optim: adam
  adam_beta2: 0.98
  adam_eps: 1e-9
  learning_rate: 0.001
  label_smoothing: 0.1
  param_init_method: xavier_uniform
  max_grad_norm: 1.0
  dropout: [0.1]
  attention_dropout: [0.1]
  compute_dtype: fp32
model:
  architecture: transformer
  hidden_size: 256
  heads: 4
  transformer_ff: 1024
  layers: 3
  share_embeddings: true
  share_decoder_embeddings: true
  embeddings: {{word_vec_size: 256, position_encoding_type: SinusoidalInterleaved}}
"""


def eole(folder: Path, count: Count) -> float:
    """Eole, batches of tokens from buckets."""
    import torch
    from eole import trainer as loop
    from eole.bin.main import main

    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    (folder / "eole.vocab").write_text("".join(f"t{number}\t1\n" for number in range(VOCABULARY)), encoding="utf-8")
    (folder / "eole.yaml").write_text(EOLE.format(folder=folder, places=facts["places"]), encoding="utf-8")
    seen: dict[str, Any] = {}
    plain = loop.Trainer._process_accumulated_batches

    def process(self: Any, parts: list[dict[str, Any]], *rest: object) -> None:
        seen["model"], seen["words"], pad = self.model, self.model_saver.vocabs["tgt"], self.model.tgt_pad_idx
        count.tokens += sum(int((part["tgt"][:, 1:] != pad).sum()) for part in parts)
        plain(self, parts, *rest)

    loop.Trainer._process_accumulated_batches = process
    sys.argv = ["eole", "train", "-c", str(folder / "eole.yaml")]
    with suppress(Enough):
        main()
    model = seen["model"].eval()
    words = ["<unk>", "<blank>", "<s>", "</s>", *(f"t{number}" for number in range(VOCABULARY))]
    table = torch.tensor([seen["words"][word] for word in words])

    def logits(source: Any, target: Any) -> Any:
        source, target = table[source], table[target]
        longer = torch.cat((target, target[:, :1]), 1)  # the model leaves the last one out
        out, *_ = model(source, longer, (source != table[PAD]).sum(1))
        return model.generator(out)[..., table]

    return loss(logits, read(folder, "valid"))


JOEYNMT = """
name: pairs
joeynmt_version: "2.3.0"
model_dir: "{folder}/joeynmt"
use_cuda: False
fp16: False
random_seed: 42
data:
  train: "{folder}/train"
  dev: "{folder}/valid"
  dataset_type: "plain"
  src: {{lang: src, max_length: 160, level: word, voc_file: "{folder}/joeynmt.vocab"}}
  trg: {{lang: trg, max_length: 160, level: word, voc_file: "{folder}/joeynmt.vocab"}}
  special_symbols:
    {{unk_token: <unk>, unk_id: 0, pad_token: <pad>, pad_id: 1, bos_token: <s>, bos_id: 2, eos_token: </s>, eos_id: 3}}
testing: {{n_best: 1, beam_size: 1, batch_size: 64, batch_type: sentence, max_output_length: 100, eval_metrics: [bleu]}}
training:
  random_seed: 42
  optimizer: adam
  adam_betas: [0.9, 0.98]
  learning_rate: 0.001
  scheduling: exponential
  decrease_factor: 1.0
  weight_decay: 0.0
  clip_grad_norm: 1.0
  label_smoothing: 0.1
  batch_size: {sentences}
  batch_type: sentence
  normalization: tokens
  epochs: 100
  validation_freq: 1000000
  logging_freq: 1000
  overwrite: True
  shuffle: True
  keep_best_ckpts: 1
model:
  initializer: xavier_uniform
  tied_embeddings: True
  tied_softmax: True
  encoder: &part
    type: transformer
    num_layers: 3
    num_heads: 4
    embeddings: {{embedding_dim: 256, scale: True, dropout: 0.1}}
    hidden_size: 256
    ff_size: 1024
    dropout: 0.1
    layer_norm: pre
  decoder: *part
"""


def joeynmt(folder: Path, count: Count) -> float:
    """JoeyNMT, batches of sentences in random order."""
    from joeynmt import training

    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    words = ["<unk>", "<pad>", "<s>", "</s>", *(f"t{number}" for number in range(VOCABULARY))]
    (folder / "joeynmt.vocab").write_text("\n".join(words) + "\n", encoding="utf-8")
    text = JOEYNMT.format(folder=folder, sentences=facts["sentences"])
    (folder / "joeynmt.yaml").write_text(text, encoding="utf-8")
    seen: dict[str, Any] = {}
    plain = training.TrainManager._train_step

    def step(self: Any, batch: Any) -> Any:
        seen["model"] = self.model
        count.tokens += int(batch.ntokens)
        return plain(self, batch)

    training.TrainManager._train_step = step
    sys.argv = ["joeynmt", "train", str(folder / "joeynmt.yaml"), "--skip-test"]
    import runpy

    with suppress(Enough):
        runpy.run_module("joeynmt", run_name="__main__")
    model = seen["model"].eval()

    def logits(source: Any, target: Any) -> Any:
        mask = (source != PAD).unsqueeze(1)
        out, *_ = model._encode_decode(
            src=source, trg_input=target, src_mask=mask, src_length=mask.sum((1, 2)),
            trg_mask=(target != PAD).unsqueeze(1),
        )  # fmt: skip
        return out

    return loss(logits, read(folder, "valid"))


def main() -> None:
    """Run one contestant."""
    name, folder, updates = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from torch.optim.optimizer import register_optimizer_step_post_hook

    count = Count(updates)
    register_optimizer_step_post_hook(count.updated)
    torch.manual_seed(1)
    makers: dict[str, Callable[[], float]] = {
        "attncli": lambda: attncli(folder, count),
        "attncli-2": lambda: attncli(folder, count, 2),
        "attncli-3": lambda: attncli(folder, count, 3),
        "transformers": lambda: transformers(folder, count),
        "eole": lambda: eole(folder, count),
        "joeynmt": lambda: joeynmt(folder, count),
    }
    print(json.dumps({"loss": makers[name]()}), flush=True)


if __name__ == "__main__":
    main()
