"""What the server answers: a request comes, is let through or not, and its path says who answers it.

GET   /v2  /v2/health/live  /v2/health/ready                                             the server
GET   /v2/models/NAME[/versions/V] [/ready | /config | /stats]  /v2/models/stats          a model
POST  /v2/models/NAME[/versions/V]/infer                                                 its outputs for these inputs
POST  /v2/repository/index                                                               all models
GET   /openapi.json  /  /page.css                                                        the same, for people and their tools
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from aiohttp import web

from plc_bindings.calls.pace import Paces
from plc_bindings.http import described
from plc_bindings.http.answer import answered
from plc_bindings.http.body import Bodies
from plc_bindings.http.described import Described
from plc_bindings.http.errors import Refusal
from plc_bindings.http.openapi import openapi
from plc_bindings.http.page import STYLE, page
from plc_bindings.http.question import Question, Reader
from plc_bindings.http.ready import LENGTH, Ready, called
from plc_bindings.http.runs import Result, Runs
from plc_bindings.http.sequences import Key, Sequences
from plc_bindings.web.door import dress
from plc_bindings.web.guard import Guard, asker_of, caller_of
from rt_native import version

_HEADERS: Final = {"Server": "rt-engine", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_CHANGING: Final = "models are changed by `rt-engine update`, which asks the station's gate; this server changes none"
Plain = Callable[[], Any]
"""Gives what is answered in JSON."""


class Service:
    """Answers the requests of one server. Its thread only.

    Args:
        station: its name.
        models: what may be called.
        guard: who may ask.
        bodies: reads what they send.
        pool: threads for what takes long.
    """

    def __init__(
        self, station: str, models: Mapping[str, Described], guard: Guard, bodies: Bodies, pool: ThreadPoolExecutor
    ) -> None:
        self._station, self._models, self._guard, self._bodies = station, models, guard, bodies
        self._sequences, paces = Sequences(), Paces()
        self._runs = {name: Runs(one.served, paces, pool) for name, one in models.items()}
        self._readers = {name: Reader(one.ends, one.batch) for name, one in models.items()}
        self._quick = {f"/v2/models/{name}/infer": name for name in models}
        self._fixed: dict[tuple[str, str], Plain] = {
            ("GET", "/v2"): lambda: described.server(version.TEXT),
            ("GET", "/v2/health/live"): lambda: {"live": True},
            ("GET", "/v2/health/ready"): lambda: {"ready": True},
            ("GET", "/v2/models/stats"): lambda: {"model_stats": [one.statistics() for one in models.values()]},
            ("POST", "/v2/repository/index"): lambda: described.index(list(models.values())),
            ("GET", "/openapi.json"): lambda: openapi(station, list(models.values())),
        }
        self._of_model: dict[str, Callable[[Described], Any]] = {
            "": Described.metadata,
            "ready": lambda one: {"name": one.name, "ready": True},
            "config": Described.config,
            "stats": lambda one: {"model_stats": [one.statistics()]},
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse | Ready:
        """The answer to a request; never raises but when the client is gone."""
        self._guard.requests += 1
        caller_of(request).answering()
        try:
            refusal = self._guard.refusal(request)
            if refusal is not None:
                return refusal
            name = self._quick.get(request.raw_path) if request.method == "POST" else None
            if name is not None:
                return await self._infer(request, self._models[name], None)
            return await self._other(request)
        except Refusal as error:
            return self._refused(request, error)
        except ConnectionError:
            raise
        except Exception as error:
            outcome = f"error of ours, please report: {type(error).__name__}"
            return self._guard.refuse(request, 500, "an error of ours; the station goes on", outcome)

    def _refused(self, request: web.BaseRequest, error: Refusal) -> web.StreamResponse:
        if error.outcome:
            response = self._guard.refuse(request, error.status, str(error), error.outcome)
        else:
            response = _json({"error": str(error)}, error.status)
        if error.ends:
            response.force_close()
        return response

    # --- what a path means --------------------------------------------------------------------------------------------

    async def _other(self, request: web.BaseRequest) -> web.StreamResponse | Ready:
        path = request.path.rstrip("/")
        fixed = self._fixed.get((request.method, path))
        if fixed is not None:
            return _json(fixed())
        if request.method == "GET" and path in ("", "/page.css"):
            return self._page(path)
        match path.split("/"):
            case ["", "v2", "models", name, *rest]:
                return await self._model(request, name, rest)
            case ["", "v2", "repository", "models", _, "load" | "unload"]:
                raise Refusal(403, _CHANGING, "refused: changes no models")
        others = [method for method, known in self._fixed if known == path]
        if others:
            raise Refusal(405, f"{path}: expected {others[0]}, got {request.method}")
        raise Refusal(404, f"there is no {path!a} here; /openapi.json says what there is")

    async def _model(self, request: web.BaseRequest, name: str, rest: list[str]) -> web.StreamResponse | Ready:
        model = self._models.get(name)
        if model is None:
            known = ", ".join(map(ascii, self._models)) or "none"
            raise Refusal(404, f"model {name!a}: there is none; there are: {known}")
        wanted = None
        if len(rest) > 1 and rest[0] == "versions":
            wanted, rest = rest[1], rest[2:]
            _check(model, wanted, model.version)
        if rest == ["infer"]:
            if request.method != "POST":
                raise Refusal(405, f"infer: expected POST, got {request.method}")
            return await self._infer(request, model, wanted)
        tell = self._of_model.get("/".join(rest))
        if tell is None:
            raise Refusal(404, f"model {name!a} has no {'/'.join(rest)!a}; /openapi.json says what there is")
        if request.method != "GET":
            raise Refusal(405, f"{request.path!a}: expected GET, got {request.method}")
        return _json(tell(model))

    def _page(self, path: str) -> web.Response:
        text = STYLE if path else page(self._station, list(self._models.values()))
        kind = "text/css" if path else "text/html"
        response = web.Response(body=text.encode(), content_type=kind, charset="utf-8")
        dress(response)
        return response

    # --- a call -------------------------------------------------------------------------------------------------------

    async def _infer(
        self, request: web.BaseRequest, model: Described, wanted: str | None
    ) -> web.StreamResponse | Ready:
        begin_ns, result = time.perf_counter_ns(), None
        try:
            with self._bodies.room(asker_of(request)) as room:
                body = self._bodies.at_hand(request) or await self._bodies.read(request, room)
                question = await self._readers[model.name].asked(body, request.headers.get(LENGTH))
                result = self._runs[model.name].at_once(question) or await self._computed(request, model, question)
            _check(model, wanted, str(result.version))
            if not result.is_good:
                raise Refusal(422, _why(model.name, question, result))
            answer = await answered(model.title, question, result, model.ends)
        finally:
            model.counts.note(result, begin_ns)
        data, coding = answer.body, ""
        if "Accept-Encoding" in request.headers:
            data, coding = await self._bodies.packed(request, data)
        return called(request, data, answer.header, coding)

    async def _computed(self, request: web.BaseRequest, model: Described, question: Question) -> Result:
        runs, turn = self._runs[model.name], question.sequence
        if turn is None or not model.served.slot.model.state:
            return await runs.run(question.inputs, question.count)
        key: Key = (model.served.number, asker_of(request), turn.id)
        state, after = self._sequences.begin(key, turn), None
        try:
            result = await runs.run(question.inputs, question.count, state)
            after = result.state if result.is_good else None
        finally:
            self._sequences.end(key, turn, after)
        return result


def _check(model: Described, wanted: str | None, version: str) -> None:
    if wanted is not None and wanted != version:
        raise Refusal(
            404, f'model "{model.name}" has version {version} now, not {wanted[:40]!a}; leave the version out'
        )


def _why(name: str, question: Question, result: Result) -> str:
    run = f"run {result.runs + 1} of {question.count}" if question.count > 1 else "the run"
    return (
        f'model "{name}", version {result.version}: {run} ended with status {result.status}; docs/numerics.md says why'
    )


def _json(value: Any, status: int = 200) -> web.Response:
    body = json.dumps(value, separators=(",", ":")).encode()
    return web.Response(body=body, status=status, headers={**_HEADERS, "Content-Type": "application/json"})
