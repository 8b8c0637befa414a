package main

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	leasePrefix = "/nfc/"
	streamVMDK  = "application/x-vnd.vmware-streamVmdk"
)

// leases are the imports under way; what was sent for them is kept in the folder.
type leases struct {
	dir string
	mu  sync.Mutex
	all map[string]*lease
}

type lease struct {
	vm    types.ManagedObjectReference // what it makes
	began time.Time
	disks map[string]bool // names of those that arrived whole
}

func newLeases(dir string) *leases {
	return &leases{dir: dir, all: make(map[string]*lease)}
}

func (l *leases) began(id string, vm types.ManagedObjectReference) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all[id] = &lease{vm: vm, began: time.Now(), disks: make(map[string]bool)}
}

// ended forgets the lease and says what it was making.
func (l *leases) ended(id string) (types.ManagedObjectReference, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one, ok := l.all[id]
	if !ok {
		return types.ManagedObjectReference{}, false
	}
	delete(l.all, id)
	return one.vm, true
}

func (l *leases) open(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.all[id]
	return ok
}

// young says whether the lease began so recently that it is not ready yet.
func (l *leases) young(id string, age time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	one, ok := l.all[id]
	return ok && time.Since(one.began) < age
}

func (l *leases) arrived(id, disk string, whole bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one, ok := l.all[id]; ok {
		one.disks[disk] = whole
	}
}

// complete says whether all disks arrived whole.
func (l *leases) complete(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	one, ok := l.all[id]
	if !ok {
		return false
	}
	vm, ok := simulator.Map.Get(one.vm).(*simulator.VirtualMachine)
	if !ok {
		return false
	}
	for _, device := range vm.Config.Hardware.Device {
		disk, ok := device.(*types.VirtualDisk)
		if !ok {
			continue
		}
		backing, ok := disk.Backing.(types.BaseVirtualDeviceFileBackingInfo)
		if !ok || !one.disks[path.Base(backing.GetVirtualDeviceFileBackingInfo().FileName)] {
			return false
		}
	}
	return true
}

// serveLease keeps what is sent to a lease: "/nfc/LEASE/NAME" becomes the file "NAME" in the
// folder of leases. The address itself is the permission.
func (f *front) serveLease(w http.ResponseWriter, r *http.Request, host bool) {
	noted := f.note(r.Method, r.RequestURI)
	noted.Host = host
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
	case disk && fault.Do != doDrop && !isStreamOptimized(out.Name()):
		status = refuse(w, http.StatusInternalServerError, "Not a streamOptimized disk.")
	default:
		status = http.StatusOK
		w.WriteHeader(status)
	}
	if disk {
		f.leases.arrived(id, parts[1], how == whole && isStreamOptimized(out.Name()))
	}
	f.done(noted, status, bytes)
}

// isStreamOptimized looks at a disk as a host does: the magic number, version 3 and the flags for
// compressed grains and markers at its start, the marker of the end of the stream at its end.
func isStreamOptimized(file string) bool {
	const flags = 1<<0 | 1<<16 | 1<<17
	const sector = 512
	data, err := os.Open(file)
	if err != nil {
		return false
	}
	defer data.Close()
	header := make([]byte, 12)
	if _, err := data.ReadAt(header, 0); err != nil {
		return false
	}
	info, err := data.Stat()
	if err != nil || info.Size()%sector != 0 || info.Size() < 2*sector {
		return false
	}
	end := make([]byte, sector)
	if _, err := data.ReadAt(end, info.Size()-sector); err != nil {
		return false
	}
	return string(header[:4]) == "KDMV" &&
		binary.LittleEndian.Uint32(header[4:]) == 3 &&
		binary.LittleEndian.Uint32(header[8:]) == flags &&
		bytes.Equal(end, make([]byte, sector))
}
