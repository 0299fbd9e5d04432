package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// execInside replaces this process by a command with the cluster's KUBECONFIG, PATH and network.
func execInside(config Config, argv []string) error {
	if len(argv) > 0 && argv[0] == "--" {
		argv = argv[1:]
	}
	if len(argv) == 0 {
		return tellUser("exec needs a command, for example: hack/cluster/cluster exec -- kubectl get nodes")
	}
	setting, err := running(config)
	if err != nil {
		return err
	}
	config = setting.applyTo(config)
	found, _, err := locate(config, setting.Mode)
	if err != nil {
		return err
	}
	environment := surroundings(config, setting.Mode, found)
	program, err := lookPath(argv[0], environment)
	if err != nil {
		return tellUser("%s is neither a program of the cluster nor on PATH", argv[0])
	}
	if setting.Mode == modeFull {
		// Only this thread changes its network; exec makes it the whole process.
		runtime.LockOSThread()
		if err := enterNetwork(supervisorPid(config)); err != nil {
			return err
		}
	}
	return fmt.Errorf("run %s: %w", argv[0], syscall.Exec(program, argv, environment))
}

func enterNetwork(supervisor int) error {
	namespace, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", supervisor))
	if err != nil {
		return err
	}
	defer namespace.Close()
	if _, _, code := syscall.Syscall(sysSetns, namespace.Fd(), syscall.CLONE_NEWNET, 0); code != 0 {
		return fmt.Errorf("enter the cluster's network: %w", code)
	}
	return nil
}

// The number of the system call setns, which package syscall does not name.
var sysSetns = map[string]uintptr{"amd64": 308, "arm64": 268}[runtime.GOARCH]

// surroundings is this process's environment with what the cluster adds.
func surroundings(config Config, mode Mode, found Parts) []string {
	path := []string{found["kubernetes"]}
	if mode == modeFull {
		path = append(path, found["containerd"])
	}
	path = append(path, toolPath(config)...)
	p := portsOf(config, mode)
	additions := []string{
		"PATH=" + strings.Join(append(path, os.Getenv("PATH")), ":"),
		"KUBECONFIG=" + config.kubeconfig("admin"),
		// kubectl's discovery cache goes with the cluster.
		"KUBECACHEDIR=" + config.path("tmp", "kube-cache"),
		"CONTAINERD_ADDRESS=" + config.path("containerd.sock"), "CONTAINERD_NAMESPACE=k8s.io",
		"LANDFALL_CLUSTER=" + config.Name, "LANDFALL_CLUSTER_KIND=" + string(mode), "LANDFALL_API=" + p.server()}
	if mode == modeFull {
		additions = append(additions, fmt.Sprintf("LANDFALL_GATEWAY_URL=http://%s:%d", nodeAddress, gatewayPort))
	}
	return overlay(os.Environ(), additions)
}

// overlay replaces variables; a program that finds one twice takes the first.
func overlay(environment, additions []string) []string {
	named := func(variable string) string { return variable[:strings.Index(variable, "=")+1] }
	kept := slices.DeleteFunc(slices.Clone(environment), func(variable string) bool {
		return slices.ContainsFunc(additions, func(added string) bool { return strings.HasPrefix(variable, named(added)) })
	})
	return append(kept, additions...)
}

func lookPath(name string, environment []string) (string, error) {
	if strings.Contains(name, "/") {
		return filepath.Abs(name)
	}
	for i := len(environment) - 1; i >= 0; i-- {
		path, ok := strings.CutPrefix(environment[i], "PATH=")
		if !ok {
			continue
		}
		for _, directory := range filepath.SplitList(path) {
			candidate := filepath.Join(directory, name)
			if info, err := os.Stat(candidate); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
				return candidate, nil
			}
		}
		break
	}
	return "", exec.ErrNotFound
}

// insideCommand is a command that runs inside while this process goes on outside.
func insideCommand(ctx context.Context, config Config, argv []string) *exec.Cmd {
	command := selfCommand(ctx, config, append([]string{"exec", "--"}, argv...)...)
	command.Env = append(os.Environ(), "CLUSTER="+config.Name)
	return command
}

// selfCommand runs this program again, also when its file has been replaced by a newer build meanwhile.
func selfCommand(ctx context.Context, config Config, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "/proc/self/exe", arguments...)
	command.Args[0] = filepath.Join(config.Cache, "bin", "cluster")
	return command
}

func shell(config Config) error {
	if _, err := running(config); err != nil {
		return err
	}
	program := fallback(os.Getenv("SHELL"), "/bin/sh")
	fmt.Fprintf(os.Stderr, "cluster: a shell inside the cluster %s: kubectl and ctr are on PATH, the gateway is at http://%s:%d; leave it with exit\n",
		config.Name, nodeAddress, gatewayPort)
	return execInside(config, []string{program})
}

// A forwarding brings one address inside the cluster to one port of the machine's loopback.
type forwarding struct {
	name   string
	port   int
	inside string
}

// forward listens on loopback until it is interrupted or the cluster ends.
func forward(ctx context.Context, config Config) error {
	setting, err := running(config)
	if err != nil {
		return err
	}
	if setting.Mode != modeFull {
		progress("the cluster %s is on loopback already: KUBECONFIG=%s", config.Name, config.kubeconfig("admin"))
		return nil
	}
	list := []forwarding{
		{"API server", config.apiPort(), fmt.Sprintf("%s:%d", nodeAddress, portsOf(config, modeFull).api)},
		{"gateway", config.gatewayForwardPort(), fmt.Sprintf("%s:%d", nodeAddress, gatewayPort)},
	}
	kubeconfig := config.path("forward.kubeconfig")
	if err := writeKubeconfig(config, "admin", kubeconfig, fmt.Sprintf("https://127.0.0.1:%d", config.apiPort())); err != nil {
		return err
	}
	client := newClient(config)
	var group sync.WaitGroup
	for _, f := range list {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", f.port))
		if err != nil {
			return portTaken(f.port)
		}
		progress("%s: 127.0.0.1:%d", f.name, f.port)
		group.Go(func() { serveForwarding(ctx, client, listener, f) })
		defer context.AfterFunc(ctx, func() { listener.Close() })()
	}
	progress("export KUBECONFIG=%s   (stop with Ctrl-C)", kubeconfig)
	return waitWhileRunning(ctx, config, supervisorPid(config))
}

// waitWhileRunning returns when the caller is interrupted or the cluster has ended.
func waitWhileRunning(ctx context.Context, config Config, supervisor int) error {
	for {
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			return nil
		}
		if supervisorPid(config) != supervisor {
			return tellUser("the cluster %s has ended", config.Name)
		}
	}
}

// Connections that one forwarding carries at a time.
const forwardLimit = 512

func serveForwarding(ctx context.Context, client *client, listener net.Listener, f forwarding) {
	slots := make(chan struct{}, forwardLimit)
	for {
		outer, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			_ = pause(ctx, 100*time.Millisecond)
			continue
		}
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			defer outer.Close()
			inner, err := client.dial(ctx, f.inside)
			if err != nil {
				progress("%s: %v", f.name, err)
				return
			}
			defer inner.Close()
			join(inner, outer, outer)
		}()
	}
}

func printLog(config Config, names []string) error {
	if len(names) != 1 {
		return tellUser("logs needs the name of one component, as `hack/cluster/cluster status` lists them")
	}
	text, err := os.ReadFile(config.path("logs", filepath.Base(names[0])+".log"))
	if errors.Is(err, os.ErrNotExist) {
		return tellUser("the cluster %s has no log of %s", config.Name, names[0])
	}
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}
