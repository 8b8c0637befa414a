//! Redirects and logins: where credentials go, and where they must not.

use super::*;

fn password_for(host: &str) -> RemoteOptions {
    let host = host.to_owned();
    RemoteOptions {
        credentials: Box::new(move |asked| {
            (asked == host).then(|| Credentials::Password {
                username: "joe".into(),
                password: "s3cret".into(),
            })
        }),
        ..options()
    }
}

/// A registry that wants a password and sends its blobs' readers to `target`.
fn redirecting(
    image: &Tiny,
    target: impl Fn(&Request) -> String + Send + Sync + 'static,
) -> Server {
    let served = image.clone();
    Server::new(move |r| {
        if !r.headers.contains_key("authorization") {
            return Reply::status(401).header("www-authenticate", "Basic realm=x");
        }
        match served.is_layer(&r.path) {
            true => Reply::status(307).header("location", target(r)),
            false => served.answer(r),
        }
    })
}

/// The second redirect stays on its host, but that host is not the registry.
#[test]
fn credentials_do_not_follow_a_redirect_within_another_host() {
    let image = long_image();
    let served = image.clone();
    let elsewhere = Server::new(move |r| match r.path.strip_prefix("/again") {
        None => Reply::status(302).header("location", format!("/again{}", r.path)),
        Some(_) => served.answer(r),
    });
    let host = elsewhere.host().to_owned();
    let server = redirecting(&image, move |r| format!("http://{host}{}", r.path));
    let remote = remote(password_for(server.host()));
    assert!(pull(&remote, server.host()).unwrap() == image.layer);
    let seen = elsewhere.requests();
    assert_eq!(seen.len(), 2);
    for request in seen {
        assert!(
            !request.headers.contains_key("authorization"),
            "{request:?}"
        );
    }
}

/// There and back again: only the registry itself sees the password.
#[test]
fn credentials_come_back_with_a_redirect_to_the_registry() {
    let image = small_image();
    let home = Arc::new(Mutex::new(String::new()));
    let way = home.clone();
    let elsewhere = Server::new(move |r| {
        let home = way.lock().unwrap().clone();
        Reply::status(302).header("location", format!("http://{home}/back{}", r.path))
    });
    let host = elsewhere.host().to_owned();
    let served = image.clone();
    let server = Server::new(move |r| {
        if r.headers.get("authorization").map(String::as_str) != Some("Basic am9lOnMzY3JldA==") {
            return Reply::status(401).header("www-authenticate", "Basic realm=x");
        }
        match served.is_layer(&r.path) && !r.path.starts_with("/back") {
            true => Reply::status(307).header("location", format!("http://{host}{}", r.path)),
            false => served.answer(r),
        }
    });
    *home.lock().unwrap() = server.host().to_owned();
    let remote = remote(password_for(server.host()));
    assert!(pull(&remote, server.host()).unwrap() == image.layer);
    for request in elsewhere.requests() {
        assert!(
            !request.headers.contains_key("authorization"),
            "{request:?}"
        );
    }
}

#[test]
fn redirects_to_files_and_other_schemes_are_refused() {
    for target in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "data:,x",
        "http://",
        "\u{1}",
    ] {
        let server = redirecting(&small_image(), move |_| target.to_owned());
        let remote = remote(password_for(server.host()));
        let error = pull(&remote, server.host()).unwrap_err();
        assert!(
            error.contains("127.0.0.1") && !error.contains("s3cret"),
            "{error}"
        );
    }
}

#[test]
fn five_redirects_are_followed_and_no_more() {
    for (steps, works) in [(5, true), (6, false)] {
        let image = small_image();
        let served = image.clone();
        let server = Server::new(move |r| {
            if !served.is_layer(&r.path) {
                return served.answer(r);
            }
            let taken = r.path.matches("/next").count();
            match taken < steps {
                true => Reply::status(307).header("location", format!("/next{}", r.path)),
                false => served.answer(r),
            }
        });
        let pulled = pull_once(&server);
        assert_eq!(pulled.is_ok(), works, "{steps}: {pulled:?}");
    }
}

#[test]
fn a_401_for_ever_ends_and_names_docker_login() {
    let server = Server::new(|_| Reply::status(401).header("www-authenticate", "Basic realm=x"));
    let error = pull(&remote(password_for(server.host())), server.host()).unwrap_err();
    assert!(
        error.contains("docker login") && !error.contains("s3cret"),
        "{error}"
    );
    assert!(server.requests().len() <= 3);
}

/// The blob breaks, and in the middle the registry wants a password again.
#[test]
fn a_401_in_the_middle_of_a_blob_is_answered() {
    let image = long_image();
    let served = image.clone();
    let server = Server::new(move |r| {
        let basic = || Reply::status(401).header("www-authenticate", "Basic realm=x");
        if !r.headers.contains_key("authorization") {
            return basic();
        }
        match (served.is_layer(&r.path), r.earlier) {
            (true, 0) => served.answer(r).cut(70_000),
            // The answer that was good before is not any more.
            (true, 1) => basic(),
            _ => served.answer(r),
        }
    });
    let remote = remote(password_for(server.host()));
    assert!(pull(&remote, server.host()).unwrap() == image.layer);
}

/// The token server is another one, and behaves badly.
#[test]
fn hostile_token_servers_end_in_an_error() {
    let secret = "Basic am9lOnMzY3JldA==";
    type Case = (&'static str, fn() -> Reply, &'static str);
    let replies: [Case; 5] = [
        (
            "endless",
            || Reply::ok(vec![b' '; 1 << 16]).endless(),
            "without an end",
        ),
        ("no token", || Reply::ok("{}"), "no token"),
        (
            "bad token",
            || Reply::ok(r#"{"token":"a\r\nb"}"#),
            "no token",
        ),
        // Not followed: a redirect would take the password along.
        (
            "redirect",
            || Reply::status(302).header("location", "http://127.0.0.1:9/token"),
            "answered 302",
        ),
        ("refuses", || Reply::status(403), "refuses access"),
    ];
    for (name, reply, words) in replies {
        let tokens = Server::new(move |_| reply());
        let realm = format!(r#"Bearer realm="http://{}/token""#, tokens.host());
        let server =
            Server::new(move |_| Reply::status(401).header("www-authenticate", realm.clone()));
        let remote = remote(password_for(server.host()));
        let error = pull(&remote, server.host()).unwrap_err();
        assert!(
            error.contains(words) && !error.contains("s3cret"),
            "{name}: {error}"
        );
        // The password is for this registry, so its token server may have it.
        for request in tokens.requests() {
            assert_eq!(request.headers["authorization"], secret, "{name}");
        }
    }
}

/// A registry gets its own credentials out of us, never those of another one.
#[test]
fn a_realm_that_is_another_registry_gets_no_credentials_of_that_one() {
    let other = Server::new(|_| Reply::ok(r#"{"token":"t"}"#));
    let realm = format!(r#"Bearer realm="http://{}/token""#, other.host());
    let server = Server::new(move |_| Reply::status(401).header("www-authenticate", realm.clone()));
    // Credentials for the other registry only.
    let remote = remote(password_for(other.host()));
    assert!(pull(&remote, server.host()).is_err());
    let seen = other.requests();
    assert!(!seen.is_empty());
    for request in seen {
        assert!(
            !request.headers.contains_key("authorization"),
            "{request:?}"
        );
    }
}
