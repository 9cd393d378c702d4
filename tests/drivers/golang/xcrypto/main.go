// Xcrypto runs steps with golang.org/x/crypto/acme, the library of Go's own project.
package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/acme"

	"bailiwick.test/drivers/driver"
)

type library struct {
	*driver.Run
	client         *acme.Client
	account        *acme.Account
	authorizations []string // of the newest order
}

func main() {
	driver.Main(func(one *driver.Run) (driver.Library, error) {
		client, err := newClient(one)
		return &library{Run: one, client: client}, err
	})
}

func newClient(one *driver.Run) (*acme.Client, error) {
	key, err := driver.NewKey()
	return &acme.Client{DirectoryURL: one.Directory, HTTPClient: one.HTTP, Key: key, UserAgent: "bailiwick-test"}, err
}

func (l *library) Step(ctx context.Context, name string) (map[string]any, error) {
	steps := map[string]func(context.Context) (map[string]any, error){
		"register": l.register, "account": l.lookUp, "contact": l.contact, "rollover": l.rollover, "deactivate": l.deactivate,
		"preauthorize": l.preauthorize, "issue": l.issue, "issue-dated": l.issueDated,
		"deactivate-authorizations": l.deactivateAuthorizations,
		"revoke":                    l.revoke, "revoke-by-key": l.revokeByKey, "revoke-as-stranger": l.revokeAsStranger,
	}
	if step, ok := steps[name]; ok {
		return step(ctx)
	}
	return nil, driver.ErrUnknownStep
}

func (l *library) Problem(err error) *driver.Problem {
	var order *acme.OrderError
	if errors.As(err, &order) && order.Problem != nil {
		err = order.Problem
	}
	var failed *acme.AuthorizationError
	if errors.As(err, &failed) && len(failed.Errors) > 0 {
		err = failed.Errors[0]
	}
	var problem *acme.Error
	if !errors.As(err, &problem) {
		return nil
	}
	return &driver.Problem{Type: problem.ProblemType, Status: problem.StatusCode, Detail: problem.Detail}
}

func (l *library) newAccount(ctx context.Context, client *acme.Client) (*acme.Account, error) {
	account := &acme.Account{Contact: []string{"mailto:admin@svc.test"}}
	if l.EAB != nil {
		key, err := base64.RawURLEncoding.DecodeString(l.EAB.Key)
		if err != nil {
			return nil, err
		}
		account.ExternalAccountBinding = &acme.ExternalAccountBinding{KID: l.EAB.KID, Key: key}
	}
	return client.Register(ctx, account, acme.AcceptTOS)
}

func (l *library) register(ctx context.Context) (map[string]any, error) {
	account, err := l.newAccount(ctx, l.client)
	if err != nil {
		return nil, err
	}
	l.account = account
	return map[string]any{"account": account.URI, "status": account.Status, "orders": account.OrdersURL}, nil
}

func (l *library) lookUp(ctx context.Context) (map[string]any, error) {
	fresh := &acme.Client{DirectoryURL: l.Directory, HTTPClient: l.HTTP, Key: l.client.Key} // knows the key and nothing else
	found, err := fresh.GetReg(ctx, "")
	if err != nil {
		return nil, err
	}
	return map[string]any{"account": found.URI, "status": found.Status, "contact": found.Contact}, nil
}

func (l *library) contact(ctx context.Context) (map[string]any, error) {
	changed, err := l.client.UpdateReg(ctx, &acme.Account{Contact: []string{"mailto:other@svc.test"}})
	if err != nil {
		return nil, err
	}
	return map[string]any{"contact": changed.Contact}, nil
}

func (l *library) rollover(ctx context.Context) (map[string]any, error) {
	key, err := driver.NewKey()
	if err != nil {
		return nil, err
	}
	return nil, l.client.AccountKeyRollover(ctx, key)
}

func (l *library) deactivate(ctx context.Context) (map[string]any, error) {
	return nil, l.client.DeactivateReg(ctx)
}

