"""Usual mistakes, planted into models by hand: the first check that fails says the cause, or where to look."""

import pytest
import torch
from handmade_models import (
    BernoulliModel,
    BinomialModel,
    ConditionalModel,
    GaussianModel,
    HierarchicalModel,
    MixtureModel,
    MixtureOfLatents,
    PoissonModel,
    with_data,
)
from torch import nn
from torch.distributions import Categorical, Independent, Normal, kl_divergence
from torch.nn.functional import batch_norm, binary_cross_entropy_with_logits, dropout, softmax

from aevb_utils.checking import check_model as check
from aevb_utils.checking.check_model import CHECKS
from aevb_utils.checking.comparisons import draws_shared

MODELS = (
    GaussianModel,
    BernoulliModel,
    PoissonModel,
    BinomialModel,
    ConditionalModel,
    MixtureModel,
    MixtureOfLatents,
    HierarchicalModel,
)
PLANTED: dict[type, tuple[str, ...]] = {}


def says(*words):
    """Put a model with a mistake, and what must stand in the first failure, into the table."""

    def enter(model):
        PLANTED[model] = words
        return model

    return enter


def changed(terms, **by):
    return terms | {name: change(terms[name]) for name, change in by.items()}


class Scaled:
    """A KL that is multiplied by ``beta``."""

    def elbo_terms(self, *data, num_samples=1):
        terms = super().elbo_terms(*data, num_samples=num_samples)
        return changed(terms, minus_kl=lambda term: self.beta * term)


# The KL


@says("has the wrong sign")
class SignOfKL(Scaled, PoissonModel):
    beta = -1


@says("has the wrong sign, and is multiplied by 0.3")
class SignAndWeight(Scaled, ConditionalModel):
    beta = -0.3


@says("is a mean over the dimensions of z where the sum is meant", "is multiplied by 0.5: β, or KL annealing left on")
class MeanOfKL(BernoulliModel):
    def kl(self, m, log_s):
        return super().kl(m, log_s) / self.L


@says("is multiplied by 0.7: β, or KL annealing left on")
class KLAnnealing(Scaled, HierarchicalModel):
    beta = 0.7


@says("is multiplied by 4: β, or KL annealing left on")
class Beta4(Scaled, MixtureModel):
    beta = 4


@says("is multiplied by 2: β, or KL annealing left on, or the ½ in a Gaussian's KL is missing")
class MissingHalf(GaussianModel):
    def kl(self, m, log_s):
        return (m**2 + (2 * log_s).exp() - 1 - 2 * log_s).sum(dim=-1)


@says("takes log σ for log σ² of q (its σ is √σ)")
class LogScaleForLogVariance(PoissonModel):
    def kl(self, m, log_s):
        return super().kl(m, log_s / 2)


@says("takes log σ² for log σ of q (its σ is σ²)")
class LogVarianceForLogScale(BinomialModel):
    def kl(self, m, log_s):
        return super().kl(m, 2 * log_s)


@says("has log σ where log σ² belongs")
class HalfTheLog(GaussianModel):
    def kl(self, m, log_s):
        return 0.5 * (m**2 + (2 * log_s).exp() - 1 - log_s).sum(dim=-1)


@says("has σ where q's variance σ² belongs")
class ScaleForVarianceInKL(BernoulliModel):
    def kl(self, m, log_s):
        return (0.5 * (m**2 + log_s.exp() - 1) - log_s).sum(dim=-1)


@says("is off by the same −1 nats in every row, which is ½ for each of the 2 dimensions of z")
class NoHalfInKL(GaussianModel):
    def kl(self, m, log_s):
        return super().kl(m, log_s) + self.L / 2


@says("is the KL to N(0, I), and p_z is another prior")
class OtherPriorInKL(BinomialModel):
    def p_z(self):
        zero = self.log_scale.new_zeros(self.L)
        return Independent(Normal(zero, 2.0 + zero), 1)


@says("is the KL to N(0, I), and p_z is another prior")
class PriorWithoutLabel(ConditionalModel):
    def kl(self, m, log_s, y):
        return GaussianModel.kl(self, m, log_s)


@says("is −KL(p ‖ q): the arguments are exchanged")
class ReverseKL(ConditionalModel):
    def kl(self, m, log_s, y):
        return kl_divergence(self.p_z(y), Independent(Normal(m, log_s.exp()), 1))


@says("lacks log p(z), the prior")
class EntropyAlone(HierarchicalModel):
    def elbo_terms(self, x, *, num_samples=1):
        q = self.q_z_given_x(x)
        z = q.rsample((num_samples,))
        return {"reconstruction": self.log_likelihood(x, z).mean(dim=0), "minus_kl": -q.log_prob(z).mean(dim=0)}


