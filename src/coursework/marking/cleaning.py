"""What of a learner's HTML may stand in a page that others open: nothing that runs or calls home."""

import re

import bleach

HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
BLOCKS = frozenset(
    {"p", "br", "hr", "div", "pre", "table", "thead", "tbody", "tr", "th", "td", "details", "summary"}
)
TAGS = frozenset(bleach.ALLOWED_TAGS) | HEADINGS | BLOCKS | {"span", "sub", "sup", "del", "img"}

PICTURE = re.compile(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=\s]*\Z")
"""Only a picture that is in the page itself: another one would tell its server who reads this page."""

LINK = re.compile(r"(https?://|mailto:|#)", re.I)
"""Where a link may lead. A relative one leads nowhere from a page that stands alone; its words stay."""


def _allowed(tag: str, name: str, value: str) -> bool:
    """Whether this attribute may stay."""
    if tag == "img" and name == "src":
        return bool(PICTURE.match(value.strip()))
    if tag == "a" and name == "href":
        return bool(LINK.match(value.strip()))
    return (
        name in {"a": ("title",), "img": ("alt",), "span": ("class",), "div": ("class",)}.get(tag, ())
        or name == "id"
    )


_cleaner = bleach.Cleaner(
    tags=TAGS, attributes=_allowed, protocols=["https", "http", "mailto", "data"], strip=True
)


def clean(html: str) -> str:
    """`html` with harmless tags only: what a learner has written must not run in a reader's browser."""
    return _cleaner.clean(str(html))


def inside(html: str) -> str:
    """Cleaned HTML for a page with a title of its own: headings one level down, pictures with words."""
    html = re.sub(r"<(/?)h([1-5])\b", lambda found: f"<{found[1]}h{int(found[2]) + 1}", html)
    html = re.sub(r"<img(?![^>]*\balt=)", '<img alt="A picture without a description"', html)
    return re.sub(r"<th(?=[ >])", '<th scope="col"', html)
