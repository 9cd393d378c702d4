"""The appliance behind other resolvers (Unbound with its validator on, dnsmasq; negative caches on: row 4) and as the resolver itself:
forwarding for networks that are allowed, by routes, with upstreams that fail, lie or loop."""
import socket
import struct
import threading
import time

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from appliance import SECRET, client
from dns_servers import OTHER_DNS, Dnsmasq, Unbound
from jws_client import Acme, httpreq
from namespace import CA_ADDRESS, INGRESS, INSIDE, OUTSIDE, write_resolv_conf
from nsupdate import nsupdate
from tools import assert_certificate, httpreq_environment, lego, run

VALUE = "fwd" + 40 * "1"
LISTEN = {"https": ["0.0.0.0:443"], "http": ["0.0.0.0:80"], "dns": ["127.0.0.1:53", f"{CA_ADDRESS}:53"]}
UPSTREAM, SECOND_UPSTREAM = "10.8.10.20", "fd00:8::53"


def resolve(name, kind="A", server=CA_ADDRESS, tcp=False, source=None, **more):
    """A question of a stub resolver: recursion desired."""
    query = dns.message.make_query(name, kind, use_edns=0, payload=1232, **more)
    send = dns.query.tcp if tcp else dns.query.udp
    return send(query, server, timeout=15, source=source)


def addresses(reply):
    return sorted(rdata.address for rrset in reply.answer for rdata in rrset if rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA))


# --- behind others ------------------------------------------------------------------------------------------------------------------

ROOT_KEY = "20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"


def unbound(directory, is_insecure=True):
    """The recipe of docs/dns.md: the zone is asked here, and is no business of the validator's, which is on for the whole tree."""
    return Unbound(directory, "  module-config: \"validator iterator\"", f"  trust-anchor: \". DS {ROOT_KEY}\"",
                   *(["  domain-insecure: \"svc.test\""] if is_insecure else []), "  local-zone: \"test.\" nodefault",
                   "stub-zone:", "  name: \"svc.test\"", f"  stub-addr: {CA_ADDRESS}")


def dnsmasq(directory):
    return Dnsmasq(directory, f"server=/svc.test/{CA_ADDRESS}", "dnssec", "trust-anchor=.," + ROOT_KEY.replace(" ", ","),
                   "cache-size=1000")


@pytest.mark.parametrize("resolver", [unbound, dnsmasq], ids=["unbound", "dnsmasq"])
def test_a_name_seen_missing_a_moment_ago_is_no_obstacle(make_appliance, resolv_conf, tmp_path, resolver):
    """Row 4: two resolvers in resolv.conf, one of them a cache that has just seen the name without a value."""
    one = make_appliance(listen=LISTEN, resolvers=[f"{OTHER_DNS}:53"]).start()
    with resolver(tmp_path / "resolver"):
        write_resolv_conf(resolv_conf, OTHER_DNS, CA_ADDRESS)
        try:
            for name in ("cached.svc.test", "_acme-challenge.cached.svc.test", "cached.svc.test.acme.svc.test"):
                for kind in ("TXT", "SOA", "A"):
                    reply = resolve(name, kind, OTHER_DNS)
                    assert reply.rcode() == dns.rcode.NOERROR, reply
            names = ("cached.svc.test", "*.cached.svc.test")
            lego(one, tmp_path, names, "--dns.resolvers", f"{OTHER_DNS}:53", "--dns.resolvers", f"{CA_ADDRESS}:53", "run",
                 env=httpreq_environment(one, HTTPREQ_PROPAGATION_TIMEOUT="10"))
            assert_certificate(one, tmp_path / "certificates" / "cached.svc.test.crt", *names)
        finally:
            write_resolv_conf(resolv_conf, "127.0.0.1")


def test_without_the_negative_trust_anchor_a_validator_refuses_the_zone(make_appliance, tmp_path):
    """What `domain-insecure` in the recipe is for: the validator is really on."""
    make_appliance(listen=LISTEN).start()
    with unbound(tmp_path / "resolver", is_insecure=False):
        assert resolve("www.svc.test", "A", OTHER_DNS).rcode() == dns.rcode.SERVFAIL


