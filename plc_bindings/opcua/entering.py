"""CreateSession and ActivateSession: who a client is. What costs RSA runs apart, and nothing changes before it is proven.

CreateSession    the application is the one that the channel's certificate is for     -> a session, signed
ActivateSession  the client's key, then the user's name and password or certificate    -> his rights
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import SessionState
from asyncua.ua.ua_binary import struct_from_binary
from cryptography.exceptions import InvalidSignature

from fieldbus.opcua.certificates import leaf

if TYPE_CHECKING:
    from plc_bindings.opcua.channel import Channel

_S = ua.StatusCodes


async def create(channel: Channel, requesthdr: Any, seqhdr: Any, body: Any) -> None:
    """One session for a connection: the one before ends. Its application is the one that the channel's certificate is for."""
    params = struct_from_binary(ua.CreateSessionParameters, body)
    await _check_application(channel, params)
    if channel.session is not None:
        await channel.session.close_session()
    session = channel.session = channel.engine.create_session(channel.name, external=True)
    session.channel, session.certificate = channel, channel.shown
    response, policy = ua.CreateSessionResponse(), channel.policy
    result = response.Parameters = await session.create_session(params, sockname=channel.sockname)
    result.ServerCertificate = policy.host_certificate
    proof = (policy.peer_certificate or b"") + (params.ClientNonce or b"")
    result.ServerSignature.Signature = await channel.engine.apart(policy.asymmetric_cryptography.signature, proof)
    result.ServerSignature.Algorithm = policy.AsymmetricSignatureURI
    channel.send_response(requesthdr.RequestHandle, seqhdr, response)


async def _check_application(channel: Channel, params: ua.CreateSessionParameters) -> None:
    shown = channel.shown
    if not shown:
        return
    if leaf(bytes(params.ClientCertificate or b"")) != shown:
        raise ServiceError(_S.BadCertificateInvalid)
    uri = str(params.ClientDescription.ApplicationUri or "")
    why = await channel.engine.apart(channel.engine.believes, shown, uri, channel.name)
    if why:
        raise ServiceError(getattr(_S, why, _S.BadSecurityChecksFailed))


async def activate(channel: Channel, requesthdr: Any, seqhdr: Any, body: Any) -> None:
    """Also a session that lost its connection. Its name alone, which others may have read, is no right to it: until the certificate
    and the user are proven it stays whose it was."""
    session = channel.session or channel.engine.known(requesthdr.AuthenticationToken)
    if session is None or session.auth_token != requesthdr.AuthenticationToken:
        raise ServiceError(_S.BadSessionIdInvalid)
    if session.certificate != channel.shown:
        _refuse(channel, "the session is of another certificate", _S.BadSecurityChecksFailed)
    params = struct_from_binary(ua.ActivateSessionParameters, body)
    nonce, policy = session.nonce or b"", channel.policy
    proof = (policy.host_certificate or b"") + nonce
    try:
        await channel.engine.apart(policy.asymmetric_cryptography.verify, proof, params.ClientSignature.Signature)
    except (InvalidSignature, TypeError):  # TypeError: there is none
        _refuse(channel, "its key is not proven", _S.BadApplicationSignatureInvalid)
    user = await channel.engine.users.of(channel.name, nonce, channel.keeps_secrets, params)
    if session.nonce != nonce or session.state == SessionState.Closed:  # another was faster; each nonce proves once
        raise ServiceError(_S.BadSessionIdInvalid)
    before, channel.session = session.channel, session
    if before is not None and before is not channel:
        before.session = None
    response = ua.ActivateSessionResponse()
    response.Parameters = session.activate(user, channel)
    response.Parameters.Results = [ua.StatusCode() for _ in params.ClientSoftwareCertificates or ()]
    channel.send_response(requesthdr.RequestHandle, seqhdr, response)


def _refuse(channel: Channel, why: str, code: int) -> NoReturn:
    channel.engine.audit(channel.name, "activate session", f"refused: {why}")
    raise ServiceError(code)
