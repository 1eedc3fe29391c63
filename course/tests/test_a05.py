"""Assignment 5: the references agree with the evidence, with many draws, with an integral, and with scipy."""

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from course.assignments.a05 import checks as a05


def all_of(function, student="ada"):
    return [c.args for c in a05.checks(student, "salt", "secret") if c.function == function]


def test_at_the_posterior_the_summed_elbo_is_the_evidence():
    for _, reconstruction, kl, log_prior, allowed in all_of("summed_elbo"):
        joint = reconstruction - kl + log_prior
        prior = log_prior.expand_as(joint).masked_fill(allowed == 0, -torch.inf).log_softmax(1)
        evidence = (reconstruction - kl + prior).logsumexp(1)
        assert torch.allclose(a05.summed_elbo(joint, reconstruction, kl, log_prior, allowed), evidence)


def test_relaxed_labels_have_the_density_that_is_said():
    logit, temperature = torch.tensor([[0.8]], dtype=torch.float64), 0.6
    y = torch.linspace(1e-6, 1 - 1e-6, 200_001, dtype=torch.float64)[:, None]
    density = a05.relaxed_log_density(y, logit.expand_as(y), temperature).exp()
    below = torch.cumulative_trapezoid(density, y[:, 0])
    assert below[-1].item() == pytest.approx(1, abs=1e-3)
    u = torch.rand(100_000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = a05.relaxed_sample(logit.expand_as(u), u, temperature)
    for share in (0.1, 0.5, 0.9):
        at = int(share * 200_000)
        assert (drawn < y[at]).double().mean().item() == pytest.approx(below[at - 1].item(), abs=0.01)
    assert (drawn > 0.5).double().mean().item() == pytest.approx(logit.sigmoid().item(), abs=0.01)


def test_information_averages_to_the_mutual_information():
    g = torch.Generator().manual_seed(0)
    table = torch.rand(6, 4, generator=g, dtype=torch.float64)
    joint = table / table.sum()  # p(x, y)
    px, py = joint.sum(1), joint.sum(0)
    mutual = (joint * (joint / (px[:, None] * py)).log()).sum()
    assert torch.allclose((px * a05.label_information((joint / py).log(), py.log())).sum(), mutual)


def test_accuracy_is_that_of_the_hungarian_method():
    for clusters, labels in all_of("cluster_accuracy"):
        size = int(max(clusters.max(), labels.max())) + 1
        table = torch.zeros(size, size)
        for label, cluster in zip(labels, clusters, strict=True):
            table[label, cluster] += 1
        rows, columns = linear_sum_assignment(-table.numpy())
        right = table[rows, columns].sum().item()
        assert a05.cluster_accuracy(clusters, labels) == pytest.approx(right / len(labels))


def test_a_digit_is_not_found_in_the_data_set():
    known = {tuple(row) for row in a05.all_digits()[0].tolist()}
    for images, _, _ in all_of("train"):
        assert sum(tuple(row) in known for row in images.tolist()) < len(images) / 50
