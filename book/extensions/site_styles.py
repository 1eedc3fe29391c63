"""Load with a page what it needs: styles and scripts for code, cells, cards and tabs only where there are such.

The theme's styles, and those of cards, are also cut to the classes that a page of the site or a script has. The whole
ones are kept beside Sphinx's own notes, for the next build. Bootstrap comes when a reader is at a menu: menus.js.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

SHEETS = ("styles/pydata-sphinx-theme.css", "styles/sphinx-book-theme.css", "basic.css", "sphinx-design.min.css")
CUT = "/* Cut to what the site has. */\n"
NEEDS = {  # a page that has the first needs the files with such names
    r'class="[^"]*\bhighlight\b': r"pygments\.css|copybutton\.css|copybutton\.js|clipboard\.min\.js",
    r'class="[^"]*\bcell\b': r"mystnb\.\w+\.css",
    r'class="(?:[^"]* )?(?:toggle|dropdown admonition|admonition dropdown|hide)[ "]': r"togglebutton\.(?:css|js)",
    r'class="[^"]*\bsd-tab': r"design-tabs\.js",
    r'class="[^"]*\bsd-': r"sphinx-design\.min\.css",
}
LOADED = re.compile(
    r'[ ]*(?:<link rel="stylesheet"[^>]* href="(?P<style>[^"]+)"[^>]*>|'
    r'<script[^>]* src="(?P<script>[^"]+)"></script>)\n?'
)
BOOTSTRAP = re.compile(r'<script defer src="([^"]*/bootstrap\.js[^"]*)"></script>')
EARLY = re.compile(r'[ ]*<link rel="preload" as="script" href="[^"]*/bootstrap\.js[^"]*" />\n?')
SETTINGS = re.compile(r"[ ]*<script>(?:let toggle\w+|var togglebuttonSelector) = [^<]*</script>\n?")
CLASSES = re.compile(r'class=\\?"([^"\\]*)\\?"')
WORD = re.compile(r"[\w-]+")
CLASS = re.compile(r"\.(-?[A-Za-z_][\w-]*)")
OTHERS = re.compile(r":[\w-]+\([^()]*\)")  # of classes in :is(), :not() and the like, an element may have none
BETWEEN = re.compile(r",(?![^()]*(?:\([^()]*\)[^()]*)*\))")  # two selectors, and not in parentheses
MADE = "bs-"  # how the classes begin that Bootstrap puts together while it runs
PART = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|/\*.*?\*/|(?P<mark>[{};])", re.DOTALL)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_js_file("menus.js", loading_method="defer")
    app.connect("build-finished", _lighten, priority=950)  # after the theme's icons are cut
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _lighten(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    site = Path(app.outdir)
    known: set[str] = set()
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        if (light := without_needless(text)) != text:
            page.write_text(light, encoding="utf-8")
        known |= words_of(light)
    for script in site.rglob("*.js"):
        text = script.read_text(encoding="utf-8")
        known |= words_of(text) if script.is_relative_to(site / "_previews") else set(WORD.findall(text))
    for name in SHEETS:
        sheet = site / "_static" / name
        sheet.write_text(CUT + cut(whole(sheet, Path(app.doctreedir)), known), encoding="utf-8")


def whole(sheet: Path, kept: Path) -> str:
    """A sheet of the theme as the theme has it, which is kept in a folder for the next build.

    Raises:
        ExtensionError: there is no such sheet, or it is cut already and the whole one is not in the folder.
    """
    if not sheet.is_file():
        raise ExtensionError(
            f"There is no {sheet.name} in {sheet.parent}, where the theme's styles were expected: the theme's files "
            "have changed, so name its sheets anew in SHEETS of book/extensions/site_styles.py."
        )
    copy = kept / f"whole-{sheet.name}"
    text = sheet.read_text(encoding="utf-8")
    if not text.startswith(CUT):
        copy.write_text(text, encoding="utf-8")
    elif copy.is_file():
        text = copy.read_text(encoding="utf-8")
    else:
        raise ExtensionError(
            f"{sheet} is cut already, and the whole sheet that the build before kept is not at {copy}: build the book "
            "anew, after `python -m tools clean`."
        )
    return text


def words_of(page: str) -> set[str]:
    """The classes that a page gives to its elements, and all words of the scripts in it."""
    classes = {name for names in CLASSES.findall(page) for name in names.split()}
    scripts = re.findall(r"<script\b[^>]*>(.*?)</script>", page, re.DOTALL)
    return classes.union(*map(WORD.findall, scripts))


def without_needless(page: str) -> str:
    """A page that does not load what it has no use for, or none yet."""
    page = BOOTSTRAP.sub(r'<script type="text/plain" data-later="\1"></script>', EARLY.sub("", page))
    body = page[page.find("<body") :]
    needless = [files for sign, files in NEEDS.items() if not re.search(sign, body)]
    if not needless:
        return page
    names = re.compile(rf"(?:.*/)?(?:{'|'.join(needless)})(?:\?.*)?")
    page = LOADED.sub(lambda found: "" if names.fullmatch(found["style"] or found["script"]) else found[0], page)
    return page if "togglebutton.js" in page else SETTINGS.sub("", page)


def cut(styles: str, known: set[str]) -> str:
    """Styles without the rules for classes that are not known."""
    kept: list[str] = []
    for head, body in _rules(styles):
        if body is None:
            kept.append(head)
        elif head.startswith(("@media", "@supports")):
            kept += [f"{head}{{{inside}}}"] if (inside := cut(body, known)) else []
        elif head.startswith("@"):
            kept.append(f"{head}{{{body}}}")
        else:
            selectors = [each for each in BETWEEN.split(head) if _may_match(each, known)]
            kept += [f"{','.join(selectors)}{{{body}}}"] if selectors else []
    return "".join(kept)


def _may_match(selector: str, known: set[str]) -> bool:
    """Whether there may be an element for a selector."""
    names = CLASS.findall(OTHERS.sub("", OTHERS.sub("", selector)))
    return "\\" in selector or all(name in known or name.startswith(MADE) for name in names)


def _rules(styles: str) -> Iterator[tuple[str, str | None]]:
    """The rules of some styles, each with what stands before its braces and in them; a statement has no braces."""
    start = begin = depth = 0
    for part in PART.finditer(styles):
        if not part["mark"]:
            continue
        at = part.start()
        if part["mark"] == "{":
            if depth == 0:
                begin = at
            depth += 1
        elif part["mark"] == "}":
            depth -= 1
        if depth == 0 and part["mark"] != "{":
            end = begin if part["mark"] == "}" else at + 1
            head = re.sub(r"/\*.*?\*/", "", styles[start:end], flags=re.DOTALL).strip()
            yield head, styles[begin + 1 : at] if part["mark"] == "}" else None
            start = at + 1
