"""The fake device refuses what a real one refuses, and lets through what a real one lets through."""

import copy

import numpy as np
import pytest
import torch
from fake_device import FakeDevice, MixedDevicesError
from torch import nn


def there(*shape):
    return torch.ones(shape, device="cuda")


MIXES = {
    "sum": lambda: there(3) + torch.zeros(3),
    "in place": lambda: there(3).add_(torch.zeros(3)),
    "into the CPU": lambda: torch.zeros(3).add_(there(3)),
    "a number of the CPU that is written to": lambda: torch.zeros(()).add_(there()),
    "a number of the device": lambda: torch.zeros(3) * there(),
    "product of matrices": lambda: there(3, 3) @ torch.zeros(3, 3),
    "list": lambda: torch.stack([there(3), torch.zeros(3)]),
    "list with a number": lambda: torch.stack([there(), torch.zeros(())]),
    "fused": lambda: torch.einsum("i,j->ij", there(2), torch.zeros(2)),
    "CPU by an index": lambda: torch.zeros(3)[there(2).long()],
    "gather": lambda: there(3).gather(0, torch.zeros(2, dtype=torch.int64)),
    "gather by a number": lambda: there().gather(0, torch.tensor(0)),
    "index_select": lambda: there(3).index_select(0, torch.tensor([1])),
    "values for some entries": lambda: there(3).index_put_((torch.tensor([1]),), torch.zeros(1)),
    "where": lambda: torch.where(torch.tensor([True]), there(1), there(1)),
    "from numpy": lambda: there(3) + torch.from_numpy(np.zeros(3)),
    "a layer of the CPU": lambda: nn.Linear(3, 2)(there(3)),
    "data of the CPU": lambda: nn.Linear(3, 2).to("cuda")(torch.zeros(3)),
    "a factory without a device": lambda: there(3).diag() + torch.eye(3),
    "a generator of the CPU": lambda: torch.randn(3, device="cuda", generator=torch.Generator()),
    "a generator of the CPU, in place": lambda: there(3).normal_(generator=torch.Generator()),
    "gradient": lambda: setattr(there(3).requires_grad_(), "grad", torch.zeros(3)),
    "in a backward pass": lambda: Backward.apply(there(3).requires_grad_()).sum().backward(),
    "another device": lambda: torch.zeros(3, device="mps"),
}


class Backward(torch.autograd.Function):
    """Its gradient is computed with numbers of the CPU."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * torch.full((3,), 2.0)


@pytest.mark.parametrize("mix", MIXES)
def test_it_refuses(mix):
    with FakeDevice("cuda"), pytest.raises(MixedDevicesError):
        MIXES[mix]()


@pytest.mark.parametrize("convert", [torch.Tensor.numpy, np.asarray, lambda x: np.linalg.norm(x)])
def test_it_has_no_numpy(convert):
    with FakeDevice("cuda"), pytest.raises(TypeError, match=r"can't convert cuda:0 device type tensor to numpy"):
        convert(there(3))


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.zeros(3, device="mps", dtype=torch.float64),
        lambda: torch.zeros(3, dtype=torch.float64).to("mps"),
        lambda: torch.zeros(3, device="mps").double(),
        lambda: torch.zeros(3, device="mps").mean(dtype=torch.float64),
        lambda: torch.tensor([0.5], device="mps", dtype=torch.float64),
        lambda: nn.Linear(2, 3, dtype=torch.float64).to("mps"),
    ],
)
def test_apple_s_has_no_float64(make):
    with FakeDevice("mps"), pytest.raises(TypeError, match="float64"):
        make()


def test_what_a_device_lets_through():
    with FakeDevice("cuda") as device:
        x, i = there(3), torch.tensor([2, 0])
        results = [x + 1, x * torch.tensor(2.0), x[i], x[[0, 1]], x[x > 0], torch.where(x > 0, x, 0.0), x.new_zeros(2)]
        results += [
            torch.empty(3).to(x),
            torch.as_tensor([1.0], device=x.device),
            torch.zeros_like(x),
            x.type(torch.int64),
        ]
        results += [copy.deepcopy(x), nn.Parameter(x), x.view(3, 1), x.detach(), x.new_tensor([1.0]), *x.split(2)]
        x[i] = 5.0
        x[i] = torch.tensor(6.0)
        x[i] = torch.ones(2, device="cuda")
        results.append(torch.empty(3, device="cuda").copy_(torch.zeros(3)))
        assert {result.device for result in results} == {torch.device("cuda", 0)}
        assert all(device.holds(result) and result.is_cuda for result in results)
        back = [x.cpu(), x.to("cpu"), x.to(torch.zeros(1)), torch.zeros(3).copy_(x), torch.tensor(x.tolist())]
        assert {result.device for result in back} == {torch.device("cpu")}
        assert float(x.sum()) == x.sum().item()


def test_to_and_back_is_differentiable_and_gradients_that_are_not_there_are_zeros():
    x = torch.ones(4, requires_grad=True)
    with FakeDevice("cuda"):
        first, _ = (x.to("cuda") * 3).chunk(2)
        first.cpu().sum().backward()
        assert x.grad.device.type == "cpu"
    assert x.grad.tolist() == [3.0, 3.0, 0.0, 0.0]


def test_after_the_block_all_is_as_it_was():
    is_available = torch.cuda.is_available
    with FakeDevice("cuda"):
        x = there(3)
        assert torch.cuda.is_available()
    assert torch.cuda.is_available is is_available
    assert x.device.type == "cpu"  # which it has always been


def test_a_generator_of_its_own():
    torch.manual_seed(0)
    with FakeDevice("cuda", own_generator=True):
        before = torch.random.get_rng_state()
        first = torch.randn(3, device="cuda").tolist()
        assert torch.equal(torch.random.get_rng_state(), before)
        assert torch.randn(3, device="cuda").tolist() != first
        torch.cuda.manual_seed(5)
        seeded = torch.randn(3, device="cuda").tolist()
        torch.cuda.manual_seed(5)
        assert torch.randn(3, device="cuda").tolist() == seeded
