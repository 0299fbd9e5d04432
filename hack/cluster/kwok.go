package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// The annotation and the taint by which kwok knows its nodes.
const pretendKey = "kwok.x-k8s.io/node"

// wantedKwokNodes is what the user asks for now, else what was there before; a cluster without a node gets one pretended node.
func (s starter) wantedKwokNodes() int {
	if s.config.KwokNodes >= 0 {
		return s.config.KwokNodes
	}
	if have := s.kwokNodes(); have >= 0 {
		return have
	}
	if s.mode == modeControlPlane {
		return 1
	}
	return 0
}

// kwokNodes is the number that the last up left, or -1.
func (s starter) kwokNodes() int {
	var have int
	text, err := os.ReadFile(s.config.path("kwok-nodes"))
	if err != nil || json.Unmarshal(text, &have) != nil {
		return -1
	}
	return have
}

func (s starter) wantsKwok() bool { return s.wantedKwokNodes() > 0 }

// pretend makes the pretended nodes as many as wanted.
func (s starter) pretend(ctx context.Context) error {
	wanted, have := s.wantedKwokNodes(), max(s.kwokNodes(), 0)
	if wanted == have {
		return nil
	}
	started := time.Now()
	if wanted > have {
		manifest := s.config.path("kwok-nodes.json")
		if err := writePrivate(manifest, pretendedNodes(have, wanted, s.mode == modeFull)); err != nil {
			return err
		}
		if err := s.kubectl(ctx, "apply", "--server-side", "-f", manifest); err != nil {
			return err
		}
	} else if err := s.kubectl(ctx, append([]string{"delete", "--ignore-not-found", "node"}, pretendedNames(wanted, have)...)...); err != nil {
		return err
	}
	if wanted == 0 {
		if err := s.client.stop(ctx, "kwok"); err != nil {
			return err
		}
	} else if err := s.kubectl(ctx, append([]string{"wait", "--for=condition=Ready", "--timeout=120s", "node"}, pretendedNames(0, wanted)...)...); err != nil {
		return err
	}
	progress("%d pretended nodes (before: %d) after %s", wanted, have, seconds(time.Since(started)))
	return writePrivate(s.config.path("kwok-nodes"), fmt.Append(nil, wanted))
}

func pretendedNames(from, to int) []string {
	var names []string
	for i := from; i < to; i++ {
		names = append(names, fmt.Sprintf("kwok-%d", i+1))
	}
	return names
}

// pretendedNodes is a List of Nodes. Beside a real node they carry a taint, so that only pods that ask for it pretend to run.
func pretendedNodes(from, to int, tainted bool) []byte {
	var items []any
	for _, name := range pretendedNames(from, to) {
		spec := map[string]any{}
		if tainted {
			spec["taints"] = []any{map[string]any{"key": pretendKey, "value": "fake", "effect": "NoSchedule"}}
		}
		capacity := map[string]any{"cpu": "64", "memory": "256Gi", "pods": "1000"}
		items = append(items, map[string]any{
			"apiVersion": "v1", "kind": "Node",
			"metadata": map[string]any{
				"name":        name,
				"annotations": map[string]string{pretendKey: "fake"},
				"labels":      map[string]string{"type": "kwok", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
			},
			"spec":   spec,
			"status": map[string]any{"capacity": capacity, "allocatable": capacity},
		})
	}
	return encode(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
}
