"""Whole training loops on real short sentences: real target tokens a second, beside Eole, transformers and JoeyNMT.

    python -m benchmarks.sentences

The pairs are those of specs/translation.yaml (gettext catalogues of this machine, English to German), cut into tokens
by one BPE of 4,000 for all; 3 + 3 layers, d 256, 4 heads, ff 1,024, tied tables, dropout 0.1, smoothed labels, Adam,
clipped at 1, the rate constant at 1e-3. Batches are set so that an update reads some 1,400 real target tokens of each
contestant. Each loop runs in a process of its own, all but one of which are stopped at any time; after equal updates
the loss on the validation pairs is compared. FLOPs count real tokens only.
"""

import json
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from attncli.training.machine import use_threads
from benchmarks.contestants import FF, LAYERS, VOCABULARY, D, Pairs
from benchmarks.harness import Row, late, main, peak

ROOT = Path(__file__).parents[1]
TOKENS, LONGEST = 1440, 100
WANTED = {"eole": 1.15, "transformers": 1.3, "joeynmt": 3.0}
SPEC = """
name: sentences
task: {{kind: seq2seq, label_smoothing: 0.1}}
model:
  d_model: 256
  max_length: 160
  norm: layer_norm
  bias: true
  attention: {{heads: 4}}
  feedforward: {{kind: relu, d_ff: 1024}}
  input: {{position: sinusoidal}}
  encoder: {{layers: 3}}
  decoder: {{layers: 3}}
tokenizer: {{kind: words, vocabulary: 4100}}
data:
  train: "{folder}/train.{{field}}"
  valid: "{folder}/valid.{{field}}"
  fields: {{source: {{column: src}}, target: {{column: trg}}}}
train:
  duration: 1000000
  batch: {{kind: tokens, size: {places}}}
  learning_rate: 1e-3
  optimizer: {{kind: adam}}
  schedule: constant
  checkpoints: {{every: 1000000}}
evaluate: {{metrics: [token_accuracy]}}
"""


