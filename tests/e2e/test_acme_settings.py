"""Settings in force: what SIGHUP takes over, what waits for a restart, what a wrong file changes (nothing), and the environment."""
import re
import signal
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from appliance import client, running
from hostile import LISTEN, RESOLVER, ZONES, Certificate, Dns, Tcp, Webroot, many_addresses, tls, wait_for_end
from jws_client import ERROR, Acme, Key, assert_problem, make_csr, split_chain
from tools import run

TERMS = "https://ca.svc.test/terms-1"


@pytest.fixture(scope="module")
def app(resolv_conf, tmp_path_factory):
    many_addresses()
    with running(tmp_path_factory.mktemp("appliance"), listen=LISTEN, zones=ZONES, resolvers=[f"{RESOLVER}:53"]) as one:
        yield one


@pytest.fixture
def changed(app):
    """changed(section, **values): reload with these; at the end everything is as it was."""
    kept = {name: (dict(value) if isinstance(value, dict) else value) for name, value in app.config.items()}

    def change(section, **values):
        app.config[section] = {**app.config.get(section, {}), **values}
        return app.reload()

    yield change
    app.config.clear()
    app.config.update(kept)
    app.reload()


@pytest.fixture
def account(app):
    return Acme(app).register()


def meta(app):
    return Acme(app).session.get(app.directory_url, timeout=30).json()["meta"]


# --- one key after the other ------------------------------------------------------------------------------------------------


def test_terms_of_service(app, account, changed):
    assert "termsOfService" not in meta(app)
    changed("acme", terms_of_service=TERMS)
    assert meta(app)["termsOfService"] == TERMS
    stranger = Acme(app)
    for payload in ({}, {"termsOfServiceAgreed": False}):
        reply = stranger.post(stranger.urls["newAccount"], payload)
        problem = assert_problem(reply, 403, "userActionRequired", TERMS)
        assert f'<{TERMS}>;rel="terms-of-service"' in reply.headers["Link"] and "instance" in problem
    assert stranger.post(stranger.urls["newAccount"], {"termsOfServiceAgreed": "yes"}).status_code == 400
    reply = stranger.post(stranger.urls["newAccount"], {"termsOfServiceAgreed": True})
    assert reply.status_code == 201 and reply.json()["termsOfServiceAgreed"] is True
    account.issue("terms.svc.test")


def test_external_account_required(app, account, changed):
    changed("acme", external_account_required=True)
    assert meta(app)["externalAccountRequired"] is True
    stranger = Acme(app)
    assert_problem(stranger.post(stranger.urls["newAccount"], {}), 403, "externalAccountRequired")
    account.issue("stays.svc.test")
    changed("acme", external_account_required=False)
    stranger.register()


def test_authorization_reuse(account, changed):
    account.issue("reuse.svc.test")
    assert account.order("reuse.svc.test")[1]["status"] == "pending"
    changed("acme", authorization_reuse="1h")
    account.issue("reuse.svc.test")
    assert account.order("reuse.svc.test")[1]["status"] == "ready"
    changed("acme", authorization_reuse=0)
    assert account.order("reuse.svc.test")[1]["status"] == "pending"


def test_retry_after(account, changed):
    _, order = account.order("later.svc.test")
    changed("acme", retry_after="7s")
    assert account.post(order["authorizations"][0]).headers["Retry-After"] == "7"


def test_orders_per_page(account, changed):
    for number in range(3):
        account.order(f"page{number}.svc.test")
    assert len(account.post(account.kid + "/orders").json()["orders"]) == 3
    changed("acme", orders_per_page=2)
    assert len(account.post(account.kid + "/orders").json()["orders"]) == 2


def test_min_rsa_bits(app, changed):
    older = Acme(app, "RS256").register()
    changed("acme", min_rsa_bits=3072)
    url, order = older.order("rsa.svc.test")
    older.prove(order)
    refused = older.finalize(order, csr=make_csr(["rsa.svc.test"], rsa.generate_private_key(65537, 2048)))
    assert refused.json()["type"] in (ERROR + "badPublicKey", ERROR + "badCSR") and "3072" in refused.json()["detail"], refused.text
    assert older.post(url).json()["status"] == "ready"
    assert older.finalize(order, csr=make_csr(["rsa.svc.test"], rsa.generate_private_key(65537, 3072))).json()["status"] == "valid"
    young = Acme(app, key=Key("RS256", 2048))
    assert_problem(young.post(young.urls["newAccount"], {}), 400, "badPublicKey", "3072")


def test_blocked_names(account, changed):
    url, order = account.order("www.blocked.svc.test")
    account.prove(order)
    changed("acme", blocked_names=["blocked.svc.test"])
    for name in ("blocked.svc.test", "x.blocked.svc.test", "*.blocked.svc.test"):
        assert_problem(account.new_order(name), 400, "rejectedIdentifier", "blocked")
    assert account.new_order("notblocked.svc.test").status_code == 201
    refused = account.finalize(order)
    assert refused.status_code in (400, 403), "policy is asked for again at finalize"
    assert account.post(url).json()["status"] == "invalid"


