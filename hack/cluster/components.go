package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A component is a process of the cluster, where its health is read, and what must be healthy before it starts.
type component struct {
	name  string
	argv  []string
	stage int
	// files of its configuration: the component starts again when one changes.
	files []string
	// health is the URL of a health endpoint that answers 200, or unix:PATH of a socket that accepts.
	health string
}

// Stages in which components start; each waits for the health of the one before.
const (
	stageStore = iota
	stageAPI
	stageControllers
	stageGateway
	stageData
	stagePretend
)

// components is the whole cluster in one table. Flags that a benchmark or a test rests on are explained beside them.
func components(config Config, mode Mode, found Parts, kwok bool) []component {
	all := controlPlane(config, mode, found)
	if mode == modeFull {
		all = append(all, nodeComponents(config, found)...)
		all = append(all, gatewayComponents(config, found)...)
	}
	if kwok {
		all = append(all, pretender(config, mode, found))
	}
	return all
}

// ports of the control plane: the usual ones in a namespace of its own, ones above PORT_BASE on the machine's loopback.
type ports struct {
	host                                                    string
	etcd, etcdPeer, api, controllerManager, scheduler, kwok int
}

func portsOf(config Config, mode Mode) ports {
	if mode == modeFull {
		return ports{nodeAddress, 2379, 2380, 6443, 10257, 10259, 10247}
	}
	base := config.portBase()
	return ports{"127.0.0.1", base + 379, base + 380, config.apiPort(), base + 257, base + 259, base + 247}
}

func (p ports) server() string { return fmt.Sprintf("https://%s:%d", p.host, p.api) }

// all lists the ports that a cluster without a network namespace takes from the machine.
func (p ports) all() []int {
	return []int{p.etcd, p.etcdPeer, p.api, p.controllerManager, p.scheduler, p.kwok}
}

func controlPlane(config Config, mode Mode, found Parts) []component {
	p := portsOf(config, mode)
	pki := func(file string) string { return config.path("pki", file) }
	program := func(name string) string { return found.program("kubernetes", name) }
	client := fmt.Sprintf("https://127.0.0.1:%d", p.etcd)
	peer := fmt.Sprintf("https://127.0.0.1:%d", p.etcdPeer)
	return []component{
		{name: "etcd", stage: stageStore, health: client + "/health", argv: []string{program("etcd"),
			"--name=node", "--data-dir=" + config.path("etcd"), "--log-level=warn",
			// A local cluster does not outlive its machine; waiting for the disk would be most of a write's time.
			"--unsafe-no-fsync", "--quota-backend-bytes=8589934592", "--auto-compaction-mode=periodic", "--auto-compaction-retention=5m",
			"--listen-client-urls=" + client, "--advertise-client-urls=" + client, "--cert-file=" + pki("server.crt"), "--key-file=" + pki("server.key"),
			"--client-cert-auth", "--trusted-ca-file=" + pki("ca.crt"),
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=node=" + peer,
			"--peer-cert-file=" + pki("server.crt"), "--peer-key-file=" + pki("server.key"), "--peer-client-cert-auth", "--peer-trusted-ca-file=" + pki("ca.crt")}},
		{name: "kube-apiserver", stage: stageAPI, health: p.server() + "/readyz", argv: apiserver(program("kube-apiserver"), p, mode, client, pki)},
		{name: "kube-controller-manager", stage: stageControllers, health: fmt.Sprintf("https://127.0.0.1:%d/healthz", p.controllerManager),
			argv: []string{program("kube-controller-manager"),
				"--kubeconfig=" + config.kubeconfig("kube-controller-manager"), "--leader-elect=false", "--bind-address=127.0.0.1",
				fmt.Sprintf("--secure-port=%d", p.controllerManager), "--use-service-account-credentials", "--root-ca-file=" + pki("ca.crt"),
				"--service-account-private-key-file=" + pki("service-account.key"),
				"--cluster-signing-cert-file=" + pki("ca.crt"), "--cluster-signing-key-file=" + pki("ca.key"),
				"--flex-volume-plugin-dir=" + config.path("flexvolume"),
				// The default of 20 requests a second alone makes 1,200 writes of pods take a minute.
				"--kube-api-qps=500", "--kube-api-burst=1000", "--concurrent-deployment-syncs=20", "--concurrent-replicaset-syncs=20"}},
		{name: "kube-scheduler", stage: stageControllers, health: fmt.Sprintf("https://127.0.0.1:%d/healthz", p.scheduler),
			argv: []string{program("kube-scheduler"),
				"--kubeconfig=" + config.kubeconfig("kube-scheduler"), "--leader-elect=false", "--bind-address=127.0.0.1",
				fmt.Sprintf("--secure-port=%d", p.scheduler), "--kube-api-qps=500", "--kube-api-burst=1000"}},
	}
}

func apiserver(program string, p ports, mode Mode, etcd string, pki func(string) string) []string {
	argv := []string{program,
		"--etcd-servers=" + etcd, "--etcd-cafile=" + pki("ca.crt"), "--etcd-certfile=" + pki("server.crt"), "--etcd-keyfile=" + pki("server.key"),
		fmt.Sprintf("--secure-port=%d", p.api), "--tls-cert-file=" + pki("server.crt"), "--tls-private-key-file=" + pki("server.key"),
		"--client-ca-file=" + pki("ca.crt"), "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
		"--service-cluster-ip-range=" + serviceRange, "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + pki("service-account.pub"), "--service-account-signing-key-file=" + pki("service-account.key"),
		"--kubelet-client-certificate=" + pki("admin.crt"), "--kubelet-client-key=" + pki("admin.key"), "--kubelet-certificate-authority=" + pki("ca.crt"),
		"--kubelet-preferred-address-types=InternalIP"}
	if mode == modeFull {
		return append(argv, "--bind-address=0.0.0.0", "--advertise-address="+nodeAddress)
	}
	// No pod can reach a loopback address, so no endpoints of the API server are published.
	return append(argv, "--bind-address=127.0.0.1", "--endpoint-reconciler-type=none")
}

