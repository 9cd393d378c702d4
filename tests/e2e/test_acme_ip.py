"""IP identifiers end to end: http-01, tls-alpn-01, who may have which address. RFC 8738."""
import contextlib
import hashlib
import ipaddress
import json
import pathlib

import pytest
from cryptography import x509

from appliance import SECRET, client, running
from hostile import LISTEN, RESOLVER, ZONES, Case, Certificate, Dns, Outcome, Tcp, Webroot, all_at_once, many_addresses, tls, wait_for_end
from jws_client import Acme, assert_problem, make_csr, names_of, renewal_id, split_chain
from namespace import CA_ADDRESS
from tools import run

BOXES_SECRET = "e2eSecretOfTheClientWithBoxes0123456789abcde"
FLEET_SECRET = "e2eSecretOfTheFleetThatIsTrusted0123456789AB"
FOUR, SIX = "10.66.0.4", "fd00:66::6"
BOX = "10.66.2.9"
FLEET = "10.66.3.9"
PROTOCOL = "acme-tls/1"


@pytest.fixture(scope="module")
def app(resolv_conf, tmp_path_factory):
    many_addresses(SIX)
    clients = [client("lego", SECRET, "*.svc.test"), client("boxes", BOXES_SECRET, "*.svc.test", networks=["10.66.2.0/24"]),
               client("fleet", FLEET_SECRET, "*.svc.test", networks=["10.66.3.0/24"], preauthorized=True)]
    acme = {"authorization_reuse": 0, "ip_networks": ["10.66.0.0/24", "10.66.1.0/24", "fd00:66::/64", "127.0.0.0/8", "10.8.10.0/24"]}
    with running(tmp_path_factory.mktemp("appliance"), listen=LISTEN, zones=ZONES, resolvers=[f"{RESOLVER}:53"], clients=clients, acme=acme) as one:
        yield one


class World:
    """A web server and a TLS server at every address that the tests use."""

    def __init__(self, stack):
        self.webroot, self.contexts, self.names_seen = Webroot(), {}, []
        for address in (FOUR, SIX, BOX):
            stack.enter_context(Tcp(address, 80, self.webroot))
            stack.enter_context(Tcp(address, 443, tls(wait_for_end, self.chooser(address))))

    def chooser(self, address):
        return lambda: self.contexts[address]

    def present(self, address, certificate):
        context = certificate.context(PROTOCOL)
        context.sni_callback = lambda _connection, sni, _context: self.names_seen.append((address, sni))
        self.contexts[address] = context


@pytest.fixture(scope="module")
def world(app):
    with contextlib.ExitStack() as stack:
        stack.enter_context(Dns())
        yield World(stack)


def prove(acme, world, url, kind="http-01", certificate=None):
    authorization, challenge = acme.challenge_of(url, kind)
    address = authorization["identifier"]["value"]
    if kind == "http-01":
        world.webroot.put(acme, challenge)
    else:
        digest = hashlib.sha256(acme.key_authorization(challenge).encode()).digest()
        world.present(address, certificate(address, digest) if certificate else Certificate([address], digest))
    acme.post(challenge["url"], {})
    return acme.wait(challenge["url"], ("valid", "invalid"))


