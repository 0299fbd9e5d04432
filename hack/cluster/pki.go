package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// An identity is a client of the API server: a certificate and a kubeconfig that holds it.
type identity struct {
	name, user, group string
}

var identities = []identity{
	{"admin", "landfall-admin", "system:masters"},
	{"kube-controller-manager", "system:kube-controller-manager", ""},
	{"kube-scheduler", "system:kube-scheduler", ""},
	{"kubelet", "system:node:" + nodeName, "system:nodes"},
	{"kube-proxy", "system:kube-proxy", ""},
	{"coredns", "landfall-coredns", "system:masters"},
	{"contour", "landfall-contour", "system:masters"},
	{"kwok", "landfall-kwok", "system:masters"},
}

// makeCredentials writes the authority and all certificates once in the life of a cluster (they live for a year, a local cluster for
// hours), and one kubeconfig per identity for the address that the API server has now.
func makeCredentials(config Config, server string) error {
	if err := makeCertificates(config); err != nil {
		return err
	}
	for _, who := range identities {
		if err := writeKubeconfig(config, who.name, config.kubeconfig(who.name), server); err != nil {
			return err
		}
	}
	return nil
}

func makeCertificates(config Config) error {
	done := config.path("pki", "complete")
	if exists(done) {
		return nil
	}
	if err := os.MkdirAll(config.path("pki"), 0o700); err != nil {
		return err
	}
	authority, err := newAuthority(config.path("pki"))
	if err != nil {
		return err
	}
	names := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", nodeName}
	addresses := []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP(nodeAddress), net.ParseIP(apiService)}
	if err := authority.issue("server", &x509.Certificate{
		Subject: pkix.Name{CommonName: "landfall-cluster", Organization: []string{"system:masters"}}, DNSNames: names, IPAddresses: addresses,
	}); err != nil {
		return err
	}
	for _, who := range identities {
		if err := authority.issueIdentity(who); err != nil {
			return err
		}
	}
	if err := writeServiceAccountKey(config.path("pki")); err != nil {
		return err
	}
	return os.WriteFile(done, nil, 0o600)
}

type authority struct {
	directory   string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

func newAuthority(directory string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "landfall-cluster-ca"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a := &authority{directory: directory, certificate: certificate, key: key, pem: pemOf("CERTIFICATE", der)}
	if err := writePrivate(filepath.Join(directory, "ca.crt"), a.pem); err != nil {
		return nil, err
	}
	return a, writeKey(filepath.Join(directory, "ca.key"), key)
}

// issue writes NAME.crt and NAME.key, for servers and clients alike.
func (a *authority) issue(name string, template *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return err
	}
	template.NotBefore, template.NotAfter = a.certificate.NotBefore, a.certificate.NotAfter
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return err
	}
	if err := writePrivate(filepath.Join(a.directory, name+".crt"), pemOf("CERTIFICATE", der)); err != nil {
		return err
	}
	return writeKey(filepath.Join(a.directory, name+".key"), key)
}

func (a *authority) issueIdentity(who identity) error {
	subject := pkix.Name{CommonName: who.user}
	if who.group != "" {
		subject.Organization = []string{who.group}
	}
	return a.issue(who.name, &x509.Certificate{Subject: subject})
}

// kubeconfig is the path of the kubeconfig of one identity.
func (c Config) kubeconfig(identity string) string { return c.path(identity + ".kubeconfig") }

func writeKubeconfig(config Config, identity, path, server string) error {
	var inline [3]string
	for i, file := range []string{"ca.crt", identity + ".crt", identity + ".key"} {
		text, err := os.ReadFile(config.path("pki", file))
		if err != nil {
			return err
		}
		inline[i] = base64.StdEncoding.EncodeToString(text)
	}
	return writePrivate(path, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: %[1]s, cluster: {server: "%[2]s", certificate-authority-data: %[3]s}}]
users: [{name: %[1]s, user: {client-certificate-data: %[4]s, client-key-data: %[5]s}}]
contexts: [{name: %[1]s, context: {cluster: %[1]s, user: %[1]s}}]
current-context: %[1]s
`, "landfall-"+config.Name, server, inline[0], inline[1], inline[2]))
}

func writeServiceAccountKey(directory string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	if err := writePrivate(filepath.Join(directory, "service-account.pub"), pemOf("PUBLIC KEY", public)); err != nil {
		return err
	}
	return writeKey(filepath.Join(directory, "service-account.key"), key)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePrivate(path, pemOf("EC PRIVATE KEY", der))
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// writePrivate replaces a file whole, readable by its owner alone; a file that is as wanted is not touched.
func writePrivate(path string, text []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
		return nil
	}
	fresh := path + ".new"
	if err := os.WriteFile(fresh, text, 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}
