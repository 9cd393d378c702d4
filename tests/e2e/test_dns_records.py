"""Records of our own: zone files, `bailiwick record` and `bailiwick zone`, what they refuse, reverse zones, wildcards, delegations, plain
zones, and serial numbers that move."""
import pathlib

import dns.flags
import dns.rcode
import dns.rdatatype
import dns.reversename
import pytest

from appliance import SECRET, client
from dns_servers import OTHER_DNS, Dnsmasq
from jws_client import Acme, httpreq
from namespace import CA_ADDRESS, INGRESS
from nsupdate import addresses
from tools import ask, run

ZONE = """$ORIGIN svc.test.
$TTL 300
host      A     10.8.10.7
host      AAAA  fd00:8::7
mail      MX    10 host
@         TXT   "v=spf1 -all"
*.wild    A     10.8.10.8
sub       NS    ns.sub
ns.sub    A     10.8.10.9
tree      DNAME branch
x.branch  A     10.8.10.10
alias     CNAME host
"""


def serial(zone="svc.test"):
    return ask(zone, "SOA").answer[0][0].serial


@pytest.fixture
def zone_path(tmp_path):
    path = tmp_path / "svc.test.zone"
    path.write_text(ZONE, encoding="ascii")
    return path


def with_file(make_appliance, path, **more):
    return make_appliance(zones=[{"name": "svc.test", "ingress": [INGRESS], "file": str(path)}], **more)


def test_a_zone_file_beside_everything_automatic(make_appliance, zone_path):
    with_file(make_appliance, zone_path).start()
    assert addresses("host.svc.test") == ["10.8.10.7"] and addresses("host.svc.test", "AAAA") == ["fd00:8::7"]
    assert addresses("other.svc.test") == [INGRESS], "no record of its own: the ingress"
    mail = ask("mail.svc.test", "A")
    assert mail.rcode() == dns.rcode.NOERROR and mail.answer == [], "a record of its own, of another type"
    assert addresses("svc.test") == [INGRESS] and ask("svc.test", "TXT").answer, "at the apex the ingress stays"
    assert addresses("a.wild.svc.test") == ["10.8.10.8"]
    assert addresses("wild.svc.test") == [INGRESS], "an empty non-terminal has no record of its own"
    assert addresses("alias.svc.test") == ["10.8.10.7"]
    assert addresses("x.tree.svc.test") == ["10.8.10.10"]
    referral = ask("deep.sub.svc.test", "A")
    assert not referral.flags & dns.flags.AA and referral.answer == []
    assert [rrset.rdtype for rrset in referral.authority] == [dns.rdatatype.NS]
    assert [rrset.name.to_text() for rrset in referral.additional] == ["ns.sub.svc.test."]
    assert ask("_acme-challenge.host.svc.test", "TXT").answer[0].rdtype == dns.rdatatype.CNAME
    below = ask("_acme-challenge.deep.sub.svc.test", "TXT")
    assert below.answer == [] and not below.flags & dns.flags.AA, "nothing is made up below a delegation"


@pytest.mark.parametrize("line, words", [
    ("bad A 10.0.0.999", ["10.0.0.999"]), ("host BOGUS 1", ["BOGUS"]), ("x.example.org. A 10.0.0.1", ["svc.test"]),
    ("_acme-challenge.host CNAME a.b.", ["_acme-challenge"]), ("host CNAME alias", ["CNAME"]), ("$INCLUDE other.zone", ["$INCLUDE"]),
    ("host A", []), ("open TXT \"never closed", []), ("paren MX ( 10 host", []), ("host CH A 10.0.0.1", ["IN"])])
def test_a_broken_file_names_file_and_line_and_stops_the_start(make_appliance, zone_path, line, words):
    zone_path.write_text(ZONE + line + "\n", encoding="ascii")
    one = with_file(make_appliance, zone_path)
    with pytest.raises(AssertionError) as failed:
        one.start()
    one.discard()
    text = str(failed.value)
    lines = (ZONE.count("\n") + 1, 3) if line == "host CNAME alias" else (ZONE.count("\n") + 1,)  # either side of the conflict
    assert any(f"{zone_path}:{number}: " in text for number in lines) and "\\x0a" not in text, text
    assert all(word in text for word in words), text
    checked = run(*one.command("zone", "check", str(zone_path), "svc.test"), expect=None)
    assert checked.returncode == 1 and any(f":{number}:" in checked.text for number in lines), checked.text


def test_a_reload_takes_the_new_file_or_keeps_the_old_zone(make_appliance, zone_path):
    one = with_file(make_appliance, zone_path).start()
    before = serial()
    zone_path.write_text(ZONE + "broken A nothing\n", encoding="ascii")
    one.cli("zone", "reload", expect=1)
    assert addresses("host.svc.test") == ["10.8.10.7"] and serial() == before
    zone_path.write_text(ZONE.replace("10.8.10.7", "10.8.10.70") + "new A 10.8.10.71\n", encoding="ascii")
    one.reload()
    assert addresses("host.svc.test") == ["10.8.10.70"] and addresses("new.svc.test") == ["10.8.10.71"] and serial() > before


def test_a_missing_file_is_said_with_its_path(make_appliance, tmp_path):
    one = with_file(make_appliance, tmp_path / "nowhere.zone")
    with pytest.raises(AssertionError, match="nowhere.zone"):
        one.start()
    one.discard()


def test_file_records_are_read_only(make_appliance, zone_path):
    one = with_file(make_appliance, zone_path).start()
    done = one.cli("record", "remove", "host.svc.test", "A", expect=None)
    assert done.returncode != 0 and "file" in done.stderr, done.stderr
    assert addresses("host.svc.test") == ["10.8.10.7"]


