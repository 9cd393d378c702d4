"""Dynamic updates by real programs: nsupdate, certbot-dns-rfc2136, lego's rfc2136, acme.sh's nsupdate script (client-contract §2.10, rows
5, 6 and 8), and what is refused."""
import time

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from appliance import OTHER_SECRET, SECRET
from jws_client import Acme
from namespace import CA_ADDRESS, INGRESS
from nsupdate import (ALGORITHMS, SECOND, VALUE, addresses, certbot, challenge, exchange, header_rcode, key_file, keyring, nsupdate, rcode_of,
                      send, tsig_of, update_message)
from tools import ask, assert_certificate, client_environment, run, txt_values

# --- nsupdate ----------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("zone", [["zone svc.test"], []], ids=["zone", "no-zone"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_txt_at_the_challenge_name_lands_at_the_delegate_name(app, tmp_path, algorithm, zone, transport):
    name = f"{algorithm}-{len(zone)}-{transport}.svc.test"
    options = ["-v"] if transport == "tcp" else []
    nsupdate(tmp_path, *zone, f"update add {challenge(name)}. 60 in txt \"{VALUE}\"", algorithm=algorithm, options=options)
    assert txt_values(f"{name}.acme.svc.test") == txt_values(challenge(name)) == [VALUE]
    assert addresses(name) == [INGRESS], "the ingress answer survives"
    nsupdate(tmp_path, *zone, f"update delete {challenge(name)}. txt", algorithm=algorithm, options=options)
    assert txt_values(challenge(name)) == []


def test_the_delegate_zones_serial_moves(app, tmp_path):
    before = ask("acme.svc.test", "SOA").answer[0][0].serial
    nsupdate(tmp_path, f"update add {challenge('serial.svc.test')}. 60 in txt {VALUE}")
    assert ask("acme.svc.test", "SOA").answer[0][0].serial > before


def test_the_delegate_name_itself_in_the_delegate_zone(app, tmp_path):
    nsupdate(tmp_path, "zone acme.svc.test", f"update add direct.svc.test.acme.svc.test. 60 in txt {VALUE}")
    nsupdate(tmp_path, f"update add direct.svc.test.acme.svc.test. 60 in txt {SECOND}")
    assert txt_values(challenge("direct.svc.test")) == [VALUE, SECOND]


def test_ordinary_records_of_every_kind(app, tmp_path):
    lines = ["host 300 A 10.8.10.7", "host 300 A 10.8.10.8", "host 300 AAAA fd00:8::7", "alias 60 CNAME host.svc.test.", "text 60 TXT \"plain text\" \"two\"",
             "_sip._tcp 60 SRV 1 2 5060 host.svc.test.", "mailed 60 MX 10 host.svc.test.", "caaed 60 CAA 0 issue \"svc.test\"", "web 60 HTTPS 1 . alpn=h2",
             "host 60 SSHFP 4 2 " + 64 * "a", "_443._tcp.host 60 TLSA 3 1 1 " + 64 * "b", "odd 60 TYPE65400 \\# 2 0102"]
    nsupdate(tmp_path, "zone svc.test", *(f"update add {owner}.svc.test. {rest}" for owner, rest in (line.split(" ", 1) for line in lines)))
    assert addresses("host.svc.test") == ["10.8.10.7", "10.8.10.8"] and addresses("host.svc.test", "AAAA") == ["fd00:8::7"]
    assert [rrset.rdtype for rrset in ask("alias.svc.test", "A").answer] == [dns.rdatatype.CNAME, dns.rdatatype.A]
    for owner, kind in (("text", "TXT"), ("_sip._tcp", "SRV"), ("mailed", "MX"), ("caaed", "CAA"), ("web", "HTTPS"), ("host", "SSHFP"),
                        ("_443._tcp.host", "TLSA"), ("odd", "TYPE65400")):
        assert ask(f"{owner}.svc.test", kind).answer, (owner, kind)
    nsupdate(tmp_path, "update delete host.svc.test. A 10.8.10.7", "update delete alias.svc.test.", "update delete text.svc.test. TXT")
    assert addresses("host.svc.test") == ["10.8.10.8"]
    assert addresses("alias.svc.test") == [INGRESS] and ask("text.svc.test", "TXT").answer == []


