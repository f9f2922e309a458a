"""The page: one HTML file that needs nothing but itself.

What a token holds is only ever text. It is laid into a script element that is data, not code, with every character
that could end that element written as its number, and it enters the page through textContent. A content-security
policy admits this page's own script and style by their hashes and nothing else: no network, no other script, and
(where the browser knows trusted types) no text made into markup.

How weights are written, and within which budget: attncli/maps/page/packing.py.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from attncli.maps.labels import visible
from attncli.maps.page.further import Further
from attncli.maps.page.packing import BUDGET, payload
from attncli.maps.record import Maps
from attncli.maps.roles import Role

SCRIPTS = (
    "data.js", "inflate.js", "colours.js", "state.js", "planes.js", "grid.js", "heat.js", "names.js", "move.js",
    "lines.js", "text.js", "pairs.js", "steps.js", "compare.js", "table.js", "sheet.js", "pictures.js", "frame.js",
)  # fmt: skip
"""In this order, in one scope; then those of what else the page has, and page.js, which begins."""


def assemble(
    maps: Maps,
    budget: int = BUDGET,
    *,
    found: Sequence[Role] | None = None,
    beside: Maps | None = None,
    matches: Sequence[dict[str, Any]] = (),
    further: Further | None = None,
) -> str:
    """The whole page as text, of at most `budget` bytes where overviews fit into it. `found`: roles that are known
    already; `beside`: maps of another run on the same texts, to compare with; `matches`: which heads
    of both are alike; `further`: training, importance, other maps, assertions."""
    data = payload(maps, budget, found=found, beside=beside, matches=matches, further=further)
    style, script = _source("page.css"), _script([] if further is None else further.scripts())
    parts = {
        "policy": _policy(style, script),
        "title": html.escape(f"Attention · {visible(maps.about.get('run', 'attncli'))}"),
        "style": style,
        "script": script,
        "data": escape(json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))),
    }
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _source("page.html"))
    return page.encode("utf-8", "backslashreplace").decode()


def escape(text: str) -> str:
    """JSON text that no HTML reader takes for anything but text: the same document, other spelling."""
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _script(more: Sequence[str]) -> str:
    """All scripts in one strict scope, without the indents and the lines of comment that are for who works on them."""
    whole = "".join(_source(name) for name in (*SCRIPTS, *more, "page.js"))
    return '(() => {\n"use strict";\n' + re.sub(r"(?m)^\s*(?:(?://|/\*\*|\*).*\n)?", "", whole) + "})();\n"


def _policy(style: str, script: str) -> str:
    def hash_of(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    return (
        f"default-src 'none'; script-src {hash_of(script)}; style-src {hash_of(style)}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _source(name: str) -> str:
    return (files(__name__) / name).read_text("utf-8")
