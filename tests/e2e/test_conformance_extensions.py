"""RFC 9773 (renewal information) and draft-ietf-acme-profiles on the wire."""
import datetime
import itertools
import re

import pytest
import requests

from jws_client import Acme, assert_problem, renewal_id, split_chain

COUNTER = itertools.count()
RFC3339 = "%Y-%m-%dT%H:%M:%SZ"


@pytest.fixture(scope="module")
def account(app):
    return Acme(app).register()


def fresh_name():
    return f"e{next(COUNTER)}.svc.test"


def issued(account, *names, **more):  # pylint: disable=redefined-outer-name
    url, order = account.order(*names, **more)
    return url, split_chain(account.issue(*names, order=order))[0]


def window(account, certificate):  # pylint: disable=redefined-outer-name
    """The suggested window and the answer it came in: a plain GET by nobody in particular."""
    reply = requests.get(f"{account.urls['renewalInfo']}/{renewal_id(certificate)}", verify=account.app.root_pem, timeout=30)
    assert reply.status_code == 200, reply.text
    found = reply.json()["suggestedWindow"]
    return tuple(datetime.datetime.strptime(found[end], RFC3339) for end in ("start", "end")), reply


# --- RFC 9773 ------------------------------------------------------------------------------------------------------------------------
def test_the_directory_names_renewal_information(account):
    assert re.fullmatch(r"https://ca\.svc\.test/acme/[a-z-]+", account.urls["renewalInfo"])


@pytest.mark.parametrize("profile", ["default", "month", "short"])
def test_a_window_ends_after_it_begins_and_asks_to_come_again(account, profile):
    _, leaf = issued(account, fresh_name(), profile=profile)
    (start, end), reply = window(account, leaf)
    assert leaf.not_valid_before < start < end <= leaf.not_valid_after
    assert 60 <= int(reply.headers["Retry-After"]) <= 86400
    assert reply.headers["Content-Type"] == "application/json"
    assert account.revoke(leaf).status_code == 200
    (start, end), reply = window(account, leaf)
    assert start < end < datetime.datetime.utcnow() and int(reply.headers["Retry-After"]) >= 60


@pytest.mark.parametrize("change, status", [
    (lambda text: text + "=", 400), (lambda text: text.replace(".", "=."), 400), (lambda text: text.replace(".", ""), 400), (lambda text: "." + text, 400),
    (lambda text: text.partition(".")[0], 400), (lambda text: text.partition(".")[0] + ".", 400), (lambda text: "AAAA" + text[4:], 404),
    (lambda text: text[:-4] + "AAAA", 404)], ids=range(8))
def test_what_names_no_certificate(account, change, status):
    _, leaf = issued(account, fresh_name())
    reply = requests.get(f"{account.urls['renewalInfo']}/{change(renewal_id(leaf))}", verify=account.app.root_pem, timeout=30)
    assert_problem(reply, status, "malformed")


def test_replaces_is_told_back_in_every_answer(account):
    name = fresh_name()
    _, leaf = issued(account, name)
    url, order = account.order(name, replaces=renewal_id(leaf))
    assert order["replaces"] == renewal_id(leaf)
    account.prove(order)
    assert account.post(url).json()["replaces"] == renewal_id(leaf)
    assert account.finalize(order).json()["replaces"] == renewal_id(leaf)
    assert "replaces" not in account.order(name)[1]


def test_a_certificate_is_replaced_once(account):
    name = fresh_name()
    _, leaf = issued(account, name)
    _, order = account.order(name, replaces=renewal_id(leaf))
    assert_problem(account.new_order(name, replaces=renewal_id(leaf)), 409, "alreadyReplaced")
    account.post(order["authorizations"][0], {"status": "deactivated"})  # which makes that order invalid
    assert account.new_order(name, replaces=renewal_id(leaf)).status_code == 201


def test_a_replacement_that_does_not_fit(app, account):
    name = fresh_name()
    _, leaf = issued(account, name)
    assert_problem(Acme(app).register().new_order(name, replaces=renewal_id(leaf)), 403, "unauthorized")
    assert_problem(account.new_order(fresh_name(), replaces=renewal_id(leaf)), 400, "malformed")
    for text in ("x", renewal_id(leaf) + "=", "AAAA." + renewal_id(leaf).partition(".")[2]):
        assert_problem(account.new_order(name, replaces=text), 400, "malformed")
    assert_problem(account.new_order(name, replaces=5), 400, "malformed")
    assert account.new_order(name, f"more-{name}", replaces=renewal_id(leaf)).status_code == 201


# --- profiles ------------------------------------------------------------------------------------------------------------------------
def test_the_directory_lists_profiles_with_words(app, account):
    profiles = account.session.get(app.directory_url, timeout=30).json()["meta"]["profiles"]
    assert set(profiles) == {"default", "month", "short"}
    assert all(len(text.split()) >= 2 and text.isprintable() for text in profiles.values())


@pytest.mark.parametrize("profile, days", [("default", 90), ("month", 30), ("short", 6)])
def test_an_order_has_the_profile_it_asked_for(account, profile, days):
    name = fresh_name()
    url, leaf = issued(account, name, profile=profile)
    assert account.post(url).json()["profile"] == profile
    assert leaf.not_valid_after - leaf.not_valid_before == datetime.timedelta(days=days) - datetime.timedelta(seconds=1)


@pytest.mark.parametrize("profile", ["nobody", "Default", "short ", "x" * 500])
def test_a_profile_that_is_not_offered(account, profile):
    assert_problem(account.new_order(fresh_name(), profile=profile), 400, "invalidProfile")


def test_an_order_without_a_profile_gets_the_default(account):
    url, leaf = issued(account, fresh_name())
    assert (leaf.not_valid_after - leaf.not_valid_before).days == 89
    assert account.post(url).json()["profile"] == "default"


def test_a_pinned_directory_orders_its_profile(app):
    one = Acme(app, directory_path="/acme/p/short/directory").register()
    url, order = one.order(fresh_name())
    assert order["profile"] == "short" and one.post(url).json() == order
    assert_problem(one.new_order(fresh_name(), profile="month"), 400, "invalidProfile")
    assert one.session.get(app.url + "/acme/p/nobody/directory", timeout=30).status_code == 404


def test_a_profile_that_went_away_ends_its_orders(make_appliance):
    listen = {"https": ["127.0.0.1:8443"], "http": ["127.0.0.1:8080"], "dns": ["127.0.0.1:8053"]}
    one = make_appliance(listen=listen, public_url="https://localhost:8443", profiles=[{"name": "week", "lifetime": "7d"}]).start()
    account = Acme(one).register()  # pylint: disable=redefined-outer-name
    url, order = account.order(fresh_name(), profile="week")
    account.prove(order)
    one.config["profiles"] = []
    one.restart()
    again = account.again()
    assert_problem(again.finalize(order), 400, "invalidProfile")
    assert again.post(url).json()["status"] == "invalid"


def test_a_profile_that_cannot_have_this_key_says_so(make_appliance):
    listen = {"https": ["127.0.0.1:8443"], "http": ["127.0.0.1:8080"], "dns": ["127.0.0.1:8053"]}
    one = make_appliance(listen=listen, public_url="https://localhost:8443", profiles=[{"name": "rsa", "lifetime": "7d", "key_types": ["rsa"]}]).start()
    account = Acme(one).register()  # pylint: disable=redefined-outer-name
    url, order = account.order(fresh_name(), profile="rsa")
    account.prove(order)
    assert_problem(account.finalize(order), 400, "badPublicKey")
    assert account.post(url).json()["status"] == "ready"
