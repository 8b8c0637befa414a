//! Faults and HTTP statuses become errors that say what is meant.

use super::node::Node;
use crate::error::{Error, Kind};
use crate::http::Head;

/// The error of a `Fault` element.
pub(crate) fn error_of(fault: &Node) -> Error {
    // The detail holds one element named TypeFault; its type is more reliable than its name.
    let detail = fault
        .child("detail")
        .and_then(|detail| detail.children.first());
    let name = detail.map(|detail| match &detail.xsi_type {
        Some(own) => own.as_str(),
        None => detail.name.strip_suffix("Fault").unwrap_or(&detail.name),
    });
    let message = fault.text_at("faultstring").unwrap_or_default();
    typed_error(name.unwrap_or_default(), message, detail)
}

/// The error of a `LocalizedMethodFault`, as tasks and leases have it.
pub(crate) fn error_of_localized(fault: &Node) -> Error {
    let detail = fault.child("fault");
    let name = detail.and_then(|detail| detail.xsi_type.as_deref());
    let message = fault.text_at("localizedMessage").unwrap_or_default();
    typed_error(name.unwrap_or_default(), message, detail)
}

fn typed_error(name: &str, message: &str, detail: Option<&Node>) -> Error {
    let kind = match name {
        "NotAuthenticated"
        | "InvalidLogin"
        | "InvalidLocale"
        | "NoClientCertificate"
        | "PasswordExpired"
        | "PasswordResetRequired" => Kind::Login,
        "NoPermission"
        | "RestrictedVersion"
        | "RestrictedByAdministrator"
        | "HostAccessRestrictedToManagementServer" => Kind::Permission,
        "ManagedObjectNotFound"
        | "NotFound"
        | "FileNotFound"
        | "InvalidDatastorePath"
        | "InvalidDatastore"
        | "NoSuchDirectory" => Kind::NotFound,
        "FileAlreadyExists" | "AlreadyExists" | "DuplicateName" => Kind::Exists,
        "FileLocked" | "ResourceInUse" | "TaskInProgress" | "FileNotWritable"
        | "InvalidPowerState" | "ConcurrentAccess" => Kind::InUse,
        _ => Kind::Server,
    };
    let mut text = one_line(message);
    if text.is_empty() {
        text = match name {
            "" => "the server gave no reason".into(),
            name => format!("the server answered with the fault {name}"),
        };
    } else if !name.is_empty() && !text.contains(name) {
        text = format!("{text} ({name})");
    }
    if let Some(file) = detail
        .and_then(|detail| detail.text_at("file"))
        .filter(|file| !file.is_empty())
        && !text.contains(file)
    {
        text = format!("{file}: {text}");
    }
    if let Some(advice) = advice(name, detail) {
        text = format!("{text}; {advice}");
    }
    Error::new(kind, text).with_fault(name)
}

/// What a fault usually means there, and what to do.
fn advice(name: &str, detail: Option<&Node>) -> Option<String> {
    Some(match name {
        "InvalidLogin" => "check user and password; a vCenter user has its domain, as in \
            administrator@vsphere.local, an ESXi one has none"
            .into(),
        "NoPermission" => {
            let privilege = detail.and_then(|detail| detail.text_at("privilegeId"));
            match privilege {
                Some(privilege) => format!("the account lacks the privilege {privilege} there"),
                None => "the account lacks a privilege there".into(),
            }
        }
        "RestrictedVersion" => {
            "this ESXi's license (the free one) lets its API only be read".into()
        }
        "FileLocked" | "FileNotWritable" => {
            "a running VM has the file open: disconnect it there or power the VM off".into()
        }
        "NoDiskSpace" | "InsufficientStorageSpace" => "the datastore is full".into(),
        "NotSupportedHost" | "HostNotConnected" => {
            "the host is not connected to its vCenter".into()
        }
        _ => return None,
    })
}

