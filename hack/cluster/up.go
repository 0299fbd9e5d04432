package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Time that all components together may take to become healthy.
const startLimit = 3 * time.Minute

// up makes the cluster run: it decides what the machine can carry, builds what is missing, starts what is not running, and waits.
func up(ctx context.Context, config Config) error {
	unlock, err := lockCluster(ctx, config)
	if err != nil {
		return err
	}
	defer unlock()
	if err := claim(config); err != nil {
		return err
	}
	setting, found, err := decideAndBuild(ctx, config)
	if err != nil {
		if !exists(config.path("supervisor.json")) {
			// Nothing was started yet: what was refused leaves nothing.
			err = errors.Join(err, os.RemoveAll(config.State))
		}
		return err
	}
	config = setting.applyTo(config)
	if err := prepare(config, setting, found); err != nil {
		return err
	}
	if err := ensureSupervisor(ctx, config, setting); err != nil {
		return err
	}
	// Many pretended nodes take their time.
	ctx, cancel := context.WithTimeout(ctx, startLimit+time.Duration(max(config.KwokNodes, 0))*200*time.Millisecond)
	defer cancel()
	s := starter{config: config, mode: setting.Mode, parts: found, client: newClient(config)}
	if err := s.start(ctx); err != nil {
		return err
	}
	announce(config, setting)
	return nil
}

// decideAndBuild does all that comes before the first start.
func decideAndBuild(ctx context.Context, config Config) (SupervisorConfig, Parts, error) {
	setting, err := settle(ctx, config)
	if err != nil {
		return setting, nil, err
	}
	found, err := ensureParts(ctx, config, wanted(setting.Mode))
	if err == nil && ctx.Err() != nil {
		err = errInterrupted
	}
	return setting, found, err
}

// build builds all parts that this machine can use and starts nothing.
func build(ctx context.Context, config Config) error {
	mode := modeFull
	if config.Mode == modeControlPlane || os.Geteuid() != 0 {
		mode = modeControlPlane
	}
	_, err := ensureParts(ctx, config, wanted(mode))
	return err
}

// buildTools installs the Git server of the tests, and builds Helm and Lua, which no cluster needs; from then on exec and shell find
// them.
func buildTools(ctx context.Context, config Config) error {
	if err := ensureTools(config, notFound(gitTools)); err != nil {
		return err
	}
	_, err := ensureParts(ctx, config, tools())
	return err
}

// toolPath has the directories of the tools that are built.
func toolPath(config Config) []string {
	found, missing, err := locateAll(config, tools())
	if err != nil {
		return nil
	}
	for _, p := range missing {
		delete(found, p.name)
	}
	return slices.Sorted(maps.Values(found))
}

// marker is the file that says: this directory is a cluster, down may remove it.
const marker = ".landfall-cluster"

// claim makes the state directory, or refuses one that holds something else.
func claim(config Config) error {
	if err := checkSpace(config.State, 1<<30); err != nil {
		return err
	}
	if err := os.MkdirAll(config.State, 0o700); err != nil {
		return err
	}
	if err := ours(config); err != nil {
		return err
	}
	return writePrivate(config.path(marker), []byte("a cluster of landfall; remove it with make cluster-down\n"))
}

// ours is an error for a directory that has content and is no cluster.
func ours(config Config) error {
	entries, err := os.ReadDir(config.State)
	if err != nil {
		return err
	}
	if len(entries) > 0 && !exists(config.path(marker)) {
		return tellUser("%s holds files that are not a cluster's: set LANDFALL_STATE or CLUSTER to another directory", config.State)
	}
	return nil
}