@says("is the KL to equal prior weights, and p_z has others")
class EqualWeights(MixtureModel):
    def class_kl(self, q):
        return kl_divergence(q, Categorical(torch.ones_like(q.probs)))


@says("lacks log p(z), the prior")
class NoClassPrior(MixtureModel):
    def class_kl(self, q):
        return -q.entropy()


@says("the prior of a class, log p(y), that is left out")
class NoPriorOfTheClass(MixtureOfLatents):
    def minus_kl_y(self, q_y):
        return q_y.entropy()


@says("log of a class's prior weight")
class WrongClassPrior(MixtureOfLatents):
    def minus_kl_y(self, q_y):
        return -kl_divergence(q_y, Categorical(q_y.probs.new_tensor([0.9, 0.05, 0.05])))


@says("look for the prior of a class, log p(y)")
class WrongClassPriorEverywhere(WrongClassPrior):
    def log_p_y(self, y):
        return Categorical(self.means.new_tensor([0.9, 0.05, 0.05])).log_prob(y)


# The reconstruction


@says("is a mean over the dimensions of x where the sum is meant")
class MeanCrossEntropy(BernoulliModel):
    def log_likelihood(self, x, z):
        logits = self.decode(z)
        return -binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").mean(dim=-1)


@says("has the sigmoid twice")
class SigmoidTwice(BernoulliModel):
    def log_likelihood(self, x, z):
        logits = self.decode(z).sigmoid()
        return -binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(dim=-1)


@says("is minus a squared error (MSE) in place of log p(x | z)")
class SquaredError(GaussianModel):
    def log_likelihood(self, x, z):
        return -(x - self.decode(z)).square().sum(dim=-1)


@says("is minus a squared error (MSE) in place of log p(x | z)")
class MeanSquaredError(BernoulliModel):
    def log_likelihood(self, x, z):
        return -(x - self.decode(z).sigmoid()).square().mean(dim=-1)


@says("lacks ½ log 2π for each dimension of x")
class NoLog2Pi(GaussianModel):
    def log_likelihood(self, x, z):
        error = (x - self.decode(z)) / self.log_scale.exp()
        return (-0.5 * error.square() - self.log_scale).sum(dim=-1)


@says("lacks log x! of the Poisson")
class NoFactorial(PoissonModel):
    def log_likelihood(self, x, z):
        log_rate = self.decode(z)
        return (x * log_rate - log_rate.exp()).sum(dim=-1)


@says("lacks the log of the binomial coefficient")
class NoCoefficient(BinomialModel):
    def log_likelihood(self, x, z):
        logits = self.decode(z)
        return (x * logits - self.trials * nn.functional.softplus(logits)).sum(dim=-1)


@says("takes σ² for σ")
class VarianceInLikelihood(GaussianModel):
    def log_likelihood(self, x, z):
        return Independent(Normal(self.decode(z), (2 * self.log_scale).exp()), 1).log_prob(x)


@says("is multiplied by 3: a weight, such as the 1/β of a β-VAE")
class WeightedReconstruction(PoissonModel):
    def elbo_terms(self, x, *, num_samples=1):
        terms = super().elbo_terms(x, num_samples=num_samples)
        return changed(terms, reconstruction=lambda term: 3 * term)


# The samples of q


@says("torch.rand in place of torch.randn")
class RandForRandn(BinomialModel):
    def draw(self, m, log_s, num_samples):
        return m + log_s.exp() * torch.rand(num_samples, *m.shape, dtype=m.dtype)


@says("σ² in place of σ in z = m + σ ε")
class VarianceForScale(GaussianModel):
    def draw(self, m, log_s, num_samples):
        return m + (2 * log_s).exp() * torch.randn(num_samples, *m.shape, dtype=m.dtype)


@says("√σ in place of σ in z = m + σ ε (log σ taken for log σ²)")
class RootForScale(PoissonModel):
    def draw(self, m, log_s, num_samples):
        return m + (log_s / 2).exp() * torch.randn(num_samples, *m.shape, dtype=m.dtype)


@says("without noise: z is the mean of q")
class MeanForSample(ConditionalModel):
    def draw(self, m, log_s, num_samples):
        return m + 0 * log_s + torch.zeros(num_samples, *m.shape, dtype=m.dtype)


@says("no gradient", "is z drawn by .sample() where .rsample() is needed")
class SampleForRsample(ConditionalModel):
    def draw(self, m, log_s, num_samples):
        return Normal(m, log_s.exp()).sample((num_samples,))


@says("no gradient", "is something detached")
class DetachedDecoder(BernoulliModel):
    def decode(self, z):
        return super().decode(z).detach()


