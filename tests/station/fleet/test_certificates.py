"""Servers of files whose certificate is not good: nothing is asked of them, and the reason is said."""

import asyncio
import ssl

import pytest
from aiohttp import web as aio

from station.fleet.web import ArtifactError, Login, Web
from tests.plc_bindings.modbus.test_tls import Authority

ASKED = []


async def answer(request):
    ASKED.append(request.headers.get("Authorization", ""))
    return aio.Response(body=b"a model")


@pytest.mark.parametrize(
    ("whose", "words"),
    [
        ("good", ""),
        ("expired", "certificate has expired"),
        ("of another authority", "self-signed certificate|unable to get local issuer"),
        ("of another name", "IP address mismatch"),
    ],
)
def test_a_server_of_files_is_believed_by_its_certificate(tmp_path, whose, words):
    authority = Authority(tmp_path)
    (tmp_path / "other").mkdir()
    issuer = Authority(tmp_path / "other", "stranger") if whose == "of another authority" else authority
    certificate, key, _ = issuer.issue("server", days=(-3, -2) if whose == "expired" else (-1, 1))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    name = "127.0.0.1" if whose == "of another name" else "localhost"  # the certificate is for localhost
    ASKED.clear()

    async def run():
        app = aio.Application()
        app.add_routes([aio.get("/policy.onnx", answer)])
        runner = aio.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = aio.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        try:
            async with Web(authority.file, Login("press", "secret")) as web:
                return await web.text(f"https://{name}:{port}/policy.onnx", 100)
        finally:
            await runner.cleanup()

    if not words:
        assert asyncio.run(run()) == b"a model" and ASKED == [""]
        return
    with pytest.raises(ArtifactError, match=words):
        asyncio.run(run())
    assert ASKED == []
