"""Debian's lego 4.9 through the httpreq door, propagation checks on (client-contract §2.10, row 3)."""
from appliance import OTHER_SECRET
from tools import assert_certificate, httpreq_environment, lego, txt_values

NAMES = ("svc.test", "*.svc.test")


def test_apex_and_wildcard_in_one_certificate(app, tmp_path):
    lego(app, tmp_path, NAMES, env=httpreq_environment(app))
    assert_certificate(app, tmp_path / "certificates" / "svc.test.crt", *NAMES)


def test_cleanup_took_the_values_away(app, tmp_path):
    lego(app, tmp_path, ("clean.svc.test",), env=httpreq_environment(app))
    assert txt_values("_acme-challenge.clean.svc.test") == []


def test_raw_mode(app, tmp_path):
    lego(app, tmp_path, NAMES, env=httpreq_environment(app, HTTPREQ_MODE="RAW"))
    assert_certificate(app, tmp_path / "certificates" / "svc.test.crt", *NAMES)


def test_never_seen_deep_names(app, tmp_path):
    names = ("a.b.c.svc.test", "*.b.c.svc.test", "x.svc.test")
    lego(app, tmp_path, names, env=httpreq_environment(app))
    assert_certificate(app, tmp_path / "certificates" / "a.b.c.svc.test.crt", *names)


def test_renewal_is_a_new_certificate_for_the_same_names(app, tmp_path):
    env = httpreq_environment(app)
    path = tmp_path / "certificates" / "renew.svc.test.crt"
    names = ("renew.svc.test", "*.renew.svc.test")
    lego(app, tmp_path, names, env=env)
    first = assert_certificate(app, path, *names)
    lego(app, tmp_path, names, "renew", "--days", "3650", "--no-random-sleep", env=env)
    second = assert_certificate(app, path, *names)
    assert first.serial_number != second.serial_number


def test_rsa_certificate_key(app, tmp_path):
    lego(app, tmp_path, ("rsa.svc.test",), "--key-type", "rsa2048", "run", env=httpreq_environment(app))
    assert_certificate(app, tmp_path / "certificates" / "rsa.svc.test.crt", "rsa.svc.test")


def test_wrong_password_is_401_in_the_clients_own_error(app, tmp_path):
    done = lego(app, tmp_path, NAMES, env=httpreq_environment(app, secret="w" * 44), expect=1)
    assert "401" in done.text, done.text
    assert not (tmp_path / "certificates" / "svc.test.crt").exists()


def test_no_password_is_401(app, tmp_path):
    env = httpreq_environment(app)
    del env["HTTPREQ_USERNAME"], env["HTTPREQ_PASSWORD"]
    assert "401" in lego(app, tmp_path, NAMES, env=env, expect=1).text


def test_a_name_that_is_not_the_clients_is_403(app, tmp_path):
    done = lego(app, tmp_path, NAMES, env=httpreq_environment(app, "other", OTHER_SECRET), expect=1)
    assert "403" in done.text, done.text
