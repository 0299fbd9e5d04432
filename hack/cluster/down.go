package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
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
	leftCgroups, err := cgroupsOf(config)
	if err != nil {
		return err
	}
	if supervisor == 0 && !exists(config.State) && len(leftCgroups) == 0 {
		progress("there is no cluster %s", config.Name)
		return nil
	}
	if supervisor != 0 {
		if err := endSupervisor(config, supervisor); err != nil {
			return err
		}
	}
	for _, path := range leftCgroups {
		if err := removeCgroup(path); err != nil {
			return err
		}
	}
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
	setting, err := readSupervisorConfig(config.State)
	signal := syscall.SIGKILL
	if err == nil && setting.Mode == modeControlPlane {
		signal = syscall.SIGTERM
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); signal = syscall.SIGKILL {
		if err := syscall.Kill(supervisor, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end the supervisor: %w", err)
		}
		for range 100 {
			if supervisorPid(config) != supervisor {
				return nil
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return fmt.Errorf("the supervisor (process %d) does not end", supervisor)
}

// cgroupsOf lists the cluster's cgroups, one for each hierarchy that has it.
func cgroupsOf(config Config) ([]string, error) {
	roots, err := cgroupRoots()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, root := range roots {
		if path := filepath.Join(root, config.cgroup()); exists(path) {
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
