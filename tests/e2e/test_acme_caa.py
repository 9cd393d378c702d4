"""CAA (RFC 8659, RFC 8657) through a scripted resolver, and the modes of `acme.caa`; dns-account-01 and dns-persist-01 in foreign zones."""
import base64
import hashlib
import time

import pytest

from appliance import running
from hostile import LISTEN, RESOLVER, ZONES, Dns, Tcp, Webroot, all_at_once, failing, many_addresses, refusing, silent, truncating
from jws_client import ERROR, Acme, assert_sentence

WEB = "10.66.0.80"
US = "ca.svc.test"


@pytest.fixture(scope="module")
def app(resolv_conf, tmp_path_factory):
    many_addresses()
    with running(tmp_path_factory.mktemp("appliance"), listen=LISTEN, zones=ZONES, resolvers=[f"{RESOLVER}:53"],
                 acme={"authorization_reuse": 0, "caa": "enforce"}) as one:
        yield one


class World:
    def __init__(self, resolver, webroot):
        self.resolver, self.webroot = resolver, webroot
        self.foreign = [f"https://{US}/acme/account/AAAAAAAAAAAAAAAAAAAAAA", "https://acme.example.org/acct/1"]


@pytest.fixture(scope="module")
def world(app):
    webroot = Webroot()
    with Dns() as resolver, Tcp(WEB, 80, webroot):
        yield World(resolver, webroot)


# name -> (allowed?, {type: CAA texts at the name}, more records or scripts for names above or below, identifier)
ALLOWED = {
    "no-records": {},
    "us": {"": [f'0 issue "{US}"']},
    "us-in-upper-case": {"": [f'0 ISSUE "{US.upper()}"']},
    "us-and-others": {"": ['0 issue "letsencrypt.org"', f'0 issue "{US}"']},
    "with-spaces": {"": [f'0 issue " {US} ; validationmethods=http-01 "']},
    "unknown-not-critical": {"": [f'0 issue "{US}"', '0 future "x"']},
    "only-iodef": {"": ['0 iodef "mailto:a@corp.test"']},
    "critical-known": {"": [f'128 issue "{US}"', '128 iodef "mailto:a@corp.test"']},
    "unknown-parameter": {"": [f'0 issue "{US}; policy=ev"']},
    "only-issuewild-for-others": {"": ['0 issuewild "letsencrypt.org"']},
    "method": {"": [f'0 issue "{US}; validationmethods=dns-01,http-01"']},
    "own-account": {"": [f'0 issue "{US}; accounturi=ACCOUNT"']},
    "own-account-and-method": {"": [f'0 issue "{US}; accounturi=ACCOUNT; validationmethods=http-01"']},
    "second-chance": {"": [f'0 issue "{US}; accounturi=https://x.test/1"', f'0 issue "{US}; accounturi=ACCOUNT"']},
    "child.overrides.tree": {"": [f'0 issue "{US}"'], "overrides.tree": ['0 issue "letsencrypt.org"']},
}
FORBIDDEN = {
    "others": {"": ['0 issue "letsencrypt.org"']},
    "nobody": {"": ['0 issue ";"']},
    "nobody-empty": {"": ['0 issue ""']},
    "malformed-value": {"": [f'0 issue "{US}; broken parameter"']},
    "malformed-name": {"": ['0 issue "ca_svc test"']},
    "other-method": {"": [f'0 issue "{US}; validationmethods=dns-01"']},
    "other-method-case": {"": [f'0 issue "{US}; validationmethods=HTTP-01"']},
    "other-account": {"": [f'0 issue "{US}; accounturi=https://{US}/acme/account/AAAAAAAAAAAAAAAAAAAAAA"']},
    "foreign-account": {"": [f'0 issue "{US}; accounturi=https://acme.example.org/acct/1"']},
    "account-twice": {"": [f'0 issue "{US}; accounturi=ACCOUNT; accounturi=ACCOUNT"']},
    "critical-unknown": {"": [f'0 issue "{US}"', '128 future "x"']},
    "critical-unknown-alone": {"": ['128 tbs "unknown"']},
    "grandchild.below.forbidden": {"forbidden": ['0 issue "letsencrypt.org"']},
    "aliased": {"": "CNAME"},
    "through-tcp": {"": "TCP"},
}
# What stands in the way of an answer never forbids: nobody else can say anything about a private name.
BROKEN = {"servfail-child": failing, "refused-child": refusing, "silent-child": silent, "cut-child": truncating}
BROKEN_PARENTS = {"a.servfail": failing, "b.refused": refusing, "c.silent": silent}


