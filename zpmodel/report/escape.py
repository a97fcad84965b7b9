"""The one place where text from elsewhere becomes HTML or Markdown: names, folders, parameters, errors.

Three fences, each enough by itself: text is escaped where it enters (:func:`to_html`, :func:`to_markdown`), what a
notebook shows keeps only harmless elements (:func:`clean`), and a page's Content-Security-Policy runs no script but the
site's.
"""

import html
import re
import unicodedata

import mistune
import nh3

_ACTIVE = re.compile(r"[\\`*_{}\[\]()#+\-.!|<>~$&\"':@^=/]")
_SECTION = re.compile(r"question-\d{1,3}")
_TAGS = (
    "a abbr b blockquote br caption code col colgroup dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i img kbd li ol "
    "p pre s samp section span strong sub summary sup table tbody td tfoot th thead tr ul"
)
_ATTRIBUTES = {
    "*": {"class", "title"},
    "a": {"href"},
    "h2": {"id"},
    "img": {"src", "alt"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
    "ol": {"start"},
}
_MARKDOWN = mistune.create_markdown(escape=False, plugins=["table", "strikethrough"])


def to_html(text: object) -> str:
    """Text that stands in HTML, or in a quoted attribute, as itself."""
    return html.escape(_visible(str(text)), quote=True)


def to_markdown(text: object) -> str:
    """Text that stands in one line of Markdown as itself: no emphasis, link, element or formula comes of it."""
    line = " ".join(_visible(str(text)).split())
    return _ACTIVE.sub(lambda match: f"&#{ord(match[0])};", line)


def clean(markup: str) -> str:
    """HTML without whatever could run or load something: scripts, styles, frames, handlers, images."""
    return nh3.clean(
        markup,
        tags=set(_TAGS.split()),
        attributes=_ATTRIBUTES,
        clean_content_tags={"script", "style", "title", "iframe", "noscript", "template"},
        attribute_filter=_harmless,
        url_schemes={"https", "http", "data"},
        link_rel="noopener noreferrer",
    )


def from_markdown(source: str) -> str:
    """Markdown as harmless HTML."""
    return clean(str(_MARKDOWN(source)))


def _harmless(element: str, attribute: str, value: str) -> str | None:
    if attribute == "src" and not value.startswith("data:image/png;base64,"):
        return None  # nothing is loaded; a picture of SVG could hold more than a picture
    if attribute == "id" and not _SECTION.fullmatch(value):
        return None  # a name of the page's own could take the place of something that a script looks for
    if attribute == "href" and value.strip().lower().startswith("data:"):
        return None
    return value


def _visible(text: str) -> str:
    """Control characters, and those that turn the direction of writing, as a mark that can be seen."""
    return "".join("\ufffd" if _hidden(character) else character for character in text)


def _hidden(character: str) -> bool:
    return (character not in "\n\t" and unicodedata.category(character) in ("Cc", "Cs", "Co")) or character in _TURNS


_TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"
