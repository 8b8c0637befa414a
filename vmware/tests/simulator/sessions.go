package main

import (
	"crypto/subtle"
	"net/http"
	"strings"
	"sync"
	"time"
)

const sessionCookie = "vmware_soap_session"

// sessions are those that logged in through the front and are still alive.
type sessions struct {
	idle time.Duration // 0: they never end
	mu   sync.Mutex
	used map[string]time.Time
}

func newSessions(idle time.Duration) *sessions {
	return &sessions{idle: idle, used: make(map[string]time.Time)}
}

// started takes the session of a login's answer, and writes the cookie as vCenter does: the
// value in quotation marks.
func (s *sessions) started(header http.Header) {
	answer := http.Response{Header: header}
	for _, cookie := range answer.Cookies() {
		if cookie.Name != sessionCookie {
			continue
		}
		s.mu.Lock()
		s.used[cookie.Value] = time.Now()
		s.mu.Unlock()
		header.Set("Set-Cookie", sessionCookie+`="`+cookie.Value+`"; Path=/; HttpOnly; Secure;`)
	}
}

// alive says whether the session may still be used; a call of the API then counts as a use.
func (s *sessions) alive(key string, use bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.used[key]
	if !ok {
		return false
	}
	if s.idle != 0 && time.Since(last) > s.idle {
		delete(s.used, key)
		return false
	}
	if use {
		s.used[key] = time.Now()
	}
	return true
}

func (s *sessions) end(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.used, key)
}

func (s *sessions) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used = make(map[string]time.Time)
}

func (s *sessions) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.used)
}

// sessionKey is the session that a request names; "" if none.
func sessionKey(r *http.Request) string {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return ""
	}
	return strings.Trim(cookie.Value, `"`)
}

// basic says whether the request has the right name and password with it.
func (c *config) basic(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	return ok && user == c.User && subtle.ConstantTimeCompare([]byte(password), []byte(c.Password)) == 1
}
