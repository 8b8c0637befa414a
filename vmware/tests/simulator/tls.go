package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

// certificates are new at each start: a server's, signed by an authority of its own as vCenter's
// is, and a host's that signed itself.
type certificates struct {
	authority []byte // PEM
	server    tls.Certificate
	host      tls.Certificate
}

func newCertificates() (*certificates, error) {
	authority := template("lkbuild test authority")
	authority.IsCA = true
	authority.BasicConstraintsValid = true
	authority.KeyUsage = x509.KeyUsageCertSign
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	signed, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return nil, err
	}
	server, err := leaf("vcenter", authority, authorityKey)
	if err != nil {
		return nil, err
	}
	host, err := leaf("esxi", nil, nil)
	if err != nil {
		return nil, err
	}
	return &certificates{
		authority: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}),
		server:    server,
		host:      host,
	}, nil
}

func template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
}

// leaf makes a certificate for localhost; without an authority it signs itself.
func leaf(name string, authority *x509.Certificate, authorityKey *ecdsa.PrivateKey) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	own := template(name)
	own.KeyUsage = x509.KeyUsageDigitalSignature
	own.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	own.DNSNames = []string{"localhost"}
	own.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	if authority == nil {
		authority, authorityKey = own, key
	}
	signed, err := x509.CreateCertificate(rand.Reader, own, authority, key.Public(), authorityKey)
	return tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key}, err
}

// thumbprint is colon-separated upper hex, as vSphere prints it.
func thumbprint(sum []byte) string {
	var out bytes.Buffer
	for i, b := range sum {
		if i > 0 {
			out.WriteByte(':')
		}
		fmt.Fprintf(&out, "%02X", b)
	}
	return out.String()
}

func sha1Thumbprint(c *tls.Certificate) string {
	sum := sha1.Sum(c.Certificate[0])
	return thumbprint(sum[:])
}

func sha256Thumbprint(c *tls.Certificate) string {
	sum := sha256.Sum256(c.Certificate[0])
	return thumbprint(sum[:])
}

func (c *certificates) writeAuthority(file string) error {
	return os.WriteFile(file, c.authority, 0o600)
}
