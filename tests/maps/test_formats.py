"""What is written is read back: the weights bit for bit, and with them the tokens and the certificate."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load

from attncli.maps.formats import describe, number, to_csv, to_json, to_npz, to_parquet, to_safetensors
from attncli.maps.record import Maps, Rows
from tests.maps.made import BAD, attention, maps

TOKENS = ("a,b", 'say "x"', "line\nbreak", "你好", "", "\udc80", "</script>")


def two() -> Maps:
    cross = attention(("[BOS]", "x"), TOKENS, heads=3, kind="cross", address="decoder.0.cross_attention",
                      writes=("x", "[EOS]"), seed=1)  # fmt: skip
    return Maps((maps(attention(TOKENS, TOKENS, causal=True), cross).samples[0], maps().samples[0]), {"run": "r"})


def test_safetensors_hold_every_map_exactly_and_describe_it(tmp_path) -> None:  # type: ignore[no-untyped-def]  # pytest's
    whole, path = two(), tmp_path / "maps.safetensors"
    path.write_bytes(to_safetensors(whole))
    arrays = load(path.read_bytes())
    for name, _, one in whole.items():
        assert np.array_equal(arrays[name], one.weights)
    with safe_open(path, "np") as file:
        about = json.loads(file.metadata()["attncli"])
    assert about == json.loads(json.dumps(describe(whole)))
    assert about["samples"][0]["attentions"][1]["writes"] == ["x", "[EOS]"]


def test_npz_holds_every_map_exactly_and_nothing_pickled() -> None:
    whole = two()
    arrays = np.load(io.BytesIO(to_npz(whole)), allow_pickle=False)
    for name, _, one in whole.items():
        assert np.array_equal(arrays[name], one.weights)
    assert json.loads(str(arrays["about"])) == json.loads(json.dumps(describe(whole)))


def test_json_holds_every_map_exactly() -> None:
    whole = two()
    found = json.loads(to_json(whole).decode())
    for sample, described in zip(whole.samples, found["samples"], strict=True):
        for one, entry in zip(sample.attentions, described["attentions"], strict=True):
            assert np.array_equal(np.array(entry["weights"], dtype=np.float32), one.weights)
            assert tuple(entry["keys"]) == one.keys
            assert entry["certificate"]["holds"] is True


def test_csv_has_one_weight_a_line_exactly() -> None:
    whole = two()
    rows = list(csv.DictReader(io.StringIO(to_csv(whole).decode(), newline="")))
    assert len(rows) == sum(one.weights.size for _, _, one in whole.items())
    by_place = {(r["sample"], r["address"], int(r["head"]), int(r["query"]), int(r["key"])): r for r in rows}
    for name, _, one in whole.items():
        sample, _, address = name.partition("/")
        for place, weight in np.ndenumerate(one.weights):
            row = by_place[sample, address, *place]
            assert np.float32(row["weight"]) == weight
            assert row["key_token"] == one.keys[place[2]].encode("utf-8", "backslashreplace").decode()


def test_a_description_says_what_failed() -> None:
    found = describe(maps(attention(certificate=BAD)))
    assert found["certified"] is False
    assert found["output_error"] == 0.25
    assert "max|map V - output| is 2.5e-01" in found["faults"][0]
    assert found["samples"][0]["attentions"][0]["certificate"]["holds"] is False


@pytest.mark.parametrize(("value", "written"), [(1.5, 1.5), (None, None), (float("nan"), "nan"), (float("inf"), "inf")])
def test_a_number_that_is_none_is_a_word(value: float | None, written: object) -> None:
    assert number(value) == written


def test_weights_that_are_no_number_do_not_break_the_json() -> None:
    broken = attention()
    broken.weights[0, 0, 0] = np.nan
    assert json.loads(to_json(maps(broken)))["samples"][0]["attentions"][0]["weights"][0][0][0] is None


def test_parquet_has_the_rows_of_the_csv_and_describes_them() -> None:
    from pyarrow import parquet

    whole = two()
    found = parquet.read_table(io.BytesIO(to_parquet(whole)))
    lines = csv.DictReader(io.StringIO(to_csv(whole).decode(), newline=""))
    assert [{name: str(value) for name, value in row.items() if name != "weight"} for row in found.to_pylist()] == [
        {name: value for name, value in line.items() if name != "weight"} for line in lines
    ]
    weights = np.concatenate([one.whole().ravel() for _, _, one in whole.items()])
    assert np.array_equal(found.column("weight").to_numpy(), weights)
    assert json.loads(found.schema.metadata[b"attncli"]) == json.loads(json.dumps(describe(whole)))


def test_parquet_of_rows_chosen_and_of_a_summary_is_that_of_the_csv() -> None:
    from pyarrow import parquet

    one = attention(heads=3)
    rows = Rows((0, 2), range(1, 3), one.whole()[[0, 2], 1:3])
    for made in (replace(one, weights=None, reduced=one.summary),
                 replace(one, weights=None, reduced=one.summary, rows_kept=rows)):  # fmt: skip
        found = parquet.read_table(io.BytesIO(to_parquet(maps(made)))).to_pylist()
        lines = list(csv.DictReader(io.StringIO(to_csv(maps(made)).decode(), newline="")))
        for name in ("head", "query", "key"):
            assert [row[name] for row in found] == [int(line[name]) for line in lines]
        assert [row["weight"] for row in found] == [np.float32(line["weight"]) for line in lines]
    assert {row["head"] for row in found} == {0, 2}
