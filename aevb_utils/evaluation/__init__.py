"""What is measured on models: bounds and gaps, quadrature, gradients, latents."""

from typing import TYPE_CHECKING

from aevb_utils.lazy import lazily

if TYPE_CHECKING:
    from aevb_utils.evaluation.bounds import elbo_terms, iwae_bound, mean_elbo_terms
    from aevb_utils.evaluation.clustering import clustering_accuracy, contingency
    from aevb_utils.evaluation.devices import compute_on
    from aevb_utils.evaluation.gaps import (
        GapSplit,
        kl_to_posterior,
        log_evidence,
        quadrature_elbo,
        refine,
        split_gaps,
    )
    from aevb_utils.evaluation.gradients import (
        GradientSummary,
        pathwise,
        repeat_gradients,
        score_function,
        summarize,
    )
    from aevb_utils.evaluation.importance import (
        effective_sample_size,
        information,
        pareto_k,
    )
    from aevb_utils.evaluation.latents import active_units, kl_by_dimension
    from aevb_utils.evaluation.quadrature import (
        Grid,
        gauss_hermite,
        log_integral,
        make_grid,
    )

__all__ = [
    "GapSplit",
    "GradientSummary",
    "Grid",
    "active_units",
    "clustering_accuracy",
    "compute_on",
    "contingency",
    "effective_sample_size",
    "elbo_terms",
    "gauss_hermite",
    "information",
    "iwae_bound",
    "kl_by_dimension",
    "kl_to_posterior",
    "log_evidence",
    "log_integral",
    "make_grid",
    "mean_elbo_terms",
    "pareto_k",
    "pathwise",
    "quadrature_elbo",
    "refine",
    "repeat_gradients",
    "score_function",
    "split_gaps",
    "summarize",
]

__getattr__ = lazily(
    __name__,
    bounds=("elbo_terms", "iwae_bound", "mean_elbo_terms"),
    clustering=("clustering_accuracy", "contingency"),
    devices=("compute_on",),
    gaps=(
        "GapSplit",
        "kl_to_posterior",
        "log_evidence",
        "quadrature_elbo",
        "refine",
        "split_gaps",
    ),
    gradients=(
        "GradientSummary",
        "pathwise",
        "repeat_gradients",
        "score_function",
        "summarize",
    ),
    importance=("effective_sample_size", "information", "pareto_k"),
    latents=("active_units", "kl_by_dimension"),
    quadrature=("Grid", "gauss_hermite", "log_integral", "make_grid"),
)
