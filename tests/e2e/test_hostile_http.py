"""http-01 against targets that are hostile or broken: each ends with the right problem, within its deadline, and delays nobody else."""
import contextlib
import socket
import struct
import time

import pytest

from appliance import running
from hostile import (SETTINGS, Case, Certificate, Dns, Meanwhile, Outcome, Tcp, Webroot, all_at_once, answering, http_reply, many_addresses, read_request,
                     tls, wait_for_end)
from jws_client import assert_problem
from namespace import CA_ADDRESS

WELL_KNOWN = "/.well-known/acme-challenge/"
GOOD6 = "fd00:66::80"
ALLOWED = "127.66.0.1"


# --- scripts: what a target does with a connection --------------------------------------------------------------------------


def redirecting(location, status="302 Found"):
    """To `location`, or to what it says for the request's target."""
    def serve(connection):
        target, _ = read_request(connection)
        where = location(target) if callable(location) else location
        connection.sendall(http_reply(b"", status, *([f"Location: {where}"] if where is not None else [])))
    return serve


def raw(*parts, forever=False):
    """Exactly these bytes, the last of them again and again."""
    def serve(connection):
        read_request(connection)
        for part in parts:
            connection.sendall(part)
        while forever:
            connection.sendall(parts[-1])
    return serve


def dripping(data):
    """A byte now and then, so that it never takes long until something comes."""
    def serve(connection):
        read_request(connection)
        for byte in data * 100:
            connection.sendall(bytes([byte]))
            time.sleep(0.4)
    return serve


def mute(connection):
    wait_for_end(connection)


def hanging_up(connection):
    read_request(connection)


def resetting(connection):
    read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


