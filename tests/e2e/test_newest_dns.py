"""The newest clients that speak DNS: lego 5.5.1's rfc2136 provider (in certbot-dns-multi) and the newest Caddy with the DNS providers of
tests/drivers/caddy, which send what Caddy's rfc2136 and acmedns modules send (rows 5 and 9)."""
import pytest

from appliance import SECRET
from clients_topology import machine, server  # noqa: F401 # pylint: disable=unused-import
from namespace import CA_ADDRESS
from newest import Caddy
from test_lego_newest import certbot  # noqa: F401 # pylint: disable=unused-import
from tools import assert_certificate, txt_values

pytestmark = pytest.mark.clients
UPDATE = "dns rfc2136 {{\n key_name lego\n key_alg {algorithm}\n key {secret}\n server {address}:53\n }}"
POST = "dns acmedns {{\n username lego\n password {secret}\n subdomain {name}\n server_url https://{address}/acme-dns\n }}"
RESOLVERS = {"resolvers": f"resolvers {CA_ADDRESS}", "no-resolvers": ""}


@pytest.mark.parametrize("algorithm", ["", "hmac-sha1.", "hmac-sha224.", "hmac-sha256.", "hmac-sha512."], ids=lambda name: name or "default")
def test_lego_5_updates_apex_and_wildcard(app, certbot, algorithm):  # noqa: F811 # pylint: disable=redefined-outer-name
    label = algorithm.rstrip(".") or "default"
    names = (f"{label}.svc.test", f"*.{label}.svc.test")
    options = {"RFC2136_NAMESERVER": f"{CA_ADDRESS}:53", "RFC2136_TSIG_KEY": "lego", "RFC2136_TSIG_SECRET": SECRET, "RFC2136_SEQUENCE_INTERVAL": "1",
               **({"RFC2136_TSIG_ALGORITHM": algorithm} if algorithm else {})}
    _, chain = certbot("rfc2136", names, options)
    assert_certificate(app, chain, *names)
    assert txt_values(f"_acme-challenge.{names[0]}") == []


@pytest.mark.parametrize("server", ["bailiwick"], indirect=True)
@pytest.mark.parametrize("resolvers", RESOLVERS)
@pytest.mark.parametrize("way", ["rfc2136", "acmedns"])
def test_caddy_gets_a_wildcard_by_dns(machine, server, clients_dir, tmp_path, way, resolvers):  # noqa: F811 # pylint: disable=redefined-outer-name
    name = f"{way}-{resolvers}.svc.test"
    dns = (UPDATE if way == "rfc2136" else POST).format(algorithm="hmac-sha512", secret=SECRET, address=CA_ADDRESS, name=name)
    tls = f"tls {{\n issuer acme {{\n {dns}\n {RESOLVERS[resolvers]}\n }}\n }}"
    with Caddy(machine, server, clients_dir, tmp_path, [f"*.{name}"], tls=tls).running() as (_, log):
        machine.wait_for_tls(f"www.{name}", server, log_path=log)
