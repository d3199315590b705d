"""Modbus in TLS: who has no certificate, or the wrong one, gets nothing."""

import asyncio
import datetime
import hashlib
import socket
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pymodbus.client import ModbusTlsClient

from plc_bindings.modbus.options import ModbusOptions, Tls
from plc_bindings.modbus.server import ModbusServer
from plc_bindings.net.gate import tls_context
from plc_bindings.security.access import Access, Limits
from tests.plc_bindings.modbus.plant import serving
from tests.waiting import wait_for


class Authority:
    """Signs certificates into a folder."""

    def __init__(self, folder, name="authority"):
        self.folder, self.key, self.name = folder, ec.generate_private_key(ec.SECP256R1()), name
        self.certificate = self._signed(name, self.key, is_authority=True, days=(-1, 300))
        self.file = self._write(name, self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name, days=(-1, 1)):
        """(certificate file, key file, SHA-256 fingerprint); `days`: valid from and until, from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(name, key, is_authority=False, days=days)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return (
            self._write(f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM)),
            self._write(f"{name}.key", pem),
            hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest(),
        )

    def _signed(self, name, key, is_authority, days=(-1, 1)):
        now = datetime.datetime.now(datetime.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=days[0]))
            .not_valid_after(now + datetime.timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def _write(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return str(path)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def options(authority):
    certificate, key, _ = authority.issue("server")
    return ModbusOptions(Tls(certificate, key, authority.file, port=0))


def ask(server, authority, certificate=None, key=None):
    """The registers that a client with this certificate gets; raises when it gets none."""
    context = ssl.create_default_context(cafile=authority.file)
    context.check_hostname = False
    if certificate:
        context.load_cert_chain(certificate, key)
    host, port = server.address
    client = ModbusTlsClient(host, port=port, sslctx=context, timeout=30, retries=0)
    try:
        assert client.connect(), "refused"
        return client.read_holding_registers(26, count=2).registers
    finally:
        client.close()


def test_a_client_with_a_certificate(plant, options, authority):
    with serving(plant, options) as server:
        assert ask(server, authority, *authority.issue("plc")[:2]) == [0x4020, 0]


def test_a_client_without_one_gets_nothing(plant, options, authority):
    with serving(plant, options) as server, pytest.raises(Exception, match=r"(?i)refused|connection|no response"):
        ask(server, authority)
    assert not plant.outputs.reads


def test_a_certificate_of_another_authority_gets_nothing(plant, options, authority, tmp_path):
    stranger = Authority(tmp_path, "authority").issue("plc")
    with serving(plant, options) as server, pytest.raises(Exception, match=r"(?i)refused|connection|no response"):
        ask(server, authority, *stranger[:2])
    assert not plant.outputs.reads


@pytest.mark.parametrize(
    ("whose", "words"),
    [
        ("expired", "the client's certificate has expired"),
        ("of tomorrow", "the client's certificate is not valid yet: compare the clocks"),
        ("of another authority", "the client's certificate is of another authority than ca_file"),
        ("of an authority that calls itself the same", "the client's certificate is of another authority than ca_file"),
        ("nobody's", "the client showed no certificate"),
    ],
)
def test_why_a_certificate_is_refused_stands_in_the_audit_log(plant, options, authority, tmp_path, whose, words):
    """Nothing is read, the place is free again, and a good one is let in behind it."""
    shown = {
        "expired": lambda: authority.issue("old", (-3, -2)),
        "of tomorrow": lambda: authority.issue("young", (2, 3)),
        "of another authority": lambda: Authority(tmp_path, "other").issue("plc"),
        "of an authority that calls itself the same": lambda: Authority(tmp_path, "authority").issue("plc"),
        "nobody's": lambda: (None, None),
    }[whose]()
    audit = []
    access = Access(audit=lambda *line: audit.append(line))
    with serving(plant, options, access) as server:
        with pytest.raises(Exception, match=r"(?i)refused|connection|no response"):
            ask(server, authority, *shown[:2])
        assert not plant.outputs.reads
        wait_for(lambda: not access.clients)  # the client hears of it first
        assert ask(server, authority, *authority.issue("plc")[:2]) == [0x4020, 0]
    assert audit == [("127.0.0.1", "TLS handshake", f"refused: {words}")]


@pytest.mark.parametrize(
    ("ours", "words"),
    [
        ("expired", "our certificate has expired"),
        ("of another authority", "does not know the authority of our certificate"),
    ],
)
def test_what_a_client_says_of_our_certificate_stands_there_too(plant, authority, tmp_path, ours, words):
    """A station whose certificate was not renewed is told by the clients that stay away."""
    who = authority if ours == "expired" else Authority(tmp_path, "other")
    certificate, key, _ = who.issue("server", (-3, -2) if ours == "expired" else (-1, 1))
    audit = []
    access = Access(audit=lambda *line: audit.append(line))
    options = ModbusOptions(Tls(certificate, key, authority.file, port=0))
    with serving(plant, options, access) as server:
        with pytest.raises(Exception, match=r"(?i)refused|certificate|connection"):
            ask(server, authority, *authority.issue("plc")[:2])
        wait_for(lambda: audit)
    assert [line[:2] for line in audit] == [("127.0.0.1", "TLS handshake")]
    assert words in audit[0][2]


@pytest.mark.parametrize("by", ["name", "fingerprint"])
def test_the_list_of_certificates(plant, options, authority, by):
    """By common name or by fingerprint; the refusal is in the audit log with the name."""
    good, bad = authority.issue("plc-1"), authority.issue("plc-2")
    audit = []
    allowed = ["plc-1"] if by == "name" else [good[2].upper()]
    access = Access(certificates=allowed, audit=lambda *line: audit.append(line))
    with serving(plant, options, access) as server:
        assert ask(server, authority, *good[:2]) == [0x4020, 0]
        with pytest.raises(Exception, match=r"(?i)refused|connection|no response"):
            ask(server, authority, *bad[:2])
    assert plant.outputs.reads == 1
    assert audit == [("127.0.0.1 plc-2", "connect", "refused: certificate not allowed")]


def test_old_tls_is_refused(options):
    assert (
        tls_context(options.transport.certificate, options.transport.key, options.transport.ca).minimum_version
        == ssl.TLSVersion.TLSv1_2
    )


def test_a_missing_file_is_an_os_error(plant, authority):
    options = ModbusOptions(Tls("/no/such.pem", "/no/such.key", authority.file, port=0))
    with pytest.raises(OSError, match="No such file"):
        asyncio.run(ModbusServer(plant.database, plant.models, options).start())


# --- before the handshake is done -------------------------------------------------------------------------------------


def silent(server):
    """A TCP connection that says nothing."""
    return socket.create_connection(server.address, timeout=20)


def is_closed(connection, within_s=4):
    """Did the server close it at once? (A handshake may take 5 s.)"""
    connection.settimeout(within_s)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def test_an_address_that_is_not_allowed_does_not_get_to_the_handshake(plant, options):
    access = Access(networks=["10.0.0.0/8"])
    with serving(plant, options, access) as server, silent(server) as connection:
        assert is_closed(connection)
    assert access.refused == 1


def test_handshakes_that_never_end_count_as_connections(plant, options, authority):
    """They take up places, no more than there are; when they have gone, a client is let in."""
    access = Access(limits=Limits(connections=2))
    with serving(plant, options, access) as server:
        first, second = silent(server), silent(server)
        assert not is_closed(first, 0.5)
        with silent(server) as third:
            assert is_closed(third)
        assert access.clients == 2
        first.close()
        second.close()
        wait_for(lambda: not access.clients)
        assert ask(server, authority, *authority.issue("plc")[:2]) == [0x4020, 0]


def test_what_is_no_handshake_is_in_the_audit_log_and_gives_its_place_back(plant, options):
    audit = []
    access = Access(audit=lambda *line: audit.append(line))
    with serving(plant, options, access) as server, silent(server) as connection:
        connection.sendall(b"\0\1\0\0\0\6\1\3\0\0\0\1")
        while not is_closed(connection):  # after TLS's own alert
            pass
        wait_for(lambda: not access.clients)
    assert [line[:2] for line in audit] == [("127.0.0.1", "TLS handshake")]


def test_a_request_in_the_segment_that_ends_the_handshake_is_answered(plant, options, authority):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context(cafile=authority.file)
    context.check_hostname = False
    context.load_cert_chain(*authority.issue("plc")[:2])
    client = context.wrap_bio(incoming, outgoing)
    with serving(plant, options) as server, silent(server) as connection:

        def until(step):
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    incoming.write(connection.recv(1 << 16))

        until(client.do_handshake)
        client.write(bytes([0, 1, 0, 0, 0, 6, 1, 3, 0, 26, 0, 2]))
        connection.sendall(outgoing.read())  # the end of the handshake, and the request
        assert until(lambda: client.read(100)) == bytes([0, 1, 0, 0, 0, 7, 1, 3, 4, 0x40, 0x20, 0, 0])