def test_prerequisites_and_all_or_nothing(app, tmp_path):
    nsupdate(tmp_path, "prereq nxdomain once.svc.test.", "update add once.svc.test. 60 A 10.8.10.1")
    done = nsupdate(tmp_path, "prereq nxdomain once.svc.test.", "update add once.svc.test. 60 A 10.8.10.2", expect=2)
    assert "YXDOMAIN" in done.text and addresses("once.svc.test") == ["10.8.10.1"]
    nsupdate(tmp_path, "prereq yxrrset once.svc.test. A 10.8.10.1", "update add once.svc.test. 60 A 10.8.10.3")
    assert "NXRRSET" in nsupdate(tmp_path, "prereq yxrrset once.svc.test. A 10.8.10.1", "update add once.svc.test. 60 A 10.8.10.4", expect=2).text
    assert "REFUSED" in nsupdate(tmp_path, "zone svc.test", "update add half.svc.test. 60 A 10.8.10.5",
                                 f"update add {challenge('half.svc.test')}. 60 A 10.8.10.5", expect=2).text
    assert addresses("half.svc.test") == [INGRESS], "nothing of a refused message was done"


def test_challenge_names_look_like_their_target_in_prerequisites(app, tmp_path):
    name = challenge("pre.svc.test")
    nsupdate(tmp_path, f"prereq nxrrset {name}. TXT", f"update add {name}. 60 TXT {VALUE}")
    nsupdate(tmp_path, f"prereq yxrrset {name}. TXT {VALUE}", f"update add {name}. 60 TXT {SECOND}")
    assert "YXRRSET" in nsupdate(tmp_path, f"prereq nxrrset {name}. TXT", f"update add {name}. 60 TXT {VALUE}", expect=2).text
    assert "NXRRSET" in nsupdate(tmp_path, f"prereq yxrrset {name}. CNAME", f"update add {name}. 60 TXT {VALUE}", expect=2).text
    assert txt_values(name) == [VALUE, SECOND]


@pytest.mark.parametrize("line", ["CNAME x.svc.test.", "A 10.0.0.1", "TXT short", "TXT \"" + 43 * "!" + "\"", f"TXT \"{VALUE}\" \"{VALUE}\""])
def test_only_challenge_values_at_challenge_names(app, tmp_path, line):
    done = nsupdate(tmp_path, f"update add {challenge('strict.svc.test')}. 60 {line}", expect=2)
    assert "REFUSED" in done.text and txt_values(challenge("strict.svc.test")) == []


# --- who may --------------------------------------------------------------------------------------------------------------------------

def test_wrong_keys_are_told_in_tsigs_own_words(app, tmp_path):
    line = f"update add {challenge('wrong.svc.test')}. 60 TXT {VALUE}"
    assert "BADKEY" in nsupdate(tmp_path, line, name="nobody", expect=2).text
    assert "BADSIG" in nsupdate(tmp_path, line, secret=OTHER_SECRET, expect=2).text
    assert "REFUSED" in nsupdate(tmp_path, line, key=False, expect=2).text
    assert txt_values(challenge("wrong.svc.test")) == []
    assert "nobody" in app.log()


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("skew", [-3600, 3600])
def test_a_wrong_clock_is_badtime_signed_and_said_in_the_log(app, monkeypatch, skew, tcp):
    message = update_message()
    message.add(challenge("clock.svc.test") + ".", 60, "TXT", VALUE)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + skew)
    wire = message.to_wire()
    monkeypatch.undo()
    reply = exchange(wire, tcp)
    assert header_rcode(reply) == dns.rcode.NOTAUTH
    assert tsig_of(reply) == ("lego", 18, 6), "BADTIME, and the server's time as other data"
    assert "clock" in app.log().lower()


