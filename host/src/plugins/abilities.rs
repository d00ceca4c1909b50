//! Which declared ability an operation needs. `instance` asks before each one: a plugin is never
//! asked for what its manifest does not declare.

use gateway_plugin::manifest::Manifest;
use gateway_plugin::message::{ErrorKind, Op, SurfaceError};

/// `Unsupported` if the manifest lacks the operation's ability.
pub(super) fn check(manifest: &Manifest, op: &Op) -> Result<(), SurfaceError> {
    let Some(lacking) = manifest.lacks(op) else {
        return Ok(());
    };
    Err(SurfaceError::new(
        ErrorKind::Unsupported,
        format!("{lacking} is not supported by {}", manifest.id),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_declared_abilities_pass() {
        let capabilities = vec!["typing".to_owned(), "actions:pin".to_owned()];
        let manifest = Manifest {
            id: "x".to_owned(),
            capabilities,
            ..Manifest::default()
        };
        let typing = Op::Typing {
            chat: "1".to_owned(),
            thread_id: None,
            on: true,
        };
        let action = |name: &str| Op::Action {
            name: name.to_owned(),
            args: serde_json::Value::Null,
        };
        assert!(check(&manifest, &typing).is_ok());
        assert!(check(&manifest, &action("pin")).is_ok());
        assert!(check(&manifest, &Op::Ping).is_ok());
        let refused = check(&manifest, &action("unpin")).expect_err("not declared");
        assert_eq!(refused.message, "unpin is not supported by x");
        assert!(check(&manifest, &Op::Logout).is_err());
    }
}
