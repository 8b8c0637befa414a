package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/vmware/govmomi/vim25/types"
)

const (
	leasePrefix = "/nfc/"
	streamVMDK  = "application/x-vnd.vmware-streamVmdk"
)

// leases are the imports under way: what they make, and what was sent for them.
type leases struct {
	dir string
	mu  sync.Mutex
	vm  map[string]types.ManagedObjectReference // by the lease's id
}

func newLeases(dir string) *leases {
	return &leases{dir: dir, vm: make(map[string]types.ManagedObjectReference)}
}

func (l *leases) began(id string, vm types.ManagedObjectReference) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.vm[id] = vm
}

// ended forgets the lease and says what it was making.
func (l *leases) ended(id string) (types.ManagedObjectReference, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	vm, ok := l.vm[id]
	delete(l.vm, id)
	return vm, ok
}

func (l *leases) open(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.vm[id]
	return ok
}

// serveLease keeps what is sent to a lease: "/nfc/LEASE/NAME" becomes the file "NAME" in the
// folder of leases. The address itself is the permission.
func (f *front) serveLease(w http.ResponseWriter, r *http.Request) {
	noted := f.note(r.Method, r.RequestURI)
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, leasePrefix), "/")
	if len(parts) != 2 || parts[1] == "" || strings.HasPrefix(parts[1], ".") || !f.leases.open(parts[0]) {
		f.done(noted, refuse(w, http.StatusNotFound, "No such lease."), 0)
		return
	}
	disk := strings.HasSuffix(parts[1], ".vmdk")
	switch {
	case r.Method != http.MethodPost && r.Method != http.MethodPut:
		f.done(noted, refuse(w, http.StatusMethodNotAllowed, ""), 0)
		return
	case disk && (r.Method != http.MethodPost || r.Header.Get("Content-Type") != streamVMDK):
		f.done(noted, refuse(w, http.StatusInternalServerError, "A disk is POSTed as "+streamVMDK+"."), 0)
		return
	case r.ContentLength < 0:
		f.done(noted, refuse(w, http.StatusLengthRequired, ""), 0)
		return
	}
	fault := f.faults.take(r.Method, r.URL.Path)
	out, err := os.Create(filepath.Join(f.leases.dir, parts[1]))
	if err != nil {
		f.done(noted, refuse(w, http.StatusInternalServerError, err.Error()), 0)
		return
	}
	defer out.Close()
	id := parts[0]
	bytes, how := fault.receive(r, out, func() bool { return f.leases.open(id) })
	status := 0
	switch {
	case how == faulted:
		status = f.happen(w, r, fault)
	case how != whole || fault.Do == doLose:
		cut(w)
	case disk && !isStreamOptimized(out.Name()):
		status = refuse(w, http.StatusInternalServerError, "Not a streamOptimized disk.")
	default:
		status = http.StatusOK
		w.WriteHeader(status)
	}
	f.done(noted, status, bytes)
}

// isStreamOptimized looks at the header as a host does: the magic number, version 3, and the
// flags for compressed grains and markers.
func isStreamOptimized(file string) bool {
	opened, err := os.Open(file)
	if err != nil {
		return false
	}
	defer opened.Close()
	header := make([]byte, 12)
	if _, err := io.ReadFull(opened, header); err != nil {
		return false
	}
	const flags = 1<<0 | 1<<16 | 1<<17
	return fmt.Sprintf("%x", header) == fmt.Sprintf("4b444d5603000000%02x%02x%02x00", flags&0xff, flags>>8&0xff, flags>>16)
}
