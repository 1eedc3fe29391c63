"""Pack the built site into one zip file, to be read without a network; the site's pages then offer it.

All works by ``file://``, search too. What else there is to download is not in it, nor offered by its pages. They do not
ask for fonts beforehand, which a browser refuses where pages have no host; those that a style sheet names it loads.
"""

import re
import sys
import time
import zipfile
from pathlib import Path

from tools.articles import SITE, SiteError, bare_book
from tools.commands import command
from tools.downloads import FOLDER, offer, without_offers

PRELOADED = re.compile(r'\s*<link rel="preload" [^>]*as="font"[^>]*>')
LEFT_OUT = (".buildinfo", "objects.inv")


def pack(site: Path, file: Path) -> None:
    """Write the zip file of a built site, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(site.rglob("*")):
            name = path.relative_to(site)
            if not path.is_file() or name.parts[0] == FOLDER or name.name in LEFT_OUT:
                continue
            moment = time.gmtime(path.stat().st_mtime)[:6]
            content = path.read_bytes()
            if path.suffix == ".html":
                content = PRELOADED.sub("", without_offers(content.decode("utf-8"))).encode("utf-8")
            entry = zipfile.ZipInfo(f"{file.stem}/{name.as_posix()}", moment)
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    partial.replace(file)


@command
def main(site: Path = SITE) -> int:
    """Pack the site; return 1 where there is none."""
    try:
        file = site / FOLDER / f"{bare_book(site).name}.zip"
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    pack(site, file)
    offer(site)
    print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
