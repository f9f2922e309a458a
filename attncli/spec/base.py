"""What every class of the language shares: closed frozen records, kinds, rules, and the scalar types."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, core_schema


class Fault(NamedTuple):
    """One broken rule: where (keys below the record that states it), what, and the way out."""

    where: tuple[str | int, ...]
    rule: str
    help: str


class Spec(BaseModel):
    """A closed, frozen record of the language. Its schema is built when it is first used, not when it is imported."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    def faults(self) -> Iterator[Fault]:
        """Yield every rule between the fields that this record breaks."""
        yield from ()

    @model_validator(mode="after")
    def _obeys(self) -> Self:
        broken = [
            InitErrorDetails(type=rule_error(fault.rule, fault.help), loc=fault.where, input=None)
            for fault in self.faults()
        ]
        if broken:
            raise ValidationError.from_exception_data(type(self).__name__, broken)
        return self


def rule_error(rule: str, help: str) -> PydanticCustomError:
    """A broken rule in the form that pydantic carries to the fault report."""
    return PydanticCustomError("rule", "{rule}", {"rule": rule, "help": help})


@dataclass(frozen=True)
class Kinds:
    """Marks a union of kinds: a word or a mapping goes to the one class whose `kind` it names.

    `Annotated[A | B, Kinds("score")]` reads as A | B for the type checker. pydantic sees a single function, so the
    schemas of the kinds that a spec does not use are never built. A mapping without `kind` is the first one listed,
    or an error where `named` is set.
    """

    role: str
    named: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        members: tuple[type[Spec], ...] = get_args(source) or (source,)
        classes = {kind_of(member): member for member in members}
        first = None if self.named else next(iter(classes))

        def dispatch(value: Any) -> Spec:
            if isinstance(value, Spec) and type(value) in members:
                return value
            if isinstance(value, str):
                value = {"kind": value}
            if not isinstance(value, dict):
                raise PydanticCustomError("kind_shape", "a {role} is a word or a mapping", self._context(classes))
            kind = value.get("kind", first)
            if kind is None:
                raise PydanticCustomError("kind_missing", "a {role} must name its kind", self._context(classes))
            if not isinstance(kind, str) or kind not in classes:
                raise PydanticCustomError(
                    "kind_unknown", "there is no kind '{given}'", self._context(classes) | {"given": str(kind)}
                )
            return classes[kind].model_validate(value)

        return core_schema.no_info_plain_validator_function(
            dispatch, serialization=core_schema.plain_serializer_function_ser_schema(lambda record: record.model_dump())
        )

    def _context(self, classes: dict[str, type[Spec]]) -> dict[str, Any]:
        return {"role": self.role, "kinds": list(classes)}


def kind_of(record: type[Spec]) -> str:
    """The word that names this class in a spec."""
    return str(record.model_fields["kind"].default)


def _absent(value: Any) -> Any:
    return None if isinstance(value, str) and value == "none" else value


Count = Annotated[int, Field(ge=1, strict=True)]
Int = Annotated[int, Field(ge=0, strict=True)]
Rate = Annotated[float, Field(ge=0, lt=1, strict=True)]
Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
Bool = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True, min_length=1)]
Absent = BeforeValidator(_absent)
"""`Annotated[T | None, Absent]`: `none` is the word for absent."""


@dataclass(frozen=True)
class Time:
    """A stretch of training: steps, epochs of the training data, minutes of work, or a share of the whole run."""

    amount: float
    unit: Literal["steps", "epochs", "minutes", "percent"]

    def __str__(self) -> str:
        if self.unit == "steps":
            return str(int(self.amount))
        return f"{self.amount:g}%" if self.unit == "percent" else f"{self.amount:g} {self.unit}"

    def steps(self, *, total: int, per_epoch: int) -> int:
        """This stretch in optimizer steps; minutes have no such number and are a bug here."""
        match self.unit:
            case "steps":
                return int(self.amount)
            case "epochs":
                return max(1, round(self.amount * per_epoch))
            case "percent":
                return math.ceil(self.amount / 100 * total)
            case _:
                raise AssertionError("minutes are measured, not counted")


def _read_time(value: Any) -> Any:
    if isinstance(value, Time):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Time(value, "steps")
    pattern = r"(\d+(?:\.\d+)?)\s*(%|epochs?|minutes?|steps?)"
    if isinstance(value, str) and (found := re.fullmatch(pattern, value.strip())):
        amount, unit = float(found[1]), found[2]
        if unit == "%":
            return Time(amount, "percent")
        return Time(amount, unit.rstrip("s") + "s")  # type: ignore[arg-type]  # the pattern admits these units only
    help = "write steps (5000), '3 epochs', '10 minutes' or '5%'"
    if isinstance(value, str) and value.strip().isdigit():
        help = "take the quotes away"
    raise PydanticCustomError("rule", "{rule}", {"rule": f"'{value}' is no stretch of time", "help": help})


class _TimeSchema:
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        def written(time: Time) -> int | str:
            return int(time.amount) if time.unit == "steps" else str(time)

        return core_schema.no_info_plain_validator_function(
            _read_time, serialization=core_schema.plain_serializer_function_ser_schema(written)
        )


Stretch = Annotated[Time, _TimeSchema]
"""A field of type Time: written as `5000`, `3 epochs`, `10 minutes` or `5%`."""


@dataclass(frozen=True)
class Derived:
    """Marks a field whose default follows from others; attncli.spec.defaults computes it and says why."""

    how: str


@dataclass(frozen=True)
class Written:
    """Says how users write a field whose type is what it becomes: `Written(bool, tuple[Projection, ...])`."""

    as_: tuple[Any, ...]

    def __init__(self, *as_: Any) -> None:
        object.__setattr__(self, "as_", as_)
