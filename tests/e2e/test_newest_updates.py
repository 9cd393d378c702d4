"""lego 5.5.1's rfc2136 provider in certbot-dns-multi, with every algorithm it has (row 5). Certbot publishes all values before it asks for a
validation and lego's provider removes the whole set before it adds, so apex and wildcard in one certificate are Traefik's: test_newest_dns.py."""
import pytest

from appliance import SECRET
from namespace import CA_ADDRESS
from test_lego_newest import certbot  # noqa: F401 # pylint: disable=unused-import
from tools import assert_certificate, txt_values

pytestmark = pytest.mark.clients


@pytest.mark.parametrize("algorithm", ["", "hmac-sha1.", "hmac-sha224.", "hmac-sha256.", "hmac-sha384.", "hmac-sha512."], ids=lambda name: name or "default")
def test_lego_5_updates(app, certbot, algorithm):  # noqa: F811 # pylint: disable=redefined-outer-name
    label = algorithm.rstrip(".") or "default"
    name = f"*.{label}.svc.test"
    options = {"RFC2136_NAMESERVER": f"{CA_ADDRESS}:53", "RFC2136_TSIG_KEY": "lego", "RFC2136_TSIG_SECRET": SECRET,
               **({"RFC2136_TSIG_ALGORITHM": algorithm} if algorithm else {})}
    _, chain = certbot("rfc2136", (name,), options)
    assert_certificate(app, chain, name)
    assert txt_values(f"_acme-challenge.{label}.svc.test") == []
