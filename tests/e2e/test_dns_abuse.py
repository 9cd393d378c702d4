"""DNS under abuse: amplification, thousands of idle connections, peers that drip bytes or do not read,
mutated updates and transfers."""
import random
import socket
import struct
import threading
import time

import dns.flags
import dns.message
import dns.rcode
import pytest

from namespace import CA_ADDRESS, INGRESS, OUTSIDE
from nsupdate import exchange, header_rcode, nsupdate, update_message
from tools import ask

IDLE = 2000
SEED = 20261122


def question(name="www.svc.test", kind="A", **options):
    query = dns.message.make_query(name, kind, **options)
    query.flags &= ~dns.flags.RD
    return query.to_wire()


@pytest.mark.parametrize("name, kind", [("svc.test", "ANY"), ("svc.test", "NS"), ("_acme-challenge.x.svc.test", "TXT"), ("example.org", "ANY"),
                                        ("svc.test", "TYPE65280"), (".", "NS"), ("svc.test", "AXFR")])
def test_no_amplification_to_speak_of(app, name, kind):
    wire = question(name, kind)
    assert len(exchange(wire, False)) <= 6 * len(wire)


def connect(source="127.0.0.1"):
    return socket.create_connection((CA_ADDRESS, 53), timeout=20, source_address=(source, 0))


def ask_over(stream, wire):
    stream.sendall(struct.pack("!H", len(wire)) + wire)
    head = stream.recv(2, socket.MSG_WAITALL)
    return stream.recv(struct.unpack("!H", head)[0], socket.MSG_WAITALL)


def test_two_thousand_idle_connections_and_an_honest_client(app):
    idle = [connect(f"127.0.{number % 50}.1") for number in range(IDLE)]
    try:
        with connect(OUTSIDE) as honest:
            for _ in range(3):
                assert len(ask_over(honest, question())) > 12
        assert ask("www.svc.test", "A").answer
    finally:
        for stream in idle:
            stream.close()


def test_one_address_does_not_take_every_place(app):
    with connect(OUTSIDE) as honest:
        assert len(ask_over(honest, question())) > 12
        greedy = [connect("127.0.0.9") for _ in range(3000)]
        try:
            assert len(ask_over(honest, question())) > 12, "the others are not pushed out by one address"
            with connect("127.0.0.10") as other:
                assert len(ask_over(other, question())) > 12
        finally:
            for stream in greedy:
                stream.close()


def test_a_byte_a_second_does_not_keep_a_connection(app):
    wire = question()
    with connect() as slow:
        started = time.monotonic()
        framed = struct.pack("!H", len(wire)) + wire
        try:
            for byte in framed:
                slow.sendall(bytes([byte]))
                slow.settimeout(1)
                try:
                    if slow.recv(1) == b"":
                        return
                except TimeoutError:
                    pass
                assert time.monotonic() - started < 30
        except OSError:
            return
        pytest.fail("the connection was kept")


def test_a_peer_that_does_not_read_is_held_back_and_ended(app):
    wire = question("svc.test", "NS")
    framed = (struct.pack("!H", len(wire)) + wire) * 200
    with connect() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(30)
        with pytest.raises(OSError):
            for _ in range(20000):
                deaf.sendall(framed)
    assert ask("www.svc.test", "A", tcp=True).answer


def test_mutated_updates_change_nothing_and_kill_nothing(app, tmp_path):
    message = update_message()
    message.add("mutant.svc.test.", 60, "A", "10.8.10.66")
    message.present("www.svc.test.")
    wire = message.to_wire()
    rng = random.Random(SEED)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for _ in range(5000):
            bad = bytearray(wire)
            for _ in range(rng.randrange(1, 4)):
                bad[rng.randrange(2, len(bad))] = rng.randrange(256)
            cut = rng.randrange(12, len(bad)) if rng.random() < 0.3 else len(bad)
            if bytes(bad) != wire:
                udp.sendto(bytes(bad[:cut]), (CA_ADDRESS, 53))
    # Over TCP: the kernel may still be dropping datagrams.
    assert [rdata.address for rdata in ask("mutant.svc.test", "A", tcp=True).answer[0]] == [INGRESS]
    assert nsupdate(tmp_path, "update add honest.svc.test. 60 A 10.8.10.67", options=["-v"]).returncode == 0
    assert [rdata.address for rdata in ask("honest.svc.test", "A", tcp=True).answer[0]] == ["10.8.10.67"]


def test_a_flood_of_unsigned_updates_leaves_the_others_alone(app, tmp_path):
    wire = update_message(signed=False).to_wire()
    stop = threading.Event()

    def pester():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind((OUTSIDE, 0))
            while not stop.is_set():
                udp.sendto(wire, (CA_ADDRESS, 53))

    thread = threading.Thread(target=pester)
    thread.start()
    try:
        for number in range(10):
            nsupdate(tmp_path, f"update add flood{number}.svc.test. 60 A 10.8.10.68", options=["-v"])
            assert ask("www.svc.test", "A", tcp=True).answer
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_transfers_nobody_may_have(app, tcp):
    query = dns.message.make_query("svc.test", "AXFR")
    reply = exchange(query.to_wire(), tcp)
    assert header_rcode(reply) in ((dns.rcode.REFUSED,) if tcp else (dns.rcode.REFUSED, dns.rcode.FORMERR, dns.rcode.NOTIMP))
    assert len(reply) < 200
