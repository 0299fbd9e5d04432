package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// runCurrent serves the commands on a cluster that somebody else started and that KUBECONFIG names. It never stops or changes it.
func runCurrent(ctx context.Context, config Config, args []string) error {
	switch command, rest := args[0], args[1:]; command {
	case "up", "status":
		return reachCurrent(ctx, config)
	case "build":
		return nil
	case "tools":
		return buildTools(ctx, config)
	case "down":
		progress("the cluster of KUBECONFIG=%s is not ours to stop", config.Kubeconfig)
		return nil
	case "shell":
		return execCurrent(config, []string{fallback(os.Getenv("SHELL"), "/bin/sh")})
	case "exec":
		if len(rest) > 0 && rest[0] == "--" {
			rest = rest[1:]
		}
		return execCurrent(config, rest)
	default:
		return tellUser("%s works on a cluster of our own only; for the cluster of KUBECONFIG use its own tools", command)
	}
}

func reachCurrent(ctx context.Context, config Config) error {
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		return tellUser("kubectl is not on PATH; it is needed to reach the cluster of KUBECONFIG")
	}
	output, err := exec.CommandContext(ctx, kubectl, "get", "--raw", "/readyz", "--request-timeout=10s").CombinedOutput()
	if err != nil {
		return tellUser("the cluster of KUBECONFIG=%s is not reachable: %s", config.Kubeconfig, lastLine(output, err))
	}
	progress("using the cluster of KUBECONFIG=%s: %s", config.Kubeconfig, strings.TrimSpace(string(output)))
	return nil
}

func execCurrent(config Config, argv []string) error {
	if len(argv) == 0 {
		return tellUser("exec needs a command, for example: hack/cluster/cluster exec -- kubectl get nodes")
	}
	// The user's own tools come before the ones that were built here.
	path := append([]string{os.Getenv("PATH")}, toolPath(config)...)
	environment := overlay(os.Environ(), []string{"LANDFALL_CLUSTER_KIND=current", "PATH=" + strings.Join(path, ":")})
	program, err := lookPath(argv[0], environment)
	if err != nil {
		return tellUser("%s is not on PATH", argv[0])
	}
	return syscall.Exec(program, argv, environment)
}
