"""The laws. Each takes a subject and measures how far the model is from obeying, with the worst case as witness.

All are held in float64, where rounding lies many orders below any fault that matters.
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from attncli.checking.answers import answers
from attncli.checking.caches import cached
from attncli.checking.measure import Measure, apart
from attncli.checking.subject import SPREAD, Subject, shake
from attncli.nn.attention import Attention
from attncli.nn.layers import Branch
from attncli.nn.model import Model, build_model
from attncli.nn.normalizers import Sum
from attncli.nn.norms import ScaleNorm
from attncli.nn.positions import Relative
from attncli.nn.recurrent import Encoder
from attncli.nn.recurrent_decoder import Decoder
from attncli.nn.scores import BiasedDot, Cosine, Product, Synthesizer, Trilinear
from attncli.nn.stacks import Transformer
from attncli.nn.steps import EachHead
from attncli.nn.view import Record
from attncli.streams import IGNORE


@dataclass(frozen=True)
class Law:
    """What must hold, in one sentence, and how it is measured."""

    name: str
    says: str
    measure: Callable[[Subject], Iterator[Measure]]
    spared: Callable[[Subject], str | None] = lambda subject: None
    """Why the law has no meaning for this subject; None where it has."""


# -- causality ---------------------------------------------------------------------------------------------------------


def _earlier_outputs(subject: Subject) -> Iterator[Measure]:
    """Change one token at a time; then ask for the derivative by every later embedding."""
    row = max(range(len(subject.rows[subject.written])), key=lambda one: len(subject.rows[subject.written][one]))
    text, count = subject.rows[subject.written][row], subject.sizes.vocabularies[subject.written]
    variants = [text] + [[*text[:at], (text[at] + 1) % count, *text[at + 1 :]] for at in range(len(text))]
    rows = {name: [texts[row]] * len(variants) for name, texts in subject.rows.items()} | {subject.written: variants}
    with torch.no_grad():
        logits = subject.model(subject.batch(rows=rows))
    for place in range(len(text)):
        judged = [at for at in range(place) if subject.rows["labels"][row][at] != IGNORE]
        error = apart(logits[place + 1, judged], logits[0, judged])
        yield Measure(error, f"another token at place {place} moves an output before it")
    yield from _derivatives(subject, row)


def _derivatives(subject: Subject, row: int) -> Iterator[Measure]:
    kept: list[Tensor] = []
    handle = subject.model.stacks[subject.run.task.stack].input.register_forward_hook(
        lambda module, given, made: kept.append(made)
    )
    try:
        logits = subject.model(subject.batch(row))[0]
    finally:
        handle.remove()
    for place in range(len(logits) - 1):
        if subject.rows["labels"][row][place] == IGNORE:
            continue
        (slope,) = torch.autograd.grad(logits[place].sum(), kept[0], retain_graph=True)
        later = slope[0, place + 1 :].abs()
        yield Measure(
            float(later.max()), f"the output at place {place} has a derivative by the embedding of a later one"
        )


# -- batches -----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def _alone(subject: Subject) -> Iterator[Measure]:
    for side, left in (("right", False), ("left", True)):
        together = subject.model(subject.batch(left=left))
        for row in range(len(subject.rows["labels"])):
            alone = subject.model(subject.batch(row))[0]
            own = together[row]
            if subject.places:
                own = own[-len(alone) :] if left else own[: len(alone)]
            yield Measure(apart(own, alone), f"row {row} of a batch padded on the {side} is not what it is alone")


@torch.no_grad()
def _unread(subject: Subject) -> Iterator[Measure]:
    for left in (False, True):
        given = subject.batch(left=left)
        other = {
            name: one if name == "labels" else replace(one, values=one.values.masked_fill(~one.real, 5))
            for name, one in given.items()
        }
        error = apart(subject.model.losses(other).loss, subject.model.losses(given).loss)
        yield Measure(error, "what stands in a place of padding changes the loss")


GROUPS = ((0, 1), (2, 3))


@torch.no_grad()
def _separate(subject: Subject) -> Iterator[Measure]:
    batch = subject.packed(GROUPS)
    logits = subject.model(batch)
    for row, group in enumerate(GROUPS):
        at = 0
        for one in group:
            alone = subject.model(subject.batch(one))[0]
            yield Measure(
                apart(logits[row, at : at + len(alone)], alone), f"text {one}, packed, is not what it is alone"
            )
            at += len(alone)


def _no_packing(subject: Subject) -> str | None:
    if any(isinstance(stack, (Encoder, Decoder)) for stack in subject.model.stacks.values()):
        return "a recurrent state runs across the borders of a packed row"
    return None if subject.places else "a packed row has no output of its own for each text"


# -- evaluation, gradients, files --------------------------------------------------------------------------------------


@torch.no_grad()
def _settled(subject: Subject) -> Iterator[Measure]:
    with torch.random.fork_rng(devices=[]):
        made = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            made.append(subject.model(subject.batch()))
    yield Measure(0.0 if torch.equal(*made) else math.inf, "two evaluations of one batch differ")


DRAWS = (SPREAD, SPREAD, SPREAD, 1.0, 1.0)
"""Standard deviations of the weights; the wide ones make scores that outweigh a bias which lowers all of them."""
LEAST = 1e-9
"""A gradient below this is none."""


def _gradients(subject: Subject) -> Iterator[Measure]:
    """Over several draws of the weights, since one may put a relu to sleep, and wide ones where some still sleep."""
    largest: dict[str, float] = {}
    model = subject.copy()
    for seed, spread in enumerate(DRAWS):
        if spread > SPREAD and all(found >= LEAST for found in largest.values()):
            break
        shake(model, seed=seed + 1, spread=spread)
        model.zero_grad()
        loss = model.losses(subject.batch()).loss
        loss.backward()
        for name, parameter in model.named_parameters():
            found = 0.0 if parameter.grad is None else float(parameter.grad.abs().max())
            if parameter.grad is not None and not bool(parameter.grad.isfinite().all()):
                yield Measure(math.inf, f"the gradient of {name} is not finite")
            own = re.sub(r"experts\.\d+\.", "experts.*.", name)  # few tokens reach few experts; one must be reached
            largest[own] = max(largest.get(own, 0.0), found)
    own_names = {name for name, _ in model.named_parameters()}
    for name, found in largest.items():
        if found < LEAST and not (name in own_names and cancels(model, name)):
            yield Measure(math.inf, f"{name} gets no gradient")
    yield Measure(0.0, "")


def cancels(model: Model, name: str) -> bool:
    """Whether a parameter adds one number to all scores of a query (or key), or is a factor of them, that its
    normalizer does not see.
    """
    parameter = dict(model.named_parameters())[name]
    if _length_of_queries(model, name) or _normed_again(model, parameter):
        return True
    for attention in model.attentions().values():
        own = next((own for own, each in attention.named_parameters() if each is parameter), None)
        if own is None:
            continue
        if own.startswith("value_norm.") and _lengths_leave(attention):
            return True
        own = own.removeprefix("second.")  # maps of rows of their own, under the same score
        if own in ("score.log_temperature", "score.factor") and isinstance(attention.normalizer, Sum):
            return attention.normalizer.activation != "softplus"  # a factor of every score leaves with the sum
        if attention.normalizer.shifts == "none":
            continue
        turned = type(attention.position).angles is not Relative.angles
        of_query = attention.normalizer.shifts == "query"
        of_all = own.startswith("key" if of_query else "query") and own.endswith("bias")
        if of_all and isinstance(attention.score, (Product, BiasedDot)) and not turned:
            return True
        if own == "position.directions.content" and not of_query:
            return True  # a number for each key
        if isinstance(attention.score, Synthesizer) and not of_query:
            return own == "score.bias"  # a number for each key
        match attention.score:  # the terms that have the query, or the key, alone
            case BiasedDot():
                return own == ("score.query" if of_query else "score.value")
            case Trilinear():
                return own == ("score.query" if of_query else "score.key")
        return False
    return False


def _length_of_queries(model: Model, name: str) -> bool:
    """Whether a parameter is the length that a norm gives queries whose keys are of another stack, where it leaves: of
    a cosine, or as a factor of every score with their sum.
    """
    place, _, own = name.rpartition(".norm.")
    branch = model.get_submodule(place) if own == "weight" and "cross_attention" in place else None
    if not (isinstance(branch, Branch) and isinstance(branch.norm, ScaleNorm) and branch.place == "pre"):
        return False
    body = branch.body
    if not (isinstance(body, Attention) and isinstance(body.query, nn.Linear)):
        return False
    summed = isinstance(body.normalizer, Sum) and body.normalizer.activation != "softplus"
    leaves = isinstance(body.score, Cosine) or (summed and isinstance(body.score, Product))
    return leaves and body.query.bias is None


def _normed_again(model: Model, parameter: Tensor) -> bool:
    """Whether it is the length that the last branch of a stack gives its states, which the final norm undoes."""
    for stack in model.stacks.values():
        if isinstance(stack, Transformer) and isinstance(stack.final_norm, ScaleNorm):
            *_, last = (branch for layer in stack.each_layer() for _, branch in layer.branches())
            if last.place == "post" and isinstance(last.norm, ScaleNorm) and last.norm.weight is parameter:
                return True
    return False


def _lengths_leave(attention: Attention) -> bool:
    """Whether mixtures get one length, whatever that of the values, which all have the same, and nothing joins them."""
    value, context = attention.value_norm, attention.ending.norm
    alone = attention.value_residual is None and attention.persistent is None and "value" not in attention.score.reads
    carries = type(attention.position).carry is not Relative.carry
    values = isinstance(value, EachHead) and all(isinstance(norm, ScaleNorm) for norm in value.norms)
    return values and isinstance(context, ScaleNorm) and alone and not carries


@torch.no_grad()
def _restored(subject: Subject) -> Iterator[Measure]:
    from safetensors.torch import load, save

    data = save({name: parameter.detach().clone() for name, parameter in subject.model.named_parameters()})
    other = build_model(subject.run, subject.sizes).double().eval()
    tensors, own = load(data), dict(other.named_parameters())
    if tensors.keys() != own.keys():
        yield Measure(math.inf, f"the names differ: {sorted(tensors.keys() ^ own.keys())[:3]}")
        return
    for name, tensor in tensors.items():
        own[name].copy_(tensor)
    same = torch.equal(other(subject.batch()), subject.model(subject.batch()))
    yield Measure(0.0 if same else math.inf, "the weights, written and read again, give other outputs")


# -- kernels -----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def _mixed(subject: Subject) -> Iterator[Measure]:
    """The output of each attention against weights made anew by the reference kernel, empty rows included.

    A tap may turn to another kernel than the one that serves, so what is given without it must be the same.
    """
    records: list[Record] = []
    batch = subject.batch()
    logits, served = subject.model(batch, tap=records.append), subject.model(batch)
    if not bool(logits.isfinite().all()):
        yield Measure(math.inf, "an output is not finite")
    read = batch["labels"].real if subject.places else ...
    yield Measure(apart(served[read], logits[read]), "without a tap a kernel is not the reference")
    for record in records:
        attention = record.attention
        assert isinstance(attention, Attention)
        weights = attention.weights(record, dtype=torch.float64)
        mixed = attention.mixture(record, weights)
        output = record.output
        if record.query_real is not None:  # a query of padding may see what it likes: nobody reads it
            real = record.query_real[:, None, :, None].expand_as(output)
            output, mixed = output.masked_fill(~real, 0.0), mixed.masked_fill(~real, 0.0)
        yield Measure(apart(output, mixed), f"{record.address}: the {record.kernel} kernel is not the reference")
        if record.visible is not None:
            blind = ~record.visible.any(-1).expand(output.shape[:3])
            error = float(output[blind].abs().max()) if bool(blind.any()) else 0.0
            yield Measure(error, f"{record.address}: a row that sees no key does not give zeros")


def _no_attention(subject: Subject) -> str | None:
    return None if subject.model.attentions() else "the model has no attention"


def _reads(subject: Subject) -> str | None:
    return None if subject.writes else f"the task {subject.run.task.kind} writes no text"


LAWS = (
    Law("oracle", "Each attention, and its gradient, is that of its equation in plain Python floats.",
        answers, _no_attention),
    Law("causality", "No output depends on a token that comes after it.", _earlier_outputs, _reads),
    Law("cache", "Writing with a cache, however it is cut, moved or cropped, gives what the whole text gives.",
        cached, _reads),
    Law("padding", "A row of a batch, padded on either side, is what it is alone.", _alone),
    Law("unread", "What stands in a place of padding is never read.", _unread),
    Law("packing", "Texts packed into one row are what they are alone.", _separate, _no_packing),
    Law("settled", "Evaluation has no randomness.", _settled),
    Law("gradient", "Every parameter gets a finite gradient that is not 0.", _gradients),
    Law("restored", "Weights that are written and read again give the same outputs.", _restored),
    Law("kernel", "Each attention gives what the reference kernel gives, and zeros where a row sees no key.",
        _mixed, _no_attention),
)  # fmt: skip
