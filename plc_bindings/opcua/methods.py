"""Methods: what a client may call, and what then happens. Each is a function of `Calls`, found by the key that the tree has for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from typing import Any, Final

from asyncua import ua

from plc_bindings.calls.predict import RESULT_HEADER, Predictor
from plc_bindings.opcua import build
from plc_bindings.opcua.codec import NotAValueError
from plc_bindings.opcua.files import FileError
from plc_bindings.opcua.host import Host, Speaker
from plc_bindings.opcua.options import Role
from plc_bindings.opcua.space import method_of, node_id
from plc_bindings.opcua.tree import Argument, Method, Node
from plc_bindings.opcua.words import status

_S = ua.StatusCodes
NEEDS: Final = {"Commit": Role.ENGINEER, "Rollback": Role.ENGINEER}
"""Commands that need more than an operator."""


class WrongArgumentsError(Exception):
    """What a call was given does not fit. `results`: of each argument."""

    def __init__(self, code: int, results: list[int] | None = None) -> None:
        self.code, self.results = code, results or []


class Calls:
    """The calls of one session."""

    def __init__(self, engine: Host, session: Speaker, predictor: Predictor, pool: ThreadPoolExecutor) -> None:
        self._engine, self._session, self._predictor, self._pool = engine, session, predictor, pool
        self._file = engine.transfers.client(session.who)
        self._does: Mapping[str, Callable[[Node, Method, Any], Awaitable[list[ua.Variant]]]] = {
            build.PREDICT: self._predict,
            build.PULSE: self._pulse,
            build.GENERATE: self._generate,
            build.COMMIT_FILE: self._commit_file,
            build.WRITE: self._write,
            build.CLOSE: self._close_file,
            build.POSITION: self._position,
        }

    def close(self) -> None:
        """The session has ended."""
        self._predictor.close()
        self._file.abort()

    async def call(self, request: ua.CallMethodRequest) -> ua.CallMethodResult:
        """The answer to a call; never raises."""
        result = ua.CallMethodResult()
        try:
            node = self._engine.space.ours(request.MethodId)
            method = method_of(node)
            if node is None or method is None or node.parent is None or node_id(node.parent) != request.ObjectId:
                raise WrongArgumentsError(_S.BadMethodInvalid)
            if not self._may(node, method):
                self._engine.audit(self._session.who, f"call of {node.path}", "refused: not allowed")
                raise WrongArgumentsError(_S.BadUserAccessDenied)
            packed = _packed(method, request.InputArguments or [])
            result.OutputArguments = await self._does[method.key](node, method, packed)
        except WrongArgumentsError as error:
            result.StatusCode = status(error.code)
            result.InputArgumentResults = [status(code) for code in error.results]
        except FileError as error:
            result.StatusCode = status(error.code)
        except ConnectionError:
            result.StatusCode = status(_S.BadShutdown)
        return result

    def _may(self, node: Node, method: Method) -> bool:
        """Does the station file name it, and may this user?"""
        names = [node.path] if method.key in (build.PREDICT, build.PULSE) else [_update_of(node)]
        needs = Role.OPERATOR if method.key == build.PREDICT else Role.ENGINEER
        if method.key == build.PULSE:
            needs = NEEDS.get(node.name, Role.OPERATOR)
        if self._session.role < needs:
            return False
        patterns = [pattern.lower() for pattern in self._engine.options.methods]
        return any(fnmatchcase(name.lower(), pattern) for name in names for pattern in patterns)

    async def _predict(self, node: Node, method: Method, packed: list[bytes]) -> list[ua.Variant]:
        served = self._engine.models.find(method.subject)
        assert served is not None
        payload = b"".join(packed)
        if self._predictor.is_slow(served):
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._pool, self._predictor.call, served.number, payload)
        else:
            answer = self._predictor.call(served.number, payload)
        return _outputs(method, answer)

    async def _pulse(self, node: Node, method: Method, packed: list[bytes]) -> list[ua.Variant]:
        """As a client of another protocol would: FALSE, then TRUE."""
        number, offset, size = method.subject
        area, who = self._engine.reading.database.areas[number], self._session.who

        def run() -> None:
            for value in (0, 1):
                data = bytearray(area.read())
                data[offset : offset + size] = value.to_bytes(size, "little")
                area.write_by(who, bytes(data), [(offset, size)])

        await self._engine.reading.there(run)
        self._engine.audit(who, f"call of {node.path}", "done")
        return []

    # --- a model's file -----------------------------------------------------------------------------------------------

    async def _generate(self, node: Node, method: Method, packed: list[Any]) -> list[ua.Variant]:
        handle = self._file.begin(method.subject, packed[0])
        file = self._engine.tree.nodes[f"{_update_of(node)}.File"]
        return [ua.Variant(node_id(file), ua.VariantType.NodeId), ua.Variant(handle, ua.VariantType.UInt32)]

    async def _write(self, node: Node, method: Method, packed: list[Any]) -> list[ua.Variant]:
        self._file.write(method.subject, packed[0], packed[1])
        return []

    async def _position(self, node: Node, method: Method, packed: list[Any]) -> list[ua.Variant]:
        return [ua.Variant(self._file.position(method.subject, packed[0]), ua.VariantType.UInt64)]

    async def _close_file(self, node: Node, method: Method, packed: list[Any]) -> list[ua.Variant]:
        self._file.close(method.subject, packed[0])
        return []

    async def _commit_file(self, node: Node, method: Method, packed: list[Any]) -> list[ua.Variant]:
        self._file.activate(method.subject, packed[0])
        machine = self._engine.tree.nodes[f"{_update_of(node)}.{build.TRANSFER}"]
        return [ua.Variant(node_id(machine), ua.VariantType.NodeId)]


def _update_of(node: Node) -> str:
    """`Models.policy.Update`, of all methods below it."""
    while node.name != build.UPDATE and node.parent is not None:
        node = node.parent
    return node.path


def _packed(method: Method, given: list[ua.Variant]) -> list[Any]:
    """Arguments as the method takes them; raises `WrongArgumentsError`."""
    wanted = method.inputs
    if len(given) != len(wanted):
        raise WrongArgumentsError(_S.BadArgumentsMissing if len(given) < len(wanted) else _S.BadTooManyArguments)
    packed: list[Any] = []
    results = []
    for argument, variant in zip(wanted, given, strict=True):
        try:
            packed.append(_taken(argument, variant))
            results.append(int(_S.Good))
        except NotAValueError as error:
            results.append(error.code)
    if any(results):
        raise WrongArgumentsError(_S.BadInvalidArgument, results)
    return packed


def _taken(argument: Argument, variant: ua.Variant) -> Any:
    if argument.codec is not None:
        return argument.codec.decode(variant)
    if argument.data_type == ua.ObjectIds.BaseDataType:
        return variant.Value
    if variant.is_array or variant.VariantType.value != argument.data_type:
        raise NotAValueError(_S.BadTypeMismatch)
    return variant.Value


def _outputs(method: Method, answer: bytes) -> list[ua.Variant]:
    """Status, version, and what the model gave; zeros where it gave nothing."""
    at, made = 0, []
    whole = RESULT_HEADER + sum(argument.codec.size for argument in method.outputs[2:])
    answer = answer.ljust(whole, b"\0")
    for argument in method.outputs:
        codec = argument.codec
        value = codec.value(answer[at : at + codec.size])
        made.append(ua.Variant(value, codec.type, is_array=bool(codec.count)))
        at += codec.size
    return made
