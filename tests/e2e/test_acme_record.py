"""The flight recorder: timelines, problem documents' instances, `bailiwick order`. What went wrong is told to its owner and the administrator only."""
import contextlib
import json
import re
import sqlite3
import time

import pytest

from appliance import OTHER_SECRET, SECRET, running
from hostile import SETTINGS, Dns, Tcp, Webroot, answering, many_addresses, silent
from jws_client import Acme, assert_problem, split_chain
from namespace import CA_ADDRESS, INSIDE

KEPT = 1000


@pytest.fixture(scope="module")
def app(resolv_conf, tmp_path_factory):
    many_addresses()
    with running(tmp_path_factory.mktemp("appliance"), **SETTINGS) as one:
        yield one


@pytest.fixture(scope="module")
def resolver(app):
    with Dns() as one:
        yield one


@pytest.fixture
def account(app):
    return Acme(app).register()


def page_of(account, url):
    reply = account.post(url)
    assert reply.status_code == 200, reply.text
    return reply.json()


def texts(page):
    return [row["text"] for row in page["timeline"]]


def shown(app, order_or_instance):
    """What the administrator sees, as words and as JSON."""
    words = app.cli("order", "show", order_or_instance).stdout
    return words, json.loads(app.cli("order", "show", order_or_instance.rpartition("/")[2], "--json").stdout)


def assert_times(page):
    moments = [(row["time"], row["millisecond"]) for row in page["timeline"]]
    assert moments == sorted(moments)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", when) and 0 <= ms < 1000 for when, ms in moments)


# --- timelines --------------------------------------------------------------------------------------------------------------


def test_the_timeline_of_an_issuance(app, account):
    url, order = account.order("story.svc.test", "*.story.svc.test")
    account.prove(order)
    done = account.finalize(order).json()
    words, page = shown(app, url)
    assert page["order"]["id"] == url.rpartition("/")[2] and page["order"]["status"] == "valid"
    assert page["order"]["identifiers"] == ["story.svc.test", "*.story.svc.test"]
    assert page["order"]["certificate"] == done["certificate"].rpartition("/")[2]
    assert_times(page)
    story = texts(page)
    assert story[0].startswith(f"newOrder from {CA_ADDRESS}") and account.kid.rpartition("/")[2] in story[0]
    for name in ("story.svc.test", "*.story.svc.test"):
        assert any(f"dns-01 of {name}: valid" in text and "client lego" in text for text in story), story
    assert "finalize" in story[-1] and "serial" in story[-1]
    for text in story:
        assert text in words
    assert "story.svc.test" in app.cli("order", "list").stdout


def test_the_timeline_of_a_failure_says_what_was_seen(app, account, resolver):
    """Every resolver's answer, every TCP and HTTP step, CAA, the decision; the same page for the owner and the administrator."""
    resolver.put("seen.corp.test", "10.66.200.1", "10.66.0.90", CAA=['0 issue "letsencrypt.org"'])
    with Tcp("10.66.0.90", 80, answering(b"hello")):
        url, order = account.order("seen.corp.test")
        _, challenge = account.challenge_of(order["authorizations"][0], "http-01")
        account.post(challenge["url"], {})
        error = account.wait(challenge["url"], ("valid", "invalid"))["error"]
    page = page_of(account, error["instance"])
    assert page == shown(app, url)[1] == shown(app, error["instance"])[1]
    assert_times(page)
    assert page["order"]["error"]["instance"] == error["instance"]
    story = " ".join(texts(page))
    for words in ("newOrder from", "http-01 challenge answered by", "asked 10.66.0.2:53 for AAAA seen.corp.test", "asked 10.66.0.2:53 for A seen.corp.test: 2 A",
                  "10.66.200.1:80: Connection refused", "connected to 10.66.0.90:80", "GET http://seen.corp.test/.well-known/acme-challenge/", "invalid"):
        assert words in story, story


def test_the_timeline_says_that_caa_was_asked(app, account, resolver):
    webroot = Webroot()
    resolver.put("caa.corp.test", "10.66.0.91", CAA=['0 issue "letsencrypt.org"'])
    with Tcp("10.66.0.91", 80, webroot):
        url, order = account.order("caa.corp.test")
        _, challenge = account.challenge_of(order["authorizations"][0], "http-01")
        webroot.put(account, challenge)
        account.post(challenge["url"], {})
        assert account.wait(challenge["url"], ("valid", "invalid"))["status"] == "valid"
    assert account.finalize(order).json()["status"] == "valid"
    story = " ".join(texts(shown(app, url)[1]))
    assert "the CAA records at caa.corp.test forbid this" in story, story


