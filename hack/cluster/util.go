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

var errInterrupted = errors.New("interrupted; run the same command again to go on")

var programStart = time.Now()

// progress prints one line with the time since the start of the command.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "cluster: %6.1fs  %s\n", time.Since(programStart).Seconds(), fmt.Sprintf(format, args...))
}

// seconds rounds a duration for people.
func seconds(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}

// every calls tick at each interval until the returned function is called.
func every(interval time.Duration, tick func()) (stop func()) {
	ticker, done := time.NewTicker(interval), make(chan struct{})
	go func() {
		for {
			select {
			case <-ticker.C:
				tick()
			case <-done:
				return
			}
		}
	}()
	return func() { ticker.Stop(); close(done) }
}

// lock takes an exclusive lock on a file, which the kernel releases with the process; whileWaiting is said once if somebody else has it.
func lock(ctx context.Context, path, whileWaiting string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	for said := false; ; said = true {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			file.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if !said {
			progress("%s", whileWaiting)
		}
		if pause(ctx, 100*time.Millisecond) != nil {
			file.Close()
			return nil, errInterrupted
		}
	}
	return func() { file.Close() }, nil
}

// lockCluster serialises the commands that change one cluster.
func lockCluster(ctx context.Context, config Config) (unlock func(), err error) {
	return lock(ctx, filepath.Join(config.Cache, "locks", config.cgroup()), "another command works on the cluster "+config.Name+"; waiting for it")
}
