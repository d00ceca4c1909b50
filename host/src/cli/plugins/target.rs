//! `NAME[/ACCOUNT]`: a plugin as `plugins.toml` names it, or one of its accounts. For `restart` and
//! `logs`.

use std::fmt;

use crate::cli::error::{CliError, CliResult};

/// A plugin, or one of its accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The plugin's name.
    pub name: &'a str,
    /// The account; all of them when absent.
    pub account: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Reads `NAME` or `NAME/ACCOUNT`.
    ///
    /// # Errors
    /// A part is empty: a wrong command line.
    pub fn read(text: &'a str) -> CliResult<Target<'a>> {
        let (name, account) = match text.split_once('/') {
            Some((name, account)) => (name, Some(account)),
            None => (text, None),
        };
        if name.is_empty() || account == Some("") {
            let wrong = CliError::usage(format!("{text:?} names no plugin or account"));
            return Err(
                wrong.fix("write NAME or NAME/ACCOUNT, as openclaw plugins list shows them")
            );
        }
        Ok(Target { name, account })
    }
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        self.account
            .map_or(Ok(()), |account| write!(f, "/{account}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_perhaps_an_account() {
        let parts = |text| Target::read(text).ok().map(|t| (t.name, t.account));
        assert_eq!(parts("echo"), Some(("echo", None)));
        assert_eq!(parts("echo/work"), Some(("echo", Some("work"))));
        for wrong in ["", "/work", "echo/"] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
    }
}
