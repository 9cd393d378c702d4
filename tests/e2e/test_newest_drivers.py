"""The ACME libraries of Go's own project, of Caddy and of the Rust world, through small drivers (tests/drivers), against ours and Pebble."""
import pathlib

import pytest

from appliance import OTHER_SECRET, SECRET
from clients_topology import WITH_DNS, WITH_EAB, check_chain, machine, server  # noqa: F401 # pylint: disable=unused-import
from newest import CHALLENGES, PROGRAMS, Driver, eab

pytestmark = pytest.mark.clients
GO = pytest.mark.parametrize("driver", ["acmez", "xcrypto"], indirect=True)


@pytest.fixture(params=PROGRAMS)
def driver(request, machine, server, clients_dir, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    return Driver(request.param, machine, server, clients_dir, tmp_path)


def leaf(driver, *names):  # pylint: disable=redefined-outer-name
    return check_chain(driver.server, driver.chain, *names)


@pytest.mark.parametrize("challenge", CHALLENGES)
def test_an_account_from_its_beginning_to_its_end(driver, challenge):  # pylint: disable=redefined-outer-name
    names = ("one.svc.test", "two.svc.test")
    report = driver.run("register", "contact", "issue", "rollover", "issue", "revoke", "deactivate", "issue", names=names,
                        challenge=challenge)
    assert not [entry for entry in report.entries[:-1] if "error" in entry], report.entries
    # RFC 8555 §7.3.6 says 401; Pebble does not.
    assert report.problem("issue") == (401 if driver.server.kind == "bailiwick" else 403, "unauthorized")
    assert driver.server.is_revoked(leaf(driver, *names)) == 4


@GO
def test_an_account_is_found_by_its_key_alone(driver):  # pylint: disable=redefined-outer-name
    report = driver.run("register", "account", "contact", "rollover", "account", names=["found.svc.test"], challenge="")
    assert report.all_worked()["account"]["account"] == report["register"]["account"]
    assert report["account"]["contact"] == ["mailto:other@svc.test"]
    assert report["register"]["orders"]


@GO
def test_revocation_by_the_certificates_key_and_not_by_a_stranger(driver):  # pylint: disable=redefined-outer-name
    names = ("key.svc.test",)
    report = driver.run("register", "issue", "revoke-as-stranger", "revoke-by-key", names=names, challenge="http-01")
    assert report.problem("revoke-as-stranger") == (403, "unauthorized")
    assert report["revoke-by-key"]
    assert driver.server.is_revoked(leaf(driver, *names)) == 1


def test_no_challenge_that_the_client_knows(driver):  # pylint: disable=redefined-outer-name
    assert "error" in driver.run("register", "issue", names=["none.svc.test"], challenge="").last("issue")


@GO
@pytest.mark.parametrize("challenge", CHALLENGES)
def test_a_validation_that_nobody_answers(driver, challenge):  # pylint: disable=redefined-outer-name
    report = driver.run("register", "issue", names=["dead.svc.test"], challenge=challenge, silent=True)
    # RFC 8555 §6.7: connection is the type for a target that could not be reached; Pebble says so for http-01 only.
    pebbles = driver.server.kind == "pebble" and challenge == "tls-alpn-01"
    assert report.problem("issue")[1] == ("unauthorized" if pebbles else "connection")


@WITH_EAB
def test_external_account(driver):  # pylint: disable=redefined-outer-name
    names = ("eab.svc.test",)
    assert driver.run("register", names=names, challenge="").problem("register") == (403, "externalAccountRequired")
    wrong = driver.run("register", names=names, challenge="", eab=eab(driver.server, key=OTHER_SECRET))
    assert wrong.problem("register") == (403, "unauthorized")
    nobody = driver.run("register", names=names, challenge="", eab=eab(driver.server, kid="nobody"))
    assert nobody.problem("register") == (403, "unauthorized")
    driver.run("register", "issue", "revoke", names=names, challenge="http-01", eab=eab(driver.server)).all_worked()


@WITH_DNS
@GO
def test_dns_for_a_wildcard(driver):  # pylint: disable=redefined-outer-name
    names = ("*.dns.svc.test", "dns.svc.test")
    door = driver.server.door
    roots = driver.directory / "roots.pem"
    roots.write_text("".join(pathlib.Path(one.root_pem).read_text(encoding="ascii") for one in {driver.server, door}), encoding="ascii")
    driver.run("register", "issue", names=names, challenge="dns-01", root=str(roots),
               httpreq={"url": f"{door.url}/httpreq", "user": "lego", "password": SECRET}).all_worked()
    leaf(driver, *names)
