"""What ours has and Debian's Pebble has not, asked by the newest clients: certificates without a challenge for a client that is trusted
with its names, renewal information, profiles, addresses, authorization beforehand, requested dates."""
import contextlib
import datetime
import json
import re
import time

import pytest
from cryptography import x509

from appliance import OTHER_SECRET, SECRET, client
from clients_topology import Bailiwick, check_chain, machine, running  # noqa: F401 # pylint: disable=unused-import
from jws_client import names_of, split_chain
from namespace import CA_ADDRESS, INGRESS, write_resolv_conf
from newest import CADDY_SITE, CHALLENGES, PROGRAMS, Caddy, Certbot, Driver, caddy_eab, eab, make_traefik

pytestmark = pytest.mark.clients
BARE = ("svc.test", "*.svc.test")
DAY_S = 24 * 3600
DEADLINE_S = 60


@pytest.fixture(scope="module")
def server(resolv_conf, tmp_path_factory):
    """Its external account is a client that is trusted with everything in both zones; anybody may order the machine's address."""
    write_resolv_conf(resolv_conf, CA_ADDRESS)
    one = Bailiwick(tmp_path_factory.mktemp("bailiwick"), acme={"authorization_reuse": 0, "ip_networks": [f"{INGRESS}/32"]},
                    zones=[{"name": name, "ingress": [INGRESS]} for name in ("svc.test", "home.arpa")])
    one.config["clients"] = [client("lego", SECRET, *BARE),
                             client("trusted", OTHER_SECRET, *BARE, "home.arpa", "*.home.arpa", preauthorized=True)]
    one.eab = ("trusted", OTHER_SECRET)
    with running(one):
        yield one


