//! Passwords and tokens, and where they go; mirrors.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::*;

fn with_password(server: &Server) -> Client {
    let host = server.host().to_owned();
    client_with(
        server,
        RemoteOptions {
            credentials: Box::new(move |asked| {
                (asked == host).then(|| Credentials::Password {
                    username: "joe".into(),
                    password: "s3cret".into(),
                })
            }),
            ..RemoteOptions::default()
        },
    )
}

#[test]
fn bearer_tokens_are_fetched_and_renewed_in_the_middle() {
    let image = image();
    let served = image.clone();
    let tokens = AtomicUsize::new(0);
    let host = Arc::new(Mutex::new(String::new()));
    let own_host = host.clone();
    let server = Server::new(move |r| {
        if r.path.starts_with("/token?") {
            let given = tokens.fetch_add(1, Ordering::SeqCst) + 1;
            assert_eq!(r.headers["authorization"], "Basic am9lOnMzY3JldA==");
            assert!(
                r.path.contains("scope=repository%3Aa%2Fb%3Apull"),
                "{}",
                r.path
            );
            return ok(format!(r#"{{"token":"t{given}"}}"#));
        }
        // The first token is good for one request only.
        let good = match r.headers.get("authorization").map(String::as_str) {
            Some("Bearer t1") => r.path.contains("/manifests/"),
            Some("Bearer t2") => true,
            _ => false,
        };
        if good {
            return served.answer(r);
        }
        let realm = format!(
            r#"Bearer realm="http://{}/token",service="reg""#,
            own_host.lock().unwrap()
        );
        status(401).header("www-authenticate", realm)
    });
    *host.lock().unwrap() = server.host().to_owned();
    assert!(with_password(&server).pull().unwrap() == image.layer);
}

#[test]
fn a_refused_password_names_docker_login_and_not_the_password() {
    let server = Server::new(|_| status(401).header("www-authenticate", "Basic realm=x"));
    let error = with_password(&server).resolve().unwrap_err().to_string();
    assert!(
        error.contains("docker login 127.0.0.1") && !error.contains("s3cret"),
        "{error}"
    );
}

#[test]
fn credentials_do_not_follow_a_redirect_to_another_host() {
    let image = image();
    let served = image.clone();
    let elsewhere = Server::new(move |r| {
        assert!(!r.headers.contains_key("authorization"), "{:?}", r.headers);
        served.answer(r)
    });
    let (served, target) = (image.clone(), elsewhere.host().to_owned());
    let server = Server::new(move |r| {
        if !r.headers.contains_key("authorization") {
            return status(401).header("www-authenticate", "Basic realm=x");
        }
        match served.is_layer(&r.path) {
            true => status(307).header("location", format!("http://{target}{}", r.path)),
            false => served.answer(r),
        }
    });
    assert!(with_password(&server).pull().unwrap() == image.layer);
    assert_eq!(elsewhere.requests().len(), 1);
}

#[test]
fn redirects_in_a_circle_end() {
    // The circle has an end, so that a client that never gives up fails this test soon.
    let server = Server::new(|r| match r.earlier < 20 {
        true => status(302).header("location", r.path.clone()),
        false => status(404),
    });
    let error = client(&server).resolve().unwrap_err().to_string();
    assert!(error.contains("more than 5 redirects"), "{error}");
}

#[test]
fn a_token_server_without_encryption_gets_no_credentials() {
    let realm = r#"Bearer realm="http://192.0.2.1/token""#;
    let server = Server::new(move |_| status(401).header("www-authenticate", realm));
    let error = with_password(&server).resolve().unwrap_err().to_string();
    assert!(error.contains("is not encrypted"), "{error}");
}

#[test]
fn a_mirror_is_asked_first_and_the_registry_when_it_fails() {
    let image = image();
    for mirror_works in [true, false] {
        let served = image.clone();
        let mirror = Server::new(move |r| match mirror_works {
            true => served.answer(r),
            false => status(404),
        });
        let served = image.clone();
        let server = Server::new(move |r| served.answer(r));
        let options = RemoteOptions {
            mirrors: vec![(
                server.host().to_owned(),
                format!("http://{}", mirror.host()),
            )],
            ..RemoteOptions::default()
        };
        assert!(client_with(&server, options).pull().unwrap() == image.layer);
        assert_eq!(server.requests().is_empty(), mirror_works);
        assert!(!mirror.requests().is_empty());
    }
}
