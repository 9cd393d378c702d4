"""Debian's uacme against ours and against Pebble: http-01 and tls-alpn-01 with its own hooks, an address, renewal, revocation, key change, account.

uacme has no option for a private root: it is in the system's store, as on any Debian machine of the network.
"""
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from appliance import environment
from clients_topology import (WITH_ADDRESSES, WITH_EAB, check_chain, machine, server,  # noqa: F401 # pylint: disable=unused-import
                              trusting_machine)
from namespace import INGRESS

HTTP_HOOK = "/usr/share/uacme/uacme.sh"
ALPN_HOOK = "/usr/share/uacme/ualpn.sh"
NOT_DUE = 1


class Uacme:
    def __init__(self, machine, server, directory):  # noqa: F811 # pylint: disable=redefined-outer-name
        self.machine, self.server, self.directory = machine, server, directory
        self.challenges = directory / "www" / ".well-known" / "acme-challenge"
        self.challenges.mkdir(parents=True)

    def run(self, *command, expect=0):
        return self.machine.run("uacme", "-v", "-a", self.server.directory_url, "-c", self.directory / "uacme", *command, expect=expect,
                                env=environment(UACME_CHALLENGE_PATH=str(self.challenges)))

    def new(self, *options, expect=0):
        return self.run("-y", *options, "new", "admin@svc.test", expect=expect)

    def leaf(self, *names):
        return check_chain(self.server, self.directory / "uacme" / names[0] / "cert.pem", *names)


@pytest.fixture
def uacme(trusting_machine, server, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    return Uacme(trusting_machine, server, tmp_path)


def test_http_then_renewal_and_revocation(uacme, server, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    names = ("http.svc.test", "www.http.svc.test")
    uacme.new()
    with uacme.machine.webroot(tmp_path / "www"):
        uacme.run("-h", HTTP_HOOK, "issue", *names)
        first = uacme.leaf(*names)
        uacme.run("-h", HTTP_HOOK, "issue", *names, expect=NOT_DUE)
        uacme.run("-h", HTTP_HOOK, "--force", "issue", *names)
    second = uacme.leaf(*names)
    assert second.serial_number != first.serial_number
    assert not list(uacme.challenges.iterdir())
    uacme.run("-r", "4", "revoke", tmp_path / "uacme" / names[0] / "cert.pem")
    assert server.is_revoked(second) == 4


def test_revoked_by_the_certificates_own_key(uacme, server, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    name = "own.svc.test"
    uacme.new("-t", "EC")
    with uacme.machine.webroot(tmp_path / "www"):
        uacme.run("-t", "EC", "-b", "384", "-h", HTTP_HOOK, "issue", name)
    leaf = uacme.leaf(name)
    assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)
    directory = tmp_path / "uacme"
    uacme.run("-r", "1", "revoke", directory / name / "cert.pem", directory / "private" / name / "key.pem")
    assert server.is_revoked(leaf) == 1


def test_tls_alpn_with_ualpn(uacme, tmp_path):
    name = "alpn.svc.test"
    uacme.new()
    with uacme.machine.spawn("ualpn", "-v", "-b", "0.0.0.0", "-c", "127.0.0.1@4443", "-p", tmp_path / "ualpn.pid", port=443):
        uacme.run("-t", "RSA", "-h", ALPN_HOOK, "issue", name)
    assert isinstance(uacme.leaf(name).public_key(), rsa.RSAPublicKey)


def test_the_account_changes_its_key_its_contact_and_ends(uacme, tmp_path):
    name = "after.svc.test"
    uacme.new()
    uacme.run("newkey")
    uacme.run("update", "other@svc.test")
    with uacme.machine.webroot(tmp_path / "www"):
        uacme.run("-h", HTTP_HOOK, "issue", name)
        uacme.leaf(name)
        uacme.run("deactivate")
        uacme.run("-h", HTTP_HOOK, "--force", "issue", name, expect=2)


@WITH_ADDRESSES
def test_an_address_by_http(uacme, tmp_path):
    uacme.new()
    with uacme.machine.webroot(tmp_path / "www"):
        uacme.run("-h", HTTP_HOOK, "issue", INGRESS)
    uacme.leaf(INGRESS)


@WITH_ADDRESSES
def test_an_address_and_a_name_by_tls_alpn(uacme, tmp_path):
    uacme.new()
    with uacme.machine.spawn("ualpn", "-v", "-b", "0.0.0.0", "-c", "127.0.0.1@4443", "-p", tmp_path / "ualpn.pid", port=443):
        uacme.run("-h", ALPN_HOOK, "issue", "both.svc.test", INGRESS)
    uacme.leaf("both.svc.test", INGRESS)


@WITH_EAB
def test_external_account(uacme, server, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    uacme.new(expect=2)
    uacme.new("-e", ":".join(server.eab))
    with uacme.machine.webroot(tmp_path / "www"):
        uacme.run("-h", HTTP_HOOK, "issue", "eab.svc.test")
    uacme.leaf("eab.svc.test")
