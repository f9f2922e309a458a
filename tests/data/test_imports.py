"""What importing the data package costs: the readers, Babel and the tokenizers are imported where they are used."""

import subprocess
import sys


def loaded(*modules: str) -> set[str]:
    code = f"import sys, {', '.join(modules)}; print(*(name for name in sys.modules if '.' not in name))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_nothing_heavy_comes_along() -> None:
    heavy = {"datasets", "pandas", "pyarrow", "babel", "tokenizers", "huggingface_hub"}
    names = [f"attncli.data.{name}" for name in ("codec", "batches", "sources", "generators", "tokenizers")]
    assert not heavy & loaded(*names)


def test_rows_and_tokenizers_need_no_torch() -> None:
    names = [f"attncli.data.{name}" for name in ("sources", "generators", "tokenizers", "vocabulary", "labels")]
    assert "torch" not in loaded(*names)
