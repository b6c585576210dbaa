"""HTML as people read it: text with its line breaks, and nothing else of it. Pure."""

import re
from html import unescape

import nh3

from services.ingest.hooks.reading import clip

LONGEST_HTML = 200_000
"""Characters that are read at all."""
_BREAKING = {
    "address", "article", "blockquote", "br", "dd", "div", "dl", "dt", "footer", "h1", "h2",
    "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "ol", "p", "pre", "section", "table",
    "tr", "ul",
}  # fmt: skip
_SILENT = {"script", "style", "head", "title", "template", "noscript", "svg", "math", "textarea"}
# What nh3 leaves are these tags alone, without attributes, so that this finds all of them.
_TAG = re.compile(r"</?[a-z0-9]+>")
_ANY_TAG = re.compile(r"<[^<>]*>?")
_NAME = re.compile(r"<(/?)([a-z][a-z0-9]*)", re.IGNORECASE)
_DEEPEST = 500
"""Elements within elements. A parser takes the square of the depth, so that no more are read."""
_UNCLOSED = {
    "area", "base", "br", "col", "dd", "dt", "embed", "hr", "img", "input", "li", "link", "meta",
    "option", "p", "source", "tbody", "td", "th", "thead", "tr", "wbr",
}  # fmt: skip
_SPACE = re.compile(r"[ \t\r\f\v\u00a0]+")
_LINES = re.compile(r" ?\n ?(?:\n ?)+")


def from_html(html: str) -> str:
    """The text of an HTML document or fragment, its blocks on lines of their own."""
    html = clip(html, LONGEST_HTML).replace("\n", " ")
    kept = _ANY_TAG.sub(" ", html) if _too_deep(html) else _blocks(html)
    text = _SPACE.sub(" ", unescape(_TAG.sub("\n", kept)))
    text = _LINES.sub("\n\n", text).replace(" \n", "\n").replace("\n ", "\n").strip()
    return clip(text, len(text))


def _blocks(html: str) -> str:
    return nh3.clean(
        html,
        tags=_BREAKING,
        clean_content_tags=_SILENT,
        attributes={"*": set()},
        strip_comments=True,
        link_rel=None,
    )


def _too_deep(html: str) -> bool:
    depth = 0
    for closing, name in _NAME.findall(html):
        if name.lower() not in _UNCLOSED:
            depth = max(0, depth - 1) if closing else depth + 1
            if depth > _DEEPEST:
                return True
    return False