def test_ip_networks(account, changed):
    assert_problem(account.new_order("10.66.0.77"), 400, "rejectedIdentifier", "acme.ip_networks")
    changed("acme", ip_networks=["10.66.0.0/24"])
    assert account.new_order("10.66.0.77").status_code == 201
    assert_problem(account.new_order("10.66.1.77"), 400, "rejectedIdentifier")


def test_rate_limits(app, account, changed):
    changed("acme", rate_limits={"orders": 1})
    account.order("first.svc.test")
    assert_problem(account.new_order("second.svc.test"), 429, "rateLimited")
    changed("acme", rate_limits={"orders": 0})
    for number in range(5):
        account.order(f"unlimited{number}.svc.test")
    assert app.process.poll() is None


def test_profiles(app, account, changed):
    assert "tenday" not in meta(app)["profiles"]
    app.config["profiles"] = [{"name": "tenday", "lifetime": "10d"}]
    app.reload()
    assert "10" in meta(app)["profiles"]["tenday"]
    url, order = account.order("profile.svc.test", profile="tenday")
    account.prove(order)
    _, second = account.order("profile2.svc.test", profile="tenday")
    account.prove(second)
    leaf = split_chain(account.post(account.finalize(second).json()["certificate"]).text)[0]
    assert (leaf.not_valid_after - leaf.not_valid_before).days == 9
    app.config["profiles"] = []
    app.reload()
    assert_problem(account.new_order("profile.svc.test", profile="tenday"), 400, "invalidProfile")
    assert_problem(account.finalize(order), 400, "invalidProfile", "tenday")
    assert account.post(url).json()["status"] == "invalid"
    assert account.session.get(f"{app.url}/acme/p/tenday/directory", timeout=30).status_code == 404
    changed("acme")


def http01(acme, webroot, name):
    _, order = acme.order(name)
    _, challenge = acme.challenge_of(order["authorizations"][0], "http-01")
    webroot.put(acme, challenge)
    acme.post(challenge["url"], {})
    return acme.wait(challenge["url"], ("valid", "invalid"))


def test_validation_ports_and_networks(account, changed):
    webroot = Webroot()
    with Dns() as resolver, Tcp("127.0.0.1", 8088, webroot), Tcp("10.66.0.70", 8088, webroot):
        resolver.put("here.corp.test", "127.0.0.1")
        resolver.put("there.corp.test", "10.66.0.70")
        assert http01(account, webroot, "there.corp.test")["error"]["type"] == ERROR + "connection"
        changed("validation", http_port=8088)
        assert http01(account, webroot, "there.corp.test")["status"] == "valid"
        found = http01(account, webroot, "here.corp.test")
        assert found["status"] == "invalid" and "loopback" in found["error"]["detail"]
        changed("validation", http_port=8088, allow=["127.0.0.0/8"])
        assert http01(account, webroot, "here.corp.test")["status"] == "valid"


def test_validation_tls_port(account, changed):
    import hashlib  # pylint: disable=import-outside-toplevel
    contexts = []
    with Dns() as resolver, Tcp("10.66.0.71", 8448, tls(wait_for_end, lambda: contexts[0])):
        resolver.put("tls.corp.test", "10.66.0.71")
        changed("validation", tls_port=8448)
        _, order = account.order("tls.corp.test")
        _, challenge = account.challenge_of(order["authorizations"][0], "tls-alpn-01")
        digest = hashlib.sha256(account.key_authorization(challenge).encode()).digest()
        contexts.append(Certificate(["tls.corp.test"], digest).context("acme-tls/1"))
        account.post(challenge["url"], {})
        assert account.wait(challenge["url"], ("valid", "invalid"))["status"] == "valid"


def test_log_level(app, account, changed):
    app.config["log"] = {"level": "error"}
    app.write_config()
    app.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 30
    while True:  # no line says so: quiet is what was asked for
        before = len(app.log())
        account.order("quiet.svc.test")
        if len(app.log()) == before:
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)
    app.config["log"] = {"level": "info"}
    changed("acme")
    account.order("loud.svc.test")
    assert "loud.svc.test" in app.log()


# --- what a reload does not do ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("section, values", [("acme", {"retry_after": "soon"}), ("acme", {"caa": "maybe"}), ("acme", {"nothing": 1}), ("validation", {"http_port": 70000}),
                                             ("validation", {"allow": ["here"]}), ("acme", {"blocked_names": ["-"]}), ("acme", {"rate_limits": {"orders": -1}})],
                         ids=str)
def test_a_wrong_file_changes_nothing(app, account, changed, section, values):
    changed("acme", retry_after="3s")
    good = app.config[section] if section in app.config else None
    app.config[section] = {**(good or {}), **values}
    app.config["acme"] = {**app.config["acme"], **({"retry_after": "9s"} if "retry_after" not in values else {})}
    logged = app.reload(wanted="ev=config.reload ")
    assert "ev=config.problem" in logged and "config.reloaded" not in logged
    assert next(iter(values)) in logged, logged
    _, order = account.order("wrong.svc.test")
    assert account.post(order["authorizations"][0]).headers["Retry-After"] == "3"


