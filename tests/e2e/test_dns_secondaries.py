"""A company's BIND, Knot and NSD as secondaries of ours: what they have is what we answer, a new name and a new record are there moments
later, restarts continue by IXFR, transfers that are cut harm nobody, and nobody else gets a zone."""
import re
import socket
import time

import dns.exception
import dns.flags
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.xfr
import pytest

from appliance import SECRET, Appliance, client, configuration
from jws_client import Acme
from namespace import CA_ADDRESS, INGRESS, INSIDE, write_resolv_conf
from nsupdate import nsupdate
from secondaries import (BIND, KEY, KEY_SECRET, KNOT, NETWORK, NSD, PEER, BindSecondary, KnotSecondary, NsdSecondary, add_addresses, request_wire,
                         serial, transfer, wait_for, wait_in_step)
from tools import ask, txt_values

SECONDARIES = (BIND, KNOT, NSD)
ZONE, DELEGATE, REVERSE, LARGE = "svc.test", "acme.svc.test", "10.8.10.in-addr.arpa", "large.test"
ZONES = (ZONE, REVERSE, DELEGATE)
VALUE = "sec" + 40 * "1"
LARGE_N = 12_000
FILE = """$TTL 300
host            A     10.8.10.7
host            AAAA  fd00:8::7
mail            MX    10 host
@               TXT   "v=spf1 -all"
*.wild          A     10.8.10.8
deep.down.below A     10.8.10.9
sub             NS    ns.sub
ns.sub          A     10.8.10.9
alias           CNAME host
web             HTTPS 1 . alpn=h2
_sip._tcp       SRV   1 2 5060 host
odd             TYPE65400 \\# 2 0102
"""


@pytest.fixture(scope="module")
def ours(resolv_conf, tmp_path_factory):
    add_addresses()
    write_resolv_conf(resolv_conf, CA_ADDRESS)
    directory = tmp_path_factory.mktemp("ours")
    file, large = directory / "svc.test.zone", directory / "large.test.zone"
    file.write_text(FILE, encoding="ascii")
    large.write_text("$TTL 300\n" + "".join(f"n{i} TXT \"{i:0>240}\" \"{i:0>240}\"\n" for i in range(LARGE_N)), encoding="ascii")
    transfers = {"allow": [NETWORK], "notify": [f"{address}:53" for address in SECONDARIES], "key": KEY}
    one = Appliance(directory, configuration(
        directory / "state", listen={"https": [f"{CA_ADDRESS}:443"], "http": ["127.0.0.1:80"], "dns": [f"{CA_ADDRESS}:53"]},
        zones=[{"name": ZONE, "ingress": [INGRESS], "file": str(file), "transfer": transfers},
               {"name": REVERSE, "plain": True, "transfer": transfers},
               {"name": LARGE, "plain": True, "file": str(large), "transfer": {"allow": [NETWORK]}}],
        clients=[client("lego", SECRET, "svc.test", "*.svc.test", "exact.svc.test"), client(KEY, KEY_SECRET)]))
    try:
        yield one.start()
        one.stop()
    finally:
        one.discard()


@pytest.fixture(scope="module")
def secondaries(ours, tmp_path_factory):  # pylint: disable=unused-argument
    directory = tmp_path_factory.mktemp("secondaries")
    made = {BIND: BindSecondary(directory / "bind", ZONES), KNOT: KnotSecondary(directory / "knot", ZONES),
            NSD: NsdSecondary(directory / "nsd", ZONES)}
    try:
        for one in made.values():
            one.start()
        for zone in ZONES:
            wait_in_step(zone, *made)
        yield made
    finally:
        for one in made.values():
            one.stop()


def addresses(name, server=CA_ADDRESS, kind="A"):
    return sorted(rdata.address for rrset in ask(name, kind, server).answer for rdata in rrset if rrset.rdtype == dns.rdatatype.from_text(kind))


def logged(app, event, *words):
    return [line for line in app.log().splitlines() if f"ev={event}" in line and all(word in line for word in words)]


# --- the same answers --------------------------------------------------------------------------------------------------------------