CHUNK = b"10000\r\n" + b"A" * 0x10000 + b"\r\n"
BIG = b"A" * 65536
HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
CASES = {
    # redirects
    "circle": Case("incorrectResponse", "10 redirects", serve=redirecting(lambda target: target)),
    "other-port": Case("incorrectResponse", "8080", serve=redirecting("http://ok.corp.test:8080/x")),
    "port-of-ssh": Case("incorrectResponse", "22", serve=redirecting("http://ok.corp.test:22/x")),
    "ftp": Case("incorrectResponse", serve=redirecting("ftp://ok.corp.test/x")),
    "file": Case("incorrectResponse", serve=redirecting("file:///etc/passwd")),
    "gopher": Case("incorrectResponse", serve=redirecting("gopher://ok.corp.test:80/x")),
    "userinfo": Case("incorrectResponse", serve=redirecting("http://user:secret@ok.corp.test/x")),
    "empty-location": Case("incorrectResponse", serve=redirecting("")),
    "no-location": Case("unauthorized", "302", serve=redirecting(None)),
    "garbage-location": Case("incorrectResponse", serve=redirecting("http://[::zz]/x")),
    "newline-host": Case("incorrectResponse", serve=redirecting("http://ok.corp.test%0d%0aHost:evil/x")),
    "long-location": Case("incorrectResponse", serve=redirecting("http://ok.corp.test/" + "x" * 9000)),
    "to-loopback": Case("connection", "loopback", serve=redirecting("http://127.0.0.1/root.pem")),
    "to-loopback-6": Case("connection", "loopback", serve=redirecting("http://[::1]/x")),
    "to-loopback-mapped": Case("connection", "loopback", serve=redirecting("http://[::ffff:127.0.0.1]/x")),
    "to-loopback-short": Case("connection", "loopback", serve=redirecting("http://127.1/x")),
    "to-loopback-number": Case("connection", "loopback", serve=redirecting("http://2130706433/x")),
    "to-loopback-hex": Case("connection", "loopback", serve=redirecting("http://0x7f.0.0.1/x")),
    "to-loopback-name": Case("connection", "loopback", serve=redirecting("http://inside.corp.test/x")),
    "to-metadata": Case("connection", "link-local", serve=redirecting("http://169.254.169.254/latest/meta-data")),
    "to-link-local-6": Case("connection", "link-local", serve=redirecting("http://[fe80::1]/x")),
    "to-multicast": Case("connection", "multicast", serve=redirecting("http://224.0.0.1/x")),
    "to-nothing": Case("connection", "unspecified", serve=redirecting("http://0.0.0.0/x")),
    "to-ourselves": Case("connection", "this server listens there itself", serve=redirecting("http://ca.svc.test/root.pem")),
    "to-our-https": Case("connection", "this server listens there itself", serve=redirecting("https://ca.svc.test/acme/directory")),
    "to-no-name": Case("dns", serve=redirecting("http://nobody.corp.test/x")),
    "to-mute-tls": Case("connection", "in time", serve=redirecting("https://mute-tls.corp.test/x")),
    "to-closing-tls": Case("tls", serve=redirecting("https://closing-tls.corp.test/x")),
    "to-old-redirects": Case("unauthorized", "305", serve=redirecting("http://ok.corp.test/x", "305 Use Proxy")),
    "to-not-modified": Case("unauthorized", "304", serve=redirecting("http://ok.corp.test/x", "304 Not Modified")),
    "to-bad-tls": Case("tls", serve=redirecting("https://garbage.corp.test/x")),
    "eleven": Case("incorrectResponse", "10 redirects", serve=redirecting(lambda target: f"/hop{int(target[4:] or 0) + 1}" if "hop" in target
                                                                           else "/hop1")),
    # addresses
    "loopback": Case("connection", "loopback", at=["127.0.0.1"]),
    "loopback-2": Case("connection", "loopback", at=["127.0.0.2"]),
    "loopback-6": Case("connection", "loopback", at=["::1"]),
    "mapped": Case("connection", "loopback", at=["::ffff:127.0.0.1"]),
    "nat64": Case("connection", "loopback", at=["64:ff9b::7f00:1"]),
    "six-to-four": Case("connection", "loopback", at=["2002:7f00:1::1"]),
    "link-local": Case("connection", "link-local", at=["169.254.1.1"]),
    "link-local-6": Case("connection", "link-local", at=["fe80::1"]),
    "multicast": Case("connection", "multicast", at=["239.1.1.1", "ff02::1"]),
    "broadcast": Case("connection", at=["255.255.255.255"]),
    "unspecified": Case("connection", "unspecified", at=["0.0.0.0", "::"]),
    "ourselves": Case("connection", "this server listens there itself", at=[CA_ADDRESS]),
    "refused": Case("connection", "refused", at=["10.66.200.1"]),
    "no-address": Case("dns", at=[]),
    "rebinding": Case("connection", "loopback", serve=redirecting(lambda target: "http://rebinding.corp.test" + target)),
    "black-hole": Case("connection", "in time", at=["10.67.0.1"]),
    "black-holes": Case("connection", "in time", at=["10.67.0.1", "10.67.0.2", "10.67.0.3", "10.67.0.4", "fd00:67::1"]),
    # answers
    "mute": Case("connection", "in time", serve=mute),
    "drip-status": Case("connection", "in time", serve=dripping(b"HTTP/1.1 200 OK\r\nX-A: bbbbbbbbbbbbbbbbbbb\r\n")),
    "drip-body": Case("connection", "in time", serve=dripping(HEAD + b"\r\n" + b"a" * 100)),
    "hang-up": Case("connection", serve=hanging_up),
    "reset": Case("connection", serve=resetting),
    "short-body": Case("connection", serve=raw(HEAD + b"Content-Length: 500\r\n\r\nabc")),
    "gigabytes": Case("incorrectResponse", "8192", serve=raw(HEAD + b"\r\n", BIG, forever=True)),
    "gigabytes-announced": Case("incorrectResponse", "8192", serve=raw(HEAD + b"Content-Length: 99999999999\r\n\r\n", BIG, forever=True)),
    "gigabytes-chunked": Case("incorrectResponse", "8192", serve=raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK, forever=True)),
    "headers": Case("incorrectResponse", "16384", serve=raw(HEAD, b"X-A: " + b"b" * 900 + b"\r\n", forever=True)),
    "header-line": Case("incorrectResponse", serve=raw(HEAD + b"X-A: ", BIG, forever=True)),
    "status-line": Case("incorrectResponse", serve=raw(b"HTTP/1.1 200 ", BIG, forever=True)),
    "continues": Case("incorrectResponse", serve=raw(b"HTTP/1.1 100 Continue\r\n\r\n", forever=True)),
    "wrong-body": Case("incorrectResponse", "hello", serve=answering(b"hello")),
    "terminal-body": Case("incorrectResponse", serve=answering(b"\x1b[2J\x07\xff\0<script>")),
    "empty-body": Case("incorrectResponse", serve=answering(b"")),
    "gzip": Case("incorrectResponse", serve=answering(b"\x1f\x8b" + b"\0" * 100, "200 OK", "Content-Encoding: gzip")),
    "not-http": Case("incorrectResponse", serve=raw(b"SSH-2.0-OpenSSH_9.2\r\n")),
    "not-http-2": Case("incorrectResponse", serve=raw(b"\0\0\x12\x04\0\0\0\0\0" + b"\0" * 18)),
    "http-3.0": Case("incorrectResponse", serve=raw(b"HTTP/3.0 200 OK\r\n\r\n")),
    "bad-chunk": Case("connection", serve=raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc")),
    "negative-length": Case("incorrectResponse", serve=raw(HEAD + b"Content-Length: -5\r\n\r\nabc")),
    "nul-header": Case("incorrectResponse", serve=raw(HEAD + b"X\0Y: a\r\n\r\nabc")),
    "switching": Case("connection", serve=raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")),
    "status-500": Case("unauthorized", "500", serve=answering(b"oops", "500 Internal Server Error")),
    "status-404": Case("unauthorized", "404", serve=answering(b"", "404 Not Found")),
    "status-206": Case("unauthorized", "206", serve=answering(b"abc", "206 Partial Content")),
    "status-500-forever": Case("unauthorized", "500", serve=raw(b"HTTP/1.1 500 No\r\n\r\n", BIG, forever=True)),
}
GOOD = ("ok", "ten", "six", "fallback", "allowed", "absolute", "newline", "allowed-redirect", "relative", "to-address", "fragment", "upper", "over-tls",
        "http-1.0", "no-reason", "early-hints", "chunked")


class World:
    """DNS and targets of this file; `webroot` is the honest one."""

    def __init__(self, resolver, stack):
        self.resolver, self.webroot = resolver, Webroot()
        for address in ("10.66.0.80", GOOD6, ALLOWED):
            stack.enter_context(Tcp(address, 80, self.webroot))
        stack.enter_context(Tcp("10.66.0.81", 443, raw_garbage))
        for number, (name, case) in enumerate(CASES.items()):
            addresses = case.at
            if case.serve:
                addresses = [f"10.66.1.{number}"]
                stack.enter_context(Tcp(addresses[0], 80, case.serve))
            resolver.put(f"{name}.corp.test", *addresses)
        stack.enter_context(Tcp("10.66.0.82", 80, redirecting(self.ten)))
        stack.enter_context(Tcp("10.66.0.83", 80, redirecting(lambda target: "http://ok.corp.test" + target, "308 Permanent Redirect")))
        stack.enter_context(Tcp("10.66.0.84", 80, self.with_newline))
        stack.enter_context(Tcp("10.66.0.85", 80, redirecting(lambda target: "http://127.66.0.1" + target)))
        self.secure = Certificate(["secure.corp.test"]).context()
        stack.enter_context(Tcp("10.66.0.86", 443, tls(self.webroot, lambda: self.secure)))
        stack.enter_context(Tcp("10.66.0.87", 443, mute))
        stack.enter_context(Tcp("10.66.0.88", 443, lambda connection: connection.recv(100)))
        resolver.put("secure.corp.test", "10.66.0.86")
        resolver.put("mute-tls.corp.test", "10.66.0.87")
        resolver.put("closing-tls.corp.test", "10.66.0.88")
        kinds = {
            "relative": self.relative,
            "to-address": redirecting(lambda target: "http://10.66.0.80" + target),
            "fragment": redirecting(lambda target: "http://ok.corp.test" + target + "#part"),
            "upper": redirecting(lambda target: "HTTP://OK.Corp.Test.:80" + target),
            "over-tls": redirecting(lambda target: "https://secure.corp.test:443" + target, "301 Moved Permanently"),
            "http-1.0": self.wrapped(b"HTTP/1.0 200 OK\r\n\r\n%s"),
            "no-reason": self.wrapped(b"HTTP/1.1 200 \r\nConnection: close\r\n\r\n%s"),
            "early-hints": self.wrapped(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + HEAD + b"\r\n%s"),
            "chunked": self.wrapped(HEAD + b"Transfer-Encoding: chunked\r\n\r\n57\r\n%s\r\n0\r\n\r\n"),
        }
        for number, (name, serve) in enumerate(kinds.items()):
            stack.enter_context(Tcp(f"10.66.4.{number}", 80, serve))
            resolver.put(f"{name}.corp.test", f"10.66.4.{number}")
        resolver.put("ok.corp.test", "10.66.0.80")
        resolver.put("garbage.corp.test", "10.66.0.81")
        resolver.put("inside.corp.test", "127.0.0.1")
        resolver.put("ten.corp.test", "10.66.0.82")
        resolver.put("absolute.corp.test", "10.66.0.83")
        resolver.put("newline.corp.test", "10.66.0.84")
        resolver.put("allowed-redirect.corp.test", "10.66.0.85")
        resolver.put("six.corp.test", GOOD6, "10.66.200.1")
        resolver.put("fallback.corp.test", "fd00:67::2", "10.66.0.80")
        resolver.put("allowed.corp.test", ALLOWED)
        first = resolver.records.pop(("rebinding.corp.test", "A"))
        resolver.scripts[("rebinding.corp.test", "A")] = lambda question: question.reply(first if question.count == 0 else ["127.0.0.1"])

    @staticmethod
    def ten(target):
        """Ten redirects; the last leads to the honest server."""
        base, _, hop = target.partition("?hop=")
        number = int(hop or 0) + 1
        return f"{base}?hop={number}" if number < 10 else "http://ok.corp.test" + base

    def relative(self, connection):
        """To a path beside this one, with a query."""
        target, _ = read_request(connection)
        path, mark, _ = target.partition("?")
        if mark:
            connection.sendall(http_reply(self.webroot.files.get(path, b"")))
        else:
            connection.sendall(http_reply(b"", "307 Temporary Redirect", f"Location: {path.rpartition('/')[2]}?again"))

    def wrapped(self, form):
        """The key authorization in another form of an answer."""
        def serve(connection):
            target, _ = read_request(connection)
            connection.sendall(form % self.webroot.files.get(target, b""))
        return serve

    def with_newline(self, connection):
        """Trailing white space does not count (RFC 8555 §8.3)."""
        target, _ = read_request(connection)
        connection.sendall(http_reply(self.webroot.files.get(target, b"") + b" \r\n\n"))


def raw_garbage(connection):
    connection.recv(4096)
    connection.sendall(b"220 mail.example.org ESMTP\r\n")


@pytest.fixture(scope="module")
def app(resolv_conf, tmp_path_factory):
    many_addresses(GOOD6)
    with running(tmp_path_factory.mktemp("appliance"), **SETTINGS, validation={"allow": ["127.66.0.0/16"]}) as one:
        yield one


@pytest.fixture(scope="module")
def world(app):
    with contextlib.ExitStack() as stack:
        yield World(stack.enter_context(Dns()), stack)


@pytest.fixture(scope="module")
def meanwhile(app, world):
    return Meanwhile(app, "black-hole.corp.test", "http-01")


@pytest.fixture(scope="module")
def outcomes(app, world, meanwhile):
    """All cases at once."""
    def attempt(name):
        return lambda: Outcome(app, f"{name}.corp.test", "http-01", lambda acme, challenge, _: world.webroot.put(acme, challenge))

    return all_at_once({name: attempt(name) for name in (*CASES, *GOOD)}, meanwhile)


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_target(outcomes, name):
    outcomes[name].assert_invalid(CASES[name])


@pytest.mark.parametrize("name", GOOD)
def test_an_honest_target(outcomes, name):
    outcomes[name].assert_valid()


def test_credentials_in_a_redirect_are_not_shown(outcomes):
    outcome = outcomes["userinfo"]
    assert "secret" not in str(outcome.challenge) + outcome.acme.post(outcome.challenge["error"]["instance"]).text


def test_others_were_served_meanwhile(outcomes, meanwhile):
    assert outcomes and meanwhile.issued >= 1


def test_what_the_honest_target_saw(outcomes, world):
    """The name as Host, no proxy's or cookie's header, a name to complain to."""
    assert outcomes
    targets = [target for target, _ in world.webroot.seen]
    assert all(target.startswith(WELL_KNOWN) for target in targets), targets
    hosts = set()
    for _, head in world.webroot.seen:
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        assert fields["User-Agent"].startswith("Bailiwick/")
        assert not {"Cookie", "Authorization", "Referer", "X-Forwarded-For", "Accept-Encoding"} & set(fields), fields
        hosts.add(fields["Host"])
    assert {"ok.corp.test", "six.corp.test", "fallback.corp.test", "allowed.corp.test", ALLOWED} <= hosts


def test_a_decided_challenge_is_not_tried_again(outcomes, world):
    """Posting to an invalid challenge again asks nobody and changes nothing."""
    outcome = outcomes["wrong-body"]
    before = world.resolver.times("wrong-body.corp.test", "A")
    again = outcome.acme.post(outcome.challenge["url"], {})
    assert again.status_code == 200 and again.json() == outcome.challenge
    assert world.resolver.times("wrong-body.corp.test", "A") == before
    assert_problem(outcome.acme.finalize(outcome.order), 403, "orderNotReady")


def test_no_request_failed_on_our_side(outcomes, app):
    assert outcomes
    assert "status=500" not in app.log() and "level=error" not in app.log()