/// The error of an HTTP status other than 2xx, from a server of datastore files or disks.
pub(crate) fn http_error(what: &str, head: &Head, body: &str) -> Error {
    let (kind, meaning) = match head.status {
        400 => (
            Kind::Server,
            "the server did not understand the path or the names",
        ),
        401 => (
            Kind::Login,
            "the session ended, or the account may not log in here",
        ),
        403 => (
            Kind::Permission,
            "the account lacks Datastore.FileManagement (\"Low level file operations\") on the datastore, \
             or the host is in lockdown",
        ),
        404 => (
            Kind::NotFound,
            "the file, its folder, the datastore or the datacenter is not there, or this server has no datastore files",
        ),
        405 => (
            Kind::Server,
            "the folder is missing, or a folder has this name",
        ),
        409 | 423 => (Kind::InUse, "something has the file open"),
        411 | 413 => (
            Kind::Server,
            "the server, or a proxy before it, takes no file of this size",
        ),
        500 => (
            Kind::Server,
            "usually the datastore is full, not reachable from its host, or the file is locked by a VM",
        ),
        502 | 504 => (
            Kind::Server,
            "what answers for the server does not reach it",
        ),
        503 => (
            Kind::Server,
            "the server is busy or starting; try again later",
        ),
        507 => (Kind::Server, "the datastore is full"),
        300..=399 => (
            Kind::Server,
            "the server points elsewhere: use the address it points to",
        ),
        _ => (Kind::Server, "the server did not take it"),
    };
    let said = strip_markup(body);
    let said = match said.is_empty() {
        true => String::new(),
        false => format!(" The server said: {said}"),
    };
    Error::new(
        kind,
        format!("{what}: HTTP {}: {meaning}.{said}", head.status),
    )
    .with_status(head.status)
    .with_retry_after(head.retry_after())
}

/// Text of an HTML or plain answer, short.
fn strip_markup(body: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for c in body.chars() {
        match c {
            '<' => inside = true,
            '>' => {
                inside = false;
                text.push(' ');
            }
            c if !inside => text.push(c),
            _ => {}
        }
    }
    let text = one_line(&text);
    match text.char_indices().nth(200) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// White space and control characters become single spaces.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    words
        .filter(|w| !w.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::{Limits, Outcome, outcome};

    fn fault(detail: &str, message: &str) -> Error {
        let document = format!(
            r#"<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
            <e:Body><e:Fault><faultcode>ServerFaultCode</faultcode><faultstring>{message}</faultstring>
            <detail>{detail}</detail></e:Fault></e:Body></e:Envelope>"#
        );
        match outcome(document.as_bytes(), Limits::default()).unwrap() {
            Outcome::Fault(node) => error_of(&node),
            Outcome::Response(node) => panic!("{node:?}"),
        }
    }

    #[test]
    fn faults_are_told_apart() {
        let login = fault(
            r#"<InvalidLoginFault xmlns="urn:vim25" xsi:type="InvalidLogin"/>"#,
            "Cannot complete login due to an incorrect user name or password.",
        );
        assert_eq!(
            (login.kind(), login.fault()),
            (Kind::Login, Some("InvalidLogin"))
        );
        assert!(login.to_string().contains("administrator@vsphere.local"));
        // A server that gives no type.
        let ended = fault(
            "<NotAuthenticatedFault/>",
            "The session is not authenticated.",
        );
        assert!(ended.session_ended());
        let refused = fault(
            r#"<x xsi:type="v:NoPermission"><privilegeId>Datastore.FileManagement</privilegeId></x>"#,
            "Permission to perform this operation was denied.",
        );
        assert_eq!(refused.kind(), Kind::Permission);
        assert!(
            refused
                .to_string()
                .contains("privilege Datastore.FileManagement"),
            "{refused}"
        );
        assert_eq!(fault("", "boom\nbang").to_string(), "boom bang");
    }

    #[test]
    fn a_status_says_what_it_means_and_what_the_server_said() {
        let head = Head {
            status: 503,
            headers: vec![("retry-after".into(), "3".into())],
        };
        let error = http_error("x.iso", &head, "<html><b>Service</b>\n Unavailable</html>");
        assert_eq!(error.retry_after().map(|wait| wait.as_secs()), Some(3));
        assert!(error.passes());
        assert!(
            error
                .to_string()
                .contains("The server said: Service Unavailable"),
            "{error}"
        );
        for (status, kind) in [
            (401, Kind::Login),
            (403, Kind::Permission),
            (404, Kind::NotFound),
            (405, Kind::Server),
        ] {
            let head = Head {
                status,
                headers: Vec::new(),
            };
            let error = http_error("x", &head, "");
            assert_eq!((error.kind(), error.status()), (kind, Some(status)));
            assert!(!error.passes(), "{status}");
        }
    }
}