// settle decides what cluster this is: a running one keeps its settings, a new one gets what the machine can carry.
func settle(ctx context.Context, config Config) (SupervisorConfig, error) {
	if supervisorPid(config) != 0 {
		return keepSettings(config)
	}
	setting := SupervisorConfig{Mode: config.Mode, Cgroup: config.cgroup(), PortBase: config.portBase(), Cache: config.Cache}
	switch config.Mode {
	case modeControlPlane:
		setting.Reason = "LANDFALL_CLUSTER_MODE=control-plane asks for it"
	case modeAuto, modeFull:
		reason, snapshotter, err := nodeImpossible(ctx, config)
		if err != nil {
			return setting, err
		}
		setting.Mode, setting.Reason, setting.Snapshotter = modeFull, reason, snapshotter
		if reason != "" && config.Mode == modeFull {
			return setting, tellUser("a full cluster is impossible here: %s", reason)
		}
		if reason != "" {
			setting.Mode = modeControlPlane
		}
	}
	if setting.Mode == modeControlPlane {
		progress("no node, no gateway and no cluster DNS in this cluster, only API server, controllers and pretended nodes: %s", setting.Reason)
		return setting, portsFree(portsOf(config, setting.Mode).all())
	}
	return setting, nil
}

// keepSettings returns what a running cluster was started with, unless the user asks for something else.
func keepSettings(config Config) (SupervisorConfig, error) {
	setting, err := readSupervisorConfig(config.State)
	if err != nil {
		return setting, err
	}
	if config.Mode != modeAuto && config.Mode != setting.Mode {
		return setting, tellUser("the cluster %s runs as %s, not as LANDFALL_CLUSTER_MODE=%s asks: run `make cluster-down` first", config.Name, setting.Mode, config.Mode)
	}
	if setting.Mode == modeControlPlane && config.PortBase >= 0 && config.PortBase != setting.PortBase {
		return setting, tellUser("the cluster %s runs on PORT_BASE=%d, not on %d: run `make cluster-down` first", config.Name, setting.PortBase, config.PortBase)
	}
	return setting, nil
}

// applyTo completes a user's settings with what the cluster was started with. Only the ports of a cluster without a node are its own:
// those of forward are chosen each time.
func (s SupervisorConfig) applyTo(config Config) Config {
	if s.Mode == modeControlPlane {
		config.PortBase = s.PortBase
	}
	return config
}

func portsFree(list []int) error {
	for _, port := range list {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return portTaken(port)
		}
		listener.Close()
	}
	return nil
}

func portTaken(port int) error {
	return tellUser("port %d of 127.0.0.1 is taken by another program: choose other ports with PORT_BASE, for example PORT_BASE=27000", port)
}

// prepare writes the cluster's files; what is there already stays.
func prepare(config Config, setting SupervisorConfig, found Parts) error {
	for _, directory := range []string{"logs", "tmp", "etcd"} {
		if err := os.MkdirAll(config.path(directory), 0o700); err != nil {
			return err
		}
	}
	if err := makeCredentials(config, portsOf(config, setting.Mode).server()); err != nil {
		return err
	}
	if err := writePrivate(config.path("supervisor.json"), encode(setting)); err != nil {
		return err
	}
	if setting.Mode != modeFull {
		return nil
	}
	if err := writeNodeFiles(config, setting.Snapshotter, pluginDirectory()); err != nil {
		return err
	}
	if text, err := os.ReadFile(config.path("envoy-bootstrap")); err == nil && string(text) == found["contour"] {
		return nil
	}
	output, err := exec.Command(found.program("contour", "contour"), "bootstrap", "--xds-address=127.0.0.1", "--xds-port=8001",
		"--admin-address="+config.path("envoy-admin.sock"), config.path("envoy.json")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("write Envoy's configuration: %s", lastLine(output, err))
	}
	return writePrivate(config.path("envoy-bootstrap"), []byte(found["contour"]))
}

