"""A mask as the rest of attncli holds it: the tree with its questions, and the field of a spec that carries it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from attncli.spec.masks.forms import FALSE, TRUE, Some, at_head, form_of, with_key, with_number
from attncli.spec.masks.grammar import read_tree
from attncli.spec.masks.linear import Box
from attncli.spec.masks.local import Local, far_of, local_of, reach_of
from attncli.spec.masks.picture import draw
from attncli.spec.masks.predicates import Causal, Predicate, Prefix, Same
from attncli.spec.masks.proof import Band, Idle, Witness, band_of, idle_terms, implies
from attncli.spec.masks.rows import Rows
from attncli.spec.masks.tree import And, ByHead, Index, Integer, Name, Not, Number, Pair, Sample, Seen, Token, Truth
from attncli.spec.masks.words import MaskError

NOTHING: Mapping[str, Index] = {}
MOST_PREFIXES = 64
"""Lengths of a prompt that are tried where a proof is not found."""


@dataclass(frozen=True, eq=False)
class Mask:
    """Which keys each query may see, as one expression. Equal trees are equal masks.

    Ask with `mask.allows(q, k, h=..., q_length=..., k_length=..., document_q=..., document_k=..., carried=...)`. Ints
    give a bool. Index tensors give a boolean tensor of the broadcast shape of those that it reads: q (q 1), k (k),
    h (h 1 1), document_q (b 1 q 1), document_k (b 1 1 k) give (b h q k); a mask in which nothing varies, such as
    `full`, gives a plain bool. What `names` does not list need not be passed.
    """

    tree: Truth

    @cached_property
    def text(self) -> str:
        """The expression in its normal spelling; it parses back to this mask."""
        return str(self.tree)

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Mask) and self.text == other.text and self.tree == other.tree)

    def __hash__(self) -> int:
        return hash(self.text)

    @cached_property
    def names(self) -> frozenset[str]:
        """What the expression reads besides q and k, which every mask may: h, q_length, k_length, layer, document.

        And the integers of tokens and samples by their names; `most row` is the largest row of the sample's tokens.
        """
        found: set[str] = set()
        for node in self.tree.walk():
            match node:
                case Name(name="h" | "q_length" | "k_length" | "layer" as name) | Sample(name=name):
                    found.add(name)
                case Token(of=name) | Same(of=name):
                    found.add(name)
                case ByHead():
                    found.add("h")
                case Predicate(reads=reads):
                    found.update(reads)
        return frozenset(found)

    def allows(
        self,
        q: Index,
        k: Index,
        *,
        h: Index = 0,
        q_length: Index = None,
        k_length: Index = None,
        document_q: Index = None,
        document_k: Index = None,
        carried: Mapping[str, Index] = NOTHING,
    ) -> Seen:
        """Whether query q of head h may see key k. `carried`: row(q), row(k), prefix_length, most row, as named."""
        return self.tree.allows(Pair(q, k, h, q_length, k_length, document_q, document_k, carried=carried))

    @cached_property
    def of_tokens(self) -> frozenset[str]:
        """The integers of tokens that it reads, `document` and those of the data."""
        found = {node.of for node in self.tree.walk() if isinstance(node, Token | Same)}
        return frozenset(found | {name.removeprefix("most ") for name in self.names if name.startswith("most ")})

    @cached_property
    def of_samples(self) -> frozenset[str]:
        """The integers of samples that it reads, prefix_length and those of the data."""
        written = {node.name for node in self.tree.walk() if isinstance(node, Sample)}
        return frozenset(written | ({"prefix_length"} & self.names))

    def of_layer(self, layer: int) -> "Mask":
        """The mask as one layer of a stack has it; random blocks are drawn for each."""
        return Mask(with_number(self.tree, Name("layer"), layer)) if "layer" in self.names else self

    def with_prefix(self, length: int) -> "Mask":
        """The mask over samples whose prompts all have this length."""
        return Mask(with_number(self.tree, Sample("prefix_length"), length)) if self.reads_prefix else self

    @property
    def reads_prefix(self) -> bool:
        """Whether it depends on where the prompt ends."""
        return "prefix_length" in self.names

    @cached_property
    def values_by_head(self) -> frozenset[int]:
        """How many values each by_head gives; every one of them must be the number of heads."""
        return frozenset(len(node.values) for node in self.tree.walk() if isinstance(node, ByHead))

    def of_head(self, head: int) -> "Mask":
        """The mask of one head, without h and by_head."""
        return Mask(at_head(self.tree, head))

    @cached_property
    def full(self) -> bool:
        """Whether every key is seen, by proof: no mask need be applied."""
        return form_of(self.tree) == TRUE

    @cached_property
    def band(self) -> Band | None:
        """(before, after) if the mask is exactly -after <= q - k <= before for every head; None if it is not.

        `causal` is Band(None, 0), `causal & window(before=3)` is Band(3, 0), `window(around=2)` is Band(2, 2).
        """
        form = form_of(self.tree)
        return None if form in (TRUE, FALSE) else band_of(form)

    def reach(self, heads: int) -> tuple[float, float]:
        """The most that q - k and k - q can be where a key is seen, as far as is proved; causal is (inf, 0)."""
        return reach_of(self.tree, heads if "h" in self.names else 1)

    def local(self, heads: int) -> Local | None:
        """How far any of the heads sees, if that is bounded on both sides but for a few first keys and queries.

        None where it is not, or where more than q, k and h decides it.
        """
        return local_of(self.tree, heads if "h" in self.names else 1) if self.names <= {"h"} else None

    def far(self, heads: int) -> str | None:
        """What keeps a mask from being local, where that is a part of it or what it reads; None otherwise."""
        heads = heads if "h" in self.names else 1
        if far := far_of(self.tree, heads):
            return f"parts of the mask are local, but '{far}' may show keys at any distance"
        if self.names <= {"h"} or local_of(self.tree, heads) is None:
            return None
        read = ", ".join(sorted(self.names - {"h"}))
        return f"the mask is local, but it reads {read}, and the banded kernel knows q, k and h alone"

    def causal(self, *, length: int = 1024, heads: int | None = None) -> Witness | None:
        """None if no query ever sees a later key; else the first pair (query, key, head) where one does.

        Proved by structure (a factor `causal`, `k < q`, window(after=0), an | of such), for rows of any length, where
        that succeeds. Else every pair of rows of `length` tokens is tried, which proves it for rows up to that length.
        """
        goal = form_of(Causal())
        found = [self._seen_ahead(head, length) for head in self._heads(heads) if not implies(self._form(head), goal)]
        return min((witness for witness in found if witness), default=None)

    def leaks(self, *, length: int = 1024, heads: int | None = None) -> Witness | None:
        """As `causal`, where the tokens of the prompt are given and not predicted: their keys may be seen by all."""
        goal = Some((form_of(Causal()), form_of(Prefix())))
        unproved = [head for head in self._heads(heads) if not implies(self._form(head), goal)]
        for prefix in range(min(length, MOST_PREFIXES)) if unproved else ():
            rows = [(head, self.with_prefix(prefix).tree) for head in unproved]
            found = [self._seen_ahead(head, length, tree, prefix) for head, tree in rows]
            if witnesses := [witness for witness in found if witness]:
                return min(witnesses)
        return None

    def behind(self) -> "Mask":
        """This mask, and never a later key."""
        if self.full:
            return Mask(Causal())
        parts = self.tree.parts if isinstance(self.tree, And) else (self.tree,)
        return Mask(And((Causal(), *parts)))

    def of_rows(self, rows: "Mask", *, chosen: bool) -> "Mask":
        """This mask in the rows that another one chooses, or in all others; the rest see nothing."""
        parts = self.tree.parts if isinstance(self.tree, And) else (self.tree,)
        return Mask(And((*parts, rows.tree if chosen else Not(rows.tree))))

    def _form(self, head: int) -> Any:
        return form_of(at_head(self.tree, head))

    def _heads(self, heads: int | None) -> range:
        """The heads that may differ: one where the mask does not name h."""
        if "h" not in self.names:
            return range(1)
        return range(heads if heads is not None else max(self.values_by_head, default=16))

    def _seen_ahead(self, head: int, length: int, tree: Truth | None = None, prefix: int = 0) -> Witness | None:
        """The first pair of a query and a later key behind the prefix."""
        rows = Rows(tree or self.tree, length, length, head, generous=True)
        for q, row in enumerate(rows):
            start = max(q + 1, prefix)
            if ahead := row >> start:
                return Witness(q, start - 1 + (ahead & -ahead).bit_length(), head)
        return None

    def empty_rows(self, q_length: int, k_length: int | None = None, *, heads: int | None = None) -> Witness | None:
        """The first query that sees no key, as (query, -1, head), or None. Its output is zeros."""
        found = []
        for head in self._heads(heads):
            if self._never_blind(head, square=k_length is None or k_length >= q_length):
                continue
            rows = self.rows(q_length, k_length, head)
            found += [Witness(q, -1, head) for q in [next((q for q, row in enumerate(rows) if not row), -1)] if q >= 0]
        return min(found, default=None)

    def _never_blind(self, head: int, *, square: bool) -> bool:
        """Whether it is plain that every query sees the first key, or itself."""
        keys: list[Integer] = [Number(0), Name("q")] if square else [Number(0)]
        return any(form_of(with_key(at_head(self.tree, head), key)) == TRUE for key in keys)

    def rows(self, q_length: int, k_length: int | None = None, head: int = 0) -> Rows:
        """The mask of one head as bits: `for row in mask.rows(n)`, bit k of a row is key k."""
        return Rows(self.tree, q_length, q_length if k_length is None else k_length, head)

    def visible(self, q_length: int, k_length: int | None = None, *, heads: int = 1) -> int:
        """Pairs that the mask shows, over all heads. Every token counts as one of a single document.

        Where it reads integers of the data, these are the pairs that it may show (see `positional`).
        """
        if "h" not in self.names:
            return heads * self.rows(q_length, k_length).visible()
        return sum(self.rows(q_length, k_length, head).visible() for head in range(heads))

    def shows_nothing(self, q_length: int, k_length: int | None = None, *, heads: int | None = None) -> bool:
        """Whether no query of any head sees any key."""
        square = k_length is None or k_length >= q_length
        return not any(
            self._never_blind(head, square=square) or any(self.rows(q_length, k_length, head))
            for head in self._heads(heads)
        )

    def idle(self, q_length: int | None = None, k_length: int | None = None) -> list[Idle]:
        """Terms that provably change nothing, for rows of any length or of at most the lengths given."""
        return list(idle_terms(self.tree, Box(q_length, q_length if k_length is None else k_length)))

    def picture(self, q_length: int = 16, k_length: int | None = None, head: int = 0, *, width: int = 32) -> list[str]:
        """The lines of a drawing: queries down, keys to the right, a block where a key is seen."""
        return draw(self.rows(q_length, k_length, head), width=width)

    @property
    def positional(self) -> bool:
        """Whether positions alone decide what is seen; else it takes the data to know."""
        return not self.of_samples and self.of_tokens <= {"document"}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _field, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


def parse(text: str) -> Mask:
    """The mask that a text says. Raises MaskError with the column."""
    return Mask(read_tree(text))


def _field(value: Any) -> Mask:
    if isinstance(value, Mask):
        return value
    if not isinstance(value, str):
        context = {"rule": f"a mask is an expression, not {value!r}", "help": "write causal, or full", "column": 0}
        raise PydanticCustomError("rule", "{rule}", context)
    try:
        return parse(value)
    except MaskError as error:
        context = {"rule": error.rule, "help": error.help, "column": error.column}
        raise PydanticCustomError("rule", "{rule}", context) from None


MaskField = Annotated[Mask, "a mask expression"]
"""A field of a spec that holds a mask: read from its text, written as its text."""
