//! From a folder or the web to a file of this machine: a registry's index and libraries, and
//! libraries by their address. Bounded in size and time; progress on standard error when a person
//! watches.

use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::{Response, StatusCode, redirect};
use url::Url;

use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::output::{Screen, complain};
use crate::limits::{
    DOWNLOAD_CONNECT_TIMEOUT, DOWNLOAD_REDIRECTS_MAX, DOWNLOAD_STALL_TIMEOUT, DOWNLOAD_TIMEOUT,
    LIBRARY_BYTES_MAX, SIGNATURE_FILE_BYTES_MAX,
};
use crate::plugins::store::{LibraryStore, signature_beside};

/// Where files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A folder of this machine.
    Folder(PathBuf),
    /// A folder of a web server; its address ends with `/`.
    Web(Url),
}

impl Origin {
    /// Reads a registry's address: a path (relative to `folder`), `file://` or `https://`, of the
    /// index or of the folder that holds it.
    ///
    /// # Errors
    /// Another scheme, or plain text to another machine.
    pub fn parse(text: &str, folder: &Path) -> CliResult<Origin> {
        let text = text
            .strip_suffix(crate::plugins::registry::INDEX)
            .unwrap_or(text);
        if let Some(path) = text.strip_prefix("file://") {
            return Ok(Origin::Folder(PathBuf::from(path)));
        }
        if !text.contains("://") {
            return Ok(Origin::Folder(folder.join(text)));
        }
        let mut url = web_url(text)?;
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Origin::Web(url))
    }

    /// A small file; `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read, or is larger than `max` bytes.
    pub fn small(&self, name: &str, max: u64) -> CliResult<Option<Vec<u8>>> {
        match self {
            Origin::Folder(folder) => small_file(&folder.join(name), max),
            Origin::Web(base) => Web::new()?.small(&join(base, name)?, max),
        }
    }

    /// A library of exactly `size` bytes.
    ///
    /// # Errors
    /// It cannot be fetched, or has another size.
    pub fn library(
        &self,
        name: &str,
        size: u64,
        into: &mut Download,
        screen: &Screen,
    ) -> CliResult<()> {
        match self {
            Origin::Folder(folder) => {
                let inside = |part| matches!(part, Component::Normal(_));
                if !Path::new(name).components().all(inside) {
                    return Err(outside(name));
                }
                let path = folder.join(name);
                let file = File::open(&path).map_err(|e| CliError::file(&path, "read", &e))?;
                let copied = std::io::copy(&mut file.take(size + 1), &mut into.file);
                if copied.map_err(|e| CliError::file(&path, "copy", &e))? > size {
                    return Err(too_large(&path.display().to_string(), size));
                }
            }
            Origin::Web(base) => {
                let url = join(base, name)?;
                if !Web::new()?.save(&url, size, into, screen)? {
                    return Err(missing(&url));
                }
            }
        }
        Ok(())
    }
}

/// An address by itself: of a library.
///
/// # Errors
/// It is no address, or would be plain text to another machine.
pub fn web_url(text: &str) -> CliResult<Url> {
    let url = Url::parse(text).map_err(|e| CliError::usage(format!("{text:?}: {e}")))?;
    let loopback = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        "http" => Err(
            CliError::usage(format!("{text:?} is plain text to another machine"))
                .fix("use https://, or a copy of it in a folder of this machine"),
        ),
        other => Err(
            CliError::usage(format!("{text:?}: {other}:// is not known"))
                .fix("use a path, file:// or https://"),
        ),
    }
}

/// Fetches a library and the signature beside it by its address.
///
/// # Errors
/// It is not there, too large, or cannot be fetched.
pub fn library_by_url(url: &Url, store: &Path, screen: &Screen) -> CliResult<Download> {
    let web = Web::new()?;
    let mut into = Download::new(store)?;
    if !web.save(url, LIBRARY_BYTES_MAX, &mut into, screen)? {
        return Err(missing(url));
    }
    let mut beside = url.clone();
    beside.set_path(&format!("{}.sig", url.path()));
    if let Some(signature) = web.small(&beside, SIGNATURE_FILE_BYTES_MAX)? {
        into.sign(&signature)?;
    }
    Ok(into)
}

