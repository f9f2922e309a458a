"""The page: one HTML file that needs nothing but itself.

What a token holds is only ever text. It is laid into a script element that is data, not code, with every character
that could end that element written as its number, and it enters the page through textContent. A content-security
policy admits this page's own script and style by their hashes and nothing else: no network, no other script, and
(where the browser knows trusted types) no text made into markup.

Weights are half floats where all of them fit into `BUDGET` bytes, else bytes on a scale of each map's largest weight.
"""

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from importlib.resources import files
from typing import Any, Literal

import numpy as np

from attncli.maps.formats import describe
from attncli.maps.labels import label, visible
from attncli.maps.record import Maps, Weights

SCRIPTS = (
    "data.js", "colours.js", "state.js", "grid.js", "heat.js", "move.js", "lines.js", "text.js", "frame.js",
    "page.js",
)  # fmt: skip
"""In this order, in one scope."""
BUDGET = 12_000_000
"""Bytes of weights above which a byte has to do for each."""
LEVELS = 254
"""Steps of a byte above its smallest; 0 is kept for a weight that is exactly 0."""

Encoding = Literal["float16", "uint8"]


def assemble(maps: Maps) -> str:
    """The whole page as text."""
    style, script = _source("page.css"), _script()
    parts = {
        "policy": _policy(style, script),
        "title": html.escape(f"Attention · {visible(maps.about.get('run', 'attncli'))}"),
        "style": style,
        "script": script,
        "data": escape(json.dumps(payload(maps), ensure_ascii=False, allow_nan=False, separators=(",", ":"))),
    }
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _source("page.html"))
    return page.encode("utf-8", "backslashreplace").decode()


def escape(text: str) -> str:
    """JSON text that no HTML reader takes for anything but text: the same document, other spelling."""
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def payload(maps: Maps) -> dict[str, Any]:
    """What the script reads: the description with visible labels, and the weights in base64, of maps kept whole."""
    maps = Maps(tuple(replace(sample, attentions=tuple(one for one in sample.attentions if one.weights is not None))
                      for sample in maps.samples), maps.about)  # fmt: skip
    size = sum(attention.whole().size for _, _, attention in maps.items())
    encoding: Encoding = "float16" if 2 * size <= BUDGET else "uint8"
    page = describe(maps)
    page["encoding"] = encoding
    page["faults"] = [visible(fault) for fault in page["faults"]]
    page["about"] = {visible(name): visible(value) for name, value in maps.about.items()}
    for described, sample in zip(page["samples"], maps.samples, strict=True):
        axes: dict[tuple[str, ...], int] = {}
        described["texts"] = {name: visible(text) for name, text in sample.texts.items()}
        for entry, attention in zip(described["attentions"], sample.attentions, strict=True):
            for name in ("queries", "keys", "writes"):
                if entry[name] is not None:
                    entry[name] = axes.setdefault(tuple(map(label, entry[name])), len(axes))
            entry["certificate"]["worst"] = visible(entry["certificate"]["worst"])
            entry["faults"] = list(attention.certificate.faults())
            entry["weights"], entry["scale"] = encode(attention.whole(), encoding)
        described["axes"] = [list(axis) for axis in axes]
    return page


def encode(weights: Weights, encoding: Encoding) -> tuple[str, float]:
    """Base64 of little-endian numbers in the order (head query key), and what the largest code stands for.

    Whatever is above 0 stays above 0, so that what is blank on the page is blank in the model.
    """
    finite = np.nan_to_num(weights, nan=0.0, posinf=0.0, neginf=0.0)
    if encoding == "float16":
        half = finite.astype("<f2")
        half[(finite > 0) & (half == 0)] = np.finfo(np.float16).smallest_subnormal
        return base64.b64encode(half.tobytes()).decode(), 1.0
    scale = float(finite.max(initial=0.0)) or 1.0
    codes = np.where(finite > 0, 1 + np.rint(finite / scale * LEVELS), 0).astype(np.uint8)
    return base64.b64encode(codes.tobytes()).decode(), scale


def decode(text: str, scale: float, shape: tuple[int, ...], encoding: Encoding) -> Weights:
    """The weights as the page shows them; the inverse of `encode` but for its rounding."""
    raw = base64.b64decode(text)
    if encoding == "float16":
        return np.frombuffer(raw, "<f2").reshape(shape).astype(np.float32)
    codes = np.frombuffer(raw, np.uint8).reshape(shape).astype(np.float32)
    weights: Weights = (np.maximum(codes - 1, 0) * np.float32(scale / LEVELS)).astype(np.float32)
    return weights


def _script() -> str:
    """All scripts in one strict scope."""
    return '(() => {\n"use strict";\n' + "\n".join(_source(name) for name in SCRIPTS) + "})();\n"


def _policy(style: str, script: str) -> str:
    def hash_of(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    return (
        f"default-src 'none'; script-src {hash_of(script)}; style-src {hash_of(style)}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _source(name: str) -> str:
    return (files(__name__) / name).read_text("utf-8")
