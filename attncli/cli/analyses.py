"""What `attncli inspect` finds by running a model more than once, and how it says so."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from attncli.analysis.alignment import Aligning, Gold
    from attncli.analysis.comparing import Comparison
    from attncli.analysis.explaining import Explanation
    from attncli.analysis.importance import Faithfulness, Importance
    from attncli.data.rows import Row
    from attncli.maps.claims import Verdict
    from attncli.maps.page.further import Further
    from attncli.maps.record import Sample
    from attncli.maps.samples import Inspector


def table_of(*columns: str) -> "Table":
    """A plain table whose first column is words."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left", no_wrap=place > 0, overflow="fold")
    return table


def _half(width: float, form: str) -> str:
    """Half an interval, where there is one: of one sample there is none."""
    return f" ± {width:{form}}" if width == width else ""


def _ends(low: float, high: float) -> str:
    return f"[{low:.4f}, {high:.4f}]" if low == low else "one text"


def print_table(console: "Console", table: "Table") -> None:
    """The table, as wide as it is where nobody's terminal would cut it; in a narrow terminal its columns in several
    tables, each behind the first column."""
    from rich.measure import Measurement

    def width(of: "Table") -> int:
        return Measurement.get(console, console.options.update(max_width=10_000), of).maximum

    if not console.is_terminal:
        console.width = max(console.width, width(table))
    first, *others = range(len(table.columns))
    kept = [first]
    for column in others:
        if len(kept) > 1 and width(_of(table, [*kept, column])) > console.width:
            console.print(_of(table, kept))
            kept = [first]
        kept.append(column)
    console.print(_of(table, kept))


def _of(table: "Table", columns: Sequence[int]) -> "Table":
    """Some columns of a table."""
    chosen = [table.columns[number] for number in columns]
    part = table_of(*(str(column.header) for column in chosen))
    for cells in zip(*(column.cells for column in chosen), strict=True):
        part.add_row(*cells)
    return part


def importance(
    inspector: "Inspector", data: Path | None, split: str | None, limit: int | None, *, quiet: bool
) -> dict[str, Any]:
    """`--importance`: every head, and whether its order is what the model does; told unless `quiet`."""
    from attncli.analysis.importance import importance as measure
    from attncli.analysis.keys import faithful_keys, key_field
    from attncli.analysis.samples import batches_of, source_of
    from attncli.cli.terminal import progress, results

    model = inspector.model
    source = source_of(inspector.run, data, split)
    batches = batches_of(inspector.codec, source, limit, next(model.parameters()).device)
    with progress("passes") as done:
        found = measure(model, batches, seed=inspector.run.seed, progress=done)
        keys = faithful_keys(model, batches, seed=inspector.run.seed)
    told = {"rows": source.name, **found.json(), "faithfulness_of_keys": {"field": key_field(model), **vars(keys)}}
    if quiet:
        return told
    console = results()
    print_table(console, _importance_table(found))
    console.print(f"loss {found.loss:.4f} nats a label, of {found.samples} samples of {source.name}")
    interval = f"[{found.agreement_low:.2f}, {found.agreement_high:.2f}]"
    console.print(f"agreement of both measures: rank correlation {found.agreement:.2f} {interval}")
    console.print(_faithful("heads", found.faithfulness))
    console.print(_faithful(f"keys of {key_field(model)}, by the attention they receive", keys))
    return told


def _importance_table(found: "Importance") -> "Table":
    table = table_of("head", "loss without it, 95 %", "|dL/dxi|, 95 %")
    for head in found.heads:
        lost, slope = head.masked_high - head.masked, head.gradient_high - head.gradient
        table.add_row(
            f"{head.address}:{head.head}",
            f"{head.masked:+.4f}" + _half(lost, ".4f"),
            f"{head.gradient:.2e}" + _half(slope, ".1e"),
        )
    return table


def _faithful(what: str, found: "Faithfulness") -> str:
    return (
        f"faithfulness of {what}: {found.score:+.4f} [{found.low:+.4f}, {found.high:+.4f}] "
        f"(deletion in order against {found.orders} random orders; 0 is chance)"
    )


def explanations(
    inspector: "Inspector", rows: "Sequence[tuple[str, Row]]", samples: "Sequence[Sample]", methods: Sequence[str]
) -> "tuple[list[tuple[int, Explanation]], dict[str, dict[str, str]]]":
    """`--explain-by`: the maps of each method over each text, with the number of its text; and by method and address
    why there is none, which is logged too."""
    from attncli.analysis.explaining import explain
    from attncli.analysis.looking import look
    from attncli.cli.terminal import log

    found, refused = [], dict[str, dict[str, str]]()
    for number, ((place, row), sample) in enumerate(zip(rows, samples, strict=True) if methods else ()):
        looked = look(inspector, row, place=place, written=sample.written)
        for method in methods:
            made = explain(looked, method)
            found += [(number, one) for one in made.maps]
            if number == 0:
                refused[method] = made.refused
                for address, why in made.refused.items():
                    log().print(f"--explain-by {method}: {address} has none: {why}")
    return found, refused


