"""Tokens and texts as something that can be looked at: nothing invisible, nothing that turns its neighbours around.

Control characters, bidirectional marks, other format characters, lone surrogates and private characters become their
number, ⟨U+202E⟩. A joiner between two characters stays, since emoji and Indic letters are made with it.
"""

import unicodedata

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_SIGNS = {"\n": "⏎", "\t": "⇥", "\r": "␍"}
_JOINERS = "‌‍"
MARK = "␣"
"""Stands for a space at the edge of a token."""


def visible(text: str) -> str:
    """The text with every character that has no picture of its own written out."""
    last = len(text) - 1
    return "".join(
        character if character in _JOINERS and 0 < place < last else _shown(character)
        for place, character in enumerate(text)
    )


def _shown(character: str) -> str:
    if character in _SIGNS:
        return _SIGNS[character]
    category = unicodedata.category(character)
    if category in _HIDDEN or (category == "Zs" and character not in " 　"):
        return f"⟨U+{ord(character):04X}⟩"
    return character


def label(token: str) -> str:
    """A token as it stands on an axis: spaces at its edges marked, the empty token named."""
    if not token:
        return "⟨empty⟩"
    core = token.strip(" 　")
    before = len(token) - len(token.lstrip(" 　"))
    shown = visible(core)
    if core and unicodedata.combining(core[0]):
        shown = "◌" + shown
    return MARK * before + shown + MARK * (len(token) - before - len(core))


def shorten(text: str, most: int) -> str:
    """At most `most` characters, the cut marked."""
    return text if len(text) <= most else text[: most - 1] + "…"
