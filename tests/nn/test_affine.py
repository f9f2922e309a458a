"""The products of linear maps over many rows, against torch's own in float64."""

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.nn import functional as F

from attncli.nn.affine import Linear
from attncli.nn.kernels import affine

ROWS = (3, 300)
needs_onednn = pytest.mark.skipif(not affine.THERE, reason="torch was built without oneDNN")


@needs_onednn
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("learns", ["x weight bias", "x", "weight"])
def test_a_map_and_its_gradients_are_torchs_to_rounding(bias: bool, learns: str) -> None:
    torch.manual_seed(0)
    linear, x, grad = Linear(40, 24, bias=bias), torch.randn(*ROWS, 40), torch.randn(*ROWS, 24)
    own = {"x": x, **dict(linear.named_parameters())}
    for name, tensor in own.items():
        tensor.requires_grad_(name in learns)
    assert affine.serves(x, linear.weight)
    exact = {name: tensor.detach().double().requires_grad_(tensor.requires_grad) for name, tensor in own.items()}
    out, expected = linear(x), F.linear(exact["x"], exact["weight"], exact.get("bias"))
    out.backward(grad)
    expected.backward(grad.double())
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=1e-5)
    for name, tensor in own.items():
        assert (tensor.grad is None) == (exact[name].grad is None)
        if tensor.grad is not None:
            torch.testing.assert_close(tensor.grad.double(), exact[name].grad, rtol=0, atol=1e-4)


@needs_onednn
def test_gradients_that_are_no_row_after_row_and_maps_that_are_transposed() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(800, 40, requires_grad=True), torch.randn(40, 24, requires_grad=True)
    affine.affine(x, weight.t(), None).sum().backward()  # sums give a gradient that is one number, expanded
    torch.testing.assert_close(x.grad, weight.detach().sum(1).expand(800, 40), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(weight.grad, x.detach().sum(0).unsqueeze(1).expand(40, 24), rtol=1e-5, atol=1e-4)


def test_few_rows_other_types_and_autocast_are_torchs() -> None:
    x, weight = torch.randn(affine.FEWEST, 8), torch.randn(4, 8)
    assert affine.serves(x, weight) == affine.THERE
    assert not affine.serves(x[1:], weight)
    assert not affine.serves(x.double(), weight.double())
    assert not affine.serves(x.to("meta"), weight.to("meta"))
    assert torch.equal(affine.affine(x[1:], weight, None), F.linear(x[1:], weight))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not affine.serves(x, weight)
        assert affine.affine(x, weight, None).dtype is torch.bfloat16


@needs_onednn
def test_one_compiled_graph_does_for_any_number_of_rows() -> None:
    """With the graphs of both passes run as they are traced."""
    torch.manual_seed(0)
    linear, graphs = Linear(16, 24), CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(lambda x: linear(x).square().sum(), backend=graphs, fullgraph=True, dynamic=True)
    for rows in (90, 500, 900, 3000):
        x, found = torch.randn(rows, 16, requires_grad=True), []
        for made in (compiled, lambda x: linear(x).square().sum()):
            x.grad = linear.weight.grad = linear.bias.grad = None
            made(x).backward()
            found.append([x.grad, linear.weight.grad, linear.bias.grad])
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3)
    assert graphs.frame_count == 1
