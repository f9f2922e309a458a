"""From a model and what it reads to the texts it writes: greedy, beam search, sampling, and answers for every task."""

from collections.abc import Sequence
from typing import Protocol, assert_never

import torch

from attncli.data.codec import Codec
from attncli.decoding.beam import beam
from attncli.decoding.greedy import greedy
from attncli.decoding.sampling import sample
from attncli.decoding.writing import Hypothesis, Signs
from attncli.nn.model import Model
from attncli.nn.packed import packed
from attncli.nn.view import Tap
from attncli.spec.run import Run
from attncli.spec.tasks import Rewriting
from attncli.spec.training import Beam, Decoding, Greedy, Sample
from attncli.streams import Batch

__all__ = ["Decoder", "Hypothesis", "decode", "decoder"]


class Decoder(Protocol):
    """`decode` for the batches of one run."""

    def __call__(
        self, batch: Batch, longest: int | None = None, *, numbers: Sequence[int] | None = None
    ) -> list[list[Hypothesis]]:
        """longest: tokens written at the most, where decoding.max_length is not written; numbers: as in `decode`."""


def decode(
    model: Model,
    batch: Batch,
    decoding: Decoding,
    *,
    bos: int,
    eos: int,
    pad: int,
    max_length: int,
    tap: Tap | None = None,
    seed: int = 0,
    numbers: Sequence[int] | None = None,
    pruned: bool = False,
) -> list[list[Hypothesis]]:
    """Write texts for each row of a batch, best first; the model should be in eval mode.

    A batch with a `text` stream holds prompts, which are continued; any other batch is read and answered from BOS on.
    max_length is the number of positions of the stack that writes; prompts count. A smaller decoding.max_length bounds
    the tokens written, EOS among them. `numbers` are the places of the rows in the whole input, which sampling's
    random numbers follow. `pruned`: of a beam, the texts that it gave up come behind those that it found.

    Errors: InputError where a prompt has more than max_length tokens, WorkError where logits are NaN.
    """
    signs = Signs(bos, eos, pad)
    beams = decoding.size if isinstance(decoding, Beam) else 1
    rows = beams * len(next(iter(batch.values())).values)
    with torch.no_grad(), packed(model, rows=rows):
        match decoding:
            case Greedy():
                return greedy(model, batch, decoding, signs=signs, max_length=max_length, tap=tap)
            case Beam():
                return beam(
                    model, batch, decoding, signs=signs, max_length=max_length, tap=tap, pruned=pruned
                )  # fmt: skip
            case Sample():
                return sample(
                    model, batch, decoding, signs=signs, max_length=max_length, tap=tap, seed=seed, numbers=numbers
                )  # fmt: skip
            case _:
                assert_never(decoding)


def decoder(model: Model, codec: Codec, run: Run, decoding: Decoding | None = None, *, seed: int = 0) -> Decoder:
    """`decode` with the ids and the lengths of one run and, where no decoding is given, that of its spec."""
    vocabulary = codec.vocabularies["target" if isinstance(run.task, Rewriting) else "text"]
    chosen = run.evaluate.decoding if decoding is None else decoding
    max_length = run.model.stacks[run.task.stack].longest

    def written(
        batch: Batch, longest: int | None = None, *, numbers: Sequence[int] | None = None
    ) -> list[list[Hypothesis]]:
        cut = chosen if chosen.max_length is not None else chosen.model_copy(update={"max_length": longest})
        return decode(
            model, batch, cut, bos=vocabulary.bos, eos=vocabulary.eos, pad=vocabulary.pad, max_length=max_length,
            seed=seed, numbers=numbers,
        )  # fmt: skip

    return written
