"""What a head does, by name, with how sure that is: the share of its mass that goes where the role says.

    previous, next, self    the key one place before, one behind, at the query's own place
    local                   at most two places away
    first                   the first key, of queries behind it
    separator               keys that are punctuation or signs of the model ([BOS], [EOS], …)
    duplicate               other places with the query's own token
    induction               the place behind an earlier occurrence of the query's token
    copy                    (between two texts) keys that are the token written
    monotonic               (between two texts) 2 P(i <= j) - 1 of keys i, j drawn by a row and a later one, ties half
    positional              what rows of two texts have in common, sum_k min(w, w'), at places that hold unlike tokens

With w the shares of a row, its score is the sum of w over the keys of the role; rows for which there is no such key do
not count. `chance` is what a head gets that looks at all visible keys alike; of positional, what rows of unlike places
have in common. A role is held where the lower end of the interval is above chance and above HELD (positional: SAME).
The interval is 1.96 standard errors about the mean: of the means of the samples where there are several, else of the
rows, which hang together, so that it is too narrow then.

Sources: previous, next, first, separator as Clark et al. 2019, arXiv:1906.04341, section 3; duplicate and induction as
Olsson et al. 2022, arXiv:2209.11895, section 2; positional as Voita et al. 2019, arXiv:1905.09418, section 5.
"""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from attncli.maps.record import AttentionMap, Maps
from attncli.maps.summary import Numbers

HELD = 0.4
"""Least share of the mass that a role must get for sure."""
SAME = 0.8
"""Least share that rows of two texts must have in common."""
NEAR = 2
"""Places away that are local."""
TEXTS = 16
"""Texts of which every two are compared."""
SELF = ("previous", "next", "self", "duplicate", "induction", "first", "separator", "local", "positional")
CROSS = ("copy", "monotonic", "first", "separator", "positional")
"""In the order of precedence: a head is named after the first role that it holds."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Role:
    """How well one head fits one role."""

    address: str
    head: int
    name: str
    score: float
    low: float
    high: float
    chance: float
    samples: int
    rows: int

    @property
    def held(self) -> bool:
        """Whether the head has this role for sure."""
        return self.low > max(SAME if self.name == "positional" else HELD, self.chance)


def separates(token: str) -> bool:
    """Whether a token is punctuation, blank, or a sign of the model."""
    bare = token.strip("▁Ġ ")
    if bare.startswith("[") and bare.endswith("]") and len(bare) > 2:
        return True
    return all(unicodedata.category(character)[0] in "PZSC" for character in bare)


def roles(maps: Maps) -> list[Role]:
    """Every role of every head whose weights were kept, over all samples."""
    by_address: dict[str, list[AttentionMap]] = {}
    for _, _, attention in maps.items():
        if attention.weights is not None:
            by_address.setdefault(attention.address, []).append(attention)
    return [role for attentions in by_address.values() for role in _of_attention(attentions)]


def leading(found: Sequence[Role]) -> list[Role]:
    """For each head the first role that it holds, if it holds one."""
    named: dict[tuple[str, int], Role] = {}
    for role in found:
        if role.held:
            named.setdefault((role.address, role.head), role)
    return list(named.values())


def _of_attention(attentions: list[AttentionMap]) -> Iterator[Role]:
    first = attentions[0]
    names = SELF if first.kind == "self" else CROSS
    for name in names:
        parts = _positional(attentions) if name == "positional" else [_of_role(one, name) for one in attentions]
        parts = [part for part in parts if part[0].shape[1]]
        if not parts:
            continue
        for head in range(first.heads):
            of_head = [(scores[head], chance if chance.ndim == 1 else chance[head]) for scores, chance in parts]
            yield _role(first.address, head, name, of_head)


def _role(address: str, head: int, name: str, parts: list[tuple[Numbers, Numbers]]) -> Role:
    units = np.array([scores.mean() for scores, _ in parts]) if len(parts) > 1 else parts[0][0]
    score = float(units.mean())
    error = 1.96 * float(units.std(ddof=1)) / len(units) ** 0.5 if len(units) > 1 else 1.0
    chance = float(np.mean([each.mean() for _, each in parts]))
    rows = sum(len(scores) for scores, _ in parts)
    return Role(address, head, name, score, max(score - error, -1.0), min(score + error, 1.0), chance, len(parts), rows)


def shares(attention: AttentionMap) -> tuple[NDArray[np.float64], Mask]:
    """|weights| over their row's sum, (head query key), without learned keys; and where some head sees something."""
    weights = np.abs(attention.whole()[:, :, attention.ahead :].astype(np.float64))
    total = weights.sum(-1, keepdims=True)
    visible: Mask = weights.max(0) > 0
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0), visible


