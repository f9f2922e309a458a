"""The files of a run folder that turn text into ids: written whole, fsynced, and only read afterwards."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from attncli.data.vocabulary import Vocabulary
from attncli.errors import RunError

TRAIN = "train the run again; its tokenizer is written before the first step"


def save_codec(folder: Path, vocabularies: Mapping[str, Vocabulary], labels: Sequence[str] | None) -> None:
    """Write each vocabulary under its file name, and the labels where the task has any."""
    for name, vocabulary in vocabularies.items():
        _write(folder / name, vocabulary.tokenizer.to_str(pretty=True))
    if labels is not None:
        _write(folder / "labels.json", json.dumps({"labels": list(labels)}, ensure_ascii=False, indent=1))
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(path: Path, text: str) -> None:
    """A file is there whole or not at all, whenever the machine stops."""
    torn = path.with_name(f".{path.name}.{os.getpid()}")
    with torn.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    torn.replace(path)


def load_vocabulary(path: Path) -> Vocabulary:
    """The vocabulary in a file of a run. Raises RunError."""
    from tokenizers import Tokenizer

    text = _read(path)
    try:
        return Vocabulary(Tokenizer.from_str(text))
    except Exception as error:  # tokenizers raises a bare Exception
        raise RunError(f"{path}: this is no tokenizer: {error}", help=TRAIN) from None


def load_labels(path: Path) -> tuple[str, ...]:
    """The labels in a file of a run. Raises RunError."""
    try:
        return tuple(json.loads(_read(path))["labels"])
    except (ValueError, KeyError, TypeError):
        raise RunError(f"{path}: this is no list of labels", help=TRAIN) from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RunError(f"{path}: there is no such file in the run", help=TRAIN) from None
    except UnicodeDecodeError:
        raise RunError(f"{path}: this is not text", help=TRAIN) from None
