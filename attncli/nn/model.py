"""The whole model: named inputs go through named stacks to a head. Mirrors attncli/spec/model.py."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from attncli.nn.attention import Attention
from attncli.nn.cache import Cache
from attncli.nn.clipping import clip_maps
from attncli.nn.experts import Experts, Router
from attncli.nn.initial import Undrawn, initialise
from attncli.nn.lora import adapt
from attncli.nn.outputs import Losses, TokenHead
from attncli.nn.pointer import PointerHead
from attncli.nn.positions import Pope
from attncli.nn.recurrent import Encoder, build_recurrent
from attncli.nn.recurrent_decoder import Decoder
from attncli.nn.recurrent_past import RecurrentPast
from attncli.nn.spans import Adaptive
from attncli.nn.stacks import Transformer, TransformerPast, build_transformer
from attncli.nn.states import States
from attncli.nn.tasks import ClassHead, Head, build_class_head, build_head
from attncli.nn.view import Tap
from attncli.spec import model as spec
from attncli.spec.outputs import PointerGenerator
from attncli.spec.recurrent import Both, Recurrent
from attncli.spec.run import Run
from attncli.spec.sizes import Sizes
from attncli.spec.tasks import LanguageModel, MaskedLanguageModel, Rewriting
from attncli.streams import Batch, Stream

Stack = Transformer | Encoder | Decoder


class Model(nn.Module):
    """Stacks in the order in which they read each other, and the head on the last that it names."""

    def __init__(
        self, *, stacks: Mapping[str, Stack], head: Head, head_stack: str,
        beside: Mapping[str, tuple[ClassHead, float]],
    ) -> None:  # fmt: skip
        super().__init__()
        for name, stack in stacks.items():
            self.add_module(name, stack)
        self.names = tuple(stacks)
        self.head = head
        self.head_stack = head_stack
        self.others = nn.ModuleDict({name: head for name, (head, _) in beside.items()})
        self.shares = {name: weight for name, (_, weight) in beside.items()}

    @property
    def stacks(self) -> dict[str, Stack]:
        """The stacks by name."""
        return {name: getattr(self, name) for name in self.names}

    def attentions(self) -> dict[str, Attention]:
        """Every attention by its address, in the order of the forward pass."""
        found = [module for module in self.modules() if isinstance(module, Attention)]
        return {module.address: module for module in found}

    @property
    def branches(self) -> bool:
        """Whether a row of its cache may hold a tree of texts: every attention asks of a key only what it is itself."""
        writer = self.stacks[self.head_stack]
        return isinstance(writer, Transformer) and all(
            branch.body.branches
            for layer in writer.each_layer()
            for _, branch in layer.branches()
            if isinstance(branch.body, Attention)
        )

    @property
    def beside(self) -> dict[str, tuple[ClassHead, float]]:
        """The heads of the tasks behind the first, by the streams of their labels, with their weights."""
        found = {}
        for name, head in self.others.items():
            assert isinstance(head, ClassHead)
            found[name] = head, self.shares[name]
        return found

    def states(self, batch: Batch, tap: Tap | None = None) -> States:
        """What the head reads."""
        return self.made(batch, tap)[self.head_stack]

    def made(self, batch: Batch, tap: Tap | None = None) -> dict[str, States]:
        made: dict[str, States] = {}
        for name, stack in self.stacks.items():
            made[name] = stack(batch[stack.field], made, tap)
        return made

    def forward(self, batch: Batch, tap: Tap | None = None) -> Tensor:
        """Logits: (b n c) at every place, or (b c) of a classification."""
        out: Tensor = self.head(self.states(batch, tap), tap)
        return out

    def losses(self, batch: Batch) -> Losses:
        """The loss of a batch and what is counted with it."""
        return self.losses_of(self.made(batch), batch)

    def losses_of(self, made: Mapping[str, States], batch: Batch) -> Losses:
        """The same of the states that all stacks have made of the batch."""
        losses = self.head.losses(made[self.head_stack], batch["labels"])
        costs = {address: cost for states in made.values() for address, cost in states.costs.items()}
        spans = {address: reach.cost() * losses.count for address, reach in self._reaches() if reach.loss}
        means = {address: mean * losses.count for states in made.values() for address, mean in states.means.items()}
        for name, (head, weight) in self.beside.items():
            other = head.losses(made[self.head_stack], batch[name])
            means[name] = weight * other.loss / other.count.clamp(min=1) * losses.count
        loads = {address: load for states in made.values() for address, load in states.loads.items()}
        return replace(losses.plus({**costs, **spans, **means}), loads=loads)

    def _reaches(self) -> Iterator[tuple[str, Adaptive]]:
        """The spans that heads learn, by the addresses of their attentions."""
        for address, attention in self.attentions().items():
            if attention.weighing.reach is not None:
                yield address, attention.weighing.reach

    def settle(self, loads: Mapping[str, Tensor]) -> None:
        """After an optimizer step: bring what it may have moved out of its bounds back into them, and move what follows
        the choices that fell on each expert in the step, by address.
        """
        for bounded in (module for module in self.modules() if isinstance(module, (Adaptive, Pope))):
            bounded.settle()
        clip_maps(module for module in self.modules() if isinstance(module, Attention))
        routed: dict[Router, Tensor] = {}
        for module in self.modules():
            if isinstance(module, Experts) and module.address in loads:
                load = loads[module.address]
                routed[module.router] = routed[module.router] + load if module.router in routed else load
        for router, load in routed.items():
            router.settle(load)

    def start(self, batch: Batch, *, rows: int = 1, capacity: int, tap: Tap | None = None) -> Cache:
        """Read the sources and make room for `capacity` tokens; each row of the batch becomes `rows` rows."""
        writer = self._writer()
        made: dict[str, States] = {}
        for name, stack in self.stacks.items():
            if stack is not writer:
                made[name] = stack(batch[stack.field], made, tap)
        return Cache(writer.start(made, rows=rows, capacity=capacity))

    def step(self, tokens: Stream, cache: Cache, tap: Tap | None = None) -> Tensor:
        """Logits (b n c) after each of the new tokens, which join the cache."""
        cache.places.append(tokens)
        writer, past = self._writer(), cache.past
        if isinstance(writer, Transformer):
            assert isinstance(past, TransformerPast)
            states = writer.step(tokens, past, cache.places, tap)
        else:
            assert isinstance(past, RecurrentPast)
            states = writer.step(tokens, past, cache.places, tap)
        out: Tensor = self.head(states)
        return out

    def _writer(self) -> Transformer | Decoder:
        writer = self.stacks[self.head_stack]
        assert not isinstance(writer, Encoder)
        return writer


def token_fields(run: Run) -> tuple[str, ...]:
    """The fields that some stack embeds, in the order of the stacks."""
    return tuple(stack.input.field for stack in run.model.stacks.values())


def build_model(run: Run, sizes: Sizes, device: str | torch.device = "cpu") -> Model:
    """The model of a spec on a device, its weights drawn from torch's global generator; "meta" takes no memory."""
    with torch.device(device), Undrawn():
        model = _assembled(run, sizes)
    _tie(model, run)
    if torch.device(device).type != "meta":
        depths = {name: _depth(stack) for name, stack in run.model.stacks.items()}
        initialise(model, run.model.init, depths=depths)
    if run.train.lora is not None:
        adapt(iter(model.stacks.items()), run.train.lora)
    return model


