"""kill -9 during issuance, 100 rounds: whatever a client was told is still there afterwards."""
import random
import sqlite3
import threading

import requests
from cryptography.hazmat.primitives import serialization

from jws_client import Acme, Key, httpreq, split_chain
from tools import txt_values

ROUNDS = 100
THREADS = 3
FULL_CHECK_EVERY = 25


class Told:
    """What one client was told by a 2xx before the server died under it."""

    def __init__(self, account):
        self.account = account
        self.orders = {}  # url -> status
        self.certificates = {}  # url -> chain
        self.values = []  # (name, value)
        self.revoked = []  # certificates
        self.maybe_key = None  # asked for with keyChange, without an answer so far

    def change_key(self):
        self.maybe_key = Key()
        reply = self.account.key_change(self.maybe_key)
        assert reply.status_code == 200, reply.text
        self.account.key, self.maybe_key = self.maybe_key, None

    def settle_key(self):
        """What was told counts; of what was only asked for both ways are right, but one of them is."""
        acme = self.account
        if self.maybe_key is None:
            return
        if acme.post(acme.kid).status_code != 200:
            acme.key = self.maybe_key
        self.maybe_key = None
        reply = acme.post(acme.kid)
        assert reply.status_code == 200, f"neither the old nor the new key is the account's: {reply.text}"


def issue_until_it_dies(app, told, prefix):
    """Issue certificates one after the other, remembering every answer, until the connection breaks."""
    acme = told.account
    acme.nonce = None
    try:
        for number in range(10_000):
            name = f"{prefix}-{number}.svc.test"
            url, order = acme.order(name)
            told.orders[url] = "pending"
            authorization, challenge = acme.challenge_of(order["authorizations"][0])
            if acme.publish(authorization, challenge).status_code == 200:
                told.values.append((name, acme.digest(challenge)))
            if acme.post(challenge["url"], {}).json()["status"] == "valid":
                told.orders[url] = "ready"
            done = acme.finalize(order).json()
            told.orders[url] = done["status"]
            told.certificates[done["certificate"]] = None
            chain = acme.post(done["certificate"])
            if len(chain.content) == int(chain.headers["Content-Length"]):  # the library hands out half a body as well
                told.certificates[done["certificate"]] = chain.text
                leaf = split_chain(chain.text)[0]
                if number % 2 == 0 and acme.revoke(leaf).status_code == 200:
                    told.revoked.append(leaf.public_bytes(serialization.Encoding.PEM))
            if number % 2 == 0:
                told.change_key()
    except requests.RequestException:
        return


RANK = {"pending": 0, "ready": 1, "processing": 2, "valid": 3}


def check(told, last_only):
    acme = told.account
    acme.nonce = None
    told.settle_key()
    orders = list(told.orders.items())[-3:] if last_only else list(told.orders.items())
    for url, status in orders:
        reply = acme.post(url)
        assert reply.status_code == 200, f"an order that the client was told of is gone: {reply.text}"
        assert RANK[reply.json()["status"]] >= RANK[status], f"{url} was {status}, is {reply.json()['status']}"
    certificates = list(told.certificates.items())[-3:] if last_only else list(told.certificates.items())
    for url, chain in certificates:
        reply = acme.post(url)
        assert reply.status_code == 200, reply.text
        assert chain in (None, reply.text)
    for pem in told.revoked[-3:] if last_only else told.revoked:
        reply = acme.revoke(split_chain(pem.decode())[0])
        assert reply.status_code == 400 and reply.json()["type"].endswith(":alreadyRevoked"), f"a revocation that was told is gone: {reply.text}"
    for name, value in told.values[-3:]:
        assert value in txt_values(f"_acme-challenge.{name}")


def test_a_hundred_kills_lose_nothing_that_was_told(make_appliance):
    app = make_appliance().start()
    rng = random.Random(9)
    told = [Told(Acme(app).register()) for _ in range(THREADS)]
    for round_number in range(ROUNDS):
        threads = [threading.Thread(target=issue_until_it_dies, args=(app, one, f"r{round_number}t{index}")) for index, one in enumerate(told)]
        for thread in threads:
            thread.start()
        threads[0].join(rng.uniform(0.01, 0.35))  # the moment of the kill, anywhere in an issuance
        app.kill9()
        for thread in threads:
            thread.join()
        app.start()
        for one in told:
            check(one, last_only=(round_number + 1) % FULL_CHECK_EVERY != 0)
    certificates = sum(len(one.certificates) for one in told)
    assert certificates >= ROUNDS // 2, f"only {certificates} certificates in {ROUNDS} rounds: the kills came too early to prove anything"
    assert sum(len(one.revoked) for one in told) >= ROUNDS // 8
    assert httpreq(app, "present", "_acme-challenge.after.svc.test.", "k" * 43).status_code == 200
    app.stop()
    with sqlite3.connect(f"file:{app.state}/bailiwick.db?mode=ro", uri=True) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
