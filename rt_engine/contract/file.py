"""The contract of a model's file, or of a loaded model: written and read."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rt_engine.contract.check import Ends, Tensor, check
from rt_engine.contract.keys import KEYS, from_keys, to_keys
from rt_engine.contract.terms import Contract
from rt_engine.errors import ContractError
from rt_engine.program import rtp_file
from rt_engine.program.program import Program
from rt_engine.program.rtp_writer import to_bytes
from rt_engine.read.source import BYTES, Source, opened
from rt_native.files import write_whole

if TYPE_CHECKING:
    import onnx


def of_program(program: Program, title: str) -> Contract | None:
    """The contract that a program carries; None: it carries none.

    Raises:
        ContractError: it cannot be read, or contradicts the program.
    """
    return _checked(program.metadata, _program_ends(program), title)


def read(source: Any) -> Contract | None:
    """The contract of a model; None: it has none.

    Nothing is compiled: of an ONNX file, shapes that it leaves open are not compared.

    Args:
        source: what `rt_engine.load` takes, or a `Model`.

    Raises:
        ModelFileError: the file cannot be read.
        ContractError: the contract cannot be read, or contradicts the model.
    """
    if isinstance(program := getattr(source, "program", None), Program):
        return of_program(program, getattr(source, "name", "") or "the model")
    file = opened(source)
    if file.is_program:
        assert isinstance(file.data, BYTES)
        return of_program(rtp_file.read(file.data, file.title), file.title)
    proto = _parsed(file)
    return _checked({entry.key: entry.value for entry in proto.metadata_props}, _proto_ends(proto), file.title)


def ends_of(source: Any) -> Ends:
    """What goes in and out of a model, as far as its file says; nothing is compiled.

    Raises:
        ModelFileError: the file cannot be read.
    """
    file = opened(source)
    if file.is_program:
        assert isinstance(file.data, BYTES)
        return _program_ends(rtp_file.read(file.data, file.title))
    return _proto_ends(_parsed(file))


def attach(source: Any, contract: Contract, output: str | Path | None = None) -> None:
    """Write a contract into a model, in the place of one that is there. What the model computes does not change; its SHA-256 does.

    Args:
        source: path of an .onnx or .rtp file, or a `ModelProto`, which is changed itself.
        contract: has to fit the model.
        output: where to write the model; by default the file itself, whole or not at all. External data stays where it is, so
            an output beside the source finds it.

    Raises:
        ModelFileError: the file cannot be read.
        ContractError: the contract contradicts the model.
        OSError: the file cannot be written.
    """
    file = opened(source)
    target = Path(output) if output is not None else Path(file.name) if file.name else None
    if file.is_program:
        assert isinstance(file.data, BYTES)
        program = rtp_file.read(file.data, file.title)
        check(contract, _program_ends(program), file.title)
        kept = {key: value for key, value in program.metadata.items() if key not in KEYS}
        data = to_bytes(replace(program, metadata=kept | to_keys(contract)))
    else:
        proto = _parsed(file)
        check(contract, _proto_ends(proto), file.title)
        _check_place(proto, file, target)
        _put(proto, to_keys(contract))
        if target is None and proto is source:
            return
        data = proto.SerializeToString(deterministic=True)
    if target is None:
        raise ContractError(
            'a model that is given as bytes has no file to write it to; name one: attach(..., output="model.onnx")'
        )
    write_whole(target, data)


def _checked(metadata: Mapping[str, str], ends: Ends, title: str) -> Contract | None:
    try:
        contract = from_keys(metadata, ends)
    except ContractError as error:
        raise ContractError(f"the contract of {title} cannot be read: {error}") from None
    if contract is not None:
        check(contract, ends, title)
    return contract


def _program_ends(program: Program) -> Ends:
    ends = [
        [Tensor(p.spec.name, p.spec.shape) for p in side] for side in (program.inputs, program.outputs, program.state)
    ]
    return Ends(*ends)


def _proto_ends(proto: "onnx.ModelProto") -> Ends:
    constants = {tensor.name for tensor in proto.graph.initializer}
    inputs = [_tensor(value) for value in proto.graph.input if value.name not in constants]
    return Ends(inputs, [_tensor(value) for value in proto.graph.output])


def _tensor(value: "onnx.ValueInfoProto") -> Tensor:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        return Tensor(value.name, None)
    return Tensor(value.name, tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim))


def _parsed(file: Source) -> "onnx.ModelProto":
    from rt_engine.read.frontend import parsed

    return parsed(file)


def _put(proto: "onnx.ModelProto", texts: Mapping[str, str]) -> None:
    kept = [(entry.key, entry.value) for entry in proto.metadata_props if entry.key not in KEYS]
    del proto.metadata_props[:]
    for key, value in (*kept, *texts.items()):
        proto.metadata_props.add(key=key, value=value)


def _check_place(proto: "onnx.ModelProto", file: Source, target: Path | None) -> None:
    """Raise where the weights beside the file would be lost."""
    outside = any(tensor.data_location == 1 for tensor in proto.graph.initializer)
    if outside and target is not None and file.folder is not None and target.parent.resolve() != file.folder.resolve():
        raise ContractError(
            f"{file.title} has its weights in files beside it; write {target.name} into the same folder, {file.folder}"
        )
