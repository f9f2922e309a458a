"""One pair of options: refused by a named rule, or a model that obeys every law."""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Literal

import torch
import yaml

from attncli.checking.certificate import judged
from attncli.checking.laws import LAWS
from attncli.checking.subject import subject_of
from attncli.errors import SpecError
from attncli.spec.attention import ATTENTIONS
from attncli.spec.load import load_text
from attncli.spec.recurrent import Recurrent
from attncli.spec.run import Run
from tests.matrix.options import Option, Tree, laid, recurrent_options, transformer_options
from tests.matrix.rules import rule_of

Family = Literal["transformer", "recurrent"]
Job = tuple[Family, Option, Option]
BASES: dict[Family, Tree] = {
    "transformer": {
        "tie_embeddings": "none", "d_model": 12, "max_length": 32,
        "attention": {"heads": 4, "d_head": 6}, "feedforward": {"kind": "swiglu", "d_ff": 10},
        "encoder": {"layers": 1}, "decoder": {"layers": 2},
    },
    "recurrent": {
        "d_hidden": 8, "max_length": 32, "input": {"d_embedding": 6},
        "encoder": {"kind": "recurrent"},
        "decoder": {"kind": "recurrent", "cross_attention": {"heads": 4, "d_head": 6, "projections": "all"}},
    },
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What became of a pair."""

    names: tuple[str, ...]
    outcome: Literal["passed", "refused", "wrong"]
    why: str
    """The rule that refuses it, or the law that it breaks with the witness."""
    model: str = ""
    """The same for pairs that mean the same model: an option may be what is so without it."""


def spec_of(family: Family, *options: Option) -> str:
    """The spec of some options on a base."""
    model = laid(BASES[family], *(option.tree for option in options))
    whole: dict[str, Any] = {"name": "pair", "task": "seq2seq", "model": model}
    whole["tokenizer"] = {"kind": "words", "vocabulary": 17}
    return yaml.safe_dump(whole, sort_keys=False, width=10_000)


OPTIONS = {"transformer": transformer_options, "recurrent": recurrent_options}


def alone(family: Family) -> list[Option]:
    """The options that have a meaning by themselves on the base; the others need company, and stand in no pair."""
    return [option for option in OPTIONS[family]() if _valid(family, option)]


def _valid(family: Family, option: Option) -> bool:
    try:
        load_text(spec_of(family, option))
    except SpecError:
        return False
    return True


def tried(family: Family, *options: Option) -> Result:
    """Try one pair (or one option alone)."""
    names = tuple(option.name for option in options)
    try:
        run = load_text(spec_of(family, *options)).run
    except SpecError as error:
        faults = [line for line in str(error).splitlines() if line.startswith("spec.yaml:")]
        unnamed = [fault for fault in faults if rule_of(fault) is None]
        if unnamed or not faults:
            return Result(names, "wrong", f"refused without a named rule: {unnamed[0] if unnamed else error}")
        return Result(names, "refused", str(rule_of(faults[0])))
    return Result(names, *_on_trial(run), _mark(family, run))


def model_of(job: Job) -> str:
    """The same for pairs that mean the same model; nothing for one that is refused."""
    family, *options = job
    try:
        return _mark(family, load_text(spec_of(family, *options)).run)
    except SpecError:
        return ""


def _mark(family: Family, run: Run) -> str:
    return sha256(repr((family, run.model)).encode()).hexdigest()[:16]


Found = tuple[Literal["passed", "wrong"], str]


def _on_trial(run: Run) -> Found:
    try:
        subject = subject_of(run)
    except Exception as error:
        return "wrong", f"it cannot be built: {type(error).__name__}: {error}"
    laws = [law for law in LAWS if law.name != "oracle" or _is_new(run)]
    broken = [verdict for verdict in (judged(law, subject) for law in laws) if not verdict.holds]
    if broken:
        return "wrong", f"{broken[0].law}: {broken[0].witness} (error {broken[0].error:.1e})"
    return "passed", ""


AROUND = ("norm", "norm_place", "residual")
"""What a branch has around its attention."""
HELD: set[str] = set()
"""The attentions of the models that this process has held to the oracle."""


def _is_new(run: Run) -> bool:
    """Whether no model before had all the same attentions: what they compute of their inputs hangs on nothing else."""
    said: list[object] = []
    for stack in run.model.stacks.values():
        if isinstance(stack, Recurrent):
            return True  # it may ask step by step
        said += [stack.d_model, stack.max_length, stack.segment_memory]
        for index, layer in enumerate(stack.expanded()):
            parts = [each.part for each in layer.placed() if isinstance(each.part, ATTENTIONS)]
            said += [(index, [pair for pair in part if pair[0] not in AROUND]) for part in parts]
    key = repr(said)
    new = key not in HELD
    HELD.add(key)
    return new


def one_thread() -> None:
    """What a process that tries pairs begins with: what it computes is too small for more."""
    torch.set_num_threads(1)


def tried_jobs(jobs: list[Job]) -> list[tuple[Family, Result]]:
    """`tried` of pairs that mean the same model, for a pool of processes."""
    family, *options = jobs[0]
    result = tried(family, *options)
    return [(family, replace(result, names=(one.name, other.name))) for family, one, other in jobs]
