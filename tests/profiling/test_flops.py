"""FLOPs against what torch counts as it runs, and against pairs counted one by one."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from attncli.nn.kernels import linear_loss
from attncli.nn.model import Model, build_model, token_fields
from attncli.profiling.flops import Scene, work_of
from attncli.profiling.synthetic import batch_of
from attncli.spec.load import load_text
from attncli.spec.recurrent import Lstm, Recurrent
from attncli.spec.run import Run
from attncli.spec.sizes import Sizes, sizes_of
from tests.profiling import specs

# said once by torch when any flag of oneDNN is set
pytestmark = pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")


@pytest.fixture(autouse=True)
def _no_filling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits that fill a line of the cache are work for torch's counter, and none for the model."""
    monkeypatch.setattr(linear_loss, "ALIGNED", 1)


def loaded(text: str) -> tuple[Run, Sizes]:
    run = load_text(text).run
    return run, sizes_of(run, token_fields(run))


def scene(run: Run, phase="forward") -> Scene:
    """Stacks of unlike lengths: 7 tokens in the first, 5 in the second."""
    return Scene(3, dict(zip(run.model.stacks, (7, 5), strict=False)), phase)


def counted(call) -> int:
    """What torch counts: only operations that it does not fuse are known to its counter."""
    unfused = torch.backends.mkldnn.flags(enabled=False)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), unfused:
        call()
    return counter.get_total_flops()


def dense(run: Run, sizes: Sizes, phase="forward") -> int:
    return sum(work.dense for work in work_of(run, sizes, scene(run, phase)))


@pytest.mark.parametrize("name", specs.ALL)
def test_forward_is_what_torch_counts(name):
    run, sizes = loaded(specs.ALL[name])
    model = build_model(run, sizes).requires_grad_(False).eval()
    batch = batch_of(run, sizes, scene(run))
    assert dense(run, sizes) == counted(lambda: model(batch)) > 0


@pytest.mark.parametrize("name", specs.TRANSFORMERS)
def test_a_training_step_is_what_torch_counts(name):
    run, sizes = loaded(specs.TRANSFORMERS[name])
    model = build_model(run, sizes).train()
    batch = batch_of(run, sizes, scene(run, "train"))
    assert dense(run, sizes, "train") == counted(lambda: model.losses(batch).loss.backward())


@pytest.mark.parametrize("name", ["bahdanau", "luong", "article"])
def test_recurrent_backward_spares_only_the_gradients_of_zero_states(name):
    """Twice forward counts a gradient for the state before the first token, which is not made where that is zeros."""
    run, sizes = loaded(specs.RECURRENT[name])
    model = build_model(run, sizes).train()
    batch = batch_of(run, sizes, scene(run, "train"))
    encoder = run.model.encoder
    assert isinstance(encoder, Recurrent)
    gates = 4 if isinstance(encoder.cell, Lstm) else 3
    ways = encoder.d_output // encoder.d_hidden
    spared = 2 * scene(run).batch * gates * encoder.d_hidden**2 * encoder.layers * ways
    assert dense(run, sizes, "train") - spared == counted(lambda: model.losses(batch).loss.backward())


DECODED = [name for name in specs.ALL if name not in (*specs.POOLED, "masked", "two_tasks", "tagging", "biased_dot")]
"""biased_dot reads all values again at every step, where once would do."""


@pytest.mark.parametrize("name", DECODED)
def test_one_token_more_is_what_torch_counts(name):
    run, sizes = loaded(specs.ALL[name])
    model = build_model(run, sizes).requires_grad_(False).eval()
    at = scene(run, "decode")
    batch = batch_of(run, sizes, at)
    tokens = batch[run.model.stacks[run.task.stack].input.field].values
    cache = model.start(batch, capacity=at.lengths[run.task.stack])
    for place in range(tokens.shape[1] - 1):
        model.step(cache.next(tokens[:, place : place + 1]), cache)
    last = tokens[:, -1:]
    assert dense(run, sizes, "decode") == counted(lambda: model.step(cache.next(last), cache))


MASKS = [
    "full", "causal", "causal & window(before=2)", "causal & (window(before=1) | first(1))", "causal & dilated(2)",
         "block(3) & causal", "k <= q - h", "causal & window(before=by_head(0, 1, 2, 6))",
]  # fmt: skip


@pytest.mark.parametrize(
    ("mask", "phase"),
    [(mask, phase) for mask in MASKS for phase in ("forward", "train", "decode")
     if (mask, phase) != ("full", "decode")],
)  # fmt: skip
def test_visible_pairs_are_those_that_the_mask_allows(mask, phase):
    """Hiding a pair spares one product of the score and one of the mixture: 2 (d_head + d_value) FLOPs a row."""
    stack = "encoder" if mask == "full" else "decoder"
    task = "{kind: tagging, tags: 5}" if mask == "full" else "language_model"
    text = one_attention(task, stack, mask)
    run, sizes = loaded(text)
    works = work_of(run, sizes, Scene(3, {stack: 7}, phase))
    (attention,) = [work for work in works if work.address.endswith("attention")]
    spec = run.model.stacks[stack].layers[0].attention
    queries = [6] if phase == "decode" else range(7)
    hidden = sum(not spec.mask.allows(q, k, h=h, document_q=0, document_k=0)
                 for h in range(4) for q in queries for k in range(7))  # fmt: skip
    factor = 3 if phase == "train" else 1
    assert attention.dense - attention.visible == 3 * factor * hidden * 2 * (spec.d_head + spec.d_value)
    assert (hidden == 0) == (mask == "full" or (phase == "decode" and mask == "causal"))


def one_attention(task: str, stack: str, mask: str) -> str:
    attention = f'{{heads: 4, d_value: 5, mask: "{mask}"}}'
    return f"name: x\ntask: {task}\nmodel: {{d_model: 24, {stack}: {{layers: 1, attention: {attention}}}}}"


def test_every_address_is_a_part_of_the_model():
    from attncli.profiling.count import parts_of

    for text in specs.ALL.values():
        run, sizes = loaded(text)
        model: Model = build_model(run, sizes, "meta")
        parts = [part.address for part in parts_of(model)]
        assert {work.address for work in work_of(run, sizes, scene(run))} <= set(parts)


def test_work_grows_with_the_square_of_the_length_where_all_is_seen_and_with_the_length_under_a_window():
    """The differences of a quadratic are linear: its second difference is constant, that of a line is 0."""
    for mask, second in (("causal", 4 * (6 + 5)), ("causal & window(before=1)", 0)):
        run, sizes = loaded(one_attention("language_model", "decoder", mask))
        at = [sum(w.visible for w in work_of(run, sizes, Scene(1, {"decoder": n}))) for n in (10, 11, 12)]
        assert at[2] - 2 * at[1] + at[0] == 2 * second
