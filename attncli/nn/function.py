"""torch's Function, for a backward pass that is written out, with the type that torch leaves out of `apply`."""

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:

    class Function(torch.autograd.Function):
        """torch's own class, as the type checker is to see it."""

        @classmethod
        def apply(cls, *given: Any) -> Any:
            """What `forward` gives."""

else:
    Function = torch.autograd.Function
