"""Debian's dehydrated against ours and against Pebble: http-01, tls-alpn-01, dns-01 by hook, renewal, revocation, account."""
import pathlib

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from appliance import SECRET, environment
from clients_topology import WITH_DNS, WITH_EAB, check_chain, machine, server, write_script  # noqa: F401 # pylint: disable=unused-import
from pebble import EAB_CLIENTS

DNS_HOOK = """
case $1 in
deploy_challenge) action=present ;;
clean_challenge) action=cleanup ;;
*) exit 0 ;;
esac
curl -sS --fail-with-body --cacert "{root}" --user "lego:{secret}" -o /dev/null --json \
    "{{\\"fqdn\\":\\"_acme-challenge.$2.\\",\\"value\\":\\"$4\\"}}" "{url}/httpreq/$action"
"""


class Dehydrated:
    """One installation with a configuration file; the root is given in CURL_OPTS. `settings` are lines of that file."""

    def __init__(self, machine, server, directory, **settings):  # noqa: F811 # pylint: disable=redefined-outer-name
        self.machine, self.server, self.base = machine, server, directory / "dehydrated"
        self.wellknown = directory / "www" / ".well-known" / "acme-challenge"
        for path in (self.base, self.wellknown):
            path.mkdir(parents=True)
        settings = {"CA": server.directory_url, "BASEDIR": self.base, "WELLKNOWN": self.wellknown, "CONTACT_EMAIL": "admin@svc.test",
                    "CURL_OPTS": f"--cacert {server.root_pem}", "KEYSIZE": 2048, "DOMAINS_TXT": self.base / "domains.txt", **settings}
        self.config = self.base / "config"
        self.config.write_text("".join(f'{key}="{value}"\n' for key, value in settings.items()), encoding="utf-8")

    def run(self, *command, expect=0):
        return self.machine.run("dehydrated", *command, "--config", self.config, env=environment(), expect=expect)

    def register(self, expect=0):
        return self.run("--register", "--accept-terms", expect=expect)

    def want(self, *lines):
        (self.base / "domains.txt").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")

    def leaf(self, *names, directory=None):
        return check_chain(self.server, self.base / "certs" / (directory or names[0]) / "fullchain.pem", *names)


def test_http_then_renewal_revocation_and_the_account(machine, server, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    dehydrated = Dehydrated(machine, server, tmp_path)
    dehydrated.register()
    dehydrated.want("one.svc.test www.one.svc.test")
    with machine.webroot(tmp_path / "www"):
        dehydrated.run("--cron")
        first = dehydrated.leaf("one.svc.test", "www.one.svc.test")
        assert isinstance(first.public_key(), ec.EllipticCurvePublicKey)
        assert "Skipping renew" in dehydrated.run("--cron").text
        dehydrated.run("--cron", "--force", "--domain", "one.svc.test www.one.svc.test")
    second = dehydrated.leaf("one.svc.test", "www.one.svc.test")
    assert second.serial_number != first.serial_number
    assert not list(dehydrated.wellknown.iterdir())
    dehydrated.run("--revoke", dehydrated.base / "certs" / "one.svc.test" / "cert.pem")
    assert server.is_revoked(second) == 0
    assert server.is_revoked(first) is None
    dehydrated.run("--account")
    dehydrated.run("--deactivate")
    again = ("--cron", "--force", "--domain", "two.svc.test")
    assert "Account has been deactivated" in dehydrated.run(*again, expect=1).text
    next((dehydrated.base / "accounts").glob("*/deactivated")).unlink()
    assert "unauthorized" in dehydrated.run(*again, expect=1).text


def test_tls_alpn(machine, server, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    dehydrated = Dehydrated(machine, server, tmp_path, CHALLENGETYPE="tls-alpn-01", KEY_ALGO="rsa")
    dehydrated.register()
    dehydrated.want("alpn.svc.test more.alpn.svc.test")
    directory = dehydrated.base / "alpn-certs"
    with machine.spawn("/usr/bin/python3", pathlib.Path(__file__).parent / "clients_alpn.py", directory, port=443):
        dehydrated.run("--cron")
    leaf = dehydrated.leaf("alpn.svc.test", "more.alpn.svc.test")
    assert isinstance(leaf.public_key(), rsa.RSAPublicKey)


@WITH_EAB
def test_external_account(machine, server, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    kid = "dehydrated"  # its 0.7.0 reads only keys whose length is a multiple of 16 octets: a secret of 64 or 128 characters
    key = EAB_CLIENTS[kid]
    (tmp_path / "without").mkdir()
    without = Dehydrated(machine, server, tmp_path / "without")
    assert "requires an external account" in without.register(expect=1).text
    dehydrated = Dehydrated(machine, server, tmp_path, EAB_KID=kid, EAB_HMAC_KEY=key)
    dehydrated.register()
    dehydrated.want("eab.svc.test")
    with machine.webroot(tmp_path / "www"):
        dehydrated.run("--cron")
    dehydrated.leaf("eab.svc.test")


@WITH_DNS
def test_hook_over_dns_for_a_wildcard(machine, server, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    hook = write_script(tmp_path / "hook", DNS_HOOK.format(root=server.door.root_pem, secret=SECRET, url=server.door.url))
    dehydrated = Dehydrated(machine, server, tmp_path, CHALLENGETYPE="dns-01", HOOK=hook, KEY_ALGO="prime256v1")
    dehydrated.register()
    dehydrated.want("*.wild.svc.test wild.svc.test > wild")
    dehydrated.run("--cron")
    dehydrated.leaf("*.wild.svc.test", "wild.svc.test", directory="wild")
