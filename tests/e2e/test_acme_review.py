"""What a hostile review found: accounts that outlived their client, records of a flag that was taken away, HTTP threads lost to look-ups."""
import concurrent.futures
import json
import socket
import ssl
import statistics
import time

import pytest

from appliance import SECRET, client
from hostile import LISTEN, PARALLEL, RESOLVER, ZONES, Dns, many_addresses, silent
from jws_client import ERROR, Acme, assert_problem, assert_sentence, b64, external_account, make_csr
from namespace import CA_ADDRESS
from tools import run, txt_values

FLEET_SECRET = "e2eSecretOfTheFleetThatIsTrusted0123456789AB"
FLOOD = 240  # several times the HTTP threads
NAMES = 25
FLOOD_S = 8  # longer than the look-ups of one finalize
BOUND_S = 2


@pytest.fixture(scope="module", autouse=True)
def addresses(resolv_conf):
    many_addresses()


# --- a client is removed, and added again under the same name ----------------------------------------------------------------


def assert_dead(acme, order):
    finalize = {"csr": b64(make_csr(["a.svc.test"]))}
    for url, payload in ((acme.kid, None), (order["finalize"], finalize), (order["authorizations"][0], None),
                         (acme.urls["newOrder"], {"identifiers": [{"type": "dns", "value": "victim.svc.test"}]}),
                         (acme.urls["newAuthz"], {"identifier": {"type": "dns", "value": "victim.svc.test"}})):
        assert_problem(acme.post(url, payload), 401, "unauthorized")


def test_an_account_does_not_come_back_with_its_clients_name(make_appliance):
    app = make_appliance().start()
    add = ("client", "add", "alice", "--name", "*.svc.test", "--preauthorized", "--quiet")
    leaked = app.cli(*add).stdout.strip()
    thief = Acme(app).bind("alice", leaked)
    thief.issue("stolen.svc.test")
    _, order = thief.order("a.svc.test")
    assert order["status"] == "ready"
    app.cli("client", "remove", "alice")
    assert_dead(thief, order)
    secret = app.cli(*add).stdout.strip()
    assert secret != leaked
    assert_dead(thief, order)
    again = Acme(app, key=thief.key)
    binding = external_account("alice", secret, thief.key, again.urls["newAccount"])
    assert_problem(again.post(again.urls["newAccount"], {"externalAccountBinding": binding}), 401, "unauthorized")
    app.restart()
    thief.nonce = None
    assert_dead(thief, order)
    Acme(app).bind("alice", secret).issue("own.svc.test")


# --- preauthorized: true, then false ------------------------------------------------------------------------------------------


def test_a_flag_that_is_gone_leaves_no_proof(make_appliance):
    """Our DNS still has the dns-persist-01 records of the time before; they prove nothing any more."""
    fleet = client("fleet", FLEET_SECRET, "*.svc.test", preauthorized=True)
    app = make_appliance(clients=[client("lego", SECRET, "*.svc.test"), fleet], acme={"authorization_reuse": "24h"}).start()
    names = ("p.svc.test", "*.p.svc.test")
    acme = Acme(app).bind("fleet", FLEET_SECRET)
    url, before = acme.order(*names)
    assert before["status"] == "ready"
    (text,) = txt_values("_validation-persist.p.svc.test")
    assert f"accounturi={acme.kid}" in text
    fleet["preauthorized"] = False
    app.restart()
    acme.nonce = None
    orders = [acme.order(name)[1] for name in names]
    assert [order["status"] for order in orders] == ["pending", "pending"]
    challenges = [acme.challenge_of(order["authorizations"][0], "dns-persist-01")[1] for order in orders]
    for challenge in challenges:
        assert acme.post(challenge["url"], {}).status_code == 200
    for order, challenge in zip(orders, challenges):
        found = acme.wait(challenge["url"], ("valid", "invalid"))
        assert (found["status"], found["error"]["type"]) == ("invalid", ERROR + "unauthorized"), found
        assert_sentence(found["error"]["detail"])
        assert_problem(acme.finalize(order), 403, "orderNotReady")
    assert_problem(acme.finalize(before), 403, "unauthorized", "preauthorized")
    assert acme.post(url).json()["status"] == "invalid"
    acme.issue(*names)  # by a challenge, like everybody


