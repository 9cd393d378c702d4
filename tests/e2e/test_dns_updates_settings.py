"""Dynamic updates where the scenario has an appliance of its own: a restart, HMAC-MD5, a challenge alias."""
from appliance import SECRET, client
from dns_servers import OTHER_DNS, Dnsmasq
from jws_client import Acme
from namespace import CA_ADDRESS, INGRESS
from nsupdate import VALUE, addresses, certbot, challenge, nsupdate
from tools import ask, assert_certificate, txt_values


def test_records_outlive_a_restart(make_appliance, tmp_path):
    one = make_appliance().start()
    nsupdate(tmp_path, "update add kept.svc.test. 60 A 10.8.10.9", f"update add {challenge('kept.svc.test')}. 60 TXT {VALUE}")
    serial = ask("svc.test", "SOA").answer[0][0].serial
    one.kill9()
    one.start()
    assert addresses("kept.svc.test") == ["10.8.10.9"] and txt_values(challenge("kept.svc.test")) == [VALUE]
    assert ask("svc.test", "SOA").answer[0][0].serial >= serial


def test_md5_is_off_and_can_be_switched_on(make_appliance, tmp_path):
    one = make_appliance().start()
    line = f"update add {challenge('md5.svc.test')}. 60 TXT {VALUE}"
    assert "BADKEY" in nsupdate(tmp_path, line, algorithm="hmac-md5", expect=2).text
    assert "hmac_md5" in one.log()
    one.stop()
    one.config["dns"] = {"hmac_md5": True}
    one.start()
    nsupdate(tmp_path, line, algorithm="hmac-md5")
    assert txt_values(challenge("md5.svc.test")) == [VALUE] and "SHA-256" in one.log()


def test_certbot_with_its_default_algorithm(make_appliance, tmp_path):
    """Row 6: HMAC-MD5 is what certbot takes when `algorithm` is not set."""
    one = make_appliance(dns={"hmac_md5": True}).start()
    certbot(one, tmp_path, ("certbot.svc.test", "*.certbot.svc.test"))
    assert_certificate(one, tmp_path / "config/live/certbot.svc.test/fullchain.pem", "certbot.svc.test", "*.certbot.svc.test")
    assert "SHA-256" in one.log()


def test_a_challenge_alias_in_a_zone_of_ours(make_appliance, tmp_path):
    """acme.sh --challenge-alias: the TXT goes to _acme-challenge.<alias>, which a foreign zone's CNAME points at."""
    one = make_appliance(zones=[{"name": "svc.test", "ingress": [INGRESS]}, {"name": "corp.test", "serve": False}],
                         clients=[client("lego", SECRET, "alias.svc.test", "corp.test", "*.corp.test")],
                         listen={"https": ["0.0.0.0:443"], "http": ["0.0.0.0:80"], "dns": ["127.0.0.1:53", f"{CA_ADDRESS}:53"]},
                         resolvers=[f"{OTHER_DNS}:53"]).start()
    lines = [f"cname={challenge('www.corp.test')},{challenge('alias.svc.test')}", "local=/corp.test/", f"server=/svc.test/{CA_ADDRESS}", "max-cache-ttl=1"]
    with Dnsmasq(tmp_path / "dnsmasq", *lines):
        acme = Acme(one).register()
        _, order = acme.order("www.corp.test")
        (url,) = order["authorizations"]
        _, found = acme.challenge_of(url)
        nsupdate(tmp_path, f"update add {challenge('alias.svc.test')}. 60 in txt \"{acme.digest(found)}\"")
        assert acme.post(found["url"], {}).status_code == 200
        assert acme.wait(found["url"], ("valid", "invalid"))["status"] == "valid"
        assert acme.finalize(order).json()["status"] == "valid"
