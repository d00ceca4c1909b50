//! A library that somebody offers: what it is and who signed it, before `plugins.toml` names it.
//!
//! `openclaw plugins inspect`, `install` and `index build` look at files through this. No code of
//! the plugin runs.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::file::{Entry, PluginsFile, Trust};
use super::inspect::{self, Inspected};
use super::signature::{Domain, PublicKey, Signed};
use super::store::signature_beside;
use super::{Refusal, access, directory, verify};

/// A library and what can be said about it.
#[derive(Debug)]
pub struct Offer {
    /// The file.
    pub path: PathBuf,
    /// The open file: what is copied is what was looked at.
    pub file: File,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: String,
    /// What it says about itself.
    pub inspected: Inspected,
    /// Its signature, if there is one.
    pub signature: Option<Signed>,
}

/// Who vouches for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publisher {
    /// Nobody.
    Unsigned,
    /// Somebody whose key `plugins.toml` does not name.
    Stranger(PublicKey),
    /// The owner of a key of this name.
    Named {
        /// The name under `[trust] keys`.
        key: String,
        /// Its plugins may run in the gateway's process.
        trusted: bool,
    },
}

impl Offer {
    /// Looks at a file and the signature beside it, for this machine.
    ///
    /// # Errors
    /// Why it cannot be a plugin here.
    pub fn of(path: &Path) -> Result<Offer, Refusal> {
        Self::look(&[path.to_owned()], inspect::inspect_file)
    }

    /// The library that an entry of `file` names, switched on or not.
    ///
    /// # Errors
    /// As [`Offer::of`].
    pub fn of_entry(parsed: &PluginsFile, file: &Path, entry: &Entry) -> Result<Offer, Refusal> {
        let program = std::env::current_exe().ok();
        let places = parsed.candidates(file, entry, program.as_deref());
        Self::look(&places, inspect::inspect_file)
    }

    /// As [`Offer::of`], for any machine.
    ///
    /// # Errors
    /// Why it cannot be a plugin anywhere.
    pub fn of_any(path: &Path) -> Result<Offer, Refusal> {
        Self::look(&[path.to_owned()], inspect::inspect_for_any)
    }

    fn look(
        places: &[PathBuf],
        inspect: impl FnOnce(&File) -> Result<Inspected, Refusal>,
    ) -> Result<Offer, Refusal> {
        let (path, mut file) = directory::open_first(places)?;
        let unreadable = |e: std::io::Error| Refusal::NoFile(format!("{}: {e}", path.display()));
        let size = file.metadata().map_err(unreadable)?.len();
        let inspected = inspect(&file)?;
        let sha256 = verify::digest_of(&mut file).map_err(unreadable)?;
        let beside = signature_beside(&path);
        let signature = match beside.exists() {
            true => Some(verify::read_signature(&beside)?),
            false => None,
        };
        Ok(Offer {
            file,
            size,
            sha256,
            inspected,
            signature,
            path,
        })
    }

    /// Refuses a file that others may write to.
    ///
    /// # Errors
    /// Who may.
    pub fn only_ours(&self) -> Result<(), Refusal> {
        access::only_ours(&self.path)
    }

    /// Who signed it, as far as these keys say.
    ///
    /// # Errors
    /// The signature is not of this file.
    pub fn publisher(&self, trust: &Trust) -> Result<Publisher, Refusal> {
        let Some(signed) = &self.signature else {
            return Ok(Publisher::Unsigned);
        };
        let named = trust.keys.iter().find(|(_, key)| **key == signed.key);
        if !signed.holds(&signed.key, Domain::Plugin, &self.sha256) {
            let key = named.map_or_else(|| signed.key.to_string(), |(name, _)| name.clone());
            let found = self.sha256.clone();
            return Err(Refusal::Signature { key, found });
        }
        Ok(match named {
            Some((name, _)) => Publisher::Named {
                key: name.clone(),
                trusted: trust.trusted.contains(name),
            },
            None => Publisher::Stranger(signed.key),
        })
    }

    /// What an operator should know before it runs.
    pub fn warnings(&self) -> Vec<String> {
        let mut out = Vec::new();
        if self.inspected.static_tls {
            out.push(
                "it needs static thread-local storage (an allocator such as jemalloc does): the \
                 system may have none left and refuse to load it into the gateway's process"
                    .to_owned(),
            );
        }
        if self.inspected.compiler.is_none() {
            out.push("it does not say which compiler made it".to_owned());
        }
        out
    }
}
