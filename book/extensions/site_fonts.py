"""Cut the fonts to what pages show, when they are finished: letters of text, letters of formulas, the theme's icons.

The whole fonts are in ``book/static/fonts`` and in the theme. The theme also brings a script that draws its icons a
second time: no page loads it. The text's fonts come in parts, of which a browser loads those that a page needs.
"""

import html
import json
import re
import string
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from docutils import nodes
from fontTools.subset import Options, Subsetter, load_font, save_font
from site_math import ANNOTATION, MARKUP
from sphinx.application import Sphinx

TEXT = "fonts/stix-two-text-latin-normal.woff2"
TEXTS = tuple(
    f"fonts/stix-two-text-{letters}-{style}.woff2" for letters in ("latin", "greek") for style in ("normal", "italic")
)
FEATURES = ["ccmp", "locl", "liga", "mark", "mkmk", "kern"]  # not those that a style would have to ask for
MATH = "fonts/stix-two-math.woff2"
UNSEEN = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL)
FORMULA = re.compile(r"<math.*?</math>", re.DOTALL)
SINGLE = re.compile(r"<mi>(\w)</mi>")  # a letter that a browser draws as an italic one
ITALICS = {
    **{chr(ord("A") + i): chr(0x1D434 + i) for i in range(26)},
    **{chr(ord("a") + i): chr(0x1D44E + i) for i in range(26)},
    "h": "\u210e",
    **{chr(ord("Α") + i): chr(0x1D6E2 + i) for i in range(25)},
    **{chr(ord("α") + i): chr(0x1D6FC + i) for i in range(25)},
    **dict(zip("∂ϵϑϰϕϱϖ", map(chr, range(0x1D715, 0x1D71C)), strict=True)),
}
ALWAYS = "√()[]{}|‖⟨⟩⌊⌋⏞⏟"

PRELOAD = """
    <script>
      if (location.protocol !== "file:") for (const href of {addresses})
        document.head.append(Object.assign(document.createElement("link"),
          {{ rel: "preload", as: "font", type: "font/woff2", crossOrigin: "", href }}));
    </script>"""

STYLES = "styles/pydata-sphinx-theme.css"
ICONS = "vendor/fontawesome/webfonts"
ICON_SCRIPT = re.compile(r'\s*<script[^>]*src="[^"]*scripts/fontawesome\.js[^"]*"></script>')
ICON_RULE = re.compile(r"(?P<names>(?:\.fa-[\w-]+:before,?)+)\{content:\"\\(?P<point>[0-9a-f]+)(?:\\[0-9a-f]+)?\"\}")
ICON_NAME = re.compile(r"fa-[\w-]+")
OTHER_FACES = re.compile(r"@font-face\{[^}]*(?:fa-regular|fa-brands|fa-v4compat)[^}]*\}")
SECOND_FORMAT = re.compile(r",url\([^)]*\.ttf\)\s*format\(\"truetype\"\)")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("html-page-context", _preload)
    app.connect("build-finished", _cut, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _preload(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Ask for the fonts of every page at once, so that no text moves when they come; from a disk there is no need."""
    addresses = [context["pathto"](f"_static/{font}", 1) for font in (TEXT, MATH)]
    context["metatags"] = context.get("metatags", "") + PRELOAD.format(addresses=json.dumps(addresses))


def _cut(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    static = Path(app.outdir, "_static")
    letters, names, written = set(ALWAYS), set(), set(string.printable)
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        letters |= letters_of(text)
        written |= set(html.unescape(UNSEEN.sub("", text)))
        names |= set(ICON_NAME.findall(text))
        if (without := ICON_SCRIPT.sub("", text)) != text:
            page.write_text(without, encoding="utf-8")
    for previews in Path(app.outdir, "_previews").rglob("*.js"):
        letters |= letters_of(previews.read_text(encoding="utf-8"))
    subset(Path(app.confdir, "book/static", MATH), static / MATH, map(ord, letters))
    for font in TEXTS:
        subset(Path(app.confdir, "book/static", font), static / font, map(ord, written))
    _cut_icons(static, names)


def letters_of(page: str) -> set[str]:
    """The characters of a page's formulas, as they are drawn."""
    formulas = [ANNOTATION.sub("", formula) for formula in FORMULA.findall(page)]
    written = {letter for formula in formulas for letter in html.unescape(MARKUP.sub("", formula))}
    return written | {
        ITALICS[letter] for formula in formulas for letter in SINGLE.findall(formula) if letter in ITALICS
    }


def subset(source: Path, target: Path, characters: Iterable[int]) -> None:
    """Write the part of a font that these characters need, with the sizes of a bracket, without hints."""
    options = Options(flavor="woff2", layout_features=FEATURES, notdef_outline=True, hinting=False)
    font = load_font(str(source), options)
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=characters)
    subsetter.subset(font)
    target.parent.mkdir(parents=True, exist_ok=True)
    save_font(font, str(target), options)


def _cut_icons(static: Path, names: set[str]) -> None:
    """Leave of the theme's icons those that a page, or one of its scripts, has."""
    styles = static / STYLES
    rules = styles.read_text(encoding="utf-8")
    if not OTHER_FACES.search(rules):
        return  # an incremental build: it is done
    for script in [*static.glob("scripts/*.js"), *static.glob("*.js")]:
        if script.name != "fontawesome.js":
            names |= set(ICON_NAME.findall(script.read_text(encoding="utf-8")))
    points: set[int] = set()

    def keep(rule: re.Match[str]) -> str:
        if names.isdisjoint(name.removesuffix(":before").lstrip(".") for name in rule["names"].split(",")):
            return ""
        points.add(int(rule["point"], 16))
        return rule[0]

    rules = SECOND_FORMAT.sub("", OTHER_FACES.sub("", ICON_RULE.sub(keep, rules)))
    # What other rules of the theme write in this font.
    points |= {int(point, 16) for point in re.findall(r'content:"\\(f[0-9a-f]{3})"', rules)}
    points |= {
        int(point, 16)
        for sheet in static.rglob("*.css")
        if sheet != styles
        for point in re.findall(r'content:\s*"\\(f[0-9a-f]{3})"', sheet.read_text(encoding="utf-8"))
    }
    styles.write_text(rules, encoding="utf-8")
    font = static / ICONS / "fa-solid-900.woff2"
    subset(font, font, points)
    for other in (static / ICONS).iterdir():
        if other != font:
            other.unlink()
    for name in ("fontawesome.js", "fontawesome.js.map", "fontawesome.js.LICENSE.txt"):
        (static / "scripts" / name).unlink(missing_ok=True)
