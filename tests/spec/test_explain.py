"""What explain finds, says and computes."""

import pytest

from attncli.errors import InputError
from attncli.reference import normalizers, positions, scores
from attncli.spec.attention import CrossAttention
from attncli.spec.base import Spec, kind_of
from attncli.spec.explain import examine, explain, overview, roles, told, told_mask
from attncli.spec.explain.names import CHINESE
from attncli.spec.explain.notes import NOTES
from attncli.spec.explain.topics import known
from attncli.spec.explain.worked_layers import LAYERS
from attncli.spec.explain.worked_scores import KEYS, NORMALIZERS, QUERY, ROW, SCORES
from attncli.spec.masks.predicates import PREDICATES
from attncli.spec.shapes import records


def steps(word: str) -> dict[str, object]:
    (entry,) = [entry for entry in explain(word) if entry.example]
    return {step.name: step.value for step in entry.example}


def test_every_kind_of_the_language_is_listed_with_its_role():
    listed = {record for role in roles() for record in role.kinds.values()}
    with_kind = {one for one in records() if "kind" in one.model_fields and one.model_fields["kind"].default}
    assert listed == with_kind
    text = "\n".join(overview())
    for record in with_kind:
        assert f"\n  {kind_of(record)} " in text


@pytest.mark.parametrize("record", sorted(records(), key=lambda record: record.__name__), ids=lambda r: r.__name__)
def test_every_kind_explains_itself_with_every_option(record: type[Spec]):
    if "kind" not in record.model_fields or not record.model_fields["kind"].default:
        return  # no kind of a union
    word = f"cross_attention.{kind_of(record)}" if issubclass(record, CrossAttention) else kind_of(record)
    entries = [entry for entry in explain(word) if {o.key for o in entry.options} == _options(record)]
    assert entries
    assert all(entry.text and entry.where for entry in entries)
    assert all(option.takes and option.default for option in entries[0].options)


def _options(record: type[Spec]) -> set[str]:
    return set(record.model_fields) - {"kind"}


@pytest.mark.parametrize(
    ("role", "examples"),
    [("score", SCORES), ("normalizer", NORMALIZERS), ("feedforward", LAYERS), ("residual", LAYERS), ("cell", LAYERS)],
)
def test_every_kind_of_these_roles_has_a_worked_example(role, examples):
    (found,) = [each for each in roles() if each.name == role]
    assert set(found.kinds.values()) <= set(examples)
    for word in found.kinds:
        (entry,) = [each for each in explain(f"{role}.{word}") if each.what == f"a kind of {role}"]
        assert entry.example


def test_every_kind_of_attention_has_a_worked_example():
    (found,) = [role for role in roles() if role.name == "attention"]
    assert set(found.kinds.values()) <= set(LAYERS)


def test_a_latent_is_compared_alike_with_its_keys_and_without_them():
    found = steps("latent")
    assert found["its products with [c, r] over sqrt(2 + 2), the same"] == pytest.approx(
        found["scores = q.k / sqrt(2 + 2)"]
    )


def test_more_directions_come_nearer_to_the_softmax():
    found = steps("performer")
    exact = [number for row in found["exp(q.k / sqrt(2)), what is estimated"] for number in row]
    errors = []
    for count in (2, 32, 1024):
        estimated = [number for row in found[f"f(q).f(k) with {count} directions"] for number in row]
        errors.append(max(abs(a - b) for a, b in zip(estimated, exact, strict=True)))
    assert errors[0] > 2 * errors[1] > 2 * errors[2]
    assert found["weights, mask causal"] == [pytest.approx(row, abs=0.05) for row in found["those of softmax"]]


def test_a_key_written_again_takes_away_what_it_recalls_and_fading_takes_all():
    plain, fading = steps("delta"), steps("gated_delta")
    first, second = plain["weights of the values in them"], fading["weights of the values in them"]
    assert plain["what the third key recalls, S'k"] == [1.0, 0.0]
    assert first[2] == pytest.approx([0.25 / 2**0.5, 0.0, 0.75 / 2**0.5])
    assert second[2] == pytest.approx([0.25 * 0.9 * 0.5 / 2**0.5, 0.0, 0.75 / 2**0.5])
    rows = steps("differential")["weights: the first map less l times the second"]
    assert [sum(row) for row in rows] == pytest.approx([1 - steps("differential")[
        "l = exp(a_1.b_1) - exp(a_2.b_2) + l_0 of the first"]] * 3)  # fmt: skip


def test_positions_and_norms_but_none_have_worked_examples():
    for role in roles():
        if role.name.startswith("position") or role.name in ("norm", "scaling"):
            missing = {word for word, record in role.kinds.items() if record not in LAYERS}
            assert missing <= {"none", "learned"}


def test_the_numbers_are_those_of_the_reference():
    found = steps("scaled_dot")
    assert found["scores = q.k / sqrt(2)"] == scores.scaled_dot(QUERY, KEYS)
    assert found["weights = softmax over what is seen"][:2] == normalizers.softmax(scores.scaled_dot(QUERY, KEYS)[:2])
    assert found["weights = softmax over what is seen"][2] == 0
    assert found["mask causal, the query at position 1"] == ["seen", "seen", "hidden"]
    assert steps("entmax")["weights, alpha 1.5"] == normalizers.entmax(ROW, alpha=1.5)
    assert steps("alibi")["slopes of 6 heads"] == positions.alibi_slopes(6)


