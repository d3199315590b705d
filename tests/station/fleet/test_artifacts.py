"""Files by their hash: from servers and registries that are good, slow, wrong, endless, or lead astray."""

import asyncio
import base64
import hashlib
import json
import random
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from aiohttp import web as aio

from station.fleet.artifacts import Shelf
from station.fleet.documents import Wanted
from station.fleet.oci import MODEL, SIGNATURE, TITLE, chosen, resolve
from station.fleet.web import ArtifactError, Login, Web, objection

MODEL_BYTES = bytes(random.Random(1).randbytes(300_000))
SHA = hashlib.sha256(MODEL_BYTES).hexdigest()
SIG = bytes(72)
SIG_SHA = hashlib.sha256(SIG).hexdigest()


def blob(data, media, title):
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return {"mediaType": media, "digest": digest, "size": len(data), "annotations": {TITLE: title}}


MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": blob(b"{}", "application/vnd.oci.empty.v1+json", ""),
    "layers": [blob(MODEL_BYTES, MODEL, "policy.onnx"), blob(SIG, SIGNATURE, "policy.onnx.sig")],
}


@asynccontextmanager
async def served(*routes):
    """A server on this computer with these routes; its address."""
    app = aio.Application()
    app.add_routes(routes)
    runner = aio.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = aio.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    finally:
        await runner.cleanup()


def got(tmp_path, *answers, path="/a/policy.onnx", allowed=None, times=1, login=None):
    """What became of attempts at a file of servers that answer so; and the shelf."""
    shelf = Shelf(tmp_path / "files")

    async def run():
        said = []
        async with served(*answers) as address, Web(login=login) as web:
            source = (
                f"{address}{path}" if path.startswith("/") else path.replace("HOST", address.removeprefix("http://"))
            )
            want = Wanted(sha256=SHA, size=len(MODEL_BYTES), signature="00" * 72, sources=(source,))
            for _ in range(times):
                try:
                    await shelf.get(web, want, allowed or ("http://127.0.0.1", address, source.rpartition("/")[0]))
                    said.append("")
                except ArtifactError as error:
                    said.append(str(error))
        return said

    return asyncio.run(run()), shelf


def file_of(answer):
    async def handler(request):
        return await answer(request) if asyncio.iscoroutinefunction(answer) else answer(request)

    return aio.get("/a/policy.onnx", handler)


def test_a_file_is_got_once_checked_and_kept(tmp_path):
    asked = []

    def answer(request):
        asked.append(request)
        return aio.Response(body=MODEL_BYTES)

    said, shelf = got(tmp_path, file_of(answer), times=2)
    assert (said, len(asked), shelf.read(SHA)) == (["", ""], 1, MODEL_BYTES)
    shelf.path(SHA).write_bytes(b"x" + MODEL_BYTES[1:])
    with pytest.raises(ArtifactError, match="was damaged"):
        shelf.read(SHA)
    assert not shelf.has(SHA)


async def _endless(request):
    answer = aio.StreamResponse()
    await answer.prepare(request)
    while True:
        await answer.write(b"x" * 65536)


async def _huge_by_half(request):
    answer = aio.StreamResponse()
    await answer.prepare(request)
    await answer.write(MODEL_BYTES[:1000])
    return answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda _: aio.Response(body=b"y" * len(MODEL_BYTES)), "serves other bytes: SHA-256"),
        (_endless, "gives more than the 300,000 bytes"),
        (_huge_by_half, "ended after 1,000 of 300,000 bytes"),
        (lambda _: aio.Response(status=404), "answers 404 Not Found"),
        (lambda _: aio.Response(status=302, headers={"Location": "http://models.example/x"}), "which is not encrypted"),
        (lambda _: aio.Response(status=302, headers={"Location": "file:///etc/passwd"}), "which is not encrypted"),
        (lambda r: aio.Response(status=302, headers={"Location": str(r.url)}), "more than 5 answers"),
        (lambda _: aio.Response(status=401), "wants to know who asks"),
        (
            lambda _: aio.Response(status=401, headers={"WWW-Authenticate": 'Bearer realm="http://x.example/t"'}),
            "place for tokens that is none",
        ),
    ],
)
def test_what_a_server_does_wrong_is_refused_in_words(tmp_path, answer, words):
    said, shelf = got(tmp_path, file_of(answer))
    assert words in said[0]
    assert not shelf.has(SHA)


def test_a_file_that_came_in_part_is_gone_on_with(tmp_path):
    """The second attempt asks for the rest; a server that knows no parts gives all."""
    asked = []

    async def answer(request):
        asked.append(request.headers.get("Range"))
        begin = int(asked[-1][6:-1]) if asked[-1] else 0
        reply = aio.StreamResponse(status=206 if begin else 200)
        if begin:
            reply.headers["Content-Range"] = f"bytes {begin}-299999/300000"
        reply.content_length = len(MODEL_BYTES) - begin
        await reply.prepare(request)
        await reply.write(MODEL_BYTES[begin : begin + 120_000])
        if begin + 120_000 < len(MODEL_BYTES):
            request.transport.close()
        return reply

    said, shelf = got(tmp_path, file_of(answer), times=3)
    assert said[2] == "" and "" not in said[:2]
    assert asked[0] is None and asked[1].startswith("bytes=") and asked[2] > asked[1]
    assert shelf.read(SHA) == MODEL_BYTES
    shelf.path(SHA).unlink()
    (shelf.folder / f"{SHA}.part").write_bytes(b"of something else")
    said, _ = got(tmp_path, file_of(lambda _: aio.Response(body=MODEL_BYTES)))
    assert said == [""]


