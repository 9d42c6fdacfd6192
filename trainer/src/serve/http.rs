//! The server: HTTP/1.1 with hyper, on the loopback interface.
//!
//! hyper is already a dependency (of the client for inference servers) and is well maintained. One thread
//! accepts connections; answers are computed on other threads, because they read files.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{HOST, HeaderName};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::site::{Answer, Asked, Site};
use crate::TrainError;

/// Maximum number of concurrent connections; further ones wait (our choice: a browser opens six).
const CONNECTIONS: usize = 32;
/// Timeout for receiving a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Interval at which signals are checked.
const SIGNAL_POLL: Duration = Duration::from_millis(200);

/// Serves until `stop` is set.
///
/// # Errors
/// If the system cannot listen any more.
pub(crate) fn serve(
    listener: TcpListener,
    site: Site,
    stop: &AtomicBool,
) -> Result<(), TrainError> {
    let failed = TrainError::io("the server's socket");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let served = runtime.and_then(|runtime| {
        listener.set_nonblocking(true)?;
        runtime.block_on(accept(listener, Arc::new(site), stop))
    });
    served.map_err(failed)
}

async fn accept(listener: TcpListener, site: Arc<Site>, stop: &AtomicBool) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    // Relaxed: the flag carries no data.
    while !stop.load(Ordering::Relaxed) {
        let Ok(accepted) = tokio::time::timeout(SIGNAL_POLL, listener.accept()).await else {
            continue;
        };
        let Ok((stream, _)) = accepted else {
            // The client has disconnected, or the process has too many open files, which is temporary.
            tokio::time::sleep(SIGNAL_POLL).await;
            continue;
        };
        let (site, free) = (site.clone(), free.clone());
        tokio::spawn(async move {
            let _permit = free.acquire_owned().await;
            connection(stream, site).await;
        });
    }
    Ok(())
}

/// Serves one connection with one request.
async fn connection(stream: TcpStream, site: Arc<Site>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (site, asked) = (site.clone(), asked(&request));
        async move {
            let answer = tokio::task::spawn_blocking(move || site.answer(&asked)).await;
            let answer = answer.unwrap_or_else(|_| Answer::error(500, "a fault of this program"));
            Ok::<_, Infallible>(response(answer))
        }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
    // It is no error if a client disconnects.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

fn asked(request: &Request<Incoming>) -> Asked {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    Asked {
        method: request.method().as_str().to_owned(),
        host: host.unwrap_or_default().to_owned(),
        path: request.uri().path().to_owned(),
    }
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let headers = [
        ("content-type", answer.kind),
        ("content-security-policy", answer.policy),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "no-store"),
    ];
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = hyper::StatusCode::from_u16(answer.status).unwrap_or_default();
    for (name, value) in headers {
        let value = hyper::header::HeaderValue::from_static(value);
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
    response
}
