"""What tables of servers that talk over an MQTT broker have in common."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from station.servers import ServerTable
from station.servers.shared.certificates import certificate_findings
from station.terms.broker import HERE, BrokerTable
from station.terms.findings import Finding


class BrokerServerTable(BrokerTable, ServerTable):
    """A server that reaches its clients through a broker: it listens nowhere."""

    @property
    def is_reached(self) -> bool:
        """By everybody whom the broker knows."""
        return self.broker not in HERE

    @property
    def encrypts(self) -> bool:
        """With TLS."""
        return self.is_encrypted

    @property
    def asks_who(self) -> bool:
        """The broker does, where this station has to show who it is."""
        return bool(self.user or self.cert_file)

    def findings(self, name: str, folder: Path) -> Iterator[Finding]:
        """Do files, user, certificates and encryption fit together?"""
        path = ("servers", name)
        if importlib.util.find_spec("aiomqtt") is None:
            yield Finding((*path, "type"), 'MQTT needs aiomqtt: pip install "rt-engine[mqtt]"', "warning")
        yield from super().findings(name, folder)
        yield from self.broker_findings(path, folder)
        yield from certificate_findings(path, folder, self.cert_file, self.key_file, self.ca_file)
