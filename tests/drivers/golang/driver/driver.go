// Package driver is what the small programs around Go's ACME libraries share: one JSON argument in, one JSON report out, and the answers to
// challenges. A program runs the steps it is told, in order, and goes on after a failure: the tests judge the report.
package driver

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const deadline = 120 * time.Second

// Config is the program's argument.
type Config struct {
	Directory string   `json:"directory"`
	Root      string   `json:"root"` // PEM: the only roots that are trusted
	Names     []string `json:"names"`
	Challenge string   `json:"challenge"` // the one type that is answered; empty: none at all
	Profile   string   `json:"profile"`
	EAB       *struct {
		KID string `json:"kid"`
		Key string `json:"key"` // base64url
	} `json:"eab"`
	HTTPReq *struct { // where dns-01 values are published
		URL      string `json:"url"`
		User     string `json:"user"`
		Password string `json:"password"`
	} `json:"httpreq"`
	Silent bool     `json:"silent"` // nobody listens for the challenge
	Hours  int      `json:"hours"`  // notAfter of the step "issue-dated", from now
	Out    string   `json:"out"`    // directory of the certificates
	Steps  []string `json:"steps"`
}

// Problem is an ACME problem document, whatever the library makes of it.
type Problem struct {
	Type   string `json:"type"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// Library does the steps with one library.
type Library interface {
	Step(ctx context.Context, name string) (map[string]any, error)
	Problem(err error) *Problem // nil where the error is none
}

// ErrUnknownStep means that the library has no such call.
var ErrUnknownStep = errors.New("this library has no such step")

// Run is one run: the configuration, the HTTP client, the responder, and the newest certificates.
type Run struct {
	Config
	HTTP      *http.Client
	Responder *Responder
	Chains    [][]byte // PEM
	Leaf      *x509.Certificate
	Previous  *x509.Certificate // the one before
	Key       *ecdsa.PrivateKey
}

// Main is every program's main.
func Main(open func(*Run) (Library, error)) {
	if err := run(open); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(open func(*Run) (Library, error)) error {
	if len(os.Args) != 2 {
		return errors.New("usage: driver '{\"directory\": …, \"steps\": […]}'")
	}
	one := &Run{}
	if err := json.Unmarshal([]byte(os.Args[1]), &one.Config); err != nil {
		return fmt.Errorf("the argument: %w", err)
	}
	roots, err := os.ReadFile(one.Root)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(roots) {
		return fmt.Errorf("%s holds no certificate", one.Root)
	}
	one.HTTP = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	if one.Responder, err = listen(one); err != nil {
		return err
	}
	library, err := open(one)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	var report []map[string]any
	for _, name := range one.Steps {
		report = append(report, step(ctx, library, name))
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}

func step(ctx context.Context, library Library, name string) map[string]any {
	result, err := library.Step(ctx, name)
	if result == nil {
		result = map[string]any{}
	}
	result["step"] = name
	if err != nil {
		result["error"] = err.Error()
		if problem := library.Problem(err); problem != nil {
			result["problem"] = problem
		}
	}
	return result
}

// NewKey makes a P-256 key.
func NewKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// Request makes a key and a certificate request for the names; the key stays in the Run.
func (one *Run) Request() ([]byte, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	template := &x509.CertificateRequest{}
	for _, name := range one.Names {
		if address, err := netip.ParseAddr(name); err == nil {
			template.IPAddresses = append(template.IPAddresses, address.AsSlice())
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	one.Key = key
	return x509.CreateCertificateRequest(rand.Reader, template, key)
}

// Kind is the type of an identifier.
func Kind(name string) string {
	if _, err := netip.ParseAddr(name); err == nil {
		return "ip"
	}
	return "dns"
}

// Keep writes the chains (chain.pem, chain-1.pem …) and remembers the leaf.
func (one *Run) Keep(chains [][]byte) (map[string]any, error) {
	if len(chains) == 0 {
		return nil, errors.New("the server gave no chain")
	}
	block, _ := pem.Decode(chains[0])
	if block == nil {
		return nil, errors.New("the chain is not PEM")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	one.Chains, one.Leaf, one.Previous = chains, leaf, one.Leaf
	for i, chain := range chains {
		name := "chain.pem"
		if i > 0 {
			name = fmt.Sprintf("chain-%d.pem", i)
		}
		if err := os.WriteFile(filepath.Join(one.Out, name), chain, 0o644); err != nil {
			return nil, err
		}
	}
	return map[string]any{"serial": leaf.SerialNumber.Text(16), "chains": len(chains)}, nil
}

// Responder answers challenges on this machine's ports 80 or 443, or through the httpreq door.
type Responder struct {
	run          *Run
	texts        chan func(map[string]string)
	certificates chan func(map[string]*tls.Certificate)
}

func owner[T any]() chan func(map[string]T) {
	requests := make(chan func(map[string]T))
	go func() {
		values := map[string]T{}
		for request := range requests {
			request(values)
		}
	}()
	return requests
}

func change[T any](requests chan func(map[string]T), use func(map[string]T)) {
	done := make(chan struct{})
	requests <- func(values map[string]T) { use(values); close(done) }
	<-done
}

func listen(one *Run) (*Responder, error) {
	r := &Responder{run: one, texts: owner[string](), certificates: owner[*tls.Certificate]()}
	if one.Silent {
		return r, nil
	}
	switch one.Challenge {
	case "http-01":
		socket, err := net.Listen("tcp", ":80")
		if err != nil {
			return nil, err
		}
		go http.Serve(socket, http.HandlerFunc(r.serveText))
	case "tls-alpn-01":
		socket, err := tls.Listen("tcp", ":443", &tls.Config{NextProtos: []string{"acme-tls/1"}, GetCertificate: r.choose})
		if err != nil {
			return nil, err
		}
		go accept(socket)
	}
	return r, nil
}

func (r *Responder) serveText(w http.ResponseWriter, request *http.Request) {
	var text string
	change(r.texts, func(values map[string]string) { text = values[request.URL.Path] })
	if text == "" {
		http.NotFound(w, request)
		return
	}
	w.Write([]byte(text))
}

func (r *Responder) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	var found *tls.Certificate
	if slices.Contains(hello.SupportedProtos, "acme-tls/1") {
		change(r.certificates, func(values map[string]*tls.Certificate) { found = values[hello.ServerName] })
	}
	if found == nil {
		return nil, fmt.Errorf("no certificate for %q", hello.ServerName)
	}
	return found, nil
}

func accept(socket net.Listener) {
	for {
		connection, err := socket.Accept()
		if err != nil {
			return
		}
		go func() {
			defer connection.Close()
			connection.SetDeadline(time.Now().Add(10 * time.Second))
			connection.(*tls.Conn).Handshake()
		}()
	}
}

// ServeText answers http-01.
func (r *Responder) ServeText(path, text string) {
	change(r.texts, func(values map[string]string) { values[path] = text })
}

// ServeCertificate answers tls-alpn-01 for a name or an address.
func (r *Responder) ServeCertificate(name string, certificate *tls.Certificate) {
	if address, err := netip.ParseAddr(name); err == nil {
		name = reverseName(address)
	}
	change(r.certificates, func(values map[string]*tls.Certificate) { values[name] = certificate })
}

// reverseName is the server name for an address (RFC 8738 §6).
func reverseName(address netip.Addr) string {
	const hex = "0123456789abcdef"
	name := ""
	for _, octet := range address.AsSlice() {
		if address.Is4() {
			name = fmt.Sprintf("%d.%s", octet, name)
		} else {
			name = fmt.Sprintf("%c.%c.%s", hex[octet&15], hex[octet>>4], name)
		}
	}
	if address.Is4() {
		return name + "in-addr.arpa"
	}
	return name + "ip6.arpa"
}

// Publish and Withdraw hand a TXT value to the httpreq door.
func (r *Responder) Publish(ctx context.Context, name, value string) error {
	return r.door(ctx, "present", name, value)
}

// Withdraw takes it back.
func (r *Responder) Withdraw(ctx context.Context, name, value string) error {
	return r.door(ctx, "cleanup", name, value)
}

func (r *Responder) door(ctx context.Context, action, name, value string) error {
	door := r.run.HTTPReq
	if door == nil {
		return errors.New("dns-01 wants httpreq")
	}
	body, err := json.Marshal(map[string]string{"fqdn": name + ".", "value": value})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, door.URL+"/"+action, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.SetBasicAuth(door.User, door.Password)
	reply, err := r.run.HTTP.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if reply.StatusCode/100 != 2 {
		return fmt.Errorf("the door answered %s", reply.Status)
	}
	return nil
}
