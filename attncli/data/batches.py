"""Batches of one split, in an order that is a pure function of (seed, epoch).

Nothing is remembered between calls but the last epoch's plan, which is computed again wherever it is asked for: a
resumed run takes up the batch that is due without replaying those before it.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from attncli.data.codec import Codec
from attncli.data.encoded import Encoded, encode_split
from attncli.data.packing import packed, packs_of, streamed
from attncli.data.plan import Numbers, make_plan
from attncli.data.rows import Rows
from attncli.spec.seeds import mix
from attncli.spec.training import Batch as BatchSpec
from attncli.spec.training import SequenceBatch
from attncli.streams import Batch


class Batches:
    """The batches of a split. One batch is what one optimizer step reads, however many passes share it.

    Raises DataError, with file and line, for a row that cannot be used. Rows that are left out are counted in
    `encoded.bad` and `encoded.long`, and said once in the log.
    """

    def __init__(self, rows: Rows, codec: Codec, batch: BatchSpec, seed: int, *, cache: Path | None = None) -> None:
        self.codec = codec
        self.encoded: Encoded = encode_split(rows, codec, cache=cache)
        self._size, self._by_sequences = batch.size, isinstance(batch, SequenceBatch)
        if codec.run.data is not None and codec.run.data.packing == "stream":
            self.encoded = streamed(self.encoded, codec.limits["text"], bos=codec.vocabularies["text"].bos)
        self._packs = self._packed(codec)
        self._widths = self.encoded.widths
        if self._packs is not None:
            self._widths = np.stack([self.encoded.widths[pack].sum(0) for pack in self._packs])
        remembers = any(getattr(stack, "segment_memory", None) for stack in codec.run.model.stacks.values())
        self._in_columns = remembers and codec.run.data is not None and codec.run.data.packing == "stream"
        self._plan = make_plan(batch, self._widths, columns=self._in_columns)
        self._seed = seed
        self._kept: tuple[int, list[Numbers]] = (-1, [])

    @property
    def per_epoch(self) -> int:
        """Batches of every epoch."""
        return self._plan.steps

    def epoch(self, epoch: int) -> list[Numbers]:
        """The examples of each batch of an epoch, or the packs of examples; each stands in one."""
        if self._kept[0] != epoch:
            self._kept = epoch, self._plan.groups(np.random.default_rng(mix(self._seed, "order", epoch)))
        return self._kept[1]

    def batch(self, epoch: int, index: int) -> Batch:
        """One batch of an epoch, with the noise of that place where the task has noise."""
        chosen, noise = self.epoch(epoch)[index], self._noise(epoch, index)
        if self._packs is None:
            return self.collate(chosen, noise=noise)
        packs = [self._packs[number] for number in chosen]
        batch = self.collate(np.concatenate(packs), noise=noise)
        counts = np.array([len(pack) for pack in packs], dtype=np.int64)
        return {name: packed(one, counts, pad=self.codec.collator.pad(name)) for name, one in batch.items()}

    def _packed(self, codec: Codec) -> list[Numbers] | None:
        """The examples that share a row; None where each has its own."""
        if codec.run.data is None or codec.run.data.packing != "documents":
            return None
        limits = [codec.limits[field] for field in codec.vocabularies]
        return packs_of(self.encoded.widths, np.array(limits, dtype=np.int64))

    def collate(self, examples: Numbers, *, noise: torch.Generator | None = None) -> Batch:
        """The batch of any examples."""
        fields = {field: ids.take(examples) for field, ids in self.encoded.fields.items()}
        labels = None if self.encoded.labels is None else self.encoded.labels.take(examples)
        return self.codec.collator.lay(fields, labels, noise)

    def in_order(self) -> Iterator[tuple[Numbers, Batch]]:
        """All examples once, sorted by length, with the numbers of their rows. Batches are as large as in training.

        Where rows go on from batch to batch, all come in that order.
        """
        if self._in_columns:
            for chosen in self.epoch(0):
                yield self.encoded.rows[chosen], self.collate(chosen)
            return
        widths = self.encoded.widths
        order = np.lexsort(tuple(widths.T[::-1]))
        start = 0
        for number, stop in enumerate(self._cuts(widths[order])):
            chosen = order[start:stop]
            yield self.encoded.rows[chosen], self.collate(chosen, noise=self._noise(0, number))
            start = stop

    def _cuts(self, widths: Numbers) -> Iterator[int]:
        """Where batches end in a row of examples."""
        start, wide = 0, widths[0]
        for place in range(1, len(widths)):
            wider = np.maximum(wide, widths[place])
            count = place - start + 1
            if count * (1 if self._by_sequences else int(wider.sum())) > self._size:
                yield place
                start, wider = place, widths[place]
            wide = wider
        yield len(widths)

    def padding_share(self, epoch: int) -> float:
        """The share of the places of an epoch's inputs that hold no token."""
        places = real = 0
        for group in self.epoch(epoch):
            widths = self._widths[group]
            places += len(group) * int(widths.max(0).sum())
            real += int(widths.sum())
        return 1 - real / max(places, 1)

    def _noise(self, epoch: int, index: int) -> torch.Generator:
        return torch.Generator().manual_seed(mix(self._seed, "mask", epoch, index))
