"""How fast beam search writes, beside transformers' generate and CTranslate2, all with the weights of one model.

    .venv/bin/python benchmarks/decode.py

Random weights in the form of Marian, texts of a fixed length (the end of text is forbidden before). The contestants
take turns in one process; medians. One JSON line a row; a peer that is not installed gives a row that says so. Each row
says how many texts are the same, and how much likelier a token of the contestant's text is, where it differs most.
"""

import argparse
import json
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attncli.decoding import decode
from attncli.nn.model import Model, build_model, token_fields
from attncli.nn.quantized import quantize
from attncli.spec.load import load_text
from attncli.spec.sizes import sizes_of
from attncli.spec.training import Beam
from attncli.streams import stream

Texts = list[list[int]]
EOS, BOS = 0, 1

SPEC = """
name: marian
task: seq2seq
model:
  {{d_model: {d}, max_length: 512, input: {{position: {{kind: sinusoidal, layout: concatenated}}, scale: 1}},
   attention: {{heads: {heads}}}, feedforward: {{kind: gelu, d_ff: {ff}}}, norm: layer_norm, norm_place: post,
   bias: true, encoder: {{layers: {layers}}}, decoder: {{layers: {layers}}}}}
tokenizer: {{kind: unigram, vocabulary: {vocabulary}}}
"""


def options() -> argparse.Namespace:
    """The sizes, which are those of the published comparison unless said otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"layers": 3, "d": 256, "heads": 4, "ff": 1024, "vocabulary": 4000, "batch": 32}
    for name, value in {**sizes, "source": 16, "written": 24, "beam": 5, "rounds": 5}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


def marian(sizes: argparse.Namespace) -> Any:
    """transformers' model, with random weights."""
    from transformers import MarianConfig, MarianMTModel

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
    return model


@torch.no_grad()
def ours(theirs: Any, sizes: argparse.Namespace) -> Model:
    """attncli's model with the weights of Marian."""
    run = load_text(SPEC.format(**vars(sizes))).run
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


def translator(theirs: Any, sizes: argparse.Namespace, folder: Path) -> Callable[[Tensor], Texts]:
    """CTranslate2 in float32 with the weights of Marian."""
    import ctranslate2
    from ctranslate2.converters.transformers import MarianMTLoader

    words = [
        "</s>",
        "<s>",
        *(f"w{number}" for number in range(2, sizes.vocabulary - 1)),
    ]  # padding, the last, is left out
    number_of = {word: number for number, word in enumerate(words)}
    spec = MarianMTLoader().get_model_spec(theirs)
    spec.register_source_vocabulary(words)
    spec.register_target_vocabulary(words)
    for name, word in {"bos": "<s>", "eos": "</s>", "unk": "w2", "decoder_start": "<s>"}.items():
        setattr(spec.config, f"{name}_token", word)
    spec.validate()
    spec.optimize("float32")
    spec.save(str(folder))
    engine = ctranslate2.Translator(
        str(folder), device="cpu", intra_threads=torch.get_num_threads(), compute_type="float32"
    )

    def write(source: Tensor) -> Texts:
        texts = [[words[token] for token in row] for row in source.tolist()]
        found = engine.translate_batch(
            texts, beam_size=sizes.beam, max_decoding_length=sizes.written, min_decoding_length=sizes.written,
            max_batch_size=1024,
        )  # fmt: skip
        return [[number_of[word] for word in one.hypotheses[0]] for one in found]

    return write


@torch.no_grad()
def likelihood(model: Model, source: Tensor, texts: Texts) -> Tensor:
    """Mean log-probability of a token of each text."""
    read = torch.tensor([[BOS, *text[:-1]] for text in texts])
    batch = {"source": stream(source.tolist(), pad=0), "target": stream(read.tolist(), pad=0)}
    scores = model(batch).double().log_softmax(-1)
    return scores.gather(-1, torch.tensor(texts).unsqueeze(-1)).squeeze(-1).mean(-1)


def main() -> None:
    """Measure and print."""
    sizes = options()
    torch.manual_seed(0)
    source = torch.randint(5, sizes.vocabulary - 1, (sizes.batch, sizes.source))
    theirs = marian(sizes)
    model = ours(theirs, sizes)
    batch = {"source": stream(source.tolist(), pad=0)}
    search = Beam(size=sizes.beam, min_length=sizes.written, max_length=sizes.written)
    limits = {"max_new_tokens": sizes.written, "min_new_tokens": sizes.written}

    def attncli(model: Model) -> Texts:
        found = decode(model, batch, search, bos=BOS, eos=EOS, pad=sizes.vocabulary - 1, max_length=512)
        return [texts[0].tokens for texts in found]

    def generate() -> Texts:
        with torch.no_grad():
            found: Texts = theirs.generate(source, num_beams=sizes.beam, do_sample=False, **limits)[:, 1:].tolist()
        return found

    eighth = ours(theirs, sizes)
    quantize(eighth)
    contestants: dict[str, Callable[[], Texts]] = {
        "attncli": lambda: attncli(model),
        "attncli --int8": lambda: attncli(eighth),
        "transformers generate": generate,
    }
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            engine = translator(theirs, sizes, Path(folder))
            contestants["CTranslate2 fp32"] = lambda: engine(source)
        except ImportError as error:
            missing["CTranslate2 fp32"] = str(error)
        times: dict[str, list[float]] = {name: [] for name in contestants}
        texts = {name: write() for name, write in contestants.items()}
        for _ in range(sizes.rounds):
            for name, write in contestants.items():
                began = time.perf_counter()
                write()
                times[name].append(time.perf_counter() - began)
    least = likelihood(model, source, texts["attncli"])
    own = statistics.median(times["attncli"])
    for name, taken in times.items():
        seconds = statistics.median(taken)
        same = sum(a == b for a, b in zip(texts[name], texts["attncli"], strict=True))
        ahead = float((likelihood(model, source, texts[name]) - least).max())
        row = {"bench": "decode", "row": f"beam {sizes.beam}", "contestant": name, "seconds": seconds}
        row |= {"tokens_a_second": sizes.batch * sizes.written / seconds, "ratio": seconds / own}
        print(json.dumps({**row, "same_texts": same, "of": sizes.batch, "likelier_than_ours_by": ahead}))
    for name, reason in missing.items():
        print(json.dumps({"bench": "decode", "row": f"beam {sizes.beam}", "contestant": name, "missing": reason}))


if __name__ == "__main__":
    main()