def test_the_timeline_says_that_a_clock_is_wrong(app, account, resolver):
    resolver.put("clock.corp.test", "10.66.0.92")
    with Tcp("10.66.0.92", 80, answering(b"hello", "200 OK", "Date: Sat, 01 Jan 2000 00:00:00 GMT")):
        url, order = account.order("clock.corp.test")
        _, challenge = account.challenge_of(order["authorizations"][0], "http-01")
        account.post(challenge["url"], {})
        assert account.wait(challenge["url"], ("valid", "invalid"))["status"] == "invalid"
    story = " ".join(texts(shown(app, url)[1]))
    assert "behind ours" in story, story


def test_the_timeline_of_an_authorization_that_is_ended(app, account):
    url, order = account.order("ended.svc.test")
    account.post(order["authorizations"][0], {"status": "deactivated"})
    story = texts(shown(app, url)[1])
    assert any("deactivated" in text for text in story), story


def test_the_timeline_of_a_revocation(app, account):
    url, order = account.order("revoked.svc.test")
    account.prove(order)
    done = account.finalize(order).json()
    assert account.revoke(split_chain(account.post(done["certificate"]).text)[0], reason=1).status_code == 200
    assert any("revoked with reason 1" in text for text in texts(shown(app, url)[1]))


def test_silence_is_told_too(app, account, resolver):
    resolver.scripts["mute.corp.test"] = silent
    url, order = account.order("mute.corp.test")
    _, challenge = account.challenge_of(order["authorizations"][0], "http-01")
    account.post(challenge["url"], {})
    account.wait(challenge["url"], ("valid", "invalid"))
    story = " ".join(texts(shown(app, url)[1]))
    assert "no answer in time" in story, story


# --- instances --------------------------------------------------------------------------------------------------------------


def test_every_refusal_has_an_instance(app, account):
    url, order = account.order("refused.svc.test")
    refusals = [account.new_order("example.org"), account.finalize(order), account.post(url, {}), account.post(order["finalize"], {"csr": "!"}),
                account.post(account.urls["newOrder"], b"{"), account.post(account.kid + "/nothing")]
    seen = set()
    for reply in refusals:
        problem = reply.json()
        assert reply.status_code >= 400 and re.fullmatch(re.escape(app.url) + r"/acme/problem/[A-Za-z0-9_-]{22}", problem["instance"]), problem
        seen.add(problem["instance"])
        page = page_of(account, problem["instance"])
        assert page["problem"]["type"] == problem["type"] and page["problem"]["detail"] == problem["detail"]
    assert len(seen) == len(refusals)
    page = page_of(account, refusals[1].json()["instance"])
    assert page["order"]["id"] == url.rpartition("/")[2] and page["timeline"]
    words, _ = shown(app, refusals[1].json()["instance"])
    assert refusals[1].json()["detail"] in words


def test_an_instance_is_its_accounts(app, account):
    """403 for everybody else, 404 when it is nobody's; never by GET."""
    other = Acme(app).register()
    _, order = account.order("private.svc.test")
    instance = account.finalize(order).json()["instance"]
    problem = assert_problem(other.post(instance), 403, "unauthorized")
    assert "private.svc.test" not in str(problem)
    assert other.session.get(instance, timeout=30).status_code == 405
    assert_problem(account.post(instance, {}), 400, "malformed")
    unknown = instance[:-22] + "A" * 22
    for acme in (account, other):
        assert_problem(acme.post(unknown), 404, "malformed")
        assert_problem(acme.post(instance + "/more"), 404, "malformed")
    for tail in ("", "x", "../directory", "A" * 3000):
        assert account.post(app.url + "/acme/problem/" + tail).status_code in (400, 403, 404, 405, 414)


def test_what_strangers_are_told_belongs_to_no_account(app, account):
    """Refusals before anybody is known: only the administrator can look them up."""
    stranger = Acme(app)
    instance = stranger.post(stranger.urls["newAccount"], {"onlyReturnExisting": True}).json()["instance"]
    assert account.post(instance).status_code in (403, 404)
    words, page = shown(app, instance)
    assert "accountDoesNotExist" in words and page["timeline"] == []
    # A signature that does not verify makes nobody known either.
    thief = account.again()
    thief.key = Acme(app).key
    instance = thief.post(account.kid).json()["instance"]
    assert account.post(instance).status_code in (403, 404)


