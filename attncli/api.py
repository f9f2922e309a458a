"""attncli in Python: the same road as the command line, with typed objects.

>>> from attncli import build, load_run, load_spec
>>> spec = load_spec("specs/dates.yaml", overrides=["model.d_model=128"])
>>> model = build(spec)                       # a torch.nn.Module; its sizes are the spec's until data have been seen
>>> run = load_run("runs/dates")              # spec, tokenizers and weights of a trained run
>>> run.predict(["de Sunday, November 22, 2026"])
['Sonntag, 22. November 2026']
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from attncli.data.codec import Codec
from attncli.data.rows import Row, Rows
from attncli.data.sources import open_file, open_splits
from attncli.decoding import Hypothesis, decode, decoder
from attncli.decoding.flags import Flags, with_flags
from attncli.errors import InputError
from attncli.evaluation import Report
from attncli.evaluation import evaluate as _evaluate
from attncli.evaluation.answers import Answering
from attncli.maps.asked import decoding_of, rows_of
from attncli.maps.budget import Budget, bytes_of
from attncli.maps.record import Maps, Sample
from attncli.maps.samples import Inspector
from attncli.maps.taking import Plan
from attncli.nn import quantized
from attncli.nn.model import Model, build_model, token_fields
from attncli.nn.packed import packed
from attncli.nn.view import Tap
from attncli.spec.load import load_spec as _load_spec
from attncli.spec.run import Run
from attncli.spec.seeds import mix
from attncli.spec.sizes import sizes_of
from attncli.spec.tasks import REWRITING
from attncli.spec.training import Decoding
from attncli.streams import Batch
from attncli.training.folder import RunFolder
from attncli.training.machine import choose_device

__all__ = ["Flags", "LoadedRun", "build", "load_run", "load_spec"]


def load_spec(path: str | Path, overrides: Sequence[str] = ()) -> Run:
    """The spec in a file, every default filled in.

    Raises:
        SpecError: the file is no spec; the message reports every fault with its place.
    """
    return _load_spec(Path(path), overrides).run


def build(spec: Run, *, device: str = "cpu") -> Model:
    """The model of a spec with fresh weights drawn from its seed; device "meta" takes no memory."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(spec.seed, "weights"))
        return build_model(spec, sizes_of(spec, token_fields(spec)), device).eval()


