package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// A report is what status tells, as a table or as JSON.
type report struct {
	Cluster    string            `json:"cluster"`
	Mode       Mode              `json:"mode"`
	LeftOut    string            `json:"leftOut,omitempty"`
	Healthy    bool              `json:"healthy"`
	Components []componentReport `json:"components"`
	Conditions []conditionReport `json:"conditions"`
}

type componentReport struct {
	Name    string `json:"name"`
	State   string `json:"state"` // healthy, unhealthy, ended or not started
	Pid     int    `json:"pid,omitempty"`
	Since   string `json:"since,omitempty"`
	Message string `json:"message,omitempty"`
}

type conditionReport struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Status  string `json:"status"`
	Message string `json:"message,omitempty"`
}

// status shows every component and condition; exit code 1 if one of them is not as it should be.
func status(ctx context.Context, config Config, arguments []string) error {
	asJSON := slices.Equal(arguments, []string{"-o", "json"})
	if len(arguments) > 0 && !asJSON {
		return tellUser("status knows one option: -o json")
	}
	setting, err := running(config)
	if err != nil {
		return err
	}
	r, err := inspect(ctx, setting.applyTo(config), setting)
	if err != nil {
		return err
	}
	if asJSON {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(r)
	} else {
		err = r.print()
	}
	if err == nil && !r.Healthy {
		return exitStatus(1)
	}
	return err
}

func inspect(ctx context.Context, config Config, setting SupervisorConfig) (report, error) {
	r := report{Cluster: config.Name, Mode: setting.Mode, LeftOut: setting.Reason, Healthy: true}
	found, _, err := locate(config, setting.Mode)
	if err != nil {
		return r, err
	}
	client := newClient(config)
	processes, err := client.processes(ctx)
	if err != nil {
		return r, tellUser("the supervisor of the cluster %s does not answer (%v): remove the cluster with `make cluster-down`", config.Name, err)
	}
	s := starter{config: config, mode: setting.Mode, parts: found}
	expected := components(config, setting.Mode, found, s.wantsKwok())
	supervisor := supervisorPid(config)
	r.Components = make([]componentReport, len(expected))
	wanted := conditions(config, setting.Mode)
	r.Conditions = make([]conditionReport, len(wanted))
	var group sync.WaitGroup
	for i, c := range expected {
		group.Go(func() { r.Components[i] = inspectComponent(ctx, client, c, processes[c.name], supervisor) })
	}
	for i, c := range wanted {
		group.Go(func() { r.Conditions[i] = inspectCondition(ctx, client, c) })
	}
	group.Wait()
	r.Healthy = !slices.ContainsFunc(r.Components, func(c componentReport) bool { return c.State != "healthy" }) &&
		!slices.ContainsFunc(r.Conditions, func(c conditionReport) bool { return c.Status != "True" })
	return r, nil
}

func inspectComponent(ctx context.Context, client *client, c component, process Process, supervisor int) componentReport {
	r := componentReport{Name: c.name, State: "not started"}
	if process.Spec.Name == "" {
		return r
	}
	r.Since = seconds(time.Since(process.Since)).String()
	if !process.Running {
		r.State, r.Message = "ended", process.End
		return r
	}
	r.Pid, r.State = hostPid(supervisor, process.Pid), "healthy"
	if err := client.health(ctx, c.health); err != nil {
		r.State, r.Message = "unhealthy", err.Error()
	}
	return r
}

func inspectCondition(ctx context.Context, client *client, c apiCondition) conditionReport {
	r := conditionReport{Name: c.name, Kind: c.kind}
	var err error
	if r.Status, r.Message, err = client.condition(ctx, c.url, c.kind); err != nil {
		r.Message = err.Error()
	}
	r.Status = fallback(r.Status, "Unknown")
	return r
}

func (r report) print() error {
	word := "healthy"
	if !r.Healthy {
		word = "not healthy; `make cluster` repairs it"
	}
	fmt.Printf("cluster %s (%s): %s\n", r.Cluster, r.Mode, word)
	if r.LeftOut != "" {
		fmt.Printf("left out: node, gateway and cluster DNS: %s\n", r.LeftOut)
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "COMPONENT\tSTATE\tPID\tSINCE\tMESSAGE")
	for _, c := range r.Components {
		pid := "-"
		if c.Pid != 0 {
			pid = fmt.Sprint(c.Pid)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", c.Name, c.State, pid, fallback(c.Since, "-"), c.Message)
	}
	for _, c := range r.Conditions {
		message := c.Message
		if c.Status == "True" {
			message = ""
		}
		fmt.Fprintf(table, "%s\t%s=%s\t-\t-\t%s\n", c.Name, c.Kind, c.Status, message)
	}
	return table.Flush()
}
