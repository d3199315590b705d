"""A browser that tests drive: chromium by its driver, over the W3C's WebDriver protocol, whose JSON needs no library."""

from __future__ import annotations

import base64
import http.client
import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests import need
from tests.waiting import PATIENCE_S

KEYS = {
    "Tab": "\ue004",
    "Enter": "\ue007",
    "Escape": "\ue00c",
    "Left": "\ue012",
    "Up": "\ue013",
    "Right": "\ue014",
    "Down": "\ue015",
    "Home": "\ue011",
    "End": "\ue010",
    "Backspace": "\ue003",
    "Space": " ",
}
SHIFT = "\ue008"
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
)


class BrowserError(Exception):
    """The browser could not do it; the message is its own."""


class Browser:
    """One window. Context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        need.program("chromium")
        words = [need.program("chromedriver"), "--port=0"]
        self._driver = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._driver.stdout is not None
        port = next(
            int(found[1]) for line in self._driver.stdout if (found := re.search(r"successfully on port (\d+)", line))
        )
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._session = ""
        options = {"args": [*OPTIONS, f"--user-data-dir={self._folder}"], "binary": need.program("chromium")}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._session = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            self.ask("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait(60)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One command of the protocol."""
        place = path if not self._session else f"/session/{self._session}{path}"
        data = json.dumps(body if body is not None else {}) if method == "POST" else None
        self._connection.request(method, place, data, {"Content-Type": "application/json"})
        value = json.loads(self._connection.getresponse().read())["value"]
        if isinstance(value, dict) and "error" in value:
            raise BrowserError(f"{value['error']}: {value['message'].splitlines()[0]}")
        return value

    def cdp(self, command: str, **parameters: Any) -> Any:
        """A command of chromium's own protocol."""
        return self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, url: str) -> None:
        """Go there; what stands behind `#` is part of it."""
        self.ask("POST", "/url", {"url": "about:blank"})
        self.ask("POST", "/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns; `arguments[0]` is the first of these."""
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def module(self, name: str, expression: str, *arguments: Any) -> Any:
        """What an expression gives with a module of the page, `m`, and the arguments, `a`; of a page that is open."""
        script = f"""const [name, ...a] = arguments, done = a.pop();
        import(name).then(async (m) => done([{expression}])).catch((error) => done(`${{error}}`));"""
        found = self.ask("POST", "/execute/async", {"script": script, "args": [f"/static/js/{name}.js", *arguments]})
        if isinstance(found, str):
            raise BrowserError(found)
        return found[0]

    def wait(
        self, script: str, *arguments: Any, until: Callable[[Any], bool] = bool, patience_s: float = PATIENCE_S
    ) -> Any:
        """Run the script again and again until its value is what is wanted; the newest value is in the message if it never is.

        That it cannot be run is no end: a page may be about to load itself anew.
        """
        deadline = time.monotonic() + patience_s
        while True:
            value: Any = None
            try:
                value = self.run(f"return ({script})", *arguments)
                if until(value):
                    return value
            except BrowserError as error:
                value = error
            assert time.monotonic() < deadline, f"{script} is {value!r}"
            time.sleep(0.05)

    def press(self, *keys: str) -> None:
        """Press keys one after the other: letters, names of `KEYS`, `Shift+Tab`."""
        actions = []
        for key in keys:
            shifted = key.startswith("Shift+")
            value = KEYS.get(key.removeprefix("Shift+"), key.removeprefix("Shift+"))
            pressed = [{"type": kind, "value": value} for kind in ("keyDown", "keyUp")]
            actions += (
                [{"type": "keyDown", "value": SHIFT}, *pressed, {"type": "keyUp", "value": SHIFT}]
                if shifted
                else pressed
            )
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def text(self, selector: str) -> str:
        """What people read in the first such element."""
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def size(self, width: int, height: int, *, touch: bool = False) -> None:
        """Be a window of this size."""
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)

    def scheme(self, name: str) -> None:
        """What the system likes: "light" or "dark"."""
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def complaints(self) -> list[str]:
        """What the browser's console says of what went wrong since this was last asked."""
        return [
            entry["message"]
            for entry in self.ask("POST", "/se/log", {"type": "browser"})
            if entry["level"] in ("SEVERE", "WARNING")
        ]

    def picture(self, place: Path) -> None:
        """The window as a PNG."""
        place.write_bytes(base64.b64decode(self.ask("GET", "/screenshot")))
