// Package s3 has nothing of the provider whose place it takes: that brings Amazon's library, which is most of the time of a build.
package s3

import (
	"errors"

	"github.com/go-acme/lego/v4/challenge"
)

// NewHTTPProvider is what lego's program asks when it is given --http.s3-bucket.
func NewHTTPProvider(string) (challenge.Provider, error) {
	return nil, errors.New("this lego was built without Amazon's S3")
}
