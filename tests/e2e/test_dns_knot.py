"""The same zone, every record type in it, served by Knot and by us as a plain zone: 10,000 random questions get equal answers, section by
section, but for the order of records and the documented choices below."""
import pathlib
import random

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from appliance import ROOT, Appliance, configuration
from dns_servers import OTHER_DNS, Knot
from namespace import CA_ADDRESS
from tools import run

ZONE_FILE = ROOT / "tests" / "data" / "zones" / "every.test.zone"
QUESTIONS = 10_000
SEED = 20261122
TYPES = ("A AAAA NS SOA MX TXT CNAME DNAME SRV CAA HTTPS SVCB TLSA SSHFP PTR HINFO LOC RP NAPTR URI EUI48 OPENPGPKEY KX AFSDB CERT DHCID DS "
         "TYPE65400 TYPE65401 SPF NSEC RRSIG DNSKEY").split()


@pytest.fixture(scope="module")
def both(resolv_conf, tmp_path_factory):  # pylint: disable=unused-argument
    directory = tmp_path_factory.mktemp("both")
    state = directory / "ours" / "state"
    listen = {"https": [f"{CA_ADDRESS}:443"], "http": ["127.0.0.1:80"], "dns": [f"{CA_ADDRESS}:53"]}
    ours = Appliance(directory / "ours", configuration(state, listen=listen, zones=[
        {"name": "svc.test"}, {"name": "every.test", "plain": True, "file": str(ZONE_FILE)}]))
    try:
        with Knot(directory / "knot", {"every.test": ZONE_FILE}):
            yield ours.start()
        ours.stop()
    finally:
        ours.discard()


def canonical(path):
    """BIND's reading of a master file, a record a line, in lower case, without the SOA."""
    text = run("named-compilezone", "-q", "-n", "ignore", "-k", "ignore", "-i", "none", "-s", "full", "-o", "-", "every.test", path).text
    lines = (" ".join(line.lower().split()) for line in text.splitlines())
    return sorted(line for line in lines if line and " soa " not in line)


def owners():
    """Every owner name of the zone file, as Knot's and our exports agree on it, without the zone's own name."""
    names = {line.split()[0] for line in canonical(ZONE_FILE)}
    return sorted(name[: -len("every.test.")].rstrip(".") for name in names)


def random_case(rng, text):
    return "".join(c.upper() if rng.random() < 0.3 else c for c in text)


def random_name(rng, known):
    """Names that are there, their parents and children, and names that never were."""
    name = rng.choice(known)
    kind = rng.random()
    if kind < 0.15:
        name = f"x{rng.randrange(9)}." + name if name else f"x{rng.randrange(9)}"
    elif kind < 0.25:
        name = f"a.b{rng.randrange(3)}." + name if name else "a.b"
    elif kind < 0.35 and "." in name:
        name = name.split(".", rng.randrange(1, name.count(".") + 1))[-1]
    elif kind < 0.4:
        name = "*." + name if name else "*"
    elif kind < 0.45:
        name = rng.choice(["a", "b", "c", "a.b", "long" * 12]) + "." + rng.choice(["tree", "out", "wild", "cwild", "sub", "wild2"])
    return random_case(rng, (name + "." if name else "") + "every.test.")


def sections(message):
    """What counts of an answer: sets, owners and names inside in lower case, TTLs included, the serial of SOA not."""
    parts = []
    for section in (message.answer, message.authority, message.additional):
        rows = set()
        for rrset in section:
            for rdata in rrset:
                text = rdata.to_text() if rrset.rdtype in (dns.rdatatype.TXT, dns.rdatatype.NAPTR, dns.rdatatype.URI, dns.rdatatype.SPF,
                                                           dns.rdatatype.CAA) else rdata.to_text().lower()
                if rrset.rdtype == dns.rdatatype.SOA:
                    words = text.split()
                    text = " ".join(words[:2] + words[3:])
                rows.add((rrset.name.to_text().lower(), rrset.rdtype, rrset.ttl, text))
        parts.append(rows)
    return parts


def ask_one(address, name, kind):
    query = dns.message.make_query(name, kind, use_edns=0, payload=4096)
    query.flags &= ~dns.flags.RD
    return dns.query.tcp(query, address, timeout=10)


def differences(name, kind, theirs, ours):
    """In words; empty when nothing differs but the documented choices."""
    found = []
    if theirs.rcode() != ours.rcode():
        found.append(f"rcode {dns.rcode.to_text(theirs.rcode())} there, {dns.rcode.to_text(ours.rcode())} here")
    if (theirs.flags ^ ours.flags) & dns.flags.AA:
        found.append(f"AA {bool(theirs.flags & dns.flags.AA)} there, {bool(ours.flags & dns.flags.AA)} here")
    for title, one, other in zip(("answer", "authority", "additional"), sections(theirs), sections(ours)):
        if one != other:
            found.append(f"{title}: only there {sorted(one - other)}, only here {sorted(other - one)}")
    return [f"{name} {kind}: {text}" for text in found]


def test_ten_thousand_questions_are_answered_as_knot_does(both):  # pylint: disable=unused-argument
    rng = random.Random(SEED)
    known = owners()
    assert len(known) > 40
    found = []
    seen = {"NOERROR": 0, "NXDOMAIN": 0}
    with_answer = 0
    for _ in range(QUESTIONS):
        name, kind = random_name(rng, known), rng.choice(TYPES)
        theirs, ours = ask_one(OTHER_DNS, name, kind), ask_one(CA_ADDRESS, name, kind)
        found += differences(name, kind, theirs, ours)
        code = dns.rcode.to_text(theirs.rcode())
        seen[code] = seen.get(code, 0) + 1
        with_answer += bool(theirs.answer)
    assert seen["NOERROR"] > 2000 and seen["NXDOMAIN"] > 500 and with_answer > 500, "the questions are too much alike"
    assert not found, f"{len(found)} differences:\n" + "\n".join(found[:40])


@pytest.mark.parametrize("payload", [512, 1232])
def test_truncation_over_udp_is_told_where_knot_tells_it(both, payload):  # pylint: disable=unused-argument
    for name in ("every.test.", "long.every.test.", "x.sub.every.test."):
        for kind in ("TXT", "A", "NS"):
            query = dns.message.make_query(name, kind, use_edns=0, payload=payload)
            theirs, ours = (dns.query.udp(query, address, timeout=10) for address in (OTHER_DNS, CA_ADDRESS))
            assert (theirs.flags ^ ours.flags) & dns.flags.TC == 0, (name, kind)
            assert len(ours.to_wire()) <= payload


def test_our_export_is_a_zone_that_named_checkzone_takes(both, tmp_path):
    exported = pathlib.Path(tmp_path) / "exported"
    exported.write_text(both.cli("zone", "export", "every.test").stdout, encoding="ascii")
    assert "OK" in run("named-checkzone", "every.test", exported).text
    assert canonical(exported) == canonical(ZONE_FILE)
