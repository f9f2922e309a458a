"""Heads that were made to play a role are found in it, and others are not."""

import numpy as np
import pytest

from attncli.maps.record import AttentionMap, Maps, Sample
from attncli.maps.roles import Role, leading, roles, separates
from tests.maps.made import GOOD

TOKENS = ("[BOS]", "a", "b", "c", ".", "a", "b", "d", "c", "a", "[EOS]")
SOURCE = ("x", "y", "z", "u", "v", ".")


def planted(name: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """(q k) of a head that plays a role with 90 % of its mass, causally where that has a meaning."""
    weights = np.zeros((size, size))
    for q in range(size):
        key = {
            "previous": q - 1,
            "next": q + 1,
            "self": q,
            "first": 0,
            "duplicate": next((k for k in range(size) if k != q and TOKENS[k] == TOKENS[q]), q),
            "induction": next((k for k in range(1, size) if TOKENS[k - 1] == TOKENS[q] and k - 1 != q), q),
            "separator": 4,
        }[name]
        weights[q, min(max(key, 0), size - 1)] = 0.9
        weights[q] += 0.1 * rng.dirichlet(np.ones(size))
    return weights


def sample(heads: list[np.ndarray], kind: str = "self", writes: tuple[str, ...] | None = None, turn: int = 0) -> Sample:
    weights = np.stack(heads).astype(np.float32)
    tokens = TOKENS[turn:] + TOKENS[:turn]
    keys = tokens if kind == "self" else SOURCE
    one = AttentionMap("encoder.0.attention", kind, tokens[: weights.shape[1]], keys[: weights.shape[2]], weights,
                       GOOD, "fused", "float32", writes)  # fmt: skip
    return Sample({}, (one,), "forced")


NAMES = ("previous", "next", "self", "duplicate", "induction", "first", "separator")


def test_planted_heads_are_named() -> None:
    rng = np.random.default_rng(0)
    maps = Maps(tuple(sample([planted(name, len(TOKENS), rng) for name in NAMES]) for _ in range(4)))
    found = leading(roles(maps))
    assert [(role.head, role.name) for role in found] == list(enumerate(NAMES))
    assert all(role.samples == 4 and role.low <= role.score <= role.high for role in found)
    assert all(role.score > 0.85 for role in found)


def test_heads_that_look_anywhere_have_no_role_but_chance() -> None:
    rng = np.random.default_rng(1)
    maps = Maps(tuple(sample([rng.dirichlet(np.ones(11), 11) for _ in range(3)]) for _ in range(6)))
    found = roles(maps)
    assert [role.name for role in leading(found) if role.name != "positional"] == []
    assert max(abs(role.score - role.chance) for role in found if role.name != "positional") < 0.15


def scores(found: list[Role], head: int) -> dict[str, float]:
    return {role.name: role.score for role in found if role.head == head}


def test_an_alignment_is_monotonic_and_its_mirror_is_not() -> None:
    diagonal, uniform = np.eye(6), np.full((6, 6), 1 / 6)
    maps = Maps((sample([diagonal, diagonal[::-1], uniform], "cross", writes=SOURCE),))
    found = roles(maps)
    assert scores(found, 0)["monotonic"] == pytest.approx(1)
    assert scores(found, 1)["monotonic"] == pytest.approx(-1)
    assert scores(found, 2)["monotonic"] == pytest.approx(0)
    assert scores(found, 0)["copy"] == pytest.approx(1)
    assert leading(found)[0].name == "copy"


def test_what_does_not_hang_on_the_text_is_positional() -> None:
    rng = np.random.default_rng(2)
    fixed = rng.dirichlet(np.full(11, 0.2), 11)
    maps = Maps(tuple(sample([fixed, rng.dirichlet(np.full(11, 0.05), 11)], turn=turn) for turn in range(5)))
    found = {role.head: role for role in roles(maps) if role.name == "positional"}
    assert found[0].score == pytest.approx(1)
    assert found[0].held
    assert not found[1].held


@pytest.mark.parametrize(("token", "expected"), [(".", True), ("[BOS]", True), ("▁", True), ("，", True), ("▁a", False),
                                                 ("好", False), ("[x", False), ("[]", True), ("1", False)])  # fmt: skip
def test_separators(token: str, expected: bool) -> None:
    assert separates(token) is expected
