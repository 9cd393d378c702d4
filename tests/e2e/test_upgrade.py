"""The database of a program from before records, updates and transfers: what it held is there after the first start of this one, serials go on
from where secondaries and resolvers saw them, and everything works; also when that first start is killed."""
import json
import sqlite3
import subprocess
import time

import pytest

from appliance import ROOT
from jws_client import Acme, http_session
from tools import ask, txt_values

DUMP = ROOT / "tests" / "data" / "upgrade" / "before_dns.sql"  # written by that program; one certificate, values, a registration bound to a name
SERIAL = 1795341116  # the delegate zone's, as it answered last
ORDER = "NrPobQJwKLr_MGxkX3dSGA"
REGISTRATION = {"username": "7e4523fb-75b5-434b-a2e5-c564986b1b59", "password": "5jNUNuyA4OqY8PAsfyc39rUmRHE8NrApBK42xEiV",
                "subdomain": "4881b1e1-c51b-4fcc-9ac9-53aea4c956e0"}
VALUES = {f"v{n}": f"old{n:0>40}" for n in range(3)}


def load(app):
    """As if it had been written a moment ago."""
    path = app.state / "bailiwick.db"
    for old in app.state.glob("bailiwick.db*"):
        old.unlink()
    path.touch(mode=0o600)
    now = int(time.time())
    with sqlite3.connect(path) as db:
        db.executescript(DUMP.read_text(encoding="ascii"))
        db.execute("UPDATE delegate_value SET expires = ?", (now + 3000,))
        db.execute("UPDATE delegate_registration SET created = ?, used = ?", (now, now))
        for table in ("acme_order", "acme_authz"):
            db.execute(f"UPDATE {table} SET created_unix = ?, expires_unix = ?, due_unix = ?", (now, now + 86400, now + 86400))
    db.close()


def is_newer(serial, than):
    return 0 < (serial - than) % 2 ** 32 < 2 ** 31


def check(app):
    for name, value in VALUES.items():
        assert txt_values(f"_acme-challenge.{name}.svc.test") == [value]
    for zone in ("svc.test", "acme.svc.test"):
        assert is_newer(ask(zone, "SOA").answer[0][0].serial, SERIAL), zone
    new = "new" + "n" * 40
    reply = http_session(app.root_pem).post(
        f"{app.url}/acme-dns/update", data=json.dumps({"subdomain": REGISTRATION["subdomain"], "txt": new}), timeout=60,
        headers={"X-Api-User": REGISTRATION["username"], "X-Api-Key": REGISTRATION["password"]})
    assert reply.status_code == 200, reply.text
    assert new in txt_values(REGISTRATION["subdomain"] + ".acme.svc.test")
    assert new in txt_values("_acme-challenge.bound.svc.test")
    assert "certificate jt9a6yKLOuz1r0BgN7G00Q issued" in app.cli("order", "show", ORDER).stdout
    Acme(app).register().issue("fresh.svc.test", "*.fresh.svc.test")


@pytest.fixture
def app(make_appliance):
    one = make_appliance()
    load(one)
    return one


def test_what_was_there_is_there(app):
    app.start()
    check(app)
    serial = ask("acme.svc.test", "SOA").answer[0][0].serial
    app.restart()
    assert not is_newer(serial, ask("acme.svc.test", "SOA").answer[0][0].serial)


def test_a_first_start_that_is_killed(app):
    app.write_config()
    for at_ms in range(20, 320, 15):  # before, in and after the migration, wherever this machine does it
        with open(app.log_path, "ab") as log, subprocess.Popen(app.command("serve", "--config", str(app.config_path)), stdin=subprocess.DEVNULL,
                                                               stdout=log, stderr=log, env=app.environment()) as process:
            time.sleep(at_ms / 1000)
            process.kill()
        if at_ms % 2 == 1 and at_ms < 290:
            load(app)  # from the beginning
    app.start()
    check(app)
