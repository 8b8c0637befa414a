//! Who is talked to, and who talks: certificates and passwords.

use testdata::VCenter;

use crate::lab::{Lab, exit, run, run_with_input};

#[test]
fn an_untrusted_server_gets_no_password_and_can_be_pinned() {
    let Some(lab) = Lab::new() else {
        return;
    };
    lab.file("a.iso", 1, 1000);
    let push = |arguments: &[&str]| {
        let mut command = lab.command();
        command
            .env_remove("GOVC_TLS_CA_CERTS")
            .args(["push", "vcenter", "a.iso"])
            .args(arguments);
        run(&mut command)
    };
    push(&[]).assert(
        exit::CERTIFICATE,
        &["--thumbprint", "--ca", lab.vcenter.sha256()],
    );
    let wrong = lab
        .vcenter
        .sha256()
        .replace(|c: char| c.is_ascii_digit(), "0");
    push(&["--thumbprint", &wrong]).assert(exit::CERTIFICATE, &[lab.vcenter.sha256()]);
    assert!(lab.vcenter.requests().is_empty(), "nothing was asked");

    for right in [lab.vcenter.sha256(), lab.vcenter.sha1()] {
        push(&["--thumbprint", right]).assert(exit::DONE, &[]);
    }
    push(&["--ca", lab.vcenter.ca().to_str().unwrap()]).assert(exit::DONE, &[]);
    push(&["--insecure"]).assert(exit::DONE, &["warning"]);

    let known = lab.path("known_hosts");
    let known = known.to_str().unwrap();
    let line = format!("{} {}\n", lab.vcenter.address(), lab.vcenter.sha1());
    std::fs::write(known, line).unwrap();
    push(&["--known-hosts", known]).assert(exit::DONE, &[]);
    std::fs::write(known, format!("{} {wrong}\n", lab.vcenter.address())).unwrap();
    push(&["--known-hosts", known]).assert(exit::CERTIFICATE, &[]);
}

#[test]
fn variables_of_govc_say_whom_to_trust() {
    let Some(lab) = Lab::new() else {
        return;
    };
    lab.file("a.iso", 1, 1000);
    let known = lab.path("known hosts");
    let line = format!("{} {}\n", lab.vcenter.address(), lab.vcenter.sha256());
    std::fs::write(&known, line).unwrap();
    let push = |name: &str, value: &str| {
        let mut command = lab.command();
        command.env_remove("GOVC_TLS_CA_CERTS").env(name, value);
        run(command.args(["push", "vcenter", "a.iso"]))
    };
    push("GOVC_TLS_KNOWN_HOSTS", known.to_str().unwrap()).assert(exit::DONE, &[]);
    push("GOVC_INSECURE", "1").assert(exit::DONE, &["warning"]);
    push("GOVC_INSECURE", "0").assert(exit::CERTIFICATE, &[]);
    let own = lab.path("empty.pem");
    std::fs::write(&own, "").unwrap();
    let ran = push("GOVC_TLS_CA_CERTS", own.to_str().unwrap());
    assert_ne!(ran.code, exit::DONE, "{ran:?}");
}

#[test]
fn a_password_comes_from_where_it_is_safe() {
    let Some(lab) = Lab::new() else {
        return;
    };
    lab.file("a.iso", 1, 1000);
    let file = lab.path("password");
    std::fs::write(&file, format!("{}\n", VCenter::PASSWORD)).unwrap();
    let command = || {
        let mut command = lab.command();
        command.env_remove("GOVC_PASSWORD");
        command.args(["push", "vcenter", "a.iso"]);
        command
    };
    run(command().arg("--password-file").arg(&file)).assert(exit::DONE, &[]);
    let with_line_end = format!("{}\n", VCenter::PASSWORD);
    run_with_input(command().arg("--password-stdin"), &with_line_end).assert(exit::DONE, &[]);
    run(&mut command()).assert(exit::USAGE, &["GOVC_PASSWORD", "--password-file"]);

    // In the URL, as LinuxKit and govc take it.
    let encoded = |text: &str| -> String {
        let encode = |byte: u8| match byte.is_ascii_alphanumeric() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        };
        text.bytes().map(encode).collect()
    };
    let url = format!(
        "https://{}:{}@{}/sdk",
        encoded(VCenter::USER),
        encoded(VCenter::PASSWORD),
        lab.vcenter.address()
    );
    let bare = || {
        let mut command = lab.bare();
        command.env("GOVC_TLS_CA_CERTS", lab.vcenter.ca());
        command.args(["push", "vcenter", "a.iso"]);
        command
    };
    run(bare().args(["--url", &url])).assert(exit::DONE, &["warning"]);
    run(bare().env("GOVC_URL", &url)).assert(exit::DONE, &[]);
    let broken = url.replace("/sdk", "/sdk?x=1#y").replace("https", "ftp");
    let ran = run(bare().args(["--url", &broken]));
    ran.assert(exit::USAGE, &[]);
}

#[test]
fn a_wrong_password_is_refused_once_and_never_said() {
    let Some(lab) = Lab::new() else {
        return;
    };
    lab.file("a.iso", 1, 1000);
    let mut command = lab.command();
    command.env("GOVC_PASSWORD", "hunter2&<>");
    command.args(["push", "vcenter", "-v", "a.iso"]);
    let ran = run(&mut command);
    ran.assert(exit::REFUSED, &["can't log in"]);
    assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
    // Accounts are locked after a few wrong passwords.
    assert_eq!(lab.count("Login"), 1);
    assert!(lab.files().is_empty());
}
