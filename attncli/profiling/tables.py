"""Profiles as tables for a terminal, and as plain values for JSON."""

from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from attncli.profiling.clock import OUTSIDE, PartTimes
from attncli.profiling.columns import Column, count_of, duration, kibi, label_of, scaled, table_of
from attncli.profiling.count import Part, total
from attncli.profiling.graph import why
from attncli.profiling.outline import Line, outline
from attncli.profiling.report import Profile
from attncli.spec.sizes import Sizes


def profile_table(profile: Profile, sizes: Sizes, console: Console, *, every_layer: bool = False) -> RenderableType:
    """What each part costs, and the totals."""
    training = profile.scene.phase == "train"
    columns = [Column("", text=True), Column("parameters", 2), Column("FLOPs", 1), Column("dense", 6)]
    if profile.measured and training:
        columns += [Column("saved", 5), Column("forward", 3), Column("backward", 3)]
    elif profile.measured:
        columns += [Column("time", 3)]
    if profile.measured:
        columns += [Column("share"), Column("of peak", 4)]
    parts = {part.address: part for part in profile.parts}
    rows = []
    for line in _lines(profile, sizes, every_layer):
        cells = _cells(profile, line, parts) if line.addresses else [""] * (len(columns) - 1)
        rows.append([label_of(line), *map(Text, cells)])
    return Group(table_of(columns, rows, console), *_totals(profile))


def _lines(profile: Profile, sizes: Sizes, every_layer: bool) -> Iterator[Line]:
    """What is at work: decoding leaves the stacks that are read alone. Last, what belongs to no part."""
    at_work = True
    for line in outline(profile.run, sizes, every_layer=every_layer):
        if line.depth == 0:
            at_work = profile.scene.phase != "decode" or line.label in (profile.run.task.stack, "head")
        if at_work:
            yield line
    if profile.measured is not None:
        yield Line(0, "optimizer and the rest" if profile.scene.phase == "train" else "the rest", "", (OUTSIDE,))


def _cells(profile: Profile, line: Line, parts: dict[str, Part]) -> list[str]:
    works = [profile.work[address] for address in line.addresses if address in profile.work]
    visible, dense = sum(w.visible for w in works), sum(w.dense for w in works)
    owned = sum(parts[address].parameters for address in line.addresses if address in parts)
    cells = [_or_none(owned, count_of), _or_none(visible, scaled), _or_none(dense, scaled)]
    measured = profile.measured
    if measured is None:
        return cells
    none = PartTimes(0.0, 0.0)
    times = [measured.parts.get(address, none) for address in line.addresses]
    forward, backward = sum(t.forward for t in times), sum(t.backward for t in times)
    if profile.scene.phase == "train":
        saved = sum(measured.saved.get(address, 0) for address in line.addresses)
        cells += [_or_none(saved, kibi), duration(forward), duration(backward)]
    else:
        cells.append(duration(forward))
    cells.append(f"{(forward + backward) / sum(map(sum, measured.parts.values())):.1%}")
    reached = visible / (forward + backward) / measured.peak.flops if visible and forward + backward else 0.0
    return [*cells, f"{reached:.0%}" if reached else ""]


def _or_none(number: float, say: Callable[[float], str]) -> str:
    return say(number) if number else ""


def _totals(profile: Profile) -> list[Text]:
    scene = profile.scene
    lengths = ", ".join(f"{name} {length}" for name, length in scene.lengths.items())
    doing = {"train": "a training step", "forward": "a forward pass", "decode": "one token more, after all others"}
    lines = [
        f"\n{doing[scene.phase]} of {scene.batch} rows; tokens of a row: {lengths}",
        f"FLOPs         {scaled(profile.visible)} by visible pairs, {scaled(profile.dense)} with every pair",
    ]
    measured = profile.measured
    if measured is not None:
        middle, least, most = measured.seconds
        memory = measured.memory
        held = {"parameters": memory.parameters, "gradients": memory.gradients, "optimizer": memory.optimizer,
                "saved for backward": memory.saved, "cache": memory.cache}  # fmt: skip
        said = ", ".join(f"{name} {kibi(size)}" for name, size in held.items() if size)
        lines += [
            f"time          {duration(middle)} (from {duration(least)} to {duration(most)}), "
            f"{profile.device}, {measured.threads} threads, {profile.dtype}",
            f"speed         {count_of(profile.tokens / middle)} tokens/s",
            f"share of peak {profile.share_of_peak:.1%} of {scaled(measured.peak.flops)}FLOP/s, this machine's fastest "
            f"matrix product; copying {scaled(measured.peak.bytes, 'B')}/s",
            f"peak memory   {kibi(memory.peak)}: {said}",
        ]
    return [Text(line) for line in lines] + why(profile.attentions)


def profile_json(profile: Profile) -> dict[str, Any]:
    """The same as plain values, in seconds, bytes and FLOPs."""
    scene, measured = profile.scene, profile.measured
    result: dict[str, Any] = {
        "name": profile.run.name, "phase": scene.phase, "batch": scene.batch, "lengths": scene.lengths,
        "tokens": profile.tokens, "device": profile.device, "dtype": profile.dtype, "parameters": total(profile.parts),
        "flops": profile.visible, "flops_dense": profile.dense,
    }  # fmt: skip
    if measured is not None:
        result |= {
            "threads": measured.threads, "seconds": measured.seconds._asdict(),
            "tokens_per_second": profile.tokens / measured.seconds.median,
            "memory": vars(measured.memory), "machine": vars(measured.peak), "share_of_peak": profile.share_of_peak,
        }  # fmt: skip
    return result | {"modules": [_module(profile, part) for part in profile.parts], "attentions": profile.attentions}


def _module(profile: Profile, part: Part) -> dict[str, Any]:
    work, measured = profile.work.get(part.address), profile.measured
    row: dict[str, Any] = {
        "name": part.address, "kind": part.kind, "parameters": part.parameters, "bytes": part.bytes,
        "flops": work.visible if work else 0, "flops_dense": work.dense if work else 0,
    }  # fmt: skip
    if measured is not None:
        times = measured.parts.get(part.address)
        row |= {
            "forward_seconds": times.forward if times else 0.0, "backward_seconds": times.backward if times else 0.0,
            "saved_bytes": measured.saved.get(part.address, 0),
        }  # fmt: skip
    return row


def sweep_table(profiles: list[Profile], console: Console) -> RenderableType:
    """One line a length."""
    columns = [Column("length"), Column("rows", 3), Column("FLOPs", 2), Column("dense", 5)]
    if all(profile.measured for profile in profiles):
        columns += [Column("time", 1), Column("tokens/s"), Column("of peak", 4), Column("memory")]
    rows = []
    for profile in profiles:
        measured = profile.measured
        cells = [count_of(max(profile.scene.lengths.values())), count_of(profile.scene.batch), scaled(profile.visible),
                 scaled(profile.dense)]  # fmt: skip
        if measured is not None:
            seconds = measured.seconds.median
            cells += [duration(seconds), count_of(profile.tokens / seconds), f"{profile.share_of_peak:.1%}",
                      kibi(measured.memory.peak)]  # fmt: skip
        rows.append([Text(cell) for cell in cells])
    return table_of(columns, rows, console)
