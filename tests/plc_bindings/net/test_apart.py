"""Servers in a thread of their own."""

from plc_bindings.net.apart import Apart
from plc_bindings.net.serving import Serving
from plc_bindings.security.access import Access
from tests.waiting import wait_for


class Failing(Apart):
    """Fails once it has begun."""

    requests, said = 0, "failing "

    def avoid(self):
        return ()

    async def serve(self, listener, begun, done):
        begun()
        raise ValueError("the key is none")


def test_a_server_that_ends_by_itself_says_why():
    """In its status, where people look, and in the audit log: its thread is gone, and nobody is answered any more."""
    audit = []
    server = Failing("failing", "127.0.0.1", 0, Access(audit=lambda *line: audit.append(line)), 0)
    serving, why = Serving({"failing": server}), "it serves nobody any more: ValueError: the key is none"
    serving.start()
    try:
        wait_for(lambda: server.status().trouble == why)
        wait_for(lambda: audit == [("failing", "serve", why)])
    finally:
        serving.stop()
