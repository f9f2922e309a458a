"""Every kind of attention of the language is certified: by each kernel that serves it, in float32 and in bfloat16.

What `inspect` certifies: rows sum to what is due, nothing lies where the mask lets nothing through, map · V is the
kernel's output. tests/maps/test_capture.py has every line of the catalogue by the kernel that it gets of itself, and
tests/maps/test_generation.py that stitched maps are those of a replay.
"""

from dataclasses import replace

import pytest
import torch

from attncli.maps.capture import capture_forced
from attncli.nn.kernels.plan import Wanted
from attncli.nn.model import Model
from attncli.streams import Batch, stream, with_made_up_numbers
from tests import catalogue
from tests.maps.test_capture import pieces
from tests.nn import models, test_second
from tests.nn.test_carried import carrying

PARTS = ("score", "normalizer", "mask", "position", "heads", "kind", "step", "causal", "indexer", "span")
"""What a model of the catalogue is named after, where it is a part of an attention."""
KERNELS: tuple[Wanted, ...] = ("banded", "chunked", "flex", "fused", "reference")


def texts() -> dict[str, str]:
    """Of each kind of each part a model: an encoder, a decoder and what joins them."""
    found = {name: text for name, text in models.transformers().items() if name.split()[0].strip(",") in PARTS}
    near = {"alibi": {}, "t5": {}, "rotary": {"steps": "{sink: learned}"}, "xpos": {"steps": "{soft_cap: 0.7}"},
            "log_distance": {}}  # fmt: skip
    found |= {f"near {name}": models.transformer(
                  mask="causal & window(before=2)", position=catalogue.POSITIONS[name], **more)
              for name, more in near.items()}  # fmt: skip
    found |= {f"second {name}": test_second.spec(name) for name in catalogue.SECOND}
    for name, kind in (catalogue.LATENTS | catalogue.RUNNING).items():
        found[f"kind {name}"] = models.tiny(
            "{d_model: 12, max_length: 32, tie_embeddings: none, feedforward: {d_ff: 10}, encoder: {layers: 1}, "
            f"decoder: {{layers: 1, attention: {kind}}}}}"
        )
    sequential = catalogue.SEQUENTIAL_SCORES | catalogue.SEQUENTIAL_NORMALIZERS
    recurrent = models.recurrents()
    found |= {f"step by step {name}": text for name, text in recurrent.items()
              if any(name.endswith(kind) for kind in sequential)}  # fmt: skip
    # the variants of a kind differ in numbers, which change no road
    return {name: text for name, text in found.items() if "," not in name or name.split(",")[0] not in found}


TEXTS = texts()


def asked_of(model: Model, kernel: Wanted) -> set[str]:
    """The model asks for a kernel where that can serve; which ones it gets."""
    for attention in model.attentions().values():
        attention.traits = replace(attention.traits, wanted=kernel)
    return {attention.plan(device="cpu", dtype="float32", training=False, size=None).kernel
            for attention in model.attentions().values()}  # fmt: skip


def certify(model: Model, *batches: Batch) -> set[str]:
    """Every map holds, by each kernel and number format; the kernels that ran."""
    seen, ran = set(), set()
    for dtype in (torch.float32, torch.bfloat16):
        model = model.to(dtype)
        for kernel in KERNELS:
            gets = tuple(sorted(asked_of(model, kernel)))
            if (dtype, gets) in seen:
                continue
            seen.add((dtype, gets))
            for batch in batches:
                _, rows = capture_forced(model, batch, pieces)
                for one in (one for row in rows for one in row):
                    assert list(one.certificate.faults()) == [], (one.address, one.kernel, dtype)
                    ran.add(one.kernel)
    return ran


@pytest.mark.parametrize("name", TEXTS)
def test_a_kind_is_certified_by_each_kernel_that_serves_it(name: str) -> None:
    certify(models.build(TEXTS[name], dtype=torch.float32), models.batch(0, 1))


ROWS = ([2, 5, 6, 7, 8, 9, 3], [2, 5, 4, 3], [2, 7, 8, 9, 10, 11, 12, 4, 3])


def laid(*, carried: bool) -> list[Batch]:
    """Texts with padding behind and before them, and two in one row; with what masks read of them."""
    rows = [(stream(ROWS, pad=0, left=left), torch.arange(3).unsqueeze(1)) for left in (False, True)]
    together = models.packed(((0, 1), (2,)), ROWS)
    rows.append((together, together.documents.clamp(min=0)))
    if carried:
        rows = [(with_made_up_numbers(carrying(*each), ["segment"]), each[1]) for each in rows]
    return [{"text": each} for each, _ in rows]


def reader(mask: str, normalizer: str = "softmax", task: str = "tagging", more: str = "") -> str:
    """One stack, an encoder where it does not write."""
    stack = "decoder" if task == "language_model" else "encoder"
    return models.tiny(
        f"{{d_model: 12, max_length: 32, {stack}: {{layers: 1}}, "
        f"attention: {{heads: 4, kv_heads: 2, d_head: 6, mask: '{mask}', normalizer: {normalizer}}}}}", task
    ) + more  # fmt: skip


NUMBERS = {"row": "integers", "column": "integers", "part": "integer"}

MASKS = [mask for mask in catalogue.DATA_MASKS if "document" not in mask]
"""Documents are held apart where several are in a row, and masks of them refused as changing nothing."""


@pytest.mark.parametrize("mask", [*MASKS, "causal & window(before=2) & same(segment)"])
def test_a_mask_that_reads_data_is_certified_by_each_kernel_that_serves_it(mask: str) -> None:
    read = "" if "prefix" in mask else "row, column" if "neighbourhood" in mask else mask
    fields = [f"{name}: {{kind: {kind}}}" for name, kind in NUMBERS.items() if name in read]
    fields += ["prompt: {column: 0}"] if "prefix" in mask else []
    data = f"data: {{train: x.tsv, fields: {{{', '.join(fields)}}}}}\n" if fields else ""
    task = "language_model" if "prefix" in mask else "sentence_pair" if "segment" in mask else "tagging"
    ran = certify(models.build(reader(mask, task=task, more=data), dtype=torch.float32), *laid(carried=True))
    assert ran >= {"fused", "reference"}


def test_slots_over_a_mask_that_reads_data_are_certified() -> None:
    more = "data: {train: x.tsv, fields: {part: {kind: integer}}}\n"
    text = reader("same(word) | k % 3 != part", normalizer="queries", more=more)
    certify(models.build(text, dtype=torch.float32), *laid(carried=True))


@pytest.mark.parametrize("pooling", [name for name in catalogue.POOLINGS if name.startswith("attention")])
def test_pooling_is_certified_by_each_kernel_that_serves_it(pooling: str) -> None:
    task = f"{{kind: classification, pooling: {catalogue.POOLINGS[pooling]}}}"
    certify(models.build(reader("causal & window(before=2)", task=task), dtype=torch.float32), *laid(carried=False))


@pytest.mark.parametrize(("kernel", "name"), [
    ("banded", "near alibi"), ("chunked", "score additive"), ("flex", "position alibi"), ("fused", "position rotary"),
    ("reference", "normalizer sparsemax"), ("linear", "kind retention"),
])  # fmt: skip
def test_a_kernel_that_is_asked_for_is_the_one_that_ran(kernel: str, name: str) -> None:
    """The test above would prove little if another served."""
    model = models.build(TEXTS[name], dtype=torch.float32)
    asked_of(model, "auto" if kernel == "linear" else kernel)  # type: ignore[arg-type]
    _, rows = capture_forced(model, models.batch(0), pieces)
    assert kernel in {one.kernel for one in rows[0]}