def assert_for_address(app, chain_text, address):
    leaf = split_chain(chain_text)[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert list(names.value) == [x509.IPAddress(ipaddress.ip_address(address))] and not list(leaf.subject)
    chain = pathlib.Path(app.directory) / "chain.pem"
    chain.write_text(chain_text, encoding="ascii")
    done = run("openssl", "verify", "-x509_strict", "-verify_ip", address, "-CAfile", app.root_pem, "-untrusted", chain, chain)
    assert done.text.strip().endswith("OK"), done.text


@pytest.mark.parametrize("kind", ["http-01", "tls-alpn-01"])
@pytest.mark.parametrize("address", [FOUR, SIX])
def test_a_certificate_for_an_address(app, world, address, kind):
    acme = Acme(app).register()
    url, order = acme.order(address)
    assert order["identifiers"] == [{"type": "ip", "value": address}]
    authorization = acme.post(order["authorizations"][0]).json()
    assert authorization["identifier"] == {"type": "ip", "value": address}
    assert {one["type"] for one in authorization["challenges"]} == {"http-01", "tls-alpn-01"}, "DNS proves no address"
    assert prove(acme, world, order["authorizations"][0], kind)["status"] == "valid"
    done = acme.finalize(order)
    assert done.json()["status"] == "valid", done.text
    chain = acme.post(done.json()["certificate"])
    assert_for_address(app, chain.text, address)
    leaf = split_chain(chain.text)[0]
    assert acme.session.get(f"{acme.urls['renewalInfo']}/{renewal_id(leaf)}", timeout=30).status_code == 200
    _, again = acme.order(address, replaces=renewal_id(leaf))
    assert again["replaces"] == renewal_id(leaf)
    assert acme.revoke(leaf).status_code == 200
    shown = json.loads(app.cli("order", "show", url.rpartition("/")[2], "--json").stdout)
    assert any(f"{kind} of {address}: valid" in row["text"] for row in shown["timeline"]), shown


def test_what_the_targets_saw(app, world):
    """The address as Host, its reverse name as SNI (RFC 8738 §4, §6)."""
    acme = Acme(app).register()
    for address in (FOUR, SIX):
        for kind in ("http-01", "tls-alpn-01"):
            _, order = acme.order(address)
            assert prove(acme, world, order["authorizations"][0], kind)["status"] == "valid"
    hosts = {line for _, head in world.webroot.seen for line in head.split("\r\n") if line.startswith("Host:")}
    assert {f"Host: {FOUR}", f"Host: [{SIX}]"} <= hosts
    assert set(world.names_seen) >= {(FOUR, "4.0.66.10.in-addr.arpa"), (SIX, "6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.6.0.0.0.0.d.f.ip6.arpa")}


BAD_CERTIFICATES = {
    "text as name": lambda address, digest: Certificate([address + ".test"], digest),
    "reverse name": lambda address, digest: Certificate(["4.0.66.10.in-addr.arpa"], digest),
    "another address": lambda address, digest: Certificate(["10.66.0.5"], digest),
    "address and name": lambda address, digest: Certificate([address, "svc.test"], digest),
    "mapped": lambda address, digest: Certificate([f"::ffff:{address}"], digest),
}


@pytest.mark.parametrize("make", BAD_CERTIFICATES.values(), ids=BAD_CERTIFICATES.keys())
def test_a_certificate_that_is_not_for_the_address(app, world, make):
    acme = Acme(app).register()
    _, order = acme.order(FOUR)
    found = prove(acme, world, order["authorizations"][0], "tls-alpn-01", make)
    assert found["status"] == "invalid" and found["error"]["type"].endswith(":incorrectResponse"), found


def test_names_and_addresses_in_one_certificate(app, world):
    acme = Acme(app).register()
    _, order = acme.order("mixed.svc.test", "*.mixed.svc.test", FOUR, SIX)
    for url in order["authorizations"]:
        if acme.post(url).json()["identifier"]["type"] == "ip":
            assert prove(acme, world, url)["status"] == "valid"
        else:
            authorization, challenge = acme.challenge_of(url)
            acme.publish(authorization, challenge)
            assert acme.post(challenge["url"], {}).json()["status"] == "valid"
    done = acme.finalize(order)
    assert done.json()["status"] == "valid", done.text
    leaf = split_chain(acme.post(done.json()["certificate"]).text)[0]
    assert names_of(leaf) == sorted(["mixed.svc.test", "*.mixed.svc.test", FOUR, SIX])


def test_pre_authorization_of_an_address(app, world):
    acme = Acme(app).register()
    reply = acme.post(acme.urls["newAuthz"], {"identifier": {"type": "ip", "value": FOUR}})
    assert reply.status_code == 201 and reply.json()["identifier"] == {"type": "ip", "value": FOUR}
    assert prove(acme, world, reply.headers["Location"])["status"] == "valid"
    assert acme.post(reply.headers["Location"]).json()["status"] == "valid"


# --- forms ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", "10.66.0", "10.66.0.256", "010.66.0.4", "10.66.0.4 ", " 10.66.0.4", "10.66.0.4/32", "10.66.0.4:80", "[fd00:66::6]", "fd00:66::6%lo",
                                   "fd00:66:::6", "1e1.66.0.4", "0x0a.66.0.4", "174194692", "10.66.0.4.", "*.10.66.0.4", "svc.test", "4.0.66.10.in-addr.arpa",
                                   "fd00:66::g", "10.66.0.4\0", "0.0.0.0", "::", "::ffff:10.66.0.4", 10, None, ["10.66.0.4"]], ids=repr)
def test_a_value_that_is_no_address(app, value):
    acme = Acme(app).register()
    reply = acme.post(acme.urls["newOrder"], {"identifiers": [{"type": "ip", "value": value}]})
    assert_problem(reply, 400, "malformed")


