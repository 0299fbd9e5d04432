package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// becomeNode turns the supervisor, already in fresh mount, pid, network, ipc and uts namespaces, into a small machine: private
// mounts, an own /proc, empty /run and /var/lib, an own /var/log, and a bridge that carries the node's address. None of it is visible
// outside, and all of it ends with the supervisor, so there is nothing here that down would have to undo but the cgroups.
func becomeNode(state, cgroup string) error {
	if err := privateMounts(state); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(nodeName)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if err := nodeNetworkUp(); err != nil {
		return err
	}
	return makeCgroups(cgroup)
}

func privateMounts(state string) error {
	type mount struct {
		source, target, kind string
		flags                uintptr
	}
	log := filepath.Join(state, "var-log")
	if err := os.MkdirAll(log, 0o755); err != nil {
		return err
	}
	mounts := []mount{
		{"", "/", "", syscall.MS_REC | syscall.MS_PRIVATE},
		// Shared among the node's own children, or a volume's mount would not reach its container.
		{"", "/", "", syscall.MS_REC | syscall.MS_SHARED},
		{"proc", "/proc", "proc", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC},
		{"tmpfs", "/run", "tmpfs", syscall.MS_NOSUID | syscall.MS_NODEV},
		{log, "/var/log", "", syscall.MS_BIND},
	}
	// The container network library keeps a cache below /var/lib that no flag moves; hide the machine's one unless our own files are in it.
	if !strings.HasPrefix(state, "/var/lib/") && !strings.HasPrefix(os.Args[0], "/var/lib/") {
		mounts = append(mounts, mount{"tmpfs", "/var/lib", "tmpfs", syscall.MS_NOSUID | syscall.MS_NODEV})
	}
	for _, m := range mounts {
		if err := syscall.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	return nil
}

func nodeNetworkUp() error {
	commands := [][]string{
		{"ip", "link", "set", "lo", "up"},
		{"ip", "link", "add", "node0", "type", "bridge"},
		{"ip", "address", "add", nodeNetwork, "dev", "node0"},
		{"ip", "link", "set", "node0", "up"},
		{"ip", "route", "add", "default", "dev", "node0"},
	}
	for _, command := range commands {
		if output, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %s", strings.Join(command, " "), firstLine(output, err))
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return err
	}
	return filterBridge()
}

// filterBridge sends what crosses a bridge through iptables: a pod that calls a Service whose pod is on the same bridge needs the
// answer to pass the address translation too. The feature is a module that nothing loads by itself.
func filterBridge() error {
	const setting = "/proc/sys/net/bridge/bridge-nf-call-iptables"
	if !exists(setting) {
		_ = exec.Command("modprobe", "br_netfilter").Run()
	}
	return os.WriteFile(setting, []byte("1"), 0o644)
}

func firstLine(output []byte, err error) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(output)), "\n")
	if line == "" {
		return err.Error()
	}
	return line
}

// cgroupRoots lists the mount points of all cgroup hierarchies, of version 1 and 2.
func cgroupRoots() ([]string, error) {
	file, err := os.Open("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var roots []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) > 2 && (fields[2] == "cgroup" || fields[2] == "cgroup2") {
			roots = append(roots, fields[1])
		}
	}
	return roots, nil
}

func makeCgroups(name string) error {
	roots, err := cgroupRoots()
	if err != nil {
		return err
	}
	for _, root := range roots {
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("make the cgroup %s: %w", filepath.Join(root, name), err)
		}
		if err := fillCgroup(root, filepath.Join(root, name)); err != nil {
			return err
		}
	}
	return nil
}

// fillCgroup gives a fresh cgroup what it does not inherit: the processors and memory nodes of version 1, the controllers of version 2.
func fillCgroup(parent, child string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, file))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(child, file), value, 0o644); err != nil {
			return fmt.Errorf("fill %s: %w", filepath.Join(child, file), err)
		}
	}
	controllers, err := os.ReadFile(filepath.Join(parent, "cgroup.controllers"))
	if err != nil {
		return nil // version 1 has no such file
	}
	for _, controller := range strings.Fields(string(controllers)) {
		for _, directory := range []string{parent, child} {
			if err := os.WriteFile(filepath.Join(directory, "cgroup.subtree_control"), []byte("+"+controller), 0o644); err != nil {
				return fmt.Errorf("enable the cgroup controller %s in %s: %w", controller, directory, err)
			}
		}
	}
	return nil
}
