// Acmez runs steps with github.com/mholt/acmez, the library below Caddy.
package main

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"bailiwick.test/drivers/driver"
)

type library struct {
	*driver.Run
	client  acmez.Client
	account acme.Account
}

func main() {
	driver.Main(func(one *driver.Run) (driver.Library, error) {
		solvers := map[string]acmez.Solver{}
		if one.Challenge != "" {
			solvers[one.Challenge] = solver{one}
		}
		client := &acme.Client{Directory: one.Directory, HTTPClient: one.HTTP, UserAgent: "bailiwick-test"}
		return &library{Run: one, client: acmez.Client{Client: client, ChallengeSolvers: solvers}}, nil
	})
}

func (l *library) Step(ctx context.Context, name string) (map[string]any, error) {
	steps := map[string]func(context.Context) (map[string]any, error){
		"register": l.register, "account": l.lookUp, "contact": l.contact, "rollover": l.rollover, "deactivate": l.deactivate,
		"preauthorize": l.preauthorize, "issue": l.issue, "issue-dated": l.issueDated, "replace": l.replace, "replace-again": l.replaceAgain,
		"renewal-info": l.renewalInfo, "revoke": l.revoke, "revoke-by-key": l.revokeByKey, "revoke-as-stranger": l.revokeAsStranger,
	}
	if step, ok := steps[name]; ok {
		return step(ctx)
	}
	return nil, driver.ErrUnknownStep
}

func (l *library) Problem(err error) *driver.Problem {
	var problem acme.Problem
	if !errors.As(err, &problem) {
		return nil
	}
	return &driver.Problem{Type: problem.Type, Status: problem.Status, Detail: problem.Detail}
}

func (l *library) newAccount(ctx context.Context) (acme.Account, error) {
	key, err := driver.NewKey()
	if err != nil {
		return acme.Account{}, err
	}
	account := acme.Account{Contact: []string{"mailto:admin@svc.test"}, TermsOfServiceAgreed: true, PrivateKey: key}
	if l.EAB != nil {
		if err := account.SetExternalAccountBinding(ctx, l.client.Client, acme.EAB{KeyID: l.EAB.KID, MACKey: l.EAB.Key}); err != nil {
			return account, err
		}
	}
	return l.client.NewAccount(ctx, account)
}

func (l *library) register(ctx context.Context) (map[string]any, error) {
	account, err := l.newAccount(ctx)
	if err != nil {
		return nil, err
	}
	l.account = account
	return map[string]any{"account": account.Location, "status": account.Status, "orders": account.Orders}, nil
}

func (l *library) lookUp(ctx context.Context) (map[string]any, error) {
	found, err := l.client.GetAccount(ctx, acme.Account{PrivateKey: l.account.PrivateKey})
	return map[string]any{"account": found.Location, "status": found.Status, "contact": found.Contact}, err
}

func (l *library) contact(ctx context.Context) (map[string]any, error) {
	changed, err := l.client.UpdateAccount(ctx, acme.Account{Location: l.account.Location, PrivateKey: l.account.PrivateKey,
		Contact: []string{"mailto:other@svc.test"}})
	return map[string]any{"contact": changed.Contact}, err
}

func (l *library) rollover(ctx context.Context) (map[string]any, error) {
	key, err := driver.NewKey()
	if err != nil {
		return nil, err
	}
	account, err := l.client.AccountKeyRollover(ctx, l.account, key)
	if err == nil {
		l.account = account
	}
	return nil, err
}

func (l *library) deactivate(ctx context.Context) (map[string]any, error) {
	changed, err := l.client.UpdateAccount(ctx, acme.Account{Location: l.account.Location, PrivateKey: l.account.PrivateKey,
		Status: "deactivated"})
	return map[string]any{"status": changed.Status}, err
}

