"""The closed list of rules by which a pair of options may be refused: each is mathematical, or from a paper.

A refusal that no line explains makes the matrix fail: "not supported" is no rule.
"""

import re

RULES: dict[str, tuple[str, str]] = {
    "no-effect": (
        r"nothing reads this|no stack reads this|changes nothing",
        "a key that nothing reads would do nothing",
    ),
    "rotary-even": (
        r"features turn in pairs|d_rotary \d+ is wider than a head",
        "features turn in pairs, within a head",
    ),
    "widths": (
        r"queries and keys of one width|a head is \d+ wide|mixes \d+ features|must give the \d+|do not divide the",
        "without a map the states themselves are query, key, value or output, as wide as they are",
    ),
    "grouping": (r"kv_heads must divide heads|leaves \d+", "each kv head serves the same number of query heads"),
    "by-head": (r"by_head", "one value a head"),
    "length": (r"max_length \d+ is less than|has no row", "a table serves only the positions that it has"),
    "queries": (
        r"a later query takes its share|no other to compete with",
        "queries that compete for the keys must all be there: Locatello et al. 2020",
    ),
    "final-norm": (r"final_norm", "a post-norm stack ends in a norm already"),
    "tied-widths": (r"tie_embeddings|tied", "one matrix has one shape"),
}
"""Name, the words by which a refusal is known, the reason."""


def rule_of(fault: str) -> str | None:
    """The name of the rule that a fault cites, if it is one of the list."""
    return next((name for name, (words, _) in RULES.items() if re.search(words, fault)), None)
