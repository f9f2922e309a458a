"""Specs and files for the tests of data. The cache folder is the tests' own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from attncli.spec.load import load_text
from attncli.spec.run import Run

BODY = {
    "seq2seq": "model: {d_model: 64, max_length: 40, encoder: {layers: 1}, decoder: {layers: 1}}",
    "language_model": "model: {decoder: {d_model: 64, max_length: 16, layers: 1}}",
    "masked_language_model": "model: {encoder: {d_model: 64, max_length: 16, layers: 1}}",
    "classification": "model: {encoder: {d_model: 64, max_length: 40, layers: 1}}",
    "tagging": "model: {encoder: {d_model: 64, max_length: 40, layers: 1}}",
}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of these tests lands in the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("ATTNCLI_CACHE", str(folder))
    return folder


def make_run(task: str, data: str, *, tokenizer: str = "characters", overrides: tuple[str, ...] = ()) -> Run:
    """The spec of a small model with this task and section `data` (in flow style)."""
    text = f"name: t\ntask: {task}\n{BODY[task]}\ntokenizer: {tokenizer}\ndata: {data}\n"
    return load_text(text, overrides).run


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Write a file and return its path."""

    def written(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written
