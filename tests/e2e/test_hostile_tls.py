"""tls-alpn-01 against targets that are hostile or broken; RFC 8737 §3."""
import contextlib
import hashlib
import socket
import ssl
import struct
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from appliance import running
from hostile import (SETTINGS, Case, Certificate, Dns, Meanwhile, Outcome, Tcp, all_at_once, many_addresses, tls, wait_for_end)
from namespace import CA_ADDRESS

pytestmark = pytest.mark.filterwarnings("ignore:ssl.OP_NO:DeprecationWarning")

PROTOCOL = "acme-tls/1"
GOOD6 = "fd00:66::443"


def mute(connection):
    wait_for_end(connection)


def saying(data, then=wait_for_end):
    """These bytes instead of a handshake."""
    def serve(connection):
        connection.recv(4096)
        connection.sendall(data)
        then(connection)
    return serve


def dripping(connection):
    """The beginning of a long handshake message, a byte at a time."""
    connection.recv(4096)
    for byte in b"\x16\x03\x03\x10\x00\x02\x00\x0f\xfc\x03\x03" + b"a" * 4000:
        connection.sendall(bytes([byte]))
        time.sleep(0.4)


def hanging_up(connection):
    connection.recv(4096)


def resetting(connection):
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def wrong(change):
    """A certificate made from what would be right: change(name, digest) -> Certificate."""
    return {"certificate": change}


