// Package providers holds two DNS provider modules for Caddy that put on the wire what the modules rfc2136 and acmedns of the caddy-dns
// collection put there (an UPDATE over TCP with TSIG; POST /update with X-Api-User and X-Api-Key, exactly 200 wanted). Those modules are not
// to be had where the tests run; everything around them (certmagic's zone search, waiting for propagation, clean-up) is Caddy's own.
package providers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/libdns/libdns"
	"github.com/miekg/dns"
)

const fudge = 300

func init() {
	caddy.RegisterModule(Update{})
	caddy.RegisterModule(AcmeDNS{})
}

// settings reads a block of "name value" lines into the fields named.
func settings(d *caddyfile.Dispenser, fields map[string]*string) error {
	for d.Next() {
		for nesting := d.Nesting(); d.NextBlock(nesting); {
			field, known := fields[d.Val()]
			if !known {
				return d.Errf("unknown setting %q", d.Val())
			}
			if !d.AllArgs(field) {
				return d.ArgErr()
			}
		}
	}
	return nil
}

// Update sends dynamic updates (RFC 2136).
type Update struct {
	KeyName string `json:"key_name,omitempty"`
	KeyAlg  string `json:"key_alg,omitempty"`
	Key     string `json:"key,omitempty"`
	Server  string `json:"server,omitempty"`
}

// CaddyModule names the module.
func (Update) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dns.providers.rfc2136", New: func() caddy.Module { return new(Update) }}
}

// UnmarshalCaddyfile reads the block.
func (u *Update) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return settings(d, map[string]*string{"key_name": &u.KeyName, "key_alg": &u.KeyAlg, "key": &u.Key, "server": &u.Server})
}

func (u *Update) send(ctx context.Context, zone string, records []libdns.Record, put func(*dns.Msg, []dns.RR)) ([]libdns.Record, error) {
	message := new(dns.Msg)
	message.SetUpdate(dns.Fqdn(zone))
	for _, record := range records {
		plain := record.RR()
		rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %q", libdns.AbsoluteName(plain.Name, dns.Fqdn(zone)), int(plain.TTL.Seconds()), plain.Type, plain.Data))
		if err != nil {
			return nil, err
		}
		put(message, []dns.RR{rr})
	}
	key := dns.Fqdn(u.KeyName)
	message.SetTsig(key, dns.Fqdn(u.KeyAlg), fudge, time.Now().Unix())
	client := &dns.Client{Net: "tcp", TsigSecret: map[string]string{key: u.Key}}
	reply, _, err := client.ExchangeContext(ctx, message, u.Server)
	if err != nil {
		return nil, err
	}
	if reply.Rcode != dns.RcodeSuccess {
		return nil, fmt.Errorf("the update was answered %s", dns.RcodeToString[reply.Rcode])
	}
	return records, nil
}

// AppendRecords adds.
func (u *Update) AppendRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return u.send(ctx, zone, records, func(m *dns.Msg, rrs []dns.RR) { m.Insert(rrs) })
}

// DeleteRecords removes exactly these.
func (u *Update) DeleteRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return u.send(ctx, zone, records, func(m *dns.Msg, rrs []dns.RR) { m.Remove(rrs) })
}

// AcmeDNS posts values to the acme-dns API.
type AcmeDNS struct {
	Username  string `json:"username,omitempty"`
	Password  string `json:"password,omitempty"`
	Subdomain string `json:"subdomain,omitempty"`
	ServerURL string `json:"server_url,omitempty"`
}

// CaddyModule names the module.
func (AcmeDNS) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "dns.providers.acmedns", New: func() caddy.Module { return new(AcmeDNS) }}
}

// UnmarshalCaddyfile reads the block.
func (a *AcmeDNS) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return settings(d, map[string]*string{"username": &a.Username, "password": &a.Password, "subdomain": &a.Subdomain, "server_url": &a.ServerURL})
}

// AppendRecords posts each value.
func (a *AcmeDNS) AppendRecords(ctx context.Context, _ string, records []libdns.Record) ([]libdns.Record, error) {
	for _, record := range records {
		body, err := json.Marshal(map[string]string{"subdomain": a.Subdomain, "txt": record.RR().Data})
		if err != nil {
			return nil, err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.ServerURL+"/update", bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		request.Header.Set("X-Api-User", a.Username)
		request.Header.Set("X-Api-Key", a.Password)
		request.Header.Set("Content-Type", "application/json")
		reply, err := (&http.Client{Timeout: 30 * time.Second}).Do(request)
		if err != nil {
			return nil, err
		}
		_ = reply.Body.Close()
		if reply.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("/update was answered %d", reply.StatusCode)
		}
	}
	return records, nil
}

// DeleteRecords does nothing: the API has no such request.
func (a *AcmeDNS) DeleteRecords(context.Context, string, []libdns.Record) ([]libdns.Record, error) {
	return nil, nil
}
