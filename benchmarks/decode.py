"""How fast beam search writes, beside transformers' generate and CTranslate2, all with the weights of one model.

    python -m benchmarks.decode

Random weights in the form of Marian, texts of a fixed length (the end of text is forbidden before). CTranslate2 brings
an OpenMP of its own, which slows whatever runs in its process, so it has a process to itself; the others take turns
with it in another. The row says how many texts are the same as ours, and by how much a token of the contestant's text
is likelier where it differs most.
"""

import re
import tempfile
from argparse import Namespace
from collections.abc import Callable
from importlib.util import find_spec
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import torch
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


def marian() -> tuple[Any, Tensor]:
    """transformers' model, with random weights that are the same in every process, and what it reads."""
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
    return model, source


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


def translate(pipe: Connection, threads: int) -> None:
    """A process: CTranslate2 in float32 with the weights of Marian; translates as often as it is told to."""
    import ctranslate2
    from ctranslate2.converters.transformers import MarianMTLoader

    theirs, source = marian()
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
            texts, beam_size=SIZES.beam, max_decoding_length=SIZES.written, min_decoding_length=SIZES.written,
            max_batch_size=1024,
        )  # fmt: skip
        pipe.send([[number_of[word] for word in one.hypotheses[0]] for one in found])


def told(pipe: Connection) -> bool:
    """Whether there is more to do; not when the other end has gone."""
    try:
        return bool(pipe.recv())
    except EOFError:
        return False


def translator() -> Callable[[], Texts]:
    """What tells that process to translate, and gives what it wrote. Errors: as in it; EOFError where it ended."""
    if find_spec("ctranslate2") is None:  # to import it would load what is to stay apart
        raise ModuleNotFoundError("No module named 'ctranslate2'")
    here, there = spawn.Pipe()
    spawn.Process(target=translate, args=(there, torch.get_num_threads()), daemon=True).start()
    there.close()

    def write() -> Texts:
        here.send(True)
        found: Texts = here.recv()
        return found

    return write


@torch.no_grad()
def likelihood(model: Model, source: Tensor, texts: Texts) -> Tensor:
    """Mean log-probability of a token of each text."""
    read = torch.tensor([[BOS, *text[:-1]] for text in texts])
    batch = {"source": stream(source.tolist(), pad=0), "target": stream(read.tolist(), pad=0)}
    scores = model(batch).double().log_softmax(-1)
    return scores.gather(-1, torch.tensor(texts).unsqueeze(-1)).squeeze(-1).mean(-1)


def measure(quick: bool) -> None:
    """The row."""
    theirs, source = marian()
    model, eighth = ours(theirs), ours(theirs)
    quantize(eighth)
    batch = {"source": stream(source.tolist(), pad=0)}
    search = Beam(size=SIZES.beam, min_length=SIZES.written, max_length=SIZES.written)
    limits = {"max_new_tokens": SIZES.written, "min_new_tokens": SIZES.written}

    def attncli(model: Model) -> Texts:
        found = decode(model, batch, search, bos=BOS, eos=EOS, pad=SIZES.vocabulary - 1, max_length=512)
        return [texts[0].tokens for texts in found]

    def generate() -> Texts:
        with torch.no_grad():
            found: Texts = theirs.generate(source, num_beams=SIZES.beam, do_sample=False, **limits)[:, 1:].tolist()
        return found

    what = f"{SIZES.layers}+{SIZES.layers} layers, d {SIZES.d}, {SIZES.vocabulary:,} ids, {SIZES.batch} sentences of "
    row = Row(f"beam {SIZES.beam}", f"{what}{SIZES.source} tokens, {SIZES.written} written", "ms")
    works: dict[str, Callable[[], Texts]] = {
        "attncli": lambda: attncli(model),
        "attncli --int8": lambda: attncli(eighth),
        "transformers generate": generate,
    }
    with contestant("CTranslate2 fp32", row.notes):
        works["CTranslate2 fp32"] = translator()
    texts: dict[str, Texts] = {}
    for name, write in works.items():
        with contestant(name, row.notes):
            texts[name] = write()
    with packed(model, rows=SIZES.batch):  # once, as `predict` does for all of its texts
        times, row.peak = interleaved({name: works[name] for name in texts}, row.notes, rounds=3 if quick else 9)
    row.values = {name: 1000 * median(took) for name, took in times.items()}
    row.ratios = {
        name: (row.values[name] / row.values["attncli"], want) for name, want in WANTED.items() if name in times
    }
    least = likelihood(model, source, texts["attncli"])
    for name in row.values:
        same = sum(a == b for a, b in zip(texts[name], texts["attncli"], strict=True))
        ahead = float((likelihood(model, source, texts[name]) - least).max())
        speed = 1000 * SIZES.batch * SIZES.written / row.values[name]
        row.checks[name] = (
            f"{speed:,.0f} tokens/s, {same} of {SIZES.batch} texts as ours, likelier by {ahead:.1e} at most"
        )
    row.tell()


if __name__ == "__main__":
    main(measure)