def test_a_file_that_is_gone_or_garbage_changes_nothing(app, account):
    for text in (None, "acme: [", "- a\n- b\n", "\0\0\0", "acme: {retry_after: 5s, retry_after: 6s}\n"):
        before = len(app.log())
        if text is None:
            app.config_path.unlink()
        else:
            app.config_path.write_text(text, encoding="utf-8")
        app.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 30
        while "ev=config.reload " not in app.log()[before:]:
            assert time.monotonic() < deadline, app.log()[before:]
            time.sleep(0.02)
        account.issue("garbage.svc.test")
    app.reload()


def test_keys_that_need_a_restart_are_named(app, account, changed):
    app.config.update(hostname="other.svc.test", zones=[*ZONES, {"name": "new.test"}], clients=[*app.config["clients"], client("late", "L" * 44, "*.svc.test")])
    logged = changed("acme", retry_after="4s")
    line = next(line for line in logged.splitlines() if "config.restart_needed" in line)
    for key in ("hostname", "zones", "clients"):
        assert re.search(rf"\b{key}\b", line), line
    assert "retry_after" not in line and "config.reloaded" in logged
    _, order = account.order("restart.svc.test")
    assert account.post(order["authorizations"][0]).headers["Retry-After"] == "4", "the rest was taken over"
    assert_problem(account.new_order("x.new.test"), 400, "rejectedIdentifier")


def test_many_reloads_under_load(app, account, changed):
    for turn in range(20):
        app.config["acme"] = {**app.config["acme"], "retry_after": f"{turn + 1}s"}
        app.config["profiles"] = [{"name": f"turn{turn}", "lifetime": "1d"}]
        app.write_config()
        app.process.send_signal(signal.SIGHUP)
        account.issue(f"turn{turn}.svc.test")
    logged = changed("acme", retry_after="21s")
    assert "config.reloaded" in logged
    _, order = account.order("after.svc.test")
    assert account.post(order["authorizations"][0]).headers["Retry-After"] == "21"


# --- the environment --------------------------------------------------------------------------------------------------------


@pytest.fixture
def second(make_appliance):
    return make_appliance(listen={"https": ["127.0.0.1:8443"], "http": ["127.0.0.1:8080"], "dns": ["127.0.0.1:8053"]}, public_url="https://localhost:8443")


def test_the_environment_beats_the_file(second):
    second.config["acme"] = {"retry_after": "2s", "authorization_reuse": 0}
    second.more_environment = {"BAILIWICK_ACME_RETRY_AFTER": "9s", "BAILIWICK_ACME_TERMS_OF_SERVICE": TERMS, "BAILIWICK_ACME_BLOCKED_NAMES": "bad.svc.test,worse.svc.test",
                               "BAILIWICK_PROFILES": "week=7d,mtls=90d:server-auth+client-auth:ec", "BAILIWICK_ACME_IP_NETWORKS": "10.0.0.0/8",
                               "BAILIWICK_VALIDATION_ALLOW": "127.0.0.0/8", "BAILIWICK_ACME_CAA": "off", "BAILIWICK_ACME_EXTERNAL_ACCOUNT_REQUIRED": "false",
                               "BAILIWICK_ACME_RATE_LIMITS_ORDERS": "3",
                               "BAILIWICK_CLIENTS": "lego+preauthorized+no-limits:" + second.config["clients"][0]["secret"] + ":*.svc.test:127.0.0.0/8"}
    del second.config["clients"]
    second.start()
    second.config["clients"] = []
    found = meta(second)
    assert found["termsOfService"] == TERMS and {"week", "mtls"} <= set(found["profiles"])
    account = Acme(second).register()
    _, order = account.order("env.svc.test", profile="week")
    assert account.post(order["authorizations"][0]).headers["Retry-After"] == "9"
    for name in ("bad.svc.test", "x.worse.svc.test"):
        assert_problem(account.new_order(name), 400, "rejectedIdentifier")
    assert account.new_order("10.1.2.3").status_code == 201
    del second.config["clients"]
    second.config["acme"]["retry_after"] = "5s"
    second.reload()
    second.config["clients"] = []
    assert account.post(order["authorizations"][0]).headers["Retry-After"] == "9"


@pytest.mark.parametrize("variable, value", [("BAILIWICK_ACME_RETRY_AFTER", "soon"), ("BAILIWICK_ACME_CAA", "maybe"), ("BAILIWICK_ACME_ORDERS_PER_PAGE", "0"),
                                             ("BAILIWICK_ACME_RATE_LIMIT", "5"), ("BAILIWICK_VALIDATION_HTTP_PORT", "0"), ("BAILIWICK_PROFILES", "default=5d"),
                                             ("BAILIWICK_PROFILES", "x=5"), ("BAILIWICK_ACME_MIN_RSA_BITS", "1024")])
def test_a_wrong_variable_stops_the_start(second, variable, value):
    second.write_config()
    second.more_environment = {variable: value}
    done = run(*second.command("check", "--config", str(second.config_path)), env=second.environment(), expect=None)
    assert done.returncode != 0 and variable in done.text, done.text
