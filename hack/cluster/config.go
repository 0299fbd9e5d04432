package main

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// Addresses inside the cluster's network namespace; every cluster has a namespace of its own, so all use the same ones.
const (
	nodeAddress  = "10.200.0.1"
	nodeNetwork  = "10.200.0.1/24"
	podNetwork   = "10.244.0.0/24"
	serviceRange = "10.96.0.0/16"
	apiService   = "10.96.0.1"
	nodeName     = "node-1"
	gatewayPort  = 8080
)

// The Gateway that routes attach to, and the class of its controller.
const (
	gatewayNamespace = "gateway"
	gatewayName      = "public"
)

// Mode says how much of a cluster a machine can carry.
type Mode string

const (
	modeAuto         Mode = "auto"
	modeFull         Mode = "full"
	modeControlPlane Mode = "control-plane"
)

// Config is everything that a user can set, checked once.
type Config struct {
	Name            string
	Mode            Mode
	KwokNodes       int // -1: leave them as they are
	PortBase        int // -1: what the cluster was started with, or the default
	Cache           string
	State           string // directory of this cluster; exists only while there is one
	Source          string // directory of hack/cluster
	InstallPackages bool
	Current         bool
	Kubeconfig      string // of the current cluster, when Current
}

var clusterName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$`)

func configFromEnvironment(env func(string) string) (Config, error) {
	home := env("HOME")
	config := Config{
		Name:            fallback(env("CLUSTER"), "landfall"),
		Mode:            Mode(fallback(env("LANDFALL_CLUSTER_MODE"), string(modeAuto))),
		Cache:           fallback(env("LANDFALL_CACHE"), filepath.Join(fallback(env("XDG_CACHE_HOME"), filepath.Join(home, ".cache")), "landfall")),
		Source:          env("LANDFALL_CLUSTER_SOURCE"),
		InstallPackages: env("LANDFALL_INSTALL_PACKAGES") != "0",
		Current:         env("LANDFALL_USE_CURRENT_CLUSTER") == "1",
		Kubeconfig:      env("KUBECONFIG"),
	}
	if !clusterName.MatchString(config.Name) {
		return config, tellUser("CLUSTER=%q is no name for a cluster: use 1 to 20 of a-z, 0-9 and -, for example CLUSTER=b", config.Name)
	}
	switch config.Mode {
	case modeAuto, modeFull, modeControlPlane:
	default:
		return config, tellUser("LANDFALL_CLUSTER_MODE=%q is unknown: use auto, full or control-plane", config.Mode)
	}
	states := fallback(env("LANDFALL_STATE"), filepath.Join(fallback(env("XDG_STATE_HOME"), filepath.Join(home, ".local", "state")), "landfall", "clusters"))
	config.State = filepath.Join(states, config.Name)
	for name, path := range map[string]string{"LANDFALL_CACHE": config.Cache, "LANDFALL_STATE": config.State} {
		if !filepath.IsAbs(path) {
			return config, tellUser("%s must be an absolute path, not %q", name, path)
		}
		if strings.ContainsFunc(path, func(r rune) bool { return unicode.IsSpace(r) || r == '"' || r == '\'' }) {
			return config, tellUser("the programs of the cluster cannot handle blanks or quotes in the path %q: set %s to another one", path, name)
		}
		for _, hidden := range []string{"/run/", "/var/run/", "/var/log/", "/proc/", "/sys/"} {
			if strings.HasPrefix(path, hidden) {
				return config, tellUser("%s must not lie below %s, which a cluster has of its own: set it to another path", name, hidden)
			}
		}
	}
	// A Unix socket's path holds 107 bytes; the longest that the cluster makes below its directory has 30.
	if len(config.State) > 75 {
		return config, tellUser("the state directory %s is too long for the sockets in it: set LANDFALL_STATE to a shorter path", config.State)
	}
	var err error
	if config.KwokNodes, err = number(env, "KWOK_NODES", -1, 0, 5000); err != nil {
		return config, err
	}
	if config.PortBase, err = number(env, "PORT_BASE", -1, 1024, 65000); err != nil {
		return config, err
	}
	if config.Current && config.Kubeconfig == "" {
		return config, tellUser("LANDFALL_USE_CURRENT_CLUSTER=1 needs KUBECONFIG to name the cluster's kubeconfig file")
	}
	return config, nil
}

func number(env func(string) string, name string, unset, low, high int) (int, error) {
	text := env(name)
	if text == "" {
		return unset, nil
	}
	value, err := strconv.Atoi(text)
	if err != nil || value < low || value > high {
		return 0, tellUser("%s=%q must be a whole number from %d to %d", name, text, low, high)
	}
	return value, nil
}

func fallback(value, otherwise string) string {
	if value != "" {
		return value
	}
	return otherwise
}

// path joins elements below the cluster's state directory.
func (c Config) path(elements ...string) string {
	return filepath.Join(append([]string{c.State}, elements...)...)
}

// cgroup is the name of the cluster's cgroup below every hierarchy's root. Two users may use one cluster name, so it is bound to the state directory.
func (c Config) cgroup() string {
	digest := sha256.Sum256([]byte(c.State))
	return "landfall-" + c.Name + "-" + hex.EncodeToString(digest[:4])
}

// The first loopback port where PORT_BASE says nothing.
const defaultPortBase = 26000

func (c Config) portBase() int {
	if c.PortBase < 0 {
		return defaultPortBase
	}
	return c.PortBase
}

// Ports of a cluster without a network namespace of its own, and of forward.
func (c Config) apiPort() int { return c.portBase() + 443 }

func (c Config) gatewayForwardPort() int { return c.portBase() + 80 }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
