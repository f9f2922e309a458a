"""Explanations as lines of text."""

from collections.abc import Iterator

from attncli.spec.explain.catalogue import first_sentence, roles
from attncli.spec.explain.entries import Entry, Step
from attncli.spec.explain.masks import MaskReport, usage
from attncli.spec.explain.names import CHINESE
from attncli.spec.masks.predicates import PREDICATES

NAMES = 46
"""Columns of the names of an example's steps; a longer one stands on its own line."""


def overview() -> Iterator[str]:
    """Every kind by its role, the predicates of masks, and the article's names."""
    for role in roles():
        yield f"{role.name}  ({role.where}){'  ' + role.about if role.about else ''}"
        for word, record in role.kinds.items():
            yield f"  {word:<22}{first_sentence(record.__doc__ or '')}"
        yield ""
    yield "mask  (model.attention.mask)  An expression of predicates and arithmetic: attncli explain mask"
    for predicate in PREDICATES.values():
        yield f"  {usage(predicate):<22}{predicate.summary}"
    yield ""
    yield "in Chinese"
    for word, names in CHINESE.items():
        yield f"  {word}  {', '.join(names)}"
    yield ""
    yield "attncli explain NAME tells the equation, the source, the options and an example with numbers."


def told(entry: Entry) -> Iterator[str]:
    """One entry in full."""
    yield " · ".join((entry.name, *entry.chinese))
    yield f"{entry.what}, under {entry.where}"
    if entry.text:
        yield ""
        yield from entry.text.split("\n")
    if entry.options:
        listing = any(option.takes == "kind" for option in entry.options)
        yield ""
        yield "kinds" if listing else "options"
        for option in entry.options:
            if listing:
                yield f"  {option.key:<22}{option.about}"
            else:
                yield f"  {option.key}: {option.takes}; default: {option.default}"
                if option.about:
                    yield f"      {option.about}"
    for note in entry.notes:
        yield ""
        yield f"note: {note}"
    if entry.example:
        yield ""
        yield "example"
        for step in entry.example:
            yield from _step(step)
    if entry.drawing:
        yield ""
        yield from entry.drawing


def _step(step: Step) -> Iterator[str]:
    value = step.value
    rows = value if isinstance(value, list) else [value]
    cells = [row if isinstance(row, list) else [row] for row in rows]
    if not any(isinstance(row, list) for row in rows):
        cells = [[each for row in cells for each in row]]
    numbers = [each for row in cells for each in row if not isinstance(each, str)]
    digits = 0 if all(float(each).is_integer() for each in numbers) else 4
    name = step.name
    if len(name) > NAMES:
        yield f"  {name}"
        name = ""
    for index, row in enumerate(cells):
        shown = (f"{each:>9}" if isinstance(each, str) else f"{each:9.{digits}f}" for each in row)
        yield f"  {name if index == 0 else '':<{NAMES}}{''.join(shown)}".rstrip()


def told_mask(report: MaskReport) -> Iterator[str]:
    """A mask drawn, and what is known of it."""
    yield report.mask.text
    for heads, lines in report.drawings.items():
        yield ""
        if heads:
            yield heads
        yield from lines
    yield ""
    if report.drawings:
        per_head = f", {report.heads} heads" if len(report.drawings) > 1 or report.heads > 1 else ""
        share = report.visible / report.pairs
        yield (
            f"visible pairs: {report.visible:,} of {report.pairs:,} ({share:.1%}), "
            f"{report.length} queries, {report.length} keys{per_head}"
        )
        yield f"causal: {_ahead(report)}"
        yield f"rows that see nothing: {_empty(report)}"
    for fault in report.faults:
        yield f"a spec with max_length {report.length} refuses it: {fault}"


def _ahead(report: MaskReport) -> str:
    if report.ahead is None:
        return "yes, no query sees a later key"
    of_head = f" of head {report.ahead.h}" if "h" in report.mask.names else ""
    return f"no, query {report.ahead.q}{of_head} sees key {report.ahead.k}"


def _empty(report: MaskReport) -> str:
    if report.empty is None:
        return "none"
    of_head = f" of head {report.empty.h}" if "h" in report.mask.names else ""
    return f"query {report.empty.q}{of_head} is the first; its output is zeros"
