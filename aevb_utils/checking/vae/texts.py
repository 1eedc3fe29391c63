"""What is said of each finding: why it matters, the cure, and where the book explains it."""

from aevb_utils.checking.vae.finding import Finding, Kind

BREAK_7 = "chapter 7, “Break it on purpose”"
SUM_OR_MEAN = "questions and answers, “Sum or mean over pixels, and over latents?”"
KLD_WEIGHT = "questions and answers, “What is the kld_weight in other people's code?”"
LIKELIHOODS = "chapter 7, “What are the data? The likelihood bake-off”"
PATH = "chapter 5, “The pathwise estimator”"
ELBO = "chapter 1, “A bound that is easy: the ELBO”"

TEXTS: dict[str, tuple[Kind, str, str, str]] = {
    "kl-sign": (
        "mistake",
        "The loss should be the reconstruction's plus the KL; with minus, the KL grows without a bound.",
        "Add the KL: −0.5 · sum(1 + log σ² − μ² − σ²).",
        "chapter 3, “Break it on purpose”",
    ),
    "loss-sign": (
        "mistake",
        "An optimizer minimizes, so that this makes the model worse.",
        "Return minus it.",
        ELBO,
    ),
    "kl-mean-latents": (
        "mistake",
        "The KL of a datum is a sum over its latents; a mean is a hidden β = 1/L, and no bound.",
        "Sum over the latents: .sum(dim=1).mean().",
        SUM_OR_MEAN,
    ),
    "recon-mean-pixels": (
        "mistake",
        "log p(x | z) is a sum over the pixels; with the mean the KL weighs as many times too much, and goes to 0.",
        "Sum over the pixels: reduction='sum', divided by the number of rows.",
        BREAK_7,
    ),
    "batch-reduction": (
        "mistake",
        "Another batch size is then another objective.",
        "Treat the rows alike in both: sum within a datum, then the mean over the rows of the total.",
        SUM_OR_MEAN,
    ),
    "kl-over-pixels": (
        "mistake",
        "The KL is divided by the number of pixels and the reconstruction is not: β = 1/D, nearly an autoencoder.",
        "Divide both or neither.",
        SUM_OR_MEAN,
    ),
    "kl-weight": (
        "note",
        "With β ≠ 1 the loss is not minus the ELBO, nor comparable with it: below 1 no bound, above 1 a looser one.",
        "If it is the M/N of other people's code, leave it out: it scales the whole bound, not the KL alone.",
        KLD_WEIGHT,
    ),
    "kl-missing": (
        "mistake",
        "Without it the model is an autoencoder with noise: its codes need not lie where the prior is.",
        "Add the KL.",
        "chapter 7, “The same networks, with and without”",
    ),
    "kl-term": ("mistake", "So it is no KL.", "Write −0.5 · sum(1 + log σ² − μ² − σ²), or kl_divergence.", ELBO),
    "kl-half": (
        "mistake",
        "The ½ stands before all of them, ½ (μ² + σ² − 1 − log σ²).",
        "Take kl_divergence(Normal(mu, sigma), Normal(0, 1)), or compare term by term.",
        ELBO,
    ),
    "kl-reverse": (
        "mistake",
        "The ELBO has KL(q ‖ p), the mean under q.",
        "Exchange the arguments: kl_divergence(q, p).",
        "chapter 3, “The other KL”",
    ),
    "kl-unknown": (
        "note",
        "It may be right for another prior (a mixture, a flow), or free bits; whether it is a KL cannot be said.",
        "Compare with log q(z | x) − log p(z) by samples.",
        ELBO,
    ),
    "kl-prior": (
        "note",
        "The KL is the one to such a prior; samples must then be drawn from it, too.",
        "",
        "chapter 8, “The conditional ELBO”",
    ),
    "kl-detached": (
        "mistake",
        "Its value changes with μ and σ and its gradient does not, so that it trains nothing.",
        "Take out the .detach(), .item() or .data on its way.",
        PATH,
    ),
    "kl-reported-sign": (
        "mistake",
        "The loss itself is right; the number that is logged as the KL is minus it.",
        "Report it with the sign that it has in the loss.",
        ELBO,
    ),
    "scale-mismatch": (
        "mistake",
        "Sampling and KL are about two different q, and the loss bounds nothing.",
        "Read the encoder's output in one way: with log σ², σ is exp(0.5 · logvar).",
        "chapter 7, “Two networks, three distributions”",
    ),
    "kl-exchanged": (
        "mistake",
        "So the width is held to 0 as if it were a mean, and the mean as if it were a width.",
        "Return, unpack and pass them in one order: mu, then logvar.",
        "chapter 7, “Two networks, three distributions”",
    ),
    "mu-order": (
        "risk",
        "Whether your own code hands them to the loss in that order cannot be seen; by position they are exchanged.",
        "Return mu before logvar, or pass loss=lambda output, x: my_loss(…), as you call it.",
        "chapter 7, “Two networks, three distributions”",
    ),
    "sigmoid-twice": (
        "mistake",
        "The probabilities are squeezed again, between 0.5 and 0.73: 0 and 1 are out of reach.",
        "Use binary_cross_entropy with the probabilities, or return logits.",
        LIKELIHOODS,
    ),
    "bce-on-logits": (
        "mistake",
        "The loss takes probabilities, and the decoder gives any number.",
        "Put a sigmoid at the decoder's end, or use binary_cross_entropy_with_logits.",
        LIKELIHOODS,
    ),
    "data-outside": (
        "mistake",
        "A Bernoulli has no density there: the loss has no lower bound, or an error.",
        "Scale the data to [0, 1], or choose a Gaussian likelihood.",
        LIKELIHOODS,
    ),
    "range-mismatch": (
        "mistake",
        "The decoder cannot reach these values, whatever it learns.",
        "Bring the data and the decoder's last layer into the same range.",
        LIKELIHOODS,
    ),
    "grey-pixels": (
        "note",
        "That is allowed and common; but it is the log of no distribution, and no bound on log p(x).",
        "To compare in nats, binarize the data or use a continuous Bernoulli.",
        LIKELIHOODS,
    ),
    "swapped": (
        "mistake",
        "The data are taken for the prediction: each output is pushed one way as far as it goes, however right it is.",
        "The prediction comes first: binary_cross_entropy(recon, x).",
        LIKELIHOODS,
    ),
    "fixed-sigma": (
        "note",
        "Its size decides how much the KL weighs: with a large σ the latent is not worth its price.",
        "Learn σ, or try some.",
        "chapter 7, “At the optimum”",
    ),
    "no-log-scale": (
        "mistake",
        "Without + log σ, the larger σ the better: it grows without a bound.",
        "Add log σ for each number of the data.",
        "chapter 7, “How a learned variance diverges”",
    ),
    "recon-unknown": (
        "note",
        "No log-likelihood that is known here explains it, so that β and the constant cannot be said.",
        "If it is one of your own, return a torch.distributions object from the decoder.",
        LIKELIHOODS,
    ),
    "recon-missing": (
        "mistake",
        "So nothing is learned about the data.",
        "Compare the reconstruction, not a detached copy, with x.",
        ELBO,
    ),
    "recon-sign": (
        "mistake",
        "The loss should hold minus the log-likelihood: this one drives the reconstruction away from the data.",
        "Turn its sign round.",
        ELBO,
    ),
    "not-additive": (
        "note",
        "The ELBO is a sum of the two: this is a function of both together.",
        "",
        ELBO,
    ),
    "blocked-sample": (
        "mistake",
        "A drawn number has forgotten μ and σ; the encoder learns from the KL alone, and becomes the prior.",
        "Use rsample(), or z = mu + sigma * randn_like(sigma), outside of no_grad and without detach.",
        PATH,
    ),
    "blocked-scale": (
        "mistake",
        "Nothing but the KL acts on σ, which becomes 1.",
        "Take out what detaches σ from z = μ + σ ε.",
        PATH,
    ),
    "no-noise": (
        "mistake",
        "Then it is an autoencoder with a penalty: the loss is at the mean of q, and no bound.",
        "Draw z = mu + sigma * randn_like(sigma) while training.",
        "chapter 7, “Why the noise is there”",
    ),
    "noise-unused": (
        "mistake",
        "So q has another width than its KL says.",
        "Draw z = mu + sigma * randn_like(sigma).",
        PATH,
    ),
    "noise-scaled": (
        "mistake",
        "So q has another width than its KL says.",
        "Leave the factor out, or put it into the KL as well.",
        PATH,
    ),
    "noise-uniform": (
        "mistake",
        "Its mean is ½, not 0, and its variance 1/12, not 1.",
        "Take randn or randn_like.",
        PATH,
    ),
    "noise-shared": (
        "mistake",
        "Each number of z needs a noise of its own.",
        "Take randn_like(mu).",
        PATH,
    ),
    "evaluation-mean": (
        "note",
        "Good for looking at reconstructions; as a loss it is no ELBO, and looks too good.",
        "Sample where the loss is reported.",
        "chapter 7, “A mean is not a sample”",
    ),
    "dropout-on": (
        "mistake",
        "So the same x gives another q each time.",
        "Pass training=self.training, or use nn.Dropout.",
        BREAK_7,
    ),
    "batch-statistics": (
        "mistake",
        "q(z | x) must be a function of its own x.",
        "Let batch normalization use its running statistics in evaluation mode; take no mean over the batch.",
        "chapter 4, “Break it on purpose”",
    ),
    "batch-norm": (
        "note",
        "While training, the loss of a row then depends on the others; in evaluation mode it does not.",
        "",
        "chapter 4, “Break it on purpose”",
    ),
    "single-row": (
        "mistake",
        "It is a squeeze without a dimension, as a rule.",
        "Name the dimension: .squeeze(1).",
        "troubleshooting, “A batch of one fails”",
    ),
    "not-in-optimizer": (
        "mistake",
        "They stay as they are at the start.",
        "Build the optimizer from model.parameters(), after all modules are made.",
        "what is wrong with my VAE?, “The encoder does not learn”",
    ),
    "unregistered": (
        "mistake",
        "model.parameters() does not have them: no optimizer, no device and no file will.",
        "Use nn.ModuleList, nn.Parameter or an attribute, not a plain list.",
        "what is wrong with my VAE?, “The encoder does not learn”",
    ),
    "loss-parameters": (
        "note",
        "They are no part of the networks: a network of features should stay as it is, a σ should be learned.",
        "Freeze the first, requires_grad_(False); make the second a parameter of the model.",
        "what is wrong with my VAE?, “The encoder does not learn”",
    ),
    "unused-parameters": (
        "note",
        "No step will move them.",
        "Use them, or take them out.",
        "what is wrong with my VAE?, “The encoder does not learn”",
    ),
    "unbounded-width": (
        "risk",
        "One large output makes the loss infinite, and then NaN, in float32.",
        "Clamp it, as logvar.clamp(-20, 10), or use a softplus with a floor.",
        "what is wrong with my VAE?, “The loss is NaN or infinite”",
    ),
    "no-floor": (
        "risk",
        "Its logarithm is −∞ then.",
        "Add a floor, softplus(a) + 1e-4, (7.4).",
        "what is wrong with my VAE?, “The loss is NaN or infinite”",
    ),
    "log-zero": (
        "risk",
        "A sigmoid in float32 is exactly 1 from 17 on.",
        "Use binary_cross_entropy_with_logits, or binary_cross_entropy, which clamps.",
        "what is wrong with my VAE?, “The loss is NaN or infinite”",
    ),
    "not-finite": (
        "mistake",
        "No step can be taken.",
        "Look at the data's scale, at logarithms of 0 and at exponentials.",
        "what is wrong with my VAE?, “The loss is NaN or infinite”",
    ),
    "relu-latents": (
        "mistake",
        "q cannot be what it should: a ReLU before log σ² allows no σ below 1, before μ no negative mean.",
        "Let the encoder's last layer be linear.",
        "chapter 7, “Two networks, three distributions”",
    ),
    "collapsed-units": (
        "note",
        "They say nothing about x. That need not be wrong: see whether another start uses more.",
        "",
        "chapter 7, “How much of the latent is in use?”",
    ),
    "collapsed": (
        "mistake",
        "The encoder gives the prior for every x: nothing is coded.",
        "Look at the findings above, then at σ of the decoder and at the start.",
        "chapter 7, “Posterior collapse, produced and cured”",
    ),
    "batch-sum": (
        "note",
        "The gradient grows with the batch size, and with it the step of SGD; Adam does not mind.",
        "",
        SUM_OR_MEAN,
    ),
    "rows-differ": (
        "note",
        "A mask, or weights, is the usual reason; otherwise it is a mean over something of unequal size.",
        "",
        "troubleshooting, “A step gets easier, the more padding there is”",
    ),
}
"""By key: its kind, why it matters, the cure, and the section."""


def finding(key: str, seen: str, line: str = "", *, why: str = "", cure: str = "") -> Finding:
    """A finding with the text of its key, or with a text of its own."""
    kind, usual, usual_cure, section = TEXTS[key]
    return Finding(key, kind, seen, why or usual, cure or usual_cure, line, section)
