"""lego's own program at its newest version 4 (tests/drivers/lego): http-01 and tls-alpn-01 against ours and against Pebble, renewal, renewal
information, revocation; every way that it publishes a value with us, all its propagation checks on (rows 1, 2, 3 and 5)."""
import json

import pytest

from appliance import OTHER_SECRET, SECRET
from clients_topology import OURS, machine, server  # noqa: F401 # pylint: disable=unused-import
from jws_client import http_session
from namespace import CA_ADDRESS
from test_clients_lego import LONG_AGO_DAYS, Lego
from tools import txt_values

pytestmark = pytest.mark.clients
ALGORITHMS = ("", "hmac-sha1.", "hmac-sha224.", "hmac-sha256.", "hmac-sha384.", "hmac-sha512.")
ALL_RESOLVERS = "--dns.propagation-rns"  # the resolvers must have the value as well, as version 5 wants by itself


@pytest.fixture
def lego(machine, server, clients_dir, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    return Lego(machine, server, tmp_path / "lego", clients_dir / "bin" / "lego4")


@pytest.mark.parametrize("challenge", ["http", "tls"])
def test_renewal_and_revocation(lego, server, challenge):  # noqa: F811 # pylint: disable=redefined-outer-name
    names = (f"{challenge}.svc.test", f"www.{challenge}.svc.test")
    lego.run(names, f"--{challenge}", "run")
    first = lego.leaf(*names)
    lego.run(names, f"--{challenge}", "renew", "--no-random-sleep")
    assert lego.leaf(*names).serial_number == first.serial_number, "it is not due"
    lego.run(names, f"--{challenge}", "renew", "--days", LONG_AGO_DAYS, "--ari-disable", "--no-random-sleep", "--reuse-key")
    second = lego.leaf(*names)
    assert second.serial_number != first.serial_number
    assert second.public_key().public_numbers() == first.public_key().public_numbers()
    lego.run(names[:1], "revoke", "--reason", "5")
    assert server.is_revoked(second) == 5
    assert server.is_revoked(first) is None


@OURS
def test_what_is_revoked_is_due_by_renewal_information(lego, server):  # noqa: F811 # pylint: disable=redefined-outer-name
    name = "due.svc.test"
    lego.run((name,), "--http", "run")
    first = lego.leaf(name)
    lego.run((name,), "revoke", "--keep", "--reason", "1")
    assert server.is_revoked(first) == 1
    lego.run((name,), "--http", "renew", "--no-random-sleep")
    assert lego.leaf(name).serial_number != first.serial_number


def obtain(lego, name, provider, env, expect=0):  # pylint: disable=redefined-outer-name
    """Apex and wildcard in one certificate; the root once more for the doors."""
    names = (name, f"*.{name}")
    done = lego.run(names, "--dns", provider, ALL_RESOLVERS, "run", env={"SSL_CERT_FILE": lego.server.root_pem, **env}, expect=expect)
    if expect == 0:
        lego.leaf(*names)
    return done.text


def quick(prefix, **env):
    return {f"{prefix}_{key}": value for key, value in {"POLLING_INTERVAL": "1", "PROPAGATION_TIMEOUT": "30", **env}.items()}


def update_environment(**env):
    return quick("RFC2136", NAMESERVER=f"{CA_ADDRESS}:53", SEQUENCE_INTERVAL="1", **env)


@OURS
@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda name: name or "default")
def test_updates(lego, server, algorithm):  # noqa: F811 # pylint: disable=redefined-outer-name,unused-argument
    name = f"{algorithm.rstrip('.') or 'default'}.svc.test"
    more = {"TSIG_ALGORITHM": algorithm} if algorithm else {}
    obtain(lego, name, "rfc2136", update_environment(TSIG_KEY="lego", TSIG_SECRET=SECRET, **more))
    assert txt_values(f"_acme-challenge.{name}", CA_ADDRESS) == []


@OURS
def test_updates_with_a_key_file(lego, server, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name,unused-argument
    """In the lines that `client add` prints: lego wants a line for each statement."""
    file = tmp_path / "lego.key"
    file.write_text(f'key "lego" {{\n\talgorithm hmac-sha384;\n\tsecret "{SECRET}";\n}};\n', encoding="ascii")
    obtain(lego, "keyed.svc.test", "rfc2136", update_environment(TSIG_FILE=str(file)))


@OURS
def test_updates_with_the_secret_of_somebody_else(lego, server):  # noqa: F811 # pylint: disable=redefined-outer-name,unused-argument
    env = update_environment(TSIG_KEY="lego", TSIG_SECRET=OTHER_SECRET, TSIG_ALGORITHM="hmac-sha256.")
    assert "failed to insert: DNS update failed: dns: bad authentication" in obtain(lego, "somebody.svc.test", "rfc2136", env, expect=1)
    assert txt_values("_acme-challenge.somebody.svc.test", CA_ADDRESS) == []


@OURS
@pytest.mark.parametrize("mode", [{}, {"MODE": "RAW"}], ids=["default", "RAW"])
def test_httpreq(lego, server, mode):  # noqa: F811 # pylint: disable=redefined-outer-name
    name = f"httpreq-{len(mode)}.svc.test"
    obtain(lego, name, "httpreq", quick("HTTPREQ", ENDPOINT=f"{server.url}/httpreq", USERNAME="lego", PASSWORD=SECRET, **mode))
    assert txt_values(f"_acme-challenge.{name}", CA_ADDRESS) == []


@OURS
def test_httpreq_with_a_wrong_password(lego, server):  # noqa: F811 # pylint: disable=redefined-outer-name
    env = quick("HTTPREQ", ENDPOINT=f"{server.url}/httpreq", USERNAME="lego", PASSWORD=OTHER_SECRET)
    assert "401" in obtain(lego, "refused.svc.test", "httpreq", env, expect=1)


def with_credential(server, path):  # noqa: F811 # pylint: disable=redefined-outer-name
    return server.url.replace("https://", f"https://lego:{SECRET}@") + path


@OURS
def test_acmedns_with_http_storage_on_a_never_seen_name(lego, server):  # noqa: F811 # pylint: disable=redefined-outer-name
    obtain(lego, "never.seen.svc.test", "acme-dns", {"ACME_DNS_API_BASE": with_credential(server, "/acme-dns"),
                                                     "ACME_DNS_STORAGE_BASE_URL": with_credential(server, "/acme-dns/storage")})


@OURS
def test_acmedns_with_a_file_that_was_seeded_from_our_storage(lego, server, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    account = http_session(server.root_pem).get(f"{server.url}/acme-dns/storage/seeded.svc.test", auth=("lego", SECRET), timeout=30).json()
    storage = tmp_path / "acme-dns.json"
    storage.write_text(json.dumps({"seeded.svc.test": account}), encoding="ascii")
    obtain(lego, "seeded.svc.test", "acme-dns", {"ACME_DNS_API_BASE": f"{server.url}/acme-dns", "ACME_DNS_STORAGE_PATH": str(storage)})


@OURS
def test_acmedns_with_an_empty_file_says_once_which_cname_it_wants(lego, server, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    """It registers, stores and stops: that is lego's own way. The CNAME need not be made; the second run goes through."""
    env = {"ACME_DNS_API_BASE": with_credential(server, "/acme-dns"), "ACME_DNS_STORAGE_PATH": str(tmp_path / "acme-dns.json")}
    assert "CNAME" in obtain(lego, "twice.svc.test", "acme-dns", env, expect=1)
    obtain(lego, "twice.svc.test", "acme-dns", env)
