package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
	"unsafe"
)

// down ends the cluster and removes all that it made. It needs nothing but the process table and the names, so it also cleans up
// after a start that failed or was interrupted, and it is no error when there is nothing to do.
func down(ctx context.Context, config Config) error {
	unlock, err := lockCluster(ctx, config)
	if err != nil {
		return err
	}
	defer unlock()
	started := time.Now()
	supervisor := supervisorPid(config)
	left, err := cgroupsOf(config)
	if err != nil {
		return err
	}
	if supervisor == 0 && !exists(config.State) && len(left) == 0 {
		progress("there is no cluster %s", config.Name)
		return nil
	}
	if exists(config.State) {
		if err := ours(config); err != nil {
			return err
		}
	}
	if supervisor != 0 {
		if err := endSupervisor(config, supervisor); err != nil {
			return err
		}
	}
	// Looked up again: until its end the supervisor may have made more.
	for _, name := range []string{config.cgroup(), config.probeCgroup()} {
		if err := removeCgroups(name); err != nil {
			return err
		}
	}
	restoreControllers(config.State)
	if err := os.RemoveAll(config.State); err != nil {
		return err
	}
	// The directories above are removed when this was the last cluster in them.
	for parent := filepath.Dir(config.State); filepath.Base(parent) == "clusters" || filepath.Base(parent) == "landfall"; parent = filepath.Dir(parent) {
		if os.Remove(parent) != nil {
			break
		}
	}
	progress("the cluster %s is gone after %s", config.Name, seconds(time.Since(started)))
	return nil
}

// endSupervisor kills process 1 of the cluster, with which the kernel ends everything in its namespaces before it reports the end. A
// cluster without namespaces is told first, so that it can end its process groups; the parent-death signal covers the rest.
func endSupervisor(config Config, supervisor int) error {
	end, err := watchProcess(supervisor)
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("watch the supervisor: %w", err)
	}
	defer end.close()
	if setting, err := readSupervisorConfig(config.State); err == nil && setting.Mode == modeControlPlane {
		_ = syscall.Kill(supervisor, syscall.SIGTERM)
		if end.within(5 * time.Second) {
			return nil
		}
	}
	if err := syscall.Kill(supervisor, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end the supervisor: %w", err)
	}
	if !end.within(20 * time.Second) {
		return fmt.Errorf("the supervisor (process %d) does not end", supervisor)
	}
	return nil
}

// A processEnd is a file descriptor that becomes readable when a process has ended altogether: of process 1 of a pid namespace, when
// all others in there have. Neither the process table nor the command line tells that moment.
type processEnd int

// The number of the system call pidfd_open, the same on all architectures, which package syscall does not name.
const sysPidfdOpen = 434

func watchProcess(pid int) (processEnd, error) {
	descriptor, _, code := syscall.Syscall(sysPidfdOpen, uintptr(pid), 0, 0)
	if code != 0 {
		return -1, code
	}
	syscall.CloseOnExec(int(descriptor))
	return processEnd(descriptor), nil
}

func (p processEnd) within(limit time.Duration) bool {
	for deadline := time.Now().Add(limit); ; {
		poll := struct {
			descriptor      int32
			events, revents int16
		}{int32(p), 1, 0} // 1 is POLLIN
		rest := syscall.NsecToTimespec(max(0, time.Until(deadline)).Nanoseconds())
		ready, _, code := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&poll)), 1, uintptr(unsafe.Pointer(&rest)), 0, 0, 0)
		if code != syscall.EINTR || time.Now().After(deadline) {
			return code == 0 && ready == 1
		}
	}
}

func (p processEnd) close() { _ = syscall.Close(int(p)) }

// cgroupsOf lists the cluster's cgroups in all hierarchies.
func cgroupsOf(config Config) ([]string, error) {
	own, err := cgroupsNamed(config.cgroup())
	if err != nil {
		return nil, err
	}
	probe, err := cgroupsNamed(config.probeCgroup())
	return append(own, probe...), err
}

func removeCgroups(name string) error {
	found, err := cgroupsNamed(name)
	if err != nil {
		return err
	}
	for _, path := range found {
		if err := removeCgroup(path); err != nil {
			return err
		}
	}
	return nil
}

func cgroupsNamed(name string) ([]string, error) {
	roots, err := cgroupRoots()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, root := range roots {
		if path := filepath.Join(root, name); exists(path) {
			found = append(found, path)
		}
	}
	return found, nil
}

// removeCgroup removes a tree of cgroups from the leaves up; the kernel frees a cgroup some time after its last process has ended.
func removeCgroup(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeCgroup(filepath.Join(path, entry.Name())); err != nil {
				return err
			}
		}
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		err := syscall.Rmdir(path)
		if err == nil || errors.Is(err, syscall.ENOENT) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline) {
			return fmt.Errorf("remove the cgroup %s: %w", path, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
