"""Models of other fields under ``check_model``: they pass, and the first sentence says of each slip what it is."""

import re

import pytest
import torch
from field_models import Censored, Frailty, MixedLogistic, Topics, with_rows
from torch import nn
from torch.distributions import Bernoulli, Dirichlet, Distribution, Independent, LogisticNormal, Multinomial, Normal

from aevb_utils.checking import check_model
from aevb_utils.models.vae import AutoEncodingModel
from aevb_utils.training import fit

MODELS = (Frailty, Topics, MixedLogistic)
PLANTED: dict[type, str] = {}


def says(sentence):
    """Put a model with a mistake, and all that check_model says first of it, into the table; LINE is where it is."""

    def enter(model):
        PLANTED[model] = sentence
        return model

    return enter


# Survival times


class NoSupportOfItsOwn(Censored):
    support = property(lambda self: Distribution.support.fget(self))


@says(
    "NoSupportOfItsOwn (LINE), which p_x_given_z (LINE) returns, has no support: give the class a property "
    "`support`, the values that a row can have, such as constraints.independent(constraints.nonnegative, 1)."
)
class WithoutSupport(Frailty):
    def p_x_given_z(self, z, ended, there):
        right = super().p_x_given_z(z, ended, there)
        return NoSupportOfItsOwn(right.log_rate, right.shape, ended, there)


@says(
    "The model stopped with NotImplementedError: torch has no formula for the KL of LogNormal and Gamma: "
    "sample it, as the mean of log p(z) − log q(z | x) at the same z as the reconstruction (the template says "
    "how)."
)
class KLLeftToTorch(Frailty):
    elbo_terms = AutoEncodingModel.elbo_terms


class LogOfEmptyPlaces(Censored):
    def log_prob(self, x):
        log_hazard = self.log_rate + self.shape.log() + (self.shape - 1) * x.log()
        return (self.there * (self.ended * log_hazard - self.log_rate.exp() * x**self.shape)).sum(dim=-1)


@says(
    "log_prob of LogOfEmptyPlaces (LINE), which p_x_given_z (LINE) returns, is not finite: look for the log "
    "or the inverse of a number near 0."
)
class TimesOfZero(Frailty):
    def p_x_given_z(self, z, ended, there):
        right = super().p_x_given_z(z, ended, there)
        return LogOfEmptyPlaces(right.log_rate, right.shape, ended, there)


class NotSummed(Censored):
    def log_prob(self, x):
        return self.log_rate * x


@says(
    "log_prob of NotSummed (LINE), which p_x_given_z (LINE) returns, should have the shape (8,), but has (8, "
    "5): sum over the dimensions of x and z, keep the batch's, and do not squeeze."
)
class ANumberForEachTime(Frailty):
    def p_x_given_z(self, z, ended, there):
        right = super().p_x_given_z(z, ended, there)
        return NotSummed(right.log_rate, right.shape, ended, there)


class OnlyADensity(Censored):
    sample = Distribution.sample

    def log_prob(self, x):
        return super().log_prob(x)


@says(
    "The same seed gives the same bits, and another seed another sample. → It stopped with NotImplementedError: "
    "OnlyADensity (LINE) has no sample: write it in the class."
)
class WithoutSample(Frailty):
    def p_x_given_z(self, z, ended, there):
        right = super().p_x_given_z(z, ended, there)
        return OnlyADensity(right.log_rate, right.shape, ended, there)


class NoDistribution:
    def log_prob(self, x):
        return x.sum(dim=-1)


@says("p_x_given_z (LINE) should return a torch.distributions object, but returns a NoDistribution.")
class AClassOfItsOwn(Frailty):
    def p_x_given_z(self, z, ended, there):
        return NoDistribution()


@says("q_z_given_x (LINE) should return a torch.distributions object, but returns nothing.")
class ForgottenReturn(Frailty):
    def q_z_given_x(self, x, ended, there):
        super().q_z_given_x(x, ended, there)


# Topics