OTHER = hashlib.sha256(b"another key authorization").digest()
ALERT = b"\x15\x03\x03\x00\x02\x02"
CASES = {
    "no-alpn": Case("unauthorized", PROTOCOL, protocols=()),
    "other-alpn": Case("unauthorized", PROTOCOL, protocols=("h2", "http/1.1")),
    "alert-alpn": Case("tls", PROTOCOL, serve=saying(ALERT + b"\x78")),
    "alert": Case("tls", serve=saying(ALERT + b"\x28")),
    "ordinary": Case("unauthorized", "acmeIdentifier", **wrong(lambda name, digest: Certificate([name]))),
    "other-digest": Case("incorrectResponse", **wrong(lambda name, digest: Certificate([name], OTHER))),
    "short-digest": Case("incorrectResponse", **wrong(lambda name, digest: Certificate([name], digest[:31]))),
    "long-digest": Case("incorrectResponse", **wrong(lambda name, digest: Certificate([name], digest + b"\0"))),
    "bare-digest": Case("incorrectResponse", **wrong(lambda name, digest: Certificate([name], value=digest))),
    "bit-string": Case("incorrectResponse", **wrong(lambda name, digest: Certificate([name], value=b"\x03\x20" + digest))),
    "trailing": Case("incorrectResponse", **wrong(lambda name, digest: Certificate([name], value=b"\x04\x20" + digest + b"\0"))),
    "long-form": Case("incorrectResponse", **wrong(lambda name, digest: Certificate([name], value=b"\x04\x81\x20" + digest))),
    "empty-value": Case("incorrectResponse", **wrong(lambda name, digest: Certificate([name], value=b""))),
    "not-critical": Case("incorrectResponse", "critical", **wrong(lambda name, digest: Certificate([name], digest, critical=False))),
    "twice": Case("incorrectResponse", "2 acmeIdentifier", **wrong(lambda name, digest: Certificate([name], digest, second=digest))),
    "twice-other": Case("incorrectResponse", "2 acmeIdentifier", **wrong(lambda name, digest: Certificate([name], OTHER, second=digest))),
    "other-name": Case("incorrectResponse", **wrong(lambda name, digest: Certificate(["else.corp.test"], digest))),
    "one-name-more": Case("incorrectResponse", **wrong(lambda name, digest: Certificate([name, "else.corp.test"], digest))),
    "same-name-twice": Case("incorrectResponse", **wrong(lambda name, digest: Certificate([name, name], digest))),
    "parent-name": Case("incorrectResponse", **wrong(lambda name, digest: Certificate(["corp.test"], digest))),
    "wildcard": Case("incorrectResponse", **wrong(lambda name, digest: Certificate(["*.corp.test"], digest))),
    "address": Case("incorrectResponse", **wrong(lambda name, digest: Certificate(["10.66.0.80"], digest))),
    "no-name": Case("incorrectResponse", **wrong(lambda name, digest: Certificate([], digest))),
    "nul-name": Case("incorrectResponse", **wrong(lambda name, digest: Certificate([name + "\0.evil.test"], digest))),
    "other-signer": Case("incorrectResponse", "self-signed",
                         **wrong(lambda name, digest: Certificate([name], digest, signer=ec.generate_private_key(ec.SECP256R1())))),
    "huge": Case("tls", **wrong(lambda name, digest: Certificate([name], value=b"\x04\x83\x01\x00\x00" + b"a" * 0x10000))),
    "old-tls": Case("tls", protocols=(PROTOCOL,), is_old=True),
    "mail": Case("tls", serve=saying(b"220 mail.example.org ESMTP\r\n")),
    "http": Case("tls", serve=saying(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")),
    "noise": Case("tls", serve=saying(bytes(range(256)) * 64)),
    "mute": Case("connection", "in time", serve=mute),
    "drip": Case("connection", "in time", serve=dripping),
    "hang-up": Case("connection", serve=hanging_up),
    "reset": Case("connection", serve=resetting),
    "refused": Case("connection", "refused", at=["10.66.200.1"]),
    "black-hole": Case("connection", "in time", at=["10.67.0.1", "fd00:67::1"]),
    "loopback": Case("connection", "loopback", at=["127.0.0.1", "::1"]),
    "link-local": Case("connection", "link-local", at=["169.254.169.254"]),
    "multicast": Case("connection", "multicast", at=["ff02::1"]),
    "ourselves": Case("connection", "this server listens there itself", at=[CA_ADDRESS]),
    "no-address": Case("dns", at=[]),
}
GOOD = {"ok": ["10.66.3.1"], "six": [GOOD6, "10.66.200.1"], "fallback": ["fd00:67::1", "10.66.3.2"], "tls12": ["10.66.3.3"], "several-alpn": ["10.66.3.4"]}


class World:
    """A TLS server per case; what it presents is known once the order is made."""

    def __init__(self, resolver, stack):
        self.contexts, self.names_seen = {}, []
        for number, (name, case) in enumerate(CASES.items()):
            addresses = [f"10.66.2.{number}"] if case.at is None else case.at
            if case.at is None:
                stack.enter_context(Tcp(addresses[0], 443, case.serve or tls(wait_for_end, self.chooser(name))))
            resolver.put(f"{name}.corp.test", *addresses)
        for name, addresses in GOOD.items():
            resolver.put(f"{name}.corp.test", *addresses)
            own = next(one for one in addresses if one == GOOD6 or one.startswith("10.66.3."))
            stack.enter_context(Tcp(own, 443, tls(wait_for_end, self.chooser(name))))

    def chooser(self, name):
        return lambda: self.contexts[name]

    def prepare(self, name):
        def put(acme, challenge, authorization):
            case = CASES.get(name) or Case(None)
            if case.serve or case.at is not None:
                return
            host = authorization["identifier"]["value"]
            digest = hashlib.sha256(acme.key_authorization(challenge).encode()).digest()
            certificate = case.more.get("certificate", lambda host, digest: Certificate([host], digest))(host, digest)
            context = certificate.context(*case.more.get("protocols", (PROTOCOL,)))
            if "is_old" in case.more:
                context.options |= ssl.OP_NO_TLSv1_2 | ssl.OP_NO_TLSv1_3
            if name == "tls12":
                context.maximum_version = ssl.TLSVersion.TLSv1_2
            if name == "several-alpn":
                context.set_alpn_protocols(["h2", PROTOCOL, "http/1.1"])
            context.sni_callback = lambda _connection, sni, _context: self.names_seen.append((name, sni))
            self.contexts[name] = context
        return put


@pytest.fixture(scope="module")
def app(resolv_conf, tmp_path_factory):
    many_addresses(GOOD6)
    with running(tmp_path_factory.mktemp("appliance"), **SETTINGS) as one:
        yield one


@pytest.fixture(scope="module")
def world(app):
    with contextlib.ExitStack() as stack:
        yield World(stack.enter_context(Dns()), stack)


@pytest.fixture(scope="module")
def meanwhile(app, world):
    return Meanwhile(app, "black-hole.corp.test", "tls-alpn-01")


@pytest.fixture(scope="module")
def outcomes(app, world, meanwhile):
    def attempt(name):
        return lambda: Outcome(app, f"{name}.corp.test", "tls-alpn-01", world.prepare(name))

    return all_at_once({name: attempt(name) for name in (*CASES, *GOOD)}, meanwhile)


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_target(outcomes, name):
    outcomes[name].assert_invalid(CASES[name])


@pytest.mark.parametrize("name", GOOD)
def test_an_honest_target(outcomes, name):
    outcomes[name].assert_valid()


def test_the_server_name_is_the_identifier(outcomes, world):
    assert outcomes and world.names_seen
    assert all(sni == f"{name}.corp.test" for name, sni in world.names_seen), world.names_seen


def test_others_were_served_meanwhile(outcomes, meanwhile):
    assert outcomes and meanwhile.issued >= 1


def test_no_request_failed_on_our_side(outcomes, app):
    assert outcomes
    assert "status=500" not in app.log() and "level=error" not in app.log()


def test_the_certificates_are_what_they_claim():
    """The scripts' own ground: the certificate with one extension twice is well signed."""
    certificate = Certificate(["a.test"], OTHER, second=OTHER)
    parsed = x509.load_der_x509_certificate(certificate.der)
    certificate.key.public_key().verify(parsed.signature, parsed.tbs_certificate_bytes, ec.ECDSA(parsed.signature_hash_algorithm))
    assert certificate.der.count(bytes.fromhex("06082b0601050507011f")) == 2