func nodeComponents(config Config, found Parts) []component {
	return []component{
		{name: "containerd", stage: stageStore, health: "unix:" + config.path("containerd.sock"),
			files: []string{config.path("containerd.toml"), config.path("cni", "10-bridge.conflist")},
			argv:  []string{found.program("containerd", "containerd"), "--config", config.path("containerd.toml")}},
		{name: "kubelet", stage: stageControllers, health: "http://127.0.0.1:10248/healthz", files: []string{config.path("kubelet.yaml")}, argv: []string{found.program("kubernetes", "kubelet"),
			"--config=" + config.path("kubelet.yaml"), "--kubeconfig=" + config.kubeconfig("kubelet"), "--root-dir=" + config.path("kubelet"),
			"--cert-dir=" + config.path("kubelet", "pki"), "--node-ip=" + nodeAddress, "--hostname-override=" + nodeName}},
		{name: "kube-proxy", stage: stageControllers, health: "http://127.0.0.1:10256/livez", argv: []string{found.program("kubernetes", "kube-proxy"),
			"--kubeconfig=" + config.kubeconfig("kube-proxy"), "--proxy-mode=iptables", "--cluster-cidr=" + podNetwork, "--hostname-override=" + nodeName,
			// The limits belong to the machine, not to the network namespace.
			"--conntrack-max-per-core=0", "--healthz-bind-address=127.0.0.1:10256", "--iptables-min-sync-period=100ms"}},
	}
}

func gatewayComponents(config Config, found Parts) []component {
	return []component{
		{name: "coredns", stage: stageGateway, health: "http://127.0.0.1:8181/ready", files: []string{config.path("Corefile")},
			argv: []string{found.program("coredns", "coredns"), "-conf", config.path("Corefile")}},
		{name: "contour", stage: stageGateway, health: "http://127.0.0.1:8000/healthz", files: []string{config.path("contour.yaml")}, argv: []string{found.program("contour", "contour"), "serve",
			"--kubeconfig=" + config.kubeconfig("contour"), "--config-path=" + config.path("contour.yaml"), "--disable-leader-election",
			// xDS stays on the loopback of the cluster's own network namespace.
			"--insecure", "--xds-address=127.0.0.1", "--xds-port=8001", "--health-address=127.0.0.1", "--http-address=127.0.0.1", "--debug-http-address=127.0.0.1",
			"--stats-address=127.0.0.1"}},
		{name: "envoy", stage: stageData, health: "http://127.0.0.1:8002/ready", files: []string{config.path("envoy.json")}, argv: []string{found.program("envoy", "envoy"),
			"--config-path", config.path("envoy.json"), "--service-cluster", "projectcontour", "--service-node", nodeName, "--log-level", "warning",
			"--disable-hot-restart", "--concurrency", "2"}},
	}
}

func pretender(config Config, mode Mode, found Parts) component {
	address := fmt.Sprintf("127.0.0.1:%d", portsOf(config, mode).kwok)
	return component{name: "kwok", stage: stagePretend, health: "http://" + address + "/healthz", argv: []string{found.program("kwok", "kwok"),
		"--kubeconfig=" + config.kubeconfig("kwok"), "--config=" + found.program("kwok", "stages.yaml"), "--manage-all-nodes=false",
		"--manage-nodes-with-annotation-selector=" + pretendKey + "=fake", "--node-lease-duration-seconds=40", "--node-ip=" + nodeAddress,
		"--cidr=10.64.0.1/10", "--server-address=" + address}}
}

// spec is the component as the supervisor starts it.
func (c component) spec(config Config, found Parts) Spec {
	path := []string{found["containerd"], "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}
	configuration := sha256.New()
	for _, file := range c.files {
		text, _ := os.ReadFile(file)
		configuration.Write(text)
	}
	return Spec{
		Name: c.name, Argv: c.argv, Dir: config.State, Log: config.path("logs", c.name+".log"),
		Env: []string{"PATH=" + strings.Join(path, ":"), "HOME=" + config.State, "TMPDIR=" + config.path("tmp"),
			"LANDFALL_CONFIGURATION=" + hex.EncodeToString(configuration.Sum(nil)[:6])},
	}
}

// writeNodeFiles writes the configuration files of the node's components.
func writeNodeFiles(config Config, snapshotter, plugins string) error {
	for _, directory := range []string{"cni", "kubelet", "containerd", "manifests"} {
		if err := os.MkdirAll(config.path(directory), 0o700); err != nil {
			return err
		}
	}
	state := strings.NewReplacer(
		"STATE", config.State, "SNAPSHOTTER", snapshotter, "PLUGINS", plugins, "CGROUP", "/"+config.cgroup(), "NODE_ADDRESS", nodeAddress,
		"POD_NETWORK", podNetwork, "PAUSE_IMAGE", pauseImage, "GATEWAY_NAMESPACE", gatewayNamespace, "GATEWAY_NAME", gatewayName)
	for name, target := range map[string]string{
		"containerd.toml": "containerd.toml", "kubelet.yaml": "kubelet.yaml", "cni.json": "cni/10-bridge.conflist",
		"Corefile": "Corefile", "contour.yaml": "contour.yaml",
	} {
		text, err := os.ReadFile(filepath.Join(config.Source, "config", name))
		if err != nil {
			return err
		}
		if err := writePrivate(config.path(target), []byte(state.Replace(string(text)))); err != nil {
			return err
		}
	}
	return nil
}