@says(
    "p_x_given_z (LINE) is a Multinomial with the total 1, and row 0 of x adds up to 29: torch's has one "
    "total for all rows; where yours differ, write a distribution of your own, with log_prob(x) = lgamma(n + "
    "1) − Σ lgamma(x + 1) + Σ x log π for n = Σ x."
)
class OneTotal(Topics):
    def p_x_given_z(self, z, total):
        return Multinomial(1, z @ self.words.softmax(dim=-1))


@says(
    "p_z (LINE) is a distribution of the shape (3,), and z of q has the shape (8, 4): the prior and q are of "
    "one and the same z (a LogisticNormal of L numbers has L + 1 shares)."
)
class AShareTooMany(Topics):
    def q_z_given_x(self, x, total):
        m = self.words.sum(dim=-1).expand(len(x), 3)
        return LogisticNormal(m, torch.ones_like(m))


@says(
    "The model stopped with NotImplementedError: LogisticNormal has no mean: take that of samples, as "
    ".sample((1000,)).mean(dim=0) (LINE, in elbo_terms: z = q.mean)."
)
class MeanOfLogisticNormal(Topics):
    def elbo_terms(self, x, total, *, num_samples=1):
        q = self.q_z_given_x(x, total)
        z = q.mean
        return {"reconstruction": self.p_x_given_z(z, total).log_prob(x), "minus_kl": -q.log_prob(z)}


@says(
    "The model stopped with ValueError: Independent finds no dimension to take: a Dirichlet, a LogisticNormal "
    "or a MultivariateNormal is one distribution for a whole row already, so leave Independent out (LINE, in "
    "p_z: return Independent(Dirichlet(self.log_alpha.exp()), 1))."
)
class WrappedOnceTooOften(Topics):
    def p_z(self):
        return Independent(Dirichlet(self.log_alpha.exp()), 1)


@says(
    "A row has the same q(z | x), p(x | z) and terms of the ELBO alone as in the company of other rows. → q(z "
    "| x) of row 5 is another alone than in the batch: its log density is 1.899 alone and 2.033 in company. "
    "Look at the encoder: does it use the batch's mean or another statistic of it (BatchNorm that is never in "
    "evaluation mode), a softmax or a norm over the batch's dimension, a mean over the rows, or their number?"
)
class SharesOfTheBatch(Topics):
    def q_z_given_x(self, x, total):
        return super().q_z_given_x(x / x.sum(), total)


# A mixed logistic regression


@says(
    "p_z (LINE) is not wrapped in Independent: its batch shape is (1,), a distribution for each number; wrap "
    "it in Independent(…, 1), which has the batch shape ()."
)
class PriorNotWrapped(MixedLogistic):
    def p_z(self):
        return super().p_z().base_dist


@says(
    "p_z (LINE) is not wrapped in Independent, and is a distribution of single numbers: give it parameters of "
    "the shape (1,), and wrap it in Independent(…, 1)."
)
class PriorOfANumber(MixedLogistic):
    def p_z(self):
        return Normal(0.0, self.log_sigma.exp())


@says(
    "p_x_given_z (LINE) is not wrapped in Independent: its batch shape is (8, 5), a distribution for each "
    "number; wrap it in Independent(…, 1), which has the batch shape (8,)."
)
class LikelihoodNotWrapped(MixedLogistic):
    def p_x_given_z(self, z, covariate):
        return super().p_x_given_z(z, covariate).base_dist


@says(
    "q_z_given_x (LINE) is not wrapped in Independent: its batch shape is (8, 1), a distribution for each "
    "number; wrap it in Independent(…, 1), which has the batch shape (8,)."
)
class QNotWrapped(MixedLogistic):
    def q_z_given_x(self, x, covariate):
        return super().q_z_given_x(x, covariate).base_dist


@says(
    "q_z_given_x (LINE) should be one distribution for each row, batch shape (8,), but has (): Independent "
    "took the rows too; give it the number of dimensions of one row."
)
class RowsWrappedToo(MixedLogistic):
    def q_z_given_x(self, x, covariate):
        return Independent(super().q_z_given_x(x, covariate).base_dist, 2)


