package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

const maxCall = 16 << 20

// call is one method of the API as far as the front looks into it.
type call struct {
	Method string
	This   reference `xml:"_this"`
	Spec   struct {
		URL          string     `xml:"url"`
		Method       string     `xml:"method"`
		DeviceChange []struct{} `xml:"deviceChange"`
	} `xml:"spec"`
	Objects []struct {
		Object []reference `xml:"objectSet>obj"`
	} `xml:"specSet"`
	SourceName      string    `xml:"sourceName"`
	DestinationName string    `xml:"destinationName"`
	Name            string    `xml:"name"`
	PortgroupKey    string    `xml:"portgroupKey"`
	Datastore       reference `xml:"datastore"`
	DisplayName     string    `xml:"displayName"`
}

type reference struct {
	Type  string `xml:"type,attr"`
	Value string `xml:",chardata"`
}

func parseCall(body []byte) (*call, error) {
	var envelope struct {
		Body struct {
			Content []byte `xml:",innerxml"`
		} `xml:"Body"`
	}
	if err := xml.Unmarshal(body, &envelope); err != nil {
		return nil, err
	}
	decoder := xml.NewDecoder(bytes.NewReader(envelope.Body.Content))
	for {
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		if start, ok := token.(xml.StartElement); ok {
			parsed := &call{Method: start.Name.Local}
			err := decoder.DecodeElement(parsed, &start)
			return parsed, err
		}
	}
}

// serveAPI is /sdk: SOAP. Without a session, only what leads to one is answered.
func (f *front) serveAPI(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		f.behind.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxCall))
	if err != nil {
		return
	}
	call, err := parseCall(body)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	noted := f.note(call.Method, "")
	fault := f.faults.take(call.Method, string(body))
	switch {
	case fault.Do == doExpire:
		f.sessions.clear()
	case fault.stops():
		f.done(noted, f.happen(w, r, fault), int64(len(body)))
		return
	}
	key := sessionKey(r)
	alive := f.sessions.alive(key, true)
	if !alive {
		// What the library still knows of an ended session must not count.
		r.Header.Del("Cookie")
		if !call.open() {
			writeFault(w, "NotAuthenticated", "The session is not authenticated.",
				fmt.Sprintf(`<object type=%q>%s</object><privilegeId>System.View</privilegeId>`,
					call.This.Type, html.EscapeString(call.This.Value)))
			f.done(noted, http.StatusInternalServerError, int64(len(body)))
			return
		}
	}
	answer := f.answer(call, r, body)
	f.sessions.started(answer.Header())
	if call.Method == "Logout" {
		f.sessions.end(key)
	}
	f.done(noted, answer.Code, int64(len(body)))
	if fault.Do == doLose {
		cut(w)
		return
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// open says whether the method may be called without a session.
func (c *call) open() bool {
	switch c.Method {
	case "RetrieveServiceContent", "Login", "LoginByToken", "LoginExtensionByCertificate", "CloneSession":
		return true
	case "RetrieveProperties", "RetrievePropertiesEx":
		for _, set := range c.Objects {
			for _, object := range set.Object {
				if object.Type != "ServiceInstance" {
					return false
				}
			}
		}
		return true
	}
	return false
}

// answer is the library's, or the front's own where the library has none or a wrong one.
func (f *front) answer(call *call, r *http.Request, body []byte) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	switch call.Method {
	case "AcquireGenericServiceTicket":
		f.acquireTicket(answer, call)
		return answer
	case "DVSManagerLookupDvPortGroup":
		writeBody(answer, http.StatusOK, `<DVSManagerLookupDvPortGroupResponse xmlns="urn:vim25">`+
			`<returnval type="DistributedVirtualPortgroup">`+html.EscapeString(call.PortgroupKey)+
			`</returnval></DVSManagerLookupDvPortGroupResponse>`)
		return answer
	case "CreateDirectory":
		createNamespace(answer, call)
		return answer
	case "MakeDirectory":
		if isNamespace(call.Name) {
			writeFault(answer, "CannotCreateFile", "Cannot complete file creation operation.", "")
			return answer
		}
	case "MoveDatastoreFile_Task", "DeleteDatastoreFile_Task":
		if f.anyLocked(call) {
			writeFault(answer, "FileLocked", "Unable to access file since it is locked", "")
			return answer
		}
	case "Destroy_Task":
		if vm, ok := simulator.Map.Get(call.This.managed()).(*simulator.VirtualMachine); ok {
			defer keepOthers(vm)()
		}
	case "MarkAsTemplate":
		if vm, ok := simulator.Map.Get(call.This.managed()).(*simulator.VirtualMachine); ok {
			defer leavePool(vm, vm.ResourcePool)
		}
	case "ReconfigVM_Task":
		vm, ok := simulator.Map.Get(call.This.managed()).(*simulator.VirtualMachine)
		if ok && vm.Config.Template && len(call.Spec.DeviceChange) > 0 {
			writeFault(answer, "NotSupported", "The operation is not supported on the object.", "")
			return answer
		}
	case "HttpNfcLeaseAbort":
		if vm, ok := f.leases.ended(call.This.Value); ok {
			defer f.behindDestroy(r, vm)
		}
	case "HttpNfcLeaseComplete":
		if !f.leases.complete(call.This.Value) {
			writeFault(answer, "InvalidState", "The operation is not allowed in the current state.", "")
			return answer
		}
		f.leases.ended(call.This.Value)
	}
	f.pass(answer, r, body)
	if answer.Code != http.StatusOK {
		return answer
	}
	f.placeLeases(answer, call)
	returned := returnval(answer.Body.Bytes())
	if call.Method == "ImportVApp" {
		f.leases.began(returned.Value, f.newest(r, returned))
	}
	if call.Method == "CreateVM_Task" || call.Method == "ReconfigVM_Task" {
		nameDisks()
	}
	if strings.HasSuffix(call.Method, "_Task") && returned.Type == "Task" {
		f.run(returned.managed())
	}
	return answer
}

