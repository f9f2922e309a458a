"""attncli inspect."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attncli.cli import options

if TYPE_CHECKING:
    from attncli.maps.claims import Verdict
    from attncli.maps.export import Format
    from attncli.maps.record import Maps
    from attncli.maps.roles import Role
    from attncli.maps.samples import Inspector
    from attncli.maps.taking import Plan


@click.command(short_help="Show and export every attention weight that a run used.")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--text", "texts", multiple=True, metavar="TEXT", help="What the model reads; may be repeated.")
@click.option("--target", "targets", multiple=True, metavar="TEXT",
              help="What it is made to write, once for each --text.")  # fmt: skip
@click.option("--file", "file", type=click.Path(path_type=Path),
              help="Texts, one a line; or a table, where masks read columns of it.")  # fmt: skip
@click.option("--decoding", type=click.Choice(["greedy", "beam", "sample", "forced"]),
              help="How it writes, by default as the spec says; forced with --target.")  # fmt: skip
@click.option("--n-best", type=click.IntRange(min=1), metavar="N", help="The N best texts of a beam search.")
@click.option("--branches", is_flag=True, help="Show the texts too that a beam search gave up on its way.")
@click.option("--generate", type=click.IntRange(min=1), metavar="N",
              help="Let a language model continue the text by up to N tokens.")  # fmt: skip
@click.option("--only", default="*", metavar="PATTERN", help="Attentions by address: 'decoder.*.cross_attention'.")
@click.option("--budget", default="2GB", show_default=True, metavar="SIZE",
              help="Memory for maps: those that fit are kept whole, the others as a summary.")  # fmt: skip
@click.option("--heads", metavar="LIST", help="Keep whole rows of these heads alone: 0,3.")
@click.option("--queries", metavar="A:B", help="Keep whole rows of these queries alone: 0:128.")
@click.option("--rows", "rows_path", type=click.Path(path_type=Path), metavar="PATH",
              help="Write whole rows there, whatever their size: a folder, FILE.h5 or FILE.zarr.")  # fmt: skip
@click.option("--roles", "with_roles", is_flag=True,
              help="Name what each head does: previous, induction, monotonic and others.")  # fmt: skip
@click.option("--explain-by", "methods", multiple=True, metavar="NAME",
              type=click.Choice(["rollout", "flow", "norm", "gradient", "value_zeroing"]),
              help="What tokens owe to each other: rollout, flow, norm, gradient or value_zeroing.")  # fmt: skip
@click.option("--importance", "with_importance", is_flag=True,
              help="Mask each head over rows of data: what is lost; with --text on the page too.")  # fmt: skip
@click.option("--summary", "with_summary", is_flag=True,
              help="Statistics of every head over rows of data; with --text on the page too.")  # fmt: skip
@click.option("--alignments", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
              help="Links of words, 0-0 1-2 a row, against which --summary tells error rates.")  # fmt: skip
@click.option("--compare", "compare", metavar="RUN2[@STEP][,WAY]",
              help="Heads against those of another run or step, or by float64, bfloat16 or reference.")  # fmt: skip
@click.option("--data", type=click.Path(path_type=Path), metavar="FILE", help="Rows with the columns of the spec.")
@click.option("--split", type=click.Choice(["train", "valid", "test"]), help="Rows of this split; valid by default.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N rows.")
@click.option("--assert", "claims", multiple=True, metavar="CLAIMS",
              help="Exit with 3 unless they hold: 'no_leak; role(decoder.2.cross, monotonic) > 0.8'.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Write the maps into this folder.")
@click.option("--format", "formats", default="html,json", show_default=True, metavar="LIST",
              help="html, json, csv, npz, safetensors, parquet, png, svg, or all.")  # fmt: skip
@click.option("--page-budget", default="20MB", show_default=True, metavar="SIZE",
              help="Of the HTML page: every weight while these fit, else overviews, top keys and --heads.")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace the files of an earlier export.")
@options.checkpoint
@options.device
@options.threads
@click.option("--json", "as_json", is_flag=True, help="Print tokens, certificates and statistics as JSON.")
def inspect(
    run: Path, texts: tuple[str, ...], targets: tuple[str, ...], file: Path | None, decoding: str | None,
    n_best: int | None, generate: int | None, only: str, out: Path | None, formats: str, force: bool, checkpoint: str,
    device: str, threads: int | None, as_json: bool, budget: str, heads: str | None, queries: str | None,
    rows_path: Path | None, branches: bool, with_roles: bool, claims: tuple[str, ...], methods: tuple[str, ...],
    with_importance: bool, data: Path | None, split: str | None, limit: int | None, with_summary: bool,
    alignments: Path | None, compare: str | None, page_budget: str,
) -> None:  # fmt: skip
    """Show what the model in the run folder RUN looked at: every weight of every attention, for the texts given.

    The weights are those of the kernel that ran: each row sums to one, and each map times its values is the kernel's
    output. Where that does not hold the maps are written all the same, marked as wrong, and the exit code is 3.
    Without --out a heat map of the most telling head is drawn in the terminal.

    A map that does not fit into the budget is reduced while the model runs: statistics, an overview of at most 128 by
    128 cells (largest and mean weight), and the 8 keys that each row looks at most.
    """
    from attncli.api import look
    from attncli.cli import analyses
    from attncli.cli.terminal import print_json, refuse_missing, refuse_unwritable
    from attncli.errors import InputError
    from attncli.maps.asked import decoding_of, rows_of
    from attncli.maps.budget import PAGE, bytes_of
    from attncli.maps.claims import judge, read_claims
    from attncli.maps.export import certify, check_folder, export
    from attncli.maps.record import Maps
    from attncli.maps.roles import roles

    analyses.refuse_mixed(
        importance=with_importance, summary=with_summary, texts=bool(texts or file), data=data, split=split,
        limit=limit, alignments=alignments is not None, out=out is not None,
    )  # fmt: skip
    if (methods or compare) and generate is not None:
        raise click.UsageError("--explain-by and --compare read a text at once: leave --generate out")
    wanted, page = _formats(formats), bytes_of(page_budget, "--page-budget", PAGE, "a page")
    _refuse_idle(texts=bool(texts or file), importance=with_importance, summary=with_summary, out=out is not None)
    claimed = [claim for text in claims for claim in read_claims(text)]
    refuse_missing("--data", data)
    if out is not None:
        check_folder(out, force=force)
        refuse_unwritable("--out", out)
    plan = _plan(budget, heads, queries, rows_path)
    inspector, about = _load(run, checkpoint, device, threads, only, plan)
    of_rows_alone = (with_importance or with_summary) and not (texts or file)
    rows = [] if of_rows_alone else rows_of(inspector.run, texts, targets, file)
    more: dict[str, Any] = {}
    if with_importance:
        more["importance"] = analyses.importance(inspector, data, split, limit, quiet=as_json)
    if with_summary:
        more["summary"] = analyses.overview(inspector, data, split, limit, alignments, quiet=as_json)
    if of_rows_alone:
        if as_json:
            print_json(next(iter(more.values())))
        return
    how = decoding_of(inspector.run, decoding=decoding, n_best=n_best, generate=generate, targets=bool(targets))
    if branches and (how is None or how.kind != "beam"):
        raise InputError("--branches: no beam search writes here", help="add --decoding beam, and no --target")
    each = [look(inspector, row, how, place, pruned=branches) for place, row in rows]
    taken, best = [sample for samples in each for sample in samples], [samples[0] for samples in each]
    maps = Maps(tuple(taken), about)
    found = roles(maps) if with_roles else None
    compared = analyses.comparison(inspector, rows, best, compare, device) if compare else None
    explained, refused = analyses.explanations(inspector, rows, best, methods)
    verdicts = judge(maps, claimed)
    further = analyses.further_of(run, more, explained=explained, refused=refused, verdicts=verdicts, each=each)
    shown: dict[str, Any] = {"budget": page, "found": found, "further": further}
    if compared is not None:
        more["comparison"] = {"with": compare, **compared[0].json()}
        shown |= {"beside": Maps(tuple(compared[1]), {"run": f"{compare}"}), "matches": more["comparison"]["matches"]}
    beside = analyses.explanations_file(explained)
    written = [] if out is None else export(maps, out, wanted, force=force, page=shown, beside=beside)
    if explained:
        more["explanations"] = analyses.explanations_json(explained)
    _tell(maps, out, written, plan, verdicts, as_json=as_json, found=found, more=more)
    if explained and not as_json:
        analyses.show_explanations(explained)
    if compared is not None and not as_json:
        analyses.show_comparison(compared[0])
    if plan.store is not None:
        plan.store.close()
    certify(maps)
    if not all(verdict.holds for verdict in verdicts):
        raise SystemExit(3)


OF_FILES = ("formats", "page_budget", "force")
OF_TEXTS = (
    "targets", "decoding", "n_best", "branches", "generate", "budget", "heads", "queries", "rows_path", "with_roles",
    "methods", "compare", "claims",
)  # fmt: skip


def _refuse_idle(*, texts: bool, importance: bool, summary: bool, out: bool) -> None:
    """Flags that nothing would read."""
    if not out and (idle := options.given(*OF_FILES)):
        raise click.UsageError(f"{idle}: of what --out writes: add --out FOLDER")
    if texts or not (importance or summary):
        return
    if idle := options.given(*OF_TEXTS, *(("only",) if importance else ())):
        raise click.UsageError(f"{idle}: of single texts, and none is given: add --text")


def _formats(text: str) -> "list[Format]":
    from attncli.maps.export import FORMATS

    words = [word.strip() for word in text.split(",")]
    for word in words:
        if word not in (*FORMATS, "all"):
            rule = f"there is no format '{word}'; choose from {', '.join(FORMATS)}, or all"
            raise click.BadParameter(rule, param_hint="--format")
    return [kind for kind in FORMATS if kind in words or "all" in words]


def _plan(budget: str, heads: str | None, queries: str | None, rows: Path | None) -> "Plan":
    """What is kept of the maps."""
    from attncli.cli.terminal import refuse_unwritable
    from attncli.maps.budget import Budget, bytes_of, choice_of
    from attncli.maps.stores import open_store
    from attncli.maps.taking import Plan

    size, choice = bytes_of(budget, "--budget"), choice_of(heads, queries)
    if rows is None:
        return Plan(Budget(size), choice)
    refuse_unwritable("--rows", rows)
    store = open_store(rows)
    return Plan(Budget(size), choice, store, store.samples())


def _load(
    folder: Path, checkpoint: str, device: str, threads: int | None, only: str, plan: "Plan"
) -> "tuple[Inspector, dict[str, str]]":
    """The run, and where its maps come from."""
    import datetime

    import torch

    from attncli import __version__
    from attncli.api import load_run
    from attncli.cli.terminal import log
    from attncli.maps.samples import Inspector
    from attncli.training.machine import use_threads

    use_threads(threads)
    run = load_run(folder, checkpoint=checkpoint, device=device, say=log().print)
    inspector = Inspector(run.spec, run.codec, run.model, only, plan)
    inspector.check()
    place = next(run.model.parameters()).device.type
    about = {
        "run": inspector.run.name,
        "checkpoint": run.checkpoint,
        "date": datetime.date.today().isoformat(),
        "attncli": __version__,
        "torch": torch.__version__,
        "device": f"{place}, {torch.get_num_threads()} threads" if place == "cpu" else place,
    }
    return inspector, about


def _tell(
    maps: "Maps", out: Path | None, written: list[Path], plan: "Plan", verdicts: "list[Verdict]", *, as_json: bool,
    found: "list[Role] | None", more: "dict[str, Any]",
) -> None:  # fmt: skip
    """What was found and where it lies."""
    from attncli.cli.terminal import print_json, results
    from attncli.maps.formats import describe
    from attncli.maps.roles import leading
    from attncli.maps.terminal import show, show_roles, show_verdicts

    if as_json:
        more |= {"roles": [asdict(role) | {"held": role.held} for role in found]} if found is not None else {}
        claims = {"claims": [{"claim": one.claim.text, "holds": one.holds, "found": one.found} for one in verdicts]}
        print_json(describe(maps) | more | (claims if verdicts else {}) | {"files": [str(path) for path in written]})
        return
    console = results()
    if found is not None:
        show_roles(leading(found), maps, console)
    show_verdicts(verdicts, console)
    if plan.store is not None:
        console.print(f"whole rows in {plan.store.path}")
    if reduced := [name for name, _, one in maps.items() if one.weights is None and one.rows_kept is None]:
        console.print(f"{len(reduced)} maps do not fit into the budget: of these there is a summary")
    if out is None:
        show(maps, console)
        console.print("all maps, and a page to look at them: add --out FOLDER")
        return
    texts = "one text" if len(maps.samples) == 1 else f"{len(maps.samples)} texts"
    count = sum(1 for _ in maps.items())
    console.print(f"{count} {'map' if count == 1 else 'maps'} of {texts} in {out}")
    proof = f"max|rows - 1| {maps.row_sum_error:.1e}, max|map V - output| {maps.output_error:.1e}"
    console.print(proof if maps.faults() else f"certified: {proof}")
    for line in maps.missing():
        console.print(line, markup=False)
    for path in written:
        if path.suffix == ".html":
            console.print(f"open {path}")
