"""The graph of a model: its parts with their parameters, and the kernel of each attention with its reasons."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from attncli.profiling.columns import Column, count_of, kibi, label_of, table_of
from attncli.profiling.count import Part, total
from attncli.profiling.outline import outline
from attncli.spec.run import Run
from attncli.spec.sizes import Sizes


def graph(
    run: Run, sizes: Sizes, parts: list[Part], attentions: list[dict[str, Any]], console: Console
) -> RenderableType:
    """A table for the width of a console."""
    by_address = {part.address: part for part in parts}
    kernels = {row["address"]: row for row in attentions}
    columns = [
        Column("", text=True), Column("what it is", 1, folds=True), Column("parameters"),
        Column("kernel", 2, text=True),
    ]  # fmt: skip
    rows = []
    for line in outline(run, sizes):
        chosen = [by_address[address] for address in line.addresses if address in by_address]
        owned = count_of(sum(part.parameters for part in chosen)) if chosen else ""
        kernel = ", ".join(dict.fromkeys(kernels[a]["kernel"] for a in line.addresses if a in kernels))
        rows.append([label_of(line), Text(line.what + _ties(chosen)), Text(owned), Text(kernel)])
    rows.append([Text("total", "bold"), Text(_bytes(parts)), Text(count_of(total(parts)), "bold"), Text()])
    return Group(table_of(columns, rows, console), *why(attentions))


def _ties(parts: Iterable[Part]) -> str:
    owners = dict.fromkeys(owner for part in parts for owner in part.shared.values() if owner != part.address)
    return f", shares with {', '.join(owners)}" if owners else ""


def _bytes(parts: list[Part]) -> str:
    return f"{kibi(sum(part.bytes for part in parts))} in float32"


def why(attentions: list[dict[str, Any]]) -> list[Text]:
    """Each different reason for a kernel once, with the addresses that it holds for."""
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for row in attentions:
        groups.setdefault((row["kernel"], tuple(row["why"])), []).append(row["address"])
    lines = []
    for (kernel, reasons), addresses in groups.items():
        whose = "every attention" if len(addresses) == len(attentions) else shortened(addresses)
        lines.append(Text(f"\n{kernel}: {whose}") + Text("".join(f"\n  {reason}" for reason in reasons), style="dim"))
    return lines


def shortened(addresses: list[str]) -> str:
    """A few addresses by name, many by number."""
    if len(addresses) <= 4:
        return ", ".join(addresses)
    return f"{addresses[0]}, {addresses[1]}, … {addresses[-1]} ({len(addresses)})"


def graph_json(run: Run, sizes: Sizes, parts: list[Part], attentions: list[dict[str, Any]]) -> dict[str, Any]:
    """The graph as plain values; `from_data` names the sizes that only the data can tell."""
    return {
        "name": run.name, "task": run.task.kind, "parameters": total(parts), "bytes": sum(part.bytes for part in parts),
        "from_data": sorted(sizes.from_data),
        "modules": [
            {"name": p.address, "kind": p.kind, "parameters": p.parameters, "bytes": p.bytes,
             "weights": {name: list(shape) for name, shape in p.tensors.items()}, "shared": p.shared}
            for p in parts
        ],
        "attentions": attentions,
    }  # fmt: skip