@says(
    "The model stopped with RuntimeError: The size of tensor a (8) must match the size of tensor b (5) at "
    "non-singleton dimension 1 (LINE, in p_x_given_z: return Independent(Bernoulli(logits=z.squeeze(-1) + "
    "self.b[1] * covariate), 1))."
)
class Squeezed(MixedLogistic):
    def p_x_given_z(self, z, covariate):
        return Independent(Bernoulli(logits=z.squeeze(-1) + self.b[1] * covariate), 1)


@says(
    "p_x_given_z (LINE) is a distribution of the shape (8, 1), and x has the shape (8, 5): give it as many "
    "outputs as a row of x has numbers."
)
class OneOutcome(MixedLogistic):
    def p_x_given_z(self, z, covariate):
        return Independent(Bernoulli(logits=z + self.b[0]), 1)


@says(
    "The model stopped with TypeError: AnIntercept.p_x_given_z() missing 1 required positional argument: "
    "'intercept' (LINE)."
)
class AnIntercept(MixedLogistic):
    def p_x_given_z(self, z, covariate, intercept):
        return Independent(Bernoulli(logits=z + intercept + self.b[1] * covariate), 1)


@says(
    "A row has the same q(z | x), p(x | z) and terms of the ELBO alone as in the company of other rows. → q(z "
    "| x) of row 3 is another alone than in the batch: its log density is -1.6 alone and -1.107 in company. "
    "Look at the encoder: does it use the batch's mean or another statistic of it (BatchNorm that is never in "
    "evaluation mode), a softmax or a norm over the batch's dimension, a mean over the rows, or their number? "
    "Or is means, of as many rows, meant as means[i], for a context i, the row's index?"
)
class AnInterceptForEach(MixedLogistic):
    """A mean and a scale for each group in place of an encoder."""

    def __init__(self):
        super().__init__()
        del self.encoder
        self.means, self.log_scales = nn.Parameter(torch.zeros(8, 1)), nn.Parameter(torch.zeros(8, 1))

    def q_z_given_x(self, x, covariate):
        return Independent(Normal(self.means[: len(x)], self.log_scales[: len(x)].exp()), 1)


@says(
    "The model stopped with AssertionError: four rows at a time, please (LINE, in q_z_given_x: raise "
    'AssertionError("four rows at a time, please")).'
)
class ReadersAssertion(MixedLogistic):
    def q_z_given_x(self, x, covariate):
        if len(x) > 4:
            raise AssertionError("four rows at a time, please")
        return super().q_z_given_x(x, covariate)


FILES = r"[^ (]*(test_field_models|field_models|test_first_sentences)\.py"


def first_sentence(model, *rows):
    """The first thing that check_model says, on one line, with LINE for each place in this file."""
    with pytest.raises(AssertionError) as caught:
        check_model(model, *rows)
    said = " ".join(str(caught.value).split("✗")[1].split())
    return re.sub(rf"{FILES}, line \d+", "LINE", said)


@pytest.mark.parametrize("kind", PLANTED, ids=lambda kind: kind.__name__)
def test_the_first_sentence_is_the_cause(kind):
    assert first_sentence(*with_rows(kind)) == PLANTED[kind]


@pytest.mark.parametrize("rows", [(8, 5), (3, 2), (12, 30)], ids=str)
@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)
def test_the_models_pass(kind, rows, capsys):
    check_model(*with_rows(kind, *rows, seed=sum(rows)))
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == f"All {21 if kind is Frailty else 19} checks hold."
    assert ("LogisticNormal, which has no mean" in out) == (kind is Topics)


@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)
def test_they_are_trained_and_sampled_with_their_context(kind):
    model, x, *context = with_rows(kind)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    history = fit(model, (x, *context), optimizer=optimizer, epochs=30, batch_size=len(x))
    assert history.elbo[-1] > history.elbo[0]
    drawn, z = AutoEncodingModel.sample(model, len(x), *context)
    assert drawn.shape == x.shape
    assert len(z) == len(x)
