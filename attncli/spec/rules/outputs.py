"""What an output in clusters owes its task, its stack and the tokenizer."""

from collections.abc import Iterator

from attncli.spec.base import Fault
from attncli.spec.data import Data
from attncli.spec.model import Model
from attncli.spec.outputs import Adaptive
from attncli.spec.rules.sections import width
from attncli.spec.tasks import Task
from attncli.spec.tokenizer import BYTE_VOCABULARY, Bytes, Tokenizer, TokenizerFile


def faults(task: Task, model: Model | None, tokenizer: Tokenizer | None, data: Data | None) -> Iterator[Fault]:
    """Every rule that clusters break; `tokenizer` is that of the top."""
    output = getattr(task, "output", None)
    if not isinstance(output, Adaptive):
        return
    where = ("task", "output")
    if getattr(task, "label_smoothing", 0):
        rule = "smoothing asks for a little of every id, and clusters are there so that most need no logit"
        yield Fault(("task", "label_smoothing"), rule, "write label_smoothing: 0, or output: linear")
    stack = None if model is None else model.stacks.get(task.stack)
    if data is not None and stack is not None and stack.input.field in data.fields:
        tokenizer = data.fields[stack.input.field].tokenizer or tokenizer
    size = None if tokenizer is None or isinstance(tokenizer, TokenizerFile) else _size(tokenizer)
    if size is not None and output.cutoffs[-1] >= size:
        rule = f"the last cluster begins at {output.cutoffs[-1]}, and there are {size} ids"
        yield Fault((*where, "cutoffs"), rule, "write smaller cutoffs")
    if model is None or stack is None:
        return
    if output.factor > 1 and model.tie_embeddings in ("output", "all"):
        rule = "clusters that are narrower than the embedding cannot be rows of it"
        yield Fault((*where, "factor"), rule, "write factor: 1, or model: {tie_embeddings: none}")
    if output.factor ** len(output.cutoffs) > width(stack):
        rule = f"the last cluster has no feature left: {width(stack)} // {output.factor}^{len(output.cutoffs)} is 0"
        yield Fault((*where, "factor"), rule, "write a smaller factor, or fewer cutoffs")


def _size(tokenizer: Tokenizer) -> int:
    return BYTE_VOCABULARY if isinstance(tokenizer, Bytes) else getattr(tokenizer, "vocabulary", 0)