class Attempt:
    """One order proved by http-01, with CAA records that may name the account."""

    def __init__(self, app, world, name, records):
        self.acme = Acme(app).register()
        host = f"{name}.corp.test"
        world.resolver.put(host, WEB)
        for owner, texts in records.items():
            at = host if owner == "" else f"{owner}.corp.test"
            if texts == "CNAME":
                world.resolver.scripts[(at, "CAA")] = lambda question: question.reply([(at, "CNAME", "target.corp.test."), ("target.corp.test", "CAA", '0 issue ";"')])
            elif texts == "TCP":
                world.resolver.scripts[(at, "CAA")] = lambda question: question.reply(['0 issue ";"']) if question.is_tcp else truncating(question)
            else:
                world.resolver.put(at, CAA=[text.replace("ACCOUNT", self.acme.kid) for text in texts])
        self.url, order = self.acme.order(host)
        _, challenge = self.acme.challenge_of(order["authorizations"][0], "http-01")
        world.webroot.put(self.acme, challenge)
        assert self.acme.post(challenge["url"], {}).status_code == 200
        self.challenge = self.acme.wait(challenge["url"], ("valid", "invalid"), 60)
        self.order = self.acme.post(self.url).json()


@pytest.fixture(scope="module")
def attempts(app, world):
    world.resolver.scripts.update({(f"{name}.corp.test", "CAA"): script for name, script in BROKEN.items()})
    world.resolver.scripts.update({(f"{name.partition('.')[2]}.corp.test", "CAA"): script for name, script in BROKEN_PARENTS.items()})

    def attempt(name, records):
        return lambda: Attempt(app, world, name, records)

    return all_at_once({name: attempt(name, records) for name, records in {**ALLOWED, **FORBIDDEN, **dict.fromkeys((*BROKEN, *BROKEN_PARENTS), {})}.items()})


@pytest.mark.parametrize("name", (*ALLOWED, *BROKEN, *BROKEN_PARENTS))
def test_records_that_let_us_issue(attempts, name):
    one = attempts[name]
    assert one.challenge["status"] == "valid", one.challenge
    done = one.acme.finalize(one.order)
    assert done.status_code == 200 and done.json()["status"] == "valid", done.text


@pytest.mark.parametrize("name", FORBIDDEN)
def test_records_that_forbid_it(attempts, name):
    one = attempts[name]
    error = one.challenge.get("error", {})
    assert (one.challenge["status"], error.get("type")) == ("invalid", ERROR + "caa"), one.challenge
    assert_sentence(error["detail"])
    assert "CAA" in error["detail"]
    assert one.order["status"] == "invalid" and one.order["error"]["type"] == ERROR + "caa"


# --- wildcards, by dns-01 ---------------------------------------------------------------------------------------------------


def proved(acme, world, name, expect):
    """dns-01 in a zone that others serve; the challenge as it was decided."""
    _, order = acme.order(name)
    _, challenge = acme.challenge_of(order["authorizations"][0])
    world.resolver.put(f"_acme-challenge.{name.removeprefix('*.')}", TXT=[acme.digest(challenge)])
    acme.post(challenge["url"], {})
    found = acme.wait(challenge["url"], ("valid", "invalid"))
    assert found["status"] == expect, found
    return order


