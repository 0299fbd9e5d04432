package main

import (
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
	"strings"
	"time"
)

// The name under which the project's own image lies in the node.
const projectImage = "localhost/landfall:dev"

// buildImage builds the project's image from its Dockerfile, with Docker where an engine answers, else with buildah, and loads it into
// the node if a cluster runs. What did not change is not built again.
func buildImage(ctx context.Context, config Config) error {
	root := filepath.Join(config.Source, "..", "..")
	build := imageBuild{config: config, root: root}
	ask, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if exec.CommandContext(ask, "docker", "info").Run() == nil {
		err := build.withDocker(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		progress("Docker does not build the image, trying without it: %v", err)
	}
	return build.withBuildah(ctx)
}

// An imageBuild is one build of the project's image.
type imageBuild struct {
	config Config
	root   string // of the repository
}

func (b imageBuild) archive(key string) string {
	return filepath.Join(b.config.Cache, "images", "landfall-"+key+".tar")
}

func (b imageBuild) withDocker(ctx context.Context) error {
	if err := b.run(ctx, "docker", "build", "--tag", projectImage, b.root); err != nil {
		return err
	}
	target := b.archive("docker")
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	if err := b.run(ctx, "docker", "save", "--output", target, projectImage); err != nil {
		return err
	}
	return b.load(ctx, target)
}

func (b imageBuild) withBuildah(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return tellUser("no Docker engine answers, and building the image without one needs root")
	}
	built, err := ensureParts(ctx, b.config, tools())
	if err != nil {
		return err
	}
	binary, err := b.compile(ctx)
	if err != nil {
		return err
	}
	release, err := hostRelease()
	if err != nil {
		return err
	}
	base := baseName(release)
	programs := map[string]string{"landfall": binary, "kustomize": built.program("kustomize", "kustomize"), "helm": built.program("helm", "helm")}
	key, err := digestOfFiles(base, programs["landfall"], programs["kustomize"], programs["helm"], filepath.Join(b.root, "Dockerfile"))
	if err != nil {
		return err
	}
	unlock, err := lock(ctx, filepath.Join(b.config.Cache, "image.lock"), "another image build is under way; waiting for it")
	if err != nil {
		return err
	}
	defer unlock()
	target := b.archive(key)
	if !exists(target) {
		b.sweep()
		if err := b.assemble(ctx, programs, release, target); err != nil {
			return err
		}
	}
	return b.load(ctx, target)
}

// sweep removes what interrupted builds left; the caller holds the lock.
func (b imageBuild) sweep() {
	for _, pattern := range []string{"image-*", "base-*"} {
		found, _ := filepath.Glob(filepath.Join(b.config.Cache, pattern))
		for _, path := range found {
			_ = os.RemoveAll(path)
		}
	}
}

// hostRelease is the code name of this machine's Debian or Debian-like release. The binary is linked to its libraries, so the base of
// the image is the same release.
func hostRelease() (string, error) {
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			return strings.Trim(name, `"`), nil
		}
	}
	return "", tellUser("this distribution has no release code name, so debootstrap cannot make the base of the image: use Docker")
}

// compile builds the binary outside the image, with the compiler cache that the tests use too.
func (b imageBuild) compile(ctx context.Context) (string, error) {
	if _, err := exec.LookPath("cargo"); err != nil {
		return "", tellUser("cargo is missing: install Rust 1.95 or later (rustup), it builds the binary of the image")
	}
	started := time.Now()
	target := fallback(os.Getenv("CARGO_TARGET_DIR"), filepath.Join(b.root, "target"))
	command := exec.CommandContext(ctx, "cargo", "build", "--release", "--locked", "--quiet", "--target-dir", target)
	command.Dir, command.Stdout, command.Stderr = b.root, os.Stderr, os.Stderr
	stop := every(time.Minute, func() { progress("still compiling after %s", seconds(time.Since(started))) })
	defer stop()
	progress("compiling the binary")
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("cargo build: %w", err)
	}
	progress("binary compiled in %s", seconds(time.Since(started)))
	return filepath.Join(target, "release", "landfall"), nil
}