def test_a_client_updates_only_its_names(app, tmp_path):
    other = {"name": "other", "secret": OTHER_SECRET}
    nsupdate(tmp_path, "zone svc.test", "update add other.svc.test. 60 A 10.8.10.30", f"update add {challenge('other.svc.test')}. 60 TXT {VALUE}", **other)
    assert addresses("other.svc.test") == ["10.8.10.30"]
    for line in ("update add www.svc.test. 60 A 10.8.10.30", f"update add {challenge('www.svc.test')}. 60 TXT {VALUE}",
                 "update delete host.svc.test.", "update add svc.test. 60 MX 1 other.svc.test.", "update add *.svc.test. 60 A 10.8.10.30",
                 "update add x.other.svc.test. 60 A 10.8.10.30", "update add ca.svc.test. 60 A 10.8.10.30"):
        assert "REFUSED" in nsupdate(tmp_path, "zone svc.test", line, expect=2, **other).text, line
    assert addresses("www.svc.test") == [INGRESS]


def test_the_servers_own_name_cannot_be_taken(app, tmp_path):
    for line in ("update add ca.svc.test. 60 A 10.8.10.66", "update delete svc.test. SOA", "update add ca.svc.test. 60 CNAME x.svc.test."):
        nsupdate(tmp_path, "zone svc.test", line, expect=None)
    assert addresses("ca.svc.test") == [CA_ADDRESS] and ask("svc.test", "SOA").answer


def test_whole_set_deletes_take_only_the_same_keys_values(app, tmp_path):
    """Row 8: the cleanup of one client while another's order on the same name is pending."""
    name = challenge("other.svc.test")
    nsupdate(tmp_path, f"update add {name}. 60 TXT {VALUE}")
    nsupdate(tmp_path, f"update add {name}. 60 TXT {SECOND}", name="other", secret=OTHER_SECRET)
    nsupdate(tmp_path, f"update delete {name}. TXT", name="other", secret=OTHER_SECRET)
    assert txt_values(name) == [VALUE]


@pytest.mark.parametrize("zone, name, wanted", [
    ("svc.test", "x.example.org.", "NOTZONE"), ("example.org", "x.example.org.", "NOTAUTH"), ("sub.svc.test", "x.sub.svc.test.", "NOTAUTH"),
    ("acme.svc.test", "www.svc.test.", "NOTZONE")])
def test_zones_that_do_not_fit(app, zone, name, wanted):
    message = update_message(zone)
    message.origin = None
    section = message.sections[2]
    section.append(dns.rrset.from_text(name, 60, "IN", "A", "10.0.0.1"))
    assert rcode_of(message) == wanted


# --- ACME clients -----------------------------------------------------------------------------------------------------------------------

def test_certbot_with_sha512_and_signed_queries(app, tmp_path):
    certbot(app, tmp_path, ("signed.svc.test",), algorithm="HMAC-SHA512", sign_query="true")
    assert_certificate(app, tmp_path / "config/live/signed.svc.test/fullchain.pem", "signed.svc.test")


@pytest.mark.parametrize("algorithm", ["hmac-sha1", "hmac-sha256", "hmac-sha512"])
def test_debians_lego_apex_and_wildcard(app, tmp_path, algorithm):
    """Row 5: lego removes the set first and solves one name after the other; propagation checks on."""
    names = (f"{algorithm}.svc.test", f"*.{algorithm}.svc.test")
    env = client_environment(app, RFC2136_NAMESERVER=f"{CA_ADDRESS}:53", RFC2136_TSIG_KEY="lego", RFC2136_TSIG_SECRET=SECRET,
                             RFC2136_TSIG_ALGORITHM=f"{algorithm}.", RFC2136_POLLING_INTERVAL="1", RFC2136_SEQUENCE_INTERVAL="1")
    run("lego", "--accept-tos", "--email", "admin@svc.test", "--server", app.directory_url, "--path", tmp_path, "--dns", "rfc2136",
        *(part for name in names for part in ("--domains", name)), "run", env=env)
    assert_certificate(app, tmp_path / "certificates" / f"{names[0]}.crt", *names)


