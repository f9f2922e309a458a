"""How large the calls of each attention are in a scene, as the planner of kernels is told them."""

from collections.abc import Iterator

from attncli.nn.kernels.plan import Size
from attncli.profiling.flops import Scene
from attncli.spec.attention import ATTENTIONS, CrossAttention
from attncli.spec.run import Run
from attncli.spec.stacks import Transformer


def calls_of(run: Run, scene: Scene) -> dict[str, Size]:
    """The size of a call by the address of its attention.

    Those of Transformers alone: how many steps a recurrent decoder takes at once is its own choice, and a stack that
    was read before the first token is written makes no calls while decoding.
    """
    return dict(pair for name, stack in run.model.stacks.items() for pair in _of_stack(name, stack, run, scene))


def _of_stack(name: str, stack: object, run: Run, scene: Scene) -> Iterator[tuple[str, Size]]:
    decoding = scene.phase == "decode"
    if not isinstance(stack, Transformer) or (decoding and name != run.task.stack):
        return
    queries = 1 if decoding else scene.lengths[name]
    for index, layer in enumerate(stack.expanded()):
        for each in layer.placed():
            if isinstance(each.part, ATTENTIONS):
                source = each.part.stack if isinstance(each.part, CrossAttention) else name
                keys = scene.lengths[source] + getattr(each.part, "persistent", 0)
                yield f"{name}.{index}.{each.address}", Size(scene.batch, queries, keys, near=not decoding)
