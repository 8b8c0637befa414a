//! Blobs and manifests that are pushed.

use std::io::Write;
use std::sync::Arc;

use super::remote::{Proxies, PushBytes};
use super::*;

const BODY: &[u8] = &[7; 300_000];

fn options() -> RemoteOptions {
    RemoteOptions {
        attempts: 3,
        backoff: Duration::from_millis(1),
        stall_timeout: Duration::from_millis(500),
        ..RemoteOptions::default()
    }
}

fn file() -> PushBytes {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(BODY).unwrap();
    PushBytes::File(Arc::new(file), BODY.len() as u64)
}

/// Pushes a blob from a file.
fn push(server: &Server, options: RemoteOptions) -> Result<bool, String> {
    let name = Reference::parse(&format!("{}/a/b:1", server.host())).unwrap();
    let remote = Remote::new(options).unwrap();
    let digest = Digest::sha256(BODY);
    let pushed = remote.push_blob(&name, &digest, &file());
    pushed.map_err(|e| e.to_string())
}

/// What an honest registry without this blob says.
fn answer(r: &Request) -> Reply {
    match (r.method.as_str(), r.path.as_str()) {
        ("HEAD", _) => status(404),
        ("POST", "/v2/a/b/blobs/uploads/") => status(202).header("location", "/up/1?state=x%20y"),
        ("PUT", path) if path.starts_with("/up/1?state=x%20y&digest=sha256%3A") => status(201),
        ("PUT", "/v2/a/b/manifests/1") => status(201),
        other => panic!("{other:?}"),
    }
}

fn methods(server: &Server) -> Vec<String> {
    server.requests().into_iter().map(|r| r.method).collect()
}

#[test]
fn a_blob_is_sent_whole_and_one_that_is_there_is_not() {
    let server = Server::new(answer);
    assert_eq!(push(&server, options()), Ok(true));
    assert_eq!(methods(&server), ["HEAD", "POST", "PUT"]);
    assert!(server.requests()[2].body == BODY);
    for there in [200, 307] {
        let server = Server::new(move |_| status(there).header("location", "/elsewhere"));
        assert_eq!(push(&server, options()), Ok(false), "{there}");
        assert_eq!(methods(&server), ["HEAD"]);
    }
}

#[test]
fn a_manifest_is_sent_with_its_type() {
    let server = Server::new(answer);
    let name = Reference::parse(&format!("{}/a/b:1", server.host())).unwrap();
    let remote = Remote::new(options()).unwrap();
    remote
        .push_manifest(&name, "application/x", b"{}".to_vec())
        .unwrap();
    let requests = server.requests();
    assert_eq!(requests[0].headers["content-type"], "application/x");
    assert_eq!(requests[0].body, b"{}");
}

#[test]
fn a_failure_that_may_pass_is_tried_again_and_others_are_not() {
    let server = Server::new(|r| match (r.method.as_str(), r.earlier) {
        ("PUT", 0) => status(503),
        _ => answer(r),
    });
    assert_eq!(push(&server, options()), Ok(true));
    assert_eq!(
        methods(&server),
        ["HEAD", "POST", "PUT", "HEAD", "POST", "PUT"]
    );
    for (bad, words) in [(403, "docker login"), (413, "413"), (500, "3 attempts")] {
        let server = Server::new(move |r| match r.method.as_str() {
            "PUT" => status(bad),
            _ => answer(r),
        });
        let error = push(&server, options()).unwrap_err();
        assert!(error.contains(words), "{error}");
        let puts = if bad == 500 { 3 } else { 1 };
        assert_eq!(methods(&server).len(), 3 * puts, "{bad}");
    }
}

#[test]
fn a_token_for_pushing_is_asked_for() {
    let server = Server::new(|r| {
        if let Some(query) = r.path.strip_prefix("/token?") {
            let scope = query.contains("push");
            return ok(format!(
                r#"{{"token":"{}"}}"#,
                if scope { "push" } else { "pull" }
            ));
        }
        let host = &r.headers["host"];
        let challenge = |scope: &str| {
            let realm = format!("Bearer realm=\"http://{host}/token\"{scope}");
            status(401).header("www-authenticate", realm)
        };
        match r.headers.get("authorization").map(String::as_str) {
            Some("Bearer push") => answer(r),
            // Who may read may ask what is there.
            Some("Bearer pull") if r.method == "HEAD" => answer(r),
            _ if r.method == "HEAD" => challenge(",scope=\"repository:a/b:pull\""),
            _ => challenge(""),
        }
    });
    assert_eq!(push(&server, options()), Ok(true));
}

#[test]
fn an_upload_does_not_go_around_a_proxy_that_cannot_be_used() {
    let server = Server::new(|r| match r.method.as_str() {
        "POST" => status(202).header("location", "https://else.invalid/up"),
        _ => answer(r),
    });
    for proxy in ["socks5://proxy.lab", "http://a b"] {
        let options = RemoteOptions {
            proxies: Proxies::of_https(proxy),
            ..options()
        };
        let error = push(&server, options).unwrap_err();
        let words = "can't reach else.invalid: HTTPS_PROXY can't be used";
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn an_upload_elsewhere_gets_no_credentials() {
    let storage = Server::new(|_| status(201));
    let place = format!("http://{}/up?x=1", storage.host());
    let server = Server::new(move |r| match r.headers.get("authorization") {
        None => status(401).header("www-authenticate", "Basic realm=x"),
        Some(_) if r.method == "POST" => status(202).header("location", place.clone()),
        Some(_) => answer(r),
    });
    let with_password = RemoteOptions {
        credentials: Box::new(|_| {
            Some(Credentials::Password {
                username: "joe".into(),
                password: "s3cret".into(),
            })
        }),
        ..options()
    };
    assert_eq!(push(&server, with_password), Ok(true));
    let requests = storage.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].body == BODY);
    assert!(!requests[0].headers.contains_key("authorization"));
}

#[test]
fn an_upload_without_encryption_or_to_nowhere_is_refused() {
    for (place, words) in [
        ("http://storage.example/up", "without encryption"),
        ("file:///etc/passwd", "where an upload goes"),
        ("http://[", "where an upload goes"),
    ] {
        let server = Server::new(move |r| match r.method.as_str() {
            "POST" => status(202).header("location", place),
            _ => answer(r),
        });
        let error = push(&server, options()).unwrap_err();
        assert!(error.contains(words), "{place}: {error}");
    }
}

#[test]
fn a_registry_that_takes_no_more_bytes_is_given_up() {
    let server = Server::new(|r| match r.method.as_str() {
        "PUT" => status(201).delay(Duration::from_secs(60)),
        _ => answer(r),
    });
    let start = std::time::Instant::now();
    let error = push(&server, options()).unwrap_err();
    assert!(error.contains("did not move"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20));
}