@pytest.mark.parametrize("resolver", [unbound, dnsmasq], ids=["unbound", "dnsmasq"])
def test_a_value_is_seen_through_the_cache_within_its_ttl(make_appliance, tmp_path, resolver):
    one = make_appliance(listen=LISTEN).start()
    with resolver(tmp_path / "resolver"):
        assert addresses(resolve("www.svc.test", "A", OTHER_DNS)) == [INGRESS]
        assert resolve("_acme-challenge.late.svc.test", "TXT", OTHER_DNS).rcode() == dns.rcode.NOERROR
        httpreq(one, "present", "_acme-challenge.late.svc.test.", VALUE)
        deadline = time.monotonic() + 20
        while VALUE not in str(resolve("_acme-challenge.late.svc.test", "TXT", OTHER_DNS).answer):
            assert time.monotonic() < deadline, "still cached as missing"
            time.sleep(0.1)


# --- as the resolver ----------------------------------------------------------------------------------------------------------------

class Upstream:
    """A server of the tests' own: answers each question with what `answers` says for (name, type), over UDP and TCP.

    answers: {(name, type): rrset texts, or a function (query, is_tcp) -> list of wires}; anything else is NXDOMAIN with an SOA.
    """

    def __init__(self, answers, address=UPSTREAM):
        self.answers, self.address = answers, address
        self.asked = []
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.udp = socket.socket(family, socket.SOCK_DGRAM)
        self.udp.bind((address, 53))
        self.tcp = socket.socket(family, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind((address, 53))
        self.tcp.listen()
        self.threads = [threading.Thread(target=self.serve_udp), threading.Thread(target=self.serve_tcp)]
        self.is_stopping = False

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *unused):
        self.is_stopping = True
        poke = socket.socket(self.udp.family, socket.SOCK_DGRAM)
        poke.sendto(b"", (self.address, 53))
        poke.close()
        socket.create_connection((self.address, 53), timeout=5).close()
        for thread in self.threads:
            thread.join()
        self.udp.close()
        self.tcp.close()

    def replies(self, wire, is_tcp):
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        found = self.answers.get((name, kind))
        if callable(found):
            return found(query, is_tcp)
        reply = dns.message.make_response(query, recursion_available=True)
        if found is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
            reply.authority.append(dns.rrset.from_text("example.org.", 30, "IN", "SOA", "ns.example.org. h.example.org. 1 60 60 600 30"))
        else:
            reply.answer.extend(dns.rrset.from_text(*text.split(" ", 4)) for text in found)
        return [reply.to_wire(max_size=65535)]

    def serve_udp(self):
        while True:
            wire, peer = self.udp.recvfrom(4096)
            if self.is_stopping:
                return
            for reply in self.replies(wire, False):
                self.udp.sendto(reply, peer)

    def serve_tcp(self):
        while True:
            stream, _ = self.tcp.accept()
            if self.is_stopping:
                stream.close()
                return
            with stream:
                stream.settimeout(5)
                try:
                    reader = stream.makefile("rb")
                    (length,) = struct.unpack("!H", reader.read(2))
                    for reply in self.replies(reader.read(length), True):
                        stream.sendall(struct.pack("!H", len(reply)) + reply)
                except (OSError, struct.error):
                    pass


ANSWERS = {
    ("www.example.org.", "A"): ["www.example.org. 300 IN A 192.0.2.10"],
    ("alias.example.org.", "A"): ["alias.example.org. 300 IN CNAME www.example.org.", "www.example.org. 300 IN A 192.0.2.10"],
    ("into.example.org.", "A"): ["into.example.org. 300 IN CNAME host.svc.test.", "host.svc.test. 300 IN A 192.0.2.66"],
    ("value.example.org.", "TXT"): ["value.example.org. 300 IN CNAME _acme-challenge.host.svc.test."],
    ("short.example.org.", "A"): ["short.example.org. 2 IN A 192.0.2.11"],
    ("big.example.org.", "TXT"): [f"big.example.org. 300 IN TXT \"{number:0200d}\"" for number in range(30)],
}


