"""The plan is a pure function, every reason of it can be reached, and what it says of torch's kernels is true here."""

import dataclasses
import itertools
import subprocess
import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from attncli.nn.kernels.plan import (
    CHUNKED_FROM,
    CHUNKS,
    FLEX,
    FLEX_ON_CPU,
    LEARNED_FLEX,
    Choice,
    Size,
    Span,
    Traits,
    plan,
)
from attncli.nn.view import view_of_self
from attncli.streams import stream
from tests import catalogue
from tests.nn.oracle import attention

PLAIN = Traits(
    product=True, softmax=True, bias="none", dropout=0.0, heads=4, kv_heads=2, d_head=6, d_value=6, mask="causal"
)
CPU = {"device": "cpu", "dtype": "float32", "size": None}
DROPOUT = "on the CPU the fused kernel has no dropout on the weights; dropout: 0 would allow it"
LEARNED = "on the CPU the fused kernel gives a learned bias no gradient; rotary would allow it"
WIDE = "on the CPU the fused kernel needs d_value = d_head (7 and 6)"
FUSED = "a dot product under softmax: the weights need not be held"
BANDED = (
    "the mask is local: each block of queries reads 160 keys, so the cost grows with the length; "
    "rows under 576 tokens, and steps with a cache, take the whole row"
)
LATER = f"from {CHUNKED_FROM:,} weights a call on, chunked: {CHUNKS}"
BESIDES = "the mask is local besides the first 4 keys and the first 1,000 queries, which read the whole row"
FAR = "parts of the mask are local, but 'prefix' may show keys at any distance"
UNDROPPED = "FlexAttention has no dropout on the weights; dropout: 0 would allow it"
STEPS = "steps over kept keys would each make FlexAttention's blocks anew"
UNBANDED = "the mask is local, but the banded kernel has no select, span"

REASONS = {
    "nothing": ({}, "train", "fused", (FUSED,)),
    "asked for": ({"wanted": "reference"}, "train", "reference", ("the spec asks for it",)),
    "score": ({"product": False}, "eval", "reference", ("the score is no dot product",)),
    "normalizer": ({"softmax": False}, "eval", "reference", ("the normalizer is not softmax",)),
    "a step": ({"steps": ("soft_cap",)}, "eval", "reference", ("the fused kernel has no soft_cap",)),
    "a step, forced": (
        {"steps": ("soft_cap",), "wanted": "fused"},
        "eval",
        "reference",
        ("the fused kernel has no soft_cap",),
    ),
    "dropout": ({"dropout": 0.1}, "train", "reference", (DROPOUT,)),
    "dropout rests": ({"dropout": 0.1}, "eval", "fused", (FUSED,)),
    "learned bias": ({"bias": "learned"}, "train", "reference", (LEARNED,)),
    "learned bias at rest": ({"bias": "learned"}, "eval", "fused", (FUSED,)),
    "fixed bias": ({"bias": "fixed"}, "train", "fused", (FUSED,)),
    "wide values": ({"d_value": 7}, "eval", "reference", (WIDE,)),
    "several": ({"d_value": 7, "dropout": 0.1, "bias": "learned"}, "train", "reference", (DROPOUT, LEARNED, WIDE)),
    "forced": ({"d_value": 7, "wanted": "fused"}, "eval", "fused", (FUSED, f"the spec asks for it, though {WIDE}")),
    "local": ({"span": Span(160)}, "train", "banded", (BANDED,)),
    "local, dropped": ({"span": Span(160), "dropout": 0.1}, "train", "banded", (BANDED,)),
    "local, forced": ({"span": Span(160), "wanted": "banded"}, "train", "banded", (BANDED.split(";")[0],)),
    "local, in vain": ({"span": Span(160), "unbanded": ("select", "span")}, "train", "fused", (FUSED, UNBANDED)),
    "local, with global keys": (
        {"span": Span(164, 1)},
        "train",
        "banded",
        (BANDED.replace("local", "local besides the first key").replace("160", "164").replace("576", "584"),),
    ),
    "local, with global tokens": (
        {"span": Span(160, 4, 1000)},
        "train",
        "banded",
        (BANDED.replace("the mask is local", BESIDES).replace("576", "2576"),),
    ),
    "local in parts": ({"far": FAR}, "train", "fused", (FUSED, FAR)),
    "local, not asked": ({"span": Span(160), "wanted": "fused"}, "train", "fused", (FUSED,)),
    "forced in vain": ({"softmax": False, "wanted": "fused"}, "eval", "reference", ("the normalizer is not softmax",)),
}


