"""`bailiwick client …`: every block that `client add` prints is run exactly as printed; list, remove, cname, release."""
import base64
import os
import re
import signal
import subprocess

import pytest

from appliance import SECRET, environment
from jws_client import Acme, http_session, httpreq
from namespace import CA_ADDRESS, Host, write_resolv_conf
from tools import ask, assert_certificate, run, txt_values
from traefik import Traefik

VALUE = "cli" + "c" * 40
PATTERNS = ("svc.test", "*.svc.test")
BLOCKS = ("lego, httpreq", "lego 4.22 or newer, acme-dns with HTTP storage", "Traefik, httpreq", "Traefik, acme-dns with HTTP storage")
UPDATES = ("nsupdate, RFC 2136", "lego, rfc2136", "certbot, dns-rfc2136", "acme.sh, dns_nsupdate", "Caddy, rfc2136")
BINDING = "ACME external account binding"
PREAUTHORIZED = ("Caddy, preauthorized: no challenge", "Traefik, preauthorized: no challenge")


def add(app, name, *patterns, flags=(), **more):
    options = [part for pattern in patterns for part in ("--name", pattern)]
    return app.cli("client", "add", name, *options, *flags, **more)


def blocks(text):
    """{title: shell text} of what was printed."""
    parts = re.split(r"^# --- (.*) ---$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


@pytest.fixture(scope="module")
def printed(app):
    return blocks(add(app, "printed", *PATTERNS).stdout)


def shell(text, folder, **env):
    script = folder / "block.sh"
    script.write_text("set -eu\n" + text, encoding="utf-8")
    return script, environment(**env)


@pytest.fixture(scope="module")
def preauthorized(app):
    return blocks(add(app, "pre", *PATTERNS, flags=("--preauthorized", "--network", "10.8.10.0/24")).stdout)


def test_all_blocks_are_there(printed, preauthorized):
    assert tuple(printed) == BLOCKS + UPDATES + (BINDING,)
    assert tuple(preauthorized) == PREAUTHORIZED + BLOCKS + UPDATES + (BINDING,)


def test_the_binding_block_holds_the_key_in_the_form_that_clients_want(printed, tmp_path):
    text = printed[BINDING]
    key = re.search(r"^# HMAC key: (\S+)$", text, re.MULTILINE).group(1)
    assert len(base64.urlsafe_b64decode(key)) == 48 and key in printed[BLOCKS[0]], "the secret is the key"
    assert re.search(r"^# key id: +printed$", text, re.MULTILINE)
    for words in (f"--eab-kid printed --eab-hmac-key {key}", f"--eab --kid printed --hmac {key}", f"--eab --eab.kid printed --eab.hmac {key}",
                  f"mac_key {key}", f'hmacEncoded: "{key}"'):
        assert words in text, text
    script, env = shell(text, tmp_path)
    assert run("sh", script, env=env, cwd=tmp_path).text == "", "it is all comments"


def test_certbot_registers_with_the_binding_as_printed(app, printed, tmp_path):
    line = re.search(r"^# certbot: +certbot (.*) \\\n# +(.*)$", printed[BINDING], re.MULTILINE)
    folders = [part for kind in ("config", "work", "logs") for part in (f"--{kind}-dir", tmp_path / kind)]
    run("certbot", *line.group(1).split(), *line.group(2).split(), "--non-interactive", "--email", "admin@svc.test", *folders,
        env=environment(REQUESTS_CA_BUNDLE=str(app.root_pem)), cwd=tmp_path)


@pytest.fixture
def ingress(app, resolv_conf, tmp_path):
    """Runs a printed block on the ingress host; the value is a function (text, PATH) that waits for both names to be served."""
    write_resolv_conf(resolv_conf, CA_ADDRESS)

    def wait(text, path):
        script, env = shell(text, tmp_path, HOME=str(tmp_path))
        env["PATH"] = f"{path}:{env['PATH']}"
        with Host() as host, open(tmp_path / "traefik.log", "wb") as log:
            # pylint: disable=consider-using-with
            process = subprocess.Popen(host.command("sh", script), env=env, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
            watcher = Traefik(None, host, app, "", {}, tmp_path)
            watcher.process = process
            try:
                return [watcher.wait_for(name) for name in ("svc.test", "x.svc.test")]
            finally:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(30)

    try:
        yield wait
    finally:
        write_resolv_conf(resolv_conf, "127.0.0.1")


@pytest.mark.clients
@pytest.mark.parametrize("title", BLOCKS[2:])
def test_the_traefik_blocks_run_as_printed(printed, clients_dir, ingress, title):
    assert ingress(printed[title], clients_dir / "bin") == [sorted(PATTERNS)] * 2


@pytest.mark.clients
def test_the_preauthorized_traefik_block_runs_as_printed(preauthorized, clients_dir, ingress):
    assert ingress(preauthorized[PREAUTHORIZED[1]], clients_dir / "bin") == [sorted(PATTERNS)] * 2


def test_the_preauthorized_caddy_block_runs_as_printed(preauthorized, ingress):
    """Debian's Caddy, which has no DNS plug-in; it orders one certificate per name."""
    assert ingress(preauthorized[PREAUTHORIZED[0]], "/usr/bin") == [["svc.test"], ["*.svc.test"]]


@pytest.mark.clients
def test_the_caddy_rfc2136_block_runs_as_printed(printed, clients_dir, ingress):
    assert ingress(printed[UPDATES[4]], clients_dir / "bin") == [["svc.test"], ["*.svc.test"]]


def test_the_lego_httpreq_block_runs_as_printed(app, printed, tmp_path):
    script, env = shell(printed[BLOCKS[0]], tmp_path)
    run("sh", script, env=env, cwd=tmp_path)
    assert_certificate(app, tmp_path / ".lego" / "certificates" / "svc.test.crt", *PATTERNS)


@pytest.mark.clients
@pytest.mark.parametrize("version", [4, 5])
def test_the_lego_acmedns_block_runs_as_printed(app, printed, clients_dir, tmp_path, version):
    """With lego's newest version 4; and as version 5, which is certbot with lego 5.5.1's provider (lego_shim.py)."""
    (tmp_path / "bin").mkdir()
    shim = tmp_path / "bin" / "lego"
    program = clients_dir / "bin" / "lego4" if version == 4 else f"/usr/bin/python3 {os.path.dirname(__file__)}/lego_shim.py"
    shim.write_text(f'#!/bin/sh\nexec {program} "$@"\n', encoding="ascii")
    shim.chmod(0o755)
    script, env = shell(printed[BLOCKS[1]], tmp_path, BW_CERTBOT=str(clients_dir / "bin" / "certbot"))
    env["PATH"] = f"{tmp_path}/bin:{env['PATH']}"
    run("sh", script, env=env, cwd=tmp_path)
    assert_certificate(app, tmp_path / ".lego" / "certificates" / "svc.test.crt", *PATTERNS)


def test_the_nsupdate_block_runs_as_printed(printed, tmp_path):
    """It writes the key file; the command is shown, for there is no record that everybody wants."""
    script, env = shell(printed[UPDATES[0]], tmp_path)
    run("sh", script, env=env, cwd=tmp_path)
    assert (tmp_path / "printed.key").stat().st_mode & 0o777 == 0o600
    shown = "\n".join(line.removeprefix("# ") for line in printed[UPDATES[0]].splitlines() if line.startswith("# "))
    assert "update add svc.test. 300 A 10.0.0.7" in shown
    shown = shown.replace("svc.test.", "shown.svc.test.")
    run("sh", "-c", shown, env=env, cwd=tmp_path)
    assert ask("shown.svc.test", "A").answer[0][0].address == "10.0.0.7"
    run("sh", "-c", shown.replace("update add", "update delete"), env=env, cwd=tmp_path)
    assert ask("shown.svc.test", "A").answer[0][0].address != "10.0.0.7"


def test_the_lego_rfc2136_block_runs_as_printed(app, printed, tmp_path):
    script, env = shell(printed[UPDATES[1]], tmp_path)
    run("sh", script, env=env, cwd=tmp_path)
    assert_certificate(app, tmp_path / ".lego" / "certificates" / "svc.test.crt", *PATTERNS)


def test_the_certbot_rfc2136_block_runs_as_printed(app, printed, tmp_path):
    settings = tmp_path / ".config" / "letsencrypt" / "cli.ini"
    settings.parent.mkdir(parents=True)
    settings.write_text("".join(f"{kind}-dir = {tmp_path / kind}\n" for kind in ("config", "work", "logs")), encoding="ascii")
    script, env = shell(printed[UPDATES[2]], tmp_path, HOME=str(tmp_path), XDG_CONFIG_HOME=str(settings.parent.parent))
    run("sh", script, env=env, cwd=tmp_path)
    assert_certificate(app, tmp_path / "config/live/svc.test/fullchain.pem", *PATTERNS)


ACME_SH = """#!/bin/sh
echo "$@" > arguments
nsupdate -k "$NSUPDATE_KEY" <<EOF
server $NSUPDATE_SERVER $NSUPDATE_SERVER_PORT
update add _acme-challenge.svc.test. 60 in txt "%s"
send
EOF
"""


def test_the_acme_sh_block_hands_over_what_its_hook_needs(printed, tmp_path):
    """acme.sh is no Debian package: in its place, what its dns_nsupdate does with the environment."""
    (tmp_path / "bin").mkdir()
    shim = tmp_path / "bin" / "acme.sh"
    shim.write_text(ACME_SH % VALUE, encoding="ascii")
    shim.chmod(0o755)
    script, env = shell(printed[UPDATES[3]], tmp_path)
    env["PATH"] = f"{tmp_path}/bin:{env['PATH']}"
    run("sh", script, env=env, cwd=tmp_path)
    assert VALUE in txt_values("_acme-challenge.svc.test")
    assert "--dns dns_nsupdate --dnssleep 2 -d svc.test -d *.svc.test" in (tmp_path / "arguments").read_text(encoding="ascii")


def test_a_key_for_transfers_has_no_names(app, tmp_path):
    text = app.cli("client", "add", "ns2", "--key-only").stdout
    titles = blocks(text)
    assert tuple(titles) == ("TSIG key for a secondary",)
    script, env = shell(titles["TSIG key for a secondary"], tmp_path)
    run("sh", script, env=env, cwd=tmp_path)
    assert 'key "ns2"' in (tmp_path / "ns2.key").read_text(encoding="ascii")
    assert listing_of(app, "ns2")["names"] == "none; a key only"
    assert app.cli("client", "add", "ns3", expect=2).returncode == 2
    assert app.cli("client", "add", "ns3", "--key-only", "--name", "x.svc.test", expect=2).returncode == 2


def secret_of(text):
    return re.search(r"HTTPREQ_PASSWORD=([A-Za-z0-9]+)", text).group(1)


def test_a_new_client_works_at_once_and_its_secret_is_never_shown_again(app):
    secret = secret_of(add(app, "fresh", "fresh.svc.test").stdout)
    assert len(secret) == 64 and secret.isalnum()
    assert httpreq(app, "present", "_acme-challenge.fresh.svc.test.", VALUE, "fresh", secret).status_code == 200
    assert httpreq(app, "present", "_acme-challenge.other.svc.test.", VALUE, "fresh", secret).status_code == 403
    listed = app.cli("client", "list").stdout
    assert "fresh" in listed and "lego" in listed and secret not in listed
    assert secret not in app.log()


def listing_of(app, name):
    """The lines that `client list` prints of one client, as a mapping."""
    text = re.search(rf"^{name}\n((?:  .*\n)+)", app.cli("client", "list").stdout, re.MULTILINE).group(1)
    return {line.split()[0]: line.split(None, 1)[1] for line in text.splitlines()}


@pytest.mark.parametrize("flags,free,limits,records", [((), "no", "yes", "yes"), (("--preauthorized",), "yes", "yes", "yes"),
                                                       (("--no-limits",), "no", "no", "yes"), (("--no-records",), "no", "yes", "no"),
                                                       (("--preauthorized", "--no-limits"), "yes", "no", "yes")], ids=str)
def test_what_a_client_may_is_listed_and_kept(app, make_appliance, flags, free, limits, records):  # pylint: disable=too-many-arguments
    """Through the running daemon, and without one."""
    idle = make_appliance()
    idle.write_config()
    idle.cli("init")
    name = "-".join(("flags", free, limits, records))
    for one in (app, idle):
        add(one, name, "flags.svc.test", flags=flags)
        listing = listing_of(one, name)
        assert (listing["preauthorized"], listing["limits"], listing["records"]) == (free, limits, records)
    app.restart()
    listing = listing_of(app, name)
    assert (listing["preauthorized"], listing["limits"], listing["records"]) == (free, limits, records)


def test_a_new_client_survives_a_restart(app):
    secret = secret_of(add(app, "stays", "stays.svc.test").stdout)
    app.restart()
    assert httpreq(app, "present", "_acme-challenge.stays.svc.test.", VALUE, "stays", secret).status_code == 200


@pytest.mark.parametrize("name,patterns", [("lego", ("x.svc.test",)), ("bad name", ("x.svc.test",)), ("-x", ("x.svc.test",)), ("", ("x.svc.test",)),
                                           ("ok", ("*.*.svc.test",)), ("ok", ("-x",)), ("ok", ("",)), ("n" * 65, ("x.svc.test",))], ids=str)
def test_what_client_add_refuses(app, name, patterns):
    done = add(app, name, *patterns, expect=None)
    assert done.returncode in (1, 2), done
    assert len(done.stderr.split()) >= 4 and "HTTPREQ_PASSWORD" not in done.stdout, done


def test_the_same_client_twice_is_refused(app):
    add(app, "twice", "twice.svc.test")
    assert "twice" in add(app, "twice", "twice.svc.test", expect=1).stderr


def test_a_client_removed_in_mid_order(app):
    """Its value is there, its authorization even valid: after the removal neither counts."""
    secret = secret_of(add(app, "leaver", "*.leaver.svc.test").stdout)
    acme = Acme(app).register()
    _, proved = acme.order("a.leaver.svc.test")
    acme.prove(proved, user="leaver", secret=secret)
    _, order = acme.order("b.leaver.svc.test")
    authorization, challenge = acme.challenge_of(order["authorizations"][0])
    assert acme.publish(authorization, challenge, "leaver", secret).status_code == 200
    session = http_session(app.root_pem)
    registration = session.post(f"{app.url}/acme-dns/register", auth=("leaver", secret), timeout=30).json()
    app.cli("client", "remove", "leaver")
    assert txt_values("_acme-challenge.b.leaver.svc.test") == [], "its values went with it"
    assert acme.post(challenge["url"], {}).json()["status"] != "valid"
    assert acme.finalize(proved).status_code == 403
    assert httpreq(app, "present", "_acme-challenge.c.leaver.svc.test.", VALUE, "leaver", secret).status_code == 401
    update = session.post(f"{app.url}/acme-dns/update", json={"subdomain": registration["subdomain"], "txt": VALUE}, timeout=30,
                          headers={"X-Api-User": registration["username"], "X-Api-Key": registration["password"]})
    assert update.status_code == 401, "its registrations went too"
    assert "leaver" not in app.cli("client", "list").stdout


def test_remove_refuses_configured_and_unknown_clients(app):
    assert "lego" in app.cli("client", "remove", "lego", expect=1).stderr
    assert "nobody" in app.cli("client", "remove", "nobody", expect=1).stderr


def test_cname(app):
    assert "_acme-challenge.www.svc.test." in app.cli("client", "cname", "www.svc.test").stdout
    assert ask("_acme-challenge.www.svc.test", "CNAME").answer[0][0].target.to_text() in app.cli("client", "cname", "www.svc.test").stdout
    app.cli("client", "cname", "-bad", expect=1)


def test_release_takes_a_late_binding_back(app):
    session = http_session(app.root_pem)
    account = session.post(f"{app.url}/acme-dns/register", auth=("lego", SECRET), timeout=30).json()
    acme = Acme(app).register()
    _, order = acme.order("bound.svc.test")
    _, challenge = acme.challenge_of(order["authorizations"][0])
    update = session.post(f"{app.url}/acme-dns/update", json={"subdomain": account["subdomain"], "txt": acme.digest(challenge)}, timeout=30,
                          headers={"X-Api-User": account["username"], "X-Api-Key": account["password"]})
    assert update.status_code == 200
    assert acme.post(challenge["url"], {}).json()["status"] == "valid"
    assert "bound.svc.test" in app.cli("client", "list").stdout
    app.cli("client", "release", "bound.svc.test")
    assert "bound.svc.test" not in app.cli("client", "list").stdout
    app.cli("client", "release", "bound.svc.test", expect=1)


def test_status_and_version(app):
    status = app.cli("status").stdout
    fingerprint = run("openssl", "x509", "-in", app.root_pem, "-noout", "-fingerprint", "-sha256").text.strip().partition("=")[2]
    assert fingerprint.replace(":", "").lower() in status.replace(":", "").lower()
    assert subprocess.run(app.command("version"), capture_output=True, check=True, env=app.environment()).stdout.strip()


@pytest.mark.parametrize("arguments", [("--help",), ("serve", "--help"), ("init", "--help"), ("check", "--help"), ("status", "--help"),
                                       ("client", "--help"), ("client", "add", "--help"), ("client", "remove", "--help"), ("client", "list", "--help"),
                                       ("client", "cname", "--help"), ("client", "release", "--help"), ("version", "--help")], ids=" ".join)
def test_help_is_worth_reading(app, arguments):
    done = subprocess.run(app.command(*arguments), capture_output=True, text=True, check=False, env=app.environment())
    assert done.returncode == 0 and len(done.stdout.splitlines()) >= 4, done


@pytest.mark.parametrize("arguments", [(), ("nothing",), ("serve", "--nothing"), ("client",), ("client", "add"), ("client", "add", "x", "y", "z"), ("serve", "x")], ids=str)
def test_wrong_usage_is_2(app, arguments):
    done = subprocess.run(app.command(*arguments), capture_output=True, text=True, check=False, env=app.environment())
    assert done.returncode == 2 and done.stderr, done


def test_without_a_daemon_status_says_so_and_nothing_breaks(make_appliance):
    app = make_appliance()
    app.write_config()
    done = app.cli("status", expect=4)
    assert len(done.stderr.split()) >= 4, done
    for arguments in (("list",), ("release", "x.svc.test"), ("remove", "x"), ("add", "x", "--name", "x.svc.test")):
        assert app.cli("client", *arguments, expect=None).returncode in (0, 1, 4)


def test_init_makes_the_state_and_does_it_once(make_appliance):
    app = make_appliance()
    app.write_config()
    app.cli("init")
    assert (app.state / "bailiwick.db").exists()
    keys = {path: path.read_bytes() for path in (app.state / "keys").iterdir()}
    assert keys
    app.cli("init", expect=None)
    assert {path: path.read_bytes() for path in (app.state / "keys").iterdir()} == keys, "a second init must change nothing"
