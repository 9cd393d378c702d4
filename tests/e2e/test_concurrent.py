"""Many clients, doors and questions at once; this file also runs against the ThreadSanitizer build."""
import contextlib
import sqlite3
import threading
import time

import dns.exception
import pytest

from jws_client import Acme, Key, assert_problem, httpreq, make_csr, renewal_id, split_chain
from tools import Race, ask, run_all, txt_values

pytestmark = pytest.mark.concurrent

ROUNDS = 6
ISSUERS = 8
CERTIFICATES_EACH = 4


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


# --- two things at the same moment ------------------------------------------------------------------------------------------


def certificates_of(app, order_url):
    with contextlib.closing(sqlite3.connect(f"file:{app.state}/bailiwick.db?mode=ro", uri=True, timeout=30)) as database:
        return database.execute("SELECT COUNT(*) FROM certificate WHERE order_id = ?", (order_url.rpartition("/")[2],)).fetchone()[0]


def statuses(replies):
    return sorted(reply.status_code for reply in replies)


def test_polling_and_posting_at_the_same_moment(app):
    """What is seen only ever moves on."""
    rank = {"pending": 0, "processing": 1, "ready": 2, "valid": 3}
    for number in range(ROUNDS):
        acme = Acme(app).register()
        url, order = acme.order(f"poll{number}.svc.test", f"*.poll{number}.svc.test")
        done = threading.Event()

        def poll(target, acme=acme, done=done):
            me, last = acme.again(), 0
            while not done.is_set():
                reply = me.post(target)
                assert reply.status_code == 200, reply.text
                assert rank[reply.json()["status"]] >= last, reply.text
                last = rank[reply.json()["status"]]

        def work(acme=acme, order=order, done=done):
            try:
                acme.issue(order=order)
            finally:
                done.set()

        targets = [url, *order["authorizations"], *(acme.challenge_of(one)[1]["url"] for one in order["authorizations"])]
        run_all(work, *(lambda target=target: poll(target) for target in targets))
        assert certificates_of(app, url) == 1


@pytest.mark.parametrize("is_same", [True, False])
def test_finalizes_at_the_same_moment(app, is_same):
    for number in range(ROUNDS):
        acme = Acme(app).register()
        name = f"final{number}-{is_same}.svc.test".lower()
        url, order = acme.order(name)
        acme.prove(order)
        csr = make_csr([name])
        workers = [(acme.again(), csr if is_same else make_csr([name])) for _ in range(6)]
        replies = Race().run(*(lambda worker=worker, csr=csr: worker.finalize(order, csr=csr) for worker, csr in workers))
        good = [reply for reply in replies if reply.status_code == 200]
        assert len({reply.json()["certificate"] for reply in good}) == 1
        assert len(good) == (6 if is_same else 1)
        for reply in replies:
            if reply.status_code != 200:
                assert_problem(reply, 403, "orderNotReady")
        assert certificates_of(app, url) == 1


def test_challenges_at_the_same_moment(app):
    """The same one many times, with its value just coming; one succeeds, all see it."""
    for number in range(ROUNDS):
        acme = Acme(app).register()
        _, order = acme.order(f"same{number}.svc.test")
        authorization, challenge = acme.challenge_of(order["authorizations"][0])
        workers = [acme.again() for _ in range(5)]
        replies = Race().run(*(lambda worker=worker: worker.post(challenge["url"], {}) for worker in workers),
                             lambda: acme.publish(authorization, challenge))
        assert statuses(replies) == [200] * 6
        assert acme.wait(challenge["url"], ("valid", "invalid"), 10)["status"] == "valid"
        assert acme.finalize(order).json()["status"] == "valid"


def test_deactivation_during_a_validation(app):
    """Either way round: nothing becomes valid that was given up."""
    for number in range(ROUNDS):
        acme = Acme(app).register()
        url, order = acme.order(f"given-up{number}.svc.test")
        authorization, challenge = acme.challenge_of(order["authorizations"][0])
        first, second, third = acme.again(), acme.again(), acme.again()
        acme.publish(authorization, challenge)
        replies = Race().run(lambda: first.post(challenge["url"], {}), lambda: second.post(order["authorizations"][0], {"status": "deactivated"}),
                             lambda: third.finalize(order))
        assert replies[0].status_code == 200 and replies[1].status_code == 200
        assert acme.post(order["authorizations"][0]).json()["status"] == "deactivated"
        final = acme.post(url).json()
        assert final["status"] == ("valid" if replies[2].status_code == 200 else "invalid"), (final, replies[2].text)
        assert certificates_of(app, url) == (1 if final["status"] == "valid" else 0)


