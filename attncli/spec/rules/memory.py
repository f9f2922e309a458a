"""What a stack with a memory of past segments owes its task, its data and its attentions."""

from collections.abc import Iterator

from attncli.spec.attention import AnyAttention, CrossAttention, Latent, MultiHead
from attncli.spec.base import Fault
from attncli.spec.data import Data
from attncli.spec.masks.local import period_of
from attncli.spec.model import Model
from attncli.spec.positions import DynamicNtk, Longrope, NoPosition, Rotary
from attncli.spec.rules.sections import Where
from attncli.spec.scores import Location, Synthesizer
from attncli.spec.stacks import Transformer
from attncli.spec.tasks import LanguageModel, Task

KEY = "segment_memory"


def faults(model: Model, task: Task | None, data: Data | None) -> Iterator[Fault]:
    """Every rule that a memory breaks."""
    for name, stack in model.stacks.items():
        if isinstance(stack, Transformer) and stack.segment_memory is not None:
            yield from _of_task((("model", name)), name, task, data)
            yield from _of_stack(("model", name), stack, stack.segment_memory)


def _of_task(at: Where, name: str, task: Task | None, data: Data | None) -> Iterator[Fault]:
    where = (*at, KEY)
    if task is not None and (not isinstance(task, LanguageModel) or name != task.stack or task.loss_on == "answer"):
        rule = f"'{name}' reads no text that goes on in the next batch: that is a language model of whole texts"
        yield Fault(where, rule, f"leave {KEY} out")
    elif data is not None and data.packing != "stream":
        rule = f"with packing: {data.packing} no row goes on where one of the batch before ended"
        yield Fault(where, rule, f"write data.packing: stream, or leave {KEY} out")


def _of_stack(at: Where, stack: Transformer, memory: int) -> Iterator[Fault]:
    if not isinstance(stack.input.position, NoPosition):
        rule = (f"'{stack.input.position.kind}' is of a place in its segment, and a token of the memory would stand "
                "where one of the segment does")  # fmt: skip
        help = "write a position of attention, such as transformer_xl or rotary"
        yield Fault((*at, "input", "position"), rule, help)
    own = [
        (each.part, (*at, "layers", index, *each.where))
        for index, layer in enumerate(stack.layers)
        for each in layer.placed()
        if each.branch == "attention" and not isinstance(each.part, CrossAttention)
    ]  # fmt: skip
    reaches: list[float] = []
    for part, where in own:
        if not isinstance(part, (MultiHead, Latent)):
            rule = f"'{part.kind}' sums up all keys before a query, and forgets none at a segment"
            yield Fault((*where, "kind"), rule, f"leave {KEY} out, or write kind: multi_head")
            continue
        reaches.append(part.mask.reach(part.heads)[0])
        yield from (Fault((*where, *fault.where), fault.rule, fault.help) for fault in _of_attention(part, stack))
    if not own:
        yield Fault((*at, KEY), "there is no attention that would read it", f"leave {KEY} out")
    elif len(reaches) == len(own) and max(reaches) < memory:
        rule = f"no query looks farther back than {max(reaches):.0f} tokens, and the memory holds {memory}"
        yield Fault((*at, KEY), rule, f"write {KEY}: {max(1, int(max(reaches)))}, or a wider mask")


def _of_attention(a: AnyAttention, stack: Transformer) -> Iterator[Fault]:
    """Steps that count the tokens of a text, or hand something from one query to the next."""
    out = f"leave it out, or {KEY}"
    if a.mask.names - {"q", "k", "h"}:
        rule = f"'{a.mask.text}' reads more than q, k and h, and a memory keeps states alone"
        yield Fault(("mask",), rule, f"write a mask of q, k and h, or leave {KEY} out")
    else:
        period = period_of(a.mask.tree, a.heads if "h" in a.mask.names else 1)
        if period is None or stack.max_length % period:
            rule = f"'{a.mask.text}' is not the same in every segment of {stack.max_length} tokens"
            yield Fault(("mask",), rule, "write a mask of q - k, or one whose period divides max_length")
    if isinstance(a, MultiHead) and isinstance(a.score, (Location, Synthesizer)):
        rule = f"'{a.score.kind}' knows keys by their number, and a memory moves them"
        yield Fault(("score",), rule, f"write another score, or leave {KEY} out")
    if isinstance(a.position, Rotary) and isinstance(a.position.scaling, (DynamicNtk, Longrope)):
        rule = f"'{a.position.scaling.kind}' turns by the length of the text, which a segment does not know"
        yield Fault(("position", "scaling"), rule, f"write another scaling, or leave {KEY} out")
    if a.length_temperature.kind != "none":
        yield Fault(("length_temperature",), "it counts the tokens of the text, which a segment does not know", out)
    if a.selective != "none":
        yield Fault(("selective",), "it keeps marks of earlier queries, and a memory keeps states alone", out)
    if isinstance(a, MultiHead):
        if a.second_projections is not None:
            rule = "rows are chosen by their place in the text, which a segment does not know"
            yield Fault(("second_projections",), rule, out)
        if a.short_convolution is not None:
            rule = "queries would be summed over tokens before the segment, whose states a memory keeps for keys alone"
            yield Fault(("short_convolution",), rule, out)
