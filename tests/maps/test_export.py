"""Folders: complete, described, and never written over by surprise."""

import errno
import hashlib
import json
from pathlib import Path

import pytest

from attncli.errors import CheckError, InputError
from attncli.maps.export import FORMATS, MANIFEST, certify, check_folder, export, names
from attncli.maps.formats import FORMAT
from tests.maps.made import BAD, attention, maps


def test_every_format_is_written_and_the_manifest_has_its_checksum(tmp_path: Path) -> None:
    whole = maps(attention(), attention(address="encoder.1.attention"))
    written = export(whole, tmp_path / "out", FORMATS)
    assert sorted(path.name for path in written) == sorted(path.name for path in (tmp_path / "out").iterdir())
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert manifest["certified"] is True
    assert manifest["row_sum_error"] == 3e-7
    assert manifest["output_error"] == 5e-7
    files = {entry["name"]: entry for entry in manifest["files"]}
    assert set(files) == {path.name for path in written} - {MANIFEST}
    for name, entry in files.items():
        content = (tmp_path / "out" / name).read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_pictures_have_names_that_any_file_system_takes() -> None:
    odd = maps(attention(address="a/b:c"), attention(address="a?b*c"))
    assert names(odd, ["png"]) == ["0-a-b-c.png", "0-a-b-c-1.png", MANIFEST]


def test_an_earlier_export_is_kept_unless_forced_and_then_replaced_whole(tmp_path: Path) -> None:
    export(maps(), tmp_path, ["json", "csv"])
    with pytest.raises(InputError, match=r"there are maps in this folder already\nhelp: add --force"):
        check_folder(tmp_path, force=False)
    with pytest.raises(InputError, match="there are maps in this folder already"):
        export(maps(), tmp_path, ["json"])
    export(maps(), tmp_path, ["json"], force=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["attention.json", MANIFEST]


def test_after_a_full_disk_the_same_command_can_be_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if ".csv" in path.name:
            write(path, content[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            export(maps(), tmp_path, ["json", "csv"])
    assert list(tmp_path.iterdir()) == []
    export(maps(), tmp_path, ["json", "csv"])


def test_force_leaves_what_others_wrote_and_what_others_changed(tmp_path: Path) -> None:
    export(maps(), tmp_path, ["json", "csv"])
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "attention.csv").write_text("changed by hand")
    with pytest.raises(
        InputError, match=r"attention\.csv: this file exists, and no unchanged export of attncli wrote it"
    ):
        export(maps(), tmp_path, ["csv"], force=True)
    export(maps(), tmp_path, ["json"], force=True)
    assert (tmp_path / "attention.csv").read_text() == "changed by hand"
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_manifest_cannot_name_files_outside_its_folder(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    digest = hashlib.sha256(b"mine").hexdigest()
    files = [{"name": name, "sha256": digest} for name in ("../victim", str(victim), "..", MANIFEST)]
    (out / MANIFEST).write_text(json.dumps({"format": FORMAT, "files": files}))
    export(maps(), out, ["json"], force=True)
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("content", ["", "[]", "{", '{"files": [{"name": 1}]}', '{"format": "x", "files": []}'])
def test_a_broken_or_foreign_manifest_owns_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / MANIFEST).write_text(content)
    (tmp_path / "attention.json").write_text("mine")
    with pytest.raises(InputError, match=r"attention\.json: this file exists"):
        export(maps(), tmp_path, ["json"], force=True)
    assert (tmp_path / "attention.json").read_text() == "mine"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match=r"out: this is a file; maps are written into a folder\nhelp: name another"):
        check_folder(tmp_path / "out", force=True)


def test_maps_that_fail_are_written_with_their_fault_and_refused(tmp_path: Path) -> None:
    wrong = maps(attention(certificate=BAD))
    export(wrong, tmp_path, ["json", "html", "svg"])
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    assert manifest["certified"] is False
    assert "NOT CERTIFIED: max|map V - output| is 2.5e-01" in (tmp_path / "0-encoder.0.attention.svg").read_text()
    assert '"certified":false' in (tmp_path / "attention.html").read_text()
    with pytest.raises(CheckError) as caught:
        certify(wrong)
    assert str(caught.value).startswith(
        "the maps are not certified: they are not what the kernel computed\n"
        "  sample 0: encoder.0.attention: max|map V - output| is 2.5e-01, above 1.0e-05 (head 1, query 2 'b')\nhelp: "
    )
    assert caught.value.exit_code == 3


def test_good_maps_pass() -> None:
    assert certify(maps()) is None
