"""Data sets of the hub, through a stand-in for the library's one call: the tests have no network."""

import os
from pathlib import Path
from typing import Any

import datasets
import pytest

from attncli.data.arrow import quiet_datasets
from attncli.data.sources import open_splits
from attncli.errors import DataError
from attncli.spec.run import Run

from .conftest import make_run

SET = datasets.Dataset.from_dict(
    {"text": ["good film", "bad film", None], "label": [1, 0, 1], "tags": [[0, 1], [1, 1], [0]]},
    features=datasets.Features(
        text=datasets.Value("string"), label=datasets.ClassLabel(names=["neg", "pos"]),
        tags=datasets.Sequence(datasets.ClassLabel(names=["O", "B"])),
    ),
)  # fmt: skip
CALLS: list[tuple[Any, ...]] = []


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, subset: str | None, *, split: str, cache_dir: str) -> datasets.Dataset:
        CALLS.append((name, subset, split, cache_dir, datasets.config.HF_HUB_OFFLINE))
        if split not in ("train", "test"):
            raise ValueError(f"Unknown split \"{split}\". Should be one of ['train', 'test'].\nmore")
        return SET if split == "train" else SET.select([0, 1])

    monkeypatch.setattr(datasets, "load_dataset", load)


def hub(task: str, more: str) -> Run:
    return make_run(task, f"{{kind: hub, name: films, subset: small{more}}}")


def test_labels_get_their_names(cache: Path) -> None:
    test = open_splits(hub("classification", ", valid: none"), names=("test",)).test
    assert test is not None
    assert list(test) == [{"text": "good film", "label": "pos"}, {"text": "bad film", "label": "neg"}]
    assert CALLS[-1][:4] == ("films", "small", "test", str(cache / "datasets"))
    tags = open_splits(hub("tagging", ", valid: none"), names=("test",)).test
    assert tags is not None
    assert [row["tags"] for row in tags] == ["O B", "B B"]


def test_refusals() -> None:
    with pytest.raises(DataError) as caught:
        open_splits(hub("classification", ""), names=("valid",))
    assert str(caught.value).startswith(
        "data.valid: 'validation' of the data set 'films' cannot be opened: Unknown split \"validation\". Should be one"
    )
    assert "`none` leaves a split out" in str(caught.value)
    with pytest.raises(DataError, match=r"^films train: row 3: a field is missing"):
        open_splits(hub("classification", ""), names=("train",))
    with pytest.raises(DataError, match=r"^films test: there is no column 'txt'; did you mean 'text'\?"):
        open_splits(hub("classification", ", fields: {text: {column: txt}}"), names=("test",))


def test_skipping_and_shares() -> None:
    splits = open_splits(hub("classification", ", valid: none, test: none, on_bad_row: skip"))
    assert splits.train is not None
    assert (len(splits.train), splits.train.skipped, splits.test) == (2, 1, None)
    with pytest.raises(DataError, match=r"data\.valid: no row of 2 is left for valid"):
        open_splits(hub("classification", ", valid: {share: 0.001}, test: none, on_bad_row: skip"))


def test_files_are_read_offline_and_the_library_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    with quiet_datasets() as library:
        assert library.config.HF_HUB_OFFLINE
        assert os.environ["HF_DATASETS_OFFLINE"] == "1"
        assert not library.is_progress_bar_enabled()
    assert os.environ["HF_HUB_OFFLINE"] == "0"
    assert "HF_DATASETS_OFFLINE" not in os.environ
    assert not datasets.config.HF_HUB_OFFLINE
    assert datasets.is_progress_bar_enabled()
    with quiet_datasets(online=True) as library:
        assert not library.config.HF_HUB_OFFLINE
