//! Settings from flags and the environment.

/// Where a variable's value comes from: the process's environment, or a test's.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process's own environment; a variable that is set to nothing counts as not set.
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The flag's value, or that of the first variable that is set.
pub(super) fn setting(
    flag: Option<&str>,
    variables: &[&str],
    environment: Environment<'_>,
) -> Option<String> {
    let flag = flag.filter(|value| !value.is_empty()).map(str::to_owned);
    flag.or_else(|| variables.iter().find_map(|name| environment(name)))
}

/// Whether a variable says yes, as Go programs read it.
pub(super) fn is_true(value: &str) -> bool {
    matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_over_linuxkit_s_variable_and_that_over_govc_s() {
        let both = |name: &str| match name {
            "VCURL" => Some("vc".to_owned()),
            "GOVC_URL" => Some("govc".to_owned()),
            _ => None,
        };
        let names = ["VCURL", "GOVC_URL"];
        assert_eq!(
            setting(Some("flag"), &names, &both).as_deref(),
            Some("flag")
        );
        assert_eq!(setting(Some(""), &names, &both).as_deref(), Some("vc"));
        assert_eq!(setting(None, &names, &both).as_deref(), Some("vc"));
        assert_eq!(setting(None, &names[1..], &both).as_deref(), Some("govc"));
        assert_eq!(setting(None, &["VCHOST"], &both), None);
    }
}
