"""Rate limits: which one it was, when to come again, and who is exempt."""
import pytest

from appliance import SECRET, client, running
from hostile import many_addresses
from jws_client import ERROR, Acme, assert_problem, external_account
from namespace import CA_ADDRESS, INSIDE, OUTSIDE

UNLIMITED_SECRET = "e2eSecretOfTheUnlimitedClient0123456789abcde"
HERE6, THERE6 = "fd00:8::53", "2001:db8::9"
LIMITS = {"new_accounts": 3, "orders": 5, "failed_validations": 2, "pending_validations": 6}
NOBODY = "10.67.0.1"  # an address that never answers


@pytest.fixture(scope="module")
def app(resolv_conf, tmp_path_factory):
    many_addresses()
    clients = [client("lego", SECRET, "*.svc.test", "*.quick.test"), client("unlimited", UNLIMITED_SECRET, "*.svc.test", "*.quick.test", limits=False)]
    with running(tmp_path_factory.mktemp("appliance"), addresses=[CA_ADDRESS, HERE6], clients=clients, acme={"authorization_reuse": 0, "rate_limits": LIMITS},
                 zones=[{"name": "svc.test", "ingress": [NOBODY]}, {"name": "quick.test"}]) as one:
        yield one


def assert_limited(reply, *words):
    problem = assert_problem(reply, 429, "rateLimited", *words)
    assert 1 <= int(reply.headers["Retry-After"]) <= 3600
    assert reply.headers["Replay-Nonce"] and "instance" in problem
    return problem


def exempt(app):
    """From loopback: nothing counts."""
    return Acme(app, source="127.0.0.1").register()


def counted(app):
    """An account made where nothing counts, used where everything does."""
    acme = exempt(app).again(source=OUTSIDE)
    return acme


def test_new_accounts_per_network(app):
    first = [Acme(app, source=INSIDE).register() for _ in range(LIMITS["new_accounts"])]
    for source in (INSIDE, "10.8.10.252"):
        acme = Acme(app, source=source)
        assert_limited(acme.post(acme.urls["newAccount"], {}), "new accounts per network", "10.8.10.0/24", "3 an hour")
    # Those that exist are found, other networks and loopback are not concerned.
    again = Acme(app, key=first[0].key, source=INSIDE)
    assert again.post(again.urls["newAccount"], {}).status_code == 200
    Acme(app, source="10.99.0.7").register()
    for _ in range(LIMITS["new_accounts"] + 2):
        Acme(app, source="127.0.0.1").register()
    Acme(app, source=INSIDE).bind("unlimited", UNLIMITED_SECRET)
    bound = Acme(app, source=INSIDE)
    binding = external_account("lego", SECRET, bound.key, bound.urls["newAccount"])
    assert_limited(bound.post(bound.urls["newAccount"], {"externalAccountBinding": binding}), "new accounts")


def test_new_accounts_per_ipv6_network(app):
    for _ in range(LIMITS["new_accounts"]):
        Acme(app, source=THERE6).register()
    acme = Acme(app, source=THERE6)
    assert_limited(acme.post(acme.urls["newAccount"], {}), "2001:db8::/48")
    Acme(app, source=HERE6).register()


def test_a_refused_account_takes_no_place(app):
    for _ in range(LIMITS["new_accounts"] + 1):
        acme = Acme(app, source="10.99.0.7")
        assert_problem(acme.post(acme.urls["newAccount"], {"contact": ["tel:1"]}), 400, "unsupportedContact")
    Acme(app, source="10.99.0.7").register()