// ensureSupervisor starts the supervisor if there is none and returns when its socket answers.
func ensureSupervisor(ctx context.Context, config Config, setting SupervisorConfig) error {
	client := newClient(config)
	if supervisorPid(config) == 0 {
		if err := startSupervisor(config, setting); err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := client.processes(ctx); err == nil {
			return nil
		}
		if supervisorPid(config) == 0 || time.Now().After(deadline) {
			text, _ := os.ReadFile(config.path("logs", "supervisor.log"))
			return fmt.Errorf("the supervisor does not start: %s", lastLine(text, errors.New("its log is empty")))
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

func startSupervisor(config Config, setting SupervisorConfig) error {
	log, err := openLog(config.path("logs", "supervisor.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	command := selfCommand(context.Background(), config, supervisorCommand, config.State)
	command.Stdout, command.Stderr, command.Dir = log, log, config.State
	command.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if setting.Mode == modeFull {
		command.SysProcAttr.Cloneflags = nodeNamespaces
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	// A supervisor that fails at once must not stay a zombie that looks alive.
	go func() { _ = command.Wait() }()
	return nil
}

const nodeNamespaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// A starter brings the components of one cluster up, stage by stage.
type starter struct {
	config Config
	mode   Mode
	parts  Parts
	client *client
}

func (s starter) start(ctx context.Context) error {
	all := components(s.config, s.mode, s.parts, s.wantsKwok())
	for stage := stageStore; stage <= stagePretend; stage++ {
		batch := slices.DeleteFunc(slices.Clone(all), func(c component) bool { return c.stage != stage })
		if err := s.startAll(ctx, batch); err != nil {
			return err
		}
		if err := s.after(ctx, stage); err != nil {
			return err
		}
	}
	return s.waitForConditions(ctx)
}

func (s starter) startAll(ctx context.Context, batch []component) error {
	before, err := s.client.processes(ctx)
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	failures := make([]error, len(batch))
	for i, c := range batch {
		group.Go(func() { failures[i] = s.startOne(ctx, c, before[c.name]) })
	}
	group.Wait()
	return errors.Join(failures...)
}

func (s starter) startOne(ctx context.Context, c component, before Process) error {
	spec, started := c.spec(s.config, s.parts), time.Now()
	fresh := !before.Running || !before.Spec.equal(spec)
	if err := s.client.ensure(ctx, spec); err != nil {
		return err
	}
	if err := s.waitHealthy(ctx, c); err != nil {
		return err
	}
	switch {
	case fresh && before.End != "":
		progress("%s started again in %s (before: %s)", c.name, seconds(time.Since(started)), before.End)
	case fresh:
		progress("%s healthy after %s", c.name, seconds(time.Since(started)))
	}
	return nil
}

// waitHealthy polls: a health endpoint cannot be watched.
func (s starter) waitHealthy(ctx context.Context, c component) error {
	for {
		reason := s.client.health(ctx, c.health)
		if reason == nil {
			return nil
		}
		if processes, err := s.client.processes(ctx); err == nil && !processes[c.name].Running {
			return tellUser("%s %s while starting: %s (log: `hack/cluster/cluster logs %s`)", c.name, processes[c.name].End, s.lastLog(c.name), c.name)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return s.explain(ctx, fmt.Sprintf("%s is not healthy after %s: %v (log: `hack/cluster/cluster logs %s`)", c.name, startLimit, reason, c.name))
		}
	}
}

func (s starter) lastLog(name string) string {
	text, _ := os.ReadFile(s.config.path("logs", name+".log"))
	return lastLine(text, errors.New("its log is empty"))
}

func (s starter) explain(ctx context.Context, sentence string) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return tellUser("%s", sentence)
	}
	return errInterrupted
}

// after does what must be done once between two stages.
func (s starter) after(ctx context.Context, stage int) error {
	switch {
	case stage == stageStore && s.mode == modeFull:
		return s.loadPause(ctx)
	case stage == stageAPI && s.mode == modeFull:
		return s.applyGateway(ctx)
	case stage == stagePretend:
		return s.pretend(ctx)
	}
	return nil
}

func (s starter) loadPause(ctx context.Context) error {
	return s.once("pause-loaded", s.parts["pause"], func() error {
		return importImage(ctx, s.config, s.parts, s.parts.program("pause", "pause.tar"))
	})
}

func (s starter) applyGateway(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join(s.config.Source, "config", "gateway.yaml"))
	if err != nil {
		return err
	}
	names := strings.NewReplacer("GATEWAY_NAMESPACE", gatewayNamespace, "GATEWAY_NAME", gatewayName)
	manifest := s.config.path("gateway.yaml")
	if err := writePrivate(manifest, []byte(names.Replace(string(text)))); err != nil {
		return err
	}
	crds := s.parts.program("contour", "crds.yaml")
	digest := sha256.Sum256(text)
	return s.once("gateway-applied", s.parts["contour"]+hex.EncodeToString(digest[:]), func() error {
		started := time.Now()
		for _, arguments := range [][]string{
			{"apply", "--server-side", "--force-conflicts", "-f", crds},
			{"wait", "--for=condition=Established", "--timeout=60s", "-f", crds},
			{"apply", "--server-side", "--force-conflicts", "-f", manifest},
		} {
			if err := s.kubectl(ctx, arguments...); err != nil {
				return err
			}
		}
		progress("Gateway API definitions and the Gateway %s/%s applied in %s", gatewayNamespace, gatewayName, seconds(time.Since(started)))
		return nil
	})
}

// once does something a single time in the life of a cluster for each value.
func (s starter) once(name, value string, do func() error) error {
	stamp := s.config.path(name)
	if text, err := os.ReadFile(stamp); err == nil && string(text) == value {
		return nil
	}
	if err := do(); err != nil {
		return err
	}
	return writePrivate(stamp, []byte(value))
}

// kubectl runs inside the cluster's network, as this program's own exec command does.
func (s starter) kubectl(ctx context.Context, arguments ...string) error {
	output, err := insideCommand(ctx, s.config, append([]string{s.parts.program("kubernetes", "kubectl")}, arguments...)).CombinedOutput()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return tellUser("kubectl %s did not end in the time for the start of a cluster: run the command again to go on", arguments[0])
	}
	if err != nil {
		return fmt.Errorf("kubectl %s: %s", strings.Join(arguments, " "), lastLine(output, err))
	}
	return nil
}

// waitForConditions waits for what the components report about themselves through the API server.
func (s starter) waitForConditions(ctx context.Context) error {
	for _, c := range conditions(s.config, s.mode) {
		for {
			status, message, err := s.client.condition(ctx, c.url, c.kind)
			if err == nil && status == "True" {
				break
			}
			if err != nil {
				message = err.Error()
			}
			if err := pause(ctx, 50*time.Millisecond); err != nil {
				return s.explain(ctx, fmt.Sprintf("%s is not %s after %s: %s", c.name, c.kind, startLimit, message))
			}
		}
	}
	return nil
}

// An apiCondition is a condition of an object that must be True in a healthy cluster.
type apiCondition struct{ name, url, kind string }

func conditions(config Config, mode Mode) []apiCondition {
	if mode != modeFull {
		return nil
	}
	server := portsOf(config, mode).server()
	return []apiCondition{
		{"node " + nodeName, server + "/api/v1/nodes/" + nodeName, "Ready"},
		{"gateway " + gatewayNamespace + "/" + gatewayName,
			server + "/apis/gateway.networking.k8s.io/v1/namespaces/" + gatewayNamespace + "/gateways/" + gatewayName, "Programmed"},
	}
}

func announce(config Config, setting SupervisorConfig) {
	what := "one real node"
	if setting.Mode != modeFull {
		what = "no node"
	}
	if text, err := os.ReadFile(config.path("kwok-nodes")); err == nil && string(text) != "0" {
		what += " and " + string(text) + " pretended ones"
	}
	suffix := ""
	if config.Name != "landfall" {
		suffix = " CLUSTER=" + config.Name
	}
	progress("the cluster %s is up with %s; next: make cluster-shell%s, make cluster-status%s, make cluster-down%s", config.Name, what, suffix, suffix, suffix)
}
