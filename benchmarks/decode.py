"""How fast beam search writes, beside transformers' generate and CTranslate2, all with the weights of one model.

    python -m benchmarks.decode

Random weights in the form of Marian, texts of a fixed length (the end of text is forbidden before); then the same after
some training, texts that end where they end. CTranslate2 brings an OpenMP of its own, which slows whatever runs in its
process, so it has a process to itself; the others take turns with it in another. A row says how many texts are the same
as ours, and by how much a token of the contestant's text is likelier where it differs most. Weights are laid for the
CPU once, as `predict` does for all texts of a file. Ours is the search that ends when nothing better can come; the
others, as they are by default, may end before.
"""

import re
import tempfile
from argparse import Namespace
from collections.abc import Callable
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model, save_model
from torch import Tensor

from attncli.decoding import decode
from attncli.nn.model import Model, build_model, token_fields
from attncli.nn.packed import packed
from attncli.nn.quantized import quantize
from attncli.spec.load import load_text
from attncli.spec.sizes import sizes_of
from attncli.spec.training import Beam
from attncli.streams import stream
from benchmarks.harness import Row, contestant, interleaved, main, median

spawn = get_context("spawn")
Texts = list[list[int]]
EOS, BOS = 0, 1
SIZES = Namespace(
    layers=3, d=256, heads=4, ff=1024, vocabulary=4000, batch=32, source=16, written=24, beam=5
)  # fmt: skip
"""Those of the published comparison."""
STEPS = 200
"""Of the training before the second row."""
WANTED = {"transformers generate": 1.7, "CTranslate2 fp32": 1.0}

SPEC = """
name: marian
task: seq2seq
model:
  {{d_model: {d}, max_length: 512, input: {{position: {{kind: sinusoidal, layout: concatenated}}, scale: 1}},
   attention: {{heads: {heads}}}, feedforward: {{kind: gelu, d_ff: {ff}}}, norm: layer_norm, norm_place: post,
   bias: true, encoder: {{layers: {layers}}}, decoder: {{layers: {layers}}}}}
tokenizer: {{kind: unigram, vocabulary: {vocabulary}}}
"""


def marian(weights: Path | None = None) -> tuple[Any, Tensor]:
    """transformers' model, with random weights, the same in every process, or those of a file; and what it reads."""
    from transformers import MarianConfig, MarianMTModel

    torch.manual_seed(0)
    sizes, source = SIZES, torch.randint(5, SIZES.vocabulary - 1, (SIZES.batch, SIZES.source))
    counts = {f"{stack}_{name}": value for stack in ("encoder", "decoder") for name, value in
              {"layers": sizes.layers, "attention_heads": sizes.heads, "ffn_dim": sizes.ff}.items()}  # fmt: skip
    config = MarianConfig(
        vocab_size=sizes.vocabulary, d_model=sizes.d, **counts, pad_token_id=sizes.vocabulary - 1, eos_token_id=EOS,
        decoder_start_token_id=BOS, forced_eos_token_id=None, bos_token_id=None, max_position_embeddings=512,
    )  # fmt: skip
    model = MarianMTModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embed_positions" not in name and parameter.dim() > 1:
                parameter.normal_(std=0.05)  # wide enough that no two texts are equally likely
    if weights is not None:
        load_model(model, weights)
    return model, source


def exercise(count: int) -> tuple[Tensor, Tensor]:
    """Sources (count n) that say a number up to WRITTEN again and again, and as their translations the words that count
    down from it; EOS ends it, and padding follows. So what is read decides how long a text is.
    """
    numbers = torch.randint(1, SIZES.written + 1, (count, 1))
    left = numbers - torch.arange(SIZES.written + 1)
    return numbers.repeat(1, SIZES.source) + 1000, torch.where(left > 0, left + 2000, torch.where(left == 0, EOS, -100))


def train(model: Any, steps: int) -> float:
    """Let transformers' model learn the exercise for some steps; returns the last loss."""
    torch.manual_seed(1)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-4)
    for step in range(steps):
        source, target = exercise(32)
        optimizer.param_groups[0]["lr"] = 5e-4 * min(1, (step + 1) / 40)
        loss = model(input_ids=source, labels=target).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return float(loss.detach())