def test_the_query_term_of_the_articles_score_is_shown_to_cancel():
    found = explain("biased_dot")[0].example
    weights = [step.value for step in found if step.name.startswith("  weights over all keys")]
    assert weights[0] == pytest.approx(weights[1])
    shifted = [step.value for step in found if step.name.startswith("scores")]
    assert shifted[0] != pytest.approx(shifted[1])


def test_two_heads_split_the_width_and_see_the_whole_sequence():
    found = steps("multi_head")
    rows = [value for name, value in found.items() if name.startswith("weights of head")]
    assert [len(row) for head in rows for row in head] == [3] * 6
    assert "not: what is split is the width" in " ".join(explain("multi_head")[0].notes)


def test_the_last_line_of_a_cell_follows_from_its_gates():
    found = steps("gru")
    update, new, state = found["z = sigmoid of the sum"], found["n = tanh(W_n x + r U_n h)"], found["h"][0]
    assert found["h' = (1 - z) n + z h"] == pytest.approx([(1 - update) * new + update * state])


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("加性注意力", ["additive", "biased_dot"]),
        ("点积注意力", ["dot", "scaled_dot"]),
        ("点积", ["dot", "scaled_dot"]),
        ("缩放点积", ["scaled_dot"]),
        ("多头", ["multi_head"]),
        ("自注意力", ["self_attention"]),
        ("掩码", ["mask"]),
        ("位置编码", ["position", "position"]),
        ("编码器", ["encoder"]),
        ("余弦", ["cosine"]),
        ("归一化", ["normalizer"]),
    ],
)
def test_the_articles_names_find_what_they_mean(word, names):
    assert [entry.name for entry in explain(word)] == names


def test_every_chinese_name_leads_somewhere_and_is_shown_there():
    for word, names in CHINESE.items():
        assert any(word in entry.chinese for entry in explain(word)), word
        assert {name.rpartition(".")[2] for name in names} <= known()


def test_every_note_stands_on_something_that_is_explained():
    for key, notes in NOTES.items():
        role, _, word = key.rpartition(".")
        found = [entry for entry in explain(key) if entry.notes == notes]
        assert found, key
        assert found[0].name == word or not role


def test_a_role_tells_its_kinds_and_its_default():
    (entry,) = explain("score")
    assert entry.text == "How well a query fits a key.\ndefault: scaled_dot"
    assert [option.key for option in entry.options][:2] == ["scaled_dot", "dot"]


def test_a_key_tells_what_it_takes_in_every_place():
    heads, pairs = (entry for entry in explain("heads") if entry.where == "model.attention.heads")
    assert heads.text == "an integer of 1 or more; default: max(1, d_model // 64)"
    assert pairs.text == "an integer of 1 or more; default: max(1, d_model // 128)\nPairs of maps."


def test_a_word_with_several_meanings_tells_them_all_or_the_one_named():
    roles = [entry.what.removeprefix("a kind of ") for entry in explain("linear")]
    assert set(roles) == {"attention", "output", "scaling", "schedule"}
    assert [entry.what for entry in explain("schedule.linear")] == ["a kind of schedule"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("addtive", "there is no 'addtive' to explain\nhelp: did you mean 'additive'?"),
        ("bahdanau", "there is no 'bahdanau' to explain\nhelp: did you mean 'additive'?"),
        ("num_heads", "there is no 'num_heads' to explain\nhelp: did you mean 'heads'?"),
        ("加法注意力", "there is no '加法注意力' to explain\nhelp: did you mean '加性注意力'?"),
        ("qqqqqqqq", "there is no 'qqqqqqqq' to explain\nhelp: `attncli explain` lists what there is"),
    ],
)
def test_an_unknown_word_is_refused_with_what_was_meant(word, message):
    with pytest.raises(InputError) as caught:
        explain(word)
    assert str(caught.value) == message


def test_a_mask_is_examined():
    report = examine("causal & window(before=3)", length=16)
    assert (report.visible, report.pairs, report.ahead, report.empty, report.faults) == (58, 256, None, None, ())
    assert "visible pairs: 58 of 256 (22.7%), 16 queries, 16 keys" in list(told_mask(report))
    assert "causal: yes, no query sees a later key" in list(told_mask(report))


def test_a_mask_of_several_heads_is_drawn_once_for_those_alike():
    report = examine("causal & window(before=by_head(1, 1, 4))", length=8)
    assert report.heads == 3
    assert list(report.drawings) == ["head 0, 1", "head 2"]


def test_what_a_mask_hides_and_shows_too_much_is_said():
    lines = list(told_mask(examine("k > q & k > q", length=4)))
    assert "causal: no, query 0 sees key 1" in lines
    assert "rows that see nothing: query 3 is the first; its output is zeros" in lines
    assert "a spec with max_length 4 refuses it: 'k > q' changes nothing beside 'k > q'" in lines


def test_a_mask_that_does_not_fit_its_heads_is_not_drawn():
    report = examine("window(before=by_head(1, 2))", length=4, heads=3)
    assert report.drawings == {}
    assert report.faults == ("by_head gives 2 values, and there are 3 heads",)


def test_text_has_a_line_for_every_number_of_the_example():
    (entry,) = explain("additive")
    text = "\n".join(told(entry))
    assert "scores = w.tanh(q Q + k K)" in text
    for step in entry.example:
        for number in step.value if isinstance(step.value, list) else [step.value]:
            if isinstance(number, float):
                assert f"{number:.4f}" in text


@pytest.mark.parametrize("word", PREDICATES)
def test_every_predicate_is_drawn_where_positions_alone_decide(word):
    (entry,) = explain(word)
    assert bool(entry.drawing) == (word not in ("same", "neighbourhood"))
    if word == "prefix":
        assert entry.drawing[-1].split() == ["11", "████········"]
