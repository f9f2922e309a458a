"""Files that survive a loss of power: written aside, fsynced, renamed, and their folder fsynced."""

import os
from pathlib import Path


def write_durably(file: Path, content: bytes) -> None:
    """Replace `file` by this content; a crash leaves the old or the new one whole."""
    aside = file.with_name(f".{file.name}.partial")
    try:
        with aside.open("wb") as writing:
            writing.write(content)
            writing.flush()
            os.fsync(writing.fileno())
        aside.replace(file)
        sync_folder(file.parent)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def point(link: Path, target: Path) -> None:
    """Make the symbolic link `link` lead to `target`, at once for every reader."""
    aside = link.with_name(f".{link.name}.partial")
    aside.unlink(missing_ok=True)
    aside.symlink_to(os.path.relpath(target, link.parent))
    aside.replace(link)
    sync_folder(link.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
