"""The top of a spec file, and the rules between its sections."""

from collections.abc import Iterator
from typing import Annotated

from attncli.spec.base import Absent, Count, Fault, Int, Spec, Text
from attncli.spec.data import Data
from attncli.spec.model import Model
from attncli.spec.rules import Sections, sites
from attncli.spec.rules import faults as between
from attncli.spec.rules.lists import faults as listed
from attncli.spec.tasks import SentencePair, Task
from attncli.spec.tokenizer import Bpe, Tokenizer
from attncli.spec.training import Evaluate, Train

LANGUAGE = 1
"""The newest version of the language; it changes when an accepted text changes its meaning."""


class Run(Spec):
    """A whole spec: what is built, trained and scored."""

    language: Count = LANGUAGE
    name: Text
    seed: Int = 0
    task: Task
    beside: tuple[SentencePair, ...] = ()
    """The tasks behind the first where `task` is a list."""
    model: Model
    tokenizer: Tokenizer = Bpe()
    data: Annotated[Data | None, Absent] = None
    train: Train
    evaluate: Evaluate

    def faults(self) -> Iterator[Fault]:
        if self.language > LANGUAGE:
            rule = f"this spec is written in language {self.language}, and this attncli reads {LANGUAGE}"
            yield Fault(("language",), rule, "install a newer attncli")
        if "/" in self.name or "\\" in self.name or self.name.startswith("."):
            yield Fault(("name",), f"'{self.name}' cannot name a folder of runs", "write one word, such as en-de")
        yield from listed(self.task, self.beside, self.model, self.data)
        yield from between(Sections(self.task, self.model, self.tokenizer, self.data, self.train, self.evaluate))

    @property
    def pairs(self) -> SentencePair | None:
        """The task on two parts of a text, alone or beside another."""
        return next((task for task in (self.task, *self.beside) if isinstance(task, SentencePair)), None)

    @property
    def read_by_masks(self) -> tuple[str, ...]:
        """The integers of tokens and samples that masks (and inputs with segments) read of the data."""
        masks = {site.attention.mask for site in sites(self.model)}
        found = {name for mask in masks for name in mask.of_tokens | mask.of_samples} - {"document"}
        parted = any(stack.input.segments is not None for stack in self.model.stacks.values())
        return tuple(sorted(found | ({"segment"} if parted else set())))

    def tokenizer_of(self, field: str) -> Tokenizer:
        """The tokenizer that reads `field`: its own, else the one at the top."""
        own = self.data.fields[field].tokenizer if self.data and field in self.data.fields else None
        return own or self.tokenizer

    def shares_tokenizer(self, one: str, other: str) -> bool:
        """Whether two fields have one vocabulary. A tokenizer of a field is that field's own, even if alike."""
        own = {f for f in (one, other) if self.data and f in self.data.fields and self.data.fields[f].tokenizer}
        return not own