@pytest.mark.parametrize("value, shown", [("FD00:66::6", SIX), ("fd00:66:0:0:0:0:0:6", SIX), ("fd00:66::0:6", SIX), ("fd00:0066::0006", SIX)])
def test_an_address_has_one_form(app, value, shown):
    """RFC 8738 §3 wants RFC 5952's form: another one is refused, or becomes it."""
    acme = Acme(app).register()
    reply = acme.post(acme.urls["newOrder"], {"identifiers": [{"type": "ip", "value": value}]})
    if reply.status_code == 201:
        assert reply.json()["identifiers"] == [{"type": "ip", "value": shown}]
    else:
        assert_problem(reply, 400, "malformed")


def test_types_are_not_guessed(app):
    acme = Acme(app).register()
    assert_problem(acme.post(acme.urls["newOrder"], {"identifiers": [{"type": "dns", "value": FOUR}]}), 400, "malformed")
    reply = acme.post(acme.urls["newOrder"], {"identifiers": [{"type": "ip", "value": FOUR}, {"type": "ip", "value": FOUR}]})
    assert reply.status_code == 201 and len(reply.json()["identifiers"]) == 1


# --- who may have which -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["10.65.255.255", "10.66.4.1", "192.0.2.1", "8.8.8.8", "fd00:67::1", "2001:db8::1", "::1", "255.255.255.255"])
def test_an_address_outside_the_networks(app, address):
    acme = Acme(app).register()
    assert_problem(acme.new_order(address), 400, "rejectedIdentifier", "acme.ip_networks")


def test_a_clients_networks_are_its_addresses(app, world):
    stranger = Acme(app).register()
    assert_problem(stranger.new_order(BOX), 400, "rejectedIdentifier")
    lego = Acme(app).bind("lego", SECRET)
    assert_problem(lego.new_order(BOX), 400, "rejectedIdentifier"), "a client without networks comes from anywhere and has no addresses"
    boxes = Acme(app, source=BOX).bind("boxes", BOXES_SECRET)
    _, order = boxes.order(BOX)
    assert order["status"] == "pending"
    assert prove(boxes, world, order["authorizations"][0])["status"] == "valid"
    done = boxes.finalize(order)
    assert done.json()["status"] == "valid", done.text
    assert_for_address(app, boxes.post(done.json()["certificate"]).text, BOX)
    assert_problem(boxes.new_order("10.66.4.1"), 400, "rejectedIdentifier")
    assert boxes.new_order(FOUR).status_code == 201, "the configuration's networks are everybody's"


def test_an_address_is_never_preauthorized(app):
    """A client's networks say where it may come from: its neighbours' addresses are not its own, nor is its own without proof."""
    fleet = Acme(app, source=FLEET).bind("fleet", FLEET_SECRET)
    assert fleet.order("www.svc.test")[1]["status"] == "ready"
    for address in (FLEET, "10.66.3.10", FOUR):
        assert fleet.order(address)[1]["status"] == "pending"
    assert fleet.order("www.svc.test", FLEET)[1]["status"] == "pending"


def test_addresses_that_are_ordered_but_never_asked(app, world):
    """Loopback and our own listeners are no targets, whoever may order them."""
    cases = {"127.0.0.1": Case("connection", "loopback"), "127.99.0.1": Case("connection", "loopback"), CA_ADDRESS: Case("connection", "listens there itself")}

    def attempt(address, kind):
        return lambda: Outcome(app, address, kind, lambda acme, challenge, _: world.webroot.put(acme, challenge))

    found = all_at_once({(address, kind): attempt(address, kind) for address in cases for kind in ("http-01", "tls-alpn-01")})
    for (address, _), outcome in found.items():
        outcome.assert_invalid(cases[address])


# --- CSRs -------------------------------------------------------------------------------------------------------------------


def test_a_csr_for_an_address(app, world):
    acme = Acme(app).register()
    url, order = acme.order(FOUR)
    assert prove(acme, world, order["authorizations"][0])["status"] == "valid"
    as_name = x509.SubjectAlternativeName([x509.DNSName(FOUR)])
    mapped = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(f"::ffff:{FOUR}"))])
    for csr in (make_csr([], extensions=[(as_name, False)]), make_csr([], extensions=[(mapped, False)]), make_csr(["10.66.0.5"]), make_csr([FOUR, "svc.test"]),
                make_csr([FOUR, SIX]), make_csr([FOUR], common_name="10.66.0.5"), make_csr([])):
        assert_problem(acme.finalize(order, csr=csr), 400, "badCSR")
    assert acme.post(url).json()["status"] == "ready"
    done = acme.finalize(order, csr=make_csr([FOUR], common_name=FOUR))
    assert done.json()["status"] == "valid", done.text
    assert_for_address(app, acme.post(done.json()["certificate"]).text, FOUR)
