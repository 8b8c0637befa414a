package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/vmware/govmomi/simulator"
	// Terraform logs in to these, too: tags and storage policies.
	_ "github.com/vmware/govmomi/pbm/simulator"
	_ "github.com/vmware/govmomi/vapi/simulator"
)

// front answers all requests; what it finds in order goes on to the library.
type front struct {
	conf         *config
	behind       http.Handler
	certificates *certificates
	sessions     *sessions
	tickets      *tickets
	faults       *faults
	leases       *leases
	hostAddress  string // where the host listens that tickets are for

	mu      sync.Mutex
	lock    bool
	written map[string]bool // files of the datastores that are being sent
	seen    []*request
}

// request is what the test is told of one.
type request struct {
	Method string `json:"method"` // HTTP's, or the name of the API's
	Path   string `json:"path"`   // encoded as it came, with query; "" for the API
	Status int    `json:"status"` // 0: cut without an answer
	Bytes  int64  `json:"bytes"`  // of the body that were read
	Host   bool   `json:"host"`   // asked of a host, with a ticket
}

func newFront(conf *config) (*front, error) {
	model, err := newModel(conf)
	if err != nil {
		return nil, err
	}
	// The library's own server is not used, but starting it registers the handlers.
	model.Service.RegisterEndpoints = true
	model.Service.NewServer()
	certificates, err := newCertificates()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(conf.Dir, "leases")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &front{
		conf:         conf,
		behind:       model.Service.ServeMux,
		certificates: certificates,
		sessions:     newSessions(conf.idle()),
		tickets:      newTickets(),
		faults:       &faults{},
		leases:       newLeases(dir),
		written:      make(map[string]bool),
	}, nil
}

// listen starts the server and the host, each on a free port.
func (f *front) listen() (*ready, error) {
	url, err := serve(&f.certificates.server, f.serveVCenter)
	if err != nil {
		return nil, err
	}
	f.hostAddress, err = serve(&f.certificates.host, f.serveHost)
	if err != nil {
		return nil, err
	}
	simulator.Map.SessionManager().ServiceHostName = f.hostAddress
	ca := filepath.Join(f.conf.Dir, "ca.pem")
	if err := f.certificates.writeAuthority(ca); err != nil {
		return nil, err
	}
	ready := &ready{
		URL:    "https://" + url,
		CA:     ca,
		SHA1:   sha1Thumbprint(&f.certificates.server),
		SHA256: sha256Thumbprint(&f.certificates.server),
		Leases: f.leases.dir,
	}
	for _, datastore := range datastores() {
		ready.Datastores = append(ready.Datastores, datastoreReady{
			Datacenter: inventoryPath(datacenterOf(datastore)),
			Name:       datastore.Name,
			Dir:        datastoreDir(datastore),
		})
	}
	return ready, nil
}

// serve answers on a free port; no HTTP/2, whose connections can't be cut in the middle.
func serve(certificate *tls.Certificate, handler http.HandlerFunc) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	secure := tls.NewListener(listener, &tls.Config{
		Certificates: []tls.Certificate{*certificate},
		NextProtos:   []string{"http/1.1"},
		MinVersion:   tls.VersionTLS12,
	})
	server := &http.Server{Handler: handler, ErrorLog: quiet}
	go server.Serve(secure)
	return listener.Addr().String(), nil
}

func (f *front) serveVCenter(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/sdk"):
		f.serveAPI(w, r)
	case strings.HasPrefix(r.RequestURI, folderPrefix):
		f.serveFolder(w, r)
	case strings.HasPrefix(r.URL.Path, leasePrefix):
		f.serveLease(w, r, false)
	case strings.HasPrefix(r.URL.Path, "/rest/") || strings.HasPrefix(r.URL.Path, "/pbm"):
		f.behind.ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}

// note keeps what is known of a request for the test; the caller fills in the rest.
func (f *front) note(method, path string) *request {
	noted := &request{Method: method, Path: path}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, noted)
	return noted
}

// requests are copies of all so far.
func (f *front) requests() []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := []request{}
	for _, one := range f.seen {
		all = append(all, *one)
	}
	return all
}

// done fills in how a request ended.
func (f *front) done(noted *request, status int, bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	noted.Status, noted.Bytes = status, bytes
}

func (f *front) setLocks(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lock = on
}

// begin opens a file for one who writes; false if another does.
func (f *front) begin(local string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.written[local] {
		return false
	}
	f.written[local] = true
	return true
}

func (f *front) end(local string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.written, local)
}

// locked says whether someone writes the file or, where the test wants that, a running machine has
// it open.
func (f *front) locked(datastore *simulator.Datastore, file string) bool {
	f.mu.Lock()
	machines := f.lock
	written := f.written[filepath.Join(datastoreDir(datastore), file)]
	f.mu.Unlock()
	return written || machines && isOpen(datastore, file)
}

// refuse answers with a page such as vCenter's.
func refuse(w http.ResponseWriter, status int, text string) int {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<html><body><h1>%d %s</h1><p>%s</p></body></html>\n", status, http.StatusText(status), text)
	return status
}
