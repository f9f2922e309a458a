"""The certificate: every law, held or broken, with the largest error and its witness."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from attncli.checking.laws import LAWS, Law
from attncli.checking.measure import TOLERANCE, Measure
from attncli.checking.shrink import shrunk
from attncli.checking.subject import Subject, subject_of
from attncli.errors import CheckError, SpecError
from attncli.spec.load import Loaded, load_text


@dataclass(frozen=True)
class Verdict:
    """One law on one subject."""

    law: str
    says: str
    holds: bool
    error: float
    cases: int
    witness: str
    spared: str | None
    """Why the law has no meaning here."""

    def json(self) -> dict[str, Any]:
        """For programs; an error that is no number is null."""
        error = self.error if math.isfinite(self.error) else None
        found = {"law": self.law, "says": self.says, "holds": self.holds, "error": error, "cases": self.cases}
        return (
            found
            | ({"witness": self.witness} if not self.holds else {})
            | ({"spared": self.spared} if self.spared else {})
        )


@dataclass(frozen=True)
class Certificate:
    """All laws on the small model of a spec."""

    name: str
    parameters: int
    attentions: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    seed: int
    seconds: float
    spec: str
    """The small spec that was tried."""

    @property
    def holds(self) -> bool:
        """Whether no law is broken."""
        return all(verdict.holds for verdict in self.verdicts)

    def json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "name": self.name,
            "holds": self.holds,
            "tolerance": TOLERANCE,
            "seed": self.seed,
            "parameters": self.parameters,
            "attentions": list(self.attentions),
            "laws": [verdict.json() for verdict in self.verdicts],
            "seconds": round(self.seconds, 2),
            "spec": self.spec,
        }

    def lines(self) -> list[str]:
        """For people."""
        found = [
            f"{self.name}, made small: {self.parameters:,} parameters, {len(self.attentions)} attentions, float64, "
            f"seed {self.seed}"
        ]
        for verdict in self.verdicts:
            sign = "–" if verdict.spared else "✓" if verdict.holds else "✗"
            found.append(f"{sign} {verdict.law:<10} {verdict.says}")
            if verdict.spared:
                found.append(f"{'':13}no meaning here: {verdict.spared}")
            elif verdict.holds:
                found.append(f"{'':13}largest error {verdict.error:.1e} in {verdict.cases} cases")
            else:
                found.append(f"{'':13}error {verdict.error:.1e}: {verdict.witness}")
        told = "certified" if self.holds else "NOT certified"
        found.append(f"{told}: {self.name}, errors within {TOLERANCE:.0e} of the numbers' size, {self.seconds:.1f} s")
        return found


def judged(law: Law, subject: Subject) -> Verdict:
    """Hold one law against a subject."""
    reason = law.spared(subject)
    if reason is not None:
        return Verdict(law.name, law.says, True, 0.0, 0, "", reason)
    try:
        measures = list(law.measure(subject))
    except Exception as error:
        # a model that cannot even be run obeys no law; the fault is the answer, not a crash of the check
        measures = [Measure(math.inf, f"it fails: {type(error).__name__}: {error}")]
    worst = max(measures, key=lambda one: one.error)
    return Verdict(law.name, law.says, worst.error <= TOLERANCE, worst.error, len(measures), worst.witness, None)


def certify(
    loaded: Loaded,
    *,
    seed: int = 0,
    full: bool = False,
    laws: Sequence[Law] = LAWS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Certificate:
    """Try every law on the model of a spec, made small unless `full`."""
    began = time.perf_counter()
    small = loaded if full else small_of(loaded)
    subject = subject_of(small.run, seed=seed)
    verdicts = []
    for number, law in enumerate(laws):
        verdicts.append(judged(law, subject))
        progress(number + 1, len(laws))
    return Certificate(
        loaded.run.name,
        sum(parameter.numel() for parameter in subject.model.parameters()),
        tuple(subject.model.attentions()),
        tuple(verdicts),
        seed,
        time.perf_counter() - began,
        small.resolved(),
    )


def small_of(loaded: Loaded) -> Loaded:
    """The spec made small. Raises CheckError where no small spec of these kinds is valid."""
    import yaml

    text = yaml.safe_dump(shrunk(loaded.plain()), allow_unicode=True, sort_keys=False)
    try:
        return load_text(text, name="small.yaml")
    except SpecError as error:
        raise CheckError(
            f"{loaded.run.name}: no small model of these kinds could be made:\n{error}",
            help="check it as it is, with --full-size",
        ) from None
