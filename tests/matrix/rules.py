"""The closed list of rules by which a pair of options may be refused: each is mathematical, or from a paper.

A refusal that no line explains makes the matrix fail: "not supported" is no rule.
"""

import re

RULES: dict[str, tuple[str, str]] = {
    "no-effect": (
        r"nothing reads this|no stack reads this|changes nothing|leaves no place for it|in a norm already|"
        r"the factor is 1 up to|every key would weigh the same|there is one layer|has no residual branch|"
        r"compares no keys|are all of them|no score would count|tokens away: it has|has no earlier values|"
        r"has no other attention|shows none of them",
        "a key that nothing reads would do nothing",
    ),
    "fields-of-a-kind": (
        r"is a key of kind|has no cell beside its state|has no sigmoid that could be steeper",
        "a field belongs to the kind whose equation has it",
    ),
    "pairs-of-features": (
        r"turns? pairs? of features|turn in pairs|d_rotary \d+ is wider|pair sines with cosines",
        "a rotation turns two features, within a head",
    ),
    "widths": (
        r"queries and keys of one width|a head is \d+ wide|mixes \d+ features|must give the \d+|do(es)? not divide",
        "without a map the states themselves are query, key, value or output; parts of a vector are alike",
    ),
    "pairs-of-maps": (r"follows one map of weights", "a pair of differential attention has two queries and two maps"),
    "grouping": (r"kv_heads must divide heads", "each kv head serves the same number of query heads"),
    "by-head": (r"by_head gives", "one value a head"),
    "length": (r"max_length \d+ is (less|more) than|max_length is less", "a table serves the positions that it has"),
    "tied-widths": (r"tie_embeddings", "one matrix has one shape"),
    "state-shape": (r"cannot be copied into", "a state is copied into one of its own shape"),
    "shares": (
        r"need not sum to one|shares of one|a part of$|that a sink could take|divided by their sum|shares out the keys",
        "coverage, copying, sinks and fading take parts of rows that sum to one (Tu 2016, See 2017, Xiao 2024)",
    ),
    "step-by-step": (
        r"reads the weights of (earlier steps|the last step)|attends while it writes|length, which is unknown",
        "weights of earlier steps exist only where steps follow each other (Chorowski 2015, Zhang 2018)",
    ),
    "joint-rows": (r"a later query takes its share", "a weight that later queries decide is no causal one"),
    "one-state": (
        r"one sum holds all keys|the decay counts back",
        "a sum that runs over the keys can forget none of them (Katharopoulos 2020, Sun 2023)",
    ),
    "one-axis": (
        r"share no positions|compares places of one text|is told of|stand at the places of the tokens|looks back from|"
        r"neighbours are of one text|mixes a row with those beside it|have no middle",
        "a distance needs one axis, and some kinds are defined for the past alone (Sun 2022, Golovneva 2024, Lin 2025)",
    ),
    "shared-keys": (
        r"are of another|the values are \d+ heads|makes something of its own of each key|values are the keys|"
        r"two keys and one value|reads each value by itself|values of the first attention are its keys",
        "keys and values that are shared have one shape and one reader's form (Brandon 2024, Zhou 2024, DeepSeek 2026)",
    ),
    "overflow": (r"would overflow", "a number beyond float32 is none"),
    "mixed-masks": (r"after they are mixed, a head has weights where", "heads that mix see what any of them sees"),
    "context-gate": (r"without cross_attention there is no context", "a context gate weighs a context (Tu 2017)"),
    "marks": (
        r"needed no more|what is marked is kept beside the keys",
        "what earlier queries mark is told to later ones of the same text (Leviathan 2024)",
    ),
    "signs": (
        r"lowers the scores of far keys|a score far below 0 weighs much",
        "sizes of scores make signed weights, so that a decay would favour far keys (Lv 2024)",
    ),
    "looks-back": (r"looks back from the query", "decays and counts run from the query to earlier keys"),
    "of-the-product": (
        r"grow with (its|the) query and key as their maps|"
        r"defined for the dot product|shares one scale|would compare both|no temperature of the logits|see how long",
        "what is added to a key before the product has no meaning under another score",
    ),
    "unknown-length": (
        r"which no writer knows|turns early tokens by how long",
        "text read at once must equal text written token by token",
    ),
    "original-length": (r"no text is longer than original_length", "a stretch beyond a length that no text has"),
    "stands-nowhere": (
        r"stands at none|is predicted of one|asks each token as the keys|bends each key",
        "a position needs a place",
    ),
    "deepnorm": (r"deepnorm is norm\(alpha x \+ f\)", "Wang et al. 2022 define it for post-norm"),
    "one-norm": (r"side by side are branches", "branches side by side read one normed input (Wang 2021)"),
    "one-text-on": (
        r"reads no text that goes on in the next batch",
        "a memory of the last segment is of the same text, which goes on (Dai 2019)",
    ),
    "first-token": (r"has seen the first token only", "a pooled causal state must have seen the text"),
}
"""Name, the words by which a refusal is known, the reason."""


def rule_of(fault: str) -> str | None:
    """The name of the rule that a fault cites, if it is one of the list."""
    return next((name for name, (words, _) in RULES.items() if re.search(words, fault)), None)
