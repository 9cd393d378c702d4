"""Broken packets of every kind over UDP and TCP: never a crash, never an answer that is a lie, and then it still answers."""
import random
import socket
import struct
import time

import dns.message
import dns.rcode
import pytest

from tools import ask

SERVER = ("127.0.0.1", 53)
GOOD = b"\x03\x04" + dns.message.make_query("_acme-challenge.www.svc.test", "TXT", use_edns=0, payload=1232).to_wire()[2:]
PLAIN = b"\x01\x02" + dns.message.make_query("www.svc.test", "A").to_wire()[2:]


def header(flags=0, questions=1, answers=0, authority=0, additional=0, identifier=0x4242):
    return struct.pack("!HHHHHH", identifier, flags, questions, answers, authority, additional)


def question(name, kind=16, klass=1):
    return name + struct.pack("!HH", kind, klass)


NAME = b"\3www\3svc\4test\0"
OPT = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)

SILENT = {
    "empty": b"",
    "one byte": b"\x42",
    "half a header": GOOD[:6],
    "eleven bytes": GOOD[:11],
    "QR set": GOOD[:2] + bytes([GOOD[2] | 0x80]) + GOOD[3:],
}
FORMERR = {
    "header alone": header(),
    "no question": header(questions=0),
    "two questions": header(questions=2) + question(NAME) * 2,
    "65535 questions": header(questions=65535) + question(NAME),
    "answers announced": header(answers=1) + question(NAME),
    "65535 additional": header(additional=65535) + question(NAME),
    "truncated name": header() + b"\3www\3sv",
    "name without end": header() + b"\3www\3svc\4test",
    "no type": header() + NAME,
    "half a class": header() + NAME + b"\0\x10\0",
    "label of 64": header() + question(b"\x40" + b"a" * 64 + b"\0"),
    "label type 0x80": header() + question(b"\x80www\0"),
    "pointer to itself": header() + question(b"\xc0\x0c"),
    "pointer forward": header() + question(b"\xc0\x20"),
    "pointer past the end": header() + question(b"\xff\xff"),
    "pointer into the header": header() + question(b"\3www\xc0\x00"),
    "two pointers in a ring": header() + question(b"\xc0\x0e\xc0\x0c"),
    "name of 256 octets": header() + question(b"\x3f" + b"a" * 63 + (b"\x3f" + b"a" * 63) * 3 + b"\0"),
    "128 labels": header() + question(b"\1a" * 128 + b"\0"),
    "trailing bytes": header() + question(NAME) + b"\0" * 40,
    "two OPT": header(additional=2) + question(NAME) + OPT * 2,
    "OPT with a name": header(additional=1) + question(NAME) + b"\1x" + OPT,
    "OPT longer than the packet": header(additional=1) + question(NAME) + b"\0" + struct.pack("!HHIH", 41, 1232, 0, 500),
    "OPT cut short": header(additional=1) + question(NAME) + OPT[:7],
    "option longer than OPT": header(additional=1) + question(NAME) + b"\0" + struct.pack("!HHIHHH", 41, 1232, 0, 4, 10, 100),
}


def udp(wire, wait_s=2.0):
    """The answer, or None when there was none within wait_s; a good question afterwards proves that it was dropped, not late."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(wait_s)
        sock.sendto(wire, SERVER)
        try:
            return sock.recv(65535)
        except socket.timeout:
            return None


def udp_then_good(wire):
    """Send `wire` and, on the same socket, a good question; return what came before the good answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.connect(SERVER)
        sock.send(wire)
        sock.send(PLAIN)
        before = []
        while True:
            answer = sock.recv(65535)
            if answer[:2] == PLAIN[:2]:
                return before
            before.append(answer)


@pytest.mark.parametrize("wire", SILENT.values(), ids=SILENT.keys())
def test_not_answered_at_all(app, wire):
    assert udp_then_good(wire) == []


@pytest.mark.parametrize("wire", FORMERR.values(), ids=FORMERR.keys())
def test_form_error(app, wire):
    answers = udp_then_good(wire) or [udp(wire)]
    if answers != [None]:  # dropping is a fair answer to some of these; a lie is not
        assert answers[0][:2] == wire[:2] and answers[0][2] & 0x80
        assert answers[0][3] & 0x0f in (dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.REFUSED)
        assert struct.unpack("!H", answers[0][6:8]) == (0,)
    assert ask("svc.test", "SOA").answer


def test_ten_thousand_mutations(app):
    rng = random.Random(8555)
    sources = [GOOD, PLAIN, *FORMERR.values()]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(SERVER)
        sock.setblocking(False)
        for number in range(10_000):
            wire = bytearray(rng.choice(sources))
            for _ in range(rng.randint(1, 6)):
                where = rng.randrange(len(wire)) if wire else 0
                if wire:
                    wire[where] = rng.randrange(256)
            sock.send(bytes(wire[:rng.randint(0, len(wire))] if number % 5 == 0 else wire))
            while True:
                try:
                    sock.recv(65535)
                except BlockingIOError:
                    break
    assert ask("svc.test", "SOA").answer


def tcp_connect():
    return socket.create_connection(SERVER, timeout=30)


def read_exactly(sock, length):
    data = b""
    while len(data) < length:
        part = sock.recv(length - len(data))
        if not part:
            return None
        data += part
    return data


def read_message(sock):
    size = read_exactly(sock, 2)
    return size and read_exactly(sock, struct.unpack("!H", size)[0])


def test_tcp_pipelining_keeps_every_answer(app):
    with tcp_connect() as sock:
        wires = [struct.pack("!H", number) + PLAIN[2:] for number in range(200)]
        sock.sendall(b"".join(struct.pack("!H", len(wire)) + wire for wire in wires))
        assert {read_message(sock)[:2] for _ in wires} == {wire[:2] for wire in wires}


def test_tcp_one_byte_at_a_time(app):
    with tcp_connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in struct.pack("!H", len(PLAIN)) + PLAIN:
            sock.send(bytes([byte]))
        assert read_message(sock)[:2] == PLAIN[:2]


@pytest.mark.parametrize("data", [b"\0\0", b"\0\5hello", b"\xff\xff" + b"\0" * 65535, struct.pack("!H", 11) + GOOD[:11]],
                         ids=["length 0", "short", "longest", "eleven bytes"])
def test_tcp_garbage_ends_the_connection_or_is_answered(app, data):
    with tcp_connect() as sock:
        sock.sendall(data)
        try:
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65535):
                pass
        except OSError:
            pass  # reset by the server: an end too
    assert ask("svc.test", "SOA", tcp=True).answer


def test_idle_and_half_messages_do_not_stay(app):
    """Idle peers are closed after 10 s, peers in mid-message after 5 s (dns/server.h); 20 s is the bound judged here."""
    idle, partial = tcp_connect(), tcp_connect()
    with idle, partial:
        partial.sendall(b"\0\x20abc")
        started = time.monotonic()
        for sock in (partial, idle):
            sock.settimeout(20)
            assert sock.recv(1) == b""
        assert time.monotonic() - started < 20


def test_hundreds_of_idle_connections_keep_nobody_out(app):
    sockets = []
    try:
        for _ in range(600):
            sockets.append(tcp_connect())
        assert ask("svc.test", "SOA", tcp=True).answer
        assert ask("svc.test", "SOA").answer
    finally:
        for sock in sockets:
            sock.close()