@pytest.mark.parametrize("name, records, plain, wild", [
    ("w1", ['0 issue "letsencrypt.org"', f'0 issuewild "{US}"'], "invalid", "valid"),
    ("w2", [f'0 issue "{US}"', '0 issuewild ";"'], "valid", "invalid"),
    ("w3", [f'0 issue "{US}"'], "valid", "valid"),
    ("w4", [f'0 issuewild "{US}; validationmethods=dns-01"'], "valid", "valid"),
    ("w5", [f'0 issuewild "{US}; validationmethods=dns-account-01"'], "valid", "invalid")])
def test_issuewild(app, world, name, records, plain, wild):
    world.resolver.put(f"{name}.corp.test", CAA=records)
    acme = Acme(app).register()
    proved(acme, world, f"{name}.corp.test", plain)
    proved(acme, world, f"*.{name}.corp.test", wild)


def test_our_own_zones_are_not_asked_for_elsewhere(app, world):
    """Names that we serve: dns-01 is decided in the reply although the parents are the resolver's, which may be silent."""
    world.resolver.scripts[("test", "CAA")] = silent
    acme = Acme(app).register()
    begun = len(world.resolver.asked)
    acme.issue("own.svc.test", "*.own.svc.test")
    assert not [one for one in world.resolver.asked[begun:] if one[0].endswith("svc.test")]


@pytest.mark.parametrize("script", [failing, None], ids=["servfail", "nxdomain"])
def test_the_first_question_about_a_parent_delays_little(make_appliance, world, script):
    """A daemon that has asked nobody yet: what our zones cannot say is asked for at once, not when the client's time is over."""
    if script:
        world.resolver.scripts[("test", "CAA")] = script
    else:
        world.resolver.scripts.pop(("test", "CAA"), None)
    ports = {"https": ["127.0.0.1:8443"], "http": ["127.0.0.1:8080"], "dns": ["127.0.0.1:8053"]}
    fresh = make_appliance(listen=ports, public_url="https://localhost:8443", zones=ZONES, resolvers=[f"{RESOLVER}:53"], acme={"caa": "enforce"}).start()
    acme = Acme(fresh).register()
    asked = world.resolver.times("test", "CAA")
    _, order = acme.order("fresh.svc.test")
    authorization, challenge = acme.challenge_of(order["authorizations"][0])
    assert acme.publish(authorization, challenge).status_code == 200
    assert acme.post(challenge["url"], {}).json()["status"] in ("processing", "valid")
    assert acme.wait(challenge["url"], ("valid", "invalid"), 10)["status"] == "valid"
    assert world.resolver.times("test", "CAA") == asked + 1
    acme.issue("second.svc.test")


# --- the modes --------------------------------------------------------------------------------------------------------------


def test_report_and_off(app, world, attempts):
    """Taken over by SIGHUP: report issues and says so in the log; off asks nobody."""
    assert attempts
    world.resolver.put("reported.corp.test", CAA=['0 issue "letsencrypt.org"'])
    acme = Acme(app).register()
    try:
        app.config["acme"]["caa"] = "report"
        app.reload()
        order = proved(acme, world, "reported.corp.test", "valid")
        assert acme.finalize(order).json()["status"] == "valid"
        assert "ev=acme.caa.report" in app.log() and "reported.corp.test" in app.log()
        app.config["acme"]["caa"] = "off"
        app.reload()
        asked = sum(1 for _, kind, _ in world.resolver.asked if kind == "CAA")
        order = proved(acme, world, "off.corp.test", "valid")
        assert acme.finalize(order).json()["status"] == "valid"
        assert sum(1 for _, kind, _ in world.resolver.asked if kind == "CAA") == asked
    finally:
        app.config["acme"]["caa"] = "enforce"
        app.reload()


def test_a_record_that_comes_between_proof_and_finalize(app, world):
    """CAA is asked for again when the answer is old: the cache holds it for minutes, so here it is the same answer."""
    acme = Acme(app).register()
    order = proved(acme, world, "between.corp.test", "valid")
    asked = world.resolver.times("between.corp.test", "CAA")
    assert acme.finalize(order).json()["status"] == "valid"
    assert world.resolver.times("between.corp.test", "CAA") == asked


