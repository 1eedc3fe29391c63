"""Keep the Colab and Binder buttons alive while the book has no public address.

With ``repository.url`` in ``_config.yml`` the theme makes these buttons itself. Without it there is nothing to open:
the buttons then lead to the section labelled ``colab``, which says what to do.
"""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

logger = logging.getLogger(__name__)

HELP_LABEL = "colab"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("config-inited", _drop_buttons_without_address)
    app.connect("html-page-context", _add_help_buttons, priority=502)  # the theme's buttons are made at 501
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _drop_buttons_without_address(app: Sphinx, config: Config) -> None:
    if not config.html_theme_options.get("repository_url"):
        config.html_theme_options["launch_buttons"] = {}


def _add_help_buttons(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    if app.config.html_theme_options.get("repository_url") or context.get("page_source_suffix") != ".ipynb":
        return
    docname, anchor = app.env.get_domain("std").anonlabels.get(HELP_LABEL, ("", ""))
    if not docname:
        logger.warning(
            f"No section is labelled ({HELP_LABEL})=, so that the Colab and Binder buttons lead nowhere: "
            "label the section that says how to open the book there."
        )
        return
    url = f"{app.builder.get_relative_uri(pagename, docname)}#{anchor}"
    buttons = [
        {"type": "link", "text": name, "tooltip": f"How to open this page on {name}", "icon": icon, "url": url}
        for name, icon in (
            ("Binder", "_static/images/logo_binder.svg"),
            ("Colab", "_static/images/logo_colab.png"),
        )
    ]
    context["header_buttons"].insert(
        0,
        {
            "type": "group",
            "tooltip": "Launch interactive content",
            "icon": "fas fa-rocket",
            "buttons": buttons,
            "label": "launch-buttons",
        },
    )
