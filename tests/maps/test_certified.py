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
from tests import catalogue
from tests.maps.test_capture import pieces
from tests.nn import models, test_second

PARTS = ("score", "normalizer", "mask", "position", "heads", "kind", "step", "causal", "indexer", "span")
"""What a model of the catalogue is named after, where it is a part of an attention."""
KERNELS: tuple[Wanted, ...] = ("banded", "chunked", "fused", "reference")


def texts() -> dict[str, str]:
    """Of each kind of each part a model: an encoder, a decoder and what joins them."""
    found = {name: text for name, text in models.transformers().items() if name.split()[0].strip(",") in PARTS}
    near = {"alibi": {}, "t5": {}, "rotary": {"steps": "{sink: learned}"}, "xpos": {"steps": "{soft_cap: 0.7}"}}
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


@pytest.mark.parametrize("name", TEXTS)
def test_a_kind_is_certified_by_each_kernel_that_serves_it(name: str) -> None:
    model, batch, seen = models.build(TEXTS[name], dtype=torch.float32), models.batch(0, 1), set()
    for dtype in (torch.float32, torch.bfloat16):
        model = model.to(dtype)
        for kernel in KERNELS:
            gets = tuple(sorted(asked_of(model, kernel)))
            if (dtype, gets) in seen:
                continue
            seen.add((dtype, gets))
            _, rows = capture_forced(model, batch, pieces)
            for one in (one for row in rows for one in row):
                assert list(one.certificate.faults()) == [], (one.address, one.kernel, dtype)


@pytest.mark.parametrize(("kernel", "name"), [
    ("banded", "near alibi"), ("chunked", "score additive"), ("fused", "position rotary"),
    ("reference", "normalizer sparsemax"), ("linear", "kind retention"),
])  # fmt: skip
def test_a_kernel_that_is_asked_for_is_the_one_that_ran(kernel: str, name: str) -> None:
    """The test above would prove little if another served."""
    model = models.build(TEXTS[name], dtype=torch.float32)
    asked_of(model, "auto" if kernel == "linear" else kernel)  # type: ignore[arg-type]
    _, rows = capture_forced(model, models.batch(0), pieces)
    assert kernel in {one.kernel for one in rows[0]}
