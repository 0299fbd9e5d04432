package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A client talks to a cluster from outside: to the supervisor over its socket, and through it to any address inside.
type client struct {
	socket string
	http   *http.Client // to the supervisor
	inside *http.Client // to addresses inside, with the administrator's certificate
}

func newClient(config Config) *client {
	c := &client{socket: socketPath(config.State)}
	dialSupervisor := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", c.socket)
	}
	c.http = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DialContext: dialSupervisor}}
	// Health endpoints present certificates of their own making; nothing secret is sent to them, and all are inside the namespace.
	trust := &tls.Config{InsecureSkipVerify: true}
	if pair, err := tls.LoadX509KeyPair(config.path("pki", "admin.crt"), config.path("pki", "admin.key")); err == nil {
		trust.Certificates = []tls.Certificate{pair}
	}
	dialInside := func(ctx context.Context, _, address string) (net.Conn, error) { return c.dial(ctx, address) }
	c.inside = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: dialInside, TLSClientConfig: trust}}
	return c
}

// dial opens a connection to an address inside the cluster's network.
func (c *client) dial(ctx context.Context, address string) (net.Conn, error) {
	connection, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", c.socket)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(connection, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", address, address); err != nil {
		connection.Close()
		return nil, err
	}
	reader := bufio.NewReader(connection)
	response, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect})
	if err != nil {
		connection.Close()
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		connection.Close()
		reason, _ := io.ReadAll(io.LimitReader(response.Body, 300))
		return nil, errors.New(strings.TrimSpace(string(reason)))
	}
	return &bufferedConnection{connection, reader}, nil
}

// A bufferedConnection first gives what was read together with the answer to CONNECT.
type bufferedConnection struct {
	net.Conn
	reader *bufio.Reader
}

func (b *bufferedConnection) Read(p []byte) (int, error) { return b.reader.Read(p) }

func (b *bufferedConnection) CloseWrite() error {
	if half, ok := b.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

func (c *client) processes(ctx context.Context) (map[string]Process, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://supervisor/", nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var list []Process
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		return nil, err
	}
	byName := map[string]Process{}
	for _, process := range list {
		byName[process.Spec.Name] = process
	}
	return byName, nil
}

func (c *client) ensure(ctx context.Context, spec Spec) error {
	return c.order(ctx, http.MethodPost, "", encode(spec))
}

func (c *client) stop(ctx context.Context, name string) error {
	return c.order(ctx, http.MethodDelete, name, nil)
}

func (c *client) order(ctx context.Context, method, path string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://supervisor/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
		return errors.New(strings.TrimSpace(string(reason)))
	}
	return nil
}

// health is nil for a healthy component, else what its endpoint says.
func (c *client) health(ctx context.Context, endpoint string) error {
	if path, ok := strings.CutPrefix(endpoint, "unix:"); ok {
		connection, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", path)
		if err != nil {
			return err
		}
		return connection.Close()
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	body, code, err := c.get(ctx, endpoint)
	if err != nil {
		return err
	}
	if code != http.StatusOK {
		return fmt.Errorf("answers %d: %s", code, firstLine(body, errors.New("no reason given")))
	}
	return nil
}

func (c *client) get(ctx context.Context, url string) (body []byte, code int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, err
	}
	response, err := c.inside.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, 8<<20))
	return body, response.StatusCode, err
}

// condition reads one condition of one object from the API server: its status and message, or "" while there is none.
func (c *client) condition(ctx context.Context, url, kind string) (status, message string, err error) {
	body, code, err := c.get(ctx, url)
	if err != nil {
		return "", "", err
	}
	if code != http.StatusOK {
		return "", fmt.Sprintf("the API server answers %d", code), nil
	}
	var object struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := json.Unmarshal(body, &object); err != nil {
		return "", "", err
	}
	for _, condition := range object.Status.Conditions {
		if condition.Type == kind {
			return condition.Status, condition.Message, nil
		}
	}
	return "", "no condition " + kind + " yet", nil
}

// supervisorPid finds the supervisor of the cluster in the process table, so that neither a lost file nor an interrupted start hides
// it. A process of another user, or one in a container that says the same of itself, is none: its working directory is another.
func supervisorPid(config Config) int {
	found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range found {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		argv := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
		if len(argv) == 3 && argv[1] == supervisorCommand && argv[2] == config.State && worksIn(filepath.Dir(path), config.State) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			return pid
		}
	}
	return 0
}

// worksIn tells whether a process works in the directory, which only its owner can enter, or is this user's and works in one of that
// name that is deleted.
func worksIn(process, directory string) bool {
	theirs, err := os.Stat(filepath.Join(process, "cwd"))
	if err != nil {
		return false
	}
	if ours, err := os.Stat(directory); err == nil {
		return os.SameFile(theirs, ours)
	}
	owner, err := os.Stat(process)
	name, _ := os.Readlink(filepath.Join(process, "cwd"))
	return err == nil && int(owner.Sys().(*syscall.Stat_t).Uid) == os.Geteuid() && name == directory+" (deleted)"
}

// hostPid is the pid, as this process sees it, of a process that the supervisor knows under inner.
func hostPid(supervisor, inner int) int {
	space, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", supervisor))
	if err != nil {
		return inner
	}
	if own, _ := os.Readlink("/proc/self/ns/pid"); own == space {
		return inner
	}
	found, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, path := range found {
		pid := filepath.Base(filepath.Dir(path))
		if other, err := os.Readlink("/proc/" + pid + "/ns/pid"); err != nil || other != space {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		_, line, _ := strings.Cut(string(text), "\nNSpid:")
		line, _, _ = strings.Cut(line, "\n")
		numbers := strings.Fields(line)
		if len(numbers) > 0 && numbers[len(numbers)-1] == strconv.Itoa(inner) {
			outer, _ := strconv.Atoi(pid)
			return outer
		}
	}
	return 0
}

// running reads the settings of a cluster that runs, or says that none does.
func running(config Config) (SupervisorConfig, error) {
	if supervisorPid(config) == 0 {
		if exists(config.State) {
			return SupervisorConfig{}, tellUser("the cluster %s is not running, but left its files: start it with `make cluster` or remove it with `make cluster-down`", config.Name)
		}
		return SupervisorConfig{}, userError{fmt.Sprintf("there is no cluster %s: start it with `make cluster`", config.Name), codeNoCluster}
	}
	return readSupervisorConfig(config.State)
}
