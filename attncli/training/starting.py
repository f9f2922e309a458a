"""Training from the weights of another run: its vocabularies, what of its weights fits, and what then learns.

start.json of the run folder says which run that was, and which weights this model has beside it. Under `train.lora`
those learn; so a resumed run needs the other no more.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from attncli.data.codec import Codec
from attncli.data.labels import find_labels
from attncli.data.rows import Splits
from attncli.errors import InputError, RunError
from attncli.nn.lora import freeze
from attncli.nn.model import Model, token_fields
from attncli.spec.run import Run
from attncli.spec.tuning import Start
from attncli.training.claim import START
from attncli.training.durable import write_durably
from attncli.training.folder import RunFolder
from attncli.training.states import weights


def _source(start: Start) -> RunFolder:
    return RunFolder(getattr(start, "from"))


def codec_from(start: Start, run: Run, splits: Splits) -> Codec:
    """The codec of the new run with the vocabularies of the other, whose weights know no others.

    Errors: InputError where a field has another tokenizer there, or is not there.
    """
    source = _source(start)
    other, known = source.run(), source.codec().vocabularies
    fields = token_fields(run)
    for field in fields:
        if field not in known:
            rule = f"train.start: the run in {source.path} reads no '{field}', but {', '.join(known)}"
            raise InputError(rule, help="start from a run whose fields are those of the task")
        if run.tokenizer_of(field) != other.tokenizer_of(field):
            rule = f"train.start: the run in {source.path} has another tokenizer of '{field}'"
            written = ", ".join(f"{key}: {value}" for key, value in other.tokenizer_of(field).model_dump().items())
            raise InputError(rule, help=f"its embeddings know no other ids: write tokenizer: {{{written}}}")
    for field in fields[1:]:
        alike = known[field].tokenizer.to_str() == known[fields[0]].tokenizer.to_str()
        if run.shares_tokenizer(fields[0], field) and not alike:
            rule = f"train.start: '{fields[0]}' and '{field}' have vocabularies of their own in {source.path}"
            raise InputError(rule, help="give each a tokenizer of its own in data.fields")
    assert splits.train is not None
    return Codec(run, {field: known[field] for field in fields}, find_labels(run.task, splits.train))


def begin(start: Start, model: Model, folder: Path, say: Callable[[str], None]) -> None:
    """Copy what fits of the weights of a checkpoint of the other run, and say and keep what does not.

    Errors: RunError where a weight of a stack has another shape there, or none is there.
    """
    source, which = _source(start), "best"
    given, own = weights(source.model(which)), weights(model)
    heads = ("head.", "others.")
    for name in sorted(own.keys() & given.keys()):
        if own[name].shape != given[name].shape and not name.startswith(heads):
            shapes = f"{list(given[name].shape)} there, {list(own[name].shape)} here"
            help = "write the same widths and lengths as its resolved.yaml"
            raise RunError(f"train.start: {source.path}: {name} is {shapes}", help=help)
    taken = {name for name in own.keys() & given.keys() if own[name].shape == given[name].shape}
    if not any(not name.startswith(heads) for name in taken):
        rule = f"train.start: no weight of a stack has the name of one in {source.path}"
        raise RunError(rule, help="give the stacks the names that they have there")
    with torch.no_grad():
        for name in taken:
            own[name].copy_(given[name])
    adapters = (".adapter.down", ".adapter.up")
    fresh = sorted(name for name in own.keys() - taken if not name.endswith(adapters))
    left = sorted(given.keys() - taken)
    step = source.checkpoint(which).step
    record: dict[str, Any] = {"from": str(source.path), "step": step, "fresh": fresh, "left": left}
    write_durably(folder / START, (json.dumps(record, indent=2) + "\n").encode())
    told = [f"{len(taken)} weights from {source.path} (step {step})"]
    told += [f"drawn: {', '.join(fresh)}"] if fresh else []
    told += [f"left there: {', '.join(left)}"] if left else []
    say("; ".join(told))


def frozen(run: Run, model: Model, folder: Path, say: Callable[[str], None]) -> None:
    """Under `train.lora`, freeze what came from the other run."""
    if run.train.lora is None:
        return
    fresh = json.loads((folder / START).read_bytes())["fresh"]
    freeze(model, frozenset(fresh))
    counts = [(each.numel(), each.requires_grad) for each in model.parameters()]
    learn = sum(count for count, learns in counts if learns)
    say(f"lora: {learn:,} of {sum(count for count, _ in counts):,} parameters learn")