def test_orders_per_account(app):
    acme = counted(app)
    for number in range(LIMITS["orders"] - 1):
        acme.order(f"order{number}.svc.test")
    assert acme.post(acme.urls["newAuthz"], {"identifier": {"type": "dns", "value": "authz.svc.test"}}).status_code == 201
    assert_limited(acme.new_order("more.svc.test"), "orders per account", "5 an hour")
    assert_limited(acme.post(acme.urls["newAuthz"], {"identifier": {"type": "dns", "value": "more.svc.test"}}), "orders per account")
    pinned = acme.post(f"{app.url}/acme/p/short/new-order", {"identifiers": [{"type": "dns", "value": "more.svc.test"}]})
    assert_limited(pinned, "orders per account")
    acme.again(source="127.0.0.1").order("loopback.svc.test")
    assert_problem(acme.new_order("not.ours.example"), 400, "rejectedIdentifier")
    counted(app).order("another-account.svc.test")
    free = Acme(app, source=OUTSIDE).bind("unlimited", UNLIMITED_SECRET)
    for number in range(LIMITS["orders"] + 2):
        free.order(f"free{number}.svc.test")


def failing_challenge(acme, name, kind="http-01"):
    """A challenge of a name without an address, which http-01 finds out at once."""
    _, order = acme.order(name)
    return acme.challenge_of(order["authorizations"][0], kind)[1]


def test_failed_validations_per_account_and_name(app):
    acme = counted(app)
    for _ in range(LIMITS["failed_validations"]):
        challenge = failing_challenge(acme, "fails.quick.test")
        assert acme.post(challenge["url"], {}).status_code == 200
        found = acme.wait(challenge["url"], ("valid", "invalid"))
        assert found["status"] == "invalid" and found["error"]["type"] == ERROR + "dns"
    third = failing_challenge(acme, "fails.quick.test")
    assert_limited(acme.post(third["url"], {}), "failed validations per account and identifier", "2 an hour")
    assert acme.post(third["url"]).json()["status"] == "pending", "it can be tried later"
    wild = failing_challenge(acme, "*.fails.quick.test", "dns-01")
    assert acme.post(wild["url"], {}).status_code == 200, "the wildcard is another identifier"
    # Another account is not concerned, nor is this one from where nothing counts.
    other = counted(app)
    assert other.post(failing_challenge(other, "fails.quick.test")["url"], {}).status_code == 200
    assert acme.again(source="127.0.0.1").post(third["url"], {}).status_code == 200


def test_pending_validations_per_account(app):
    acme = exempt(app)
    challenges = [failing_challenge(acme, f"slow{number}.svc.test") for number in range(LIMITS["pending_validations"] + 2)]
    acme = acme.again(source=OUTSIDE)
    for challenge in challenges[:LIMITS["pending_validations"]]:
        assert acme.post(challenge["url"], {}).json()["status"] == "processing"
    assert_limited(acme.post(challenges[-1]["url"], {}), "acme.rate_limits.pending_validations")
    assert acme.post(challenges[-1]["url"]).json()["status"] == "pending"
    # One that is under way is not another one; what our own zones decide does not count; others are not concerned.
    assert acme.post(challenges[0]["url"], {}).json()["status"] == "processing"
    acme.issue("quick.svc.test")
    assert acme.again(source="127.0.0.1").post(challenges[-1]["url"], {}).json()["status"] == "processing"
    other = exempt(app)
    challenge = failing_challenge(other, "slow.svc.test")
    assert other.again(source=OUTSIDE).post(challenge["url"], {}).json()["status"] == "processing"


def test_pending_validations_of_one_identifier(app):
    """Four of one account for one identifier, the wildcard's included; everybody else has places of their own."""
    acme = exempt(app)
    challenges = [failing_challenge(acme, "popular.svc.test") for _ in range(5)]
    other_name = failing_challenge(acme, "unpopular.svc.test")
    acme = acme.again(source=OUTSIDE)
    for challenge in challenges[:4]:
        assert acme.post(challenge["url"], {}).json()["status"] == "processing"
    assert_limited(acme.post(challenges[4]["url"], {}), "4 per account and identifier")
    assert acme.post(challenges[4]["url"]).json()["status"] == "pending"
    assert acme.post(other_name["url"], {}).json()["status"] == "processing"
    other = exempt(app)
    challenge = failing_challenge(other, "popular.svc.test")
    assert other.again(source=OUTSIDE).post(challenge["url"], {}).json()["status"] == "processing"
