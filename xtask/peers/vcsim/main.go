// vcsim starts govmomi's VI API simulator with the few options our checks and benchmarks use.
//
// It is a program of ours on the public API of the Go module: it prints the URL of the service on standard
// output once requests are answered, writes nothing else there, and stops on SIGINT or SIGTERM (and when
// standard input ends, with -stdin-exit). Without -esx it plays a vCenter.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"github.com/vmware/govmomi/simulator"
)

// options that are the same for a host and for a vCenter.
type options struct {
	listen, username, password string
	tls, stdinExit             bool
}

func main() {
	model, o := parse(os.Args[1:])
	if err := serve(model, o); err != nil {
		fmt.Fprintln(os.Stderr, "vcsim:", err)
		os.Exit(1)
	}
}

// parse turns arguments into a model. The sizes start at govmomi's own for the kind of service that -esx
// picks, and an argument changes one only if it is given.
func parse(args []string) (*simulator.Model, options) {
	var o options
	f := flag.NewFlagSet("vcsim", flag.ExitOnError)
	f.StringVar(&o.listen, "l", "127.0.0.1:8989", "address to listen on; port 0 takes a free one")
	f.StringVar(&o.username, "username", "user", "the only user who may log in")
	f.StringVar(&o.password, "password", "pass", "that user's password")
	f.BoolVar(&o.tls, "tls", true, "serve HTTPS with a self-signed certificate")
	f.BoolVar(&o.stdinExit, "stdin-exit", false, "stop when standard input ends")
	esx := f.Bool("esx", false, "be a standalone host, not a vCenter")
	sizes := []struct {
		name, usage string
		field       func(*simulator.Model) *int
	}{
		{"vm", "machines per resource pool or standalone host", func(m *simulator.Model) *int { return &m.Machine }},
		{"ds", "datastores", func(m *simulator.Model) *int { return &m.Datastore }},
		{"dc", "datacenters", func(m *simulator.Model) *int { return &m.Datacenter }},
		{"folder", "how many datacenters lie in folders, with folders below them", func(m *simulator.Model) *int { return &m.Folder }},
		{"cluster", "clusters per datacenter", func(m *simulator.Model) *int { return &m.Cluster }},
		{"host", "hosts per cluster", func(m *simulator.Model) *int { return &m.ClusterHost }},
		{"standalone-host", "hosts per datacenter outside clusters", func(m *simulator.Model) *int { return &m.Host }},
		{"pool", "resource pools per cluster", func(m *simulator.Model) *int { return &m.Pool }},
	}
	given := make([]*int, len(sizes))
	for i, s := range sizes {
		given[i] = f.Int(s.name, -1, s.usage+"; -1: as govmomi has it")
	}
	_ = f.Parse(args) // ExitOnError: it does not return one
	model := simulator.VPX()
	if *esx {
		model = simulator.ESX()
	}
	for i, s := range sizes {
		if *given[i] >= 0 {
			*s.field(model) = *given[i]
		}
	}
	return model, o
}

// serve runs the model until a signal or the end of standard input.
func serve(model *simulator.Model, o options) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	defer model.Remove() // the datastores are temporary directories
	if err := model.Create(); err != nil {
		return fmt.Errorf("create the inventory: %w", err)
	}
	model.Service.Listen = &url.URL{Host: o.listen, User: url.UserPassword(o.username, o.password)}
	if o.tls {
		model.Service.TLS = new(tls.Config)
	}
	server := model.Service.NewServer()
	defer server.Close()
	fmt.Println((&url.URL{Scheme: server.URL.Scheme, Host: server.URL.Host, Path: server.URL.Path}).String())
	if o.stdinExit {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop <- syscall.SIGTERM
		}()
	}
	<-stop
	return nil
}
