"""What the page of a viewer (:class:`aevb_utils.figures.Viewer`) holds and says, without its looks and its script."""

import base64
import gzip
import html
import json
import re

PACKED = re.compile(r'<script type="application/gzip">(?P<packed>[^<]*)</script>')
PAGE = re.compile(
    r'<figure class="aevb-viewer".*?<figcaption>(?P<caption>.*?)</figcaption>'
    rf"{PACKED.pattern}</figure><script>.*?</script>",
    re.DOTALL,
)


def frames_of(page: str) -> list[str]:
    """The frames of the first viewer in a page of HTML, as SVG documents; none if there is no viewer."""
    found = PACKED.search(page)
    return _unpack(found["packed"])["frames"] if found else []


def with_words_alone(page: str) -> str:
    """A page with what each viewer says in the viewer's place: its sliders, their labels, alternative texts, caption.

    Its frames are left out, and so is what is the same in all viewers.
    """

    def words(found: re.Match[str]) -> str:
        viewer = _unpack(found["packed"])
        said = [viewer["names"], viewer["labels"], viewer["alts"], html.unescape(found["caption"])]
        return json.dumps(said, ensure_ascii=False)

    return PAGE.sub(words, page)


def _unpack(packed: str) -> dict[str, list]:
    """What a viewer's script unpacks."""
    return json.loads(gzip.decompress(base64.b64decode(packed)))
