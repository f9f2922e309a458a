"""What every test leaves as it found it."""

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def small_numbers() -> Iterator[None]:
    """Commands flush numbers near zero, for speed, in the process that they run in; the next test has them again."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)