@torch.no_grad()
def ours(theirs: Any) -> Model:
    """attncli's model with the weights of Marian."""
    run = load_text(SPEC.format(**vars(SIZES))).run
    model = build_model(run, sizes_of(run, token_fields(run))).eval()
    layer, own = r"model\.(encoder|decoder)\.layers\.(\d+)\.", r"\1.layers.\2."
    rules = {
        r"model\.shared\.weight": "encoder.input.embedding.weight",
        layer + r"fc1\.(\w+)": own + r"feedforward.body.hidden.\3",
        layer + r"fc2\.(\w+)": own + r"feedforward.body.output.\3",
        layer + r"final_layer_norm\.(\w+)": own + r"feedforward.norm.\3",
    }
    for theirs_, branch in (("self_attn", "attention"), ("encoder_attn", "cross_attention")):
        rules[layer + rf"{theirs_}_layer_norm\.(\w+)"] = own + rf"{branch}.norm.\3"
        for short, name in {"q": "query", "k": "key", "v": "value", "out": "output"}.items():
            rules[layer + rf"{theirs_}\.{short}_proj\.(\w+)"] = own + rf"{branch}.body.{name}.\3"
    parameters = dict(model.named_parameters())
    for name, weight in theirs.named_parameters():
        found = [re.sub(pattern, place, name) for pattern, place in rules.items() if re.fullmatch(pattern, name)]
        if not found:
            assert "embed_positions" in name, name
            continue
        parameters.pop(found[0]).copy_(weight)
    assert not parameters, parameters.keys()
    return model


def translate(pipe: Connection, threads: int, weights: Path | None, source: Tensor, limits: dict[str, int]) -> None:
    """A process: CTranslate2 in float32 with the weights of Marian; translates as often as it is told to."""
    import ctranslate2
    from ctranslate2.converters.transformers import MarianMTLoader

    theirs, _ = marian(weights)
    words = ["</s>", "<s>", *(f"w{number}" for number in range(2, SIZES.vocabulary - 1))]  # the last is padding
    number_of = {word: number for number, word in enumerate(words)}
    spec = MarianMTLoader().get_model_spec(theirs)
    spec.register_source_vocabulary(words)
    spec.register_target_vocabulary(words)
    for name, word in {"bos": "<s>", "eos": "</s>", "unk": "w2", "decoder_start": "<s>"}.items():
        setattr(spec.config, f"{name}_token", word)
    spec.validate()
    spec.optimize("float32")
    texts = [[words[token] for token in row] for row in source.tolist()]
    with tempfile.TemporaryDirectory() as folder:
        spec.save(folder)
        engine = ctranslate2.Translator(folder, device="cpu", intra_threads=threads, compute_type="float32")
    while told(pipe):
        found = engine.translate_batch(
            texts, beam_size=SIZES.beam, max_decoding_length=limits["max_length"],
            min_decoding_length=limits["min_length"], max_batch_size=1024,
        )  # fmt: skip
        made = [[number_of[word] for word in one.hypotheses[0]] for one in found]
        pipe.send([text if len(text) == limits["max_length"] else [*text, EOS] for text in made])


def told(pipe: Connection) -> bool:
    """Whether there is more to do; not when the other end has gone."""
    try:
        return bool(pipe.recv())
    except EOFError:
        return False


def translator(weights: Path | None, source: Tensor, limits: dict[str, int]) -> Callable[[], Texts]:
    """What tells that process to translate, and gives what it wrote. Errors: as in it; EOFError where it ended."""
    if find_spec("ctranslate2") is None:  # to import it would load what is to stay apart
        raise ModuleNotFoundError("No module named 'ctranslate2'")
    here, there = spawn.Pipe()
    given = (there, torch.get_num_threads(), weights, source, limits)
    spawn.Process(target=translate, args=given, daemon=True).start()
    there.close()

    def write() -> Texts:
        here.send(True)
        found: Texts = here.recv()
        return found

    return write