def test_the_oldest_files_make_room(tmp_path):
    shelf, first, second = Shelf(tmp_path, keep_bytes=1000), "a" * 64, "b" * 64
    for sha256, size in ((first, 600), (second, 300)):
        shelf.path(sha256).write_bytes(bytes(size))
    shelf._make_room(500)
    assert (shelf.has(first), shelf.has(second)) == (False, True)


def test_sources_are_encrypted_and_allowed():
    allowed = ("https://models.example/plant", "oci://registry.example/plant/")
    for good in ("https://models.example/plant/a.onnx", "oci://registry.example/plant/policy"):
        assert not objection(good, allowed)
    for bad in (
        "https://models.example/planted/a.onnx",
        "https://models.example/plant/../x",
        "https://models.example/plant/%2e%2e/x",
        "https://models.example/plant@evil/x",
        "http://models.example/plant/a.onnx",
        "file:///etc/passwd",
        "https://models.example.evil/plant/a",
        "https://[::1/plant",
        "https://models.example/plant/\n",
        "",
    ):
        assert objection(bad, allowed), bad


PRESS = Login("press", "word")


# --- a registry -------------------------------------------------------------------------------------------------------


def registry(manifest=None, blobs=None, token="secret", media=None):
    """Routes of a registry that wants a token."""
    text = manifest if isinstance(manifest, bytes) else json.dumps(manifest or MANIFEST).encode()
    blobs = blobs if blobs is not None else {SHA: MODEL_BYTES, SIG_SHA: SIG}

    def guarded(answer):
        async def handler(request):
            if token and request.headers.get("Authorization") != f"Bearer {token}":
                host = f"http://{request.host}"
                how = f'Bearer realm="{host}/token",service="r",scope="repository:plant/policy:pull"'
                return aio.Response(status=401, headers={"WWW-Authenticate": how})
            return answer(request)

        return handler

    def tokens(request):
        login = request.headers.get("Authorization", "")
        assert request.query["scope"] == "repository:plant/policy:pull"
        if login != "Basic " + base64.b64encode(b"press:word").decode():
            return aio.Response(status=403)
        return aio.json_response({"token": token})

    async def token_of(request):
        return tokens(request)

    def one(request):
        found = blobs.get(request.match_info["digest"].removeprefix("sha256:"))
        return aio.Response(body=found) if found is not None else aio.Response(status=404)

    return (
        aio.get("/token", token_of),
        aio.get("/v2/plant/policy/manifests/{tag}", guarded(lambda _: aio.Response(body=text, content_type=media))),
        aio.get("/v2/plant/policy/blobs/{digest}", guarded(one)),
    )


def resolved(*routes, reference=":1.4", login=PRESS):
    async def run():
        async with served(*routes) as address, Web(login=login) as web:
            return await resolve(web, f"oci://{address.removeprefix('http://')}/plant/policy{reference}")

    return asyncio.run(run())


def test_a_model_of_a_registry_is_found_with_its_signature_and_got_by_its_hash(tmp_path):
    found = resolved(*registry())
    assert (found.sha256, found.size, found.signature, found.title) == (SHA, len(MODEL_BYTES), SIG, "policy.onnx")
    said, shelf = got(tmp_path, *registry(), path="oci://HOST/plant/policy", login=Login("press", "word"))
    assert (said, shelf.read(SHA)) == ([""], MODEL_BYTES)
    digest = hashlib.sha256(json.dumps(MANIFEST).encode()).hexdigest()
    assert resolved(*registry(), reference=f"@sha256:{digest}").sha256 == SHA


@pytest.mark.parametrize(
    ("routes", "reference", "words"),
    [
        (registry(b"{"), ":1", "is no manifest of an artifact"),
        (registry({**MANIFEST, "layers": MANIFEST["layers"][:1]}), ":1", "1 models and 0 signatures"),
        (registry({**MANIFEST, "layers": MANIFEST["layers"] * 2}), ":1", "2 models and 2 signatures"),
        (registry({**MANIFEST, "mediaType": "application/vnd.oci.image.index.v1+json"}), ":1", "image.index"),
        (registry(b" " * (5 << 20)), ":1", "gives more than 4,194,304 bytes"),
        (registry(blobs={SIG_SHA: b"z" * 72}), ":1", "serves other bytes than its digest says"),
        (registry(blobs={}), ":1", "answers 404"),
        (registry(), "@sha256:" + "0" * 64, "serves other bytes than its digest says"),
        (registry(), "", "write oci://HOST/REPOSITORY:TAG"),
        (registry(token="other\n"), ":1", "can be shown"),
    ],
)
def test_what_a_registry_does_wrong_is_refused_in_words(routes, reference, words):
    with pytest.raises(ArtifactError, match=words):
        resolved(*routes, reference=reference)


