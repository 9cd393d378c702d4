"""The newest clients that speak DNS to us: Traefik (lego 5.5.2) by rfc2136, and Caddy with its own modules rfc2136 and acmedns (rows 5 and 9)."""
import json
import re

import pytest

from appliance import OTHER_SECRET, SECRET
from clients_topology import machine, server  # noqa: F401 # pylint: disable=unused-import
from jws_client import http_session
from namespace import CA_ADDRESS
from newest import CADDY_DNS, CADDY_POST, CADDY_UPDATE, Caddy, make_traefik
from tools import txt_values

pytestmark = [pytest.mark.clients, pytest.mark.parametrize("server", ["bailiwick"], indirect=True)]
API = f"https://{CA_ADDRESS}/acme-dns"
RESOLVERS = {"resolvers": f"resolvers {CA_ADDRESS}", "no-resolvers": ""}
ALGORITHMS = ("hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512")  # all that the module's DNS library signs with


def test_traefik_updates_apex_and_wildcard_in_one_certificate(machine, server, clients_dir, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    names = ["*.update.svc.test", "update.svc.test"]
    how = f"dnsChallenge: {{provider: rfc2136, resolvers: [\"{CA_ADDRESS}:53\"]}}"
    traefik = make_traefik(machine, server, clients_dir, tmp_path, [{"main": names[1], "sans": names[:1]}], how)
    traefik.env.update(RFC2136_NAMESERVER=f"{CA_ADDRESS}:53", RFC2136_TSIG_KEY="lego", RFC2136_TSIG_SECRET=SECRET,
                       RFC2136_TSIG_ALGORITHM="hmac-sha256.", RFC2136_SEQUENCE_INTERVAL="1", RFC2136_POLLING_INTERVAL="1")
    with traefik:
        assert traefik.wait_for(names[1]) == sorted(names)
    assert txt_values("_acme-challenge.update.svc.test", CA_ADDRESS) == []


@pytest.fixture
def obtain(machine, server, clients_dir, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    """Caddy orders a certificate for a name and one for its wildcard, both at once; its log says that it was by DNS."""
    def apex_and_wildcard(name, provider, resolvers):
        tls = CADDY_DNS.format(provider=provider, resolvers=RESOLVERS[resolvers])
        caddy = Caddy(machine, server, clients_dir, tmp_path, [name, f"*.{name}"], tls=tls)
        # The root once more, for the doors: `acme_ca_root` is for ACME alone.
        with caddy.running(SSL_CERT_FILE=server.root_pem) as (_, log):
            for asked, shown in ((name, name), (f"www.{name}", f"*.{name}")):
                machine.wait_for_tls(asked, server, log_path=log, shown=shown)
            text = log.read_text(encoding="utf-8")
            assert set(re.findall(r'"challenge_type":"([^"]*)"', text)) == {"dns-01"} and '"level":"error"' not in text, text
    return apex_and_wildcard


@pytest.mark.parametrize("resolvers", RESOLVERS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_caddy_updates(obtain, algorithm, resolvers):  # pylint: disable=redefined-outer-name
    name = f"{algorithm}-{resolvers}.svc.test"
    obtain(name, CADDY_UPDATE.format(name="lego", algorithm=algorithm, secret=SECRET, address=CA_ADDRESS), resolvers)
    assert txt_values(f"_acme-challenge.{name}", CA_ADDRESS) == [], "it took its values away"


def client_itself(server, name):  # noqa: F811 # pylint: disable=redefined-outer-name
    """The client's own credential, with the name for the account."""
    assert server
    return CADDY_POST.format(username="lego", password=SECRET, name=name, url=API)


def one_account(server, name):  # noqa: F811 # pylint: disable=redefined-outer-name
    """A registered account, which says nothing about the name: its values are bound as they come."""
    assert name
    account = http_session(server.root_pem).post(f"{server.url}/acme-dns/register", auth=("lego", SECRET), timeout=30).json()
    return CADDY_POST.format(username=account["username"], password=account["password"], name=account["subdomain"], url=API)


def account_of(server, name):  # noqa: F811 # pylint: disable=redefined-outer-name
    account = http_session(server.root_pem).get(f"{server.url}/acme-dns/storage/{name}", auth=("lego", SECRET), timeout=30).json()
    return {**account, "server_url": API}


def account_of_each_name(server, name):  # noqa: F811 # pylint: disable=redefined-outer-name
    lines = "\n".join(f"{key} {value}" for key, value in account_of(server, name).items()
                      if key in ("username", "password", "subdomain", "fulldomain", "server_url"))
    return f"dns acmedns {{\n config {{\n {name} {{\n {lines}\n }}\n }}\n }}"


def file_of_accounts(server, name):  # noqa: F811 # pylint: disable=redefined-outer-name
    """The file that lego's file storage and acme-dns-client write, from what our storage gives."""
    path = server.directory / f"{name}.json"
    path.write_text(json.dumps({name: account_of(server, name)}), encoding="ascii")
    return f"dns acmedns {path}"


@pytest.mark.parametrize("resolvers", RESOLVERS)
@pytest.mark.parametrize("way", [client_itself, one_account, account_of_each_name, file_of_accounts], ids=lambda way: way.__name__.replace("_", "-"))
def test_caddy_posts(obtain, server, way, resolvers):  # noqa: F811 # pylint: disable=redefined-outer-name
    name = f"{way.__name__.replace('_', '-')}-{resolvers}.svc.test"
    obtain(name, way(server, name), resolvers)


@pytest.mark.parametrize("provider,words", [
    (CADDY_UPDATE.format(name="lego", algorithm="hmac-sha256", secret=OTHER_SECRET, address=CA_ADDRESS), "bad authentication"),
    (CADDY_UPDATE.format(name="nobody", algorithm="hmac-sha256", secret=SECRET, address=CA_ADDRESS), "bad authentication"),
    (CADDY_POST.format(username="lego", password=OTHER_SECRET, name="wrong.svc.test", url=API), "response code 401")], ids=["secret", "key", "password"])
def test_caddy_is_told_what_is_wrong(machine, server, clients_dir, tmp_path, provider, words):  # noqa: F811 # pylint: disable=redefined-outer-name
    caddy = Caddy(machine, server, clients_dir, tmp_path, ["*.wrong.svc.test"], tls=CADDY_DNS.format(provider=provider, resolvers=""))
    with caddy.running(SSL_CERT_FILE=server.root_pem) as (_, log):
        caddy.wait_for_words(words, log)
    assert txt_values("_acme-challenge.wrong.svc.test", CA_ADDRESS) == []
