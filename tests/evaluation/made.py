"""Small trained-looking runs: a spec, rows held in memory, a codec and a model with random weights."""

from typing import NamedTuple

import torch

from attncli.data.codec import Codec
from attncli.data.rows import Row, Rows, Splits
from attncli.nn.model import Model, build_model
from attncli.spec.load import load_text
from attncli.spec.run import Run


class Listed(Rows):
    """Rows in a list."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows, self.fields, self.fingerprint = rows, tuple(rows[0]) if rows else (), "listed"

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]

    def place(self, index: int) -> str:
        return f"rows.tsv:{index + 1}"


class Made(NamedTuple):
    run: Run
    codec: Codec
    model: Model
    rows: Listed


STACK = "{d_model: 16, max_length: 12, layers: 1, attention: {heads: 2}, dropout: 0.5}"
TASKS = {
    "seq2seq": f"task: seq2seq\nmodel: {{encoder: {STACK}, decoder: {STACK}}}",
    "language_model": f"task: language_model\nmodel: {{decoder: {STACK}}}",
    "masked_language_model": f"task: masked_language_model\nmodel: {{encoder: {STACK}}}",
    "classification": f"task: classification\nmodel: {{encoder: {STACK}}}",
    "tagging": f"task: {{kind: tagging, scheme: bio}}\nmodel: {{encoder: {STACK}}}",
}
ROWS = {
    "seq2seq": [{"source": f"x {'ab' * n}", "target": f"{'ba' * n}"} for n in (1, 3, 2, 4)],
    "language_model": [{"text": text} for text in ("abcab", "", "äbcäbcabcabcabcäbcabcabcbbacab", "cab")],
    "masked_language_model": [{"text": text} for text in ("abcab", "abcabcabcabcabcabcabc", "cab")],
    "classification": [{"text": "ab" * n, "label": "xyz"[n % 3]} for n in range(1, 6)],
    "tagging": [
        {"text": "ab c abc", "tags": "B-x I-x O"}, {"text": "a b", "tags": "O B-y"}, {"text": "c", "tags": "B-x"},
    ],
}  # fmt: skip


def made(kind: str, *overrides: str, rows: list[Row] | None = None) -> Made:
    """A run of the task with its own rows, or others (the codec is trained on its own)."""
    text = f"name: made\n{TASKS[kind]}\ntokenizer: characters\ndata: {{train: nowhere.tsv}}\n"
    run = load_text(text, overrides).run
    own = Listed(ROWS[kind])
    codec = Codec.train(run, Splits(train=own))
    torch.manual_seed(1)
    model = build_model(run, codec.sizes).eval()
    return Made(run, codec, model, own if rows is None else Listed(rows))
