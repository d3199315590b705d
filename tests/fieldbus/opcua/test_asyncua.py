"""What links and servers are made of is in asyncua: one list of what is missing, for who tries another version of it."""

import ast
import subprocess
import sys
from importlib import import_module

import pytest

pytest.importorskip("asyncua", reason="pip install 'rt-engine[opcua]'")

from tests import ROOT

ROOMS = ("fieldbus/opcua", "plc_bindings/opcua")
REPLACED = {
    "asyncua.common.utils:Buffer.read": ["self", "size"],
    "asyncua.common.connection:SecureConnection.set_channel": ["self", "params", "request_type", "client_nonce"],
    "asyncua.common.connection:TransportLimits.update_client_limits": ["self", "msg"],
    "asyncua.client.ua_client:header_from_binary": ["data"],
    "asyncua.ua.ua_binary:header_from_binary": ["data"],
    "asyncua.ua.ua_binary:unpack_uatype_array": ["vtype", "data"],
    "asyncua.ua.ua_binary:_reshape": ["flat", "dims"],
    "asyncua.ua.ua_binary:_create_list_deserializer": ["uatype"],
    "asyncua.ua.ua_binary:_create_uatype_array_deserializer": ["vtype"],
}
"""Functions in whose place `fieldbus/opcua/bounds.py` puts its own -> what they are called with."""


def imported():
    """(module, name) of everything of asyncua that our rooms name."""
    for room in ROOMS:
        for path in sorted((ROOT / room).glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "asyncua":
                    yield from ((node.module, alias.name) for alias in node.names)


def test_everything_that_is_named_is_there():
    named = sorted(set(imported()))
    missing = []
    for module, name in named:
        try:
            found = getattr(import_module(module), name, None)
        except ImportError:
            found = None
        if found is None:
            missing.append(f"{module}:{name}")
    assert len(named) > 20 and not missing


def test_what_is_replaced_is_called_so():
    """Looked at in a process of its own: in this one they are ours."""
    code = (
        "import inspect, sys\nfrom importlib import import_module\nfrom functools import reduce\n"
        "for one in sys.argv[1:]:\n"
        "    module, _, name = one.partition(':')\n"
        "    found = reduce(getattr, name.split('.'), import_module(module))\n"
        "    print(one, *inspect.signature(found).parameters)"
    )
    done = subprocess.run([sys.executable, "-c", code, *REPLACED], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()} == REPLACED
