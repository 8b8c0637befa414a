// A strict vCenter (or ESXi) for tests: govmomi's simulator library behind a front that refuses
// what a real server refuses and injects faults on demand.
//
// The first line on stdin is the configuration, the first line on stdout says where the server
// is. Each further line on stdin is a command, answered by one line on stdout, all of them JSON.
// The program ends when stdin does. Nothing is passed on the command line, where others could
// read the password.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"time"
)

type config struct {
	Model       string `json:"model"`       // "vpx" or "esx"
	User        string `json:"user"`        // who may log in
	Password    string `json:"password"`    //
	Dir         string `json:"dir"`         // certificates, datastores and leases are kept here
	Datacenters int    `json:"datacenters"` // 1: DC0; 2: also "EMEA/Lab 1/DC1"
	Datastores  int    `json:"datastores"`  // in each datacenter: LocalDS_0, LocalDS_1, ...
	Hosts       int    `json:"hosts"`       // in each datacenter's cluster
	Machines    int    `json:"machines"`    // virtual machines in each pool
	Datastore   string `json:"datastore"`   // one more datastore in DC0, of this name
	VSAN        bool   `json:"vsan"`        // that one is vSAN: no files at its top, other calls for folders
	IdleMillis  int    `json:"idle_millis"` // sessions end when idle for this long; 0: never
	TaskMillis  int    `json:"task_millis"` // tasks are seen to run for this long
}

type ready struct {
	URL        string           `json:"url"`
	CA         string           `json:"ca"`     // PEM file that the certificate is checked with
	SHA1       string           `json:"sha1"`   // thumbprints of the server's certificate
	SHA256     string           `json:"sha256"` //
	Leases     string           `json:"leases"` // folder of what import leases were sent
	Datastores []datastoreReady `json:"datastores"`
}

type datastoreReady struct {
	Datacenter string `json:"datacenter"` // inventory path, no leading slash
	Name       string `json:"name"`
	Dir        string `json:"dir"` // its files
}

type command struct {
	Cmd string `json:"cmd"`
	fault
	VM string `json:"vm"`
	IP string `json:"ip"`
	CD string `json:"cd"`
	On bool   `json:"enabled"`
}

func main() {
	log.SetFlags(0)
	if err := run(os.Stdin, os.Stdout); err != nil {
		log.Fatalf("simulator: %s", err)
	}
}

func run(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	answers := json.NewEncoder(out)
	answers.SetEscapeHTML(false)

	var conf config
	if err := next(lines, &conf); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	f, err := newFront(&conf)
	if err != nil {
		return err
	}
	ready, err := f.listen()
	if err != nil {
		return err
	}
	if err := answers.Encode(ready); err != nil {
		return err
	}
	for {
		var c command
		if err := next(lines, &c); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := answers.Encode(f.command(&c)); err != nil {
			return err
		}
	}
}

func next(lines *bufio.Reader, value interface{}) error {
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, value)
}

// command obeys one line of the test and returns what to answer.
func (f *front) command(c *command) interface{} {
	switch c.Cmd {
	case "fault": // from now on, until it has happened often enough
		fault := c.fault
		f.faults.add(&fault)
	case "calm": // forget all faults
		return f.faults.clear()
	case "expire": // end all sessions
		f.sessions.clear()
	case "sessions": // how many are alive
		return f.sessions.count()
	case "requests": // what was asked so far
		return f.requests()
	case "address": // a virtual machine gets an IP address
		return setAddress(c.VM, c.IP)
	case "insert": // a virtual machine gets a CD
		return insertCD(c.VM, c.CD)
	case "strict_locks": // files of running machines can't be replaced
		f.setLocks(c.On)
	case "unreachable_hosts": // tickets name a host that does not answer
		f.tickets.unreachable(c.On)
	default:
		return fmt.Sprintf("unknown command %q", c.Cmd)
	}
	return "ok"
}

func (c *config) idle() time.Duration {
	return time.Duration(c.IdleMillis) * time.Millisecond
}
