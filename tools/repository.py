"""Write the repository's address wherever the book needs it: `python -m tools.repository https://github.com/owner/name`.

The setting itself is ``repository`` in ``_config.yml``, which the site's Colab and Binder buttons come from, and beside
it ``html.baseurl``, the site's own address, for search engines and for whoever shares a page. From there it goes into
the badges of README.md, into CITATION.cff and into the setup cell of every notebook. Run it again with another address
to move the book.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from urllib.parse import quote

import nbformat

from tools.commands import command
from tools.notebooks import ROOT, read, tags
from tools.places import plan, replace_once, stamped, write_all
from tools.syntax import read_text

ADDRESS = re.compile(
    r"https://github\.com/(?P<owner>[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)/(?P<name>[\w.-]+?)(\.git)?/?", re.ASCII
)
BADGES = ("<!-- badges:start -->", "<!-- badges:end -->")
"""README.md's badges stand between these two lines."""


def stamp(url: str, *, branch: str = "main", root: Path = ROOT) -> list[Path]:
    """Write the address into every file that names it; all of them or, when anything is wrong, none.

    Args:
        url: ``https://github.com/owner/name``; a final ``/`` or ``.git`` is dropped.
        branch: the branch that is published.
        root: the folder of the book.

    Returns:
        The files that changed; none when the address was there already.

    Raises:
        ValueError: the address or the branch is malformed, or a file has no place for the address.
        FileNotFoundError: a file that holds the address is missing.
    """
    match = ADDRESS.fullmatch(url.strip())
    if match is None or match["name"] in (".", "..") or match["name"].lower().endswith(".git"):
        raise ValueError(
            f"The repository's address must look like https://github.com/owner/name, and this is {url!r}: "
            "run make repository URL=https://github.com/owner/name"
        )
    _check_branch(branch)
    owner, name = match["owner"], match["name"]
    url = f"https://github.com/{owner}/{name}"

    texts: dict[Path, str] = {}
    plan(texts, root / "_config.yml", lambda text: _config(text, url, branch, site_address(owner, name)))
    plan(texts, root / "README.md", lambda text: _readme(text, owner, name, branch))
    plan(texts, root / "CITATION.cff", lambda text: _citation(text, url))
    notebooks = sorted((root / "notebooks").glob("*.ipynb"))
    if not notebooks:
        raise FileNotFoundError(f"There are no notebooks in {root / 'notebooks'}: run this in a copy of the book.")
    for path in notebooks:
        texts[path] = _notebook(path, f"{url}@{branch}")

    changed = {path: text for path, text in texts.items() if read_text(path) != text}
    write_all(changed)
    return list(changed)


def _check_branch(branch: str) -> None:
    """A branch has a name that git takes (``git check-ref-format --branch``), of characters that need no escape.

    Raises:
        ValueError: it has not.
    """
    if not re.fullmatch(r"[\w./-]+", branch):
        raise ValueError(f"A branch is named by letters, digits, '.', '_', '-' and '/', and this is {branch!r}.")
    parts = branch.split("/")
    if (
        branch == "HEAD"
        or branch.startswith("-")
        or branch.endswith(".")
        or ".." in branch
        or any(part.startswith(".") or part.endswith(".lock") or not part for part in parts)
    ):
        raise ValueError(
            f"git has no branch named {branch!r}: between '/' a name begins with no '.' and does not end in '.lock', "
            "and the whole is not HEAD, begins with no '-', ends in no '.' and has no '..'."
        )


def site_address(owner: str, name: str) -> str:
    """Where GitHub Pages shows a repository's site."""
    host = f"{owner.lower()}.github.io"
    return f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"


def _config(text: str, url: str, branch: str, site: str) -> str:
    quoted = json.dumps(branch, ensure_ascii=False)  # YAML would take 1.0 and true for something else
    block = f'repository:\n  url: "{url}"\n  branch: {quoted}\n'
    text = replace_once(r"^repository:\n  url: [^\n]*\n  branch: [^\n]*\n", block, text, "_config.yml")
    return replace_once(r"^  baseurl: [^\n]*\n", f'  baseurl: "{site}"\n', text, "_config.yml (baseurl)")


def _readme(text: str, owner: str, name: str, branch: str) -> str:
    first, last = BADGES
    branch = quote(branch)
    badges = [
        ("Read the book", "https://img.shields.io/badge/read-the_book-0072B2", site_address(owner, name)),
        (
            "Tests",
            f"https://github.com/{owner}/{name}/actions/workflows/test.yml/badge.svg?branch={branch}",
            f"https://github.com/{owner}/{name}/actions/workflows/test.yml",
        ),
        (
            "Open in Colab",
            "https://colab.research.google.com/assets/colab-badge.svg",
            f"https://colab.research.google.com/github/{owner}/{name}/tree/{branch}/notebooks",
        ),
        (
            "Launch on Binder",
            "https://mybinder.org/badge_logo.svg",
            f"https://mybinder.org/v2/gh/{owner}/{name}/{branch}?urlpath=lab/tree/notebooks",
        ),
    ]
    lines = "\n".join(f"[![{label}]({image})]({link})" for label, image, link in badges)
    pattern = f"^{re.escape(first)}$.*?^{re.escape(last)}$"
    return replace_once(pattern, f"{first}\n{lines}\n{last}", text, f"README.md (between {first} and {last})")


def _citation(text: str, url: str) -> str:
    line = f"repository-code: {url}\n"
    if not re.search(r"^repository-code:", text, flags=re.MULTILINE):
        return text.rstrip("\n") + "\n" + line
    return replace_once(r"^repository-code:[^\n]*\n", line, text, "CITATION.cff")


def _notebook(path: Path, address: str) -> str:
    text, notebook = read_text(path), read(path)
    cells = [cell for cell in notebook.cells if "setup" in tags(cell)]
    if len(cells) != 1:
        raise ValueError(
            f"{path.name} must have exactly one cell tagged setup and has {len(cells)}: put it back first."
        )
    source = replace_once(r'^REPOSITORY = "[^"\n]*"', f'REPOSITORY = "{address}"', cells[0].source, path.name)
    if source == cells[0].source:
        return text  # even if another editor laid the file out differently
    cells[0].source = source
    return nbformat.writes(notebook) + "\n"


@command
def main(arguments: list[str] | None = None) -> int:
    """The command: stamp the address, say what changed, return the exit status."""
    parser = argparse.ArgumentParser(prog="tools.repository", description="Write the repository's address everywhere.")
    parser.add_argument("url", help="https://github.com/owner/name")
    parser.add_argument("--branch", default="main", help="the published branch (default: main)")
    options = parser.parse_args(arguments)
    return stamped(
        lambda: stamp(options.url, branch=options.branch), "The address was there already: nothing changed.", ROOT
    )


if __name__ == "__main__":
    sys.exit(main())
