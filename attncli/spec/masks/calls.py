"""What the names and calls of a mask mean: predicates, functions, and integers that tokens carry."""

from difflib import get_close_matches
from typing import NamedTuple, NoReturn, TypeGuard

from attncli.spec.masks.predicates import PREDICATES, SAMPLES, TOKENS, Predicate, RandomBlocks, Same
from attncli.spec.masks.tree import ByHead, Call, Integer, Name, Node, Pair, Sample, Token
from attncli.spec.masks.words import Source, Word

NAMES = ("q", "k", "h", "q_length", "k_length")
FUNCTIONS = ("abs", "min", "max", "by_head")


class Argument(NamedTuple):
    """An argument as it is written: its name, if it has one, and its tree."""

    name: Word | None
    value: Node


def named(source: Source, word: Word) -> Node:
    """The meaning of a name that stands alone; one that masks do not know is an integer of data.fields."""
    if word.text in NAMES:
        return Name(word.text, column=word.column)
    if word.text in TOKENS:
        _needs_position(source, word.text, word.column)
    if word.text in FUNCTIONS:
        source.fail(word.column, f"'{word.text}' is a function", f"write {word.text}(...)")
    predicate = PREDICATES.get(word.text)
    if predicate is None:
        return Sample(word.text, column=word.column)
    if parameters := predicate.parameters():
        source.fail(word.column, f"'{word.text}' needs {' or '.join(parameters)}", f"write {_example(predicate)}")
    return predicate(column=word.column)


def called(source: Source, word: Word, arguments: list[Argument]) -> Node:
    """The meaning of a call."""
    if predicate := PREDICATES.get(word.text):
        return _predicate(source, word, predicate, arguments)
    if word.text in (*NAMES, *SAMPLES):
        source.fail(word.column, f"'{word.text}' is a number, not a function", f"write {word.text} alone")
    if word.text not in FUNCTIONS and not _of_position(word, arguments):
        unknown(source, word.text, word.column)
    values = []
    for name, value in arguments:
        if name:
            rule = f"the arguments of {word.text} have no names"
            source.fail(name.column, rule, f"leave '{name.text}=' out")
        values.append(_integer(source, word, value))
    return _function(source, word, values) if word.text in FUNCTIONS else _token(source, word, values)


def _of_position(word: Word, arguments: list[Argument]) -> bool:
    """Whether this is an integer of tokens: one that masks know, or a field of the data at q or k."""
    fields = all(value in (Name("q"), Name("k")) for _, value in arguments) and len(arguments) == 1
    return word.text in TOKENS or fields


def constant(node: Node) -> TypeGuard[Integer]:
    """Whether a node is an integer that is the same everywhere and in every head."""
    return isinstance(node, Integer) and not any(
        isinstance(each, (Name, Token, Sample, ByHead)) for each in node.walk()
    )


def unknown(source: Source, name: str, column: int) -> NoReturn:
    """Refuse a name that is no word of masks."""
    source.fail(column, f"there is no '{name}' in masks", near(name))


def near(name: str, *fields: str) -> str:
    """The way out for a name that neither masks nor the fields of the data know."""
    known = [*PREDICATES, *NAMES, *FUNCTIONS, *TOKENS, *SAMPLES, *fields]
    found = get_close_matches(name, known, 1)
    return f"did you mean '{found[0]}'?" if found else f"masks know {', '.join(known)}"


def _needs_position(source: Source, name: str, column: int) -> NoReturn:
    source.fail(column, f"'{name}' is a function of a position", f"write {name}(q) or {name}(k)")


def _integer(source: Source, word: Word, value: Node) -> Integer:
    if not isinstance(value, Integer):
        rule = f"{word.text} takes integers, and '{value}' is true or false"
        source.fail(value.start, rule, "join truths by & | ~")
    return value


def _token(source: Source, word: Word, values: list[Integer]) -> Token:
    names = [value.name for value in values if isinstance(value, Name)]
    if names not in (["q"], ["k"]) or len(values) > 1:
        source.fail(word.column, f"{word.text} takes one position, q or k", f"write {word.text}(q)")
    return Token(word.text, "q" if names == ["q"] else "k", column=word.column)


