"""One pair of options: refused by a named rule, or a model that obeys every law."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
import yaml

from attncli.checking.certificate import judged
from attncli.checking.laws import LAWS
from attncli.checking.subject import subject_of
from attncli.errors import SpecError
from attncli.spec.load import load_text
from tests.matrix.options import Option, Tree, laid, recurrent_options, transformer_options
from tests.matrix.rules import rule_of

Family = Literal["transformer", "recurrent"]
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
    try:
        subject = subject_of(run)
    except Exception as error:
        return Result(names, "wrong", f"it cannot be built: {type(error).__name__}: {error}")
    broken = [verdict for verdict in (judged(law, subject) for law in LAWS) if not verdict.holds]
    if broken:
        return Result(names, "wrong", f"{broken[0].law}: {broken[0].witness} (error {broken[0].error:.1e})")
    return Result(names, "passed", "")


def one_thread() -> None:
    """What a process that tries pairs begins with: what it computes is too small for more."""
    torch.set_num_threads(1)


def tried_job(job: tuple[Family, Option, Option]) -> tuple[Family, Result]:
    """`tried`, for a pool of processes."""
    family, *options = job
    return family, tried(family, *options)
