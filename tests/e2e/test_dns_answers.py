"""What DNS answers, by dig, kdig and dnspython (client-contract §2.9 and row 10)."""
import socket

import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from jws_client import Acme, httpreq
from namespace import ADDRESSES, CA_ADDRESS, INGRESS
from tools import ask, run, txt_values

VALUE = "dns" + 40 * "7"


def raw_udp(wire):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(10)
        udp.sendto(wire, ("127.0.0.1", 53))
        return udp.recv(65535)


def soa_in_authority(answer):
    return [rrset.name.to_text() for rrset in answer.authority if rrset.rdtype == dns.rdatatype.SOA]


def assert_nodata(answer, zone):
    assert answer.rcode() == dns.rcode.NOERROR and answer.answer == [], answer
    assert soa_in_authority(answer) == [zone], answer
    assert answer.flags & dns.flags.AA


def test_soa_at_the_apex(app):
    soa = ask("svc.test", "SOA").answer[0]
    assert soa.ttl <= 5 and soa[0].minimum <= 5 and soa[0].refresh == 60


def test_ns_at_the_apex_with_an_address_that_is_ours(app):
    answer = ask("svc.test", "NS")
    target = answer.answer[0][0].target
    glue = [rdata.address for rrset in answer.additional if rrset.name == target for rdata in rrset]
    assert glue == [CA_ADDRESS]
    assert [rdata.address for rdata in ask(target, "A").answer[0]] == [CA_ADDRESS]


@pytest.mark.parametrize("name", ["svc.test", "www.svc.test", "a.b.c.svc.test", "WWW.svc.TEST"])
def test_ingress(app, name):
    assert [rdata.address for rdata in ask(name, "A").answer[0]] == [INGRESS]


@pytest.mark.parametrize("kind", ["AAAA", "CAA", "TXT", "MX", "SRV", "CNAME", "NS", "SOA", "TYPE65280"])
@pytest.mark.parametrize("name", ["www.svc.test", "a.b.svc.test"])
def test_a_well_formed_name_is_nodata_never_nxdomain(app, name, kind):
    assert_nodata(ask(name, kind), "svc.test.")


@pytest.mark.parametrize("kind", ["A", "AAAA", "CAA", "CNAME", "MX", "SOA", "NS", "TXT"])
@pytest.mark.parametrize("name", ["www.svc.test.acme.svc.test", "svc.test.acme.svc.test", "test.acme.svc.test"])
def test_a_delegate_name_is_nodata_before_any_order(app, name, kind):
    assert_nodata(ask(name, kind), "acme.svc.test.")


def test_the_delegate_zone_is_a_zone(app):
    assert ask("acme.svc.test", "SOA").answer[0].name.to_text() == "acme.svc.test."
    assert ask("acme.svc.test", "NS").answer


@pytest.mark.parametrize("name", ["x._acme-challenge.www.svc.test", "a.b._acme-challenge.svc.test"])
def test_below_a_challenge_name_is_nxdomain(app, name):
    answer = ask(name, "TXT")
    assert answer.rcode() == dns.rcode.NXDOMAIN and soa_in_authority(answer) == ["svc.test."]


@pytest.mark.parametrize("name", ["example.org", "test", "notsvc.test", "."])
def test_a_name_that_is_nobodys_here_is_refused(app, name):
    answer = ask(name, "A")
    assert answer.rcode() == dns.rcode.REFUSED and not answer.flags & dns.flags.AA


@pytest.mark.parametrize("kind", ["TXT", "CNAME", "A", "AAAA", "CAA", "MX"])
def test_the_cname_is_there_before_any_order(app, kind):
    answer = ask("_acme-challenge.never.seen.svc.test", kind)
    assert answer.rcode() == dns.rcode.NOERROR and answer.flags & dns.flags.AA
    assert answer.answer[0].rdtype == dns.rdatatype.CNAME
    assert answer.answer[0][0].target.to_text() == "never.seen.svc.test.acme.svc.test."


def test_cname_and_value_in_one_message(app):
    assert httpreq(app, "present", "_acme-challenge.one.svc.test.", VALUE).status_code == 200
    answer = ask("_acme-challenge.one.svc.test", "TXT")
    assert [rrset.rdtype for rrset in answer.answer] == [dns.rdatatype.CNAME, dns.rdatatype.TXT]
    assert answer.answer[1].ttl <= 5
    assert txt_values("_acme-challenge.one.svc.test") == txt_values("one.svc.test.acme.svc.test") == [VALUE]


def test_the_serial_moves_with_every_change(app):
    def serial():
        return ask("acme.svc.test", "SOA").answer[0][0].serial
    before = serial()
    httpreq(app, "present", "_acme-challenge.serial.svc.test.", VALUE)
    middle = serial()
    httpreq(app, "cleanup", "_acme-challenge.serial.svc.test.", VALUE)
    assert before < middle < serial()


def test_a_value_leaves_the_ingress_answer_standing(app):
    httpreq(app, "present", "_acme-challenge.both.svc.test.", VALUE)
    assert [rdata.address for rdata in ask("both.svc.test", "A").answer[0]] == [INGRESS]


