"""Debian's certbot against ours and against Pebble: webroot, standalone, manual hooks, renew, revoke, unregister, external account."""
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from appliance import SECRET, environment
from clients_topology import WITH_DNS, WITH_EAB, check_chain, machine, server, write_script  # noqa: F401 # pylint: disable=unused-import

HTTP_HOOK = 'mkdir -p "{webroot}/.well-known/acme-challenge"\n' \
    'printf %s "$CERTBOT_VALIDATION" > "{webroot}/.well-known/acme-challenge/$CERTBOT_TOKEN"\n'
HTTP_CLEANUP = 'rm "{webroot}/.well-known/acme-challenge/$CERTBOT_TOKEN"\n'
DNS_HOOK = 'curl -sS --fail-with-body --cacert "{root}" --user "lego:{secret}" --json ' \
    '"{{\\"fqdn\\":\\"_acme-challenge.$CERTBOT_DOMAIN.\\",\\"value\\":\\"$CERTBOT_VALIDATION\\"}}" "{url}/httpreq/{action}"\n'


class Certbot:
    """One installation: its own directories, the root given as certbot's users give it (REQUESTS_CA_BUNDLE)."""

    def __init__(self, machine, server, directory):  # noqa: F811 # pylint: disable=redefined-outer-name
        self.machine, self.server, self.directory = machine, server, directory

    def run(self, *command, expect=0):
        places = [part for name in ("config", "work", "logs") for part in (f"--{name}-dir", self.directory / name)]
        return self.machine.run("certbot", *command, "--non-interactive", "--server", self.server.directory_url, *places, expect=expect,
                                env=environment(REQUESTS_CA_BUNDLE=self.server.root_pem))

    def obtain(self, *options, names, expect=0):
        domains = [part for name in names for part in ("-d", name)]
        return self.run("certonly", "--agree-tos", "-m", "admin@svc.test", *options, *domains, expect=expect)

    def live(self, name, file="fullchain.pem"):
        return self.directory / "config" / "live" / name / file

    def leaf(self, *names):
        return check_chain(self.server, self.live(names[0]), *names)


@pytest.fixture
def certbot(machine, server, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    return Certbot(machine, server, tmp_path)


def test_webroot_renew_and_revoke(certbot, server, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    names = ("webroot.svc.test", "www.webroot.svc.test")
    with certbot.machine.webroot(tmp_path):
        certbot.obtain("--webroot", "-w", tmp_path, names=names)
        first = certbot.leaf(*names)
        assert isinstance(first.public_key(), ec.EllipticCurvePublicKey)
        assert "not yet due" in certbot.run("renew").text
        assert certbot.leaf(*names).serial_number == first.serial_number
        certbot.run("renew", "--force-renewal", "--no-random-sleep-on-renew")
    second = certbot.leaf(*names)
    assert second.serial_number != first.serial_number
    assert server.is_revoked(second) is None
    certbot.run("revoke", "--cert-name", names[0], "--reason", "superseded", "--no-delete-after-revoke")
    assert server.is_revoked(second) == 4
    assert server.is_revoked(first) is None
    assert "revoke" in certbot.run("revoke", "--cert-name", names[0], "--no-delete-after-revoke", expect=1).text.lower()


def test_standalone_with_an_rsa_key_then_revoked_by_that_key(certbot, server):  # noqa: F811 # pylint: disable=redefined-outer-name
    name = "standalone.svc.test"
    certbot.obtain("--standalone", "--key-type", "rsa", "--rsa-key-size", "2048", names=(name,))
    leaf = certbot.leaf(name)
    assert isinstance(leaf.public_key(), rsa.RSAPublicKey)
    certbot.run("revoke", "--cert-path", certbot.live(name, "cert.pem"), "--key-path", certbot.live(name, "privkey.pem"),
                "--reason", "keycompromise", "--delete-after-revoke")
    assert server.is_revoked(leaf) == 1
    assert not certbot.live(name).exists()


def test_manual_hooks_over_http(certbot, tmp_path):
    name = "manual.svc.test"
    hook = write_script(tmp_path / "hook", HTTP_HOOK.format(webroot=tmp_path))
    cleanup = write_script(tmp_path / "cleanup", HTTP_CLEANUP.format(webroot=tmp_path))
    with certbot.machine.webroot(tmp_path):
        certbot.obtain("--manual", "--preferred-challenges", "http", "--manual-auth-hook", hook, "--manual-cleanup-hook", cleanup,
                       names=(name,))
    certbot.leaf(name)
    assert not list((tmp_path / ".well-known" / "acme-challenge").iterdir())


def test_unregister_ends_the_account(certbot):
    certbot.run("register", "--agree-tos", "-m", "admin@svc.test")
    assert "Account URL" in certbot.run("show_account").text
    certbot.run("update_account", "-m", "other@svc.test")
    certbot.run("unregister")
    assert "Could not find an existing account" in certbot.run("show_account", expect=None).text


def test_a_name_that_answers_elsewhere_is_refused_with_the_servers_sentence(certbot, tmp_path):
    with certbot.machine.webroot(tmp_path):
        (tmp_path / "empty").mkdir()
        done = certbot.obtain("--webroot", "-w", tmp_path / "empty", names=("nothing.svc.test",), expect=1)
    assert "nothing.svc.test" in done.text and "404" in done.text, done.text


@WITH_EAB
def test_external_account(certbot, server, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    name = "eab.svc.test"
    kid, key = server.eab
    done = certbot.obtain("--standalone", names=(name,), expect=1)
    assert "external account" in done.text.lower() or "externalAccountRequired" in done.text, done.text
    certbot.obtain("--standalone", "--eab-kid", kid, "--eab-hmac-key", "w" * 44, names=(name,), expect=1)
    certbot.obtain("--standalone", "--eab-kid", kid, "--eab-hmac-key", key, names=(name,))
    certbot.leaf(name)


@WITH_DNS
def test_manual_hooks_over_dns_for_a_wildcard(certbot, server, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    names = ("dns.svc.test", "*.dns.svc.test")
    hook, cleanup = (write_script(tmp_path / action, DNS_HOOK.format(root=server.door.root_pem, secret=SECRET, url=server.door.url,
                                                                     action=action)) for action in ("present", "cleanup"))
    certbot.obtain("--manual", "--preferred-challenges", "dns", "--manual-auth-hook", hook, "--manual-cleanup-hook", cleanup, names=names)
    certbot.leaf(*names)