def own_part(answer, name):
    """What the answer says of the name itself, and, unless a CNAME leads away, the RCODE: servers differ in how far they follow one into
    another zone, and a delegate name without a value is empty here and missing there."""
    own = {(rrset.rdtype, rrset.ttl, rdata.to_text().lower()) for rrset in answer.answer for rdata in rrset
           if rrset.name.to_text().lower() == name.lower()}
    leads_away = any(kind == dns.rdatatype.CNAME for kind, _, _ in own)
    return "" if leads_away else dns.rcode.to_text(answer.rcode()), own, bool(answer.flags & dns.flags.AA)


def differences(names, kinds=("A", "AAAA", "TXT", "MX", "CNAME", "NS", "SRV", "HTTPS", "PTR", "TYPE65400", "SOA")):
    found = []
    for name in names:
        for kind in kinds:
            here = own_part(ask(name, kind, CA_ADDRESS), name)
            for server in SECONDARIES:
                there = own_part(ask(name, kind, server), name)
                if here != there:
                    found.append(f"{name} {kind}: here {here}, at {server} {there}")
    return found


def assert_same(names, *kinds):
    found = differences(names, *kinds)
    assert not found, f"{len(found)} differences:\n" + "\n".join(found[:40])


def parents(name, zone):
    """The names between this one and its zone."""
    while name.lower() != zone + "." and name.endswith("." + zone + "."):
        yield name
        name = name.split(".", 1)[1]


@pytest.mark.parametrize("zone", ZONES)
def test_every_name_is_answered_as_we_answer_it(secondaries, ours, zone):  # pylint: disable=unused-argument
    Acme(ours).register().order("ordered.svc.test", "*.below.ordered.svc.test")
    nsupdate(secondaries[BIND].directory, "update add _acme-challenge.ordered.svc.test. 60 TXT " + VALUE,
             "update add pointed.svc.test. 60 A 10.8.10.33")
    wait_in_step(zone, *SECONDARIES)
    owners = {node.to_text() for node in transfer(zone)}
    names = {above for owner in owners for above in parents(owner, zone)} | {zone + "."}
    if zone == ZONE:
        # Names that nobody knows: the ingress, by the wildcard. Not their _acme-challenge, which exists on our own servers only. Below
        # known ones the zone's wildcard does not reach (RFC 4592, the closest encloser): they have their own.
        names |= {f"{name}.{zone}." for name in ("unknown", "un.known", "x.wild", "y.x.wild", "x.sub", "*", "x.host", "y.x.host", "x.ordered",
                                                 "x.below.ordered", "x.exact", "x.deep.down.below", "x.down.below", "x.below", "x.alias",
                                                 "x.pointed", "x.web")}
    names = {name for name in names if not name.startswith("*.") or name in owners}
    if zone != ZONE:
        names = {name for name in names if name in owners}
    assert_same(sorted(names))
    assert len(owners) > (20 if zone == ZONE else 0)


def test_the_written_out_zone_holds_what_the_words_say(secondaries, ours):  # pylint: disable=unused-argument
    zone = transfer(ZONE)
    def at(name, kind):
        rdataset = zone.get_rdataset(f"{name}.{ZONE}." if name else f"{ZONE}.", kind)
        return sorted(rdata.to_text() for rdata in rdataset) if rdataset else []
    assert at("*", "A") == [INGRESS] and at("", "A") == [INGRESS]
    for known in ("host", "exact", "mail", "deep.down.below"):
        assert at(f"_acme-challenge.{known}", "CNAME") == [f"{known}.{ZONE}.{DELEGATE}."], known
    assert at("exact", "A") == [INGRESS], "else the name would be an empty non-terminal, which the wildcard does not answer"
    assert at("_acme-challenge.unknown", "CNAME") == [] and at("_acme-challenge.alias", "CNAME") == [f"alias.{ZONE}.{DELEGATE}."]
    assert zone.get_rdataset(f"{ZONE}.", "SOA")[0].serial == serial(ZONE)


# --- moments later -----------------------------------------------------------------------------------------------------------------

