"""Every number of a quiz, right or wrong, is computed here once more from what its item says."""

from math import exp, log, log2, log10, pi, sqrt

import pytest

from course.engine import quiz
from course.engine.assignments import COURSE


def gaussian_kl(variance, other):
    """KL(N(0, variance) || N(0, other)) in nats."""
    return 0.5 * (variance / other - 1 - log(variance / other))


def discrete_kl(q, p):
    return sum(a * log(a / b) for a, b in zip(q, p, strict=True))


def weighted_variance(x, weights, mean):
    return sum(w * (value - mean) ** 2 for w, value in zip(weights, x, strict=True)) / sum(weights)


def diagonal_price(diagonal, beside):
    """What the best diagonal q costs where the posterior has this precision, eq. (3.16)."""
    return 0.5 * (log(diagonal[0]) + log(diagonal[1]) - log(diagonal[0] * diagonal[1] - beside**2))


def steps_until(share, rate):
    """The first whole number of steps after which at most this share is left."""
    return next(k for k in range(1000) if rate**k <= share)


def encoder_gradient(x=2.0, noise=0.5, kl=-1.0, chain=True):
    """The gradient of (6.10) in V, eq. (6.12), at the item's values; ``kl`` is the sign of the KL's part."""
    mean = 0.25 * x
    z = mean + 0.5 * 1.0
    return ((x - z) / noise + kl * mean) * (x if chain else 1.0)


def filtered(mean=0.8, variance=0.64 * 0.25 + 0.36, noise=0.5):
    """The filter's mean after x = 2, eq. (10.4)."""
    return mean + variance / (variance + noise) * (2 - mean)


def chain_price(r):
    """What mean-field costs a year of a long chain, eq. (11.14)."""
    return 0.5 * log(2 / (1 + sqrt(1 - r**2)))


