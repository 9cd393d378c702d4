"""What the DNS compliance tester of ISC checks of a server (genreport: EDNS versions, options and flags, header flags, opcodes and types
nobody knows, over UDP and TCP), under its names for the questions (compliance.py), asked over raw sockets; and what it does not ask."""
import dataclasses
import socket
import struct
import time

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import pytest

from appliance import Appliance, configuration
from compliance import COOKIE, ECS, EXPIRE, NSID, ROWS, TXT, UNKNOWN, Reply, Row, faults_of, option
from dns_servers import OTHER_DNS, Knot
from namespace import CA_ADDRESS, INGRESS
from nsupdate import keyring
from tools import run

ZONE, DELEGATE, PLAIN = "svc.test.", "acme.svc.test.", "plain.test."
UNSIGNED, SIGNED = "out.test.", "signed.test."
NOT_OURS = "example.org."
CA_ADDRESS_6 = "fd00:8::53"
QR = 0x8000


def exchange(wire, tcp, server=CA_ADDRESS):
    """The UDP socket is connected: an ICMP error, and an answer from another address, are no answer."""
    if not tcp:
        with socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(10)
            udp.connect((server, 53))
            udp.send(wire)
            return udp.recv(65535)
    with socket.create_connection((server, 53), timeout=10) as stream:
        stream.sendall(struct.pack("!H", len(wire)) + wire)
        reader = stream.makefile("rb")
        (length,) = struct.unpack("!H", reader.read(2))
        return reader.read(length)


def ask(name=ZONE, kind="SOA", tcp=False, flags=0, edns=None, rdclass="IN"):
    """edns: None, or a dict of version, flags, payload, options."""
    query = dns.message.make_query(name, kind, rdclass)
    query.flags = (query.flags & ~dns.flags.RD) | flags
    if edns is not None:
        query.use_edns(edns.get("version", 0), edns.get("flags", 0), edns.get("payload", 4096), options=edns.get("options"))
    wire = exchange(query.to_wire(), tcp)
    reply = dns.message.from_wire(wire, ignore_trailing=False)
    assert reply.id == query.id and reply.flags & dns.flags.QR and reply.opcode() == dns.opcode.QUERY
    return reply


def assert_soa(reply):
    assert reply.rcode() == dns.rcode.NOERROR and reply.flags & dns.flags.AA
    assert [rrset.rdtype for rrset in reply.answer] == [dns.rdatatype.SOA]


CLIENT_COOKIE = dns.edns.GenericOption(10, bytes.fromhex("0123456789abcdef"))

both_transports = pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])


# --- the tester's questions -------------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module", name="app")
def fixture_app(resolv_conf, tmp_path_factory):  # pylint: disable=unused-argument
    """The usual zone, a plain one with a large RRset, and the zones of Knot, one of them signed, forwarded to it."""
    directory = tmp_path_factory.mktemp("compliance")
    text = "$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 10.99.0.7\n@ TXT \"one\"\n"
    big = "".join(f"big TXT \"{number:0200d}\"\n" for number in range(20))
    for zone in (PLAIN, UNSIGNED, SIGNED):
        (directory / zone).write_text(f"$ORIGIN {zone}\n{text}{big}", encoding="ascii")
    for flag in ((), ("-f", "KSK")):
        run("dnssec-keygen", "-K", directory, "-a", "ECDSAP256SHA256", *flag, SIGNED)
    run("dnssec-signzone", "-S", "-K", directory, "-o", SIGNED, "-f", directory / "signed", directory / SIGNED, cwd=directory)
    state = directory / "ours" / "state"
    ours = Appliance(directory / "ours", configuration(
        state, zones=[{"name": "svc.test", "ingress": [INGRESS]}, {"name": PLAIN.rstrip("."), "plain": True, "file": str(directory / PLAIN)}],
        listen={"https": [f"{CA_ADDRESS}:443"], "http": ["127.0.0.1:80"], "dns": [f"{CA_ADDRESS}:53", f"[{CA_ADDRESS_6}]:53"]},
        resolvers=[f"{CA_ADDRESS}:53"],
        dns={"forward": {"networks": ["10.8.10.0/24", "fd00:8::/64"], "upstreams": [f"{OTHER_DNS}:53"]}}))
    try:
        with Knot(directory / "knot", {UNSIGNED.rstrip("."): directory / UNSIGNED, SIGNED.rstrip("."): directory / "signed"}):
            yield ours.start()
            ours.stop()
    finally:
        ours.discard()


