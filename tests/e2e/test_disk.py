"""A full disk and a state directory that cannot be written: a clear error, DNS goes on, nothing is lost, and it recovers."""
import contextlib

import pytest

from jws_client import Acme, assert_sentence, httpreq, make_csr
from tools import ask, run, txt_values

VALUE = "disk" + "d" * 39


@contextlib.contextmanager
def small_disk(app, size):
    run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", app.state)
    try:
        yield app.state
    finally:
        run("umount", "--lazy", app.state)


def fill(folder):
    path = folder / "filler"
    with open(path, "wb", buffering=0) as out:
        with contextlib.suppress(OSError):
            while True:
                out.write(b"\0" * 65536)
        with contextlib.suppress(OSError):
            while True:
                out.write(b"\0")
    return path


def refused_for_the_disk(reply):
    assert reply.status_code in (500, 503), f"{reply.status_code} {reply.text}"
    body = reply.json()
    assert_sentence(body.get("detail") or body.get("error"))


def test_a_full_disk(make_appliance):
    app = make_appliance()
    with small_disk(app, "6m"):
        app.start()
        acme = Acme(app).register()
        assert httpreq(app, "present", "_acme-challenge.before.svc.test.", VALUE).status_code == 200
        _, order = acme.order("full.svc.test")
        authorization, challenge = acme.challenge_of(order["authorizations"][0])
        _, ready = acme.order("ready.svc.test")
        acme.prove(ready)
        csr = make_csr(["ready.svc.test"])
        filler = fill(app.state)
        refusals = 0
        for number in range(400):  # what SQLite's files still have room for is used up first
            reply = acme.new_order(f"n{number}.svc.test")
            if reply.status_code != 201:
                refused_for_the_disk(reply)
                refusals += 1
                if refusals == 3:
                    break
        assert refusals == 3, "the disk did not fill up"
        refused_for_the_disk(acme.publish(authorization, challenge))
        refused_for_the_disk(acme.finalize(ready, csr=csr))
        assert txt_values("_acme-challenge.full.svc.test") == [], "what was refused is not visible"
        assert ask("svc.test", "SOA").answer and txt_values("_acme-challenge.before.svc.test") == [VALUE]
        assert acme.session.get(app.url + "/root.pem", timeout=30).status_code == 200
        filler.unlink()
        assert acme.publish(authorization, challenge).status_code == 200
        assert acme.post(challenge["url"], {}).json()["status"] == "valid"
        assert acme.finalize(order).json()["status"] == "valid"
        assert acme.finalize(ready, csr=csr).json()["status"] == "valid"
        app.restart()
        acme.nonce = None
        acme.issue("after.svc.test")
        assert "disk" in app.log() or "space" in app.log(), "the log says why"
        app.stop()


@pytest.fixture
def read_only_state(make_appliance):
    """A state that was made, then mounted read-only."""
    app = make_appliance()
    with small_disk(app, "16m"):
        app.start()
        app.stop()
        run("mount", "-o", "remount,ro", app.state)
        yield app
        run("mount", "-o", "remount,rw", app.state)
        app.start()
        Acme(app).register().issue("writable.svc.test")
        app.stop()


def test_a_read_only_state_directory_at_start(read_only_state):
    done = read_only_state.cli("serve", expect=None)
    assert done.returncode > 0, done
    assert "read-only" in (done.stderr + done.stdout).lower() and str(read_only_state.state) in done.stderr + done.stdout, done.stderr


def test_a_disk_too_small_to_start(make_appliance):
    app = make_appliance()
    with small_disk(app, "16k"):
        app.write_config()
        done = app.cli("serve", expect=None)
        assert done.returncode > 0 and done.stderr.strip(), done
    app.start()


def test_a_state_directory_that_is_not_ours(make_appliance, tmp_path):
    app = make_appliance()
    blocker = tmp_path / "file"
    blocker.write_text("x", encoding="ascii")
    app.config["state_dir"] = str(blocker / "state")
    app.write_config()
    done = app.cli("serve", expect=None)
    assert done.returncode > 0 and str(blocker) in done.stderr + done.stdout, done.stderr


@pytest.mark.parametrize("victim", ["bailiwick.db", "keys"])
def test_a_damaged_state_is_told_and_not_replaced(make_appliance, victim):
    app = make_appliance().start()
    app.stop()
    paths = [app.state / victim] if victim == "bailiwick.db" else [path for path in (app.state / "keys").iterdir() if path.is_file()]
    assert paths
    kept = {path: path.read_bytes() for path in paths}
    for path in paths:
        path.write_bytes(b"damaged" * 100)
    for extra in app.state.glob("bailiwick.db-*"):
        extra.unlink()
    done = app.cli("serve", expect=None)
    assert done.returncode > 0 and len((done.stderr + done.stdout).split()) > 5, done
    for path in paths:
        assert path.read_bytes() == b"damaged" * 100, "the evidence was overwritten"
        path.write_bytes(kept[path])
    app.start()
    Acme(app).register().issue("repaired.svc.test")
