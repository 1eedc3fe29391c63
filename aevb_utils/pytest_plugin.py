"""A pytest fixture: ``check_vae`` in a project's own tests, which fails where a mistake is found.

It is there wherever the package is installed; pytest finds it by its entry point.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from aevb_utils.checking.vae import Report


@pytest.fixture(name="check_vae")
def check_vae_fixture() -> "Callable[..., Report]":
    """Check a VAE, and fail with every mistake that was found.

    ``def test_my_vae(check_vae): check_vae(model, x, loss=loss)``. ``allow`` names findings that are no mistakes in
    your project, by the keys that a report has in brackets: ``check_vae(model, x, loss=loss,
    allow=["batch-reduction"])``. It returns the report.
    """
    from aevb_utils.checking import check_vae  # here, so that pytest starts without torch

    def check(*args: Any, allow: tuple[str, ...] | list[str] = (), **options: Any) -> "Report":  # noqa: ANN401
        report = check_vae(*args, **options)
        report.require(allow=allow)
        return report

    return check