def prepare(folder: Path, updates: int) -> Pairs:
    """Write the tokens of both sides, and what the batches of each contestant are to be in so many updates."""
    from attncli.data.codec import Codec
    from attncli.data.sources import open_splits
    from attncli.spec.load import load_text

    for side in ("train", "valid", "test"):
        if (ROOT / f"pairs.{side}.tsv").exists():
            (folder / f"pairs.{side}.tsv").symlink_to(ROOT / f"pairs.{side}.tsv")
    if not (folder / "pairs.train.tsv").exists():
        make = [sys.executable, str(ROOT / "examples" / "gettext_pairs.py"), "--language", "de"]
        subprocess.run([*make, "--out", str(folder / "pairs.tsv")], check=True, capture_output=True)
    data = f"data: {{train: {folder}/pairs.train.tsv, valid: {folder}/pairs.valid.tsv}}"
    model = "{d_model: 16, encoder: {layers: 1}, decoder: {layers: 1}}"
    text = f"name: cut\ntask: seq2seq\nmodel: {model}\ntokenizer: {{kind: bpe, vocabulary: {VOCABULARY}}}\n{data}\n"
    run = load_text(text).run
    splits = open_splits(run)
    codec = Codec.train(run, splits)
    kept: Pairs = []
    for name, rows in (("train", splits.train), ("valid", splits.valid)):
        assert rows is not None
        every = list(rows)
        both = [codec.vocabularies[field].encode_many([row[field] for row in every]) for field in ("source", "target")]
        pairs = [pair for pair in zip(*both, strict=True) if all(0 < len(ids) < LONGEST for ids in pair)]
        for side, place in (("src", 0), ("trg", 1)):
            lines = [" ".join(f"t{token}" for token in pair[place]) for pair in pairs]
            (folder / f"{name}.{side}").write_text("\n".join(lines) + "\n", encoding="utf-8")
        kept = kept or pairs
    target = sum(len(t) + 1 for _, t in kept) / len(kept)
    widest = sum(max(len(s), len(t) + 2) for s, t in kept) / len(kept)
    both_sides = sum(len(s) + len(t) + 2 for s, t in kept) / len(kept)
    spec = SPEC.format(folder=folder, places=round(TOKENS * both_sides / target * 1.035))
    (folder / "attncli.yaml").write_text(spec, encoding="utf-8")
    facts = {"sentences": round(TOKENS / target), "places": round(TOKENS * widest / target * 1.05)}
    facts["tokens"] = read_at_first(folder, updates)
    (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
    return kept


def read_at_first(folder: Path, updates: int) -> int:
    """Real target tokens of attncli's first updates, in the mean: other trainers' batches are put in an order in which
    their first ones are as large, since a mean of few batches is far from that of an epoch.
    """
    from attncli.data.batches import Batches
    from attncli.data.codec import Codec
    from attncli.data.sources import open_splits
    from attncli.spec.load import load_spec
    from attncli.training.parts import tokens_of

    run = load_spec(folder / "attncli.yaml", ("seed=1",)).run
    splits = open_splits(run)
    assert splits.train is not None
    batches = Batches(splits.train, Codec.train(run, splits), run.train.batch, run.seed)
    return round(sum(tokens_of(batches.batch(0, index)) for index in range(updates)) / updates)


def flops(pairs: Pairs) -> float:
    """Of one real target token: all products over the pairs, three times those of the forward pass."""
    total = tokens = 0
    for source, target in pairs:
        s, t = len(source) + 1, len(target) + 1
        reads = s * LAYERS * (4 * D * D + 2 * D * FF) + s * LAYERS * 2 * D * D
        writes = t * LAYERS * (6 * D * D + 2 * D * FF) + t * VOCABULARY * D
        total += reads + writes + LAYERS * 2 * D * (s * s + t * t + s * t)
        tokens += t
    return 3 * 2 * total / tokens


class Contestant:
    """A process that is stopped but for its turns."""

    def __init__(self, name: str, folder: Path, updates: int) -> None:
        self.name = name
        self.errors: IO[str] = (folder / f"{name}.log").open("w+", encoding="utf-8")
        words = [sys.executable, "-m", "benchmarks.contestants", name, str(folder), str(updates)]
        self.process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=self.errors)
        self.lines: list[dict[str, float]] = []
        self.seconds = self.processor = self.tokens = 0.0
        self.loss: float | None = None

    def turn(self, updates: int, limit: float) -> None:
        """Let it go on for so many whole updates, the first of which may have been begun before and is not counted."""
        self.process.send_signal(signal.SIGCONT)
        seen: list[dict[str, float]] = []
        until = time.perf_counter() + limit
        while len(seen) <= updates and self.loss is None:
            line = self._line(until)
            if line is None:
                raise RuntimeError(self.said())
            if "loss" in line:
                self.loss = line["loss"]
            else:
                seen.append(line)
        if self.loss is None:
            self.process.send_signal(signal.SIGSTOP)
        if len(seen) > 1:
            self.seconds += seen[-1]["clock"] - seen[0]["clock"]
            self.processor += seen[-1]["processor"] - seen[0]["processor"]
            self.tokens += seen[-1]["tokens"] - seen[0]["tokens"]
            self.lines += seen

    def _line(self, until: float) -> dict[str, float] | None:
        assert self.process.stdout is not None
        while time.perf_counter() < until:
            if select.select([self.process.stdout], [], [], 1.0)[0]:
                text = self.process.stdout.readline()
                if not text:
                    return None
                if text.startswith((b'{"clock"', b'{"loss"')):
                    found: dict[str, float] = json.loads(text)
                    return found
        return None

    def said(self) -> str:
        """The last line of its errors, or that it took too long."""
        if self.process.poll() is None:
            return "it took too long"
        self.errors.seek(0)
        return (self.errors.read().strip().splitlines() or ["it ended without a word"])[-1][:160]

    def end(self) -> None:
        """End the process."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.errors.close()


def measure(quick: bool) -> None:
    """The row."""
    use_threads(None)
    turns, updates = (2, 2) if quick else (4, 6)
    names = ["attncli", "eole", "transformers"] + ([] if quick else ["joeynmt"])
    row = Row("training on real short sentences", "", "real target tokens/s")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        folder = Path(place)
        total = turns * (updates + 1) + 2
        pairs = prepare(folder, total)
        running: list[Contestant] = []
        peaks = [peak()]
        try:
            for name in names:
                running.append(Contestant(name, folder, total))
                _turn(running, running[-1], 0, row)  # until its first update
            for turn in range(turns):
                if turn and late(0.5):
                    row.notes.append(f"{turn} turns of {turns}, since the machine was slow")
                    break
                for each in list(running):
                    _turn(running, each, updates, row)
                peaks.append(peak(0.3))
            for each in list(running):
                while each in running and each.loss is None and not late(0.75):
                    _turn(running, each, total, row)
            losses = [
                _alone(name, folder, total) for name in (() if quick or late(0.75) else ("attncli-2", "attncli-3"))
            ]
        finally:
            for each in running:
                each.end()
    _fill(row, running, pairs, max(peaks), losses, total)
    row.tell()


def _turn(running: list[Contestant], each: Contestant, updates: int, row: Row) -> None:
    try:
        each.turn(updates, 150)
    except RuntimeError as error:
        row.notes.append(f"{each.name}: not measured: {error}")
        running.remove(each)
        each.end()


def _alone(name: str, folder: Path, updates: int) -> float | None:
    other = Contestant(name, folder, updates)
    try:
        other.turn(updates, 150)
    except RuntimeError:
        return None
    finally:
        other.end()
    return other.loss


def _fill(
    row: Row, running: list[Contestant], pairs: Pairs, best: float, losses: list[float | None], updates: int
) -> None:
    work, row.peak = flops(pairs), best
    words = sorted(len(target) for _, target in pairs)[len(pairs) // 2]
    row.what = f"{len(pairs):,} pairs, median {words} tokens; 3+3 layers, d 256, ff 1,024"
    ours = next((each for each in running if each.name == "attncli"), None)
    for each in (each for each in running if each.seconds):
        speed = each.tokens / each.seconds
        row.values[each.name], row.shares[each.name] = speed, speed * work / best
        if ours is not None and each is not ours and ours.seconds:
            row.ratios[each.name] = (ours.tokens / ours.seconds / speed, WANTED[each.name])
        updated = f"{each.lines[-1]['tokens'] / updates:,.0f} real target tokens an update"
        row.notes.append(f"{each.name}: {updated}, {each.tokens / each.processor:,.0f} a second of one processor")
    row.notes.append(f"an update is counted over those of this run; the mean of an epoch is some {TOKENS:,} tokens")
    told = [f"{each.name} {each.loss:.3f}" for each in running if each.loss is not None]
    told += [f"attncli with another seed {loss:.3f}" for loss in losses if loss is not None]
    row.checks[f"validation loss after {updates} updates, nats a token"] = ", ".join(told)


if __name__ == "__main__":
    main(measure)