@says("num_samples is not used")
class OneSample(PoissonModel):
    def draw(self, m, log_s, num_samples):
        return super().draw(m, log_s, 1).expand(num_samples, *m.shape)

    def log_weights(self, x, *, num_samples):
        m, log_s = self.encode(x)
        z = super().draw(m, log_s, num_samples)
        log_q = Normal(m, log_s.exp()).log_prob(z).sum(dim=-1)
        return self.log_likelihood(x, z) + self.log_prior(z) - log_q


class SharpModel(HierarchicalModel):
    """With a likelihood so sharp that its value depends on z clearly."""

    def __init__(self, **options):
        super().__init__(**options)
        with torch.no_grad():
            self.log_scale.fill_(-3.4)


@says("the right means but not together", "at different samples of z")
class OtherSamplesInTerms(SharpModel):
    def elbo_terms(self, x, *, num_samples=1):
        q = self.q_z_given_x(x)
        z = q.rsample((num_samples,))
        other = q.rsample((num_samples,))
        minus_kl = (self.log_prior(other) - q.log_prob(other)).mean(dim=0)
        return {"reconstruction": self.log_likelihood(x, z).mean(dim=0), "minus_kl": minus_kl}


# The importance weights


class Weights:
    """Weights from the parts that ``weigh`` puts together."""

    def log_weights(self, x, *y, num_samples):
        m, log_s = self.encode(x, *y)
        z = self.draw(m, log_s, num_samples)
        log_q = Normal(m, log_s.exp()).log_prob(z).sum(dim=-1)
        return self.weigh(self.log_likelihood(x, z, *y), self.log_prior(z, *y), log_q)


@says("mean of log_weights lacks log p(z), the prior")
class WeightsWithoutPrior(Weights, BernoulliModel):
    def weigh(self, likelihood, prior, q):
        return likelihood - q


@says("mean of log_weights lacks log q(z | x)")
class WeightsWithoutQ(Weights, ConditionalModel):
    def weigh(self, likelihood, prior, q):
        return likelihood + prior


@says("has log q(z | x) with the wrong sign")
class WeightsTimesQ(Weights, GaussianModel):
    def weigh(self, likelihood, prior, q):
        return likelihood + prior + q


@says("neither averaged nor put through logsumexp over the samples")
class WeightsAveraged(Weights, PoissonModel):
    def weigh(self, likelihood, prior, q):
        return (likelihood + prior - q).mean(dim=0)


@says("All samples of log_weights are the same", "not a mean or a logsumexp over the samples")
class WeightsAveragedAndExpanded(Weights, BinomialModel):
    def weigh(self, likelihood, prior, q):
        return (likelihood + prior - q).mean(dim=0).expand_as(q)


@says("log_weights have the right mean but another spread", "different samples of z")
class WeightsOfOtherSamples(SharpModel):
    def log_weights(self, x, *, num_samples):
        q = self.q_z_given_x(x)
        z, other = q.rsample((num_samples,)), q.rsample((num_samples,))
        return self.log_likelihood(x, z) + self.log_prior(other) - q.log_prob(other)


@says("takes N(0, I) for the prior, and p_z is another")
class OtherPriorInWeights(Weights, ConditionalModel):
    def log_prior(self, z, y):
        return Normal(0.0, 1.0).log_prob(z).sum(dim=-1)

    def weigh(self, likelihood, prior, q):
        return likelihood + prior - q


# A row in company


@says("q(z | x) of row", "alone than in the batch", "the batch's mean")
class BatchMeanInEncoder(PoissonModel):
    def encode(self, x):
        return super().encode(x - x.mean(dim=0))


@says("q(z | x) of row", "alone than in the batch", "BatchNorm that is never in evaluation mode")
class BatchNormInTrainingMode(BernoulliModel):
    def encode(self, x):
        x = batch_norm(x, None, None, training=True) if len(x) > 1 else x
        return super().encode(x)


@says("p(x | z) of row", "alone than in the batch", "Look at the decoder")
class NormalizedOverTheBatch(BinomialModel):
    def decode(self, z):
        return softmax(super().decode(z), dim=-2)


@says("'minus_kl' of row", "when other rows of the batch do", "a mean over the rows")
class KLOfTheBatch(ConditionalModel):
    def kl(self, m, log_s, y):
        kl = super().kl(m, log_s, y)
        return kl.mean().expand_as(kl)


@says("a mean over the rows of the batch where the sum is meant")
class KLOverTheBatch(GaussianModel):
    def kl(self, m, log_s):
        return super().kl(m, log_s) / len(m)


@says("should have the shape", "keep the batch's")
class MeanOfTheBatch(BernoulliModel):
    def elbo_terms(self, x, *, num_samples=1):
        return {name: term.mean() for name, term in super().elbo_terms(x, num_samples=num_samples).items()}


