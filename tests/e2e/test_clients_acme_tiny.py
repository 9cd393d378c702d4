"""Debian's acme-tiny against ours and against Pebble: a CSR, a webroot and its own check of the challenge file on."""
from appliance import environment
from clients_topology import check_chain, machine, server, trusting_machine  # noqa: F401 # pylint: disable=unused-import
from tools import run


def make_csr(directory, *names):
    """As its README says: openssl makes both keys and the request."""
    for key in ("account.key", "domain.key"):
        run("openssl", "genrsa", "-out", directory / key, "2048")
    run("openssl", "req", "-new", "-key", directory / "domain.key", "-subj", "/", "-addext",
        "subjectAltName=" + ",".join(f"DNS:{name}" for name in names), "-out", directory / "domain.csr")


def acme_tiny(machine, server, directory, *more, expect=0):  # noqa: F811 # pylint: disable=redefined-outer-name
    return machine.run("acme-tiny", "--account-key", directory / "account.key", "--csr", directory / "domain.csr", "--acme-dir",
                       directory / "www" / ".well-known" / "acme-challenge", "--directory-url", server.directory_url,
                       "--contact", "mailto:admin@svc.test", *more, env=environment(), expect=expect)


def test_first_run_and_a_second_one(trusting_machine, server, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    names = ("tiny.svc.test", "www.tiny.svc.test")
    make_csr(tmp_path, *names)
    (tmp_path / "www" / ".well-known" / "acme-challenge").mkdir(parents=True)
    serials = []
    with trusting_machine.webroot(tmp_path / "www"):
        for _ in range(2):
            done = acme_tiny(trusting_machine, server, tmp_path)
            (tmp_path / "chain.pem").write_text(done.text[done.text.index("-----BEGIN"):], encoding="ascii")
            serials.append(check_chain(server, tmp_path / "chain.pem", *names).serial_number)
    assert len(set(serials)) == 2


def test_without_a_web_server_the_servers_sentence_is_shown(trusting_machine, server, tmp_path):  # noqa: F811 # pylint: disable=redefined-outer-name
    make_csr(tmp_path, "absent.svc.test")
    (tmp_path / "www" / ".well-known" / "acme-challenge").mkdir(parents=True)
    done = acme_tiny(trusting_machine, server, tmp_path, "--disable-check", expect=1)
    assert "Challenge did not pass for absent.svc.test" in done.text and "urn:ietf:params:acme:error:" in done.text, done.text