@dataclass(frozen=True)
class LoadedRun:
    """A trained run: its spec, what turns text into ids, and the model in eval mode."""

    spec: Run
    codec: Codec
    model: Model
    checkpoint: str
    """Which weights: `best (step 4000)`."""

    def predict(self, texts: Sequence[str]) -> list[str]:
        """The answer to each text: the best translation or continuation, the label, the tagged words."""
        return [answer.output for answer in self.answering().answer(texts)]

    def answering(self, *, flags: Flags | None = None, on_long: str | None = None) -> Answering:
        """What answers texts, with all their scores. `on_long` is `error` or `truncate`; the spec's if not given.

        Raises:
            InputError: flags that contradict each other or that this task does not read.
        """
        flags = flags or Flags()
        spec = self.spec
        if on_long is not None and spec.data is not None:
            spec = spec.model_copy(update={"data": spec.data.model_copy(update={"on_long": on_long})})
        codec = Codec(spec, self.codec.vocabularies, self.codec.labels)
        decoding = self._decoding(flags, "seq2seq", "denoising", "language_model")
        seed = spec.seed if flags.seed is None else flags.seed
        return Answering(self.model, codec, spec, decoder(self.model, codec, spec, decoding, seed=seed))

    def maps(self, texts: Sequence[str], *, targets: Sequence[str] = (), only: str = "*", budget: str = "2GB") -> Maps:
        """The attention maps of texts, each with its proof; attncli.maps.named gives their arrays axes with names.

        A text with a target is read at once; without one it is answered as the spec says. `only` is a pattern of
        addresses, `budget` the memory for whole maps: of others there is a summary.

        Raises:
            InputError: nothing to look at, a text that does not fit, or a senseless budget.
        """
        plan = Plan(Budget(bytes_of(budget, "budget")))
        inspector = Inspector(self.spec, self.codec, self.model, only, plan)
        inspector.check()
        how = decoding_of(self.spec, decoding=None, n_best=None, generate=None, targets=bool(targets))
        rows = rows_of(self.spec, texts, targets, None)
        return Maps(tuple(sample for place, row in rows for sample in look(inspector, row, how, place)))

    def evaluate(
        self,
        *,
        data: str | Path | None = None,
        split: str | None = None,
        metrics: Sequence[str] | None = None,
        limit: int | None = None,
        flags: Flags | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Report:
        """The metrics of the task on a file, or on a split: by default test where there is one, else valid.

        Raises:
            InputError: the spec names no such split, or the task has no such metric.
            DataError: a row is bad; the message has its file and line.
        """
        decode = decoder(self.model, self.codec, self.spec, self._decoding(flags or Flags(), "seq2seq"))
        name, rows = (str(data), open_file(self.spec, data)) if data is not None else self._split(split)
        with packed(self.model, rows=len(rows) if limit is None else limit):
            report = _evaluate(self.model, self.codec, rows, self.spec, decode=decode, metrics=metrics, limit=limit,
                               progress=progress)  # fmt: skip
        return report.named(split=name, checkpoint=self.checkpoint)

    def _decoding(self, flags: Flags, *writers: str) -> Decoding | None:
        """The decoding that the flags ask for; None, which is the spec's, where the task is none that writes."""
        if self.spec.task.kind in writers:
            return with_flags(self.spec.evaluate.decoding, flags)
        if flags.written():
            rule = f"{flags.written()[0]}: nothing is written here, since the task is {self.spec.task.kind}"
            raise InputError(rule, help="leave it out")
        return None

    def _split(self, split: str | None) -> tuple[str, Rows]:
        for name in ("test", "valid") if split is None else (split,):
            rows: Rows | None = getattr(open_splits(self.spec, names=[name]), name)
            if rows is not None:
                return name, rows
        missing = "neither data.test nor data.valid" if split is None else f"no data.{split}"
        raise InputError(f"{self.spec.name}: the spec names {missing}", help="give a file with --data")


def look(inspector: Inspector, row: Row, how: Decoding | None, place: str, *, pruned: bool = False) -> list[Sample]:
    """The maps of one row: of each text that a search writes, and of those that it gave up where `pruned` says so;
    where `how` is None of the row itself, read at once. `place` is where the row comes from, for errors."""
    if how is None:
        return [inspector.forced(row, place=place)]
    run = inspector.run
    vocabulary = inspector.codec.vocabularies["target" if run.task.kind in REWRITING else "text"]

    def search(batch: Batch, tap: Tap) -> list[list[Hypothesis]]:
        return decode(
            inspector.model, batch, how, bos=vocabulary.bos, eos=vocabulary.eos, pad=max(vocabulary.pad, 0),
            max_length=run.model.stacks[run.task.stack].max_length, tap=tap, seed=run.seed, pruned=pruned,
        )  # fmt: skip

    name = f"beam of {how.size}" if how.kind == "beam" else how.kind
    return inspector.generated(row, search, name=name, place=place)


def load_run(
    folder: str | Path, *, checkpoint: str = "best", device: str = "cpu", int8: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> LoadedRun:  # fmt: skip
    """The run in a folder, with the weights of a checkpoint (`best`, `last`, `average` or a step).

    int8: linear maps compute in 8-bit integers, some times as fast and a little less exact (attncli.nn.quantized).

    Raises:
        RunError: the folder is no run, or has no such checkpoint.
        InputError: there is no such device here, or int8 is asked of another than the CPU.
    """
    place = choose_device("cpu" if int8 and device == "auto" else device)
    if int8 and place.type != "cpu":
        raise InputError(f"--int8 is for the CPU, and --device says {place.type}", help="leave one of them out")
    run = RunFolder(Path(folder), say=say)
    step = "" if checkpoint == "average" else f" (step {run.checkpoint(checkpoint).step})"
    model = run.model(checkpoint, place)
    if int8:
        quantized.quantize(model)
    return LoadedRun(run.run(), run.codec(), model, checkpoint + step + (", int8" if int8 else ""))
