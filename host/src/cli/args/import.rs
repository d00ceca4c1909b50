//! What `openclaw import` is told.

use std::path::PathBuf;

use clap::Args;

/// `import`
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// State folder of the reference, such as ~/.openclaw; it is read and never written
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON and nothing else on standard output
    #[arg(long)]
    pub json: bool,
}