@torch.no_grad()
def likelihood(model: Model, source: Tensor, texts: Texts) -> Tensor:
    """Mean log-probability of a token of each text."""
    read = stream([[BOS, *text[:-1]] for text in texts], pad=0)
    scores = model({"source": stream(source.tolist(), pad=0), "target": read}).double().log_softmax(-1)
    each = [row[range(len(text)), text].mean() for row, text in zip(scores, texts, strict=True)]
    return torch.stack(each)


def measure(quick: bool) -> None:
    """The rows."""
    theirs, source = marian()
    fixed = {"min_length": SIZES.written, "max_length": SIZES.written}
    compare("", theirs, None, source, fixed, quick)
    if quick:
        return
    loss = train(theirs.train(), STEPS)
    theirs.eval()
    trained = f", after {STEPS} updates (loss {loss:.2f}) in which it learns to count down"
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "marian.safetensors"
        save_model(theirs, str(weights))
        lengths = {"min_length": 0, "max_length": 2 * SIZES.written}
        compare(trained, theirs, weights, exercise(SIZES.batch)[0], lengths, quick)


def compare(
    trained: str, theirs: Any, weights: Path | None, source: Tensor, lengths: dict[str, int], quick: bool
) -> None:
    """One row; `lengths` are the least and the greatest of a text."""
    model, eighth = ours(theirs), ours(theirs)
    quantize(eighth)
    batch = {"source": stream(source.tolist(), pad=0)}
    search = Beam(size=SIZES.beam, **lengths)
    limits = {"max_new_tokens": lengths["max_length"], "min_new_tokens": lengths["min_length"]}

    def attncli(model: Model) -> Texts:
        found = decode(model, batch, search, bos=BOS, eos=EOS, pad=SIZES.vocabulary - 1, max_length=512)
        return [[*texts[0].tokens, *([EOS] * texts[0].finished)] for texts in found]

    def generate() -> Texts:
        with torch.no_grad():
            found: Texts = theirs.generate(source, num_beams=SIZES.beam, do_sample=False, **limits)[:, 1:].tolist()
        return [text[: text.index(EOS) + 1] if EOS in text else text for text in found]

    what = f"{SIZES.layers}+{SIZES.layers} layers, d {SIZES.d}, {SIZES.vocabulary:,} ids, {SIZES.batch} sentences of "
    written = "as many written as end them" if trained else f"{SIZES.written} written"
    name = f"beam {SIZES.beam}" + (", trained" if trained else "")
    row = Row(name, f"{what}{SIZES.source} tokens, {written}{trained}", "ms")
    works: dict[str, Callable[[], Texts]] = {
        "attncli": lambda: attncli(model),
        "attncli --int8": lambda: attncli(eighth),
        "transformers generate": generate,
    }
    with contestant("CTranslate2 fp32", row.notes):
        works["CTranslate2 fp32"] = translator(weights, source, lengths)
    texts: dict[str, Texts] = {}
    for name, write in works.items():
        with contestant(name, row.notes):
            texts[name] = write()
    with packed(model, rows=SIZES.batch):
        times, row.peak = interleaved({name: works[name] for name in texts}, row.notes, rounds=3 if quick else 9)
    row.values = {name: 1000 * median(took) for name, took in times.items()}
    row.ratios = {
        name: (row.values[name] / row.values["attncli"], want) for name, want in WANTED.items() if name in times
    }
    least = likelihood(model, source, texts["attncli"])
    for name in row.values:
        same = sum(a == b for a, b in zip(texts[name], texts["attncli"], strict=True))
        ahead = float((likelihood(model, source, texts[name]) - least).max())
        speed = 1000 * sum(map(len, texts[name])) / row.values[name]
        row.checks[name] = (
            f"{speed:,.0f} tokens/s, {same} of {SIZES.batch} texts as ours, likelier by {ahead:.1e} at most"
        )
    row.tell()


if __name__ == "__main__":
    main(measure)