THREE, WEIGHTS = (0, 2, 6), (1, 0.5, 0.5)
WITHOUT, WITH = 9 * 3 + 100, 9 * 3  # the mean squares of (3 ε + 10) ε and of 3 ε²
LOG_WEIGHTS = (-100, -102, -101)
LOG_SUM = log(sum(exp(value + 100) for value in LOG_WEIGHTS)) - 100
HALF = (0.5, 0.5)
FLAT = -log(2 * pi)  # of the standard Gaussian of the plane at the origin; half a nat less at (0, 1)
NUMBERS = {
    "q01-kl": [
        discrete_kl(HALF, (0.8, 0.2)),
        discrete_kl((0.8, 0.2), HALF),
        discrete_kl(HALF, (0.8, 0.2)) / log(2),
        -discrete_kl(HALF, (0.8, 0.2)),
        0.8 - 0.5,
    ],
    "q02-variance": [
        weighted_variance(THREE, WEIGHTS, 2),
        weighted_variance(THREE, WEIGHTS, 2) * 2 / 3,
        weighted_variance(THREE, WEIGHTS, 8 / 3),
        weighted_variance(THREE, (1, 1, 1), 8 / 3),
        weighted_variance(THREE, WEIGHTS, 2) * 2 / (2 - 1),
    ],
    "q02-border": [2 + log(9) / 4, 2, 2 - log(9) / 4, 0.1 * 4, 2 + log10(9) / 4],
    "q02-rate": [steps_until(0.01, 0.8**2), steps_until(0.01, 0.8), steps_until(0.01, 0.2**2), 10],
    "q03-forward": [0.25 + 3**2, 0.25, 3**2, sqrt(0.25 + 3**2)],
    "q03-diagonal": [diagonal_price((3, 3), 2), 2 * diagonal_price((3, 3), 2), diagonal_price((2, 2), 1), 0],
    "q04-table": [8580 // 20 + 1, 8580 // 10 + 1, 8580 // 65 + 1, 8580 + 1],
    "q04-width": [gaussian_kl(4, 1), gaussian_kl(1, 4), 2 * gaussian_kl(4, 1), gaussian_kl(2, 1), 0],
    "q05-baseline": [(WITHOUT - 9) / (WITH - 9), WITHOUT / WITH, sqrt((WITHOUT - 9) / (WITH - 9)), 1],
    "q05-budget": [(8 / 5 + 2) / 10, (8 + 2) / 50, 8 / 50, (8 + 2) / 10],
    "q05-stall": [0.04 * 2 / 10, 0.04 / 10, 0.04 * 2, 0.04 * 2 / sqrt(10), 0],
    "q06-encoder-step": [
        encoder_gradient(),
        encoder_gradient(kl=0),
        encoder_gradient(kl=1),
        encoder_gradient(noise=1),
        encoder_gradient(chain=False),
    ],
    "q06-price": [0, diagonal_price((5, 2), 2), 2 * diagonal_price((5, 2), 2)],
    "q07-iwae": [LOG_SUM - log(3), sum(LOG_WEIGHTS) / 3, LOG_SUM, max(LOG_WEIGHTS)],
    "q07-noise": [1 / (1 + 24), 1 / 24, sqrt(1 / (1 + 24)), 1 + 24],
    "q07-information": [log(1000), 15, log2(1000), 15 - log(1000)],
    "q08-worth": [log(0.4 * 4), log(4), log(0.4), log2(0.4 * 4), 0.4 - 1 / 4],
    "q08-covariance": [(0.8**2 + 0.2**2) / 2 - 0.5**2, 0, 0.8 * 0.2, 0.5 * 0.5, (0.8**2 + 0.2**2) / 2],
    "q09-constant": [-80 - log(20), -80, -80 + log(20), -80 - log2(20)],
    "q09-race": [3 / 4, 3**2 / (1 + 3**2), sqrt(3) / (1 + sqrt(3)), 0.5],
    "q10-filter": [
        filtered(),
        1 + 0.52 / 1.02 * (2 - 1),
        filtered(variance=0.25),
        filtered(noise=sqrt(0.5)),
        2,
    ],
    "q10-padding": [8 * (10 + 30) / (30 + 30), 8, 8 * (10 + 30) / 30, 8 / 2],
    "q11-gap": [chain_price(1 / (1 + 0.5 / 2)), 2 * chain_price(0.8), chain_price(1 / (1 + 0.5)), chain_price(1)],
    "q11-weights": [1.6**2 / (1 + 3 * 0.04), 4, 1.6, 1.6**2 / (1 + 3 * 0.04) / 4],
    "q12-snr": [0.3 / sqrt(100), 0.3 * sqrt(100), 0.3, 0.3 / 100],
    "q12-coupling": [FLAT - 0.7, FLAT, FLAT + 0.7, FLAT - 0.5 - 0.7, FLAT - 0.5],
    "q10-chord": [0.5 * 0.5 + 0.5 * 0.5, 1, 0.5 * 0.5, 1 - 0.5 * 0.5],
}
ITEMS = {item.key: item for path in (COURSE / "quizzes").glob("*.yml") for item in quiz.load(path).items}


def test_each_numeric_item_is_computed():
    assert {key for key, item in ITEMS.items() if item.numeric} == set(NUMBERS)


@pytest.mark.parametrize("key", NUMBERS)
def test_the_numbers_are_those_of_the_calculation(key):
    item = ITEMS[key]
    said = [float(text) for text in (item.right, *(wrong.text for wrong in item.wrong))]
    assert said == pytest.approx(NUMBERS[key], abs=0.6 * float(f"1e-{decimals(item)}"))
    assert abs(said[0] - NUMBERS[key][0]) <= item.tolerance


def decimals(item):
    """To how many decimals the item's numbers are written; half a unit of the last one is rounding."""
    return max(len(text.partition(".")[2]) for text in (item.right, *(wrong.text for wrong in item.wrong)))
