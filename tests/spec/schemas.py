"""The part of JSON Schema that the schema of specs uses, checked plainly."""

import math
import re
from typing import Any

KNOWN = {
    "$schema", "$defs", "$ref", "title", "description", "default", "type", "properties", "additionalProperties",
    "required", "anyOf", "enum", "const", "items", "minItems", "maxItems", "minLength", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "pattern",
}  # fmt: skip
"""Every word that is checked here or only tells."""
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)}


def faults(value: Any, schema: dict[str, Any], top: dict[str, Any] | None = None, at: str = "") -> list[str]:
    """Where a value breaks a schema."""
    top = schema if top is None else top
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    if "$ref" in schema:
        target = top["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        return faults(value, target, top, at)
    found = [f"{at}: {value!r} breaks {word}" for word in schema if not _holds(word, value, schema)]
    if "anyOf" in schema and all(faults(value, part, top, at) for part in schema["anyOf"]):
        found.append(f"{at}: {value!r} is none of {len(schema['anyOf'])}")
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            found += faults(item, schema["items"], top, f"{at}[{index}]")
    if isinstance(value, dict):
        known, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
        for key, item in value.items():
            if key in known:
                found += faults(item, known[key], top, f"{at}.{key}")
            elif isinstance(rest, dict):
                found += faults(item, rest, top, f"{at}.{key}")
            elif not rest:
                found.append(f"{at}.{key} is unknown")
    return found


def _holds(word: str, value: Any, schema: dict[str, Any]) -> bool:
    """Whether one keyword that needs no other holds."""
    given = schema[word]
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    match word:
        case "type":
            fits = isinstance(value, TYPES[given])
            return fits and (given == "boolean" or not isinstance(value, bool))
        case "enum":
            return any(type(value) is type(each) and value == each for each in given)
        case "const":
            return type(value) is type(given) and value == given
        case "required":
            return not isinstance(value, dict) or set(given) <= set(value)
        case "minimum":
            return not number < given
        case "maximum":
            return not number > given
        case "exclusiveMinimum":
            return not number <= given
        case "exclusiveMaximum":
            return not number >= given
        case "minItems":
            return not isinstance(value, list) or len(value) >= given
        case "maxItems":
            return not isinstance(value, list) or len(value) <= given
        case "minLength":
            return not isinstance(value, str) or len(value) >= given
        case "pattern":
            return not isinstance(value, str) or re.search(given, value) is not None
        case _:
            return True
