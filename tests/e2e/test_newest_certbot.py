"""The newest certbot against ours and against Pebble: its own web server, renewal, revocation, the account's end, external account.
Its doings with DNS are in test_lego_newest.py."""
import pytest

from appliance import OTHER_SECRET
from clients_topology import WITH_EAB, check_chain, machine, server  # noqa: F401 # pylint: disable=unused-import
from newest import Certbot

pytestmark = pytest.mark.clients


@pytest.fixture
def certbot(machine, server, clients_dir, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    return Certbot(machine, server, clients_dir, tmp_path)


def test_first_run_renewal_and_revocation(certbot, server):  # noqa: F811 # pylint: disable=redefined-outer-name
    names = ("bot.svc.test", "www.bot.svc.test")
    certbot.obtain("-d", names[0], "-d", names[1])
    first = check_chain(server, certbot.live(names[0]), *names)
    assert "not yet due" in certbot.run("renew")
    certbot.run("renew", "--force-renewal", "--no-random-sleep-on-renew")
    second = check_chain(server, certbot.live(names[0]), *names)
    assert second.serial_number != first.serial_number
    certbot.run("revoke", "--cert-name", names[0], "--reason", "superseded", "--no-delete-after-revoke")
    assert server.is_revoked(second) == 4
    assert server.is_revoked(first) is None


def test_the_accounts_contact_and_end(certbot):  # pylint: disable=redefined-outer-name
    certbot.run("register", "--agree-tos", "-m", "admin@svc.test")
    certbot.run("update_account", "-m", "other@svc.test")
    assert "other@svc.test" in certbot.run("show_account")
    certbot.run("unregister")


def test_a_validation_that_nobody_answers(certbot, tmp_path):  # pylint: disable=redefined-outer-name
    done = certbot.run("certonly", "--webroot", "-w", tmp_path, "--agree-tos", "-m", "admin@svc.test", "-d", "dead.svc.test", expect=1)
    assert "connection" in done.lower(), done


@WITH_EAB
def test_external_account(certbot, server):  # noqa: F811 # pylint: disable=redefined-outer-name
    kid, key = server.eab
    assert "Server requires external account binding" in certbot.obtain("-d", "eab.svc.test", expect=1)
    wrong = certbot.obtain("-d", "eab.svc.test", "--eab-kid", kid, "--eab-hmac-key", OTHER_SECRET, expect=1)
    assert "Unable to register an account" in wrong, wrong
    certbot.obtain("-d", "eab.svc.test", "--eab-kid", kid, "--eab-hmac-key", key)
    check_chain(server, certbot.live("eab.svc.test"), "eab.svc.test")


@WITH_EAB
@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_external_accounts_other_algorithms(certbot, server, algorithm):  # noqa: F811 # pylint: disable=redefined-outer-name
    kid, key = server.eab
    certbot.run("register", "--agree-tos", "-m", "admin@svc.test", "--eab-kid", kid, "--eab-hmac-key", key, "--eab-hmac-alg", algorithm)