def explanations_file(found: "Sequence[tuple[int, Explanation]]") -> dict[str, bytes]:
    """All of them as a file of JSON, by its name; no file where there are none."""
    import json

    text = json.dumps(explanations_json(found), ensure_ascii=False) + "\n"
    return {"explanations.json": text.encode()} if found else {}


def explanations_json(found: "Sequence[tuple[int, Explanation]]") -> list[dict[str, Any]]:
    """All of them, each with the number of its sample."""
    return [{"sample": number, **one.json()} for number, one in found]


def show_explanations(found: "Sequence[tuple[int, Explanation]]") -> None:
    """Each map as a picture: |values|, the mean of the heads, over the largest."""
    import numpy as np

    from attncli.cli.terminal import results
    from attncli.maps.record import AttentionMap, Certificate
    from attncli.maps.terminal import heat_map

    console = results()
    colour = console.color_system is not None and not console.no_color
    for number, one in found:
        mean = np.abs(one.values).mean(0)
        largest = float(mean.max()) or 1.0
        shown = AttentionMap(
            one.address, "self", one.rows, one.keys, (mean / largest).astype(np.float32)[None],
            Certificate(0, 0, 0, 0), kernel="", dtype="",
        )  # fmt: skip
        console.print(f"\nsample {number} · {one.method} · largest {largest:.3g}")
        console.print(heat_map(shown, 0, width=console.width, colour=colour))


def comparison(
    inspector: "Inspector", rows: "Sequence[tuple[str, Row]]", samples: "Sequence[Sample]", other: str, device: str
) -> "tuple[Comparison, list[Sample]]":
    """`--compare RUN2[@CHECKPOINT][,float64|bfloat16|reference]`: both models read the same texts at once, with what
    the first wrote where no target was given. With it come the maps of the second."""
    from dataclasses import replace

    from attncli.analysis.comparing import compare
    from attncli.errors import InputError
    from attncli.maps.taking import Plan

    second = replace(_other(other, device, inspector.only), plan=Plan())
    reads, given = sorted(second.codec.vocabularies), sorted(inspector.codec.vocabularies)
    if reads != given:
        rule = f"--compare {other}: that run reads {' and '.join(reads)}, and RUN reads {' and '.join(given)}"
        raise InputError(rule, help="name a run of the same task")
    first = replace(inspector, plan=Plan())
    sides: list[list[Sample]] = [[], []]
    for (place, row), sample in zip(rows, samples, strict=True):
        text = row if sample.written is None else {**row, "target": sample.texts["prediction"]}
        sides[0].append(first.forced(text, place=place, written=sample.written))
        written = second.as_written(text, sample.written, first.codec, place=place)
        sides[1].append(second.forced(text, place=place, written=written))
    return compare(*sides), sides[1]


def _other(named: str, device: str, only: str) -> "Inspector":
    import torch

    from attncli.api import load_run
    from attncli.cli.terminal import log
    from attncli.errors import InputError
    from attncli.maps.samples import Inspector

    place, *ways = named.split(",")
    folder, at, checkpoint = place.rpartition("@")
    path, checkpoint = (folder, checkpoint) if at and not Path(place).exists() else (place, "best")
    loaded = load_run(path, checkpoint=checkpoint, device=device, say=log().print)
    for way in ways:
        if way in ("float64", "bfloat16"):
            loaded.model.to(getattr(torch, way))
        elif way == "reference":
            for attention in loaded.model.attentions().values():
                attention.traits = dataclasses.replace(attention.traits, wanted="reference")
        else:
            raise InputError(f"--compare {named}: there is no way '{way}'", help="float64, bfloat16 or reference")
    made = Inspector(loaded.spec, loaded.codec, loaded.model, only)
    made.check()
    return made


def show_comparison(found: "Comparison") -> None:
    """The heads that moved most."""
    from attncli.cli.terminal import results

    console, table = results(), table_of("head", "is", "divergence", "95 %", "same number")
    for match in found.matches:
        table.add_row(
            f"{match.address}:{match.head}", "none" if match.other is None else f":{match.other}",
            f"{match.divergence:.4f}", _ends(match.low, match.high),
            "" if match.same_number is None else f"{match.same_number:.4f}",
        )  # fmt: skip
    print_table(console, table)
    for side, names in (("first", found.only_first), ("second", found.only_second)):
        if names:
            console.print(f"in the {side} alone: {', '.join(names)}")
    for number, (one, other) in enumerate(found.log_probabilities):
        if one is not None and other is not None:
            console.print(f"sample {number}: log p {one:.4f} and {other:.4f}")


