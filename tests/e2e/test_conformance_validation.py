"""What the server asks of a target, seen from the target: RFC 8555 §8.3, RFC 8737 §3 and §4, RFC 8738."""
import contextlib
import hashlib
import ipaddress
import itertools
import socket
import struct

import pytest

from appliance import running
from hostile import Certificate, Tcp, http_reply, read_request
from jws_client import ERROR, Acme, assert_problem, make_csr, names_of, split_chain
from namespace import CA_ADDRESS, INGRESS, INSIDE, OUTSIDE

COUNTER = itertools.count()
ADDRESS6 = "fd00:8::53"
LISTEN = {"https": [f"{CA_ADDRESS}:443"], "http": [f"{CA_ADDRESS}:80", "127.0.0.1:80"], "dns": ["127.0.0.1:53"]}
PREFIX = "/.well-known/acme-challenge/"
PROTOCOL = "acme-tls/1"
ONLY_ACME_TLS = b"\x00\x10\x00\x0d\x00\x0b\x0aacme-tls/1"  # RFC 7301 §3.1: the extension with a list of this protocol alone
SERVER_NAME = 0


class Web:
    """http-01 and tls-alpn-01 at several addresses: what each was asked, and what it is to answer."""

    def __init__(self):
        self.bodies, self.heads, self.certificates, self.hellos, self.after = {}, [], {}, [], []

    def http(self, connection):
        target, head = read_request(connection)
        self.heads.append((connection.getsockname()[:2], target, head))
        reply = self.bodies.get(target, http_reply(b"", "404 Not Found"))
        connection.sendall(reply(head) if callable(reply) else reply)

    def tls(self, connection):
        hello = connection.recv(16384, socket.MSG_PEEK)
        name = server_name(hello)
        self.hellos.append((connection.getsockname()[:2], name, hello))
        with self.certificates[name].context(PROTOCOL).wrap_socket(connection, server_side=True) as secured:
            self.after.append((name, secured.version(), secured.recv(1024)))


def server_name(hello):
    """The host names of a ClientHello's server_name extension (RFC 6066 §3); exactly one."""
    at = 5 + 4 + 2 + 32
    at += 1 + hello[at]
    at += 2 + struct.unpack_from("!H", hello, at)[0]
    at += 1 + hello[at]
    end = at + 2 + struct.unpack_from("!H", hello, at)[0]
    at += 2
    while at < end:
        kind, size = struct.unpack_from("!HH", hello, at)
        if kind == SERVER_NAME:
            total, name_kind, length = struct.unpack_from("!HBH", hello, at + 4)
            assert (name_kind, total) == (0, length + 3), "one host name"
            return hello[at + 9:at + 9 + length].decode()
        at += 4 + size
    return None


@pytest.fixture(scope="module")
def app(resolv_conf, tmp_path_factory):  # pylint: disable=unused-argument
    with running(tmp_path_factory.mktemp("appliance"), listen=LISTEN, zones=[{"name": "svc.test", "ingress": [INGRESS]}],
                 acme={"authorization_reuse": 0, "ip_networks": ["10.8.10.0/24", "fd00:8::/64"]}) as one:
        yield one


@pytest.fixture(scope="module")
def web(app):  # pylint: disable=unused-argument,redefined-outer-name
    one = Web()
    with contextlib.ExitStack() as stack:
        for address in (INGRESS, INSIDE, ADDRESS6):
            stack.enter_context(Tcp(address, 80, one.http))
            stack.enter_context(Tcp(address, 443, one.tls))
        yield one


@pytest.fixture(scope="module")
def account(app):  # pylint: disable=redefined-outer-name
    return Acme(app).register()


def fresh_name():
    return f"v{next(COUNTER)}.svc.test"


def begin(account, name, kind):  # pylint: disable=redefined-outer-name
    """A new order for the name: its object, its authorization, its challenge of that kind."""
    _, order = account.order(name)
    authorization, challenge = account.challenge_of(order["authorizations"][0], kind)
    return order, authorization, challenge


def put_body(account, web, challenge, before=b"", after=b""):  # pylint: disable=redefined-outer-name
    web.bodies[PREFIX + challenge["token"]] = http_reply(before + account.key_authorization(challenge).encode() + after)


def put_certificate(account, web, challenge, name, *shown):  # pylint: disable=redefined-outer-name
    digest = hashlib.sha256(account.key_authorization(challenge).encode()).digest()
    web.certificates[name] = Certificate(shown, digest)


def decided(account, challenge):  # pylint: disable=redefined-outer-name
    assert account.post(challenge["url"], {}).status_code == 200
    return account.wait(challenge["url"], ("valid", "invalid"))


# --- RFC 8555 §8.3 -------------------------------------------------------------------------------------------------------------------
def test_http01_asks_port_80_of_the_names_address(account, web):
    name = fresh_name()
    order, _, challenge = begin(account, name, "http-01")
    put_body(account, web, challenge)
    assert decided(account, challenge)["status"] == "valid"
    assert account.finalize(order).json()["status"] == "valid"
    (peer, target, head), = [one for one in web.heads if challenge["token"] in one[1]]
    assert peer == (INGRESS, 80) and target == PREFIX + challenge["token"]
    assert head.startswith("GET ") and f"\r\nHost: {name}\r\n" in head


@pytest.mark.parametrize("after", [b"\n", b"\r\n", b" \t\r\n\n", b"\v\f"], ids=repr)
def test_http01_white_space_at_the_end_does_not_count(account, web, after):
    _, _, challenge = begin(account, fresh_name(), "http-01")
    put_body(account, web, challenge, after=after)
    assert decided(account, challenge)["status"] == "valid"