// pass has the library answer.
func (f *front) pass(answer http.ResponseWriter, r *http.Request, body []byte) {
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	again.ContentLength = int64(len(body))
	f.behind.ServeHTTP(answer, again)
}

// ask calls a method of the library on behalf of a client.
func (f *front) ask(r *http.Request, text string) []byte {
	answer := httptest.NewRecorder()
	f.pass(answer, r, []byte(`<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" `+
		`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>`+text+
		`</soapenv:Body></soapenv:Envelope>`))
	return answer.Body.Bytes()
}

// leaseURL is where the library says that a disk is to be sent: to the host that is asked.
var leaseURL = regexp.MustCompile(`<url>https://\*/nfc/([^<]*)</url>`)

// placeLeases does what vCenter does, in an answer that has to do with an import: a lease is not
// ready at once, and its disks go to the host itself, whose certificate is another.
func (f *front) placeLeases(answer *httptest.ResponseRecorder, call *call) {
	for _, set := range call.Objects {
		for _, object := range set.Object {
			if object.Type != "HttpNfcLease" {
				continue
			}
			text := answer.Body.String()
			if f.leases.young(object.Value, time.Duration(f.conf.TaskMillis)*time.Millisecond) {
				text = strings.Replace(text, `HttpNfcLeaseState">ready<`, `HttpNfcLeaseState">initializing<`, 1)
			}
			if !simulator.Map.IsESX() {
				text = leaseURL.ReplaceAllString(text, "<url>https://"+f.hostAddress+"/nfc/$1</url>"+
					"<sslThumbprint>"+sha1Thumbprint(&f.certificates.host)+"</sslThumbprint>")
			}
			answer.Body = bytes.NewBufferString(text)
		}
	}
}

