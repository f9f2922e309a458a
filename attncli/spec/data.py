"""Where the examples come from. Read by attncli/data."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from attncli.spec.base import Absent, Count, Derived, Fault, Int, Kinds, Spec, Text, Written
from attncli.spec.tokenizer import Tokenizer


class Share(Spec):
    """A part of the training rows, chosen by a hash of each row's input, so that equal rows never fall on two sides."""

    share: Annotated[float, Field(gt=0, lt=1, strict=True)]


def _read_paths(value: Any) -> Any:
    """One path is a list of one; `none` is no path."""
    if value == "none":
        return None
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _write_paths(value: tuple[str, ...] | Share | None) -> Any:
    match value:
        case None:
            return None
        case Share():
            return value.model_dump()
        case (one,):
            return one
        case _:
            return list(value)


Paths = Annotated[
    tuple[Text, ...],
    BeforeValidator(_read_paths),
    PlainSerializer(_write_paths),
    Written(Text, tuple[Text, ...]),
]
PathsOrShare = Annotated[
    tuple[Text, ...] | Share | None,
    BeforeValidator(_read_paths),
    PlainSerializer(_write_paths),
    Written(Text, tuple[Text, ...], Share, Literal["none"]),
]


class Field_(Spec):
    """Where a field of the task lies in the data, and how its text becomes ids."""

    column: Annotated[Text | Int | Annotated[tuple[Text, ...], Field(min_length=2)] | None, Absent] = None
    """Name of the column, or its 0-based number in a table without a header; the field's own name where not written. A
    list lays the texts of several columns end to end, EOS between them: they are segments 0, 1, …"""
    tokenizer: Annotated[Tokenizer | None, Absent] = None
    """A tokenizer for this field alone."""
    kind: Annotated[Literal["integers", "integer"] | None, Absent] = None
    """What masks read, in place of text: `integers`, one for each word (what stands between spaces) of the text, of the
    source in seq2seq, which each of its tokens carries; or one `integer` a row. BOS and EOS carry -1."""


def _shares(valid: object, test: object) -> Iterator[Fault]:
    """Both shares are taken out of the training rows, and some of these have to stay."""
    if isinstance(valid, Share) and isinstance(test, Share) and valid.share + test.share >= 1:
        rule = f"the shares of valid and test are {valid.share:g} and {test.share:g}, which leaves nothing to train on"
        yield Fault(("test",), rule, "write shares that add up to less than 1")


class _Data(Spec):
    fields: Annotated[dict[Text, Field_], Field(default_factory=dict)]
    packing: Literal["none", "documents", "stream"] = "none"
    """`documents`: as many in a row as max_length holds, none of which sees another, each with positions of its own.
    `stream`, of a language model: all texts end to end, cut every max_length tokens, so that a row runs from one text
    into the next and sees it: Radford et al. 2019 (GPT-2). A sequence of a batch is then such a row."""
    on_bad_row: Literal["error", "skip"] = "error"
    on_long: Literal["error", "skip", "truncate"] = "error"
    """A row longer than max_length. Language models cut long texts into chunks instead."""


class Files(_Data):
    """CSV, TSV, JSONL, Parquet or plain text; a list lays files end to end, `*` stands for any part of a name.

    Parallel files (`corpus.en`, `corpus.de`) are one path with a place for the field, `corpus.{field}`, which
    is the name of the field's column. In plain text a line is a row; for language models, documents are set apart by
    empty lines, and in a file without empty lines each line is a document.
    """

    kind: Literal["files"] = "files"
    train: Paths
    valid: PathsOrShare = None
    test: PathsOrShare = None

    def faults(self) -> Iterator[Fault]:
        yield from _shares(self.valid, self.test)


class Hub(_Data):
    """A data set of the Hugging Face hub: the only kind that may use the network."""

    kind: Literal["hub"] = "hub"
    name: Text
    subset: Annotated[Text | None, Absent] = None
    train: Text = "train"
    valid: Annotated[Text | Share | None, Absent] = "validation"
    test: Annotated[Text | Share | None, Absent] = "test"

    def faults(self) -> Iterator[Fault]:
        yield from _shares(self.valid, self.test)


class Generated(_Data):
    """Examples made by attncli itself, from the spec's seed; the counts are examples of each split."""

    kind: Literal["generated"] = "generated"
    name: Literal["dates", "copy", "reverse", "sort", "addition"]
    train: Count = 50000
    valid: Count = 2000
    test: Count = 2000
    targets: Annotated[tuple[Literal["de", "zh"], ...] | None, Derived("[de, zh] for dates")] = None
    """Languages of the dates."""

    def faults(self) -> Iterator[Fault]:
        if self.name != "dates" and self.targets is not None:
            yield Fault(("targets",), f"'targets' belongs to dates; '{self.name}' does not read it", "leave it out")
        if self.targets is not None and not self.targets:
            yield Fault(("targets",), "targets is empty", "write [de], [zh] or [de, zh]")


Data = Annotated[Files | Hub | Generated, Kinds("data")]
