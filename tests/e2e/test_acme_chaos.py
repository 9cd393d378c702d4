"""`--chaos`, what client authors test with: its own state directory only; a client that does as RFC 8555 says gets through."""
import pytest

from appliance import Appliance
from jws_client import ERROR, Acme, assert_problem
from tools import run

TRIES = 20


class Patient(Acme):
    """Retries badNonce with the fresh nonce, as RFC 8555 §6.5 asks of clients, and waits where it must."""

    rejected = 0

    def post(self, url, payload=None, /, **changes):
        for _ in range(TRIES):
            reply = super().post(url, payload, **changes)
            if reply.status_code != 400 or reply.json()["type"] != ERROR + "badNonce":
                return reply
            assert reply.headers["Replay-Nonce"]
            self.rejected += 1
        raise AssertionError(f"{TRIES} nonces in a row were rejected")


@pytest.fixture(scope="module")
def app(resolv_conf, tmp_path_factory):
    one = Appliance(tmp_path_factory.mktemp("appliance"), acme={"authorization_reuse": "1h"})
    try:
        yield one.start("--chaos")
        one.stop()
    finally:
        one.discard()


def issue_slowly(acme, *names):
    _, order = acme.order(*names)
    for url in order["authorizations"]:
        authorization, challenge = acme.challenge_of(url)
        if authorization["status"] != "valid":
            assert acme.publish(authorization, challenge).status_code == 200
            assert acme.post(challenge["url"], {}).status_code == 200
    for url in order["authorizations"]:
        assert acme.wait(url, ("valid", "invalid"))["status"] == "valid"
    done = acme.finalize(order)
    assert done.status_code == 200 and done.json()["status"] == "valid", done.text


def test_it_is_loud(app):
    assert "level=warn" in app.log() and "--chaos" in app.log()


def test_good_nonces_are_rejected_now_and_then(app):
    acme = Patient(app).register()
    for _ in range(3000):
        acme.post(acme.kid)
        if acme.rejected >= 2:
            return
    raise AssertionError("no good nonce was rejected")


def test_a_patient_client_gets_through(app):
    for number in range(4):
        issue_slowly(Patient(app).register(), f"patient{number}.svc.test", f"*.patient{number}.svc.test")


def test_what_has_no_order_comes_shuffled(app):
    acme = Patient(app).register()
    names = [f"shuffle{number}.svc.test" for number in range(6)]
    url, order = acme.order(*names)
    challenges, authorizations = set(), set()
    for _ in range(200):
        challenges.add(tuple(one["type"] for one in acme.post(order["authorizations"][0]).json()["challenges"]))
        authorizations.add(tuple(acme.post(url).json()["authorizations"]))
        if len(challenges) > 2 and len(authorizations) > 2:
            break
    assert len(challenges) > 2 and len(authorizations) > 2
    assert len({frozenset(one) for one in challenges | authorizations}) == 2, "the same ones, in another order"


def test_validations_are_delayed(app):
    """The value is there, and the answer is processing all the same."""
    acme = Patient(app).register()
    for number in range(50):
        _, order = acme.order(f"delayed{number}.svc.test")
        authorization, challenge = acme.challenge_of(order["authorizations"][0])
        acme.publish(authorization, challenge)
        if acme.post(challenge["url"], {}).json()["status"] == "processing":
            assert acme.wait(challenge["url"], ("valid", "invalid"))["status"] == "valid"
            return
    raise AssertionError("no validation was delayed")


def test_authorization_reuse_comes_and_goes(app):
    acme = Patient(app).register()
    issue_slowly(acme, "reuse.svc.test")
    seen = set()
    for _ in range(200):
        seen.add(acme.order("reuse.svc.test")[1]["status"])
        if seen == {"ready", "pending"}:
            return
    raise AssertionError(f"only {seen}")


def test_a_stale_nonce_is_still_a_stale_nonce(app):
    acme = Patient(app).register()
    nonce = acme.fresh_nonce()
    Acme.post(acme, acme.kid, nonce=nonce)
    assert_problem(Acme.post(acme, acme.kid, nonce=nonce), 400, "badNonce")


# --- the state directory ----------------------------------------------------------------------------------------------------


def command(one, *arguments):
    one.write_config()
    return run(*one.command(*arguments, "--config", str(one.config_path)), env=one.environment(), expect=None, timeout=60)


@pytest.fixture
def apart(make_appliance):
    return make_appliance(listen={"https": ["127.0.0.1:8443"], "http": ["127.0.0.1:8080"], "dns": ["127.0.0.1:8053"]}, public_url="https://localhost:8443")


def test_a_chaotic_state_directory_never_serves_without_it(apart):
    assert command(apart, "init", "--chaos").returncode == 0
    for words in (("serve",), ("init",)):
        done = command(apart, *words)
        assert done.returncode not in (0, 99), done.text
        assert "test mode" in done.text and "--chaos" in done.text, done.text
    apart.start("--chaos")
    Patient(apart).register()
    apart.stop()
    assert command(apart, "serve").returncode != 0


def test_a_real_state_directory_never_serves_with_it(apart):
    apart.start()
    Acme(apart).register().issue("real.svc.test")
    apart.stop()
    for words in (("serve", "--chaos"), ("init", "--chaos")):
        done = command(apart, *words)
        assert done.returncode not in (0, 99), done.text
        assert "--chaos" in done.text and "state_dir" in done.text, done.text
    apart.start()
    Acme(apart).register().issue("still.svc.test")