func (l *library) preauthorize(ctx context.Context) (map[string]any, error) {
	for _, name := range l.Names {
		authorize := l.client.Authorize
		if driver.Kind(name) == "ip" {
			authorize = l.client.AuthorizeIP
		}
		authorization, err := authorize(ctx, name)
		if err != nil {
			return nil, err
		}
		if err := l.prove(ctx, authorization); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (l *library) prove(ctx context.Context, authorization *acme.Authorization) error {
	if authorization.Status == acme.StatusValid {
		return nil
	}
	for _, challenge := range authorization.Challenges {
		if challenge.Type != l.Challenge {
			continue
		}
		withdraw, err := l.present(ctx, authorization.Identifier.Value, challenge)
		if err != nil {
			return err
		}
		defer withdraw()
		if _, err := l.client.Accept(ctx, challenge); err != nil {
			return err
		}
		_, err = l.client.WaitAuthorization(ctx, authorization.URI)
		return err
	}
	return errors.New("no such challenge in the authorization")
}

func (l *library) present(ctx context.Context, name string, challenge *acme.Challenge) (func(), error) {
	switch challenge.Type {
	case "http-01":
		text, err := l.client.HTTP01ChallengeResponse(challenge.Token)
		l.Responder.ServeText(l.client.HTTP01ChallengePath(challenge.Token), text)
		return func() {}, err
	case "tls-alpn-01":
		certificate, err := l.client.TLSALPN01ChallengeCert(challenge.Token, name)
		l.Responder.ServeCertificate(name, &certificate)
		return func() {}, err
	case "dns-01":
		value, err := l.client.DNS01ChallengeRecord(challenge.Token)
		if err != nil {
			return nil, err
		}
		return func() { l.Responder.Withdraw(ctx, "_acme-challenge."+name, value) },
			l.Responder.Publish(ctx, "_acme-challenge."+name, value)
	}
	return nil, fmt.Errorf("%s is not known here", challenge.Type)
}

func (l *library) issue(ctx context.Context) (map[string]any, error) {
	return l.obtain(ctx)
}

func (l *library) issueDated(ctx context.Context) (map[string]any, error) {
	return l.obtain(ctx, acme.WithOrderNotAfter(time.Now().Add(time.Duration(l.Hours)*time.Hour)))
}

func (l *library) obtain(ctx context.Context, options ...acme.OrderOption) (map[string]any, error) {
	var identifiers []acme.AuthzID
	for _, name := range l.Names {
		identifiers = append(identifiers, acme.AuthzID{Type: driver.Kind(name), Value: name})
	}
	order, err := l.client.AuthorizeOrder(ctx, identifiers, options...)
	if err != nil {
		return nil, err
	}
	l.authorizations = order.AuthzURLs
	for _, url := range order.AuthzURLs {
		authorization, err := l.client.GetAuthorization(ctx, url)
		if err != nil {
			return nil, err
		}
		if err := l.prove(ctx, authorization); err != nil {
			return nil, err
		}
	}
	if order, err = l.client.WaitOrder(ctx, order.URI); err != nil {
		return nil, err
	}
	request, err := l.Request()
	if err != nil {
		return nil, err
	}
	chain, url, err := l.client.CreateOrderCert(ctx, order.FinalizeURL, request, true)
	if err != nil {
		return nil, err
	}
	return l.keepAll(ctx, chain, url)
}

func (l *library) keepAll(ctx context.Context, chain [][]byte, url string) (map[string]any, error) {
	chains := [][]byte{encode(chain)}
	alternates, err := l.client.ListCertAlternates(ctx, url)
	if err != nil {
		return nil, err
	}
	for _, alternate := range alternates {
		other, err := l.client.FetchCert(ctx, alternate, true)
		if err != nil {
			return nil, err
		}
		chains = append(chains, encode(other))
	}
	return l.Keep(chains)
}

func encode(chain [][]byte) []byte {
	var text bytes.Buffer
	for _, certificate := range chain {
		pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	}
	return text.Bytes()
}

func (l *library) deactivateAuthorizations(ctx context.Context) (map[string]any, error) {
	for _, url := range l.authorizations {
		if err := l.client.RevokeAuthorization(ctx, url); err != nil {
			return nil, err
		}
		changed, err := l.client.GetAuthorization(ctx, url)
		if err != nil || changed.Status != acme.StatusDeactivated {
			return nil, errors.Join(err, errors.New("the authorization is not deactivated"))
		}
	}
	return nil, nil
}

// The library takes alreadyRevoked for success.
func (l *library) revokeBy(ctx context.Context, client *acme.Client, key *ecdsa.PrivateKey, reason acme.CRLReasonCode) error {
	if _, err := client.Discover(ctx); err != nil {
		return err
	}
	if key == nil {
		return client.RevokeCert(ctx, nil, l.Leaf.Raw, reason)
	}
	return client.RevokeCert(ctx, key, l.Leaf.Raw, reason)
}

func (l *library) revoke(ctx context.Context) (map[string]any, error) {
	return nil, l.revokeBy(ctx, l.client, nil, acme.CRLReasonSuperseded)
}

func (l *library) revokeByKey(ctx context.Context) (map[string]any, error) {
	return nil, l.revokeBy(ctx, l.client, l.Key, acme.CRLReasonKeyCompromise)
}

func (l *library) revokeAsStranger(ctx context.Context) (map[string]any, error) {
	stranger, err := newClient(l.Run)
	if err != nil {
		return nil, err
	}
	if _, err := l.newAccount(ctx, stranger); err != nil {
		return nil, err
	}
	return nil, l.revokeBy(ctx, stranger, nil, acme.CRLReasonUnspecified)
}
