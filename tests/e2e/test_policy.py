"""Clients and their limits at work: networks, removal in mid-order, narrowing, open mode (row 12)."""
import json
import sqlite3

from appliance import OTHER_SECRET, SECRET, client
from jws_client import Acme, assert_problem, assert_sentence, httpreq
from namespace import CA_ADDRESS, INSIDE, OUTSIDE
from tools import run, txt_values

VALUE = "policy" + "p" * 37


def from_address(app, source, action="present", name="_acme-challenge.net.svc.test.", value=VALUE, user="lego", secret=SECRET, headers=()):
    """The same request from a given source address; returns (status, body)."""
    extra = [part for header in headers for part in ("-H", header)]
    credential = ["-u", f"{user}:{secret}"] if user else []
    text = run("curl", "-s", "--interface", source, "--resolve", f"ca.svc.test:443:{CA_ADDRESS}", "--cacert", app.root_pem, *credential, *extra,
               "-w", "\n%{http_code}", "--data", json.dumps({"fqdn": name, "value": value}), f"{app.url}/httpreq/{action}").text
    body, _, code = text.rpartition("\n")
    return int(code), body


def test_a_network_that_is_not_the_clients(make_appliance):
    app = make_appliance(clients=[client("lego", SECRET, "*.svc.test", networks=["10.8.10.0/24"])]).start()
    assert from_address(app, INSIDE)[0] == 200
    code, body = from_address(app, OUTSIDE)
    assert code in (401, 403), body
    detail = json.loads(body)
    assert_sentence(detail.get("detail") or detail.get("error"))
    code, _ = from_address(app, OUTSIDE, headers=[f"X-Forwarded-For: {INSIDE}"])
    assert code in (401, 403), "X-Forwarded-For counts only from trusted proxies"


def test_a_trusted_proxy_speaks_for_its_peer(make_appliance):
    app = make_appliance(clients=[client("lego", SECRET, "*.svc.test", networks=["10.8.10.0/24"])], trusted_proxies=["10.99.0.7"]).start()
    assert from_address(app, "10.99.0.7", headers=[f"X-Forwarded-For: {INSIDE}"])[0] == 200
    assert from_address(app, "10.99.0.7", headers=[f"X-Forwarded-For: {INSIDE}, {OUTSIDE}"])[0] in (401, 403)
    assert from_address(app, INSIDE, headers=[f"X-Forwarded-For: {OUTSIDE}"])[0] == 200


def test_patterns_wildcards_and_apexes(make_appliance):
    """x covers x only; *.x covers what is below x and its wildcards, not x itself (product.md)."""
    app = make_appliance(clients=[client("exact", SECRET, "www.svc.test"), client("below", OTHER_SECRET, "*.svc.test")]).start()
    acme = Acme(app).register()

    def proves(name, user, secret):
        _, order = acme.order(name)
        authorization, challenge = acme.challenge_of(order["authorizations"][0])
        acme.publish(authorization, challenge, user, secret)
        return acme.post(challenge["url"], {}).json()["status"] == "valid"

    assert proves("www.svc.test", "exact", SECRET)
    for name in ("*.www.svc.test", "a.www.svc.test", "svc.test", "*.svc.test"):
        assert not proves(name, "exact", SECRET), name
    for name in ("*.svc.test", "a.svc.test", "a.b.svc.test", "*.b.svc.test"):
        assert proves(name, "below", OTHER_SECRET), name
    assert not proves("svc.test", "below", OTHER_SECRET)


def test_open_mode_lets_in_only_digests_of_pending_challenges(make_appliance):
    app = make_appliance(open=True).start()
    acme = Acme(app).register()
    _, order = acme.order("lab.svc.test", "*.lab.svc.test")
    for url in order["authorizations"]:
        authorization, challenge = acme.challenge_of(url)
        assert acme.publish(authorization, challenge, user=None).status_code == 200
        assert acme.post(challenge["url"], {}).json()["status"] == "valid"
    assert acme.finalize(order).json()["status"] == "valid"
    code, _ = from_address(app, INSIDE, user=None)
    assert code in (400, 403), "a value that no challenge waits for"
    _, order = acme.order("outside.svc.test")
    _, challenge = acme.challenge_of(order["authorizations"][0])
    code, _ = from_address(app, OUTSIDE, name="_acme-challenge.outside.svc.test.", value=acme.digest(challenge), user=None)
    assert code in (401, 403), "open_networks holds private networks only"
    assert "open" in app.log(), "open mode is loud"


def test_a_configured_client_taken_away_in_mid_order(make_appliance):
    """Value published, client gone at the next start: neither the challenge nor finalize may use it."""
    app = make_appliance().start()
    acme = Acme(app).register()
    _, proved = acme.order("ready.svc.test")
    acme.prove(proved)
    _, order = acme.order("gone.svc.test")
    authorization, challenge = acme.challenge_of(order["authorizations"][0])
    assert acme.publish(authorization, challenge).status_code == 200
    app.config["clients"] = [client("other", OTHER_SECRET, "other.svc.test")]
    app.restart()
    acme.nonce = None
    answer = acme.post(challenge["url"], {})
    assert answer.json()["status"] != "valid", answer.text
    refused = acme.finalize(proved)
    assert refused.status_code == 403, refused.text
    assert_sentence(refused.json()["detail"])
    assert httpreq(app, "present", "_acme-challenge.x.svc.test.", VALUE).status_code == 401


def test_a_narrowed_client_in_mid_order(make_appliance):
    app = make_appliance().start()
    acme = Acme(app).register()
    _, order = acme.order("narrow.svc.test")
    acme.prove(order)
    app.config["clients"] = [client("lego", SECRET, "elsewhere.svc.test")]
    app.restart()
    acme.nonce = None
    assert_problem(acme.finalize(order), 403, "unauthorized")


def test_every_publication_has_one_audit_row(make_appliance):
    app = make_appliance().start()
    assert httpreq(app, "present", "_acme-challenge.audit.svc.test.", VALUE).status_code == 200
    assert httpreq(app, "present", "_acme-challenge.svc.test.", VALUE, "other", OTHER_SECRET).status_code == 403
    app.stop()
    with sqlite3.connect(f"file:{app.state}/bailiwick.db?mode=ro", uri=True) as db:
        rows = [row for row in db.execute("SELECT * FROM audit") if "audit.svc.test" in str(row)]
        refused = [row for row in db.execute("SELECT * FROM audit") if "other" in str(row)]
    assert len(rows) == 1, rows
    assert len(refused) == 1, "a refused publication is an audit event too"


def test_the_state_is_for_its_owner_only(make_appliance):
    app = make_appliance().start()
    assert (app.state / "keys").stat().st_mode & 0o077 == 0
    for path in app.state.rglob("*"):
        is_public = path.is_file() and b"BEGIN CERTIFICATE" in path.read_bytes() and b"PRIVATE" not in path.read_bytes()
        assert is_public or path.stat().st_mode & 0o077 == 0, path


def test_values_survive_a_restart(make_appliance):
    app = make_appliance().start()
    assert httpreq(app, "present", "_acme-challenge.values.svc.test.", VALUE).status_code == 200
    assert txt_values("_acme-challenge.values.svc.test") == [VALUE]
    app.restart()
    assert txt_values("_acme-challenge.values.svc.test") == [VALUE], "a value survives a restart"