// assemble makes the image archive of these programs, by their names in it, under a name of its own and moves it to its place.
func (b imageBuild) assemble(ctx context.Context, programs map[string]string, release, target string) error {
	if err := b.checkTools(); err != nil {
		return err
	}
	if err := checkSpace(b.config.Cache, 2<<30); err != nil {
		return err
	}
	base := baseName(release)
	if err := b.ensureBase(ctx, release); err != nil {
		return err
	}
	started := time.Now()
	scratch, err := os.MkdirTemp(b.config.Cache, "image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	for name, path := range programs {
		if err := copyFile(path, filepath.Join(scratch, name), 0o755); err != nil {
			return err
		}
	}
	fresh := filepath.Join(scratch, "image.tar")
	for _, argv := range [][]string{
		{"bud", "--quiet", "--build-arg", "BINARY=prebuilt", "--build-arg", "RENDERERS=ready", "--build-arg", "BASE_IMAGE=" + base, "--file", filepath.Join(b.root, "Dockerfile"), "--tag", projectImage, scratch},
		{"push", "--quiet", projectImage, "oci-archive:" + fresh + ":" + projectImage},
		{"rmi", projectImage},
	} {
		if err := b.buildah(ctx, argv...); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	stale, _ := filepath.Glob(b.archive("*"))
	for _, old := range stale {
		_ = os.Remove(old)
	}
	if err := os.Rename(fresh, target); err != nil {
		return err
	}
	info, err := os.Stat(target)
	if err != nil {
		return err
	}
	progress("image %s built in %s, %.1f MB", projectImage, seconds(time.Since(started)), float64(info.Size())/1e6)
	return nil
}

func (b imageBuild) checkTools() error {
	missing := notFound([]tool{{"buildah", "buildah", "building the image"}, {"debootstrap", "debootstrap", "the base of the image"}})
	return ensureTools(b.config, missing)
}

const baseImage = "localhost/landfall-base:"

// basePackages is what the image has of Debian beside the libraries: authorities, and the program that verifies signatures of OpenPGP.
const basePackages = "ca-certificates,sqv"

// baseName is the name of the base image that debootstrap makes of these packages; a new month brings the release's updates in.
func baseName(release string) string {
	return baseImage + release + time.Now().UTC().Format("-2006-01-") + strings.ReplaceAll(basePackages, ",", "-")
}

// ensureBase makes the base image in buildah's store if it is not there.
func (b imageBuild) ensureBase(ctx context.Context, release string) error {
	name := baseName(release)
	if b.buildahCommand(ctx, "inspect", "--type", "image", name).Run() == nil {
		return nil
	}
	started := time.Now()
	// Older base images and containers of interrupted builds are in nobody's way but the disk's.
	_ = os.RemoveAll(filepath.Join(b.config.Cache, "buildah"))
	progress("making the base image %s with debootstrap", name)
	directory, err := os.MkdirTemp(b.config.Cache, "base-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	mirror, err := debianMirror(ctx, release)
	if err != nil {
		return err
	}
	if err := b.run(ctx, "unshare", "--mount", "--propagation", "private", "--", "debootstrap", "--variant=minbase", "--include="+basePackages, release, filepath.Join(directory, "root"), mirror); err != nil {
		return err
	}
	output, err := b.buildahCommand(ctx, "from", "scratch").Output()
	if err != nil {
		return fmt.Errorf("buildah from scratch: %w", err)
	}
	container := strings.TrimSpace(string(output))
	for _, argv := range [][]string{{"add", "--quiet", container, filepath.Join(directory, "root"), "/"}, {"commit", "--quiet", "--rm", container, name}} {
		if err := b.buildah(ctx, argv...); err != nil {
			return err
		}
	}
	progress("base image made in %s", seconds(time.Since(started)))
	return nil
}

// debianMirror is where this machine's own apt gets the release from, or Debian's usual place.
func debianMirror(ctx context.Context, release string) (string, error) {
	output, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(SITE) $(CODENAME)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("ask apt for its mirror: %w", err)
	}
	for line := range strings.Lines(string(output)) {
		if site, codename, _ := strings.Cut(strings.TrimSpace(line), " "); codename == release {
			return site, nil
		}
	}
	return "", tellUser("apt of this machine does not know the Debian release %s, from which the base of the image is made: add it, or use Docker", release)
}

func (b imageBuild) buildah(ctx context.Context, arguments ...string) error {
	return b.runCommand(b.buildahCommand(ctx, arguments...))
}

// buildahCommand runs buildah with a store of its own and in a mount namespace of its own, so that an interrupted build leaves no mount.
func (b imageBuild) buildahCommand(ctx context.Context, arguments ...string) *exec.Cmd {
	store := filepath.Join(b.config.Cache, "buildah")
	argv := append([]string{"--mount", "--propagation", "private", "--", "buildah", "--root", filepath.Join(store, "root"),
		"--runroot", filepath.Join(store, "run"), "--storage-driver", "vfs"}, arguments...)
	command := exec.CommandContext(ctx, "unshare", argv...)
	command.Env = append(os.Environ(), "BUILDAH_ISOLATION=chroot", "TMPDIR="+b.config.Cache)
	return command
}

func (b imageBuild) run(ctx context.Context, argv ...string) error {
	return b.runCommand(exec.CommandContext(ctx, argv[0], argv[1:]...))
}

// runCommand keeps the output of a build step for the case that it fails.
func (b imageBuild) runCommand(command *exec.Cmd) error {
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	err := command.Run()
	if err == nil {
		return nil
	}
	logPath := filepath.Join(b.config.Cache, "logs", "image.log")
	_ = os.MkdirAll(filepath.Dir(logPath), 0o755)
	_ = os.WriteFile(logPath, output.Bytes(), 0o644)
	if bytes.Contains(output.Bytes(), []byte("no space left on device")) {
		return tellUser("the disk became full while the image was built: free some space, or point LANDFALL_CACHE to another disk")
	}
	return tellUser("the image does not build: %s (log: %s)", lastLine(output.Bytes(), err), logPath)
}

// load brings the image into the node of a running cluster; without one there is nothing to do.
func (b imageBuild) load(ctx context.Context, archive string) error {
	setting, err := running(b.config)
	if err != nil || setting.Mode != modeFull {
		progress("image archive: %s", archive)
		return nil
	}
	digest := strings.TrimSuffix(filepath.Base(archive), ".tar")
	stamp := b.config.path("image-loaded")
	if text, err := os.ReadFile(stamp); err == nil && string(text) == digest && digest != "landfall-docker" {
		return nil
	}
	if err := loadImages(ctx, b.config, []string{archive}); err != nil {
		return err
	}
	return writePrivate(stamp, []byte(digest))
}

func digestOfFiles(salt string, paths ...string) (string, error) {
	digest := sha256.New()
	fmt.Fprintln(digest, salt)
	for _, path := range paths {
		file, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			return "", tellUser("%s is missing", path)
		}
		if err != nil {
			return "", err
		}
		_, err = io.Copy(digest, file)
		file.Close()
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(digest.Sum(nil)[:6]), nil
}

func copyFile(from, to string, mode os.FileMode) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(target, source); err != nil {
		target.Close()
		return err
	}
	return target.Close()
}
