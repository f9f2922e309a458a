"""Which part of a model is at work: its calls are wrapped for a while, and each entry and exit is told.

An attention is entered through three doors (`ask`, `read`, `attend`) and a branch through `enter`, `join` and `close`,
so forward hooks would not see them. Outside the `with` block the model is what it was.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch import nn

from attncli.nn.attention import Attention
from attncli.nn.layers import Branch, Layer
from attncli.nn.model import Model
from attncli.nn.recurrent_decoder import Decoder
from attncli.profiling.count import address_of

Span = Callable[[str], AbstractContextManager["Outcome"]]
"""Opens a span of the address given; what the call returns is put into its outcome."""


class Outcome:
    """What a wrapped call returned."""

    result: Any = None


@contextmanager
def spanned(model: Model, span: Span) -> Iterator[None]:
    """Have every call of a part run inside `span(address)`."""
    wrapped = []
    try:
        for owner, method, address in _doors(model):
            owner.__dict__[method] = _within(getattr(owner, method), span, address)
            wrapped.append((owner, method))
        yield
    finally:
        for owner, method in wrapped:
            owner.__dict__.pop(method, None)


def _within(call: Callable[..., Any], span: Span, address: str) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        with span(address) as outcome:
            outcome.result = call(*args, **kwargs)
        return outcome.result

    return run


def _doors(model: Model) -> Iterator[tuple[nn.Module, str, str]]:
    """Every method through which a part is entered: the module, the method and the part's address."""
    for name, module in model.named_modules():
        address = address_of(name) if "." in name else name
        match module:
            case Attention():
                yield from ((module, method, address) for method in ("ask", "read", "attend"))
            case Branch():
                yield from ((module, method, address) for method in ("enter", "join", "close"))
            case Decoder():
                # steps run one by one do not call the cell's own forward
                yield from ((module, method, f"{name}.rnn") for method in ("_cells", "_cell", "_looped"))
            case Layer() | nn.ModuleList() | nn.Identity() | Model():
                pass
            case _ if name.count(".") == 1 and not name.startswith(("head.", "others.")):
                yield module, "forward", address
            case _ if name.endswith(".body"):
                yield module, "forward", address
    for address, head in (("head", model.head), *model.others.items()):
        yield from ((head, method, address) for method in ("forward", "logits", "losses") if hasattr(head, method))
