"""The routes of a page are those that its script says it asks, and no others."""

import re

from station.page.assets import STATIC
from station.page.routes import Routes
from station.page.stream import Stream
from tests.station.page.fakes import FakeSource

KNOWN_TO_OTHERS = {"GET /metrics"}
"""For Prometheus."""
PARAMETER = re.compile(r"\{(\w+)(?::[^}]*)?\}")


def served():
    stream = Stream(FakeSource())
    routes = Routes(FakeSource(), None, None, stream, None, False).all()  # type: ignore[arg-type]
    return {f"{route.method} {PARAMETER.sub(lambda found: found[1].upper(), route.path)}" for route in routes}


def told():
    """Of the comment at the top of `api.js`: what stands at the beginning of a line, behind POST, and "/NAME:" of files."""
    head = (STATIC / "js" / "api.js").read_text().partition("*/")[0]
    found = re.findall(r"^  (POST )?(/[\w/.-]*)", head, re.MULTILINE) + re.findall(r"(POST )(/[\w/-]*)", head)
    found += [("", path) for path in re.findall(r"; (/[\w/]+):", head)]
    return {f"{method.strip() or 'GET'} {path}" for method, path in found}


def test_what_the_script_asks_is_served_and_what_is_served_is_told():
    assert served() - KNOWN_TO_OTHERS == told()
