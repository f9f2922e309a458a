"""Dropout: which units fall, what the others become, and from what the draw follows."""

import pytest
import torch

from attncli.nn.dropout import drop

SIZE = (103, 1009)  # no multiple of the four units that one draw decides


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.97])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_units_are_zero_in_the_share_asked_for_and_the_mean_stays(rate, dtype):
    torch.manual_seed(3)
    given = torch.ones(SIZE, dtype=dtype, requires_grad=True)
    found = drop(given, rate, True)
    kept = found != 0
    spread = (rate * (1 - rate) / kept.numel()) ** 0.5
    assert float((~kept).double().mean()) == pytest.approx(rate, abs=5 * spread + 2**-17)
    assert found[kept].unique().tolist() == pytest.approx([1 / (1 - round(rate * 2**16) / 2**16)], rel=1e-6)
    (grad,) = torch.autograd.grad(found.sum(), given)
    assert torch.equal(grad, found)


def test_units_fall_apart_from_each_other():
    torch.manual_seed(4)
    fallen = (drop(torch.ones(4000, 4), 0.3, True) == 0).double()
    assert torch.allclose(torch.corrcoef(fallen.T), torch.eye(4, dtype=torch.float64), atol=0.08)


def test_the_generator_of_torch_decides():
    def drawn(seed):
        torch.manual_seed(seed)
        return drop(torch.ones(SIZE), 0.5, True)

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


@pytest.mark.parametrize(("rate", "training"), [(0.0, True), (0.5, False)])
def test_nothing_falls(rate, training):
    given = torch.ones(5)
    assert drop(given, rate, training) is given


@pytest.mark.parametrize("rate", [1e-7, 1.0])
def test_shares_too_near_to_none_or_all_for_sixteen_bits(rate):
    assert drop(torch.ones(50), rate, True).tolist() == pytest.approx([0.0 if rate == 1 else 1.0] * 50)