/// A file that is gone when it is no longer needed.
#[derive(Debug)]
pub struct Download {
    /// Where it is.
    pub path: PathBuf,
    file: File,
}

impl Download {
    /// A new empty file in the folder of copies, where nobody else can write.
    ///
    /// # Errors
    /// The system's.
    pub fn new(store: &Path) -> CliResult<Download> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = store.join(format!(".download.{}.{n}", std::process::id()));
        let file = LibraryStore::open(store)
            .and_then(|_| File::create(&path))
            .map_err(|e| CliError::file(&path, "create", &e))?;
        Ok(Download { path, file })
    }

    /// Puts a signature beside it.
    ///
    /// # Errors
    /// The system's.
    pub fn sign(&self, signature: &[u8]) -> CliResult<()> {
        let path = signature_beside(&self.path);
        std::fs::write(&path, signature).map_err(|e| CliError::file(&path, "write", &e))
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        for path in [&self.path, &signature_beside(&self.path)] {
            // Gone already is as good.
            std::fs::remove_file(path).ok();
        }
    }
}

fn small_file(path: &Path, max: u64) -> CliResult<Option<Vec<u8>>> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() > max => Err(too_large(&path.display().to_string(), max)),
        Ok(_) => std::fs::read(path)
            .map(Some)
            .map_err(|e| CliError::file(path, "read", &e)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(CliError::file(path, "read", &e)),
    }
}

/// A name below an address, and nowhere else: an index must not send us to another server.
fn join(base: &Url, name: &str) -> CliResult<Url> {
    let url = base
        .join(name)
        .ok()
        .filter(|url| url.origin() == base.origin() && url.path().starts_with(base.path()));
    url.ok_or_else(|| outside(name))
}

fn outside(name: &str) -> CliError {
    let text = format!("the registry names a file outside of it: {name:?}");
    CliError::new(Kind::Protocol, "REGISTRY_INVALID", text)
}

fn missing(url: &Url) -> CliError {
    CliError::new(Kind::Connection, "NOT_FOUND", format!("there is no {url}"))
        .fix("correct the address, or build the registry's index again")
}

fn too_large(what: &str, max: u64) -> CliError {
    let text = format!("{what} is larger than {max} bytes");
    CliError::new(Kind::Protocol, "TOO_LARGE", text)
}

