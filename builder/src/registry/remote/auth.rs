//! Basic and bearer authentication (RFC 7617, RFC 6750; the token protocol of the distribution
//! project).

use serde_json::Value;

/// What docker's config.json or a credential helper knows of a registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Name and password (or personal access token).
    Password {
        /// Account.
        username: String,
        /// Secret.
        password: String,
    },
    /// A refresh token, as cloud registries hand out.
    IdentityToken(String),
}

// Secrets must not reach a log.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// A `WWW-Authenticate` challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

/// Reads one header value; several challenges in one value are told apart by their scheme. Bearer
/// is preferred, as docker does.
pub(super) fn parse_challenge(header: &str) -> Option<Challenge> {
    let lower = header.to_ascii_lowercase();
    if let Some(at) = lower.find("bearer ") {
        let parameters = parameters(&header[at + "bearer ".len()..]);
        let value = |key: &str| {
            parameters
                .iter()
                .find(|(k, _)| k.eq_ignore_ascii_case(key))
                .map(|(_, v)| v.clone())
        };
        return Some(Challenge::Bearer {
            realm: value("realm")?,
            service: value("service"),
            scope: value("scope"),
        });
    }
    lower.starts_with("basic").then_some(Challenge::Basic)
}

/// `key="value", key=value …`; values may hold commas inside quotes.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.trim_matches([' ', ',', '\t']).to_owned();
        let value;
        if let Some(quoted) = after.strip_prefix('"') {
            let mut text = String::new();
            let mut chars = quoted.char_indices();
            let mut end = quoted.len();
            while let Some((at, c)) = chars.next() {
                match c {
                    '\\' => text.extend(chars.next().map(|(_, c)| c)),
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    c => text.push(c),
                }
            }
            value = text;
            rest = &quoted[end.min(quoted.len())..];
        } else {
            let end = after.find(',').unwrap_or(after.len());
            value = after[..end].trim().to_owned();
            rest = &after[end..];
        }
        found.push((key, value));
    }
    found
}

/// The token in a token server's answer.
pub(super) fn parse_token(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let token = answer
        .get("token")
        .or_else(|| answer.get("access_token"))?
        .as_str()?;
    (!token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic())).then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let header = r#"Bearer realm="https://auth.example/token",service="reg, istry",scope="repository:a/b:pull""#;
        assert_eq!(
            parse_challenge(header),
            Some(Challenge::Bearer {
                realm: "https://auth.example/token".into(),
                service: Some("reg, istry".into()),
                scope: Some("repository:a/b:pull".into()),
            })
        );
        assert_eq!(parse_challenge("basic realm=x"), Some(Challenge::Basic));
        let both = r#"Basic realm="x", bearer Realm="https://t""#;
        assert!(matches!(
            parse_challenge(both),
            Some(Challenge::Bearer { .. })
        ));
        for bad in [
            "",
            "Bearer ",
            "Bearer service=x",
            "Digest realm=x",
            "Bearer realm",
        ] {
            assert_eq!(parse_challenge(bad), None, "{bad}");
        }
        let open = parse_challenge("Bearer realm=\"https://x");
        assert!(matches!(open, Some(Challenge::Bearer { realm, .. }) if realm == "https://x"));
    }

    #[test]
    fn tokens_that_would_break_a_header_are_refused() {
        assert_eq!(parse_token(br#"{"token":"abc"}"#).as_deref(), Some("abc"));
        assert_eq!(
            parse_token(br#"{"access_token":"abc"}"#).as_deref(),
            Some("abc")
        );
        for bad in [
            &b""[..],
            b"[]",
            br#"{"token":""}"#,
            br#"{"token":"a\nb"}"#,
            br#"{"token":3}"#,
        ] {
            assert_eq!(parse_token(bad), None);
        }
    }

    #[test]
    fn credentials_do_not_show_in_debug_output() {
        let secret = Credentials::Password {
            username: "u".into(),
            password: "hunter2".into(),
        };
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