@both_transports
@pytest.mark.parametrize("name", list(ROWS))
def test_our_zones_get_the_testers_ok(app, tcp, name):
    """An ordinary zone, its delegate zone and a plain one; IPv4 and IPv6."""
    row = ROWS[name]
    for zone in (ZONE, DELEGATE, PLAIN):
        query = row.wire(zone)
        for server in (CA_ADDRESS, CA_ADDRESS_6):
            assert faults_of(row, zone, query, exchange(query, tcp, server), tcp) == [], (zone, server)


# Types 128 to 255 are for questions with a meaning of their own (RFC 6895 §3.1): nobody forwards those he does not know.
@both_transports
@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if not 128 <= row.kind <= 255])
def test_forwarded_zones_get_the_testers_ok(app, tcp, name):
    """The tester's recursive mode: recursion desired in every question. Twice: from the upstream, and from the cache."""
    row = ROWS[name]
    for zone in (UNSIGNED, SIGNED):
        query = row.wire(zone, more_bits=dns.flags.RD)
        for _ in range(2):
            assert faults_of(row, zone, query, exchange(query, tcp), tcp, is_forwarded=row.opcode == 0 and row.version == 0) == [], zone


def test_all_the_questions_down_one_connection(app):
    """Written at once, answered in any order (RFC 7766 §6.2.1.1)."""
    queries = {ident: (row, row.wire(ZONE, ident)) for ident, row in enumerate(ROWS.values(), 1)}
    with socket.create_connection((CA_ADDRESS, 53), timeout=20) as stream:
        stream.sendall(b"".join(struct.pack("!H", len(wire)) + wire for _, wire in queries.values()))
        reader = stream.makefile("rb")
        for _ in range(len(ROWS)):
            reply = reader.read(struct.unpack("!H", reader.read(2))[0])
            row, query = queries.pop(struct.unpack("!H", reply[:2])[0])
            assert faults_of(row, ZONE, query, reply, is_tcp=True) == [], row
    assert not queries


@both_transports
@pytest.mark.parametrize("row", [Row(kind=TXT, size=512, options=COOKIE), Row(kind=TXT, size=1232), Row(kind=TXT), Row(kind=TXT, size=65535)])
@pytest.mark.parametrize("zone", [PLAIN, UNSIGNED, SIGNED])
def test_what_does_not_fit_is_cut_within_the_size_and_whole_over_tcp(app, tcp, row, zone):
    """What edns@512 and ednstcp are after, where there is something to cut."""
    query = row.wire("big." + zone, more_bits=0 if zone == PLAIN else dns.flags.RD)
    wire = exchange(query, tcp)
    reply = Reply(wire)
    assert reply.rcode == dns.rcode.NOERROR and wire[12:reply.question_end] == query[12:reply.question_end]
    assert bool(reply.opts) == (row.size is not None) and bool(reply.bits & dns.flags.TC) == (not tcp)
    assert len(reply.answer) == (20 if tcp else 0) and not reply.authority
    assert len(wire) <= (65535 if tcp else max(512, min(row.size or 0, 1232)))


WELL_KNOWN_KEY = {"keyring": {dns.name.root: dns.tsig.Key(".", bytes(32), "hmac-sha256")}, "keyname": dns.name.root}


def signed(zone, key):
    query = dns.message.make_query(zone, "SOA")
    query.flags &= ~dns.flags.RD
    query.use_tsig(key["keyring"], key["keyname"], fudge=300, algorithm="hmac-sha256.")
    return query, query.to_wire()


@both_transports
def test_dnswkk_a_key_that_everybody_knows_is_nobodys(app, tcp):
    """BADKEY, unsigned, in a TSIG record that is whole (RFC 8945 §5.2.1), as BIND and Knot say it. The tester would have the key exist."""
    query, wire = signed(ZONE, WELL_KNOWN_KEY)
    reply = Reply(exchange(wire, tcp))
    assert reply.rcode == dns.rcode.NOTAUTH and reply.ident == query.id and not reply.answer
    owner, _, rdclass, ttl, rdata = reply.tsig
    assert (owner, rdclass, ttl) == (dns.name.root, dns.rdataclass.ANY, 0)
    algorithm, used = dns.name.from_wire(rdata, 0)
    assert algorithm == dns.name.from_text("hmac-sha256")
    high, low, fudge, mac_length, original, error, other = struct.unpack("!HIHHHHH", rdata[used:])
    assert abs((high << 32 | low) - time.time()) <= fudge and fudge > 0
    assert (mac_length, original, error, other) == (0, query.id, 17, 0)


