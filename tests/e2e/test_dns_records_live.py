"""`bailiwick record`, `zone` and `dns` beside a running appliance."""
import pytest

from namespace import INGRESS
from nsupdate import addresses
from tools import ask, run, txt_values


def serial(zone="svc.test"):
    return ask(zone, "SOA").answer[0][0].serial


def test_record_add_list_remove(app):
    before = serial()
    app.cli("record", "add", "box.svc.test", "A", "10.8.10.21")
    app.cli("record", "add", "box.svc.test", "60", "TXT", '"a text"')
    assert addresses("box.svc.test") == ["10.8.10.21"] and serial() > before
    assert ask("box.svc.test", "TXT").answer[0].ttl == 60
    listed = app.cli("record", "list", "svc.test").stdout
    assert "box.svc.test" in listed and "10.8.10.21" in listed
    app.cli("record", "remove", "box.svc.test", "A")
    assert ask("box.svc.test", "A").answer == []
    app.cli("record", "remove", "box.svc.test")
    assert addresses("box.svc.test") == [INGRESS]


@pytest.mark.parametrize("arguments", [
    ("_acme-challenge.x.svc.test", "TXT", "x" * 43), ("x.acme.svc.test", "A", "10.0.0.1"), ("x.example.org", "A", "10.0.0.1"),
    ("x.svc.test", "A", "10.0.0"), ("x.svc.test", "NOTYPE", "1"), ("x.svc.test", "RRSIG", "A 8 2 60 1 1 1 svc.test. AAAA"), ("x..svc.test", "A", "10.0.0.1"),
    ("x.svc.test", "SOA", "a. b. 1 1 1 1 1"), ("x.svc.test", "99999999999", "A", "10.0.0.1")])
def test_what_is_refused_is_said_in_a_sentence(app, arguments):
    done = app.cli("record", "add", *arguments, expect=None)
    assert done.returncode in (1, 2) and len(done.stderr.split()) >= 5, done.stderr
    assert done.stderr.isascii() and "internal" not in done.stderr.lower()


def test_import_and_export(app, tmp_path):
    source = tmp_path / "import.zone"
    source.write_text("$ORIGIN svc.test.\n$TTL 120\nimported A 10.8.10.31\nimported2 TXT \"x\"\n", encoding="ascii")
    app.cli("zone", "import", "svc.test", str(source))
    assert addresses("imported.svc.test") == ["10.8.10.31"]
    exported = tmp_path / "exported.zone"
    exported.write_text(app.cli("zone", "export", "svc.test").stdout, encoding="ascii")
    assert "OK" in run("named-checkzone", "svc.test", exported).text
    written = tmp_path / "written.zone"
    written.write_text(app.cli("zone", "export", "svc.test", "--written-out").stdout, encoding="ascii")
    assert "OK" in run("named-checkzone", "-k", "ignore", "svc.test", written).text
    text = written.read_text(encoding="ascii")
    assert "_acme-challenge.imported.svc.test." in text and "*.svc.test." in text and INGRESS in text
    source.write_text("$ORIGIN svc.test.\nimported A 10.8.10.32\nbroken A x\n", encoding="ascii")
    done = app.cli("zone", "import", "svc.test", str(source), expect=None)
    assert done.returncode == 1 and ":3:" in done.stderr + done.stdout
    assert addresses("imported.svc.test") == ["10.8.10.31"], "all or nothing"
    assert "svc.test" in app.cli("zone", "list").stdout


def test_counters_and_the_query_log(app):
    app.cli("dns", "log", "on")
    ask("logged.svc.test", "A")
    ask("unknown.example.org", "AAAA")
    text = app.cli("dns", "log").stdout
    assert "logged.svc.test" in text and "unknown.example.org" in text and "REFUSED" in text
    app.cli("dns", "log", "off")
    ask("unlogged.svc.test", "A")
    assert "unlogged.svc.test" not in app.cli("dns", "log").stdout
    counters = app.cli("dns", "counters").stdout
    assert "svc.test" in counters and "REFUSED" in counters and "AAAA" in counters


def test_trace_says_how_an_answer_comes_about(app):
    app.cli("record", "add", "traced.svc.test", "CNAME", "elsewhere.svc.test.")
    text = app.cli("dns", "trace", "traced.svc.test", "A").stdout
    assert "CNAME" in text and "elsewhere.svc.test" in text and INGRESS in text
    assert "acme.svc.test" in app.cli("dns", "trace", "_acme-challenge.traced.svc.test", "TXT").stdout
    assert app.cli("dns", "trace", "www.example.org").stdout.strip()
    assert app.cli("dns", "trace", "bad..name", expect=None).returncode != 0
    assert txt_values("_acme-challenge.traced.svc.test") == []
