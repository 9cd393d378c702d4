"""What the DNS compliance tester of ISC checks of an authoritative server (genreport: EDNS versions, options and flags, header flags,
opcodes, classes and types nobody knows, over UDP and TCP), in our own words and asked over raw sockets."""
import socket
import struct

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import pytest

from namespace import CA_ADDRESS

ZONE = "svc.test."
NOT_OURS = "example.org."
QR = 0x8000


def exchange(wire, tcp):
    if not tcp:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(10)
            udp.sendto(wire, (CA_ADDRESS, 53))
            return udp.recv(65535)
    with socket.create_connection((CA_ADDRESS, 53), timeout=10) as stream:
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


UNKNOWN_OPTION = dns.edns.GenericOption(100, b"")
CLIENT_COOKIE = dns.edns.GenericOption(10, bytes.fromhex("0123456789abcdef"))
SUBNET = dns.edns.ECSOption("0.0.0.0", 0, 0)
NSID = dns.edns.GenericOption(3, b"")
EXPIRE = dns.edns.GenericOption(9, b"")
KEEPALIVE = dns.edns.GenericOption(11, b"")
PADDING = dns.edns.GenericOption(12, bytes(64))

both_transports = pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])


@both_transports
def test_plain_dns(app, tcp):
    reply = ask(tcp=tcp)
    assert_soa(reply)
    assert reply.edns == -1, "nobody asked for EDNS"


@both_transports
@pytest.mark.parametrize("flag", ["AD", "CD", "RD", "reserved"])
def test_header_flags_of_queries_do_no_harm(app, tcp, flag):
    bit = 0x0040 if flag == "reserved" else getattr(dns.flags, flag)
    reply = ask(tcp=tcp, flags=bit)
    assert_soa(reply)
    assert not reply.flags & 0x0040, "the reserved bit is not for us to set (RFC 1035 §4.1.1)"
    assert not reply.flags & dns.flags.AD, "nothing here was validated"
    assert not reply.flags & dns.flags.RA


@both_transports
@pytest.mark.parametrize("kind", ["TYPE1000", "TYPE65280", "TYPE128", "TYPE62347"])
def test_types_nobody_knows(app, tcp, kind):
    reply = ask(kind=kind, tcp=tcp)
    assert reply.rcode() == dns.rcode.NOERROR and reply.answer == []
    assert [rrset.rdtype for rrset in reply.authority] == [dns.rdatatype.SOA]


@both_transports
@pytest.mark.parametrize("opcode", [1, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
def test_opcodes_nobody_knows(app, tcp, opcode):
    question = dns.message.make_query(ZONE, "SOA").to_wire()[12:]
    for count, rest in ((0, b""), (1, question)):
        reply = exchange(struct.pack("!HHHHHH", 0x1234, opcode << 11, count, 0, 0, 0) + rest, tcp)
        ident, flags = struct.unpack("!HH", reply[:4])
        assert ident == 0x1234 and flags & QR and flags & 0xF == dns.rcode.NOTIMP
        assert flags >> 11 & 0xF == opcode and not flags & dns.flags.AA


@both_transports
def test_edns_zero(app, tcp):
    reply = ask(tcp=tcp, edns={})
    assert_soa(reply)
    assert reply.edns == 0 and reply.payload >= 1232


@both_transports
def test_edns_version_one_is_badvers_and_says_zero(app, tcp):
    reply = ask(tcp=tcp, edns={"version": 1})
    assert reply.rcode() == dns.rcode.BADVERS and reply.edns == 0 and reply.answer == []


@both_transports
def test_edns_version_one_with_an_unknown_option(app, tcp):
    reply = ask(tcp=tcp, edns={"version": 1, "options": [UNKNOWN_OPTION]})
    assert reply.rcode() == dns.rcode.BADVERS and reply.edns == 0
    assert 100 not in [option.otype for option in reply.options]


@both_transports
@pytest.mark.parametrize("option", [UNKNOWN_OPTION, NSID, CLIENT_COOKIE, SUBNET, EXPIRE, KEEPALIVE, PADDING],
                         ids=["unknown", "nsid", "cookie", "subnet", "expire", "keepalive", "padding"])
def test_options_are_understood_or_passed_over(app, tcp, option):
    reply = ask(tcp=tcp, edns={"options": [option]})
    assert_soa(reply)
    assert reply.edns == 0
    assert [one.otype for one in reply.options] == ([10] if option is CLIENT_COOKIE else []), "no option comes back that is not ours"


@both_transports
def test_many_options_at_once(app, tcp):
    reply = ask(tcp=tcp, edns={"options": [NSID, SUBNET, EXPIRE, CLIENT_COOKIE, UNKNOWN_OPTION]})
    assert_soa(reply)


@both_transports
def test_edns_flags_nobody_knows_do_not_come_back(app, tcp):
    reply = ask(tcp=tcp, edns={"flags": 0x0080})
    assert_soa(reply)
    assert reply.edns == 0 and reply.ednsflags & 0xFFFF & ~dns.flags.DO == 0


@both_transports
def test_do_comes_back(app, tcp):
    reply = ask(tcp=tcp, edns={"flags": dns.flags.DO})
    assert_soa(reply)
    assert reply.ednsflags & dns.flags.DO


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
