// Cluster starts, inspects and stops a real Kubernetes cluster on one Linux machine, without a container registry and without Docker.
//
// A cluster is one supervisor process (supervisor.go) in namespaces of its own and the components that it starts. The kernel ends
// all of them, with their mounts and their network, when the supervisor ends: that is what makes `down` complete. Reading order:
// main.go, config.go, up.go, components.go, supervisor.go, down.go; parts.go builds what is missing, checks.go says what cannot be built.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usage = `usage: hack/cluster/cluster COMMAND

  up              build what is missing, start what is not running, wait until it is healthy
  down            stop the cluster and remove everything that it made, but not the cache of built parts
  status [-o json]  show each component; exit code 0 if all are healthy, 3 if there is no cluster, else 1
  shell           a shell with KUBECONFIG, PATH and network of the cluster
  exec -- CMD     one command in the same surroundings
  forward         bring API server and gateway to loopback until interrupted
  image           build the project's image and load it into the node
  tools           build Helm (helm, helm3), kustomize and Lua (glua), for exec and shell; install git, nginx, fcgiwrap, sshd, gpg and sqv for tests
  load FILE       load an OCI or Docker image archive into the node
  logs COMPONENT  print the log of one component
  build           build the parts and the image tools, start nothing

Settings come from the environment (or as make variables):
  CLUSTER=landfall           name of the cluster; each name is a cluster of its own
  KWOK_NODES=N               keep N pretended nodes beside the real one
  PORT_BASE=26000            first loopback port of forward and of a cluster without a node
  LANDFALL_CLUSTER_MODE      auto (default), full, or control-plane: leave the node out
  LANDFALL_USE_CURRENT_CLUSTER=1  use the cluster of KUBECONFIG instead
  LANDFALL_CACHE, LANDFALL_STATE  where built parts and running clusters live
  LANDFALL_INSTALL_PACKAGES=0     never install a missing Debian package
`

// A userError is a sentence for the person at the keyboard: what is wrong and what to do about it.
type userError struct {
	sentence string
	code     int
}

func (e userError) Error() string { return e.sentence }

func tellUser(format string, args ...any) error { return userError{fmt.Sprintf(format, args...), 1} }

// Exit codes beside 0 and 1: of a command on a cluster that does not exist at all, and of a probe that found something missing.
const (
	codeNoCluster = 3
	codeLacking   = 4
)

// An exitStatus ends the program with a code and without a further word.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func main() {
	if len(os.Args) >= 3 && os.Args[1] == supervisorCommand {
		exit(runSupervisor(os.Args[2]))
	}
	if len(os.Args) == 4 && os.Args[1] == probeCommand {
		exit(probeKernel(os.Args[2], os.Args[3]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if err != nil && ctx.Err() != nil {
		// Whatever was under way failed because it was interrupted, in words of its own.
		err = errInterrupted
	}
	exit(err)
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return exitStatus(2)
	}
	config, err := configFromEnvironment(os.Getenv)
	if err != nil {
		return err
	}
	if config.Current {
		return runCurrent(ctx, config, args)
	}
	switch command, rest := args[0], args[1:]; command {
	case "up":
		return up(ctx, config)
	case "build":
		return build(ctx, config)
	case "down":
		return down(ctx, config)
	case "status":
		return status(ctx, config, rest)
	case "shell":
		return shell(config)
	case "exec":
		return execInside(config, rest)
	case "forward":
		return forward(ctx, config)
	case "image":
		return buildImage(ctx, config)
	case "tools":
		return buildTools(ctx, config)
	case "load":
		return loadImages(ctx, config, rest)
	case "logs":
		return printLog(config, rest)
	default:
		fmt.Fprint(os.Stderr, usage)
		return exitStatus(2)
	}
}

func exit(err error) {
	var code exitStatus
	var said userError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &code):
		os.Exit(int(code))
	case errors.Is(err, syscall.ENOSPC):
		fmt.Fprintf(os.Stderr, "cluster: the disk is full (%v); free some space, or point LANDFALL_CACHE and LANDFALL_STATE to another disk\n", err)
		os.Exit(1)
	case errors.As(err, &said):
		fmt.Fprintf(os.Stderr, "cluster: %s\n", said.sentence)
		os.Exit(said.code)
	default:
		fmt.Fprintf(os.Stderr, "cluster: %v\n", err)
		os.Exit(1)
	}
}
