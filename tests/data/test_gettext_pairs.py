"""examples/gettext_pairs.py on catalogues made here."""

import importlib.util
import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "gettext_pairs.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gettext_pairs", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def catalogue(path: Path, messages: dict[str, str]) -> None:
    """A .mo file. Format: GNU gettext manual, section 10.3."""
    head = "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=n != 1;\n"
    entries = sorted((key.encode(), value.encode()) for key, value in {"": head, **messages}.items())
    start = 28 + 16 * len(entries)
    tables: list[list[int]] = [[], []]
    blob = b""
    for side in (0, 1):
        for entry in entries:
            tables[side] += [len(entry[side]), start + len(blob)]
            blob += entry[side] + b"\0"
    numbers = [0x950412DE, 0, len(entries), 28, 28 + 8 * len(entries), 0, 0, *tables[0], *tables[1]]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(f"<{len(numbers)}I", *numbers) + blob)


def rows(out: Path) -> dict[str, list[tuple[str, str]]]:
    found = {}
    for side in ("train", "valid", "test"):
        head, *lines = out.with_suffix(f".{side}.tsv").read_text(encoding="utf-8").splitlines()
        assert head == "source\ttarget"
        found[side] = [(source, target) for source, target in (line.split("\t") for line in lines)]
    return found


def test_pairs_are_cleaned_counted_and_written(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "locale" / "de" / "LC_MESSAGES"
    catalogue(
        folder / "a.mo",
        {
            "_Open File": "Datei _öffnen",
            "menu\x04Save (_S)": "Sichern",
            "one file\0%d files": "eine Datei\0%d Dateien",
            "Debug": "Debug",
            "%d %s": "%d von %s",
            "two\nlines": "zwei\nZeilen",
            "Copied %d files": "%s Dateien kopiert",
            "yes": "ja" * 40,
            "a  table": "eine  Tabelle",
            "%s%s%s: not": "%s%s%s: nicht",
            "Cancel": "Abbrechen",
        },
    )
    catalogue(folder / "b.mo", {"Cancel": "Annullieren", "Quit": "Beenden"})
    catalogue(folder / "c.mo", {"Cancel": "Annullieren"})
    catalogue(tmp_path / "locale" / "fr" / "LC_MESSAGES" / "a.mo", {"Cancel": "Annuler"})
    catalogue(tmp_path / "vim" / "de.UTF-8" / "LC_MESSAGES" / "vim.mo", {"Window": "Fenster"})
    (folder / "broken.mo").write_bytes(b"\xde\x12\x04\x95 no catalogue")
    (folder / "again.mo").symlink_to(folder / "a.mo")
    out = tmp_path / "out" / "pairs.tsv"
    assert script.main(["--language", "de", "--out", str(out), "--roots", str(tmp_path)]) == 0
    found = {pair for side in rows(out).values() for pair in side}
    assert found == {
        ("Open File", "Datei öffnen"),
        ("Save", "Sichern"),
        ("one file", "eine Datei"),
        ("Cancel", "Annullieren"),
        ("Quit", "Beenden"),
        ("Window", "Fenster"),
    }
    printed = capsys.readouterr().out
    assert printed.startswith("4 catalogues, 15 messages; 1 files could not be read\nleft out: 1 mostly placeholders, ")
    assert "1 of odd length, 2 of several lines or columns, 2 said before, 1 untranslated, " in printed
    assert "1 with other placeholders, 1 without words\n" in printed
    assert "\n6 pairs: " in printed


def test_a_message_is_on_one_side(script: ModuleType, tmp_path: Path) -> None:
    words = [f"{letter}{other}{third}" for letter in "abcdefgh" for other in "abcdefgh" for third in "abcdefgh"]
    messages = {f"word {word}": f"Wort {word}" for word in words} | {f"Word {word}…": f"Wort {word}…" for word in words}
    catalogue(tmp_path / "de" / "LC_MESSAGES" / "a.mo", messages)
    arguments = ["--language", "de", "--roots", str(tmp_path), "--held-out", "0.1"]
    assert script.main([*arguments, "--out", str(tmp_path / "one.tsv")]) == 0
    assert script.main([*arguments, "--out", str(tmp_path / "two.tsv")]) == 0
    sides = rows(tmp_path / "one.tsv")
    assert sides == rows(tmp_path / "two.tsv")
    assert sorted(source for side in sides.values() for source, _ in side) == sorted(messages)
    held = {name: {source.lower().rstrip("…") for source, _ in side} for name, side in sides.items()}
    assert not held["train"] & held["valid"]
    assert not held["train"] & held["test"]
    assert not held["valid"] & held["test"]
    assert 60 < len(sides["test"]) < 150


def test_chinese(script: ModuleType, tmp_path: Path) -> None:
    catalogue(tmp_path / "zh_CN" / "LC_MESSAGES" / "a.mo", {"Open": "打开(_O)", "Close": "close it", "OK then": "好的"})
    assert script.main(["--language", "zh_CN", "--out", str(tmp_path / "p.tsv"), "--roots", str(tmp_path)]) == 0
    assert {pair for side in rows(tmp_path / "p.tsv").values() for pair in side} == {
        ("Open", "打开"),
        ("OK then", "好的"),
    }


def test_where_there_is_nothing_it_says_what_to_install(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--language", "de", "--out", tmp_path / "p.tsv", "--roots", tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(
        f"no catalogue of 'de' with messages lies below {tmp_path}\nhelp: on Debian and Ubuntu"
    )
    assert "apt install git iso-codes" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_pairs_train_a_model(script: ModuleType, tmp_path: Path) -> None:
    """What is written is what attncli reads."""
    from attncli.data.sources import open_splits

    from .conftest import make_run

    catalogue(tmp_path / "de" / "LC_MESSAGES" / "a.mo", {f'say "{word}"': f"sag „{word}“" for word in ("one", "two")})
    assert script.main(["--language", "de", "--out", str(tmp_path / "p.tsv"), "--roots", str(tmp_path)]) == 0
    path = max(tmp_path.glob("p.*.tsv"), key=lambda path: path.stat().st_size)
    train = open_splits(make_run("seq2seq", f"{{train: '{path}'}}")).train
    assert train is not None
    assert {(row["source"], row["target"]) for row in train} <= {(f'say "{w}"', f"sag „{w}“") for w in ("one", "two")}
