//! `process` of `config.json`: what runs, as whom, with which rights and limits.

use super::settings::Layered;
use super::{ImageConfig, Setting, capabilities, wrong};
use crate::config::emit::MapBuilder;
use crate::config::{Id, Ids, Spanned, Text, Texts, Value};

/// The limits that setrlimit(2) knows.
const RLIMITS: [&str; 16] = [
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
];

pub(super) fn process(settings: &Layered<'_>, image: &ImageConfig, ids: &Ids) -> Setting<Value> {
    let strings = |texts: &Texts| texts.iter().map(|t| t.value.clone()).collect();
    let args: Vec<String> = match settings.get(|s| &s.command) {
        Some(command) => strings(command),
        None => image.entrypoint.iter().chain(&image.cmd).cloned().collect(),
    };
    let env = settings
        .get(|s| &s.env)
        .map_or_else(|| image.env.clone(), strings);
    let cwd = match settings.text(|s| &s.cwd) {
        Some(cwd) => cwd.as_str(),
        None if image.working_dir.is_empty() => "/",
        None => &image.working_dir,
    };
    let caps = capabilities::join(&settings.added(|s| &s.capabilities, |s| &s.capabilities_add))?;
    let ambient = match settings.get(|s| &s.ambient) {
        Some(list) => capabilities::join(&[list])?,
        None => Vec::new(),
    };
    let rlimits: Vec<Value> = settings
        .list(|s| &s.rlimits)
        .iter()
        .map(rlimit)
        .collect::<Setting<_>>()?;
    Ok(MapBuilder::new()
        .put("user", user(settings, ids)?)
        .put_filled("args", args)
        .put_filled("env", env)
        .put("cwd", cwd)
        .put("capabilities", capabilities::to_value(&caps, &ambient))
        .put_filled("rlimits", rlimits)
        .put_filled(
            "noNewPrivileges",
            settings
                .get(|s| &s.no_new_privileges)
                .copied()
                .unwrap_or_default(),
        )
        .put_some(
            "oomScoreAdj",
            settings.get(|s| &s.oom_score_adj).map(|n| n.value),
        )
        .build())
}

fn user(settings: &Layered<'_>, ids: &Ids) -> Setting<Value> {
    let number = |id: &Spanned<Id>| match ids.number(id) {
        Ok(n) => Ok(n),
        Err(error) => wrong(
            &id.span,
            error.to_string(),
            "write a number, \"root\", or a container's name",
        ),
    };
    let one = |id: Option<&Spanned<Id>>| id.map_or(Ok(0), number);
    let groups: Vec<u32> = settings
        .list(|s| &s.additional_gids)
        .iter()
        .map(number)
        .collect::<Setting<_>>()?;
    Ok(MapBuilder::new()
        .put("uid", one(settings.get(|s| &s.uid))?)
        .put("gid", one(settings.get(|s| &s.gid))?)
        .put_filled("additionalGids", groups)
        .build())
}

/// `name,soft,hard`, the name with or without `RLIMIT_`, in any case.
fn rlimit(text: &Text) -> Setting<Value> {
    const FORM: &str = "write \"name,soft,hard\", as in \"nofile,1024,4096\"";
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let [name, soft, hard] = parts[..] else {
        let message = format!("{:?} is not a limit", text.as_str());
        return wrong(&text.span, message, FORM);
    };
    let upper = name.to_uppercase();
    let full = format!("RLIMIT_{}", upper.strip_prefix("RLIMIT_").unwrap_or(&upper));
    if !RLIMITS.contains(&full.as_str()) {
        let known: Vec<String> = RLIMITS
            .iter()
            .map(|l| l.trim_start_matches("RLIMIT_").to_lowercase())
            .collect();
        let message = format!("unknown limit {name:?}");
        return wrong(
            &text.span,
            message,
            format!("the limits are {}", known.join(", ")),
        );
    }
    let value = |number: &str| {
        if number.eq_ignore_ascii_case("unlimited") {
            return Ok(u64::MAX);
        }
        // `parse` alone would take a plus sign.
        match number.parse() {
            Ok(n) if number.bytes().all(|b| b.is_ascii_digit()) => Ok(n),
            _ => {
                let message = format!("{number:?} is not a number from 0 to {}", u64::MAX);
                wrong(&text.span, message, "write a number, or \"unlimited\"")
            }
        }
    };
    let (soft, hard) = (value(soft)?, value(hard)?);
    if soft > hard {
        let message = format!("the soft limit of {name} is above the hard one");
        return wrong(&text.span, message, FORM);
    }
    Ok(MapBuilder::new()
        .put("type", full)
        .put("hard", hard)
        .put("soft", soft)
        .build())
}
