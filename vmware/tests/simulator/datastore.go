package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/vmware/govmomi/simulator"
)

const folderPrefix = "/folder/"

// serveFolder is the datastore file API of vCenter: a session or a name and password, and the
// datacenter and datastore in the query.
func (f *front) serveFolder(w http.ResponseWriter, r *http.Request) {
	noted := f.note(r.Method, r.RequestURI)
	key := sessionKey(r)
	alive := func() bool { return f.conf.basic(r) || f.sessions.alive(key, false) }
	if !alive() {
		w.Header().Set("WWW-Authenticate", `Basic realm="VMware HTTP server"`)
		f.done(noted, refuse(w, http.StatusUnauthorized, "Not logged in."), 0)
		return
	}
	file, query, err := target(r)
	if err != nil {
		f.done(noted, refuse(w, http.StatusBadRequest, err.Error()), 0)
		return
	}
	datastore := findDatastore(query.Get("dcPath"), query.Get("dsName"))
	f.serveFile(w, r, noted, datastore, file, alive)
}

// serveHost is the same of a host: a ticket says what may be done.
func (f *front) serveHost(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, leasePrefix) {
		f.serveLease(w, r, true)
		return
	}
	noted := f.note(r.Method, r.RequestURI)
	noted.Host = true
	file, query, err := target(r)
	if err != nil {
		f.done(noted, refuse(w, http.StatusBadRequest, err.Error()), 0)
		return
	}
	var datastore *simulator.Datastore
	if cookie, err := r.Cookie(ticketCookie); err == nil {
		id := strings.Trim(cookie.Value, `"`)
		datastore = f.tickets.use(id, r.Method, folderPrefix+file)
	}
	if datastore == nil {
		f.done(noted, refuse(w, http.StatusUnauthorized, "No such ticket."), 0)
		return
	}
	if dc := query.Get("dcPath"); dc != "" && dc != "ha-datacenter" || query.Get("dsName") != datastore.Name {
		datastore = nil
	}
	f.serveFile(w, r, noted, datastore, file, func() bool { return true })
}

// target decodes path and query; in both, "+" is a space.
func target(r *http.Request) (string, url.Values, error) {
	raw := strings.TrimPrefix(r.RequestURI, folderPrefix)
	raw = strings.SplitN(raw, "?", 2)[0]
	file, err := url.QueryUnescape(raw)
	if err != nil {
		return "", nil, err
	}
	for _, part := range strings.Split(file, "/") {
		if part == ".." {
			return "", nil, fmt.Errorf("a path with ..")
		}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	return file, query, err
}

// serveFile answers for one file of a datastore that the client may use.
func (f *front) serveFile(
	w http.ResponseWriter,
	r *http.Request,
	noted *request,
	datastore *simulator.Datastore,
	file string,
	alive func() bool,
) {
	if datastore == nil {
		f.done(noted, refuse(w, http.StatusNotFound, "No such datacenter or datastore."), 0)
		return
	}
	fault := f.faults.take(r.Method, file)
	if r.Method == http.MethodPut {
		status, bytes := f.put(w, r, datastore, file, fault, alive)
		f.done(noted, status, bytes)
		return
	}
	if fault.stops() {
		f.done(noted, f.happen(w, r, fault), 0)
		return
	}
	f.done(noted, f.get(w, r, datastore, file), 0)
}

// get answers GET, HEAD and DELETE.
func (f *front) get(w http.ResponseWriter, r *http.Request, datastore *simulator.Datastore, file string) int {
	local := filepath.Join(datastoreDir(datastore), file)
	info, err := os.Stat(local)
	if err != nil {
		return refuse(w, http.StatusNotFound, "No such file.")
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if info.IsDir() {
			return refuse(w, http.StatusOK, "Index of a folder.")
		}
		opened, err := os.Open(local)
		if err != nil {
			return refuse(w, http.StatusInternalServerError, err.Error())
		}
		defer opened.Close()
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", info.ModTime(), opened)
		return http.StatusOK
	case http.MethodDelete:
		if f.locked(datastore, file) {
			return refuse(w, http.StatusInternalServerError, "Failed to lock the file.")
		}
		if err := os.Remove(local); err != nil {
			return refuse(w, http.StatusInternalServerError, err.Error())
		}
		w.WriteHeader(http.StatusNoContent)
		return http.StatusNoContent
	default:
		return refuse(w, http.StatusMethodNotAllowed, "")
	}
}

// put writes the body into the file itself: what is cut short stays there, cut short.
func (f *front) put(
	w http.ResponseWriter,
	r *http.Request,
	datastore *simulator.Datastore,
	file string,
	fault *fault,
	alive func() bool,
) (int, int64) {
	local := filepath.Join(datastoreDir(datastore), file)
	status := http.StatusCreated
	if info, err := os.Stat(local); err == nil {
		if info.IsDir() {
			return refuse(w, http.StatusMethodNotAllowed, "A folder."), 0
		}
		status = http.StatusOK
	} else if _, err := os.Stat(path.Dir(local)); err != nil {
		return refuse(w, http.StatusMethodNotAllowed, "No such folder."), 0
	}
	if isVSAN(datastore) && !strings.Contains(file, "/") {
		return refuse(w, http.StatusInternalServerError, "No files at the top."), 0
	}
	if r.ContentLength < 0 {
		return refuse(w, http.StatusLengthRequired, ""), 0
	}
	if f.locked(datastore, file) {
		return refuse(w, http.StatusInternalServerError, "Failed to lock the file."), 0
	}
	if fault.stops() && fault.After == 0 {
		return f.happen(w, r, fault), 0
	}
	if !f.begin(local) {
		return refuse(w, http.StatusInternalServerError, "Failed to lock the file."), 0
	}
	out, err := os.Create(local)
	if err != nil {
		f.end(local)
		return refuse(w, http.StatusInternalServerError, err.Error()), 0
	}
	bytes, how := fault.receive(r, out, alive)
	out.Close()
	f.end(local)
	switch {
	case how == ended:
		interrupt(w, http.StatusUnauthorized, nil)
		return http.StatusUnauthorized, bytes
	case how == faulted:
		return f.happen(w, r, fault), bytes
	case how == broken:
		cut(w)
		return 0, bytes
	case fault.Do == doLose:
		cut(w)
		return 0, bytes
	}
	w.WriteHeader(status)
	return status, bytes
}

// happen does what a fault says instead of an answer; returns the status sent, 0 for none.
func (f *front) happen(w http.ResponseWriter, r *http.Request, fault *fault) int {
	switch fault.Do {
	case doStatus:
		interrupt(w, fault.Code, fault.Headers)
		return fault.Code
	case doExpire:
		f.sessions.clear()
		interrupt(w, http.StatusUnauthorized, nil)
		return http.StatusUnauthorized
	case doStall:
		stall(r)
	}
	cut(w)
	return 0
}
