"""`serve: false`: another server (dnsmasq, on an address of its own) answers the zone and holds one CNAME per name; the validator asks it
and ends in our delegate zone. And `zones: ["."]`."""
import pathlib
import subprocess
import time

import dns.exception
import pytest

from appliance import SECRET, client, environment
from jws_client import Acme, assert_sentence
from namespace import CA_ADDRESS, INGRESS
from tools import ask, assert_certificate, httpreq_environment, lego, txt_values

OTHER_DNS = "10.99.0.7"


class Dnsmasq:
    """The network's own DNS server: answers corp.test by itself and asks the appliance for the delegate zone."""

    def __init__(self, directory, *lines):
        self.config = pathlib.Path(directory) / "dnsmasq.conf"
        self.lines = [f"listen-address={OTHER_DNS}", "bind-interfaces", "no-resolv", "no-hosts", "no-daemon", "user=root", "pid-file",
                      "local=/corp.test/", "auth-ttl=5", "max-cache-ttl=1", f"server=/acme.ca.test/{CA_ADDRESS}",
                      f"server=/ca.test/{CA_ADDRESS}", *lines]
        self.process = None

    def __enter__(self):
        self.config.write_text("\n".join(self.lines) + "\n", encoding="ascii")
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(["dnsmasq", f"--conf-file={self.config}"], env=environment(), stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            assert self.process.poll() is None, "dnsmasq ended"
            try:
                ask("corp.test", "SOA", OTHER_DNS)
                return self
            except (OSError, dns.exception.DNSException):
                assert time.monotonic() < deadline, "dnsmasq does not answer"
                time.sleep(0.05)

    def __exit__(self, *unused):
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture
def app(make_appliance):
    return make_appliance(hostname="ca.ca.test", public_url="https://ca.ca.test", delegate_zone="acme.ca.test",
                          zones=[{"name": "ca.test", "ingress": [INGRESS]}, {"name": "corp.test", "serve": False}],
                          clients=[client("lego", SECRET, "*.corp.test", "corp.test", "*.ca.test")],
                          listen={"https": ["0.0.0.0:443"], "http": ["0.0.0.0:80"], "dns": ["127.0.0.1:53", f"{CA_ADDRESS}:53"]},
                          resolvers=[f"{CA_ADDRESS}:53", f"{OTHER_DNS}:53"])


def printed_cname(app, name):
    """`_acme-challenge.NAME. CNAME TARGET.` as `client cname` prints it."""
    for line in app.cli("client", "cname", name).stdout.splitlines():
        words = line.split()
        if len(words) >= 3 and words[0] == f"_acme-challenge.{name}." and "CNAME" in words:
            return words[0].rstrip("."), words[-1].rstrip(".")
    raise AssertionError(f"no CNAME line for {name}")


def test_validation_goes_through_the_zones_own_server(app, tmp_path):
    app.start()
    owner, target = printed_cname(app, "www.corp.test")
    assert target == "www.corp.test.acme.ca.test"
    with Dnsmasq(tmp_path, f"cname={owner},{target}"):
        acme = Acme(app).register()
        _, order = acme.order("www.corp.test", "*.www.corp.test")
        acme.prove_slowly(order)
        assert acme.finalize(order).json()["status"] == "valid"


def test_a_missing_cname_is_told_with_what_to_do(app, tmp_path):
    app.start()
    with Dnsmasq(tmp_path):
        acme = Acme(app).register()
        _, order = acme.order("nocname.corp.test")
        acme.prove_slowly(order, expect="invalid")
        _, challenge = acme.challenge_of(order["authorizations"][0])
        detail = challenge["error"]["detail"]
        assert_sentence(detail)
        assert "_acme-challenge.nocname.corp.test" in detail and "client cname" in detail, detail


def test_cname_chains_and_loops(app, tmp_path):
    app.start()
    chain = ["cname=_acme-challenge.chain.corp.test,h1.corp.test", *(f"cname=h{n}.corp.test,h{n + 1}.corp.test" for n in range(1, 9)),
             "cname=h9.corp.test,chain.corp.test.acme.ca.test"]
    loop = ["cname=_acme-challenge.loop.corp.test,l1.corp.test", "cname=l1.corp.test,l2.corp.test", "cname=l2.corp.test,l1.corp.test"]
    with Dnsmasq(tmp_path, *chain):
        acme = Acme(app).register()
        _, order = acme.order("chain.corp.test")
        acme.prove_slowly(order)
    with Dnsmasq(tmp_path, *loop[:2]):
        _, order = acme.order("loop.corp.test")
        acme.prove_slowly(order, expect="invalid")


def test_resolvers_that_do_not_answer(app):
    app.start()
    acme = Acme(app).register()
    _, order = acme.order("silent.corp.test")
    acme.prove_slowly(order, expect="invalid", bound_s=60)
    _, challenge = acme.challenge_of(order["authorizations"][0])
    assert OTHER_DNS in challenge["error"]["detail"], challenge["error"]


def test_a_zone_that_is_not_served_is_not_answered(app):
    app.start()
    assert ask("www.corp.test", "A").rcode() == 5  # REFUSED
    assert ask("www.corp.test.acme.ca.test", "TXT").rcode() == 0


@pytest.fixture
def everywhere(make_appliance):
    return make_appliance(hostname="ca.home.arpa", public_url="https://ca.home.arpa", zones=[{"name": ".", "ingress": [INGRESS]}],
                          delegate_zone="acme.home.arpa", clients=[client("lego", SECRET, "*.dev", "*.lan.test", "lan.test")])


def test_the_root_zone_answers_and_issues_for_every_name(everywhere, tmp_path):
    everywhere.start()
    for name in ("www.svc.dev", "a.b.lan.test"):
        answer = ask(f"_acme-challenge.{name}", "TXT")
        assert answer.answer[0][0].target.to_text() == f"{name}.acme.home.arpa."
    for label in ("dev", "test", "arpa"):
        assert ask(label, "SOA").answer[0].name.to_text() == f"{label}."
        assert ask(label, "NS").answer
    assert [rdata.address for rdata in ask("ca.home.arpa", "A").answer[0]] == [CA_ADDRESS]
    lego(everywhere, tmp_path, ("lan.test", "*.lan.test"), env=httpreq_environment(everywhere))
    assert_certificate(everywhere, tmp_path / "certificates" / "lan.test.crt", "lan.test", "*.lan.test")
    acme = Acme(everywhere).register()
    acme.issue("www.svc.dev", "*.svc.dev")
    _, order = acme.order("not.the.clients.org")
    authorization, challenge = acme.challenge_of(order["authorizations"][0])
    assert acme.publish(authorization, challenge).status_code == 403
    assert txt_values("_acme-challenge.not.the.clients.org") == []