# --- finalize while nobody answers CAA ----------------------------------------------------------------------------------------


class Connection:
    """A TLS connection that sends a request at once and reads the answer later."""

    def __init__(self, app, number, url, body):
        plain = socket.create_connection((CA_ADDRESS, 443), timeout=60, source_address=(f"10.66.1.{number % 250 + 1}", 0))
        context = ssl.create_default_context(cafile=app.root_pem)
        self.socket = context.wrap_socket(plain, server_hostname="ca.svc.test")
        data = json.dumps(body).encode()
        path = url.partition("ca.svc.test")[2]
        head = f"POST {path} HTTP/1.1\r\nHost: ca.svc.test\r\nContent-Type: application/jose+json\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
        self.socket.sendall(head.encode() + data)

    def answer(self):
        """Its status and its body."""
        with self.socket:
            parts = b"".join(iter(lambda: self.socket.recv(65536), b""))
        head, _, body = parts.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body), head.decode()


def directory_s(app):
    """How long the directory takes, by a program that has nothing else to do."""
    return float(run("curl", "-sS", "--max-time", "60", "--cacert", app.root_pem, "--resolve", f"ca.svc.test:443:{CA_ADDRESS}", "-o", "/dev/null",
                     "-w", "%{time_total}", app.directory_url).text)


def test_finalize_under_a_silent_resolver_is_not_in_the_way(make_appliance):
    fleet = client("fleet", FLEET_SECRET, "*.corp.test", preauthorized=True)
    app = make_appliance(listen=LISTEN, zones=ZONES, resolvers=[f"{RESOLVER}:53"], clients=[client("lego", SECRET, "*.svc.test"), fleet],
                         acme={"authorization_reuse": 0, "caa": "enforce"})
    with Dns() as resolver:
        resolver.look = silent
        app.start()
        acme = Acme(app).bind("fleet", FLEET_SECRET)
        names = [f"flood{number}.corp.test" for number in range(NAMES)]
        url, order = acme.order(*names)
        assert order["status"] == "ready"
        payload = {"csr": b64(make_csr(names))}
        bodies = []
        for _ in range(FLOOD):
            acme.nonce = None
            bodies.append(acme.envelope(order["finalize"], payload))
        waits = []
        with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
            # Each on a connection of its own: a thread that waits takes no further ones, so that the flood reaches all of them.
            flood = [pool.submit(Connection, app, number, order["finalize"], body) for number, body in enumerate(bodies)]
            until = time.monotonic() + FLOOD_S
            while time.monotonic() < until or not all(one.done() for one in flood):
                waits.append(directory_s(app))
            answers = [one.result().answer() for one in flood]
        # One or the other may share its thread with the finalize that waits for the look-ups; no more than that.
        assert statistics.median(waits) < BOUND_S and sum(1 for one in waits if one > BOUND_S) <= 2, waits
        for status, body, head in answers:
            assert status == 200 and body["status"] == "valid" or status == 429 and body["type"] == ERROR + "rateLimited" and "Retry-After" in head, body
        assert any(status == 429 for status, _, _ in answers), "nobody had to wait: this shows nothing"
        deadline = time.monotonic() + 60
        while (done := acme.finalize(order, csr=make_csr(names)) if acme.post(url).json()["status"] == "ready" else acme.post(url)).status_code == 429:
            assert time.monotonic() < deadline, done.text
            time.sleep(int(done.headers["Retry-After"]))
        assert done.status_code == 200 and done.json()["status"] == "valid", done.text
