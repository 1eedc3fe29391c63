"""Data as people have them: the same numbers whatever holds them, and one sentence where it is not clear."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from latent_models import Conjugate, data_of

from aevb_utils.evaluation import elbo_terms, iwae_bound, mean_elbo_terms
from aevb_utils.evaluation.rows import as_rows
from aevb_utils.training import fit

X = data_of(Conjugate(), 6)
MASKED = np.ma.masked_array([[1.0, 2.0], [3.0, 999.0]], mask=[[0, 0], [0, 1]])


class Table:
    """What pandas' tables are to numpy: something that gives an array, here one that must not be written to."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        array = np.array(self.values, dtype=dtype)
        array.setflags(write=False)
        return array


CONTAINERS = {
    "array": lambda x: x.numpy(),
    "big-endian": lambda x: x.numpy().astype(">f8"),
    "Fortran": lambda x: np.asfortranarray(x.numpy()),
    "backwards": lambda x: x.numpy()[::-1, ::-1].copy()[::-1, ::-1],
    "nothing masked": lambda x: np.ma.masked_array(x.numpy(), mask=False),
    "table": lambda x: Table(x.numpy()),
    "rows of numbers": lambda x: x.tolist(),
    "rows of tensors": lambda x: list(x),
    "rows of arrays": lambda x: list(x.numpy()),
    "tuple of rows": lambda x: tuple(x.tolist()),
    "part of a graph": lambda x: x.clone().requires_grad_(),
}


@given(st.sampled_from(sorted(CONTAINERS)), st.integers(1, 6), st.integers(0, 3))
def test_any_container_gives_the_bits_of_a_tensor(name, rows, seed):
    x, model = X[:rows], Conjugate()
    held = CONTAINERS[name](x)
    options = {"num_samples": 3, "seed": seed}
    assert torch.equal(iwae_bound(model, held, **options), iwae_bound(model, x, **options))
    for function in (elbo_terms, mean_elbo_terms):
        expected = function(model, x, **options)
        assert all(torch.equal(value, expected[name]) for name, value in function(model, held, **options).items())


@pytest.mark.parametrize("name", sorted(CONTAINERS.keys() - {"rows of numbers", "rows of tensors", "rows of arrays"}))
def test_a_training_on_any_container_is_that_on_a_tensor(name):
    def trained(data):
        model = Conjugate(dropout=0.2)
        fit(model, data, optimizer=torch.optim.Adam(model.parameters()), epochs=2, batch_size=4, held_out=data)
        return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

    held = CONTAINERS[name](X)
    assert torch.equal(trained((held,) if name == "tuple of rows" else held), trained(X))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([1, 2], np.uint16), torch.tensor([1, 2])),
        (np.array([1, 2**32 - 1], np.uint32), torch.tensor([1, 2**32 - 1])),
        (np.array([1, 2**62], np.uint64), torch.tensor([1, 2**62])),
        (np.array([0, 255], np.uint8), torch.tensor([0, 255], dtype=torch.uint8)),
        (np.array([True, False]), torch.tensor([True, False])),
        (np.array([1, -2], ">i4"), torch.tensor([1, -2], dtype=torch.int32)),
        (np.array([0.5], np.longdouble), torch.tensor([0.5], dtype=torch.float64)),
        ([1, 2], torch.tensor([1, 2])),
        ([0.1, 2], torch.tensor([0.1, 2.0])),
        ([np.float64(0.1)], torch.tensor([0.1], dtype=torch.float64)),
        (range(3), torch.tensor([0, 1, 2])),
    ],
    ids=lambda value: type(value).__name__,
)
def test_numbers_keep_their_values(values, expected):
    (tensor,) = as_rows(values, "x")
    assert tensor.dtype == expected.dtype
    assert torch.equal(tensor, expected)


def test_numbers_of_python_take_the_format_of_the_model():
    (tensor,) = as_rows(([[0.1, 1], [2, 3]],), "x", torch.float64)
    assert torch.equal(tensor, torch.tensor([[0.1, 1], [2, 3]], dtype=torch.float64))


def test_x_and_its_context_may_be_of_different_kinds():
    x, labels = as_rows((np.ones((2, 3), np.float32), [1, 0]), "data")
    assert (x.shape, x.dtype, labels.tolist()) == ((2, 3), torch.float32, [1, 0])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1.0, 2.0], [3.0, 4.0]], r"whose entries may be the rows of x, or x and its context: give one tensor"),
        ([X, X], r"or x and its context: give one tensor, by torch.tensor\(data\) or torch.stack\(data\), if"),
        (MASKED, r"data is an array with 1 masked entries, .* fill them, as by data.filled\(0\)"),
        ((X[:2], list(MASKED)), "the context is an array with 1 masked entries"),
        (([[1.0, 2.0], [3.0]],), "x is a list, but no table of numbers: expected sequence of length 2"),
        (([1.0, None],), "x is a list, but no table of numbers: Could not infer dtype of NoneType"),
        (([np.ones(2), np.ones(3)],), "x is a list, but no table of numbers: setting an array element"),
        ((X[:2], X[:2], ["a", "b"]), "part 2 of the context is a list, but no table of numbers"),
        (np.array([1, None]), r"data holds object, which are no real numbers.* as by data.astype\(float\)"),
        (np.array(["a"]), "data holds <U1, which are no real numbers"),
        (np.array([1j]), "data holds complex128, which are no real numbers"),
        (np.array([2**64 - 1], np.uint64), "data holds uint64 that do not fit into int64"),
        (torch.eye(2).to_sparse(), r"data is a sparse or complex tensor: convert it, as by data.to_dense\(\)"),
        (torch.tensor(1.0), r"data must have a row for each datum, not be a single number: x\[None\] makes one row"),
        ((X, np.float64(1.0)), "data must have a row for each datum, not be a single number"),
        ("text", "data must be a tensor, an array, or a list of numbers, not a str"),
        ({"x": X}, "not a dict; x and its context together are a tuple"),
        ((1.0, 2.0), "x must be a tensor, an array, or a list of numbers, not a float"),
        (None, "not a NoneType"),
        ([], r"the same number of rows, at least one, but they have \[0\]"),
        ((), r"the same number of rows, at least one, but they have \[\]"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else type(value).__name__,
)
def test_what_is_not_clear_is_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        as_rows(rows, "data")
