//! Variables for the Terraform module: where the image is.

use std::io::Write;
use std::path::Path;

use vmware::{Datacenter, Datastore, DatastorePath};

use super::super::CliError;
use crate::atomic::{PendingFile, commit};
use crate::output::OutputError;

/// What was pushed.
pub(super) struct Pushed<'a> {
    pub(super) datacenter: &'a Datacenter,
    pub(super) datastore: &'a Datastore,
    pub(super) paths: &'a [DatastorePath],
}

/// Begins the file before anything is pushed, so that what is wrong with it is found out first.
pub(super) fn begin<'a>(
    file: &Path,
    mut names: impl Iterator<Item = &'a str>,
) -> Result<PendingFile, CliError> {
    if !names.any(is_iso) {
        return Err(CliError::Usage(
            "--tfvars: none of the files is an .iso".into(),
        ));
    }
    Ok(PendingFile::create(file).map_err(OutputError::from)?)
}

/// Writes the variables; as JSON if the name ends in `.json`.
pub(super) fn write(
    file: &Path,
    mut pending: PendingFile,
    pushed: &Pushed<'_>,
) -> Result<(), CliError> {
    let image =
        image(pushed.paths).ok_or_else(|| CliError::Usage("--tfvars: no ISO was pushed".into()))?;
    let variables = [
        ("datacenter", pushed.datacenter.path.trim_start_matches('/')),
        ("datastore", &*pushed.datastore.name),
        ("iso_path", image.path()),
    ];
    let json = file
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let text = match json {
        true => as_json(&variables),
        false => as_hcl(&variables),
    };
    pending
        .write_all(text.as_bytes())
        .map_err(OutputError::from)?;
    Ok(commit(vec![pending]).map_err(OutputError::from)?)
}

/// The image that VMs boot from: the last ISO.
fn image(paths: &[DatastorePath]) -> Option<&DatastorePath> {
    paths.iter().rev().find(|path| is_iso(path.name()))
}

fn is_iso(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".iso")
}

fn as_json(variables: &[(&str, &str)]) -> String {
    let object = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).into()));
    let object = serde_json::Value::Object(object.collect());
    format!("{object:#}\n")
}

/// HCL, aligned as `terraform fmt` aligns it.
fn as_hcl(variables: &[(&str, &str)]) -> String {
    let width = variables
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or_default();
    let lines = variables
        .iter()
        .map(|(name, value)| format!("{name:width$} = {}\n", quoted(value)));
    lines.collect()
}

/// A quoted template in which nothing is a template (HCL's native syntax, "Template Expressions").
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '$' | '%' if chars.peek() == Some(&'{') => out.extend([c, c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_terraform_reads() {
        let variables = [
            ("datacenter", "EMEA/Lab \"1\""),
            ("iso_path", "a${b}%{c}$d\\e/é.iso"),
        ];
        assert_eq!(
            as_hcl(&variables),
            "datacenter = \"EMEA/Lab \\\"1\\\"\"\niso_path   = \"a$${b}%%{c}$d\\\\e/é.iso\"\n"
        );
        let json: serde_json::Value = serde_json::from_str(&as_json(&variables)).unwrap();
        assert_eq!(json["iso_path"], variables[1].1);
    }

    #[test]
    fn the_image_is_the_last_iso() {
        let path = |name| DatastorePath::new("ds", name).unwrap();
        let paths = [path("a/x.iso"), path("a/y.ISO"), path("a/z.vmdk")];
        assert_eq!(image(&paths), Some(&paths[1]));
        assert_eq!(image(&paths[2..]), None);
    }
}
