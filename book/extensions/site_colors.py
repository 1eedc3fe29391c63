r"""Give the quantities of the book their colors in formulas and headings, the same as in the figures.

Blue is the ELBO, orange the KL divergence, purple q, green the posterior; the evidence is black, as the text is. The
LaTeX of the sources says nothing about it: what a formula calls ``q_\phi(z \mid x)`` is purple on the site.
"""

import re

# Named colors, as the converter writes them, stand for the kinds until the formula is set.
KINDS = {"q": ("magenta", "#FB3199"), "posterior": ("lime", "#BFFF04")}
SCRIPT = r"(?:[_^](?:\{[^{}]*\}|\\[a-zA-Z]+|[A-Za-z0-9*]))"
INSIDE = r"\([^()&\\]*(?:\\(?!\\|tag|right|left)[a-zA-Z,;]+[^()&\\]*)*\)"
LATENT = r"(?:z|c|y|s)(?![a-zA-Z])"
ANY = re.compile(
    r"(?P<log>\\log\s*)?(?:"
    rf"(?P<q>(?<![\\a-zA-Z_^])(?:\\(?:bar|hat|tilde)\s*)?q{SCRIPT}*(?:{INSIDE})?(?![a-zA-Z])|(?<=[_^])q(?![a-zA-Z]))"
    rf"|(?<![\\a-zA-Z])(?P<posterior>p{SCRIPT}*\(\s*{LATENT}[^()&|\\]*\\mid\s*x(?!_\{{1:t-1\}})[^()&]*\))"
    ")"
)
STYLES = {f'style="color:{code};"': f'class="aevb-{kind}"' for kind, (_, code) in KINDS.items()}
NAMES = {"<mi>KL</mi>": "kl", "<mtext>KL</mtext>": "kl", "<mi>\u2112\ufe00</mi>": "elbo", "<mtext>ELBO</mtext>": "elbo"}
HEADING = re.compile(r"(<h[1-4][^>]*>)(.*?)(<a class=\"headerlink\"|</h[1-4]>)", re.DOTALL)
WORDS = re.compile(r"(?<![\w-])(?:(?P<elbo>ELBOs?)|(?P<kl>KL)|(?P<posterior>posterior))(?![\w-])(?![^<]*>)")


def in_color(latex: str) -> str:
    """The LaTeX with a mark on each q and each posterior."""

    def mark(found: re.Match[str]) -> str:
        kind = "q" if found["q"] else "posterior"
        log = rf"{found['log']}\," if found["log"] else ""  # the space that a group would take from the operator
        return rf"{log}{{\color{{{KINDS[kind][0]}}}{found[kind]}}}"

    return ANY.sub(mark, latex)


def with_classes(mathml: str) -> str:
    """The formula with classes, which the style sheet colors, where the marks were and on the names of quantities."""
    for style, name in STYLES.items():
        mathml = mathml.replace(style, name)
    for name, kind in NAMES.items():
        mathml = mathml.replace(name, name.replace(">", f' class="aevb-{kind}">', 1))
    return mathml


def in_headings(page: str) -> str:
    """The page with the quantities' names in its headings colored."""

    def color(heading: re.Match[str]) -> str:
        words = WORDS.sub(lambda word: f'<span class="aevb-{word.lastgroup}">{word[0]}</span>', heading[2])
        return heading[1] + words + heading[3] if 'class="aevb-' not in heading[2] else heading[0]

    return HEADING.sub(color, page)
