"""attncli in Python: the same road as the command line, with typed objects.

>>> from attncli import build, load_run, load_spec
>>> spec = load_spec("specs/dates.yaml", overrides=["model.d_model=128"])
>>> model = build(spec)                       # a torch.nn.Module; its sizes are the spec's until data have been seen
>>> run = load_run("runs/dates")              # spec, tokenizers and weights of a trained run
>>> run.predict(["de Sunday, November 22, 2026"])
['Sonntag, 22. November 2026']
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from attncli.data.codec import Codec
from attncli.decoding import decode
from attncli.nn.model import Model, build_model, token_fields
from attncli.spec.load import load_spec as _load_spec
from attncli.spec.run import Run
from attncli.spec.seeds import mix
from attncli.spec.sizes import sizes_of
from attncli.training.folder import RunFolder


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

    @torch.no_grad()
    def predict(self, texts: Sequence[str]) -> list[str]:
        """The best output of a seq2seq or language model for each text."""
        from attncli.cli.predict import write_texts

        return write_texts(self.spec, self.codec, self.model, texts)


def load_run(folder: str | Path, *, checkpoint: str = "best", device: str = "cpu") -> LoadedRun:
    """The run in a folder, with the weights of a checkpoint (`best`, `last`, `average` or a step).

    Raises:
        RunError: the folder is no run, or has no such checkpoint.
    """
    run = RunFolder(Path(folder))
    return LoadedRun(run.run(), run.codec(), run.model(checkpoint=checkpoint, device=device).eval())


__all__ = ["LoadedRun", "build", "decode", "load_run", "load_spec"]