def _assembled(run: Run, sizes: Sizes) -> Model:
    stacks: dict[str, Stack] = {}
    widths: dict[str, int] = {}
    output = getattr(run.task, "output", None)
    points = isinstance(output, PointerGenerator)
    for name, stack in run.model.stacks.items():
        vocabulary = sizes.vocabularies[stack.input.field]
        writes = name == run.task.stack and isinstance(run.task, (Rewriting, LanguageModel))
        if isinstance(stack, Recurrent):
            stacks[name] = build_recurrent(
                name, stack, vocabulary=vocabulary, widths=widths, writes=writes, points=writes and points
            )
        else:
            stacks[name] = build_transformer(
                name, stack, vocabulary=vocabulary, widths=widths, deepnorm=run.model.deepnorm(name)
            )
        widths |= _widths(name, stack)
    writer = stacks[run.task.stack]
    if isinstance(output, PointerGenerator):
        assert not isinstance(writer, Encoder)
        if isinstance(writer, Transformer):
            writer.point()
        for built in stacks.values():
            built.input.extended = True
        classes = sizes.vocabularies[writer.field]
        pointer = PointerHead(d_input=writer.d_output, d_decides=writer.d_decides, classes=classes, bias=output.bias)
        return Model(stacks=stacks, head=pointer, head_stack=run.task.stack, beside={})
    tied = run.model.tie_embeddings in ("output", "all")
    head = build_head(
        run.task, name=run.task.stack, d_input=writer.d_output,
        d_logits=run.model.stacks[run.task.stack].input.d_embedding if tied else writer.d_output,
        vocabulary=sizes.vocabularies[writer.field], labels=sizes.labels,
    )  # fmt: skip
    beside: dict[str, tuple[ClassHead, float]] = {}
    for task in run.beside:
        other = build_class_head(task.pooling, d_input=writer.d_output, classes=2, smoothing=0.0)
        beside[task.kind] = other, task.weight or 1.0
    return Model(stacks=stacks, head=head, head_stack=run.task.stack, beside=beside)


def _widths(name: str, stack: spec.Stack) -> dict[str, int]:
    """The width of a stack's states, and of each summary of it that a bridge may start from."""
    if not isinstance(stack, Recurrent):
        return {name: stack.d_model, f"{name}.mean": stack.d_model}
    ways = 2 if isinstance(stack.direction, Both) else 1
    return {
        name: stack.d_output,
        f"{name}.mean": stack.d_output,
        f"{name}.final": stack.d_hidden * ways,
        f"{name}.backward": stack.d_hidden,
    }


def _depth(stack: spec.Stack) -> int:
    return stack.layers if isinstance(stack, Recurrent) else stack.depth


def _tie(model: Model, run: Run) -> None:
    """One matrix where the spec says so: the same Parameter in every place, counted and saved once."""
    ties = run.model.tie_embeddings
    writer = model.stacks[model.head_stack]
    if ties in ("inputs", "all"):
        first = next(iter(model.stacks.values()))
        for stack in model.stacks.values():
            stack.input.embedding.weight = first.input.embedding.weight
    if ties in ("output", "all") and isinstance(run.task, (Rewriting, LanguageModel, MaskedLanguageModel)):
        assert isinstance(model.head, TokenHead)
        model.head.output.weight = writer.input.embedding.weight
