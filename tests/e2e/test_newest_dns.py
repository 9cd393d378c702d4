"""The newest clients that speak DNS to us: Traefik (lego 5.5.2) by rfc2136, and Caddy with the DNS providers of tests/drivers/caddy, which send
what Caddy's rfc2136 and acmedns modules send (rows 5 and 9)."""
import pytest

from appliance import SECRET
from clients_topology import machine, server  # noqa: F401 # pylint: disable=unused-import
from namespace import CA_ADDRESS
from newest import Caddy, make_traefik
from tools import txt_values

pytestmark = [pytest.mark.clients, pytest.mark.parametrize("server", ["bailiwick"], indirect=True)]
UPDATE = "dns rfc2136 {{\n key_name lego\n key_alg {algorithm}\n key {secret}\n server {address}:53\n }}"
POST = "dns acmedns {{\n username lego\n password {secret}\n subdomain {name}\n server_url https://{address}/acme-dns\n }}"
RESOLVERS = {"resolvers": f"resolvers {CA_ADDRESS}", "no-resolvers": ""}


def test_traefik_updates_apex_and_wildcard_in_one_certificate(machine, server, clients_dir, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    names = ["*.update.svc.test", "update.svc.test"]
    how = f"dnsChallenge: {{provider: rfc2136, resolvers: [\"{CA_ADDRESS}:53\"]}}"
    traefik = make_traefik(machine, server, clients_dir, tmp_path, [{"main": names[1], "sans": names[:1]}], how)
    traefik.env.update(RFC2136_NAMESERVER=f"{CA_ADDRESS}:53", RFC2136_TSIG_KEY="lego", RFC2136_TSIG_SECRET=SECRET,
                       RFC2136_TSIG_ALGORITHM="hmac-sha256.", RFC2136_SEQUENCE_INTERVAL="1", RFC2136_POLLING_INTERVAL="1")
    with traefik:
        assert traefik.wait_for(names[1]) == sorted(names)
    assert txt_values("_acme-challenge.update.svc.test", CA_ADDRESS) == []


@pytest.mark.parametrize("resolvers", RESOLVERS)
@pytest.mark.parametrize("way", ["rfc2136", "acmedns"])
def test_caddy_gets_a_wildcard_by_dns(machine, server, clients_dir, tmp_path, way, resolvers):  # noqa: F811 # pylint: disable=redefined-outer-name
    name = f"{way}-{resolvers}.svc.test"
    dns = (UPDATE if way == "rfc2136" else POST).format(algorithm="hmac-sha512", secret=SECRET, address=CA_ADDRESS, name=name)
    tls = f"tls {{\n issuer acme {{\n {dns}\n {RESOLVERS[resolvers]}\n }}\n }}"
    # The root once more, for the doors: `ca_root` is for ACME alone.
    with Caddy(machine, server, clients_dir, tmp_path, [f"*.{name}"], tls=tls).running(SSL_CERT_FILE=server.root_pem) as (_, log):
        machine.wait_for_tls(f"www.{name}", server, log_path=log, shown=f"*.{name}")
