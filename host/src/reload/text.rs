//! The file's next text: what can be said against it, and how it comes onto the disk.
//!
//! Called by the reload task for a running gateway, and by the command line where none runs. Reads
//! and writes files: not for a thread of the runtime.

use std::path::Path;

use super::{ReloadError, view};
use crate::config::{
    Config, Document, FileSchema, LoadOptions, Loaded, check_startable, load_document,
};
use crate::files::{private_dir, write_private};

/// The configuration that a text would be. What can't be read is told in the words of the schema,
/// where it has some.
///
/// # Errors
/// [`ReloadError::Invalid`] with each key and reason.
pub fn check(
    options: &LoadOptions,
    schema: &FileSchema,
    file: &Path,
    text: String,
) -> Result<Loaded, ReloadError> {
    let document = Document::of_text(file, text)?;
    let loaded = load_document(options, document.clone()).map_err(|error| {
        let issues = schema.issues(&document.tree);
        if issues.is_empty() {
            return ReloadError::from(error);
        }
        ReloadError::Invalid(view::issues(issues))
    })?;
    startable(&loaded.config)?;
    Ok(loaded)
}

/// Refuses what no gateway can start with.
pub(super) fn startable(config: &Config) -> Result<(), ReloadError> {
    check_startable(config).map_err(|why| {
        let file = format!("{}: ", config.paths.config_file.display());
        let why = why.strip_prefix(&file).unwrap_or(&why).to_owned();
        ReloadError::Invalid(view::issues(vec![(String::new(), why)]))
    })
}

/// Writes the file; the former text stays beside it as `….bak`.
///
/// # Errors
/// The system's; the file is as it was then.
pub fn write(file: &Path, former: &Document, text: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        private_dir(folder)?;
    }
    if let Some(former) = &former.text {
        let mut name = file.as_os_str().to_owned();
        name.push(".bak");
        write_private(Path::new(&name), former.as_bytes())?;
    }
    write_private(file, text.as_bytes())
}