@both_transports
def test_dnswkk_a_key_of_ours_signs_the_answer(app, tcp):
    """What the tester would judge: TSIG last, class ANY, the same key, algorithm and time, a MAC that fits. dnspython verifies it."""
    query, wire = signed(ZONE, keyring())
    wire = exchange(wire, tcp)
    reply = Reply(wire)
    assert reply.tsig is not None and reply.tsig[0] == dns.name.from_text("lego") and reply.tsig[2:4] == (dns.rdataclass.ANY, 0)
    verified = dns.message.from_wire(wire, keyring=query.keyring, request_mac=query.mac)
    assert verified.had_tsig and verified.tsig_error == 0
    assert_soa(verified)


# A good answer to `edns` (or another row), what is done to it, and what the judge must see.
def _bits(wire, flip):
    return wire[:2] + struct.pack("!H", struct.unpack("!H", wire[2:4])[0] ^ flip) + wire[4:]


def _opt(wire, **changes):
    return wire[:-11] + dataclasses.replace(Row(size=1232), **changes).opt()


DAMAGES = {
    "malformed": lambda wire: wire + b"\0", "id": lambda wire: b"\0\0" + wire[2:], "opcode": lambda wire: _bits(wire, 15 << 11),
    "noqr": lambda wire: _bits(wire, 0x8000), "noaa": lambda wire: _bits(wire, 0x0400), "tc": lambda wire: _bits(wire, 0x0200),
    "rd": lambda wire: _bits(wire, 0x0100), "nora": lambda wire: _bits(wire, 0x0080), "z": lambda wire: _bits(wire, 0x0040),
    "ad": lambda wire: _bits(wire, 0x0020), "cd": lambda wire: _bits(wire, 0x0010), "rcode1": lambda wire: _bits(wire, 1),
    "noopt": lambda wire: wire[:10] + b"\0\0" + wire[12:-11], "version-not-zero": lambda wire: _opt(wire, version=1),
    "mbz": lambda wire: _opt(wire, edns_flags=0x0080), "do": lambda wire: _opt(wire, edns_flags=0x8000),
    "size": lambda wire: _opt(wire, size=4096), "echoed": lambda wire: _opt(wire, options=UNKNOWN), "nsid": lambda wire: _opt(wire, options=NSID),
    "subnet": lambda wire: _opt(wire, options=ECS), "expire": lambda wire: _opt(wire, options=EXPIRE),
    "cookie": lambda wire: _opt(wire, options=COOKIE), "mismatch": lambda wire: wire[:13] + b"S" + wire[14:],
    "toobig": lambda wire: _opt(wire, options=option(65001, bytes(1300))),
    "soa": lambda wire: wire[:6] + b"\0\0" + wire[8:len(Row().wire(ZONE))] + wire[-11:],
}


@pytest.mark.parametrize("fault", list(DAMAGES))
def test_the_judge_sees(app, fault):
    row = ROWS["edns"]
    query = row.wire(ZONE)
    wire = exchange(query, False)
    assert faults_of(row, ZONE, query, wire) == []
    assert fault in faults_of(row, ZONE, query, DAMAGES[fault](wire))


# --- beside the tester's questions ----------------------------------------------------------------------------------------------------------

