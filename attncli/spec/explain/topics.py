"""From a word to what it names: a kind, a role, a key, a predicate of masks, a concept of the article."""

from functools import cache

from attncli.errors import InputError
from attncli.spec.attention import MultiHead
from attncli.spec.base import Spec, kind_of
from attncli.spec.explain.catalogue import Role, default_of, first_sentence, options_of, roles, text_of
from attncli.spec.explain.entries import Entry, Option, Step
from attncli.spec.explain.masks import language, of_predicate
from attncli.spec.explain.names import CONCEPTS, chinese_of, in_chinese, meant
from attncli.spec.explain.notes import NOTES
from attncli.spec.explain.worked_layers import LAYERS, self_attention_steps
from attncli.spec.explain.worked_scores import NORMALIZERS, SCORES, steps_of_normalizer, steps_of_score
from attncli.spec.masks.predicates import PREDICATES
from attncli.spec.shapes import keys_of, records
from attncli.spec.tell import said


def explain(word: str) -> list[Entry]:
    """Everything that a word names; `role.kind` names one kind of several that share a word.

    Raises InputError, with what was probably meant.
    """
    names = in_chinese(word) or (word.strip().lower().replace(" ", "_").replace("-", "_"),)
    found = [entry for name in names for entry in _named(name)]
    if found:
        return found
    near = meant(word, known())
    help = f"did you mean '{near}'?" if near else "`attncli explain` lists what there is"
    raise InputError(f"there is no '{word}' to explain", help=help)


@cache
def known() -> frozenset[str]:
    """Every name that is explained."""
    kinds = {word for role in roles() for word in role.kinds}
    keys = {key for record in records() for key in keys_of(record)}
    return frozenset(kinds | keys | set(PREDICATES) | set(CONCEPTS))


def _named(name: str) -> list[Entry]:
    if name == "mask":
        return [language()]
    if name == "self_attention":
        return [_self_attention()]
    found: list[Entry] = []
    told: list[type[Spec]] = []
    wanted, _, word = name.rpartition(".")
    for role in roles():
        if name in role.keys:
            found.append(_role(role, name))
        alone = name in role.keys and len(role.kinds) == 1
        kind = next(iter(role.kinds.values())) if alone else role.kinds.get(word)
        narrower = (
            kind is not None and kind.__mro__[1] in told
        )  # multi_head of cross_attention, after that of attention
        if kind and not narrower and (not wanted or wanted in (role.name, *role.keys)):
            found.append(_kind(role, kind))
            told.append(kind)
    if name in PREDICATES:
        found.append(of_predicate(name))
    return found or _keys(name)


def _kind(role: Role, record: type[Spec]) -> Entry:
    word = kind_of(record)
    return Entry(
        name=word,
        what=f"a kind of {role.name}",
        where=role.where,
        chinese=chinese_of(word, role.name),
        text=text_of(record),
        options=options_of(record),
        notes=NOTES.get(f"{role.name}.{word}", ()),
        example=tuple(_steps(record)),
    )


def _steps(record: type[Spec]) -> list[Step]:
    if record in SCORES:
        return list(steps_of_score(record))
    if record in NORMALIZERS:
        return list(steps_of_normalizer(record))
    return list(LAYERS[record]()) if record in LAYERS else []


def _role(role: Role, key: str) -> Entry:
    kinds = tuple(Option(word, "kind", "", first_sentence(kind.__doc__ or "")) for word, kind in role.kinds.items())
    what = f"a key that takes a kind of {role.name}"
    text = "\n".join(line for line in (role.about, f"default: {role.default}") if line)
    return Entry(key, what, role.where, chinese_of(key), text, kinds)


def _keys(name: str) -> list[Entry]:
    """A plain key, in every record that has it."""
    found: dict[str, Entry] = {}
    for record, path in records().items():
        if name in record.model_fields and name != "kind":
            (option,) = [each for each in options_of(record) if each.key == name]
            text = f"{said(keys_of(record)[name])}; default: {default_of(record, name)}"
            entry = Entry(name, "a key", ".".join((*path, name)), chinese_of(name), f"{text}\n{option.about}".strip())
            found.setdefault(entry.text, entry)
    return list(found.values())


def _self_attention() -> Entry:
    text = (
        "Attention of a sequence to itself: query, key and value are maps of the same states. "
        "It is what `attention` is in encoder and decoder; `cross_attention` reads another stack.\n"
        f"{first_sentence(MultiHead.__doc__ or '')}"
    )
    return Entry(
        "self_attention",
        "a use of attention",
        "model.attention",
        chinese_of("self_attention"),
        text,
        notes=NOTES["self_attention"],
        example=tuple(self_attention_steps()),
    )
