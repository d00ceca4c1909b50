//! Makes an index from a folder of libraries. What was taken back stays so from one build to the
//! next.

use std::fmt;
use std::path::{Path, PathBuf};

use super::version::compare;
use super::{Artifact, Index, Listed, Release, SCHEMA};
use crate::plugins::file::Trust;
use crate::plugins::{Offer, Refusal};

/// How deep libraries may lie below the index.
const DEPTH_MAX: u32 = 4;

/// What the publisher changes beside the libraries.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// `NAME@VERSION` that nobody should install any more.
    pub yank: &'a [String],
    /// `NAME@VERSION` that may be installed again.
    pub unyank: &'a [String],
    /// Now, in milliseconds.
    pub now_ms: u64,
    /// How long the index counts, in milliseconds.
    pub lifetime_ms: u64,
}

/// Why there is no index.
#[derive(Debug)]
pub enum BuildRefusal {
    /// The folder cannot be read.
    Folder(PathBuf, std::io::Error),
    /// A library in it is no plugin.
    Library(PathBuf, Refusal),
    /// Two libraries for the same plugin, version and machine.
    Twice(PathBuf, PathBuf),
    /// There is nothing in it.
    Empty,
    /// No library of this name and version.
    Unknown(String),
}

impl fmt::Display for BuildRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path, e) => write!(f, "cannot read {}: {e}", path.display()),
            Self::Library(path, refusal) => write!(f, "{} is refused: {refusal}", path.display()),
            Self::Twice(one, two) => write!(
                f,
                "{} and {} are the same plugin, version and machine: remove one of the two",
                one.display(),
                two.display()
            ),
            Self::Empty => f.write_str("there is no library (.so, .dylib) in the folder"),
            Self::Unknown(name) => write!(
                f,
                "there is no {name} in the folder: write it as NAME@VERSION, as the index lists it"
            ),
        }
    }
}

/// Looks at every library below `folder` and lists it; `old` is the index that was there.
///
/// # Errors
/// A file that should not be there, or a change that means nothing.
pub fn build(
    folder: &Path,
    old: Option<&Index>,
    change: Change<'_>,
) -> Result<Index, BuildRefusal> {
    let mut files = Vec::new();
    libraries(folder, DEPTH_MAX, &mut files)?;
    if files.is_empty() {
        return Err(BuildRefusal::Empty);
    }
    files.sort();
    let mut index = Index {
        schema: SCHEMA,
        created_at_ms: change.now_ms,
        expires_at_ms: change.now_ms.saturating_add(change.lifetime_ms),
        plugins: Vec::new(),
    };
    for file in &files {
        let refused = |refusal| BuildRefusal::Library(file.clone(), refusal);
        let offer = Offer::of_any(file).map_err(refused)?;
        // Whose key it is does not matter here, that it fits does.
        offer.publisher(&Trust::default()).map_err(refused)?;
        list(&mut index, folder, &offer)?;
    }
    for listed in &mut index.plugins {
        listed
            .versions
            .sort_by(|a, b| compare(&b.version, &a.version));
        let before = old.and_then(|old| old.find(&listed.id));
        for release in &mut listed.versions {
            let mut past = before.into_iter().flat_map(|b| &b.versions);
            release.yanked = past.any(|r| r.version == release.version && r.yanked);
        }
    }
    index.plugins.sort_by(|a, b| a.id.cmp(&b.id));
    for (names, yanked) in [(change.yank, true), (change.unyank, false)] {
        for name in names {
            let release = named(&mut index, name).ok_or(BuildRefusal::Unknown(name.clone()))?;
            release.yanked = yanked;
        }
    }
    Ok(index)
}

fn named<'a>(index: &'a mut Index, name: &str) -> Option<&'a mut Release> {
    let (id, version) = name.split_once('@')?;
    let listed = index.plugins.iter_mut().find(|p| p.id == id)?;
    listed.versions.iter_mut().find(|r| r.version == version)
}

fn libraries(folder: &Path, depth: u32, out: &mut Vec<PathBuf>) -> Result<(), BuildRefusal> {
    let failed = |e| BuildRefusal::Folder(folder.to_owned(), e);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let library = path.extension().is_some_and(|e| e == "so" || e == "dylib");
        if path.is_dir() && depth > 0 {
            libraries(&path, depth - 1, out)?;
        } else if library && path.is_file() {
            out.push(path);
        }
    }
    Ok(())
}

fn list(index: &mut Index, folder: &Path, offer: &Offer) -> Result<(), BuildRefusal> {
    let inspected = &offer.inspected;
    let manifest = &inspected.manifest;
    let at = index.plugins.iter().position(|p| p.id == manifest.id);
    let at = at.unwrap_or_else(|| {
        index.plugins.push(Listed {
            id: manifest.id.clone(),
            name: manifest.name.clone(),
            homepage: manifest.homepage.clone(),
            licence: manifest.licence.clone(),
            versions: Vec::new(),
        });
        index.plugins.len() - 1
    });
    let versions = &mut index.plugins[at].versions;
    let at = versions.iter().position(|r| r.version == manifest.version);
    let at = at.unwrap_or_else(|| {
        versions.push(Release {
            version: manifest.version.clone(),
            abi: inspected.abi_major,
            api: manifest.api.clone(),
            min_host_api: manifest.min_host_api.clone(),
            yanked: false,
            capabilities: manifest.capabilities.clone(),
            artifacts: Vec::new(),
        });
        versions.len() - 1
    });
    let artifacts = &mut versions[at].artifacts;
    if let Some(first) = artifacts.iter().find(|a| a.target == inspected.target) {
        return Err(BuildRefusal::Twice(
            folder.join(&first.file),
            offer.path.clone(),
        ));
    }
    let file = offer.path.strip_prefix(folder).unwrap_or(&offer.path);
    artifacts.push(Artifact {
        target: inspected.target.clone(),
        file: file.to_string_lossy().into_owned(),
        size: offer.size,
        sha256: offer.sha256.clone(),
        glibc: inspected.glibc.clone(),
        compiler: inspected.compiler.clone(),
        signature: offer.signature.as_ref().map(ToString::to_string),
    });
    Ok(())
}
