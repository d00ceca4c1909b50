//! A folder served over HTTP on loopback, as a registry or its mirror would be.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// Serves `folder` until the test's runtime ends; the address of its root, ending with `/`.
///
/// # Panics
/// When loopback has no free port.
pub async fn serve(folder: PathBuf) -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    let app = Router::new().fallback(file).with_state(Arc::new(folder));
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}/")
}

async fn file(State(folder): State<Arc<PathBuf>>, request: Request) -> Response {
    let name = request.uri().path().trim_start_matches('/');
    match tokio::task::spawn_blocking({
        let path = folder.join(name);
        move || std::fs::read(path)
    })
    .await
    {
        Ok(Ok(bytes)) => bytes.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
