"""Debian's lego 4.9 against ours and against Pebble: http, tls, webroot, dns, renewal, revocation, external account, key types, CSR."""
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from appliance import SECRET, environment
from clients_topology import WITH_DNS, WITH_EAB, check_chain, machine, server  # noqa: F401 # pylint: disable=unused-import
from tools import run

KEY_TYPES = {"rsa2048": (rsa.RSAPublicKey, 2048), "ec384": (ec.EllipticCurvePublicKey, 384)}  # the other scenarios have ec256
LONG_AGO_DAYS = 3650  # more than any certificate has left


class Lego:
    """One data directory; the root is given in LEGO_CA_CERTIFICATES."""

    def __init__(self, machine, server, directory, program="lego"):  # noqa: F811 # pylint: disable=redefined-outer-name
        self.machine, self.server, self.directory, self.program = machine, server, directory, program

    def run(self, names, *options, env=None, expect=0):
        domains = [part for name in names for part in ("--domains", name)]
        return self.machine.run(self.program, "--accept-tos", "--email", "admin@svc.test", "--server", self.server.directory_url, "--path",
                                self.directory, *domains, *options, expect=expect,
                                env=environment(LEGO_CA_CERTIFICATES=self.server.root_pem, **(env or {})))

    def leaf(self, *names):
        path = self.directory / "certificates" / f"{names[0].replace('*', '_')}.crt"
        return check_chain(self.server, path, *names)


@pytest.fixture
def lego(machine, server, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    return Lego(machine, server, tmp_path / "lego")


def test_http_renewal_and_revocation(lego, server):  # noqa: F811 # pylint: disable=redefined-outer-name
    names = ("http.svc.test", "www.http.svc.test")
    lego.run(names, "--http", "run")
    first = lego.leaf(*names)
    assert "no renewal" in lego.run(names, "--http", "renew", "--no-random-sleep").text
    lego.run(names, "--http", "renew", "--days", LONG_AGO_DAYS, "--no-random-sleep", "--reuse-key")
    second = lego.leaf(*names)
    assert second.serial_number != first.serial_number
    assert second.public_key().public_numbers() == first.public_key().public_numbers()
    lego.run(names[:1], "revoke", "--reason", "5")
    assert server.is_revoked(second) == 5
    assert server.is_revoked(first) is None
    assert not (lego.directory / "certificates" / "http.svc.test.crt").exists()


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_tls_with_each_key_type(lego, kind):
    name = f"{kind}.svc.test"
    lego.run((name,), "--tls", "--key-type", kind, "run")
    public = lego.leaf(name).public_key()
    assert isinstance(public, KEY_TYPES[kind][0]) and public.key_size == KEY_TYPES[kind][1]


def test_webroot_with_a_csr_and_authorizations_given_back(lego, tmp_path):
    name = "csr.svc.test"
    run("openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "csr.key", "-subj", f"/CN={name}",
        "-addext", f"subjectAltName=DNS:{name}", "-out", tmp_path / "csr.pem")
    (tmp_path / "www").mkdir()
    with lego.machine.webroot(tmp_path / "www"):
        lego.run((), "--csr", tmp_path / "csr.pem", "--http", "--http.webroot", tmp_path / "www", "run",
                 "--always-deactivate-authorizations", "true")
    lego.leaf(name)


def test_nobody_answers(lego, tmp_path):
    (tmp_path / "www").mkdir()
    done = lego.run(("absent.svc.test",), "--http", "--http.webroot", tmp_path / "www", "run", expect=1)
    assert "absent.svc.test" in done.text and "urn:ietf:params:acme:error:" in done.text, done.text


@WITH_EAB
def test_external_account(lego, server):  # noqa: F811 # pylint: disable=redefined-outer-name
    name = "eab.svc.test"
    kid, key = server.eab
    assert "External Account Binding" in lego.run((name,), "--http", "run", expect=1).text
    wrong = lego.run((name,), "--eab", "--kid", kid, "--hmac", "w" * 44, "--http", "run", expect=1)
    assert "urn:ietf:params:acme:error:" in wrong.text, wrong.text
    lego.run((name,), "--eab", "--kid", kid, "--hmac", key, "--http", "run")
    lego.leaf(name)


@WITH_DNS
def test_dns_for_a_wildcard_with_all_its_checks(lego, server):  # noqa: F811 # pylint: disable=redefined-outer-name
    names = ("*.dns.svc.test", "dns.svc.test")
    lego.run(names, "--dns", "httpreq", "run", env={
        "SSL_CERT_FILE": server.door.root_pem, "HTTPREQ_ENDPOINT": f"{server.door.url}/httpreq", "HTTPREQ_USERNAME": "lego",
        "HTTPREQ_PASSWORD": SECRET, "HTTPREQ_POLLING_INTERVAL": "1", "HTTPREQ_PROPAGATION_TIMEOUT": "30"})
    lego.leaf(*names)
