//! Blobs on their way: whole, broken, damaged; registries that are absent, busy or silent.

use std::net::TcpListener;

use super::*;

#[test]
fn an_image_is_pulled_once_and_then_read_from_the_store() {
    let image = image();
    let served = image.clone();
    let server = Server::new(move |r| served.answer(r));
    let client = client(&server);
    assert!(client.pull().unwrap() == image.layer);
    let requests = server.requests().len();
    assert_eq!(requests, 3);
    assert!(client.pull().unwrap() == image.layer);
    assert_eq!(
        server.requests().len(),
        requests,
        "the second time nothing is asked"
    );
    assert_eq!(client.files(), 3);
}

#[test]
fn a_transfer_that_breaks_is_resumed_where_it_broke() {
    let image = image();
    let served = image.clone();
    let server = Server::new(move |r| match served.is_layer(&r.path) {
        true => served.answer(r).cut(30_000),
        false => served.answer(r),
    });
    assert!(client(&server).pull().unwrap() == image.layer);
    let requests = server.requests();
    let ranges: Vec<_> = requests
        .iter()
        .filter_map(|r| r.headers.get("range"))
        .collect();
    assert_eq!(ranges, ["bytes=30000-", "bytes=60000-", "bytes=90000-"]);
}

#[test]
fn a_server_without_ranges_is_read_again_from_the_start() {
    let image = image();
    let served = image.clone();
    let server = Server::new(move |r| match served.is_layer(&r.path) {
        true => Reply::ok(served.layer.clone()).cut(40_000 * (r.earlier + 1)),
        false => served.answer(r),
    });
    assert!(client(&server).pull().unwrap() == image.layer);
}

#[test]
fn a_blob_that_always_breaks_ends_in_an_error_and_leaves_nothing() {
    let served = image();
    let server = Server::new(move |r| match served.is_layer(&r.path) {
        true => served.answer(r).cut(1_000),
        false => served.answer(r),
    });
    let client = client(&server);
    let error = client.pull().unwrap_err();
    assert!(
        error.contains("ended after 1000 of 100000 bytes") || error.contains("reach"),
        "{error}"
    );
    assert_eq!(client.files(), 2, "manifest and config only");
}

#[test]
fn ggcr_bad_hash_wrong_bytes_never_enter_the_store() {
    let served = image();
    let server = Server::new(move |r| {
        let hit = served.is_layer(&r.path);
        served.answer(r).damage(|body| body[77] ^= u8::from(hit))
    });
    let client = client(&server);
    let error = client.pull().unwrap_err();
    assert!(error.contains("have the digest sha256:"), "{error}");
    assert_eq!(client.files(), 2);
}

#[test]
fn ggcr_bad_size_both_ways_is_an_error() {
    for more in [true, false] {
        let served = image();
        let server = Server::new(move |r| {
            let reply = served.answer(r);
            match served.is_layer(&r.path) {
                true if more => reply.damage(|body| body.push(0)),
                true => reply.damage(|body| body.truncate(body.len() - 1)),
                false => reply,
            }
        });
        let client = client(&server);
        assert!(client.pull().is_err());
        assert_eq!(client.files(), 2);
    }
}

#[test]
fn ggcr_bad_hash_wrong_config_bytes_are_refused() {
    let served = image();
    let server = Server::new(move |r| {
        let reply = served.answer(r);
        match served.is(&r.path, &served.config) {
            true => reply.damage(|body| body[2] = b'A'),
            false => reply,
        }
    });
    let client = client(&server);
    assert!(
        client
            .resolve()
            .unwrap_err()
            .to_string()
            .contains("have the digest")
    );
    assert_eq!(client.files(), 1);
}

#[test]
fn a_damaged_blob_of_the_store_is_fetched_again() {
    let image = image();
    let served = image.clone();
    let server = Server::new(move |r| served.answer(r));
    let client = client(&server);
    client.pull().unwrap();
    let path = client
        .images
        .store()
        .blob_path(&Digest::sha256(&image.layer));
    let mut bytes = image.layer.clone();
    bytes[5] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(client.pull().unwrap_err().contains("have the digest"));
    assert!(
        client.pull().unwrap() == image.layer,
        "it was taken away and fetched again"
    );
}

#[test]
fn an_endless_manifest_is_cut_off() {
    let server = Server::new(|_| ok(vec![b' '; 5 << 20]));
    let error = client(&server).resolve().unwrap_err().to_string();
    assert!(
        error.contains("more than the limit of 4194304 bytes"),
        "{error}"
    );
}

#[test]
fn an_absent_image_and_an_absent_registry_say_so() {
    let server = Server::new(|_| status(404));
    let error = client(&server).resolve().unwrap_err().to_string();
    assert!(
        error.contains("no such image in 127.0.0.1") && error.contains("/a/b:1"),
        "{error}"
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let absent = client_at(&host, RemoteOptions::default());
    let error = absent.resolve().unwrap_err().to_string();
    assert!(
        error.contains("can't reach") && error.contains("is the server running?"),
        "{error}"
    );
}

#[test]
fn failures_that_may_pass_are_tried_again_and_others_are_not() {
    for (code, requests) in [(500, 3), (503, 3), (429, 3), (400, 1)] {
        let server = Server::new(move |_| status(code).header("retry-after", "0"));
        let error = client(&server).resolve().unwrap_err().to_string();
        assert!(error.contains(&code.to_string()), "{error}");
        assert_eq!(server.requests().len(), requests, "{code}");
    }
    let served = image();
    let server = Server::new(move |r| match r.earlier {
        0 => status(503),
        _ => served.answer(r),
    });
    client(&server).pull().unwrap();
}

#[test]
fn a_silent_server_is_given_up() {
    let server = Server::new(|_| {
        std::thread::sleep(Duration::from_secs(20));
        ok("")
    });
    let start = std::time::Instant::now();
    assert!(client(&server).resolve().is_err());
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_registry_called_insecure_does_not_wait_for_another_that_is_silent() {
    // It takes connections, and never says whether it speaks TLS.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_host = silent.local_addr().unwrap().to_string();
    let image = image();
    let served = image.clone();
    let server = Server::new(move |r| served.answer(r));
    let options = RemoteOptions {
        insecure: vec![silent_host.clone(), server.host().to_owned()],
        attempts: 1,
        ..RemoteOptions::default()
    };
    let client = patient_client_at(server.host(), options);
    let other = Reference::parse(&format!("{silent_host}/a/b:1")).unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| client.images.resolve(&[other]).is_err());
        // It is asked first.
        let asked = silent.accept().unwrap();
        let start = std::time::Instant::now();
        let resolved = client.resolve().is_ok();
        let took = start.elapsed();
        let is_silent = !waits.is_finished();
        drop((asked, silent));
        assert!(waits.join().unwrap() && resolved);
        // The silent one would have been waited for twice as long.
        assert!(is_silent && took < Duration::from_secs(5), "{took:?}");
    });
}
