"""What a pointer-generator owes its task, its decoder and the tokenizers."""

from collections.abc import Iterator

from attncli.spec.attention import CrossAttention
from attncli.spec.base import Fault
from attncli.spec.data import Data
from attncli.spec.model import Model, Stack
from attncli.spec.outputs import PointerGenerator
from attncli.spec.recurrent import Recurrent
from attncli.spec.rules.sections import Where
from attncli.spec.rules.sequential import shares
from attncli.spec.tasks import Seq2seq, Task


def faults(task: Task, model: Model | None, data: Data | None) -> Iterator[Fault]:
    """Every rule that a pointer-generator breaks."""
    if not isinstance(getattr(task, "output", None), PointerGenerator):
        return
    where = ("task", "output")
    if not isinstance(task, Seq2seq):
        yield Fault(where, f"{task.kind} has no source to copy from", "write output: linear, or task: seq2seq")
        return
    if task.label_smoothing:
        rule = "smoothing asks for a little of every word, and a word that is not in the source has none to give"
        yield Fault(("task", "label_smoothing"), rule, "write label_smoothing: 0")
    stack = None if model is None else model.stacks.get(task.stack)
    pointing = None if stack is None else _pointing(stack)
    if stack is not None and pointing is None:
        rule = f"what is copied is chosen by a cross_attention, and '{task.stack}' has none"
        yield Fault(where, rule, "write a cross_attention, or output: linear")
    if pointing is not None and not shares(pointing[0]):
        rule = "copying needs weights that are shares of one, and these rows need not sum to one"
        help = "write normalizer: softmax, without a sink or a span"
        yield Fault(("model", task.stack, *pointing[1], "normalizer"), rule, help)
    own = [] if data is None else [name for name, field in data.fields.items() if field.tokenizer is not None]
    if own:
        rule = "a word of the source is copied by its id, so source and target share one tokenizer"
        yield Fault(("data", "fields", own[0], "tokenizer"), rule, "write tokenizer at the top")


def _pointing(stack: Stack) -> tuple[CrossAttention, Where] | None:
    """The attention whose weights are the shares of the source, the last that reads another stack, and where it is."""
    if isinstance(stack, Recurrent):
        return None if stack.cross_attention is None else (stack.cross_attention, ("cross_attention",))
    found = [
        (cross, ("layers", index, *where)) for index, layer in enumerate(stack.layers) for cross, where in layer.crosses
    ]
    return found[-1] if found else None
