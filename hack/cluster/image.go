package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// The name of the image that holds a pod's namespaces open; containerd's configuration pins it.
const pauseImage = "localhost/landfall-pause:1"

// oneFileImage makes an OCI image archive that holds one static program and runs it.
func oneFileImage(name, program string, content []byte) []byte {
	layer := tarOf(tarFile{program, 0o755, content})
	config := encode(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/" + program}, "User": "65535:65535"},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digestOf(layer)}},
	})
	manifest := encode(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": descriptor("application/vnd.oci.image.config.v1+json", config, nil),
		"layers": []any{descriptor("application/vnd.oci.image.layer.v1.tar", layer, nil)},
	})
	index := encode(map[string]any{"schemaVersion": 2, "manifests": []any{
		descriptor("application/vnd.oci.image.manifest.v1+json", manifest, map[string]string{"io.containerd.image.name": name}),
	}})
	files := []tarFile{{"oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`)}, {"index.json", 0o644, index}}
	for _, blob := range [][]byte{layer, config, manifest} {
		files = append(files, tarFile{"blobs/sha256/" + strings.TrimPrefix(digestOf(blob), "sha256:"), 0o644, blob})
	}
	return tarOf(files...)
}

type tarFile struct {
	name    string
	mode    int64
	content []byte
}

func tarOf(files ...tarFile) []byte {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	for _, file := range files {
		// Writes to memory do not fail.
		_ = writer.WriteHeader(&tar.Header{Name: file.name, Mode: file.mode, Size: int64(len(file.content)), Typeflag: tar.TypeReg})
		_, _ = writer.Write(file.content)
	}
	_ = writer.Close()
	return archive.Bytes()
}

func encode(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // maps of strings always encode
	}
	return text
}

func digestOf(blob []byte) string {
	sum := sha256.Sum256(blob)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func descriptor(mediaType string, blob []byte, annotations map[string]string) map[string]any {
	result := map[string]any{"mediaType": mediaType, "digest": digestOf(blob), "size": len(blob)}
	if annotations != nil {
		result["annotations"] = annotations
	}
	return result
}

// loadImages loads image archives into the node of a running cluster.
func loadImages(ctx context.Context, config Config, files []string) error {
	if len(files) == 0 {
		return tellUser("load needs the path of an image archive, for example one made by `make image`")
	}
	running, err := running(config)
	if err != nil {
		return err
	}
	if running.Mode != modeFull {
		return tellUser("the cluster %s has no node to load an image into: %s", config.Name, running.Reason)
	}
	found, missing, err := locate(config, modeFull)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return tellUser("the cluster %s was built from other versions; run `make cluster` first", config.Name)
	}
	for _, file := range files {
		if !exists(file) {
			return tellUser("there is no image archive %s; `make image` makes the project's own", file)
		}
		started := time.Now()
		if err := importImage(ctx, config, found, file); err != nil {
			return err
		}
		progress("loaded %s in %s", filepath.Base(file), seconds(time.Since(started)))
	}
	return nil
}

func importImage(ctx context.Context, config Config, found Parts, file string) error {
	command := exec.CommandContext(ctx, found.program("containerd", "ctr"), "--address", config.path("containerd.sock"), "--namespace", "k8s.io",
		"images", "import", "--digests=false", file)
	command.Env = append(os.Environ(), "TMPDIR="+config.State)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("load %s into the node: %s", file, lastLine(output, err))
	}
	return nil
}
