package main

import (
	"bufio"
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

// becomeNode turns the supervisor, already in fresh mount, pid, network, ipc and uts namespaces, into a small machine: private
// mounts, an own /proc, empty /run and /var/lib, an own /var/log, and a bridge that carries the node's address. None of it is visible
// outside, and all of it ends with the supervisor, so there is nothing here that down would have to undo but the cgroups. The check
// of the kernel runs it too, with a state directory and a cgroup to throw away.
func becomeNode(state, cache, cgroup string) error {
	if err := privateMounts(state, cache); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(nodeName)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if err := nodeNetworkUp(); err != nil {
		return err
	}
	return makeCgroups(state, cgroup)
}

func privateMounts(state, cache string) error {
	log := filepath.Join(state, "var-log")
	if err := os.MkdirAll(log, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	hide := []string{"/run", "/var/lib"}
	kept, err := openBelow(hide, state, cache)
	if err != nil {
		return err
	}
	type mount struct {
		source, target, kind string
		flags                uintptr
	}
	mounts := []mount{
		// Shared among the node's own children, or a volume's mount would not reach its container.
		{"", "/", "", syscall.MS_REC | syscall.MS_SHARED},
		{"proc", "/proc", "proc", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC},
		{log, "/var/log", "", syscall.MS_BIND},
	}
	// Sockets and locks of the machine's own daemons, and the container network library's cache, which no flag moves.
	for _, directory := range hide {
		mounts = append(mounts, mount{"tmpfs", directory, "tmpfs", syscall.MS_NOSUID | syscall.MS_NODEV})
	}
	for _, m := range mounts {
		if err := syscall.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	for path, directory := range kept {
		if err := bindBack(directory, path); err != nil {
			return err
		}
	}
	return shieldKernelSettings(state)
}

// openBelow opens those of the paths that lie below a directory which is about to be hidden.
func openBelow(hidden []string, paths ...string) (map[string]*os.File, error) {
	kept := map[string]*os.File{}
	for _, path := range paths {
		for _, directory := range hidden {
			if !strings.HasPrefix(path, directory+"/") {
				continue
			}
			file, err := os.Open(path)
			if err != nil {
				return nil, err
			}
			kept[path] = file
		}
	}
	return kept, nil
}

func bindBack(directory *os.File, path string) error {
	defer directory.Close()
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	if err := syscall.Mount(fmt.Sprintf("/proc/self/fd/%d", directory.Fd()), path, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("mount %s again: %w", path, err)
	}
	return nil
}

// kernelSettings are the settings of the whole machine that a kubelet writes when they differ from its wishes.
var kernelSettings = map[string]string{
	"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
	"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
}

// shieldKernelSettings lays files over those settings, so that the kubelet finds its wishes fulfilled and the machine keeps its own.
func shieldKernelSettings(state string) error {
	directory := filepath.Join(state, "kernel-settings")
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	for name, value := range kernelSettings {
		target := filepath.Join("/proc/sys", name)
		if !exists(target) {
			continue
		}
		file := filepath.Join(directory, strings.ReplaceAll(name, "/", "."))
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := syscall.Mount(file, target, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s: %w", target, err)
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

const bridgeFilter = "/proc/sys/net/bridge/bridge-nf-call-iptables"

// filterBridge sends what crosses a bridge of this network namespace through iptables: a pod that calls a Service whose pod is on the
// same bridge needs the answer to pass the address translation too.
func filterBridge() error { return os.WriteFile(bridgeFilter, []byte("1"), 0o644) }

// loadBridgeFilter loads the module behind filterBridge, which nothing else loads, and keeps it from changing the machine's own bridges.
func loadBridgeFilter(ctx context.Context) {
	if exists(bridgeFilter) || exec.CommandContext(ctx, "modprobe", "br_netfilter").Run() != nil {
		return
	}
	for _, table := range []string{"iptables", "ip6tables", "arptables"} {
		_ = os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-"+table, []byte("0"), 0o644)
	}
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

func makeCgroups(state, name string) error {
	roots, err := cgroupRoots()
	if err != nil {
		return err
	}
	if len(roots) == 0 {
		return errors.New("no cgroups are mounted")
	}
	for _, root := range roots {
		if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("make the cgroup %s: %w", filepath.Join(root, name), err)
		}
		if err := inheritProcessors(root, filepath.Join(root, name)); err != nil {
			return err
		}
		if err := enableControllers(state, root, filepath.Join(root, name)); err != nil {
			return err
		}
	}
	return nil
}

// inheritProcessors gives a fresh cgroup of version 1 the processors and memory nodes, which it does not inherit.
func inheritProcessors(parent, child string) error {
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
	return nil
}

// enableControllers gives a fresh cgroup of version 2 the controllers that a kubelet needs. What it had to enable above the cluster's
// own cgroup is noted, so that down can take it back.
func enableControllers(state, parent, child string) error {
	text, err := os.ReadFile(filepath.Join(parent, "cgroup.controllers"))
	if err != nil {
		return nil // version 1 has no such file
	}
	enabled, err := os.ReadFile(filepath.Join(parent, subtreeControl))
	if err != nil {
		return err
	}
	available, before := strings.Fields(string(text)), strings.Fields(string(enabled))
	for _, controller := range []string{"cpuset", "cpu", "io", "memory", "hugetlb", "pids"} {
		if !slices.Contains(available, controller) {
			continue
		}
		if !slices.Contains(before, controller) {
			if err := appendLine(filepath.Join(state, enabledControllers), parent+" "+controller); err != nil {
				return err
			}
		}
		for _, directory := range []string{parent, child} {
			if err := os.WriteFile(filepath.Join(directory, subtreeControl), []byte("+"+controller), 0o644); err != nil {
				return fmt.Errorf("enable the cgroup controller %s in %s: %w", controller, directory, err)
			}
		}
	}
	return nil
}

const (
	subtreeControl = "cgroup.subtree_control"
	// enabledControllers is the file in the state directory that lists what was enabled: a directory and a controller a line.
	enabledControllers = "enabled-controllers"
)

// restoreControllers takes back what enableControllers noted; a controller that another cluster uses meanwhile stays.
func restoreControllers(state string) {
	text, err := os.ReadFile(filepath.Join(state, enabledControllers))
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		if directory, controller, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			_ = os.WriteFile(filepath.Join(directory, subtreeControl), []byte("-"+controller), 0o644)
		}
	}
}

func appendLine(path, line string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := file.WriteString(line + "\n"); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