@pytest.mark.parametrize("before, after", [(b" ", b""), (b"\xef\xbb\xbf", b""), (b"", b"\n."), (b"", b"x")], ids=repr)
def test_http01_anything_else_counts(account, web, before, after):
    _, _, challenge = begin(account, fresh_name(), "http-01")
    put_body(account, web, challenge, before, after)
    failed = decided(account, challenge)
    assert failed["status"] == "invalid" and failed["error"]["type"] == ERROR + "incorrectResponse"


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_http01_follows_redirects(account, web, status):
    _, _, challenge = begin(account, fresh_name(), "http-01")
    put_body(account, web, challenge)
    target = "/elsewhere/" + challenge["token"]
    web.bodies[target] = web.bodies[PREFIX + challenge["token"]]
    web.bodies[PREFIX + challenge["token"]] = http_reply(b"", status, f"Location: http://{INSIDE}{target}")
    assert decided(account, challenge)["status"] == "valid"
    assert (INSIDE, 80) in [peer for peer, seen, _ in web.heads if seen == target]


def test_http01_another_accounts_key_authorization_proves_nothing(app, account, web):
    _, _, challenge = begin(account, fresh_name(), "http-01")
    put_body(Acme(app), web, challenge)
    assert decided(account, challenge)["error"]["type"] == ERROR + "incorrectResponse"


# --- RFC 8737 ------------------------------------------------------------------------------------------------------------------------
def test_tlsalpn01_offers_acme_tls_alone_for_that_name_and_says_nothing_more(account, web):
    name = fresh_name()
    order, _, challenge = begin(account, name, "tls-alpn-01")
    put_certificate(account, web, challenge, name, name.upper())
    assert decided(account, challenge)["status"] == "valid"
    assert account.finalize(order).json()["status"] == "valid"
    (peer, _, hello), = [one for one in web.hellos if one[1] == name]
    assert peer == (INGRESS, 443)
    assert ONLY_ACME_TLS in hello and hello.count(b"acme-tls/1") == 1
    assert [(version, data) for seen, version, data in web.after if seen == name] == [("TLSv1.3", b"")]


def test_tlsalpn01_of_a_name_that_is_not_ascii(account, web):
    name = f"xn--bcher-kva.{fresh_name()}"
    _, _, challenge = begin(account, name, "tls-alpn-01")
    put_certificate(account, web, challenge, name, name)
    assert decided(account, challenge)["status"] == "valid"


# --- RFC 8738 ------------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("address", [INSIDE, ADDRESS6])
def test_an_address_is_an_ip_identifier_without_dns(account, web, address):
    order, authorization, challenge = begin(account, address, "http-01")
    assert order["identifiers"] == [{"type": "ip", "value": address}] and authorization["identifier"] == {"type": "ip", "value": address}
    assert {one["type"] for one in authorization["challenges"]} == {"http-01", "tls-alpn-01"}
    put_body(account, web, challenge)
    assert decided(account, challenge)["status"] == "valid"
    (peer, _, head), = [one for one in web.heads if challenge["token"] in one[1]]
    assert peer == (address, 80)
    assert f"\r\nHost: {f'[{address}]' if ':' in address else address}\r\n" in head
    done = account.finalize(order, csr=make_csr([address])).json()
    assert names_of(split_chain(account.post(done["certificate"]).text)[0]) == [address]


@pytest.mark.parametrize("address", [INSIDE, ADDRESS6])
def test_tlsalpn01_names_an_address_by_its_reverse_name(account, web, address):
    _, _, challenge = begin(account, address, "tls-alpn-01")
    reverse = ipaddress.ip_address(address).reverse_pointer
    put_certificate(account, web, challenge, reverse, address)
    assert decided(account, challenge)["status"] == "valid"
    assert [peer for peer, name, hello in web.hellos if name == reverse and ONLY_ACME_TLS in hello] == [(address, 443)]


@pytest.mark.parametrize("shown", [[], [INGRESS], [INSIDE, INGRESS], ["20.10.8.10.in-addr.arpa"]], ids=str)
def test_tlsalpn01_the_certificate_names_the_address_and_no_other(account, web, shown):
    _, _, challenge = begin(account, INSIDE, "tls-alpn-01")
    put_certificate(account, web, challenge, ipaddress.ip_address(INSIDE).reverse_pointer, *shown)
    assert decided(account, challenge)["error"]["type"] == ERROR + "incorrectResponse"


def order_of(account, kind, value):  # pylint: disable=redefined-outer-name
    return account.post(account.urls["newOrder"], {"identifiers": [{"type": kind, "value": value}]})


@pytest.mark.parametrize("text", ["10.8.10.020", "10.8.10", "0x0a080a14", "10.8.10.20.", "fd00:8:0::53", "FD00:8::53", "[fd00:8::53]", "fd00:8::0053",
                                  "fd00:8::53%lo", "::ffff:10.8.10.20", "10.8.10.0/24", ""])
def test_an_address_in_another_form_is_malformed(account, text):
    assert_problem(order_of(account, "ip", text), 400, "malformed")


def test_an_address_that_is_nobodys_and_an_address_as_a_name(account):
    assert_problem(order_of(account, "ip", OUTSIDE), 400, "rejectedIdentifier")
    assert_problem(order_of(account, "dns", INSIDE), 400, "malformed")
    assert_problem(order_of(account, "ip", "svc.test"), 400, "malformed")