func (l *library) preauthorize(ctx context.Context) (map[string]any, error) {
	for _, name := range l.Names {
		authorization, err := l.client.NewAuthorization(ctx, l.account, acme.Identifier{Type: driver.Kind(name), Value: name})
		if err != nil {
			return nil, err
		}
		if err := l.prove(ctx, authorization); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (l *library) prove(ctx context.Context, authorization acme.Authorization) error {
	for _, challenge := range authorization.Challenges {
		if challenge.Type != l.Challenge || authorization.Status != acme.StatusPending {
			continue
		}
		answer := solver{l.Run}
		if err := answer.Present(ctx, challenge); err != nil {
			return err
		}
		defer answer.CleanUp(ctx, challenge)
		if _, err := l.client.InitiateChallenge(ctx, l.account, challenge); err != nil {
			return err
		}
		_, err := l.client.PollAuthorization(ctx, l.account, authorization)
		return err
	}
	if authorization.Status != acme.StatusValid {
		return errors.New("no such challenge in the authorization")
	}
	return nil
}

func (l *library) issue(ctx context.Context) (map[string]any, error) {
	return l.obtain(ctx, func(*acmez.OrderParameters) {})
}

func (l *library) issueDated(ctx context.Context) (map[string]any, error) {
	return l.obtain(ctx, func(order *acmez.OrderParameters) {
		order.NotAfter = time.Now().Add(time.Duration(l.Hours) * time.Hour)
	})
}

func (l *library) replace(ctx context.Context) (map[string]any, error) {
	return l.obtain(ctx, func(order *acmez.OrderParameters) { order.Replaces = l.Leaf })
}

// The library asks again without "replaces" where the server says alreadyReplaced.
func (l *library) replaceAgain(ctx context.Context) (map[string]any, error) {
	return l.obtain(ctx, func(order *acmez.OrderParameters) { order.Replaces = l.Previous })
}

func (l *library) obtain(ctx context.Context, adjust func(*acmez.OrderParameters)) (map[string]any, error) {
	encoded, err := l.Request()
	if err != nil {
		return nil, err
	}
	request, err := x509.ParseCertificateRequest(encoded)
	if err != nil {
		return nil, err
	}
	order, err := acmez.OrderParametersFromCSR(l.account, request)
	if err != nil {
		return nil, err
	}
	order.Profile = l.Profile
	adjust(&order)
	certificates, err := l.client.ObtainCertificate(ctx, order)
	if err != nil {
		return nil, err
	}
	var chains [][]byte
	for _, certificate := range certificates {
		chains = append(chains, certificate.ChainPEM)
	}
	return l.Keep(chains)
}

func (l *library) renewalInfo(ctx context.Context) (map[string]any, error) {
	info, err := l.client.GetRenewalInfo(ctx, l.Leaf)
	if err != nil {
		return nil, err
	}
	result := map[string]any{"start": info.SuggestedWindow.Start.Unix(), "end": info.SuggestedWindow.End.Unix(),
		"explanation": info.ExplanationURL}
	if info.RetryAfter != nil {
		result["retry_after"] = info.RetryAfter.Unix()
	}
	return result, nil
}

func (l *library) revoke(ctx context.Context) (map[string]any, error) {
	return nil, l.client.RevokeCertificate(ctx, l.account, l.Leaf, nil, acme.ReasonSuperseded)
}

func (l *library) revokeByKey(ctx context.Context) (map[string]any, error) {
	return nil, l.client.RevokeCertificate(ctx, l.account, l.Leaf, l.Key, acme.ReasonKeyCompromise)
}

func (l *library) revokeAsStranger(ctx context.Context) (map[string]any, error) {
	stranger, err := l.newAccount(ctx)
	if err != nil {
		return nil, err
	}
	return nil, l.client.RevokeCertificate(ctx, stranger, l.Leaf, nil, acme.ReasonUnspecified)
}

// solver answers the one challenge type of the run. Where the server's own DNS answers the newer dns types there is nothing to present.
type solver struct{ *driver.Run }

func (s solver) Present(ctx context.Context, challenge acme.Challenge) error {
	switch challenge.Type {
	case acme.ChallengeTypeHTTP01:
		s.Responder.ServeText(challenge.HTTP01ResourcePath(), challenge.KeyAuthorization)
	case acme.ChallengeTypeTLSALPN01:
		certificate, err := acmez.TLSALPN01ChallengeCert(challenge)
		if err != nil {
			return err
		}
		s.Responder.ServeCertificate(challenge.Identifier.Value, certificate)
	case acme.ChallengeTypeDNS01:
		return s.Responder.Publish(ctx, dnsName(challenge), challenge.DNS01KeyAuthorization())
	}
	return nil
}

func (s solver) CleanUp(ctx context.Context, challenge acme.Challenge) error {
	if challenge.Type == acme.ChallengeTypeDNS01 {
		return s.Responder.Withdraw(ctx, dnsName(challenge), challenge.DNS01KeyAuthorization())
	}
	return nil
}

func dnsName(challenge acme.Challenge) string {
	return strings.TrimSuffix(challenge.DNS01TXTRecordName(), ".")
}
