package main

import (
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
)

const ticketCookie = "vmware_cgi_ticket"

// ticket lets its bearer do one request to a host, of that method, for that file.
type ticket struct {
	method    string // "PUT"
	path      string // decoded, with /folder/
	datastore *simulator.Datastore
}

type tickets struct {
	mu     sync.Mutex
	open   map[string]*ticket
	nobody bool // the host named does not answer
}

func newTickets() *tickets {
	return &tickets{open: make(map[string]*ticket)}
}

func (t *tickets) unreachable(on bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.nobody = on
}

// acquire makes a ticket for a URL as the client says it will ask the host for it: the host's
// name, /folder/PATH and the datastore's name, without a datacenter.
func (t *tickets) acquire(method, text string) (id string, reachable bool, err error) {
	target, err := url.Parse(text)
	if err != nil {
		return "", false, err
	}
	datastore := findOnHost(target.Hostname(), target.Query().Get("dsName"))
	if datastore == nil {
		return "", false, fmt.Errorf("no host %q with that datastore", target.Hostname())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	id = uuid.New().String()
	t.open[id] = &ticket{
		method:    strings.ToUpper(strings.TrimPrefix(method, "http")),
		path:      target.Path,
		datastore: datastore,
	}
	return id, !t.nobody, nil
}

// use takes the ticket; it is gone then, right or wrong.
func (t *tickets) use(id, method, path string) *simulator.Datastore {
	t.mu.Lock()
	defer t.mu.Unlock()
	ticket, ok := t.open[id]
	delete(t.open, id)
	if !ok || ticket.method != method || ticket.path != path {
		return nil
	}
	return ticket.datastore
}

// findOnHost is the datastore of that name on the host of that name.
func findOnHost(host, name string) *simulator.Datastore {
	for _, entity := range simulator.Map.All("HostSystem") {
		if !strings.EqualFold(entity.Entity().Name, host) {
			continue
		}
		for _, ref := range entity.(*simulator.HostSystem).Datastore {
			datastore, ok := simulator.Map.Get(ref).(*simulator.Datastore)
			if ok && datastore.Name == name {
				return datastore
			}
		}
	}
	return nil
}