def forwarding(make_appliance, upstreams=(UPSTREAM,), networks=("127.0.0.0/8", "10.8.10.0/24"), **more):
    settings = {"networks": list(networks), "upstreams": [f"[{one}]:53" if ":" in one else f"{one}:53" for one in upstreams], **more}
    return make_appliance(listen=LISTEN, dns={"forward": settings}, clients=[client("lego", SECRET, "svc.test", "*.svc.test")])


def test_other_names_are_forwarded_and_cached(make_appliance):
    forwarding(make_appliance).start()
    with Upstream(ANSWERS) as upstream:
        for _ in range(3):
            reply = resolve("WwW.example.org")
            assert addresses(reply) == ["192.0.2.10"] and reply.question[0].name.to_text() == "WwW.example.org."
            assert reply.flags & dns.flags.RA and not reply.flags & (dns.flags.AA | dns.flags.AD)
        assert addresses(resolve("alias.example.org")) == ["192.0.2.10"]
        for _ in range(3):
            missing = resolve("missing.example.org")
            assert missing.rcode() == dns.rcode.NXDOMAIN and missing.authority[0].rdtype == dns.rdatatype.SOA
        assert upstream.asked.count(("www.example.org.", "A")) <= 2
        assert upstream.asked.count(("missing.example.org.", "A")) == 1
        assert addresses(resolve("www.svc.test")) == [INGRESS], "our own names are ours"
        assert not [name for name, _ in upstream.asked if name.endswith("svc.test.")]


def test_ttls_count_down_and_run_out(make_appliance):
    forwarding(make_appliance).start()
    with Upstream(ANSWERS) as upstream:
        first = resolve("short.example.org").answer[0].ttl
        assert first <= 2
        deadline = time.monotonic() + 15
        while upstream.asked.count(("short.example.org.", "A")) < 2:
            assert resolve("short.example.org").answer[0].ttl <= 2
            assert time.monotonic() < deadline, "the cache does not let go"
            time.sleep(0.1)


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_large_answers_are_cut_over_udp_and_whole_over_tcp(make_appliance, tcp):
    forwarding(make_appliance).start()
    with Upstream(ANSWERS):
        reply = resolve("big.example.org", "TXT", tcp=tcp)
        assert bool(reply.flags & dns.flags.TC) == (not tcp)
        assert sum(len(rrset) for rrset in reply.answer) == (30 if tcp else 0)


def test_never_an_open_resolver(make_appliance):
    forwarding(make_appliance, networks=("127.0.0.0/8",)).start()
    with Upstream(ANSWERS) as upstream:
        for source in (OUTSIDE, INSIDE):
            reply = resolve("www.example.org", source=source)
            assert reply.rcode() == dns.rcode.REFUSED and reply.answer == [] and not reply.flags & dns.flags.RA
            assert [option.otype for option in reply.options] == [15]
        no_recursion = dns.message.make_query("www.example.org", "A")
        no_recursion.flags &= ~dns.flags.RD
        assert dns.query.udp(no_recursion, "127.0.0.1", timeout=10).rcode() == dns.rcode.REFUSED
        assert upstream.asked == []


def test_cnames_across_the_border(make_appliance, tmp_path):
    forwarding(make_appliance).start()
    nsupdate(tmp_path, "zone svc.test", "update add host.svc.test. 60 A 10.8.10.7", "update add out.svc.test. 60 CNAME alias.example.org.",
             f"update add _acme-challenge.host.svc.test. 60 TXT {VALUE}")
    with Upstream(ANSWERS):
        assert addresses(resolve("out.svc.test")) == ["192.0.2.10"], "ours leads out: continued"
        assert addresses(resolve("into.example.org")) == ["10.8.10.7"], "what an upstream says of our names is not believed"
        assert VALUE in str(resolve("value.example.org", "TXT").answer)
        assert resolve("out.svc.test", source=OUTSIDE).answer[0].rdtype == dns.rdatatype.CNAME


