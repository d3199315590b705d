"""How tests look at a page in a browser: where it is served, its views, and when one of them is complete."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from plc_bindings.security.access import Access
from plc_bindings.web.apart import Place
from station.page.server import PageOptions, PageServer
from tests.loops import running
from tests.station.page.browser import Browser


@dataclass(slots=True)
class Page:
    """A page that is served: where, of what, and by what."""

    url: str
    source: Any
    server: PageServer | None = None

    def ask(self, path: str) -> Any:
        """What the station itself says, to a program."""
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return json.loads(answer.read())


@contextmanager
def serving(source: Any, port: int = 0, **options: Any) -> Iterator[Page]:
    """The page of `source`, on a loop of its own."""
    server = PageServer(PageOptions(Place(port=port), **options), source, Access())
    with running(server):
        yield Page(f"http://127.0.0.1:{server.address[1]}", source, server)


def shown(browser: Browser, page: Page, view: str) -> None:
    """Open a view and wait until it is live and has what it asked for."""
    if not browser.run("return location.href").startswith(page.url):
        browser.open(f"{page.url}/#{view}")
    browser.run("location.hash = arguments[0]", view)
    browser.wait("document.body.dataset.live", until=lambda state: state == "live")
    browser.wait(
        "document.querySelector(arguments[0]) !== null",
        READY["graph" if view.startswith("models/") else re.split("[/?]", view)[0]],
    )


READY = {
    "tasks": "[data-view=tasks] svg.histogram .bar",
    "trends": "[data-view=trends] .lane canvas[aria-label*=' to ']",
    "links": "[data-view=links] svg.histogram .bar",
    "models": "[data-view=models] .slot dd",
    "graph": "[data-view=models] .node.output",
    "events": "[data-view=events] tbody tr",
    "recordings": "[data-view=recordings] dd",
    "audit": "[data-view=audit] .hash:not(:empty)",
}
VIEWS = ("tasks", "trends", "links", "models", "models/policy", "events", "recordings", "audit")