def test_question_case_is_kept_and_the_owner_has_it(app):
    answer = ask("_AcMe-ChAlLeNgE.MiXeD.sVc.TeSt", "TXT")
    assert answer.question[0].name.to_text() == "_AcMe-ChAlLeNgE.MiXeD.sVc.TeSt."
    assert answer.answer[0].name.to_text() == "_AcMe-ChAlLeNgE.MiXeD.sVc.TeSt."
    assert answer.answer[0][0].target.to_text() == "mixed.svc.test.acme.svc.test."


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.53", "::1", *ADDRESSES])
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_the_answer_comes_from_the_address_that_was_asked(app, address, tcp):
    # dnspython refuses an answer from another address.
    assert ask("svc.test", "SOA", address, tcp).answer


def fill(app, name, count):
    session = Acme(app).session
    values = [f"{number:043d}" for number in range(count)]
    for value in values:
        assert httpreq(app, "present", f"_acme-challenge.{name}.", value, session=session).status_code == 200
    return values


def test_sizes_truncation_and_tcp(app):
    values = fill(app, "many.svc.test", 100)
    for payload, limit in ((None, 512), (512, 512), (1232, 1232), (4096, 4096), (65535, 4096)):
        options = {} if payload is None else {"use_edns": 0, "payload": payload}
        query = dns.message.make_query("_acme-challenge.many.svc.test", "TXT", **options)
        wire = dns.query.udp(query, "127.0.0.1", timeout=10).to_wire()
        answer = dns.query.udp(query, "127.0.0.1", timeout=10)
        assert len(wire) <= limit
        assert answer.flags & dns.flags.TC
        assert (answer.edns == 0) == (payload is not None)
    assert txt_values("_acme-challenge.many.svc.test", tcp=True) == values
    dig = run("dig", "+short", "+norecurse", "@127.0.0.1", "_acme-challenge.many.svc.test", "TXT").text
    assert dig.count('"') == 2 * len(values)


def test_the_257th_value_is_refused_and_nothing_is_evicted(app):
    values = fill(app, "full.svc.test", 256)
    reply = httpreq(app, "present", "_acme-challenge.full.svc.test.", VALUE)
    assert reply.status_code in (409, 429), reply.text
    assert txt_values("_acme-challenge.full.svc.test", tcp=True) == values


@pytest.mark.parametrize("options", [("+bufsize=512",), ("+bufsize=1232",), ("+bufsize=4096",), ("+tcp",), ("+noedns",), ("+dnssec",), ("+cookie",),
                                     ("+nsid",), ("+keepopen", "+tcp"), ("-6", "@::1")], ids=" ".join)
def test_dig(app, options):
    server = () if "@::1" in options else ("@127.0.0.1",)
    text = run("dig", *server, *options, "+norecurse", "_acme-challenge.dig.svc.test", "TXT").text
    assert "status: NOERROR" in text and "dig.svc.test.acme.svc.test." in text
    assert "WARNING" not in text.replace("WARNING: recursion requested but not available", ""), text


def test_kdig(app):
    text = run("kdig", "@127.0.0.1", "+norec", "+edns=0", "svc.test", "SOA").text
    assert "status: NOERROR" in text and "svc.test." in text


def test_badvers(app):
    text = run("dig", "@127.0.0.1", "+edns=1", "+noednsnegotiation", "+norecurse", "svc.test", "SOA").text
    assert "status: BADVERS" in text and "ANSWER: 0" in text
    assert "status: NOERROR" in run("dig", "@127.0.0.1", "+edns=1", "+norecurse", "svc.test", "SOA").text


@pytest.mark.parametrize("opcode", [dns.opcode.IQUERY, dns.opcode.STATUS, dns.opcode.NOTIFY, 3, 6, 15])
def test_other_opcodes_are_notimp(app, opcode):
    query = dns.message.make_query("svc.test", "SOA")
    wire = bytearray(query.to_wire())
    wire[2] = (wire[2] & 0x87) | (int(opcode) << 3)
    reply = raw_udp(bytes(wire))
    assert reply[3] & 0x0f == dns.rcode.NOTIMP and reply[2] & 0x80
    assert reply[2] & 0x78 == int(opcode) << 3, "the opcode comes back"


@pytest.mark.parametrize("qclass", ["CH", "HS", "ANY"])
def test_another_class_is_no_data_of_ours(app, qclass):
    query = dns.message.make_query("svc.test", "SOA", qclass)
    answer = dns.query.udp(query, "127.0.0.1", timeout=10)
    assert answer.rcode() in (dns.rcode.REFUSED, dns.rcode.NOTIMP, dns.rcode.FORMERR, dns.rcode.NOERROR)
    if qclass != "ANY":
        assert answer.rcode() != dns.rcode.NOERROR


def test_any_is_answered_small(app):
    fill(app, "any.svc.test", 20)
    assert len(ask("_acme-challenge.any.svc.test", "ANY").to_wire()) <= 512


@pytest.mark.parametrize("kind", ["AXFR", "IXFR"])
def test_no_transfer(app, kind):
    query = dns.message.make_query("svc.test", kind)
    # An IXFR query without the SOA it has is a broken one.
    assert dns.query.tcp(query, "127.0.0.1", timeout=10).rcode() == (dns.rcode.FORMERR if kind == "IXFR" else dns.rcode.REFUSED)