/// An HTTP client and the event loop it needs.
struct Web {
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Web {
    fn new() -> CliResult<Web> {
        let failed = |why: String| CliError::new(Kind::Local, "RUNTIME", why);
        // Another part may have been first; any provider will do.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| failed(e.to_string()))?;
        let client = reqwest::Client::builder()
            .connect_timeout(DOWNLOAD_CONNECT_TIMEOUT)
            .read_timeout(DOWNLOAD_STALL_TIMEOUT)
            .timeout(DOWNLOAD_TIMEOUT)
            .redirect(redirect::Policy::custom(|attempt| {
                let secure = attempt.previous().iter().all(|url| url.scheme() == "https");
                if attempt.previous().len() > DOWNLOAD_REDIRECTS_MAX {
                    attempt.error("too many redirects")
                } else if secure && attempt.url().scheme() != "https" {
                    attempt.error("a redirect from https to plain text")
                } else {
                    attempt.follow()
                }
            }))
            .user_agent(concat!("openclaw-gateway/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| failed(format!("the HTTP client can't be made: {e}")))?;
        Ok(Web { client, runtime })
    }

    fn small(&self, url: &Url, max: u64) -> CliResult<Option<Vec<u8>>> {
        self.runtime.block_on(async {
            let Some(mut response) = self.get(url).await? else {
                return Ok(None);
            };
            let mut bytes = Vec::new();
            while let Some(piece) = piece(url, &mut response).await? {
                bytes.extend_from_slice(&piece);
                if bytes.len() as u64 > max {
                    return Err(too_large(url.as_str(), max));
                }
            }
            Ok(Some(bytes))
        })
    }

    /// False if there is no such file.
    fn save(&self, url: &Url, max: u64, into: &mut Download, screen: &Screen) -> CliResult<bool> {
        self.runtime.block_on(async {
            let Some(mut response) = self.get(url).await? else {
                return Ok(false);
            };
            let whole = response.content_length();
            if whole.is_some_and(|n| n > max) {
                return Err(too_large(url.as_str(), max));
            }
            let mut progress = Progress::new(url, whole, screen);
            let mut bytes = 0;
            while let Some(piece) = piece(url, &mut response).await? {
                bytes += piece.len() as u64;
                if bytes > max {
                    return Err(too_large(url.as_str(), max));
                }
                into.file
                    .write_all(&piece)
                    .map_err(|e| CliError::file(&into.path, "write", &e))?;
                progress.at(bytes);
            }
            Ok(true)
        })
    }

    async fn get(&self, url: &Url) -> CliResult<Option<Response>> {
        let response = self.client.get(url.clone()).send().await;
        let response = response.map_err(|e| lost(url, &e))?;
        match response.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            status if status.is_success() => Ok(Some(response)),
            status => {
                let text = format!("{url} answers {status}");
                let later = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
                Err(CliError::new(Kind::Connection, "DOWNLOAD", text).retryable(later))
            }
        }
    }
}

async fn piece(url: &Url, response: &mut Response) -> CliResult<Option<bytes::Bytes>> {
    response.chunk().await.map_err(|e| lost(url, &e))
}

/// The deepest cause is the one that helps.
fn lost(url: &Url, error: &reqwest::Error) -> CliError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let kind = if error.is_timeout() {
        Kind::Timeout
    } else {
        Kind::Connection
    };
    CliError::new(kind, "DOWNLOAD", format!("cannot fetch {url}: {cause}"))
        .retryable(true)
        .fix("check the address and the network, or use a copy in a folder of this machine")
}

/// One line that is written over and over, only for a person.
struct Progress {
    shown: bool,
    name: String,
    whole: Option<u64>,
    tenths: u64,
}

impl Progress {
    fn new(url: &Url, whole: Option<u64>, screen: &Screen) -> Progress {
        let name = url.path_segments().and_then(|mut s| s.next_back());
        Progress {
            shown: std::io::stderr().is_terminal() && !screen.json_wanted(),
            name: crate::cli::text::clean(name.unwrap_or_default()),
            whole,
            tenths: u64::MAX,
        }
    }

    fn at(&mut self, bytes: u64) {
        let tenths = (bytes * 10) >> 20;
        if !self.shown || tenths == self.tenths {
            return;
        }
        self.tenths = tenths;
        let of = self.whole.map_or(String::new(), |n| {
            format!(" of {:.1}", n as f64 / 1_048_576.0)
        });
        let name = &self.name;
        complain(&format!(
            "\r  {name}  {}.{}{of} MiB",
            tenths / 10,
            tenths % 10
        ));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown && self.tenths != u64::MAX {
            complain("\n");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_folders_or_secure() {
        let parse = |text: &str| Origin::parse(text, Path::new("/etc/gw"));
        let folder = |path: &str| Origin::Folder(PathBuf::from(path));
        assert_eq!(parse("/srv/r/index.json").unwrap(), folder("/srv/r/"));
        assert_eq!(parse("mirror").unwrap(), folder("/etc/gw/mirror"));
        assert_eq!(parse("file:///srv/r").unwrap(), folder("/srv/r"));
        let web = |text: &str| Origin::Web(Url::parse(text).unwrap());
        assert_eq!(parse("https://h/r").unwrap(), web("https://h/r/"));
        assert_eq!(
            parse("https://h/r/index.json").unwrap(),
            web("https://h/r/")
        );
        assert!(parse("http://127.0.0.1:1/r").is_ok() && parse("http://localhost/r").is_ok());
        assert!(parse("http://example.org/r").is_err());
        assert!(parse("ftp://example.org/r").is_err());
    }

    #[test]
    fn an_index_cannot_lead_elsewhere() {
        let base = Url::parse("https://h/r/").unwrap();
        assert_eq!(
            join(&base, "a/b.so").unwrap().as_str(),
            "https://h/r/a/b.so"
        );
        for name in [
            "../b.so",
            "/b.so",
            "//x/b.so",
            "https://x/b.so",
            "a/../../b",
        ] {
            assert!(join(&base, name).is_err(), "{name}");
        }
    }
}