def test_a_key_change_during_a_validation(app):
    for number in range(ROUNDS):
        acme = Acme(app).register()
        _, order = acme.order(f"rekey{number}.svc.test")
        authorization, challenge = acme.challenge_of(order["authorizations"][0])
        acme.publish(authorization, challenge)
        new_key, worker, other = Key(), acme.again(), acme.again()
        replies = Race().run(lambda: acme.key_change(new_key), lambda: worker.post(challenge["url"], {}), lambda: other.post(acme.kid))
        assert replies[0].status_code == 200
        assert all(reply.status_code in (200, 400, 403) for reply in replies), replies
        acme.key = new_key
        if acme.post(challenge["url"]).json()["status"] != "valid":
            acme.publish(authorization, challenge)  # under the new key
            acme.post(challenge["url"], {})
        assert acme.wait(challenge["url"], ("valid", "invalid"))["status"] == "valid"
        assert acme.finalize(order).json()["status"] == "valid"


def test_key_changes_at_the_same_moment(app):
    """Of two that start from one key one wins."""
    for _ in range(ROUNDS):
        acme = Acme(app).register()
        keys = [Key() for _ in range(4)]
        workers = [acme.again() for _ in keys]
        replies = Race().run(*(lambda worker=worker, key=key: worker.key_change(key) for worker, key in zip(workers, keys)))
        won = [key for key, reply in zip(keys, replies) if reply.status_code == 200]
        assert len(won) == 1, [reply.text for reply in replies]
        acme.key = won[0]
        assert acme.post(acme.kid).status_code == 200


def test_accounts_that_want_one_key(app):
    """Two accounts change to the same new key: one gets it, the other is told whose it is."""
    for _ in range(ROUNDS):
        accounts, key = [Acme(app).register() for _ in range(3)], Key()
        replies = Race().run(*(lambda one=one: one.key_change(key) for one in accounts))
        assert statuses(replies) == [200, 409, 409]
        owner = accounts[[reply.status_code for reply in replies].index(200)]
        assert {reply.headers["Location"] for reply in replies} == {owner.kid}


def test_an_account_is_deactivated_while_it_works(app):
    for number in range(ROUNDS):
        acme = Acme(app).register()
        url, order = acme.order(f"leaving{number}.svc.test")
        acme.prove(order)
        workers = [acme.again() for _ in range(3)]
        replies = Race().run(lambda: acme.post(acme.kid, {"status": "deactivated"}), lambda: workers[0].finalize(order),
                             lambda: workers[1].new_order("new.svc.test"), lambda: workers[2].key_change(Key()))
        assert replies[0].status_code in (200, 401, 403, 400)
        assert certificates_of(app, url) == (1 if replies[1].status_code == 200 else 0)


def test_revocations_at_the_same_moment(app):
    for number in range(ROUNDS):
        acme, key = Acme(app).register(), Key()
        _, order = acme.order(f"revoke{number}.svc.test")
        acme.prove(order)
        done = acme.finalize(order, csr=make_csr([f"revoke{number}.svc.test"], key.private)).json()
        leaf = split_chain(acme.post(done["certificate"]).text)[0]
        workers = [acme.again() for _ in range(3)] + [Acme(app, key=key) for _ in range(3)]
        replies = Race().run(*(lambda worker=worker: worker.revoke(leaf) for worker in workers))
        assert statuses(replies) == [200] + [400] * 5
        for reply in replies:
            if reply.status_code != 200:
                assert_problem(reply, 400, "alreadyRevoked")


def test_renewals_at_the_same_moment(app):
    for number in range(ROUNDS):
        acme = Acme(app).register()
        replaced = renewal_id(split_chain(acme.issue(f"renew{number}.svc.test"))[0])
        workers = [acme.again() for _ in range(5)]
        replies = Race().run(*(lambda worker=worker: worker.new_order(f"renew{number}.svc.test", replaces=replaced) for worker in workers))
        assert statuses(replies) == [201] + [409] * 4
        for reply in replies:
            if reply.status_code != 201:
                assert_problem(reply, 409, "alreadyReplaced")


def test_one_nonce_at_the_same_moment(app):
    """It is good once."""
    acme = Acme(app).register()
    for _ in range(ROUNDS):
        nonce = acme.fresh_nonce()
        workers = [acme.again() for _ in range(6)]
        replies = Race().run(*(lambda worker=worker: worker.post(acme.kid, nonce=nonce) for worker in workers))
        assert statuses(replies) == [200] + [400] * 5


def test_a_client_is_removed_while_its_accounts_work(app):
    for number in range(ROUNDS):
        name = f"leaver{number}"
        secret = app.cli("client", "add", name, "--name", "*.svc.test", "--quiet").stdout.strip()
        acme = Acme(app).bind(name, secret)
        url, order = acme.order(f"{name}.svc.test")
        acme.prove(order, user=name, secret=secret)
        worker = acme.again()
        begun = threading.Barrier(2)
        replies = []

        def remove(begun=begun, name=name):
            begun.wait()
            app.cli("client", "remove", name)

        def finalize(begun=begun, worker=worker, order=order, replies=replies):
            begun.wait()
            replies.append(worker.finalize(order))

        run_all(remove, finalize)
        assert replies[0].status_code in (200, 401, 403), replies[0].text
        assert certificates_of(app, url) == (1 if replies[0].status_code == 200 else 0)
        assert acme.post(url).status_code in (401, 403)


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