def test_a_validations_instance_survives_a_restart(app, account):
    _, order = account.order("survives.corp.test")
    _, challenge = account.challenge_of(order["authorizations"][0], "http-01")
    account.post(challenge["url"], {})
    error = account.wait(challenge["url"], ("valid", "invalid"))["error"]
    before = page_of(account, error["instance"])
    app.restart()
    account.nonce = None
    assert page_of(account, error["instance"]) == before


# --- secrets ----------------------------------------------------------------------------------------------------------------


def test_no_secret_is_in_the_recorder(app, account):
    """Not the credentials of clients, not what proves a name, not a JWS."""
    bound = Acme(app).bind("lego", SECRET)
    _, order = bound.order("secret.svc.test")
    authorization, challenge = bound.challenge_of(order["authorizations"][0])
    bound.publish(authorization, challenge)
    bound.post(challenge["url"], {})
    bound.finalize(order)
    assert_problem(account.finalize(order), 403, "unauthorized")
    with contextlib.closing(sqlite3.connect(f"file:{app.state}/bailiwick.db?mode=ro", uri=True)) as database:
        rows = " ".join(text for (text,) in database.execute("SELECT text FROM acme_record"))
    assert rows
    for secret in (SECRET, OTHER_SECRET, "eyJ", "BEGIN "):
        assert secret not in rows


# --- the command ------------------------------------------------------------------------------------------------------------


def test_order_list_and_show(app, account):
    url, _ = account.order("listed.svc.test", "*.listed.svc.test")
    order_id = url.rpartition("/")[2]
    (line,) = [line for line in app.cli("order", "list").stdout.splitlines() if order_id in line]
    assert "pending" in line and "listed.svc.test, *.listed.svc.test" in line
    (listed,) = [one for one in json.loads(app.cli("order", "list", "--json").stdout) if one["id"] == order_id]
    assert listed["account"] == account.kid.rpartition("/")[2]
    for wrong in ("x", "../../etc/passwd", "A" * 22, "A" * 500, "https://ca.svc.test/acme/problem/"):
        done = app.cli("order", "show", wrong, expect=None)
        assert done.returncode not in (0, 2, 99) and done.stderr.strip() and not done.stdout, done
    for usage in (("order",), ("order", "show"), ("order", "list", "more"), ("order", "nothing", "x"), ("order", "show", "a", "b")):
        assert app.cli(*usage, expect=None).returncode == 2, usage
    assert "order show" in app.cli("order", "--help").stdout


# --- how long it is kept ----------------------------------------------------------------------------------------------------


def test_the_last_thousand_orders_are_kept(app, account):
    old_url, _ = account.order("old.svc.test")
    kept_url, _ = account.order("kept.svc.test")
    now = int(time.time())
    app.stop()
    with contextlib.closing(sqlite3.connect(app.state / "bailiwick.db")) as database, database:
        database.execute("UPDATE acme_order SET created_unix = created_unix - 100")
        columns = [row[1] for row in database.execute("PRAGMA table_info(acme_order)")]
        template = dict(zip(columns, database.execute("SELECT * FROM acme_order WHERE id = ?", (kept_url.rpartition("/")[2],)).fetchone()))
        database.execute("UPDATE acme_order SET created_unix = ? WHERE id = ?", (now - 50, template["id"]))
        for number in range(KEPT - 1):
            row = {**template, "id": f"prune{number:017d}", "created_unix": now - 10}
            database.execute(f"INSERT INTO acme_order ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", list(row.values()))
            database.execute("INSERT INTO acme_record (subject, at_ms, text) VALUES (?, ?, 'newOrder')", (row["id"], now * 1000))
    app.start()
    app.reload()  # wakes maintenance as well
    account.nonce = None
    deadline = time.monotonic() + 30
    while texts(shown(app, old_url)[1]):
        assert time.monotonic() < deadline, "the old order's timeline is still there"
        time.sleep(0.1)
    assert len(texts(shown(app, kept_url)[1])) == 1
    assert account.post(old_url).json()["status"] == "pending", "the order itself stays"


def test_a_daemon_that_is_not_there(make_appliance):
    away = make_appliance()
    away.write_config()
    for command in (("order", "list"), ("order", "show", "A" * 22)):
        done = away.cli(*command, expect=None)
        assert done.returncode not in (0, 2) and "bailiwick serve" in done.stderr


def test_who_asks_is_noted(app, account):
    url, order = account.again(source=INSIDE).order("peer.svc.test")
    assert order["status"] == "pending"
    assert f"from {INSIDE}" in texts(shown(app, url)[1])[0]
