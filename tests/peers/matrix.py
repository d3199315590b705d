"""Which client does what with which server, as Markdown, from what the tests expect: python -m tests.peers.matrix"""

from collections.abc import Mapping
from typing import Any

from tests.peers import test_ads, test_modbus, test_opcua


def table(clients: Mapping[str, Mapping[str, Any]]) -> str:
    """One line for each client: how many features, and which."""
    lines = ["| client | features | which |", "|---|---|---|"]
    for client, features in clients.items():
        lines.append(f"| {client} | {len(features)} | {', '.join(features)} |")
    return "\n".join(lines)


ADS = table({client: wanted for client, (_, wanted) in test_ads.CLIENTS.items()})
MODBUS = table(test_modbus.EXPECTED)
OPCUA = table(test_opcua.CLIENTS)

if __name__ == "__main__":
    print(ADS, MODBUS, OPCUA, sep="\n\n")