def test_routes_by_suffix_and_the_longest_wins(make_appliance):
    routes = {"corp.example": [f"{INSIDE}:53"], "deep.corp.example": [f"[{SECOND_UPSTREAM}]:53"]}
    make_appliance(listen=LISTEN, dns={"forward": {"networks": ["10.8.10.0/24"], "routes": routes}}).start()
    here = {("www.corp.example.", "A"): ["www.corp.example. 60 IN A 192.0.2.31"]}
    there = {("www.deep.corp.example.", "A"): ["www.deep.corp.example. 60 IN A 192.0.2.32"]}
    with Upstream(here, INSIDE) as one, Upstream(there, SECOND_UPSTREAM) as other:
        assert addresses(resolve("www.corp.example", source=CA_ADDRESS)) == ["192.0.2.31"]
        assert addresses(resolve("www.deep.corp.example", source=CA_ADDRESS)) == ["192.0.2.32"]
        assert resolve("elsewhere.example", source=CA_ADDRESS).rcode() in (dns.rcode.SERVFAIL, dns.rcode.REFUSED), "no upstream for the rest"
        assert {name for name, _ in one.asked} == {"www.corp.example."} and {name for name, _ in other.asked} == {"www.deep.corp.example."}


def test_a_dead_upstream_is_passed_over(make_appliance):
    forwarding(make_appliance, upstreams=("10.8.10.252", SECOND_UPSTREAM)).start()  # nobody listens at the first
    with Upstream(ANSWERS, SECOND_UPSTREAM):
        assert addresses(resolve("www.example.org")) == ["192.0.2.10"]


def test_no_upstream_at_all_is_servfail_with_a_reason(make_appliance):
    forwarding(make_appliance, upstreams=("10.8.10.252",)).start()
    reply = resolve("www.example.org")
    assert reply.rcode() == dns.rcode.SERVFAIL and [option.otype for option in reply.options] == [15]


def wrong_id(query, _):
    reply = dns.message.make_response(query)
    reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "192.0.2.66"))
    wire = bytearray(reply.to_wire())
    wire[0] ^= 0xFF
    return [bytes(wire), good(query)]


def good(query):
    reply = dns.message.make_response(query, recursion_available=True)
    reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "192.0.2.77"))
    return reply.to_wire()


def other_name(query, _):
    reply = dns.message.make_response(dns.message.make_query("evil.example.org", "A"))
    reply.id = query.id
    reply.answer.append(dns.rrset.from_text("evil.example.org.", 60, "IN", "A", "192.0.2.66"))
    return [reply.to_wire(), good(query)]


def twice(query, _):
    return [good(query), good(query)]


def poison(query, _):
    """The right answer, with records about names that nobody asked for."""
    reply = dns.message.from_wire(good(query))
    reply.answer.append(dns.rrset.from_text("www.svc.test.", 60, "IN", "A", "192.0.2.66"))
    reply.additional.append(dns.rrset.from_text("victim.example.org.", 60, "IN", "A", "192.0.2.66"))
    return [reply.to_wire()]


@pytest.mark.parametrize("trick", [wrong_id, other_name, twice, poison], ids=lambda one: one.__name__)
def test_upstreams_that_lie(make_appliance, trick):
    forwarding(make_appliance).start()
    with Upstream({("odd.example.org.", "A"): trick}):
        # The resolving library gives up a try that was answered about another name: no answer is fine, a wrong one is not.
        assert addresses(resolve("odd.example.org")) in (["192.0.2.77"], [] if trick is other_name else None)
        assert resolve("victim.example.org").rcode() == dns.rcode.NXDOMAIN
        assert addresses(resolve("www.svc.test")) == [INGRESS]