# --- dns-account-01, dns-persist-01 -----------------------------------------------------------------------------------------


def account_label(kid):
    return "_" + base64.b32encode(hashlib.sha256(kid.encode()).digest()[:10]).decode().lower()


def answered(acme, name, kind):
    _, order = acme.order(name)
    _, challenge = acme.challenge_of(order["authorizations"][0], kind)
    return order, challenge


def decided(acme, challenge):
    reply = acme.post(challenge["url"], {})
    assert reply.status_code == 200, reply.text
    return acme.wait(challenge["url"], ("valid", "invalid"))


def test_dns_account_01(app, world):
    acme = Acme(app).register()
    for name in ("account.corp.test", "*.account.corp.test"):
        order, challenge = answered(acme, name, "dns-account-01")
        world.resolver.put(f"{account_label(acme.kid)}._acme-challenge.account.corp.test", TXT=[acme.digest(challenge)])
        assert decided(acme, challenge)["status"] == "valid"
        assert acme.finalize(order).json()["status"] == "valid"


def persist(acme, *more, issuer=US, account=None):
    return '"' + "; ".join([issuer, f"accounturi={account or acme.kid}", *more]) + '"'


GOOD_PERSIST = {
    "plain": lambda acme: [persist(acme)],
    "upper": lambda acme: [persist(acme, issuer=US.upper())],
    "until": lambda acme: [persist(acme, f"persistUntil={int(time.time()) + 3600}")],
    "among": lambda acme: ['"v=spf1 -all"', persist(acme, issuer="letsencrypt.org"), persist(acme)],
    "renewed": lambda acme: [persist(acme, "persistUntil=1000000000"), persist(acme)],
}
BAD_PERSIST = {
    "none": lambda acme: [],
    "ended": lambda acme: [persist(acme, "persistUntil=1000000000")],
    "not-a-number": lambda acme: [persist(acme, "persistUntil=tomorrow")],
    "other-issuer": lambda acme: [persist(acme, issuer="letsencrypt.org")],
    "other-account": lambda acme: [persist(acme, account=acme.kid[:-4] + "AAAA")],
    "no-account": lambda acme: [f'"{US}"'],
    "account-twice": lambda acme: [persist(acme, f"accounturi={acme.kid}")],
    "nonsense": lambda acme: ['";;;"', '"="'],
}


@pytest.fixture(scope="module")
def persisted(app, world):
    def attempt(name, texts):
        def run():
            acme = Acme(app).register()
            order, challenge = answered(acme, f"p-{name}.corp.test", "dns-persist-01")
            assert "token" not in challenge
            records = texts(acme)
            if records:
                world.resolver.put(f"_validation-persist.p-{name}.corp.test", TXT=records)
            return acme, order, decided(acme, challenge)
        return run

    return all_at_once({name: attempt(name, texts) for name, texts in {**GOOD_PERSIST, **BAD_PERSIST}.items()})


@pytest.mark.parametrize("name", GOOD_PERSIST)
def test_dns_persist_01(persisted, name):
    acme, order, challenge = persisted[name]
    assert challenge["status"] == "valid", challenge
    assert acme.finalize(order).json()["status"] == "valid"


@pytest.mark.parametrize("name", BAD_PERSIST)
def test_dns_persist_01_refused(persisted, name):
    _, _, challenge = persisted[name]
    assert challenge["status"] == "invalid", challenge
    assert challenge["error"]["type"] in (ERROR + "dns", ERROR + "unauthorized", ERROR + "malformed"), challenge
    assert_sentence(challenge["error"]["detail"])


def test_a_persistent_wildcard_wants_its_policy(app, world):
    acme = Acme(app).register()
    world.resolver.put("_validation-persist.wild.corp.test", TXT=[persist(acme, "policy=wildcard")])
    order, challenge = answered(acme, "*.wild.corp.test", "dns-persist-01")
    assert decided(acme, challenge)["status"] == "valid"
    assert acme.finalize(order).json()["status"] == "valid"