// newest is the virtual machine that a lease is for.
func (f *front) newest(r *http.Request, lease reference) types.ManagedObjectReference {
	answer := f.ask(r, `<RetrieveProperties xmlns="urn:vim25"><_this type="PropertyCollector">`+
		html.EscapeString(f.collector())+`</_this><specSet><propSet><type>HttpNfcLease</type><pathSet>info</pathSet>`+
		`</propSet><objectSet><obj type="HttpNfcLease">`+html.EscapeString(lease.Value)+
		`</obj></objectSet></specSet></RetrieveProperties>`)
	var found struct {
		Entity reference `xml:"Body>RetrievePropertiesResponse>returnval>propSet>val>entity"`
	}
	_ = xml.Unmarshal(answer, &found)
	return found.Entity.managed()
}

func (f *front) collector() string {
	if simulator.Map.IsESX() {
		return "ha-property-collector"
	}
	return "propertyCollector"
}

// behindDestroy takes away what an aborted lease had made.
func (f *front) behindDestroy(r *http.Request, vm types.ManagedObjectReference) {
	f.ask(r, fmt.Sprintf(`<Destroy_Task xmlns="urn:vim25"><_this type=%q>%s</_this></Destroy_Task>`,
		vm.Type, html.EscapeString(vm.Value)))
}

// run lets a task be seen running for a while: the library has always finished it already.
func (f *front) run(ref types.ManagedObjectReference) {
	task, ok := simulator.Map.Get(ref).(*simulator.Task)
	if !ok || f.conf.TaskMillis == 0 {
		return
	}
	update := func(info types.TaskInfo) {
		simulator.Map.WithLock(task, func() {
			simulator.Map.Update(task, []types.PropertyChange{
				{Name: "info", Val: info},
				{Name: "info.state", Val: info.State},
			})
		})
	}
	final := task.Info
	running := final
	running.State = types.TaskInfoStateRunning
	running.Result, running.Error, running.CompleteTime = nil, nil, nil
	update(running)
	time.AfterFunc(time.Duration(f.conf.TaskMillis)*time.Millisecond, func() { update(final) })
}

func (f *front) acquireTicket(w http.ResponseWriter, call *call) {
	id, reachable, err := f.tickets.acquire(call.Spec.Method, call.Spec.URL)
	if err != nil {
		writeFault(w, "InvalidArgument", err.Error(), "<invalidProperty>spec.url</invalidProperty>")
		return
	}
	host := f.hostAddress
	if !reachable {
		host = "127.0.0.1:1" // nobody listens there
	}
	writeBody(w, http.StatusOK, `<AcquireGenericServiceTicketResponse xmlns="urn:vim25"><returnval><id>`+id+
		`</id><hostName>`+host+`</hostName><sslThumbprint>`+sha1Thumbprint(&f.certificates.host)+
		`</sslThumbprint></returnval></AcquireGenericServiceTicketResponse>`)
}

// anyLocked says whether a file that is to be moved, moved over or deleted can't be.
func (f *front) anyLocked(call *call) bool {
	for _, name := range []string{call.SourceName, call.DestinationName, call.Name} {
		var file object.DatastorePath
		if !file.FromString(name) {
			continue
		}
		for _, datastore := range datastores() {
			if datastore.Name == file.Datastore && f.locked(datastore, file.Path) {
				return true
			}
		}
	}
	return false
}

// createNamespace makes a folder at the top of a vSAN datastore.
func createNamespace(w http.ResponseWriter, call *call) {
	datastore, ok := simulator.Map.Get(call.Datastore.managed()).(*simulator.Datastore)
	if !ok || !isVSAN(datastore) || strings.Contains(call.DisplayName, "/") {
		writeFault(w, "InvalidDatastore", "Operation not supported on this datastore.", "")
		return
	}
	dir := filepath.Join(datastoreDir(datastore), call.DisplayName)
	if err := os.Mkdir(dir, 0o700); err != nil {
		writeFault(w, "FileAlreadyExists", "The specified key, name, or identifier already exists.", "")
		return
	}
	writeBody(w, http.StatusOK, `<CreateDirectoryResponse xmlns="urn:vim25"><returnval>`+
		html.EscapeString(dir)+`</returnval></CreateDirectoryResponse>`)
}