def test_a_loop_through_another_forwarder_ends(make_appliance, tmp_path):
    forwarding(make_appliance, upstreams=(OTHER_DNS,), networks=("127.0.0.0/8", "10.0.0.0/8")).start()
    with Dnsmasq(tmp_path / "dnsmasq", f"server={CA_ADDRESS}", "cache-size=0"):
        reply = resolve("loops.example.org")
        assert reply.rcode() in (dns.rcode.SERVFAIL, dns.rcode.REFUSED)
        assert addresses(resolve("www.svc.test")) == [INGRESS]


def test_our_own_listener_as_upstream_is_left_out(make_appliance):
    one = forwarding(make_appliance, upstreams=(CA_ADDRESS, UPSTREAM)).start()
    with Upstream(ANSWERS):
        assert addresses(resolve("www.example.org")) == ["192.0.2.10"]
    assert "forward" in one.log() and CA_ADDRESS in one.log()


def test_trace_names_the_way(make_appliance):
    one = forwarding(make_appliance).start()
    with Upstream(ANSWERS):
        text = one.cli("dns", "trace", "www.example.org", "A").stdout
        assert UPSTREAM in text and "192.0.2.10" in text
    text = one.cli("dns", "trace", "_acme-challenge.www.svc.test", "TXT").stdout
    assert "www.svc.test.acme.svc.test" in text
    assert INGRESS in one.cli("dns", "trace", "www.svc.test").stdout


def test_a_client_walks_through_us_for_every_name(make_appliance, resolv_conf, tmp_path):
    """`resolvers: [us]`: lego's zone search asks for SOA up to the root through us, and the validator chases names elsewhere."""
    one = forwarding(make_appliance).start()
    with Upstream(ANSWERS):
        write_resolv_conf(resolv_conf, CA_ADDRESS)
        try:
            names = ("walk.svc.test", "*.walk.svc.test")
            lego(one, tmp_path, names, "--dns.resolvers", f"{CA_ADDRESS}:53", "run", env=httpreq_environment(one))
            assert_certificate(one, tmp_path / "certificates" / "walk.svc.test.crt", *names)
            assert "192.0.2.10" in run("dig", "+short", "www.example.org").text
        finally:
            write_resolv_conf(resolv_conf, "127.0.0.1")


def test_many_silent_questions_leave_room_for_others(make_appliance):
    """Questions that an upstream never answers are bounded, and our own names are answered meanwhile."""
    forwarding(make_appliance, networks=("127.0.0.0/8", "10.8.10.0/24", "203.0.113.0/24")).start()
    with Upstream({(f"silent{number}.example.org.", "A"): (lambda query, is_tcp: []) for number in range(600)} | ANSWERS):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind((OUTSIDE, 0))
            for number in range(600):
                udp.sendto(dns.message.make_query(f"silent{number}.example.org", "A").to_wire(), (CA_ADDRESS, 53))
        assert addresses(resolve("www.svc.test")) == [INGRESS]
        assert addresses(resolve("www.example.org")) == ["192.0.2.10"], "somebody else's questions are answered"


def test_the_validator_uses_us_for_a_zone_served_elsewhere(make_appliance):
    """A CNAME in an upstream's zone that leads to our delegate zone, found through `resolvers`."""
    one = make_appliance(listen=LISTEN, zones=[{"name": "svc.test", "ingress": [INGRESS]}, {"name": "example.org", "serve": False}],
                         resolvers=[f"{UPSTREAM}:53"], clients=[client("lego", SECRET, "www.example.org")],
                         dns={"forward": {"networks": ["10.0.0.0/8"], "upstreams": [f"{UPSTREAM}:53"]}}).start()
    target = "www.example.org.acme.svc.test."
    with Upstream({("_acme-challenge.www.example.org.", "TXT"): [f"_acme-challenge.www.example.org. 5 IN CNAME {target}"]}):
        acme = Acme(one).register()
        _, order = acme.order("www.example.org")
        acme.prove_slowly(order)
        assert acme.finalize(order).json()["status"] == "valid"
        assert target in str(resolve("_acme-challenge.www.example.org", "TXT").answer)