@both_transports
@pytest.mark.parametrize("opcode", [1, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
def test_opcodes_nobody_knows_with_a_question(app, tcp, opcode):
    question = dns.message.make_query(ZONE, "SOA").to_wire()[12:]
    reply = exchange(struct.pack("!HHHHHH", 0x1234, opcode << 11, 1, 0, 0, 0) + question, tcp)
    ident, flags = struct.unpack("!HH", reply[:4])
    assert ident == 0x1234 and flags & QR and flags & 0xF == dns.rcode.NOTIMP
    assert flags >> 11 & 0xF == opcode and not flags & dns.flags.AA


def test_a_small_edns_size_is_kept_to(app):
    reply = ask(kind="NS", edns={"payload": 512, "flags": dns.flags.DO})
    assert len(reply.to_wire()) <= 512 and reply.edns == 0


@both_transports
def test_a_truncated_edns_record_is_a_format_error(app, tcp):
    query = dns.message.make_query(ZONE, "SOA", use_edns=0).to_wire()[:-2]
    reply = exchange(query, tcp)
    assert struct.unpack("!H", reply[2:4])[0] & 0xF == dns.rcode.FORMERR


@both_transports
@pytest.mark.parametrize("rdclass", ["CH", "HS", "CLASS100", "NONE"])
def test_other_classes_are_refused(app, tcp, rdclass):
    reply = ask("version.bind.", "TXT", tcp=tcp, rdclass=rdclass)
    assert reply.rcode() == dns.rcode.REFUSED and reply.answer == []


@both_transports
def test_a_name_of_nobody_here_is_refused_with_and_without_edns(app, tcp):
    for edns in (None, {}, {"version": 0, "options": [CLIENT_COOKIE]}):
        reply = ask(NOT_OURS, "A", tcp=tcp, edns=edns)
        assert reply.rcode() == dns.rcode.REFUSED
        assert (15 in [one.otype for one in reply.options]) == (edns is not None), "an extended error, where there is EDNS (RFC 8914)"


@both_transports
def test_no_question_is_a_format_error_unless_it_brings_a_cookie(app, tcp):
    empty = struct.pack("!HHHHHH", 7, 0, 0, 0, 0, 0)
    assert struct.unpack("!H", exchange(empty, tcp)[2:4])[0] & 0xF == dns.rcode.FORMERR
    query = dns.message.Message(8)
    query.use_edns(0, 0, 1232, options=[CLIENT_COOKIE])
    reply = dns.message.from_wire(exchange(query.to_wire(), tcp))
    assert reply.rcode() == dns.rcode.NOERROR and [one.otype for one in reply.options] == [10], "RFC 7873 §5.4"


@both_transports
def test_two_questions_are_a_format_error(app, tcp):
    one = dns.message.make_query(ZONE, "SOA").to_wire()
    two = one[:4] + struct.pack("!H", 2) + one[6:] + one[12:]
    assert struct.unpack("!H", exchange(two, tcp)[2:4])[0] & 0xF == dns.rcode.FORMERR


def test_a_cookie_grows_by_the_servers_half_and_is_known_again(app):
    first = ask(edns={"options": [CLIENT_COOKIE]})
    (cookie,) = [option for option in first.options if option.otype == 10]
    data = cookie.data if hasattr(cookie, "data") else cookie.client + cookie.server
    assert data[:8] == CLIENT_COOKIE.data and len(data) == 24 and data[8] == 1, "RFC 9018 §4: version 1"
    again = ask(edns={"options": [dns.edns.GenericOption(10, data)]})
    assert_soa(again)
    wrong = data[:8] + bytes([data[8]]) + bytes(15)
    assert ask(edns={"options": [dns.edns.GenericOption(10, wrong)]}).rcode() in (dns.rcode.NOERROR, dns.rcode.BADCOOKIE)


@both_transports
@pytest.mark.parametrize("length", [1, 7, 9, 15, 41])
def test_a_cookie_of_a_wrong_length_is_a_format_error(app, tcp, length):
    query = dns.message.make_query(ZONE, "SOA", use_edns=0, options=[dns.edns.GenericOption(10, bytes(length))])
    assert struct.unpack("!H", exchange(query.to_wire(), tcp)[2:4])[0] & 0xF == dns.rcode.FORMERR


@both_transports
def test_any_is_minimal(app, tcp):
    reply = ask(kind="ANY", tcp=tcp)
    assert reply.rcode() == dns.rcode.NOERROR and len(reply.answer) == 1, "RFC 8482 §4.1: one RRset"


@both_transports
def test_a_response_is_never_answered(app, tcp):
    query = dns.message.make_query(ZONE, "SOA")
    query.flags |= dns.flags.QR
    if tcp:
        with socket.create_connection((CA_ADDRESS, 53), timeout=10) as stream:
            wire = query.to_wire()
            stream.sendall(struct.pack("!H", len(wire)) + wire)
            assert stream.recv(2) == b"", "the connection is closed"
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(10)
        udp.sendto(query.to_wire(), (CA_ADDRESS, 53))
        probe = dns.message.make_query(ZONE, "NS")
        udp.sendto(probe.to_wire(), (CA_ADDRESS, 53))
        assert struct.unpack("!H", udp.recv(4096)[:2])[0] == probe.id, "the first answer is the second question's"


@both_transports
@pytest.mark.parametrize("name", ["svc.test.", "n.svc.test.", "_acme-challenge.n.svc.test.", "n.svc.test.acme.svc.test."])
@pytest.mark.parametrize("kind", ["A", "AAAA", "CAA", "DNSKEY", "DS", "NSEC", "HTTPS", "TYPE65534"])
def test_every_type_has_a_proper_answer(app, tcp, name, kind):
    reply = ask(name, kind, tcp=tcp, edns={"flags": dns.flags.DO})
    assert reply.rcode() == dns.rcode.NOERROR and reply.flags & dns.flags.AA
    if not any(rrset.rdtype == dns.rdatatype.from_text(kind) for rrset in reply.answer):
        assert [rrset.rdtype for rrset in reply.authority] == [dns.rdatatype.SOA]


def test_names_are_echoed_as_they_were_asked(app):
    name = dns.name.from_text("SvC.tEsT.")
    query = dns.message.make_query(name, "SOA").to_wire()
    reply = exchange(query, False)
    assert reply[12:12 + 10] == query[12:12 + 10]
