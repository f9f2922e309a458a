"""No key of the language is without effect: each is changed where it may have a meaning, and something else changes.

The keys are found by machine. Those of the body and the head are written at other values into specs in which their
class stands; parameters, outputs, gradients or kernels must differ beyond rounding. What no built model shows (data,
training, writing, and what needs more than one key beside it) is named with the test that sees it, so that a new key
without a case fails here.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from attncli.nn import attention
from attncli.spec.attention import MultiHead
from attncli.spec.base import Spec
from attncli.spec.shapes import keys_of, records
from attncli.training import loop
from tests.effects import trials
from tests.effects.elsewhere import SEEN
from tests.effects.places import places
from tests.effects.runs import CASES, SAMPLE, Stage, differ, outcome, written
from tests.effects.trials import effect

TESTS = Path(__file__).parents[1]


def owner(record: type[Spec], key: str) -> type[Spec]:
    """The class that states a key, which others inherit."""
    return next((each for each in reversed(record.__mro__) if key in getattr(each, "__annotations__", {})), record)


def keys() -> dict[str, tuple[type[Spec], str]]:
    """Every key of every class, inherited ones once, as `Class.key`."""
    found: dict[tuple[type[Spec], str], type[Spec]] = {}
    for record in records():
        for key in keys_of(record):
            if key != "kind":
                found.setdefault((owner(record, key), key), record)
    return {f"{record.__module__.removeprefix('attncli.spec.')}.{record.__name__}.{key}": (record, key)
            for (_, key), record in found.items()}  # fmt: skip


KEYS = keys()
BUILT = {name: each for name, each in KEYS.items() if each[0] in places() and name not in {**SEEN, **CASES}
         and name.split(".")[0] != "run"}  # fmt: skip


@pytest.mark.parametrize("name", BUILT)
def test_a_key_changes_what_is_built(name: str) -> None:
    found, refusals = effect(*BUILT[name])
    assert found, (
        f"nothing was seen to change; refused: {refusals[:1]}. A case of tests/effects/elsewhere.py is missing"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of runs whose loss is not drawn, which would take half of their time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "draw_loss", lambda *given, **named: None)
        yield tmp_path_factory.mktemp("runs")


@pytest.mark.parametrize("name", CASES)
def test_a_key_changes_what_is_read_trained_or_written(name: str, folder: Path) -> None:
    case = CASES[name]
    instead = (case.instead,) if case.instead else ()
    one = outcome(case.base, case.stage, (*case.beside, *instead), folder)
    other = outcome(case.base, case.stage, (*case.beside, case.change), folder)
    assert "refused" not in one or name in REFUSING, one
    assert "refused" not in other or name in REFUSED, other
    assert differ(one, other), "nothing was seen to change"


@pytest.mark.parametrize(("base", "stage"), sorted({(case.base, case.stage) for case in CASES.values()}, key=str))
def test_what_is_done_twice_is_the_same(base: str, stage: Stage, folder: Path) -> None:
    """Else a key that nothing reads would seem to change something."""
    draws = SAMPLE if stage is written and base in ("pairs", "texts") else ()
    one, other = (outcome.__wrapped__(base, stage, draws, folder) for _ in range(2))
    assert "refused" not in one
    assert not differ(one, other)


REFUSING = {"data.Files.on_bad_row"}
"""Keys whose one value is to refuse what the other lets pass."""
REFUSED = {"run.Run.language", "training.EarlyStopping.metric", "tuning.Start.from"}
"""Keys of which a value that has no meaning is refused."""


def test_what_is_seen_elsewhere_is_a_key_and_a_test() -> None:
    assert set(SEEN) <= set(KEYS), "keys that there are no more"
    for name, where in SEEN.items():
        file, _, test = where.partition("::")
        text = (TESTS / file).read_text(encoding="utf-8")
        assert f"def {test}(" in text, f"{name}: there is no {where}"
    assert set(KEYS) == set(BUILT) | set(SEEN) | set(CASES), "every key has a case"
    assert not set(SEEN) & set(CASES), "what has a case of its own is named nowhere else"


def test_a_key_that_nothing_reads_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert effect(MultiHead, "gate")[0] == "parameters"
    trials._seen.cache_clear()
    monkeypatch.setattr(attention, "build_gate", lambda *given, **named: None)
    assert effect(MultiHead, "gate")[0] in ("", "kernels"), "nothing is computed otherwise"
    trials._seen.cache_clear()
