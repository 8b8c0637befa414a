//! SPDX documents attached to images, joined into one (SPDX 2.3).
//!
//! LinuxKit gives the joined document a random name; here the name is made of the content, so that
//! the same images give the same bytes.

use serde_json::{Map, Value, json};

use crate::digest::Digest;

/// The lists of a document that are joined.
const LISTS: [&str; 6] = [
    "packages",
    "files",
    "hasExtractedLicensingInfos",
    "relationships",
    "annotations",
    "externalDocumentRefs",
];

/// 2017-04-18 16:30:00 UTC, the time that all files of the build's own have.
pub const SYNTHETIC_TIME: &str = "2017-04-18T16:30:00Z";

/// A document that can't be joined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the SBOM attached to {image} is not an SPDX document in an in-toto statement: {reason}")]
pub struct SbomError {
    /// The image.
    pub image: String,
    /// What is wrong.
    pub reason: String,
}

/// Collects documents in the order of the sections.
#[derive(Clone, Debug, Default)]
pub struct SbomJoiner {
    lists: Map<String, Value>,
}

impl SbomJoiner {
    /// Adds the SPDX document of an in-toto statement (`predicate`) or a bare one. Paths of files
    /// and packages get `prefix`, the folder that the image's files are put in.
    pub fn add(&mut self, image: &str, prefix: &str, bytes: &[u8]) -> Result<(), SbomError> {
        let error = |reason: String| SbomError {
            image: image.into(),
            reason,
        };
        let mut statement: Value =
            serde_json::from_slice(bytes).map_err(|e| error(e.to_string()))?;
        let mut document = match statement.get_mut("predicate") {
            Some(predicate) => predicate.take(),
            None => statement,
        };
        if document
            .get("spdxVersion")
            .and_then(Value::as_str)
            .is_none()
        {
            return Err(error("it has no spdxVersion".into()));
        }
        for (list, field) in [("files", "fileName"), ("packages", "packageFileName")] {
            let entries = document.get_mut(list).and_then(Value::as_array_mut);
            for entry in entries.into_iter().flatten() {
                if let Some(Value::String(name)) = entry.get_mut(field) {
                    *name = prefixed(prefix, name);
                }
            }
        }
        for list in LISTS {
            if let Some(Value::Array(entries)) = document.get_mut(list).map(Value::take) {
                let joined = self
                    .lists
                    .entry(list)
                    .or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(joined) = joined {
                    joined.extend(entries);
                }
            }
        }
        Ok(())
    }

    /// The joined document. `created` is [`SYNTHETIC_TIME`] unless the user asks otherwise.
    pub fn finish(self, created: &str) -> Vec<u8> {
        let content = Value::Object(self.lists.clone()).to_string();
        let name = Digest::sha256(content.as_bytes());
        let mut document = json!({
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": "SPDXRef-DOCUMENT",
            "name": "sbom",
            "documentNamespace": format!("https://spdx.org/spdxdocs/lkbuild-sbom-{}", name.hex()),
            "creationInfo": {
                "licenseListVersion": "3.20",
                "creators": ["Tool: lkbuild"],
                "created": created,
            },
        });
        if let Value::Object(fields) = &mut document {
            for list in LISTS {
                if let Some(entries) = self.lists.get(list) {
                    fields.insert(list.into(), entries.clone());
                }
            }
        }
        document.to_string().into_bytes()
    }
}

/// `prefix/name` without double slashes.
fn prefixed(prefix: &str, name: &str) -> String {
    let path = [prefix.as_bytes(), b"/", name.as_bytes()].concat();
    String::from_utf8_lossy(&crate::layer::path::clean(&path)).into_owned()
}

/// `YYYY-MM-DDTHH:MM:SSZ` of a time in seconds since 1970 (proleptic Gregorian calendar).
pub fn rfc3339(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years from March, so that the leap day is the last of a year: 400 of them have 146,097 days.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z",
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(name: &str) -> Vec<u8> {
        let document = json!({"predicateType": "https://spdx.dev/Document", "predicate": {
            "spdxVersion": "SPDX-2.3",
            "documentNamespace": "https://example.org/random",
            "packages": [{"name": name, "packageFileName": "/usr"}],
            "files": [{"fileName": "./bin/x"}],
            "relationships": [{"spdxElementId": "a", "relatedSpdxElement": "b"}],
        }});
        document.to_string().into_bytes()
    }

    #[test]
    fn documents_are_joined_with_their_prefixes_and_the_same_bytes_every_time() {
        let join = || {
            let mut joiner = SbomJoiner::default();
            joiner.add("a", "", &statement("a")).unwrap();
            joiner
                .add("b", "containers/services/b/lower", &statement("b"))
                .unwrap();
            joiner.finish(SYNTHETIC_TIME)
        };
        let bytes = join();
        assert_eq!(bytes, join());
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(document["packages"][1]["name"], "b");
        assert_eq!(document["files"][0]["fileName"], "bin/x");
        assert_eq!(
            document["files"][1]["fileName"],
            "containers/services/b/lower/bin/x"
        );
        assert_eq!(
            document["packages"][1]["packageFileName"],
            "containers/services/b/lower/usr"
        );
        assert_eq!(document["creationInfo"]["created"], SYNTHETIC_TIME);
        assert_eq!(document["relationships"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_spdx_document_is_refused() {
        for bad in [
            &b""[..],
            b"[]",
            b"{}",
            br#"{"predicate":3}"#,
            br#"{"predicate":{}}"#,
        ] {
            assert!(SbomJoiner::default().add("a", "", bad).is_err());
        }
    }

    #[test]
    fn times_are_written_as_the_calendar_has_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_492_533_000, SYNTHETIC_TIME),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }
}
