"""Two things at the same moment while validations are on the network; this file also runs against the ThreadSanitizer build."""
import signal
import threading
import time

import pytest

from appliance import running
from hostile import SETTINGS, Dns, Tcp, Webroot, many_addresses, wait_for_end
from jws_client import Acme, Key
from tools import Race, run_all

pytestmark = pytest.mark.concurrent

ROUNDS = 4
WEB = "10.66.0.51"


@pytest.fixture(scope="module")
def app(resolv_conf, tmp_path_factory):
    many_addresses()
    with running(tmp_path_factory.mktemp("appliance"), **SETTINGS) as one:
        yield one


@pytest.fixture(scope="module")
def world(app):
    """The resolver, and an honest web server."""
    webroot = Webroot()
    with Dns() as resolver, Tcp(WEB, 80, webroot):
        yield resolver, webroot


def prepared(app, world, name, kind="http-01"):
    """An order for a name of the honest server; (account, its URL, the order, the challenge)."""
    resolver, webroot = world
    resolver.put(name, WEB)
    acme = Acme(app).register()
    url, order = acme.order(name)
    _, challenge = acme.challenge_of(order["authorizations"][0], kind)
    webroot.put(acme, challenge)
    return acme, url, order, challenge


def test_the_same_challenge_is_one_validation(app, world):
    for number in range(ROUNDS):
        acme, _, order, challenge = prepared(app, world, f"one{number}.corp.test")
        workers = [acme.again() for _ in range(6)]
        replies = Race().run(*(lambda worker=worker: worker.post(challenge["url"], {}) for worker in workers))
        assert all(reply.status_code == 200 and reply.json()["status"] in ("processing", "valid") for reply in replies)
        assert acme.wait(challenge["url"], ("valid", "invalid"))["status"] == "valid"
        assert acme.finalize(order).json()["status"] == "valid"
        path = challenge["url"].rpartition("/")[0]
        assert path and sum(1 for target, _ in world[1].seen if challenge["token"] in target) == 1, "the target was asked once"


def test_challenges_of_two_kinds_end_in_one_state(app, world):
    """One of them succeeds, one fails, at the same moment: the authorization is what was decided first, and the order follows it."""
    for number in range(ROUNDS):
        name = f"two{number}.corp.test"
        acme, url, order, good = prepared(app, world, name)
        bad = acme.challenge_of(order["authorizations"][0], "tls-alpn-01")[1]  # nobody listens on port 443
        first, second = acme.again(), acme.again()
        replies = Race().run(lambda: first.post(good["url"], {}), lambda: second.post(bad["url"], {}))
        assert [reply.status_code for reply in replies] == [200, 200]
        found = acme.wait(order["authorizations"][0], ("valid", "invalid"))
        assert found["status"] in ("valid", "invalid")
        expected = "ready" if found["status"] == "valid" else "invalid"
        assert acme.wait(url, ("ready", "invalid"))["status"] == expected
        assert [one["status"] for one in found["challenges"] if one["status"] == "valid"] == (["valid"] if expected == "ready" else [])
        for one in (good, bad):
            assert acme.wait(one["url"], ("valid", "invalid"))["status"] in ("valid", "invalid")


def test_deactivation_while_the_network_is_asked(app, world):
    for number in range(ROUNDS):
        acme, url, order, challenge = prepared(app, world, f"stop{number}.corp.test")
        first, second = acme.again(), acme.again()
        replies = Race().run(lambda: first.post(challenge["url"], {}), lambda: second.post(order["authorizations"][0], {"status": "deactivated"}))
        assert [reply.status_code for reply in replies] == [200, 200]
        assert acme.post(order["authorizations"][0]).json()["status"] == "deactivated"
        assert acme.post(url).json()["status"] == "invalid"
        assert acme.wait(challenge["url"], ("valid", "invalid"))["status"] in ("valid", "invalid")
        assert acme.post(order["authorizations"][0]).json()["status"] == "deactivated", "a late answer changes nothing"


def test_a_key_change_while_the_network_is_asked(app, world):
    """Proved with the key that asked, or not at all; the account goes on with the new one."""
    for number in range(ROUNDS):
        acme, url, order, challenge = prepared(app, world, f"rekey{number}.corp.test")
        worker, new_key = acme.again(), Key()
        replies = Race().run(lambda: acme.key_change(new_key), lambda: worker.post(challenge["url"], {}))
        assert replies[0].status_code == 200 and replies[1].status_code in (200, 400, 403)
        acme.key = new_key
        if acme.post(challenge["url"]).json()["status"] == "pending":
            world[1].put(acme, challenge)
            acme.post(challenge["url"], {})
        found = acme.wait(challenge["url"], ("valid", "invalid"))
        assert acme.wait(url, ("ready", "invalid"))["status"] == ("ready" if found["status"] == "valid" else "invalid")


def test_an_account_ends_while_the_network_is_asked(app, world):
    for number in range(ROUNDS):
        acme, _, _, challenge = prepared(app, world, f"end{number}.corp.test")
        worker = acme.again()
        replies = Race().run(lambda: acme.post(acme.kid, {"status": "deactivated"}), lambda: worker.post(challenge["url"], {}))
        assert replies[0].status_code == 200 and replies[1].status_code in (200, 401)


class Flood:
    """A web server that answers some, keeps some waiting and hangs up on the others."""

    def __init__(self):
        self.webroot, self.number = Webroot(), 0

    def __call__(self, connection):
        self.number += 1
        if self.number % 3 == 0:
            wait_for_end(connection)
        elif self.number % 3 == 1:
            self.webroot(connection)


def test_the_network_the_settings_and_the_end_at_once(make_appliance, world):
    """http-01 against all kinds of targets, dns-01 beside, reloads, and an end in the middle of it."""
    resolver, _ = world
    target = Flood()
    listen = {"https": ["127.0.0.1:8443"], "http": ["127.0.0.1:8080"], "dns": ["127.0.0.1:8053"]}
    with Tcp("10.66.0.50", 80, target):
        one = make_appliance(**{**SETTINGS, "listen": listen}, public_url="https://localhost:8443").start()
        done = threading.Event()

        def web(number):
            acme = Acme(one).register()
            for turn in range(6):
                name = f"flood{number}-{turn}.corp.test"
                resolver.put(name, "10.66.0.50", CAA=['0 issue "ca.svc.test"'])
                _, order = acme.order(name)
                _, challenge = acme.challenge_of(order["authorizations"][0], "http-01")
                target.webroot.put(acme, challenge)
                assert acme.post(challenge["url"], {}).status_code == 200
                if turn % 2:
                    acme.post(order["authorizations"][0], {"status": "deactivated"})

        def local(number):
            acme = Acme(one).register()
            for turn in range(6):
                acme.issue(f"local{number}-{turn}.svc.test")

        def reload():
            while not done.is_set():
                one.process.send_signal(signal.SIGHUP)
                time.sleep(0.05)

        def work():
            try:
                run_all(*(lambda number=number: web(number) for number in range(4)), *(lambda number=number: local(number) for number in range(2)))
            finally:
                done.set()

        run_all(work, reload)
        one.stop()  # with validations in flight; judged like every end