@pytest.mark.parametrize(("traits", "phase", "kernel", "reasons"), REASONS.values(), ids=REASONS.keys())
def test_every_reason_is_reached(traits, phase, kernel, reasons):
    if kernel == "reference" and traits.get("wanted") != "reference":
        reasons = (*reasons, LATER)
    assert plan(dataclasses.replace(PLAIN, **traits), **CPU, phase=phase) == Choice(kernel, reasons)


def test_many_weights_are_made_some_queries_at_a_time():
    traits, where = dataclasses.replace(PLAIN, softmax=False, maps=4), {"device": "cpu", "dtype": "float32"}
    no = "the normalizer is not softmax"
    for size, choice in (
        (Size(1, 1024, 1023, near=True), Choice("reference", (no,))),
        (Size(1, 1024, 1024, near=True), Choice("chunked", (no, CHUNKS))),
        (Size(64, 1024, 16, near=False), Choice("chunked", (no, CHUNKS))),
    ):
        assert plan(traits, **where, phase="train", size=size) == choice
    asked = dataclasses.replace(traits, wanted="chunked")
    assert plan(asked, **where, phase="train", size=Size(1, 8, 8, near=True)).kernel == "chunked"
    joined = dataclasses.replace(traits, unchunked=("selective",))
    assert plan(joined, **where, phase="train", size=Size(1, 2048, 2048, near=True)) == Choice(
        "reference", (no, "all queries at once, because of selective")
    )


def test_a_local_mask_whose_call_is_no_band_says_why():
    traits, where = dataclasses.replace(PLAIN, span=Span(160)), {"device": "cpu", "dtype": "float32", "phase": "eval"}
    few = "the mask is local, but with 575 keys the banded kernel is no faster; it is from 576 on"
    apart = "the mask is local, but the banded kernel needs queries and keys that lie side by side"
    for size, choice in (
        (Size(1, 576, 576, near=True), Choice("banded", (BANDED,))),
        (Size(1, 575, 575, near=True), Choice("fused", (FUSED, few))),
        (Size(1, 1, 900, near=False), Choice("fused", (FUSED, apart))),
    ):
        assert plan(traits, **where, size=size) == choice


def test_a_bias_of_too_many_pairs_is_read_some_queries_at_a_time():
    traits = dataclasses.replace(PLAIN, bias="fixed", maps=8)
    few, many = (Size(1, n, n, near=True) for n in (2048, 4096))
    said = "on the CPU the fused kernel reads the bias of all pairs at once: 134,217,728 numbers"
    where = {"device": "cpu", "dtype": "float32", "phase": "eval"}
    assert plan(traits, **where, size=few).kernel == "fused"
    assert plan(traits, **where, size=many) == Choice("chunked", (said, CHUNKS))
    assert plan(dataclasses.replace(traits, wanted="fused"), **where, size=many).kernel == "fused"
    assert plan(dataclasses.replace(traits, unchunked=("select",)), **where, size=many).kernel == "fused"
    assert plan(traits, **where | {"device": "cuda"}, size=many).kernel == "fused"


