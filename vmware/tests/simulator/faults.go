package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

var quiet = log.New(io.Discard, "", 0)

// fault is what goes wrong with the next requests that fit it.
type fault struct {
	Request string            `json:"request"` // "PUT", "POST", or a method of the API
	Path    string            `json:"path"`    // a part of the decoded path; "" fits all
	Skip    int               `json:"skip"`    // so many requests are let through first
	Times   int               `json:"times"`   // how often it happens; 0: once
	Do      string            `json:"do"`      // see the constants
	After   int64             `json:"after"`   // bytes of the body that arrive first
	Code    int               `json:"code"`    // for doStatus
	Headers map[string]string `json:"headers"` // for doStatus
	Rate    int64             `json:"rate"`    // for doSlow: bytes in a second
}

const (
	doCut     = "cut"     // After bytes the connection ends without an answer
	doDrop    = "drop"    // all is read, After bytes are kept, the answer is success
	doStatus  = "status"  // After bytes: Code is answered and the connection ends
	doStall   = "stall"   // After bytes nothing is read or answered any more
	doSlow    = "slow"    // the body is read at Rate
	doExpire  = "expire"  // After bytes all sessions end
	doLose    = "lose"    // all is done, but the connection ends instead of an answer
	doCorrupt = "corrupt" // the byte at After is another one in the file
)

type faults struct {
	mu   sync.Mutex
	list []*fault
}

func (f *faults) add(one *fault) {
	if one.Times == 0 {
		one.Times = 1
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, one)
}

// clear forgets all faults and says how many had not happened.
func (f *faults) clear() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := 0
	for _, one := range f.list {
		left += one.Times
	}
	f.list = nil
	return left
}

// take is the fault for this request; one that does nothing if there is none.
func (f *faults) take(request, path string) *fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.list {
		if one.Request != request || !strings.Contains(path, one.Path) || one.Times == 0 {
			continue
		}
		if one.Skip > 0 {
			one.Skip--
			continue
		}
		one.Times--
		return one
	}
	return &fault{}
}

// cut ends the connection at once: the peer gets a reset.
func cut(w http.ResponseWriter) {
	connection := hijack(w)
	if connection == nil {
		return
	}
	raw := connection
	if secure, ok := connection.(*tls.Conn); ok {
		raw = secure.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	raw.Close()
}

// interrupt answers while the body is still being sent, and ends the connection.
func interrupt(w http.ResponseWriter, code int, headers map[string]string) {
	connection := hijack(w)
	if connection == nil {
		return
	}
	var head strings.Builder
	body := fmt.Sprintf("<html><body><h1>%d %s</h1></body></html>\n", code, http.StatusText(code))
	fmt.Fprintf(&head, "HTTP/1.1 %d %s\r\nContent-Type: text/html\r\nContent-Length: %d\r\nConnection: close\r\n",
		code, http.StatusText(code), len(body))
	for name, value := range headers {
		fmt.Fprintf(&head, "%s: %s\r\n", name, value)
	}
	fmt.Fprintf(&head, "\r\n%s", body)
	_, _ = io.WriteString(connection, head.String())
	// What was not read of the body makes a reset of this, as it does in life.
	if secure, ok := connection.(*tls.Conn); ok {
		secure.NetConn().Close()
	}
	connection.Close()
}

func hijack(w http.ResponseWriter) net.Conn {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return nil
	}
	connection, _, err := hijacker.Hijack()
	if err != nil {
		return nil
	}
	return connection
}

// outcome is how the reading of a body ended.
type outcome int

const (
	whole   outcome = iota // all arrived
	broken                 // the client went away
	ended                  // the session ended meanwhile
	faulted                // the fault that was asked for is to happen now
)

// receive reads a body of the given length into out, as the fault wants it.
func (one *fault) receive(r *http.Request, out io.Writer, alive func() bool) (int64, outcome) {
	buffer := make([]byte, 64<<10)
	var total int64
	for {
		size := int64(len(buffer))
		if one.stops() {
			if total == one.After {
				return total, faulted
			}
			if one.After-total < size {
				size = one.After - total
			}
		}
		start := time.Now()
		n, err := r.Body.Read(buffer[:size])
		if n > 0 {
			if _, failed := out.Write(one.spoil(buffer[:n], total)); failed != nil {
				return total, broken
			}
			total += int64(n)
		}
		if !alive() {
			return total, ended
		}
		if one.Do == doSlow {
			time.Sleep(time.Duration(int64(n))*time.Second/time.Duration(one.Rate) - time.Since(start))
		}
		if err == io.EOF && total == r.ContentLength {
			return total, whole
		}
		if err != nil {
			return total, broken
		}
	}
}

// stops says whether the fault happens in the middle of the body.
func (one *fault) stops() bool {
	switch one.Do {
	case doCut, doStatus, doStall, doExpire:
		return true
	}
	return false
}

// spoil changes or drops what was read at that offset, before it is written.
func (one *fault) spoil(data []byte, offset int64) []byte {
	at := one.After - offset
	switch {
	case one.Do == doDrop && at <= 0:
		return nil
	case one.Do == doDrop && at < int64(len(data)):
		return data[:at]
	case one.Do == doCorrupt && at >= 0 && at < int64(len(data)):
		data[at] ^= 0xff
	}
	return data
}

// stall waits until the client has had enough.
func stall(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-time.After(10 * time.Minute):
	}
}
