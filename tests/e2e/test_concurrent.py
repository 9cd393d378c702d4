"""Many clients, doors and questions at once; this file also runs against the ThreadSanitizer build."""
import threading
import time

import dns.exception
import pytest

from jws_client import Acme, assert_problem, httpreq
from tools import ask, txt_values

pytestmark = pytest.mark.concurrent

ISSUERS = 8
CERTIFICATES_EACH = 4


def run_all(*functions):
    """Run every function in a thread of its own; the first exception is the test's."""
    errors = []

    def guarded(function):
        try:
            function()
        except BaseException as error:  # pylint: disable=broad-except
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_issuing_publishing_and_asking_at_once(app):
    done = threading.Event()

    def issuer(number):
        acme = Acme(app, ("ES256", "ES384", "EdDSA", "RS256")[number % 4]).register()
        for turn in range(CERTIFICATES_EACH):
            acme.issue(f"c{number}-{turn}.svc.test", f"*.c{number}-{turn}.svc.test")

    def publisher(number):
        turn = 0
        while not done.is_set():
            value = f"{turn % 50:02d}{number:02d}" + "p" * 39
            assert httpreq(app, "present", f"_acme-challenge.p{number}.svc.test.", value).status_code == 200
            assert value in txt_values(f"_acme-challenge.p{number}.svc.test", tcp=True)
            assert httpreq(app, "cleanup", f"_acme-challenge.p{number}.svc.test.", value).status_code == 200
            assert value not in txt_values(f"_acme-challenge.p{number}.svc.test", tcp=True)
            turn += 1

    def asker(number):
        kinds = ("A", "TXT", "SOA", "NS", "CAA", "AAAA")
        turn = 0
        while not done.is_set():
            answer = ask(f"_acme-challenge.c{number}-{turn % CERTIFICATES_EACH}.svc.test", kinds[turn % len(kinds)], tcp=turn % 10 == 0)
            assert answer.rcode() == 0
            turn += 1

    def waiter(number):
        """Challenges that are asked for first and published later."""
        acme = Acme(app).register()
        for turn in range(CERTIFICATES_EACH):
            _, order = acme.order(f"w{number}-{turn}.svc.test")
            authorization, challenge = acme.challenge_of(order["authorizations"][0])
            assert acme.post(challenge["url"], {}).json()["status"] == "processing"
            assert acme.publish(authorization, challenge).status_code == 200
            deadline = time.monotonic() + 10
            while acme.post(challenge["url"]).json()["status"] != "valid":
                assert time.monotonic() < deadline
            assert acme.finalize(order).json()["status"] == "valid"

    def issue_all():
        try:
            run_all(*(lambda number=number: issuer(number) for number in range(ISSUERS)),
                    *(lambda number=number: waiter(number) for number in range(2)))
        finally:
            done.set()

    run_all(issue_all, *(lambda number=number: publisher(number) for number in range(2)), *(lambda number=number: asker(number) for number in range(3)))


def test_one_account_many_threads_one_order(app):
    """Everybody posts the same challenge and finalizes the same order at once: one certificate."""
    owner = Acme(app).register()
    _, order = owner.order("shared.svc.test")
    authorization, challenge = owner.challenge_of(order["authorizations"][0])
    assert owner.publish(authorization, challenge).status_code == 200
    certificates = set()

    def worker():
        acme = Acme(app, key=owner.key)
        acme.kid = owner.kid
        assert acme.post(challenge["url"], {}).json()["status"] == "valid"
        reply = acme.finalize(order)
        if reply.status_code == 200:
            certificates.add(reply.json()["certificate"])
        else:
            assert_problem(reply, 403, "orderNotReady")

    run_all(*[worker] * 8)
    assert len(certificates) == 1


def test_the_same_account_registered_at_once_is_one(app):
    first = Acme(app)
    locations = []

    def worker():
        acme = Acme(app, key=first.key)
        locations.append(acme.register().kid)

    run_all(*[worker] * 8)
    assert len(locations) == 8 and len(set(locations)) == 1


def test_a_clean_end_under_load(make_appliance):
    app = make_appliance(listen={"https": ["127.0.0.1:8443"], "http": ["127.0.0.1:8080"], "dns": ["127.0.0.1:8053"]},
                         public_url="https://localhost:8443").start()
    ended = threading.Event()

    def worker(number):
        try:
            acme = Acme(app).register()
            turn = 0
            while not ended.is_set():
                acme.issue(f"end{number}-{turn}.svc.test")
                turn += 1
        except (OSError, dns.exception.DNSException):
            return  # the server went away: that is what this is about

    def ender():
        time.sleep(0.5)  # some load first; nothing is judged by it
        app.stop()
        ended.set()

    run_all(ender, *(lambda number=number: worker(number) for number in range(4)))