def test_what_binds_the_cpu_does_not_bind_other_devices():
    traits = dataclasses.replace(PLAIN, dropout=0.1, bias="learned", d_value=7)
    cuda = {"device": "cuda", "dtype": "bfloat16", "phase": "train", "size": None}
    assert plan(traits, **cuda).kernel == "fused"
    assert plan(dataclasses.replace(traits, softmax=False), **cuda).kernel == "reference"


NEAR = f"{FLEX}; rows under 576 tokens, and steps with a cache, take the whole row"
WIDE_HEADS = {"d_head": 16, "d_value": 32}
ON_CUDA = {
    "local": ({"span": Span(160)}, "train", "float32", "flex", (NEAR,)),
    "local, learned bias": (
        {"span": Span(160), "bias": "learned"}, "train", "float32", "banded", (BANDED, LEARNED_FLEX)
    ),
    "local, learned bias at rest": ({"span": Span(160), "bias": "learned"}, "eval", "float32", "flex", (NEAR,)),
    "local, dropped": ({"span": Span(160), "dropout": 0.1}, "train", "float32", "banded", (BANDED, UNDROPPED)),
    "local, dropout rests": ({"span": Span(160), "dropout": 0.1}, "eval", "float32", "flex", (NEAR,)),
    "local, double": (
        {"span": Span(160)}, "train", "float64", "banded", (BANDED, "on CUDA FlexAttention has no float64")
    ),
    "local, narrow": (
        {"span": Span(160), "d_head": 8}, "train", "bfloat16", "banded",
        (BANDED, "on CUDA FlexAttention needs 16 features a key and a value (8 and 32)"),
    ),
    "local, no compiler": (
        {"span": Span(160), "triton": False}, "train", "float32", "banded",
        (BANDED, "on CUDA FlexAttention is compiled by Triton, which is not installed"),
    ),
    "local, forced": ({"span": Span(160), "wanted": "banded"}, "train", "float32", "banded", (BANDED.split(";")[0],)),
    "not local": ({}, "train", "float32", "fused", (FUSED,)),
    "not local, asked for": ({"wanted": "flex"}, "train", "float32", "flex", (FLEX,)),
    "learned bias, asked for": ({"wanted": "flex", "bias": "learned"}, "train", "bfloat16", "flex", (FLEX,)),
    "asked for in vain": (
        {"wanted": "flex", "unbanded": ("select", "span")}, "eval", "float32", "fused",
        (FUSED, "FlexAttention has no select, span"),
    ),
    "score": (
        {"wanted": "flex", "product": False}, "eval", "float32", "reference",
        ("the score is no dot product", LATER, "FlexAttention has no score but dot products"),
    ),
    "cap": ({"steps": ("soft_cap",)}, "train", "float32", "flex", (FLEX,)),
    "cap, dropped": (
        {"steps": ("soft_cap",), "dropout": 0.1}, "train", "float32", "reference",
        ("the fused kernel has no soft_cap", LATER, UNDROPPED),
    ),
    "cap, step by step": (
        {"steps": ("soft_cap",), "unlooped": ()}, "eval", "float32", "reference",
        ("the fused kernel has no soft_cap", LATER, STEPS),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("traits", "phase", "dtype", "kernel", "reasons"), ON_CUDA.values(), ids=ON_CUDA.keys())
def test_flex_on_a_gpu(traits, phase, dtype, kernel, reasons):
    given = dataclasses.replace(PLAIN, **WIDE_HEADS | traits)
    assert plan(given, device="cuda", dtype=dtype, phase=phase, size=None) == Choice(kernel, reasons)


def test_flex_elsewhere():
    asked = dataclasses.replace(PLAIN, wanted="flex", dropout=0.1)
    at_rest = plan(asked, **CPU, phase="eval")
    assert at_rest == Choice("flex", (FLEX_ON_CPU,))
    back = "on the CPU FlexAttention has no backward pass"
    assert plan(dataclasses.replace(asked, dropout=0.0), **CPU, phase="train") == Choice("fused", (FUSED, back))
    assert plan(asked, **CPU, phase="train").reasons == (DROPOUT, LATER, UNDROPPED, back)
    on_mps = plan(asked, device="mps", dtype="float32", phase="eval", size=None)
    assert on_mps == Choice("fused", (FUSED, "FlexAttention is not called on mps, where it has no backward pass"))
    step = plan(asked, device="cpu", dtype="float32", phase="eval", size=Size(2, 1, 900, near=False))
    assert step == Choice("fused", (FUSED, STEPS))


def all_traits() -> list[Traits]:
    choices = itertools.product((True, False), (True, False), ("none", "fixed", "learned"), (0.0, 0.2), (6, 7),
                                ("auto", "fused", "flex", "reference"))  # fmt: skip
    return [
        dataclasses.replace(PLAIN, product=p, softmax=s, bias=b, dropout=d, d_value=v, wanted=w)
        for p, s, b, d, v, w in choices
    ]


def test_the_plan_always_says_why_and_keeps_its_promises():
    for traits, phase in itertools.product(all_traits(), ("train", "eval")):
        choice = plan(traits, **CPU, phase=phase)
        assert choice.reasons
        assert all(choice.reasons)
        if choice.kernel in ("fused", "flex"):
            assert traits.product and traits.softmax and traits.wanted != "reference"
        if traits.wanted == "fused" and traits.product and traits.softmax:
            assert choice.kernel == "fused"


def test_the_plan_is_a_pure_function():
    """The same answers in another process, which shares no cache, no clock and no hash seed with this one."""
    ask = (
        "from tests.nn.test_plan import CPU, all_traits, plan\n"
        "print([plan(traits, **CPU, phase=phase) for traits in all_traits() for phase in ('train', 'eval')])"
    )
    told = [plan(traits, **CPU, phase=phase) for traits in all_traits() for phase in ("train", "eval")]
    other = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == str(told)


class Operations(TorchDispatchMode):
    """The names of the operations that run inside it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


FLASH = "_scaled_dot_product_flash_attention_for_cpu"


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("position", catalogue.POSITIONS.values(), ids=catalogue.POSITIONS.keys())
@pytest.mark.parametrize("d_value", [6, 7])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_the_kernel_that_runs_is_the_one_that_the_plan_names(training, position, d_value, dropout):
    """Forced, the fused call runs torch's fast form exactly where nothing speaks against it."""
    heads = f"{{heads: 4, kv_heads: 2, d_head: 6, d_value: {d_value}}}"
    auto = attention(position=position, heads=heads, dropout=dropout, mask="causal").train(training)
    forced = attention(position=position, heads=heads, dropout=dropout, mask="causal", kernel="fused").train(training)
    x, tokens = torch.randn(1, 4, 12, dtype=torch.float64, requires_grad=training), stream([[1] * 4], pad=0)
    fast = []
    for module in (auto, forced):
        with Operations() as operations, torch.set_grad_enabled(training):
            module(x, x, view_of_self(tokens))
        fast.append(FLASH in operations.seen)
    choice = auto.plan(device="cpu", dtype="float64", training=training, size=None)
    assert fast == [choice.kernel == "fused", choice.kernel == "fused"], (choice, fast)


def test_the_fused_call_never_holds_the_weights_where_it_is_fast():
    module = attention(heads="{heads: 4, kv_heads: 2, d_head: 6}")
    x, tokens = torch.randn(1, 9, 12, dtype=torch.float64), stream([[1] * 9], pad=0)
    shapes: list[torch.Size] = []

    class Shapes(Operations):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = super().__torch_dispatch__(func, types, args, kwargs)
            shapes.extend(each.shape for each in (out if isinstance(out, tuple) else (out,)) if hasattr(each, "shape"))
            return out

    with Shapes(), torch.no_grad():
        module(x, x, view_of_self(tokens))
    assert not [shape for shape in shapes if shape[-2:] == (9, 9)]
