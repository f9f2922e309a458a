"""The page of the benchmarks: what scripts tell, collected, and what becomes of one that fails."""

import sys

import pytest

from benchmarks import __main__ as collector
from benchmarks.evened import evened
from benchmarks.harness import Row, interleaved, rows_in
from benchmarks.table import draw, write
from benchmarks.taken import Apart


def test_rows_come_through_as_they_were_told(capsys):
    row = Row("a", "of b", "ms", {"attncli": 2.0, "peer": 5.0}, {"attncli": 0.7}, {"peer": (2.5, 1.5)}, {"same": "yes"})
    row.tell()
    assert list(rows_in("noise\n" + capsys.readouterr().out)) == [row]


def test_a_contestant_that_fails_stops_no_other():
    notes: list[str] = []
    times, peak = interleaved({"good": lambda: None, "bad": lambda: 1 / 0}, notes, rounds=2)
    assert list(times) == ["good"]
    assert len(times["good"]) == 2
    assert notes == ["bad: not measured: ZeroDivisionError: division by zero"]
    assert peak > 0


def test_the_page_has_every_row_with_its_ratio_and_what_was_wanted(tmp_path):
    row = Row("step", "sizes", "ms", {"attncli": 2.0, "peer": 5.0}, {"attncli": 0.7}, {"peer": (2.5, 1.5)})
    text = write([row, Row("lost", "", "", notes=["no row: stopped after 9 s"])], quick=False)
    assert "| step | attncli | 2.00 ms | 70% | – | – |\n|  | peer | 5.00 ms | – | 2.50 × | 1.5 × |\n" in text
    assert "| lost | – | not measured | – | – | – |" in text
    assert "no row: stopped after 9 s" in text
    draw([row], tmp_path / "ratios.svg")
    assert "<svg" in (tmp_path / "ratios.svg").read_text()


@pytest.mark.parametrize(("code", "said"), [("1 / 0", "exit code 1: ZeroDivisionError"), ("", "the script told none")])
def test_a_script_that_ends_without_a_row_is_said(code, said, tmp_path, monkeypatch):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "broken.py").write_text(code)
    monkeypatch.setattr(collector, "ROOT", tmp_path)
    monkeypatch.setitem(collector.SCRIPTS, "broken", (60, 60))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (row,) = collector.run("broken", quick=False)
    assert row.notes[0].startswith(f"no row: {said}")


def filling(*megabytes):
    """Work that holds so much for a moment, another number each time."""
    left = iter(megabytes)
    return lambda: len(bytearray(next(left) * 2**20))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process tells only the most that it ever held")
def test_memory_is_that_of_the_work_alone_whatever_the_process_before_it_held():
    held = bytearray(300 * 2**20)
    with Apart(filling, 160, 20) as one, Apart(filling, 40) as other:
        found = [one(), other(), one()]
    assert [taken.found >> 20 for taken in found] == [160, 40, 20]
    for taken in found:
        assert taken.found <= taken.bytes < taken.found + 4 * 2**20 < len(held)
        assert taken.seconds > 0


def test_updates_read_alike_though_rows_are_grouped_by_length():
    lengths = [1 + (7 * row) % 60 for row in range(6000)]
    grouped = sorted(range(6000), key=lambda row: -lengths[row])
    order = evened(grouped, lengths, {"sentences": 100, "tokens": sum(lengths) // 60})
    assert sorted(order) == list(range(6000))
    for updates in (2, 6, 12):
        read = sum(lengths[row] for row in order[: 100 * updates]) / updates
        assert read == pytest.approx(sum(lengths) / 60, rel=0.05)