def _of_role(attention: AttentionMap, name: str) -> tuple[Numbers, Numbers]:
    """(head row) scores of the rows that have a key of the role, and what chance gives them."""
    weights, visible = shares(attention)
    if name == "monotonic":
        return _monotonic(weights), np.zeros(1)
    target = _target(attention, name) & visible
    there = target.any(1)
    scores = (weights * target).sum(-1)[:, there]
    return scores, target[there].sum(1) / np.maximum(visible[there].sum(1), 1)


def _target(attention: AttentionMap, name: str) -> Mask:
    """(query key): the keys of a role."""
    keys, queries, written = _numbered(attention.keys[attention.ahead :], attention.queries, attention.rows)
    q, k = np.arange(len(queries))[:, None], np.arange(len(keys))[None, :]
    away: NDArray[np.int64] = k - q
    signs = np.array([separates(key) for key in attention.keys[attention.ahead :]], dtype=np.bool_)
    before = np.concatenate((np.full(1, -1), keys[:-1]))
    targets: dict[str, Callable[[], Mask]] = {
        "previous": lambda: away == -1,
        "next": lambda: away == 1,
        "self": lambda: away == 0,
        "local": lambda: np.abs(away) <= NEAR,
        "first": lambda: (k == 0) & (q > 0),
        "separator": lambda: np.tile(signs, (len(queries), 1)),
        "duplicate": lambda: (queries[:, None] == keys[None, :]) & (away != 0),
        "induction": lambda: (queries[:, None] == before[None, :]) & (away != 1),
        "copy": lambda: written[:, None] == keys[None, :],
    }
    return targets[name]()


def _numbered(*texts: Sequence[str]) -> list[NDArray[np.int64]]:
    """Tokens as numbers, equal where they are."""
    known: dict[str, int] = {}
    return [np.array([known.setdefault(token, len(known)) for token in text], dtype=np.int64) for text in texts]


def _monotonic(weights: NDArray[np.float64]) -> Numbers:
    """(head row): for each row but the first, 2 P(i <= j) - 1 over all rows before it."""
    up_to = weights.cumsum(-1) - weights / 2  # a key of the same place counts half
    before = np.cumsum(up_to, 1)[:, :-1] / np.arange(1, weights.shape[1])[None, :, None]
    sees = weights[:, 1:].sum(-1)
    scores: Numbers = 2 * (before * weights[:, 1:]).sum(-1) - sees
    return scores


def _positional(attentions: list[AttentionMap]) -> list[tuple[Numbers, Numbers]]:
    """What rows of two texts have in common at places that hold unlike tokens; and what rows of unlike places have."""
    found = []
    known = [(each, shares(each)[0]) for each in attentions[:TEXTS]]
    for (first, one), (second, other) in combinations(known, 2):
        rows, keys = (min(a, b) for a, b in zip(one.shape[1:], other.shape[1:], strict=True))
        unlike = [at for at in range(rows) if first.queries[at] != second.queries[at]]
        elsewhere = [(at + max(1, rows // 2)) % rows for at in unlike]
        one, other = one[:, :, :keys], other[:, :, :keys]
        common = np.minimum(one[:, unlike], other[:, unlike]).sum(-1)
        found.append((common, np.minimum(one[:, unlike], other[:, elsewhere]).sum(-1)))
    return found