@pytest.fixture
def driver(request, machine, server, clients_dir, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    return Driver(request.param, machine, server, clients_dir, tmp_path)


def drivers(*programs):
    return pytest.mark.parametrize("driver", programs, indirect=True)


def leaf(driver, *names):  # pylint: disable=redefined-outer-name
    return check_chain(driver.server, driver.chain, *names)


def lifetime_s(certificate):
    return round((certificate.not_valid_after - certificate.not_valid_before).total_seconds()) + 1


def wait_for(what, log_path):
    """Wait until `what` returns something."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < deadline, log_path.read_text(encoding="utf-8", errors="replace")[-8000:]
        time.sleep(0.25)


# --- no challenge at all: a client that is trusted with its names ----------------------------------------------------------------------
@drivers(*PROGRAMS)
def test_a_trusted_clients_names_need_no_challenge(driver):  # pylint: disable=redefined-outer-name
    driver.run("register", "issue", names=BARE, challenge="", eab=eab(driver.server)).all_worked()
    leaf(driver, *BARE)


@drivers(*PROGRAMS)
def test_anybody_elses_names_do(driver):  # pylint: disable=redefined-outer-name
    others = eab(driver.server, kid="lego", key=SECRET)
    for account in (None, others):
        report = driver.run("register", "issue", names=BARE, challenge="", eab=account)
        assert report["register"]
        assert "error" in report.last("issue")


@contextlib.contextmanager
def no_challenge(server):
    """Nobody may post to a challenge meanwhile."""
    start = len(server.log())
    yield
    assert "/acme/challenge/" not in server.log()[start:]


def test_stock_caddy_gets_a_wildcard(machine, server, clients_dir, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    """No DNS plug-in and nothing about challenges in its file."""
    caddy = Caddy(machine, server, clients_dir, tmp_path, BARE, options=caddy_eab(server))
    with no_challenge(server), caddy.running() as (_, log):
        for name, expected in (("svc.test", "svc.test"), ("anything.svc.test", "*.svc.test")):
            chain = wait_for(lambda name=name: machine.tls(name, server), log)
            assert names_of(chain[0]) == [expected]


def obtained(log):
    """(name, issuer) of what Caddy got first, by its own account."""
    found = re.search(r'"certificate obtained successfully","identifier":"([^"]+)","issuer":"([^"]+)"', log.read_text(encoding="utf-8"))
    return found and found.groups()


@pytest.mark.parametrize("site, more", [("plain.home.arpa", ""), (INGRESS, ""), ("*.home.arpa", "eab trusted " + OTHER_SECRET)])
def test_caddy_with_names_that_it_takes_for_its_own(machine, server, clients_dir, tmp_path, site, more):  # noqa: F811 # pylint: disable=redefined-outer-name
    with Caddy(machine, server, clients_dir, tmp_path, [site], CADDY_SITE, more=more).running() as (_, log):
        assert wait_for(lambda: obtained(log), log) == (site, "ca.svc.test-acme-directory")


def test_caddys_global_options_do_not_reach_home_arpa(machine, server, clients_dir, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    """Why the recipe has everything in the site."""
    with Caddy(machine, server, clients_dir, tmp_path, ["global.home.arpa"]).running() as (_, log):
        assert wait_for(lambda: obtained(log), log) == ("global.home.arpa", "local")


@pytest.mark.parametrize("domains, challenge", [
    ([{"main": "svc.test", "sans": ["*.svc.test"]}], "tlsChallenge: {}"),
    ([{"main": "svc.test", "sans": ["*.svc.test"]}], "httpChallenge: {entryPoint: web}"),
    ([{"main": "*.svc.test"}], "dnsChallenge: {provider: manual}"),
], ids=["tls", "http", "manual"])
def test_stock_traefik_gets_a_wildcard(machine, server, clients_dir, tmp_path, domains, challenge):  # noqa: F811 # pylint: disable=redefined-outer-name
    """Traefik wants some challenge in its configuration, the DNS one where the main name is a wildcard; it uses none."""
    expected = sorted([domains[0]["main"], *domains[0].get("sans", [])])
    with no_challenge(server), make_traefik(machine, server, clients_dir, tmp_path, domains, challenge, with_eab=True) as traefik:
        assert traefik.wait_for("anything.svc.test") == expected


# --- renewal information (RFC 9773) ----------------------------------------------------------------------------------------------------
@drivers("acmez", "instant")
def test_renewal_window_replacement_and_revocation(driver):  # pylint: disable=redefined-outer-name
    names = ("ari.svc.test",)
    report = driver.run("register", "issue", "renewal-info", "replace", "replace-again", "revoke", "renewal-info", names=names,
                        challenge="http-01")
    certificate = leaf(driver, *names)
    not_before, not_after = (moment.replace(tzinfo=datetime.timezone.utc).timestamp()
                             for moment in (certificate.not_valid_before, certificate.not_valid_after))
    window = report.entries[2]
    assert not_before < window["start"] < window["end"] < not_after
    assert report["replace"]
    if driver.path.name == "acmez":
        assert report["replace-again"], "the library asks again without it"
    else:
        assert report.problem("replace-again") == (409, "alreadyReplaced")
    assert report["renewal-info"]["end"] <= time.time(), "revoked: now"


def revoke_by_key(machine, server, clients_dir, directory, chain, key):  # noqa: F811 # pylint: disable=redefined-outer-name
    """What somebody does who found the key: no account is needed."""
    Certbot(machine, server, clients_dir, directory / "finder").run(
        "revoke", "--cert-path", chain, "--key-path", key, "--reason", "keycompromise", "--no-delete-after-revoke")


def test_caddy_renews_what_was_revoked(machine, server, clients_dir, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    """Caddy asks again when the time in Retry-After has come: its file is given the age of a day. It sends no "replaces" (certmagic would)."""
    name = "renewed.svc.test"
    caddy = Caddy(machine, server, clients_dir, tmp_path, [name])
    with caddy.running() as (_, log):
        first = machine.wait_for_tls(name, server, log_path=log)
    revoke_by_key(machine, server, clients_dir, tmp_path, caddy.stored(".crt"), caddy.stored(".key"))
    record = json.loads(caddy.stored(".json").read_text(encoding="utf-8"))
    information = record["issuer_data"]["renewal_info"]
    again = datetime.datetime.fromisoformat(information["_retryAfter"][:19] + "+00:00")
    assert again > datetime.datetime.now(datetime.timezone.utc)
    information["_retryAfter"] = (again - datetime.timedelta(days=1)).isoformat()
    caddy.stored(".json").write_text(json.dumps(record), encoding="utf-8")
    with caddy.running() as (_, log):
        machine.wait_for_tls(name, server, log_path=log, differs_from=first)
        assert "certificate needs renewal based on ARI window" in log.read_text(encoding="utf-8")


def test_certbot_renews_what_was_revoked(machine, server, clients_dir, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    name, certbot = "certbot.svc.test", Certbot(machine, server, clients_dir, tmp_path)
    certbot.obtain("-d", name)
    first = check_chain(server, certbot.live(name), name)
    assert "not yet due" in certbot.run("renew")
    revoke_by_key(machine, server, clients_dir, tmp_path, certbot.live(name), certbot.live(name, "privkey.pem"))
    assert "not yet due" in certbot.run("renew"), "it asks again when the time in Retry-After has come"
    settings = tmp_path / "config" / "renewal" / f"{name}.conf"
    text, count = re.subn(r"(?m)^ari_retry_after = .*$", "ari_retry_after = 2020-01-01T00:00:00", settings.read_text(encoding="utf-8"))
    assert count == 1, text
    settings.write_text(text, encoding="utf-8")
    certbot.run("renew", "--no-random-sleep-on-renew")
    assert check_chain(server, certbot.live(name), name).serial_number != first.serial_number


# --- profiles --------------------------------------------------------------------------------------------------------------------------
@drivers("acmez", "instant")
def test_profile(driver):  # pylint: disable=redefined-outer-name
    names = ("profile.svc.test",)
    driver.run("register", "issue", names=names, challenge="http-01", profile="short").all_worked()
    assert lifetime_s(leaf(driver, *names)) == 6 * DAY_S
    unknown = driver.run("register", "issue", names=names, challenge="http-01", profile="none")
    if driver.path.name == "acmez":
        assert "unknown profile" in unknown.last("issue")["error"], "the library asks the directory first"
    else:
        assert unknown.problem("issue") == (400, "invalidProfile")


@drivers(*PROGRAMS)
def test_profile_of_a_directory(driver):  # pylint: disable=redefined-outer-name
    names = ("pinned.svc.test",)
    driver.run("register", "issue", names=names, challenge="http-01",
               directory=f"{driver.server.url}/acme/p/month/directory").all_worked()
    assert lifetime_s(leaf(driver, *names)) == 30 * DAY_S


def test_caddys_profile(machine, server, clients_dir, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    caddy = Caddy(machine, server, clients_dir, tmp_path, ["caddy.svc.test"], tls="tls {\n issuer acme {\n profile short\n }\n }")
    with caddy.running() as (_, log):
        assert lifetime_s(machine.wait_for_tls("caddy.svc.test", server, log_path=log)) == 6 * DAY_S


def test_certbots_profile(machine, server, clients_dir, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    name = "botprofile.svc.test"
    certbot = Certbot(machine, server, clients_dir, tmp_path)
    certbot.obtain("-d", name, "--required-profile", "short")
    assert lifetime_s(check_chain(server, certbot.live(name), name)) == 6 * DAY_S


# --- addresses (RFC 8738) --------------------------------------------------------------------------------------------------------------
def addresses_of(certificate):
    return [str(one) for one in certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.IPAddress)]


@drivers(*PROGRAMS)
@pytest.mark.parametrize("challenge", CHALLENGES)
def test_address(driver, challenge):  # pylint: disable=redefined-outer-name
    driver.run("register", "issue", names=[INGRESS], challenge=challenge).all_worked()
    assert addresses_of(split_chain(driver.chain.read_text(encoding="ascii"))[0]) == [INGRESS]


@drivers(*PROGRAMS)
def test_address_beside_a_name(driver):  # pylint: disable=redefined-outer-name
    driver.run("register", "issue", names=["beside.svc.test", INGRESS], challenge="http-01").all_worked()
    certificate = split_chain(driver.chain.read_text(encoding="ascii"))[0]
    assert addresses_of(certificate) == [INGRESS]


@drivers(*PROGRAMS)
def test_address_that_nobody_names(driver):  # pylint: disable=redefined-outer-name
    report = driver.run("register", "issue", names=["10.8.10.251"], challenge="http-01")
    assert report.problem("issue") == (400, "rejectedIdentifier")


def test_certbots_address(machine, server, clients_dir, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    certbot = Certbot(machine, server, clients_dir, tmp_path)
    certbot.obtain("--ip-address", INGRESS)
    assert addresses_of(split_chain(certbot.live(INGRESS).read_text(encoding="ascii"))[0]) == [INGRESS]


# --- authorization beforehand, given back; requested dates -----------------------------------------------------------------------------
@drivers("xcrypto")
@pytest.mark.parametrize("challenge", CHALLENGES)
def test_authorization_beforehand(driver, challenge):  # pylint: disable=redefined-outer-name
    names = ("before.svc.test",)
    driver.run("register", "preauthorize", "issue", names=names, challenge=challenge).all_worked()
    leaf(driver, *names)


@drivers("acmez")
def test_acmez_has_another_idea_of_authorization_beforehand(driver):  # pylint: disable=redefined-outer-name
    """It sends the identifier itself, not an object with the member "identifier" (RFC 8555 §7.4.1)."""
    assert driver.run("register", "preauthorize", names=["acmez.svc.test"], challenge="").problem("preauthorize") == (400, "malformed")


@drivers("xcrypto", "instant")
def test_authorization_given_back(driver):  # pylint: disable=redefined-outer-name
    driver.run("register", "issue", "deactivate-authorizations", "issue", names=["back.svc.test"], challenge="http-01").all_worked()


@drivers("acmez", "xcrypto")
def test_requested_dates(driver):  # pylint: disable=redefined-outer-name
    driver.run("register", "issue-dated", names=["dated.svc.test"], challenge="http-01", hours=48).all_worked()
    assert abs(lifetime_s(leaf(driver, "dated.svc.test")) - 2 * DAY_S) < 3600
    late = driver.run("register", "issue-dated", names=["late.svc.test"], challenge="http-01", hours=24 * 4000)
    assert late.problem("issue-dated") == (400, "malformed")
