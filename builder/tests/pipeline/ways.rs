//! Ways to a registry: proxies, certificates of one's own, registries without encryption, mirrors.
//! The real ones: docker-registry behind a proxy that alone knows where it is.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use testdata::http::{Reply, Server};
use testdata::{Authority, Door, Layout, Proxy, Registry};

use crate::program::{Bench, shown};
use crate::system;

/// A name that no resolver knows.
const NAME: &str = "registry.invalid";

type Files = BTreeMap<String, Vec<u8>>;

/// What every way must give.
fn expected() -> &'static Files {
    static EXPECTED: OnceLock<Files> = OnceLock::new();
    EXPECTED.get_or_init(|| Bench::new(&system::images()).must_build(system::YAML, &[]))
}

/// A registry with the images.
fn registry() -> Option<Registry> {
    let registry = Registry::start()?;
    registry.push(&system::images());
    Some(registry)
}

/// A build of images at `host`, into an empty store.
struct Attempt {
    bench: Bench,
    command: Command,
}

impl Attempt {
    fn new(host: &str) -> Self {
        let bench = Bench::new(&Layout::new());
        let mut command = bench.build();
        command.arg(bench.yaml(&system::yaml_at(host)));
        Attempt { bench, command }
    }

    fn arg(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Writes the configuration file that is read without being named.
    fn config(self, text: &str) -> Self {
        let folder = self.bench.path("home/.config/lkbuild");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.toml"), text).unwrap();
        self
    }

    /// Writes what `docker login` would.
    fn logged_in_at(self, hosts: &[&str]) -> Self {
        use std::fmt::Write;
        // joe:s3cret
        let mut auths = String::new();
        for host in hosts {
            let comma = if auths.is_empty() { "" } else { "," };
            let _ = write!(auths, r#"{comma}"{host}":{{"auth":"am9lOnMzY3JldA=="}}"#);
        }
        let folder = self.bench.path("home/.docker");
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join("config.json"),
            format!(r#"{{"auths":{{{auths}}}}}"#),
        )
        .unwrap();
        self
    }

    fn run(&mut self) -> Output {
        self.command.output().unwrap()
    }

    /// It gives what every other way gives.
    fn succeeds(mut self) {
        let output = self.run();
        assert!(output.status.success(), "{}", shown(&output));
        assert!(&self.bench.outputs() == expected(), "other bytes");
        self.bench.assert_store_is_good();
    }

    fn fails(mut self, words: &[&str]) {
        let output = self.run();
        assert_eq!(output.status.code(), Some(4), "{}", shown(&output));
        self.bench.assert_failed(&output, words);
    }
}

/// A port at which nobody listens.
fn dead() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn https_goes_through_the_proxy_and_certificates_are_checked() {
    let (Some(registry), Some(authority)) = (registry(), Authority::new(&[NAME])) else {
        return;
    };
    let tls = registry.open(&Door {
        tls: Some(&authority),
        ..Door::default()
    });
    let proxy = Proxy::new(&[(&format!("{NAME}:443"), tls.address())]);
    let ca = authority.ca();
    let ca = ca.to_str().unwrap();
    let through = || Attempt::new(NAME).env("HTTPS_PROXY", &proxy.url());
    through().arg(&["--cert-file", ca]).succeeds();
    assert!(
        proxy
            .requests()
            .iter()
            .all(|r| *r == format!("CONNECT {NAME}:443"))
    );
    assert!(!proxy.requests().is_empty());
    // Beside the configuration file.
    let attempt = through();
    let folder = attempt.bench.path("home/.config/lkbuild");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(ca, folder.join("lab.pem")).unwrap();
    attempt.config("certificates = ['lab.pem']").succeeds();
    // An unknown authority is refused at once.
    let asked = tls.requests().len();
    through().fails(&[NAME, "certificate", "--cert-file"]);
    assert_eq!(tls.requests().len(), asked);
    // Another name than that of the certificate.
    let other = Proxy::new(&[("other.invalid:443", tls.address())]);
    Attempt::new("other.invalid")
        .env("HTTPS_PROXY", &other.url())
        .arg(&["--cert-file", ca])
        .fails(&["other.invalid", "certificate"]);
    // Lower case, as curl has it.
    Attempt::new(NAME)
        .env("https_proxy", &proxy.url())
        .arg(&["--cert-file", ca])
        .succeeds();
}

#[test]
fn http_goes_through_the_proxy_to_registries_that_are_called_insecure() {
    let Some(registry) = registry() else {
        return;
    };
    let host = format!("{NAME}:5000");
    let proxy = Proxy::new(&[(&host, registry.address())]);
    let through = || {
        Attempt::new(&host)
            .env("HTTP_PROXY", &proxy.url())
            .env("HTTPS_PROXY", &proxy.url())
    };
    through().arg(&["--insecure-registry", &host]).succeeds();
    let get = format!("GET http://{host}/v2/test/");
    assert!(proxy.requests().iter().any(|r| r.starts_with(&get)));
    through()
        .config(&format!("insecure-registries = ['{host}']"))
        .succeeds();
    let asked = registry.requests().len();
    through().fails(&[&host, "--insecure-registry"]);
    // Nor is another port of it, or its name alone.
    through()
        .arg(&["--insecure-registry", NAME])
        .fails(&[&host, "--insecure-registry"]);
    let more = &registry.requests()[asked..];
    assert!(!more.iter().any(|r| r.contains("/v2/")), "{more:?}");
}

#[test]
fn a_registry_that_is_called_insecure_may_have_any_certificate() {
    let (Some(registry), Some(authority)) = (registry(), Authority::new(&[])) else {
        return;
    };
    let tls = registry.open(&Door {
        tls: Some(&authority),
        password: true,
    });
    let host = format!("{NAME}:5001");
    let proxy = Proxy::new(&[(&host, tls.address())]);
    Attempt::new(&host)
        .env("HTTPS_PROXY", &proxy.url())
        .env("HTTP_PROXY", &proxy.url())
        .arg(&["--insecure-registry", &host])
        .logged_in_at(&[&host])
        .succeeds();
    // The password never went in the clear.
    assert!(proxy.requests().iter().all(|r| r.starts_with("CONNECT ")));
}

#[test]
fn no_proxy_names_what_is_reached_without() {
    let Some(registry) = registry() else {
        return;
    };
    let (dead, port) = (dead(), registry.address().rsplit_once(':').unwrap().1);
    let through = |host: &str| {
        Attempt::new(&format!("{host}:{port}"))
            .env("HTTP_PROXY", &format!("http://me:s3cret@{dead}"))
            .env("HTTPS_PROXY", &format!("http://me:s3cret@{dead}"))
    };
    // This machine itself: no proxy knows it under these names.
    through("localhost").succeeds();
    through("127.0.0.1").succeeds();
    // Another name of it.
    let named = || through("machine.invalid");
    let refused = |mut attempt: Attempt, says: bool| {
        let output = attempt.run();
        assert_eq!(output.status.code(), Some(4), "{}", shown(&output));
        attempt.bench.assert_failed(&output, &["machine.invalid"]);
        let text = shown(&output);
        let of_proxy = text.contains(&format!("the proxy {dead} of HTTP_PROXY"));
        assert_eq!(of_proxy, says, "{text}");
        assert!(!text.contains("s3cret"), "{text}");
    };
    let host = format!("machine.invalid:{port}");
    let insecure = || named().arg(&["--insecure-registry", &host]);
    refused(insecure(), true);
    // Nobody can resolve that name: it was asked for without the proxy.
    refused(insecure().env("NO_PROXY", "other.lab, .invalid"), false);
    refused(insecure().env("no_proxy", "*"), false);
}

/// As those of registries: through the proxy, with certificates of one's own.
#[test]
fn a_yaml_on_the_web_is_fetched_in_the_same_ways() {
    let Some(authority) = Authority::new(&[NAME]) else {
        return;
    };
    let Some(registry) = Registry::start() else {
        return;
    };
    // It has no such file, which it says once its certificate is accepted.
    let door = Door {
        tls: Some(&authority),
        ..Door::default()
    };
    let tls = registry.open(&door);
    let proxy = Proxy::new(&[(&format!("{NAME}:443"), tls.address())]);
    let bench = Bench::new(&Layout::new());
    let url = format!("https://{NAME}/host.yml");
    let fetch = |arguments: &[&str]| {
        let mut command = bench.build();
        let command = command.args(arguments).arg(&url);
        command.env("HTTPS_PROXY", proxy.url()).output().unwrap()
    };
    let output = fetch(&[]);
    bench.assert_failed(&output, &[&url, "certificate"]);
    let ca = authority.ca();
    let output = fetch(&["--cert-file", ca.to_str().unwrap()]);
    bench.assert_failed(&output, &[&url, "the server answered 404"]);
    assert!(
        proxy
            .requests()
            .iter()
            .all(|r| *r == format!("CONNECT {NAME}:443"))
    );
    // What fails on the way is told as it is of registries.
    let dead = dead();
    let through = format!("http://me:s3cret@{dead}");
    let output = bench.build().arg(&url).env("HTTPS_PROXY", through).output();
    let output = output.unwrap();
    let of_proxy = format!("the proxy {dead} of HTTPS_PROXY");
    bench.assert_failed(&output, &[&url, "refused", &of_proxy]);
    assert!(!shown(&output).contains("s3cret"), "{}", shown(&output));
    let cut = Server::new(|_| Reply::ok(vec![b'#'; 1000]).cut(100));
    let url = format!("http://{}/host.yml", cut.host());
    let output = bench.build().arg(&url).output().unwrap();
    bench.assert_failed(&output, &[&url, "end of file"]);
}

/// It is the proxy that answers, not the registry.
#[test]
fn a_proxy_that_wants_a_password_is_named() {
    let proxy = Server::new(|_| Reply::status(407));
    let host = format!("{NAME}:5000");
    Attempt::new(&host)
        .env("HTTP_PROXY", &format!("http://{}", proxy.host()))
        .arg(&["--insecure-registry", &host])
        .fails(&[&host, "407", proxy.host(), "HTTP_PROXY"]);
}

/// What would be passed over, or fail much later with a riddle.
#[test]
fn ways_that_make_no_sense_are_refused_at_once() {
    let attempt = || Attempt::new("registry.invalid");
    let refused = |mut attempt: Attempt, code: i32, words: &[&str]| {
        let output = attempt.run();
        assert_eq!(output.status.code(), Some(code), "{}", shown(&output));
        attempt.bench.assert_failed(&output, words);
    };
    let mirror = |text| attempt().arg(&["--mirror", text]);
    refused(
        mirror("ftp://mirror.lab"),
        2,
        &["--mirror", "ftp://mirror.lab"],
    );
    let secret = |attempt: Attempt| {
        let mut attempt = attempt.arg(&["--quiet"]);
        let output = attempt.run();
        assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
        attempt
            .bench
            .assert_failed(&output, &["mirror.lab", "docker login"]);
        assert!(!shown(&output).contains("s3cret"), "{}", shown(&output));
    };
    let with_password = "https://me:s3cret@mirror.lab";
    secret(mirror(with_password));
    secret(attempt().env("LINUXKIT_MIRROR", with_password));
    refused(mirror("docker.io="), 2, &["--mirror", "https://HOST"]);
    let environment = attempt().env("LINUXKIT_MIRROR", "a b");
    refused(environment, 2, &["a b", "https://HOST"]);
    let insecure = attempt().arg(&["--insecure-registry", "http://registry.invalid"]);
    refused(insecure, 2, &["--insecure-registry", "without http://"]);
    let socks = "socks5://me:s3cret@proxy.lab";
    let proxy = attempt().env("HTTPS_PROXY", socks);
    refused(proxy, 4, &["HTTPS_PROXY can't be used", "http://HOST:PORT"]);
    let configured = attempt().config("insecure-registries = ['http://registry.invalid']");
    refused(configured, 3, &["config.toml", "line 1", "without http://"]);
    let missing = attempt().arg(&["--config", "nope.toml"]);
    refused(missing, 3, &["can't read nope.toml"]);
    for text in [
        "",
        "no certificate\n",
        "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n",
    ] {
        let attempt = attempt().arg(&["--cert-file", "lab.pem"]);
        fs::write(attempt.bench.path("lab.pem"), text).unwrap();
        refused(attempt, 3, &["can't read lab.pem", "certificate"]);
    }
    refused(
        attempt().arg(&["--cert-file", "nope.pem"]),
        3,
        &["can't read nope.pem"],
    );
}

/// No matter where it is not needed, whatever else is asked then.
#[test]
fn a_proxy_that_cannot_be_used_is_refused_only_on_the_way() {
    let Some(registry) = registry() else {
        return;
    };
    let socks = "socks5://me:s3cret@proxy.lab";
    let host = registry.host();
    Attempt::new(&host).env("ALL_PROXY", socks).succeeds();
    // A mirror has all, and is reached without it.
    let mirror = format!("http://{}", registry.address());
    Attempt::new(NAME)
        .env("ALL_PROXY", socks)
        .arg(&["--mirror", &mirror])
        .succeeds();
    // A mirror behind it is passed over.
    Attempt::new(&host)
        .env("ALL_PROXY", socks)
        .arg(&["--mirror", "https://mirror.invalid"])
        .succeeds();
    // A registry without encryption, which is asked for TLS first.
    let plain = format!("{NAME}:5000");
    let proxy = Proxy::new(&[(&plain, registry.address())]);
    Attempt::new(&plain)
        .env("HTTP_PROXY", &proxy.url())
        .env("HTTPS_PROXY", socks)
        .arg(&["--insecure-registry", &plain])
        .succeeds();
}

/// Where the registry sends us, through a proxy that can't be used: nothing goes around it, or to it
/// in a language that it does not speak.
#[test]
fn redirects_and_token_servers_do_not_go_around_a_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let socks = format!("socks5://me:s3cret@{}", listener.local_addr().unwrap());
    let redirects = Server::new(|r| match r.path.as_str() {
        "/v2/" => Reply::status(200),
        _ => Reply::status(307).header("location", "https://else.invalid/host.yml"),
    });
    let realm = "Bearer realm=\"https://else.invalid/token\",service=\"lab\"";
    let asks = Server::new(move |_| Reply::status(401).header("www-authenticate", realm));
    for proxy in [&*socks, "http://me:s3cret@a b"] {
        for server in [&redirects, &asks] {
            Attempt::new(server.host())
                .env("HTTPS_PROXY", proxy)
                .fails(&["can't reach else.invalid: HTTPS_PROXY can't be used"]);
        }
        let bench = Bench::new(&Layout::new());
        let url = format!("http://{}/host.yml", redirects.host());
        let output = bench.build().arg(&url).env("HTTPS_PROXY", proxy).output();
        let output = output.unwrap();
        bench.assert_failed(&output, &[&url, "HTTPS_PROXY can't be used"]);
        assert!(!shown(&output).contains("s3cret"), "{}", shown(&output));
    }
    assert!(listener.accept().is_err(), "the proxy was asked");
}

#[test]
fn a_mirror_is_named_by_option_environment_or_file() {
    let (Some(registry), Some(mirror)) = (registry(), registry()) else {
        return;
    };
    let host = registry.host();
    let url = format!("http://{}", mirror.address());
    let of_host = format!("{host}={url}");
    let started = registry.requests().len();
    Attempt::new(&host).arg(&["--mirror", &of_host]).succeeds();
    Attempt::new(&host).env("LINUXKIT_MIRROR", &url).succeeds();
    Attempt::new(&host)
        .config(&format!("[mirrors]\n'{host}' = ['{url}']"))
        .succeeds();
    assert_eq!(registry.requests().len(), started, "the mirror has all");
    // One of another registry is not asked.
    let asked = mirror.requests().len();
    Attempt::new(&host)
        .arg(&["--mirror", &format!("other.invalid={url}")])
        .succeeds();
    assert_eq!(mirror.requests().len(), asked);
    assert!(registry.requests().len() > started);
}

#[test]
fn a_mirror_that_is_down_or_empty_or_lies_is_replaced_by_the_registry() {
    let (Some(registry), Some(empty)) = (registry(), Registry::start()) else {
        return;
    };
    let host = registry.host();
    let images = system::images();
    // Bytes that came are wrong in one place; documents, blobs, or both.
    let liar = |manifests: bool, blobs: bool| {
        let images = images.clone();
        Server::new(move |r| {
            let (repository, wanted) = match r.path.rsplit_once('/') {
                Some((path, wanted)) => (path.to_owned(), wanted.to_owned()),
                None => return Reply::status(404),
            };
            let is_manifest = repository.ends_with("/manifests");
            let by_tag = !wanted.starts_with("sha256:");
            let digest = match by_tag {
                false => wanted,
                true => {
                    let name = repository.trim_start_matches("/v2/");
                    let name = name.trim_end_matches("/manifests");
                    let named = images.manifests.iter().find(|m| {
                        m["annotations"]["org.opencontainers.image.ref.name"]
                            == format!("docker.io/{name}:{wanted}")
                    });
                    match named {
                        Some(named) => named["digest"].as_str().unwrap().to_owned(),
                        None => return Reply::status(404),
                    }
                }
            };
            let Some(bytes) = images.blobs.get(&digest) else {
                return Reply::status(404);
            };
            let lies = if is_manifest { manifests } else { blobs };
            let reply = Reply::part(bytes, r.range_start());
            match lies {
                // What a tag stands for is the mirror's to say, as long as it makes sense.
                true if by_tag => reply.damage(|body| body.truncate(body.len() / 2)),
                true => reply.damage(|body| {
                    let middle = body.len() / 2;
                    body[middle] ^= 1;
                }),
                false => reply,
            }
        })
    };
    let page =
        Server::new(|_| Reply::ok("<html>log in</html>").header("content-type", "text/html"));
    let wrong_blobs = liar(false, true);
    let wrong_manifests = liar(true, false);
    let cut = Server::new(|_| Reply::ok(vec![b'{'; 1000]).cut(100));
    for (what, mirror) in [
        ("down", dead()),
        ("empty", empty.address().to_owned()),
        ("a page to log in", page.host().to_owned()),
        ("wrong blobs", wrong_blobs.host().to_owned()),
        ("wrong manifests", wrong_manifests.host().to_owned()),
        ("cut answers", cut.host().to_owned()),
    ] {
        println!("{what}");
        let before = registry.requests().len();
        let mirror = format!("{host}=http://{mirror}");
        let start = Instant::now();
        Attempt::new(&host).arg(&["--mirror", &mirror]).succeeds();
        // It is given up once, not for each document.
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        assert!(registry.requests().len() > before, "{what}");
        // A store is filled in the same way.
        let bench = Bench::new(&Layout::new());
        let yaml = bench.yaml(&system::yaml_at(&host));
        let yaml = yaml.to_str().unwrap();
        bench.must_run(&[
            "cache", "pull", "--arch", "amd64", "--mirror", &mirror, yaml,
        ]);
        bench.assert_store_is_good();
    }
    assert!(
        wrong_blobs
            .requests()
            .iter()
            .any(|r| r.path.contains("/blobs/"))
    );
}

#[test]
fn a_password_goes_where_it_belongs_and_nowhere_else() {
    let Some(registry) = registry() else {
        return;
    };
    let guarded = registry.open(&Door {
        password: true,
        ..Door::default()
    });
    // A mirror that asks for a password as well, and would take any.
    let greedy = Server::new(|r| match r.headers.contains_key("authorization") {
        false => Reply::status(401).header("www-authenticate", "Basic realm=\"mirror\""),
        true => Reply::status(404),
    });
    let host = guarded.host();
    let mirror = format!("{host}=http://{}", greedy.host());
    Attempt::new(&host)
        .arg(&["--mirror", &mirror])
        .logged_in_at(&[&host])
        .succeeds();
    let leaked = |server: &Server| {
        let requests = server.requests();
        assert!(!requests.is_empty());
        requests
            .iter()
            .any(|r| r.headers.contains_key("authorization"))
    };
    assert!(
        !leaked(&greedy),
        "the registry's password went to the mirror"
    );
    // The other way round: the mirror's password does not go to the registry.
    let greedy = Server::new(|r| match r.headers.contains_key("authorization") {
        false => Reply::status(401).header("www-authenticate", "Basic realm=\"registry\""),
        true => Reply::status(500),
    });
    let mirror = format!("{}=http://{}", greedy.host(), guarded.address());
    Attempt::new(greedy.host())
        .arg(&["--mirror", &mirror])
        .logged_in_at(&[guarded.address()])
        .succeeds();
    let missing = Registry::start().unwrap().open(&Door {
        password: true,
        ..Door::default()
    });
    let mirror = format!("{}=http://{}", greedy.host(), missing.address());
    Attempt::new(greedy.host())
        .arg(&["--mirror", &mirror])
        .logged_in_at(&[missing.address()])
        .fails(&[greedy.host(), "docker login"]);
    assert!(
        !leaked(&greedy),
        "the mirror's password went to the registry"
    );
    // Without it, the registry says what is missing, and no password is printed.
    Attempt::new(&host).fails(&[&host, "docker login"]);
}