def _function(source: Source, word: Word, values: list[Integer]) -> Integer:
    for value in values:
        _no_bare_token(source, value)
    if word.text == "abs" and len(values) != 1:
        source.fail(word.column, f"abs takes one number, not {len(values)}", "write abs(q - k)")
    if word.text in ("min", "max") and len(values) < 2:
        source.fail(word.column, f"{word.text} takes two numbers or more", f"write {word.text}(q, k)")
    if word.text == "by_head":
        return ByHead(tuple(values), column=word.column)
    return Call(word.text, tuple(values), column=word.column)


def _no_bare_token(source: Source, value: Integer) -> None:
    for node in value.walk():
        if isinstance(node, Sample) and node.name in TOKENS:
            _needs_position(source, node.name, node.column)


def _predicate(source: Source, word: Word, predicate: type[Predicate], arguments: list[Argument]) -> Predicate:
    parameters = predicate.parameters()
    if not parameters:
        source.fail(word.column, f"'{word.text}' takes no argument", f"write {word.text} alone")
    given: dict[str, Integer] = {}
    for name, value in arguments:
        if name is None and (len(parameters) > 1 or given):
            source.fail(value.start, f"an argument of {word.text} needs its name", f"write {_example(predicate)}")
        key = name.text if name else parameters[0]
        if name and key not in parameters:
            close = get_close_matches(key, parameters, 1)
            help = f"did you mean '{close[0]}'?" if close else f"it has {', '.join(parameters)}"
            source.fail(name.column, f"{word.text} has no argument '{key}'", help)
        if key in given:
            source.fail(value.start, f"'{key}' is given twice", "give it once")
        given[key] = _argument(source, word, predicate, key, _integer(source, word, value))
    if predicate is Same:
        return Same(str(given["of"]), column=word.column)
    if missing := [name for name in parameters if name not in given and predicate is RandomBlocks]:
        source.fail(word.column, f"{word.text} needs {' and '.join(missing)}", f"write {_example(predicate)}")
    if "around" in given and len(given) > 1:
        source.fail(word.column, "around is both sides of a window", "write around alone, or before and after")
    return predicate(**given, column=word.column)


def _argument(source: Source, word: Word, predicate: type[Predicate], key: str, value: Integer) -> Integer:
    if predicate is Same:
        if not isinstance(value, Sample) or value.name in SAMPLES:
            rule = f"same takes an integer that tokens carry, not '{value}'"
            source.fail(value.start, rule, f"write {_example(predicate)}")
        return value
    _no_bare_token(source, value)
    if predicate is RandomBlocks and not constant(value):
        source.fail(value.start, f"{key} of {word.text} is one number", f"write {_example(predicate)}")
    for node in value.walk():
        if isinstance(node, Token | Sample) or (isinstance(node, Name) and node.name != "h"):
            rule = f"an argument of {word.text} may use h, not '{node}'"
            source.fail(node.column, rule, f"write the comparison itself: {predicate.summary}")
    heads = [len(node.values) for node in value.walk() if isinstance(node, ByHead)]
    for head in range(min(heads)) if heads else range(int(constant(value))):
        if fault := predicate.fault_of(key, value.value(Pair(0, 0, head))):
            whose = f" for head {head}" if heads else ""
            help = "write an odd number" if "odd" in fault else f"write {predicate.least} or more"
            source.fail(value.start, f"{key} of {word.text} {fault}{whose}", help)
    return value


def _example(predicate: type[Predicate]) -> str:
    if predicate is Same:
        return f"same({TOKENS[0]})"
    if predicate is RandomBlocks:
        return "random_blocks(count=3, size=64, seed=0)"
    first, *more = predicate.parameters()
    return f"{predicate.word}({first}=8)" if more else f"{predicate.word}({9 if predicate.fault_of(first, 8) else 8})"