def test_who_may_not_have_a_token_is_told():
    with pytest.raises(ArtifactError, match=r"gives no token for .* 403"):
        resolved(*registry(), login=Login())


def test_manifests_of_all_kinds_are_taken_or_refused_in_words():
    """Bytes changed at random, values replaced: nothing else is ever raised."""
    rng, text = random.Random(7), json.dumps(MANIFEST).encode()
    odd = [None, -1, 2**70, "x" * 1000, [], {}, [[]] * 200, 1.5, True, "sha256:" + "0" * 63]
    taken = 0
    for _ in range(3000):
        data = bytearray(text)
        for _ in range(rng.randint(0, 3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.5:
            tree = json.loads(text)
            where = tree["layers"][rng.randrange(2)] if rng.random() < 0.7 else tree
            where[rng.choice(list(where))] = rng.choice(odd)
            data = json.dumps(tree).encode()
        try:
            chosen("u", bytes(data))
            taken += 1
        except ArtifactError:
            pass
    assert 100 < taken < 2900
    for deep in (b"[" * 100_000, b'{"layers":' * 10_000, b"\xff\xfe", b""):
        with pytest.raises(ArtifactError):
            chosen("u", deep)


def _good(request):
    """The file, and parts of it."""
    begin = int(request.headers.get("Range", "bytes=0-")[6:-1])
    more = {"Content-Range": f"bytes {begin}-{len(MODEL_BYTES) - 1}/{len(MODEL_BYTES)}"} if begin else {}
    return aio.Response(status=206 if begin else 200, headers=more, body=MODEL_BYTES[begin:])


@pytest.mark.parametrize("before", [bytes(1000), bytes(len(MODEL_BYTES)), bytes(len(MODEL_BYTES) + 1)])
def test_what_a_bad_source_left_keeps_no_good_one_from_giving_the_file(tmp_path, before):
    async def good(request):
        return _good(request)

    (tmp_path / "files").mkdir()
    (tmp_path / "files" / f"{SHA}.part").write_bytes(before)
    assert got(tmp_path, aio.get("/a/policy.onnx", good))[0] == [""]
    assert Shelf(tmp_path / "files").read(SHA) == MODEL_BYTES


def test_a_link_or_a_folder_in_the_shelf_keeps_nothing_from_being_got(tmp_path):
    async def good(request):
        return _good(request)

    (tmp_path / "files" / "folder").mkdir(parents=True)
    (tmp_path / "files" / "link").symlink_to("nowhere")
    assert got(tmp_path, aio.get("/a/policy.onnx", good))[0] == [""]


def test_a_token_that_comes_in_pieces_is_one(tmp_path):
    async def model(request):
        if request.headers.get("Authorization") == "Bearer abc":
            return _good(request)
        realm = f'Bearer realm="http://{request.host}/token"'
        return aio.Response(status=401, headers={"WWW-Authenticate": realm})

    async def token(request):
        answer = aio.StreamResponse()
        await answer.prepare(request)
        for piece in (b'{"tok', b'en": "abc"}'):
            await answer.write(piece)
            await asyncio.sleep(0.05)
        return answer

    assert got(tmp_path, aio.get("/a/policy.onnx", model), aio.get("/token", token))[0] == [""]


@pytest.mark.parametrize(
    ("realm", "token_hosts", "is_shown"),
    [
        ("https://registry.shop.co.uk/token", (), True),
        ("https://registry.shop.co.uk:5001/token", (), True),
        ("https://evil.co.uk/token", (), False),
        ("https://auth.shop.co.uk/token", (), False),
        ("https://auth.shop.co.uk/token", ("auth.shop.co.uk",), True),
        ("https://AUTH.shop.co.uk/token", ("auth.shop.co.uk",), True),
        ("https://registry.shop.co.uk.evil.example/token", (), False),
    ],
)
def test_the_password_goes_to_the_host_that_was_named_and_those_named_beside_it(realm, token_hosts, is_shown):
    shown = []

    class Answer:
        status, reason, content = 403, "Forbidden", None

    @asynccontextmanager
    async def get(url, params, headers, allow_redirects):
        shown.append(headers)
        yield Answer()

    async def run():
        web = Web(login=Login("press", "word", token_hosts))
        web._session = SimpleNamespace(get=get)
        with pytest.raises(ArtifactError, match="gives no token") as refused:
            await web._authorised("https://registry.shop.co.uk/v2/", f'Bearer realm="{realm}"')
        return str(refused.value)

    words = asyncio.run(run())
    assert [bool(headers) for headers in shown] == [is_shown]
    assert ("source_token_hosts" in words) is not is_shown
