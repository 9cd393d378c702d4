"""Jobs, nonces, accounts and certificates across restarts."""
import pathlib
import threading

import pytest

from hostile import SETTINGS, Dns, Tcp, Webroot, many_addresses, wait_for_end
from jws_client import Acme, split_chain
from tools import txt_values


def processing_order(app, *names):
    acme = Acme(app).register()
    url, order = acme.order(*names)
    challenges = [acme.challenge_of(authorization) for authorization in order["authorizations"]]
    for _, challenge in challenges:
        assert acme.post(challenge["url"], {}).json()["status"] == "processing"
    return acme, url, order, challenges


def test_publishing_wakes_a_processing_challenge(make_appliance):
    app = make_appliance().start()
    acme, url, _, challenges = processing_order(app, "wake.svc.test", "*.wake.svc.test")
    for authorization, challenge in challenges:
        assert acme.publish(authorization, challenge).status_code == 200
        assert acme.wait(challenge["url"], ("valid", "invalid"), 5)["status"] == "valid"
    assert acme.wait(url, ("ready", "invalid"), 5)["status"] == "ready"


def test_a_job_survives_a_restart(make_appliance):
    app = make_appliance().start()
    acme, url, order, challenges = processing_order(app, "job.svc.test", "*.job.svc.test")
    app.restart()
    acme.nonce = None
    for authorization, challenge in challenges:
        assert acme.publish(authorization, challenge).status_code == 200
        assert acme.wait(challenge["url"], ("valid", "invalid"))["status"] == "valid"
    assert acme.wait(url, ("ready", "invalid"))["status"] == "ready"
    assert acme.finalize(order).json()["status"] == "valid"


def test_a_job_survives_kill_9(make_appliance):
    app = make_appliance().start()
    acme, url, _, challenges = processing_order(app, "killed.svc.test")
    app.kill9()
    app.start()
    acme.nonce = None
    for authorization, challenge in challenges:
        assert acme.publish(authorization, challenge).status_code == 200
        assert acme.wait(challenge["url"], ("valid", "invalid"))["status"] == "valid"
    assert acme.wait(url, ("ready", "invalid"))["status"] == "ready"


def test_a_job_without_a_value_ends_invalid_after_a_restart(make_appliance):
    app = make_appliance().start()
    acme, url, _, challenges = processing_order(app, "never.svc.test")
    app.restart()
    acme.nonce = None
    assert acme.wait(challenges[0][1]["url"], ("valid", "invalid"), 40)["status"] == "invalid"
    assert acme.post(url).json()["status"] == "invalid"


def test_root_account_certificate_and_values_survive(make_appliance):
    app = make_appliance().start()
    root = pathlib.Path(app.root_pem).read_bytes()
    acme = Acme(app).register()
    url, order = acme.order("stays.svc.test")
    acme.prove(order)
    certificate = acme.finalize(order).json()["certificate"]
    chain = acme.post(certificate).text
    values = txt_values("_acme-challenge.stays.svc.test")
    assert values
    for end in (app.stop, app.kill9):
        end()
        app.start()
        acme.nonce = None
        assert pathlib.Path(app.root_pem).read_bytes() == root
        assert acme.post(certificate).text == chain
        assert acme.post(url).json()["status"] == "valid"
        assert txt_values("_acme-challenge.stays.svc.test") == values
        again = Acme(app, key=acme.key)
        assert again.post(again.urls["newAccount"], {"onlyReturnExisting": True}).headers["Location"] == acme.kid
    assert len(split_chain(chain)) >= 2


class Waking:
    """A web server that says nothing until it is told to; `asked` is set when somebody has come."""

    def __init__(self):
        self.webroot, self.asked, self.is_awake = Webroot(), threading.Event(), False

    def __call__(self, connection):
        if self.is_awake:
            self.webroot(connection)
            return
        self.asked.set()
        wait_for_end(connection)


@pytest.fixture(scope="module")
def addresses(resolv_conf):
    many_addresses()


@pytest.mark.usefixtures("addresses")
@pytest.mark.parametrize("end", ["stop", "kill9"])
def test_a_validation_in_flight_goes_on_after_the_end(make_appliance, end):
    """The daemon ends while it waits for the target's answer; the next one asks again."""
    target = Waking()
    with Dns() as resolver, Tcp("10.66.0.60", 80, target):
        resolver.put("flight.corp.test", "10.66.0.60")
        app = make_appliance(**SETTINGS).start()
        acme = Acme(app).register()
        url, order = acme.order("flight.corp.test")
        _, challenge = acme.challenge_of(order["authorizations"][0], "http-01")
        target.webroot.put(acme, challenge)
        assert acme.post(challenge["url"], {}).json()["status"] == "processing"
        assert target.asked.wait(30)
        getattr(app, end)()
        target.is_awake = True
        app.start()
        acme.nonce = None
        assert acme.wait(challenge["url"], ("valid", "invalid"))["status"] == "valid"
        assert acme.finalize(order).json()["status"] == "valid"
        assert acme.post(url).json()["status"] == "valid"
