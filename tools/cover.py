"""What the first page shows and only the whole environment can compute: the rungs of the ladder, and EM, step by step.

``make export`` writes both to ``book/cover.json``, from which the site is built without torch.
"""

import json
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from aevb_utils.data import Dataset, old_faithful
from aevb_utils.figures import COMPONENTS, PALETTE
from aevb_utils.figures.ladder import BEYOND, GROUND, MODELS, RUNGS, TOP
from aevb_utils.models.gaussian_mixture import MixtureModel, random_start
from aevb_utils.models.mixture_em import MixtureParameters, m_step, sufficient_statistics
from tools.environments import ROOT

COVER = ROOT / "book" / "cover.json"
SEED = 17  # of a start from which EM has a way to go
ROUNDS = 7


def content(data: Dataset | None = None) -> str | None:
    """What ``book/cover.json`` should hold; None where the real eruptions cannot be had.

    Args:
        data: Old Faithful; without it, it is loaded.
    """
    data = data or old_faithful()
    if data.fallback:
        return None
    colors = {"colors": PALETTE | {"components": COMPONENTS[:2]}}
    cover = colors | {"ladder": ladder_rows(), "em": em_steps(data.train)}
    return json.dumps(cover, ensure_ascii=False) + "\n"


def ladder_rows() -> dict[str, Any]:
    """The ladder's rungs, from the ground up, and the models on top of it."""
    models = [asdict(model) | {"name": model.name.replace("\n", " ")} for model in MODELS]
    rungs = [asdict(rung) for rung in RUNGS]
    return {"ground": asdict(GROUND), "rungs": rungs, "top": asdict(TOP), "models": models, "beyond": asdict(BEYOND)}


def em_steps(x: Tensor) -> dict[str, Any]:
    """EM on a mixture of two Gaussians by half-steps, before which q is one half for every datum and component.

    Args:
        x: data of shape (N, 2).

    Returns:
        The ``points``; the ``steps``, each with its ``kind``, the ``evidence`` and the ``elbo`` of all data in nats,
        the components' ``means`` and ``covariances``, and of q in tenths the second component's part, a digit a datum.
    """
    parameters = random_start(x, 2, seed=SEED)
    q = torch.full((len(x), 2), 0.5, dtype=x.dtype)
    steps = [_step("start", x, parameters, q)]
    for _ in range(ROUNDS):
        q = MixtureModel(parameters).responsibilities(x)
        steps.append(_step("E", x, parameters, q))
        parameters = m_step(sufficient_statistics(x, q))
        steps.append(_step("M", x, parameters, q))
    return {"points": x.tolist(), "steps": steps}


def _step(kind: str, x: Tensor, parameters: MixtureParameters, q: Tensor) -> dict[str, Any]:
    """What is shown after a half-step."""
    mixture = MixtureModel(parameters)
    tenths = (9 * q[:, 1]).round().int().tolist()
    return {
        "kind": kind,
        "evidence": round(mixture.log_evidence(x).sum().item(), 2),
        "elbo": round(mixture.elbo(x, q).sum().item(), 2),
        "means": parameters.means.round(decimals=4).tolist(),
        "covariances": parameters.covariances.round(decimals=4).tolist(),
        "q": "".join(map(str, tenths)) if kind != "start" else "",
    }