def test_reverse_zones_follow_the_addresses(make_appliance, zone_path):
    one = make_appliance(zones=[{"name": "svc.test", "ingress": [INGRESS], "file": str(zone_path)}, {"name": "10.8.10.in-addr.arpa", "plain": True},
                                {"name": "8.0.0.0.0.0.d.f.ip6.arpa", "plain": True}]).start()
    def names(address):
        return sorted(rdata.target.to_text() for rrset in ask(dns.reversename.from_address(address), "PTR").answer for rdata in rrset)
    assert names("10.8.10.7") == ["host.svc.test."] and names("fd00:8::7") == ["host.svc.test."]
    before = serial("10.8.10.in-addr.arpa")
    one.cli("record", "add", "second.svc.test", "A", "10.8.10.7")
    assert names("10.8.10.7") == ["host.svc.test.", "second.svc.test."] and serial("10.8.10.in-addr.arpa") > before
    one.cli("record", "remove", "second.svc.test", "A")
    assert names("10.8.10.7") == ["host.svc.test."]
    assert ask(dns.reversename.from_address("10.8.10.77"), "PTR").rcode() == dns.rcode.NXDOMAIN


def test_a_plain_zone_makes_nothing_up(make_appliance):
    one = make_appliance(zones=[{"name": "svc.test", "ingress": [INGRESS]}, {"name": "plain.test", "plain": True}],
                         clients=[client("lego", SECRET, "*.plain.test", "*.svc.test")]).start()
    assert ask("www.plain.test", "A").rcode() == dns.rcode.NXDOMAIN
    assert ask("_acme-challenge.www.plain.test", "TXT").rcode() == dns.rcode.NXDOMAIN
    one.cli("record", "add", "_acme-challenge.www.plain.test", "CNAME", "www.plain.test.acme.svc.test.")
    acme = Acme(one).register()
    _, order = acme.order("www.plain.test")
    acme.prove_slowly(order)
    assert acme.finalize(order).json()["status"] == "valid", "the CNAME that somebody stored is followed"


def test_records_survive_kill_and_come_back(make_appliance):
    one = make_appliance().start()
    for number in range(20):
        one.cli("record", "add", f"kept{number}.svc.test", "A", f"10.8.10.{number + 100}")
    one.kill9()
    one.start()
    assert [addresses(f"kept{number}.svc.test") for number in range(20)] == [[f"10.8.10.{number + 100}"] for number in range(20)]


def test_the_zones_own_ns_and_soa_may_be_given(make_appliance, tmp_path):
    path = pathlib.Path(tmp_path) / "svc.test.zone"
    path.write_text("$ORIGIN svc.test.\n$TTL 300\n@ SOA ns1.example.org. admin.svc.test. 7 3600 600 86400 60\n@ NS ns1.example.org.\n@ NS ns2.example.org.\n",
                    encoding="ascii")
    with_file(make_appliance, path).start()
    soa = ask("svc.test", "SOA").answer[0][0]
    assert soa.mname.to_text() == "ns1.example.org." and soa.serial != 7 and soa.minimum == 60
    assert sorted(rdata.target.to_text() for rdata in ask("svc.test", "NS").answer[0]) == ["ns1.example.org.", "ns2.example.org."]


def test_names_below_a_delegation_are_validated_where_they_are_served(make_appliance, zone_path, tmp_path):
    """sub.svc.test is somebody else's: the CNAME in its own server counts, found through `resolvers`."""
    one = with_file(make_appliance, zone_path, resolvers=[f"{OTHER_DNS}:53"], clients=[client("lego", SECRET, "*.svc.test")],
                    listen={"https": ["0.0.0.0:443"], "http": ["0.0.0.0:80"], "dns": ["127.0.0.1:53", f"{CA_ADDRESS}:53"]}).start()
    lines = ["local=/sub.svc.test/", "cname=_acme-challenge.host.sub.svc.test,host.sub.svc.test.acme.svc.test", f"server=/svc.test/{CA_ADDRESS}",
             "max-cache-ttl=1"]
    with Dnsmasq(tmp_path / "dnsmasq", *lines):
        acme = Acme(one).register()
        _, order = acme.order("host.sub.svc.test")
        (url,) = order["authorizations"]
        _, found = acme.challenge_of(url)
        refused = httpreq(one, "present", "_acme-challenge.host.sub.svc.test.", acme.digest(found))
        assert refused.status_code == 400 and "which NS records delegate to another server: publish the value there" in refused.text
        assert httpreq(one, "present", "host.sub.svc.test.acme.svc.test.", acme.digest(found)).status_code == 200
        assert acme.post(found["url"], {}).status_code == 200
        assert acme.wait(found["url"], ("valid", "invalid"))["status"] == "valid"
        assert acme.finalize(order).json()["status"] == "valid"


def test_names_from_before_transfers_were_switched_on_are_written_out(make_appliance):
    one = make_appliance().start()
    Acme(one).register().order("early.svc.test", "*.wild.svc.test")
    one.cli("client", "add", "stored", "--name", "stored.svc.test")
    one.stop()
    one.config["zones"] = [{"name": "svc.test", "ingress": [INGRESS], "transfer": {"allow": ["10.0.0.0/8"]}}]
    one.start()
    one.cli("client", "add", "later", "--name", "later.svc.test")
    text = one.cli("zone", "export", "svc.test", "--written-out").stdout
    for name in ("early", "wild", "stored", "later", "other"):
        assert f"_acme-challenge.{name}.svc.test." in text, name
