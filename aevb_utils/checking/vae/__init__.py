"""``check_vae``: what is wrong with a VAE of the usual shape, an encoder, a decoder and a loss."""

from aevb_utils.checking.vae.check import check_vae
from aevb_utils.checking.vae.finding import Finding
from aevb_utils.checking.vae.report import Report

__all__ = ["Finding", "Report", "check_vae"]