@says("is another when it is computed twice", "dropout without training=self.training")
class DropoutLeftOn(BernoulliModel):
    def encode(self, x):
        return super().encode(dropout(x, 0.3))


# Samples and parameters


@says("The x that sample draws is not drawn from p_x_given_z", "is it the mean")
class SampleIsTheMean(GaussianModel):
    def sample(self, n):
        z = self.p_z().sample((n,))
        return self.p_x_given_z(z).mean.detach(), z


@says(
    "The x that sample draws has values where p_x_given_z at its z has no density", "a probability, in place of a draw"
)
class SampleIsAProbability(BernoulliModel):
    def sample(self, n):
        z = self.p_z().sample((n,))
        return self.p_x_given_z(z).mean.detach(), z


@says("The x that sample draws is not drawn from p_x_given_z", "times the standard deviation: a variance")
class SampleOfOtherScale(GaussianModel):
    def sample(self, n):
        z = self.p_z().sample((n,))
        return Normal(self.decode(z), (2 * self.log_scale).exp()).sample(), z


@says("The z that sample draws is not drawn from p_z", "samples of q")
class SampleOfQ(ConditionalModel):
    def sample(self, n, y):
        z = Normal(1.0, 0.3).sample((n, self.L)).double()
        return self.p_x_given_z(z, y).sample(), z


@says("Column", "of the x that sample draws", "mean in place of a draw")
class DataAloneAndTheMean(GaussianModel):
    def sample(self, n):
        return self.p_x_given_z(self.p_z().sample((n,))).mean.detach()


@says("in θ and φ at once")
class InBoth(HierarchicalModel):
    def inference_parameters(self):
        return [*super().inference_parameters(), *self.upper.parameters()]

    def generative_parameters(self):
        return [*super().generative_parameters(), *self.upper.parameters()]


@says("y_head.weight", "in neither generative_parameters nor inference_parameters")
class InNeither(MixtureOfLatents):
    def inference_parameters(self):
        return list(self.encoder.parameters())

    def generative_parameters(self):
        return [*self.decoder.parameters(), self.log_scale, self.means]


def first_failure(model, *data):
    """What the first check says that fails, or None."""
    with draws_shared():
        for each in CHECKS:
            try:
                each(model, *data)
            except AssertionError as error:
                return str(error)
    return None


@pytest.mark.parametrize("kind", PLANTED, ids=lambda kind: kind.__name__)
def test_the_first_failure_names_the_cause(kind):
    sentence = first_failure(*with_data(kind))
    assert sentence is not None, "no check has noticed"
    for words in PLANTED[kind]:
        assert words in sentence
    assert sentence.endswith((".", "?"))
    assert "\n" not in sentence


@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)
def test_the_models_are_right_without_their_mistakes(kind):
    assert first_failure(*with_data(kind)) is None


def test_a_half_of_the_kl_at_two_dimensions_has_two_causes_and_at_three_one(capsys):
    two, three = (first_failure(*with_data(type("M", (Half, GaussianModel), {}), L=L)) for L in (2, 3))
    assert "mean over the dimensions of z" in two
    assert "is multiplied by 0.5: β" in two
    assert "mean over" not in three
    assert "is multiplied by 0.5: β" in three


class Half(Scaled):
    """β = ½."""

    beta = 0.5


def test_all_eight_models_pass_check_model_itself(capsys):
    check(*with_data(ConditionalModel))
    assert capsys.readouterr().out.rstrip().endswith("All 19 checks hold.")


def test_a_class_that_is_nearly_certain_is_drawn_again_and_again():
    assert first_failure(*with_data(MixtureModel, seed=105)) is None


def sizes_and_seeds():
    """Kinds, batch sizes, dimensions, seeds: a few dozen models that are right."""
    for seed in range(2):
        for kind in MODELS:
            yield kind, {"rows": 6, "seed": 10 + seed}
    yield GaussianModel, {"rows": 2, "D": 3, "L": 1}
    yield BernoulliModel, {"rows": 2, "D": 3, "L": 1}
    yield PoissonModel, {"rows": 100, "D": 5, "L": 5}
    yield BinomialModel, {"rows": 8, "D": 60, "L": 20}
    yield BernoulliModel, {"rows": 4, "D": 784, "L": 10}
    yield GaussianModel, {"rows": 4, "D": 784, "L": 20}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    ("kind", "options"), list(sizes_and_seeds()), ids=lambda each: each.__name__ if isinstance(each, type) else None
)
def test_right_models_pass_whatever_their_size_and_seed(kind, options, dtype):
    model, *data = with_data(kind, **options)
    if dtype == torch.float32 and kind in (MixtureModel, MixtureOfLatents, ConditionalModel):
        return  # they are written for float64
    assert first_failure(model.to(dtype), *(part.to(dtype) for part in data)) is None