def test_a_new_orders_name_is_there(secondaries, ours):  # pylint: disable=unused-argument
    before = serial(ZONE)
    Acme(ours).register().order("fresh.svc.test")
    # The zone has the name, with a newer serial, before newOrder is answered; the secondaries are told by then.
    assert serial(ZONE) > before
    assert transfer(ZONE).get_rdataset("_acme-challenge.fresh.svc.test.", "CNAME")
    for server in SECONDARIES:
        answer = wait_for(lambda server=server: ask("_acme-challenge.fresh.svc.test", "CNAME", server).answer, f"the new name at {server}", 10)
        assert answer[0][0].target.to_text() == f"fresh.{ZONE}.{DELEGATE}."
        assert addresses("fresh.svc.test", server) == [INGRESS]


def test_a_challenge_value_is_there(secondaries, tmp_path):  # pylint: disable=unused-argument
    nsupdate(tmp_path, f"update add _acme-challenge.fresh.svc.test. 60 TXT {VALUE}")
    for server in SECONDARIES:
        wait_for(lambda server=server: txt_values(f"fresh.{ZONE}.{DELEGATE}", server) == [VALUE], f"the value at {server}", 10)
    nsupdate(tmp_path, "update delete _acme-challenge.fresh.svc.test. TXT")
    for server in SECONDARIES:
        wait_for(lambda server=server: txt_values(f"fresh.{ZONE}.{DELEGATE}", server) == [], f"no value at {server}", 10)


def test_an_ordinary_txt_signed_with_hmac_sha512_is_there(secondaries, tmp_path):  # pylint: disable=unused-argument
    nsupdate(tmp_path, "update add note.svc.test. 60 TXT \"said by nsupdate\"", algorithm="hmac-sha512")
    for server in SECONDARIES:
        wait_for(lambda server=server: txt_values("note.svc.test", server) == ["said by nsupdate"], f"the text at {server}", 10)
    assert_same(["note.svc.test.", "_acme-challenge.note.svc.test."])


def test_the_pointer_of_a_new_address_is_there(secondaries, tmp_path):  # pylint: disable=unused-argument
    nsupdate(tmp_path, "update add printer.svc.test. 60 A 10.8.10.44")
    for server in SECONDARIES:
        wait_for(lambda server=server: ask(f"44.{REVERSE}", "PTR", server).answer, f"the PTR at {server}", 10)


def test_a_hundred_changes_in_a_row_end_in_step(secondaries, tmp_path):  # pylint: disable=unused-argument
    for i in range(100):
        nsupdate(tmp_path, f"update {'add' if i % 3 else 'delete'} row{i // 3}.svc.test. 60 A 10.8.10.{i}")
    for zone in ZONES:
        wait_in_step(zone, *SECONDARIES)
    assert_same([f"row{i}.svc.test." for i in range(34)], ("A",))


# --- restarts ----------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("address", SECONDARIES)
def test_a_secondary_that_was_away_continues_by_ixfr(secondaries, ours, tmp_path, address):
    one = secondaries[address]
    if address == NSD:  # it writes its zones to disk in its own time, and only continues from what is there
        written = one.directory / f"{ZONE}.zone"
        wait_for(lambda: written.exists() and str(serial(ZONE)) in written.read_text(encoding="ascii"), "NSD has written the zone", 60)
    one.stop()
    before = len(ours.log())
    nsupdate(tmp_path, f"update add away-{address.rsplit('.', 1)[1]}.svc.test. 60 A 10.8.10.55")
    one.start()
    wait_in_step(ZONE, address)
    lines = [line for line in ours.log()[before:].splitlines() if "ev=dns.transfer.done" in line and f"peer={address}" in line and f"zone={ZONE} " in line]
    assert lines and all("asked=IXFR sent=IXFR" in line for line in lines), "\n".join(lines)
    wait_in_step(ZONE, *secondaries)  # all three are compared
    assert_same([f"away-{address.rsplit('.', 1)[1]}.svc.test."], ("A",))


def test_after_our_own_restart_they_follow(secondaries, ours, tmp_path):  # pylint: disable=unused-argument
    ours.kill9()
    ours.start()
    nsupdate(tmp_path, "update add again.svc.test. 60 A 10.8.10.56")
    for server in SECONDARIES:
        wait_for(lambda server=server: addresses("again.svc.test", server) == ["10.8.10.56"], f"the change at {server}", 20)