def overview(
    inspector: "Inspector", data: Path | None, split: str | None, limit: int | None, alignments: Path | None, *,
    quiet: bool,
) -> dict[str, Any]:  # fmt: skip
    """`--summary`: statistics of every head over rows, and the rate of alignment errors where people have aligned; told
    unless `quiet`."""
    from attncli.analysis.alignment import Aligning, read_gold
    from attncli.analysis.overview import overview as measure
    from attncli.analysis.samples import source_of
    from attncli.cli.terminal import progress, results
    from attncli.errors import InputError
    from attncli.maps.summary import STATISTICS

    source = source_of(inspector.run, data, split)
    aligning = Aligning()
    gold = iter(() if alignments is None else read_gold(alignments))
    also = None if alignments is None else _aligner(inspector, aligning, gold, f"{alignments}", source.name)
    with progress("texts") as done:
        found = measure(inspector, source, limit, also=also, progress=done)
    if limit is None and next(gold, None) is not None:
        rule = f"--alignments {alignments}: it has more lines than {source.name}"
        raise InputError(rule, help="give one line a row, or --limit for the first rows alone")
    rates = aligning.best()
    columns = ("address", "head", "row", "alignment_error_rate")
    aligned = {"alignments": [dict(zip(columns, rate, strict=True)) for rate in rates]} if alignments else {}
    told = {"rows": source.name, "heads": [one.json() for one in found], **aligned}
    if quiet:
        return told
    console, table = results(), table_of("head", *STATISTICS)
    for one in found:
        cells = [f"{mean:.3f}" + _half(high - mean, ".3f") for mean, _, high in one.statistics.values()]
        table.add_row(f"{one.address}:{one.head}", *cells)
    print_table(console, table)
    console.print(f"means over {found[0].samples} texts of {source.name}, ± 1.96 standard errors")
    for address, head, row, rate in rates:
        name = "mean of heads" if head is None else f"head {head}"
        console.print(f"alignment error rate {rate:.3f}  {address} {name} (rows of tokens {row})")
    return told


def _aligner(
    inspector: "Inspector", aligning: "Aligning", gold: Iterator["Gold"], path: str, rows: str
) -> "Callable[[Sample], None]":
    from attncli.analysis.alignment import words_of
    from attncli.errors import InputError

    if inspector.run.task.kind != "seq2seq":
        raise InputError(f"--alignments: a {inspector.run.task.kind} model has no two texts", help="leave it out")
    vocabularies = inspector.codec.vocabularies

    def also(sample: "Sample") -> None:
        links = next(gold, None)
        if links is None:
            raise InputError(f"--alignments {path}: it has fewer lines than {rows}", help="give one line a row")
        words = tuple(words_of(vocabularies[name], sample.texts[name]) for name in ("source", "target"))
        for one in sample.attentions:
            if one.kind == "cross":
                aligning.add(one, links, (words[0], words[1]))

    return also


def further_of(
    run: Path, measured: "Mapping[str, Any]", *, explained: "Sequence[tuple[int, Explanation]]",
    refused: dict[str, dict[str, str]], verdicts: "Sequence[Verdict]", each: "Sequence[Sequence[Sample]]",
) -> "Further":  # fmt: skip
    """What the page shows beside the maps of `each` text: what was `measured` on rows, by its name, and the rest; the
    film of a run that was watched too."""
    from itertools import accumulate

    from attncli.maps.page.further import Further
    from attncli.training.journal import HEADS, read_lines

    first = [0, *accumulate(map(len, each))]
    placed = tuple((first[number], one) for number, one in explained)
    rows = measured.get("importance"), measured.get("summary")
    return Further(read_lines(run / HEADS), *rows, placed, refused, tuple(verdicts))


def refuse_mixed(
    *, importance: bool, summary: bool, texts: bool, data: Path | None, split: str | None, limit: int | None,
    alignments: bool, out: bool,
) -> None:  # fmt: skip
    """Rows of data and single texts are looked at by different questions."""
    if data is not None and split is not None:
        raise click.UsageError("--data and --split name different rows: give one of them")
    if importance and summary:
        raise click.UsageError("--importance and --summary are two questions: ask one at a time")
    if out and not texts and (importance or summary):
        raise click.UsageError("--out writes maps of texts: add --text, and the page shows what is measured too")
    if not (importance or summary) and any(one is not None for one in (data, split, limit)):
        raise click.UsageError("--data, --split and --limit are rows for --importance or --summary: add one of them")
    if alignments and not summary:
        raise click.UsageError("--alignments are of the rows of --summary: add it")
