"""What scripts beside the tests use: one feature after another, each with what came of it, printed as JSON."""

import json
from collections.abc import Callable
from typing import Any


class Features:
    """Collects {feature: what came of it}; a feature that failed gives {"error": "..."}."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def __call__(self, name: str) -> Callable[[Callable[[], Any]], None]:
        """Decorates a function that is run at once."""

        def run(function: Callable[[], Any]) -> None:
            try:
                self.found[name] = function()
            except Exception as error:
                self.found[name] = {"error": f"{type(error).__name__}: {error}"}

        return run

    def show(self) -> None:
        """Print them on one line."""
        print(json.dumps(self.found), flush=True)