ACME_SH_ADD = 'server {server} 53\n{zone}update add {name}. 60 in txt "{value}"\nsend\n'
ACME_SH_REMOVE = "server {server} 53\n{zone}update delete {name}. txt\nsend\n"


@pytest.mark.parametrize("zone", ["", "zone svc.test.\n"], ids=["no-zone", "NSUPDATE_ZONE"])
def test_acme_shs_script_with_another_order_pending(app, tmp_path, zone):
    """Row 8: what dns_nsupdate feeds to nsupdate -k, for two values at one name, and its cleanup of the whole set."""
    key = key_file(tmp_path, algorithm="hmac-sha512")

    def feed(text, **words):
        script = tmp_path / "script"
        script.write_text(text.format(server=CA_ADDRESS, zone=zone, **words), encoding="ascii")
        run("nsupdate", "-k", key, script)

    name = challenge(f"acmesh{len(zone)}.svc.test")
    acme = Acme(app).register()
    _, order = acme.order(name.removeprefix("_acme-challenge."), "*." + name.removeprefix("_acme-challenge."))
    for url in order["authorizations"]:
        authorization, found = acme.challenge_of(url)
        feed(ACME_SH_ADD, name=name, value=acme.digest(found))
    for url in order["authorizations"]:
        authorization, found = acme.challenge_of(url)
        assert acme.post(found["url"], {}).json()["status"] == "valid", authorization
    feed(ACME_SH_REMOVE, name=name)
    assert acme.finalize(order).json()["status"] == "valid" and txt_values(name) == []


# --- messages no client sends ---------------------------------------------------------------------------------------------------------

def test_a_resent_update_is_the_same_update(app):
    message = update_message()
    message.add("twice.svc.test.", 60, "A", "10.8.10.40")
    wire = message.to_wire()
    for _ in range(3):
        assert header_rcode(exchange(wire, False)) == dns.rcode.NOERROR
    assert addresses("twice.svc.test") == ["10.8.10.40"]


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_what_was_removed_is_not_brought_back_by_an_old_message(app, tmp_path, tcp):
    """A listener sends what was signed a moment ago: it is answered as it was, signed, and nothing happens."""
    name, host = f"old-{tcp}.svc.test".lower(), f"old-host-{tcp}.svc.test".lower()
    message = update_message()
    message.add(f"{challenge(name)}.", 60, "TXT", VALUE)
    message.add(f"{host}.", 60, "A", "10.8.10.41")
    wire = message.to_wire()
    assert header_rcode(exchange(wire, tcp)) == dns.rcode.NOERROR
    assert txt_values(challenge(name)) == [VALUE] and addresses(host) == ["10.8.10.41"]
    nsupdate(tmp_path, f"update delete {challenge(name)}. txt", f"update delete {host}.")
    for again_by_tcp in (tcp, not tcp):
        answer = exchange(wire, again_by_tcp)
        assert header_rcode(answer) == dns.rcode.NOERROR
        assert dns.message.from_wire(answer, keyring=message.keyring, request_mac=message.mac).had_tsig  # checks the MAC
        assert txt_values(challenge(name)) == [] and addresses(host) == [INGRESS]


def test_answers_are_signed_with_the_requests_key(app):
    for algorithm in ALGORITHMS:
        reply = send(update_message(algorithm=algorithm))  # an update of nothing; dnspython checks the MAC
        assert reply.had_tsig and reply.rcode() == dns.rcode.NOERROR
    query = dns.message.make_query("svc.test", "SOA")
    query.use_tsig(keyring()["keyring"], "lego", algorithm="hmac-sha256")
    reply = send(query)
    assert reply.had_tsig and reply.answer