def test_a_silent_server_holds_up_nobody(secondaries, ours, tmp_path):
    secondaries[NSD].stop()
    try:
        for i in range(5):
            started = time.monotonic()
            nsupdate(tmp_path, f"update add silent{i}.svc.test. 60 A 10.8.10.57")
            assert time.monotonic() - started < 5
            for server in (BIND, KNOT):
                wait_for(lambda server=server, i=i: addresses(f"silent{i}.svc.test", server) == ["10.8.10.57"], f"the change at {server}", 10)
    finally:
        secondaries[NSD].start()
    wait_in_step(ZONE, NSD, bound_s=60)
    assert ours.process.poll() is None


# --- who may -----------------------------------------------------------------------------------------------------------------------

def refused(app, *words):
    return wait_for(lambda: logged(app, "dns.transfer.refused", *words), f"a log line with {words}", 5)


def test_wrong_networks_and_keys_are_refused_with_a_sentence(ours):
    assert len(transfer(ZONE).nodes) > 10
    with pytest.raises(dns.xfr.TransferError, match="REFUSED"):
        transfer(ZONE, source=INSIDE)
    assert "transfer.allow" in refused(ours, f"peer={INSIDE}")[-1]
    with pytest.raises(dns.xfr.TransferError, match="REFUSED"):
        transfer(ZONE, signed=False)
    assert "not signed" in refused(ours, f"peer={PEER}")[-1]
    with pytest.raises(dns.xfr.TransferError, match="REFUSED"):
        transfer(ZONE, name="lego", secret=SECRET)
    assert "transfer.key" in refused(ours, f"peer={PEER}", "client=lego")[-1]
    with pytest.raises((dns.tsig.PeerBadSignature, dns.xfr.TransferError, dns.tsig.BadSignature)):
        transfer(ZONE, secret=SECRET)
    with pytest.raises((dns.tsig.PeerBadKey, dns.xfr.TransferError)):
        transfer(ZONE, name="nobody")
    with pytest.raises(dns.xfr.TransferError, match="NOTAUTH"):
        transfer("host.svc.test")
    with pytest.raises(dns.xfr.TransferError, match="NOTAUTH"):
        transfer("example.org")


# --- transfers that are cut --------------------------------------------------------------------------------------------------------

def begin_transfer(zone):
    """A connection that asked for a zone, with as little room for the answer as there can be."""
    stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    stream.bind((PEER, 0))
    stream.settimeout(30)
    stream.connect((CA_ADDRESS, 53))
    stream.sendall(request_wire(zone))
    return stream


def test_a_large_zone_comes_whole(ours):  # pylint: disable=unused-argument
    zone = transfer(LARGE, signed=False)
    assert len(zone.nodes) >= LARGE_N


def test_peers_that_close_in_the_middle_harm_nobody(ours):
    for octets in (0, 1, 2, 14, 2000, 100_000):
        with begin_transfer(LARGE) as stream:
            left = octets
            while left > 0:
                left -= len(stream.recv(min(left, 4096)))
    wait_for(lambda: len(logged(ours, "dns.transfer.cut", f"zone={LARGE}")) >= 3, "the log says that transfers were cut")
    assert len(transfer(LARGE, signed=False).nodes) >= LARGE_N


def test_peers_that_read_an_octet_a_second_harm_nobody(ours, tmp_path):
    """As many as there are threads for transfers: they are cut off, and meanwhile everything else is answered."""
    slow = [begin_transfer(LARGE) for _ in range(6)]
    try:
        for i in range(3):
            for stream in slow:
                stream.recv(1)
            nsupdate(tmp_path, f"update add while{i}.svc.test. 60 A 10.8.10.58")
            assert addresses(f"while{i}.svc.test") == ["10.8.10.58"]
            time.sleep(1)
        taken = wait_for(lambda: transfer_or_none(ZONE), "a transfer while others dawdle", 90)
        assert len(taken.nodes) > 10
        cut = wait_for(lambda: [line for line in logged(ours, "dns.transfer.cut", f"zone={LARGE}", f"peer={PEER}") if ms_of(line) > 1000],
                       "the slow ones are cut off", 90)
        assert "closed the connection" in cut[0]
    finally:
        for stream in slow:
            stream.close()


def ms_of(line):
    return int(re.search(r" ms=(\d+)", line).group(1))


def transfer_or_none(zone):
    try:
        return transfer(zone)
    except (dns.exception.DNSException, OSError, EOFError):
        return None
