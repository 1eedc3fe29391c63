"""The figures that compute, as one classic script: their modules, put together.

Only the standard library: the site's build uses this file without the package's libraries. A script and no modules,
since a page that is opened from disk may not load modules.

A module begins with its imports, ``import { a, b } from "./other.js";``, and exports what it declares,
``export function``, ``export class`` or ``export const``; nothing else of the module syntax is understood, and said so.
Comments, and the spaces and lines that only help a reader, are left out.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

FOLDER = Path(__file__).parent
SOURCES = FOLDER / "js"
ENTRY = "frame/mount.js"
WITHOUT_SCRIPT = (
    "This figure computes in your browser, and answers to you, where JavaScript may run: trust the notebook (in "
    "JupyterLab: View, Activate Command Palette, Trust Notebook), or open this page on the book's website."
)
"""What stands below the picture where no script runs."""

IMPORT = re.compile(r'^import \{(?P<names>[^}]*)\} from "(?P<path>\.{1,2}/[^"]+\.js)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*? |class |const )(?P<name>[\w$]+))", re.MULTILINE)
LEFT = re.compile(r"^(?:import|export)\b.*", re.MULTILINE)
TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|//[^\n]*)|(?P<blank>\s+)|(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')"""
    r"""|(?P<pattern>/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/[a-z]*)|(?P<word>[\w$]+)|(?P<template>`)|(?P<sign>.)""",
    re.DOTALL,
)
AFTER_A_VALUE = re.compile(r"[\w$)\]}`\"']\Z")  # where / divides, and begins no pattern
BEFORE_A_VALUE = frozenset({"return", "typeof", "case", "yield", "in", "of", "new", "delete", "void", "throw"})
INLINE = 8_000  # bytes of data that a page holds itself; what is more is a file that pages share


class BundleError(ValueError):
    """A module has a form that the bundle does not understand, or imports in a circle."""


def names() -> list[str]:
    """The names of all figures, as their modules are called: ``be_q``."""
    return sorted(path.stem for path in (SOURCES / "figures").glob("*.js"))


def bundle(figures: Iterable[str]) -> str:
    """One classic script with some figures and what they need; it defines ``aevbFigures.KEY``, see :func:`key`.

    Args:
        figures: names of figures, such as ``be_q``.

    Raises:
        BundleError: a module has a form that is not understood, is missing, or imports in a circle.
    """
    return f"(globalThis.aevbFigures??={{}}).{key(figures)}??=({_program(figures)})();\n"


def key(figures: Iterable[str]) -> str:
    """What the script of some figures is called in a page: another one for other code."""
    return f"b{hashlib.sha256(_program(figures).encode()).hexdigest()[:12]}"


def _program(figures: Iterable[str]) -> str:
    order: dict[str, str] = {}
    for entry in (*(f"figures/{name}.js" for name in figures), ENTRY):
        _add(entry, order, ())
    parts = "".join(f"modules[{json.dumps(name)}]=(()=>{{{text}}})();\n" for name, text in order.items())
    return (
        f'function program(){{"use strict";const modules={{}};\n{parts}'
        f"return modules[{json.dumps(ENTRY)}].start(program,modules)}}"
    )


def _add(name: str, order: dict[str, str], above: tuple[str, ...]) -> None:
    """Put a module into the order, after all that it imports."""
    if name in above:
        raise BundleError(f"Modules import each other in a circle: {' → '.join((*above, name))}.")
    if name in order:
        return
    path = SOURCES / name
    if not path.is_file():
        raise BundleError(f"There is no module {name} in {SOURCES.name}{f': {above[-1]} imports it' if above else ''}.")
    source = path.read_text(encoding="utf-8")
    lines: list[str] = []
    for found in IMPORT.finditer(source):
        other = _resolve(name, found["path"])
        _add(other, order, (*above, name))
        wanted = [*filter(None, (part.strip() for part in found["names"].split(",")))]
        given = order[other].rpartition("return{")[2].removesuffix("};").split(",")
        if missing := [part for part in wanted if part not in given]:
            raise BundleError(
                f"{name} imports {missing[0]} from {other}, which does not export it: an export declares one name, "
                "such as export const a = 1."
            )
        lines.append(f"const{{{','.join(wanted)}}}=modules[{json.dumps(other)}];")
    body = IMPORT.sub("", source)
    exported = [found["name"] for found in EXPORT.finditer(body)]
    body = EXPORT.sub("", body)
    if left := LEFT.search(body):
        raise BundleError(
            f'{name} has "{left[0].strip()}": a module may only import {{ names }} from "./other.js" and export '
            "functions, classes and constants where it declares them."
        )
    order[name] = f"{''.join(lines)}{minified(body)}\nreturn{{{','.join(exported)}}};"


@cache
def minified(source: str) -> str:
    """JavaScript without comments, and without the spaces and lines that it does not need."""
    written: list[str] = []
    at = 0
    while at < len(source):
        at = _take(source, at, written)
    return "".join(written).strip()


def _take(source: str, at: int, written: list[str]) -> int:
    """Write the token that begins at a place, and return where the next one begins."""
    found = TOKEN.match(source, at)
    before = next((part for part in reversed(written) if part.strip()), "\n")
    if found["pattern"] and AFTER_A_VALUE.search(before) and before not in BEFORE_A_VALUE:
        written.append("/")
        return at + 1
    if found["template"]:
        end = _end_of_template(source, at + 1)
        written.append(source[at:end])
        return end
    if found["comment"] or found["blank"]:
        end = found.end()
        while more := TOKEN.match(source, end):
            if not (more["comment"] or more["blank"]):
                break
            end = more.end()
        following = source[end : end + 1]
        if "\n" in source[at:end]:
            written.append("" if before[-1:] in "\n{([,;" or following in "}])" else "\n")
        elif _apart(before[-1:], following):
            written.append(" ")
        return end
    written.append(found[0])
    return found.end()