// isNamespace says whether a folder is, or needs, one at the top of a vSAN datastore that is not
// there yet.
func isNamespace(name string) bool {
	var folder object.DatastorePath
	if !folder.FromString(name) {
		return false
	}
	top := strings.SplitN(folder.Path, "/", 2)[0]
	for _, datastore := range datastores() {
		if datastore.Name == folder.Datastore && isVSAN(datastore) {
			_, err := os.Stat(filepath.Join(datastoreDir(datastore), top))
			return err != nil
		}
	}
	return false
}

// keepOthers hides from the library what is in a machine's folder but not the machine's: a real
// server leaves that alone, the library deletes the folder. The function returned puts it back.
func keepOthers(vm *simulator.VirtualMachine) func() {
	nothing := func() {}
	var home object.DatastorePath
	dc := datacenterOf(vm)
	if dc == nil || vm.Config == nil || !home.FromString(vm.Config.Files.VmPathName) {
		return nothing
	}
	datastore := findDatastore(inventoryPath(dc), home.Datastore)
	if datastore == nil {
		return nothing
	}
	dir := filepath.Join(datastoreDir(datastore), path.Dir(home.Path))
	own := make(map[string]bool)
	for _, backing := range backings(vm) {
		var file object.DatastorePath
		file.FromString(backing)
		name := path.Base(file.Path)
		own[name] = true
		own[strings.TrimSuffix(name, ".vmdk")+"-flat.vmdk"] = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nothing
	}
	hidden := dir + ".kept-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	var kept []string
	for _, entry := range entries {
		name := entry.Name()
		switch path.Ext(name) {
		case ".vmx", ".nvram", ".log", ".vmsd", ".vmxf":
			continue
		}
		if own[name] {
			continue
		}
		if err := os.MkdirAll(hidden, 0o700); err != nil {
			return nothing
		}
		if os.Rename(filepath.Join(dir, name), filepath.Join(hidden, name)) == nil {
			kept = append(kept, name)
		}
	}
	return func() {
		if len(kept) == 0 {
			return
		}
		_ = os.MkdirAll(dir, 0o700)
		for _, name := range kept {
			_ = os.Rename(filepath.Join(hidden, name), filepath.Join(dir, name))
		}
		_ = os.Remove(hidden)
	}
}

// leavePool takes a machine that has become a template out of the pool that it was in: the library
// forgets to.
func leavePool(vm *simulator.VirtualMachine, ref *types.ManagedObjectReference) {
	if ref == nil || !vm.Config.Template {
		return
	}
	if pool, ok := simulator.Map.Get(*ref).(*simulator.ResourcePool); ok {
		simulator.Map.RemoveReference(pool, &pool.Vm, vm.Self)
	}
}

// returnval is what a method returned, if that is a reference.
func returnval(answer []byte) reference {
	var envelope struct {
		Body struct {
			Response struct {
				Returnval reference `xml:"returnval"`
			} `xml:",any"`
		} `xml:"Body"`
	}
	_ = xml.Unmarshal(answer, &envelope)
	return envelope.Body.Response.Returnval
}

func (r reference) managed() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: r.Type, Value: strings.TrimSpace(r.Value)}
}

func writeFault(w http.ResponseWriter, kind, text, detail string) {
	writeBody(w, http.StatusInternalServerError, fmt.Sprintf(
		`<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>%s</faultstring><detail>`+
			`<%sFault xmlns="urn:vim25" xsi:type="%s">%s</%sFault></detail></soapenv:Fault>`,
		html.EscapeString(text), kind, kind, detail, kind))
}

func writeBody(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" `+
		`xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<soapenv:Body>%s</soapenv:Body></soapenv:Envelope>`, text)
}
