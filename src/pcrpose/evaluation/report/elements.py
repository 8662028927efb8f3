"""Elements of the report's HTML page. Every text that is given is escaped; only `Html` is taken as it is."""

import html
from collections.abc import Iterable, Sequence
from typing import TypeAlias

NOTHING = "\N{EN DASH}"


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Content: TypeAlias = "str | Html"


def escaped(content: Content) -> Html:
    """Return text as HTML; `Html` stays."""
    return content if isinstance(content, Html) else Html(html.escape(content))


def joined(parts: Iterable[Content]) -> Html:
    """Join parts, each escaped where it is text."""
    return Html("\n".join(escaped(part) for part in parts))


def element(name: str, *content: Content, **attributes: str) -> Html:
    """Return an element; ``class_`` is the attribute ``class``, and an underscore a hyphen."""
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{given}>{''.join(escaped(part) for part in content)}</{name}>")


def section(name: str, title: str, *content: Content) -> Html:
    """Return a section with a heading that links lead to."""
    heading = element("h2", title, id=f"{name}-title")
    return element("section", heading, joined(content), id=name, aria_labelledby=f"{name}-title")


def paragraph(*content: Content, note: bool = False) -> Html:
    """Return a paragraph; a note is set smaller."""
    return element("p", *content, class_="note") if note else element("p", *content)


def figure(content: Html, caption: str) -> Html:
    """Return a figure with its caption below."""
    return element("figure", content, element("figcaption", caption))


def table(caption: str, headers: Sequence[str], rows: Iterable[Sequence[Content]]) -> Html:
    """Return a table that scrolls inside itself; the first column holds the rows' names.

    Args:
        caption: what the table shows, above it.
        headers: of the columns.
        rows: as many cells as there are headers.
    """
    head = element("tr", *(element("th", header, scope="col") for header in headers))
    body = [
        element("tr", element("th", name, scope="row"), *(element("td", cell) for cell in cells))
        for name, *cells in rows
    ]
    whole = element("table", element("caption", caption), element("thead", head), element("tbody", joined(body)))
    return element("div", whole, class_="scroll", role="region", aria_label=caption, tabindex="0")


def image(data_uri: str, alternative: str) -> Html:
    """Return an image that is part of the page."""
    return Html(f'<img src="{html.escape(data_uri)}" alt="{html.escape(alternative)}" loading="lazy">')