def _apart(left: str, right: str) -> bool:
    """Whether two characters would mean something else without a space between them."""
    word = re.compile(r"[\w$]")
    return bool(word.match(left) and word.match(right)) or (left in "+-/" and left == right) or left + right == "/*"


def _end_of_template(source: str, at: int) -> int:
    """Where a template ends whose text begins at a place; expressions in it may hold others."""
    while source[at] != "`":
        if source[at] == "\\":
            at += 2
        elif source.startswith("${", at):
            depth, at, inside = 1, at + 2, ["{"]
            while depth:
                depth += {"{": 1, "}": -1}.get(source[at], 0)
                at = _take(source, at, inside)
        else:
            at += 1
    return at + 1


def _resolve(name: str, path: str) -> str:
    """The name of the module that another one imports by a relative path."""
    parts: list[str] = list(PurePosixPath(name).parent.parts)
    for part in path.split("/"):
        if part == "..":
            if not parts:
                raise BundleError(f"{name} imports {path}, which lies outside of {SOURCES.name}.")
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def data_of(figure: str) -> str:
    """What a figure needs besides its code, as JSON that may stand in a page's script."""
    path = FOLDER / "data" / f"{figure}.json"
    text = path.read_text(encoding="utf-8").strip() if path.is_file() else "null"
    return text.replace("</", "<\\/")


def data_file(figure: str) -> tuple[str, str] | None:
    """The file in which the pages of a site share a figure's data: its name, its text; None where they are few.

    It is a script, since a page that is opened from disk may fetch nothing.
    """
    data = data_of(figure)
    if len(data) <= INLINE:
        return None
    text = f"(globalThis.aevbFigureData??={{}}).{figure}={data};\n"
    return f"{figure}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.js", text


def later_of(figure: str) -> Path:
    """What a figure loads when a reader first touches it, as JSON: what is too much for the page itself."""
    return FOLDER / "data" / "later" / f"{figure}.json"


def later_script(figure: str) -> str:
    """What a figure loads later, as a script: a page that is opened from disk may not load JSON. Empty without any."""
    path = later_of(figure)
    if not path.is_file():
        return ""
    text = path.read_text(encoding="utf-8").strip().replace("</", "<\\/")
    return f"((globalThis.aevbFigures ??= {{}}).later ??= {{}})[{json.dumps(figure)}] ??= {text};\n"


def picture_name(figure: str, state: str = "") -> str:
    """What the picture of a figure in a state is called, whether there is one or not."""
    return f"{figure}-{hashlib.sha256(state.encode()).hexdigest()[:8]}" if state else figure


def still_of(figure: str, state: str = "") -> Path:
    """The picture of a figure, a PNG, for where no script runs: in a state, or if there is none, as it begins."""
    own = FOLDER / "stills" / f"{picture_name(figure, state)}.png"
    return own if own.is_file() else FOLDER / "stills" / f"{figure}.png"


def words_of(figure: str, state: str = "") -> str:
    """What the picture of a figure shows, in words."""
    return _noted("words").get(still_of(figure, state).stem, "")


def heights_of(figure: str) -> dict[str, int]:
    """How high a figure is, in pixels, by its width: what is kept free for it until its data have come."""
    return _noted("heights").get(figure, {})


def _noted(what: str) -> dict[str, Any]:
    """What was noted of the figures when their pictures were taken."""
    return json.loads((FOLDER / "stills" / f"{what}.json").read_text(encoding="utf-8"))


def markup(
    figure: str,
    *,
    state: str = "",
    site: bool = False,
    still: str = "",
    data: str = "",
    later: str = "",
    drawn: str = "",
) -> str:
    """The element that a figure's script fills: its data, and its picture for where no script runs.

    Args:
        figure: its name.
        state: what differs from the start, as in the address of a page: ``mean=0.3&sd=0.2``.
        site: whether the page is one of the site's, whose address may hold the state.
        still: address of the picture; none shows only the words.
        data: address of the file with its data, see :func:`data_file`; without one they stand in the element.
        later: address of the script that it loads at the first touch, see :func:`later_script`.
        drawn: HTML in the place of picture and words, for a figure in brief, with its first controls alone.
    """
    picture = f'<img src="{html.escape(still)}" alt="{html.escape(words_of(figure, state))}">' if still else ""
    inside = drawn or f'{picture}<p class="aevb-still">{WITHOUT_SCRIPT}</p>'
    held = "" if data else f'<script type="application/json">{data_of(figure)}</script>'
    kinds = " data-brief" if drawn else " data-permalink" if site else ""
    if data:
        room = "".join(f"--room-{width}:{height}px;" for width, height in heights_of(figure).items())
        kinds += f' data-source="{data}" style="{room}"'
    if later:
        kinds += f' data-later="{html.escape(later)}"'
    return (
        f'<div class="aevb-computing" data-figure="{figure}"{kinds} data-state="{html.escape(state)}">'
        f"{f'<noscript>{inside}</noscript>' if site else inside}{held}</div>"
    )


def picture_address(figure: str, state: str = "") -> str:
    """The picture of a figure as an address that an image can hold; empty where there is none."""
    path = still_of(figure, state)
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}" if path.is_file() else ""
