//! Ports on loopback.

use tokio::net::TcpListener;

use super::error::StackError;

/// Port 0 stands for any.
pub(super) async fn listen(port: u16) -> Result<TcpListener, StackError> {
    TcpListener::bind(("127.0.0.1", port)).await.map_err(|source| StackError::Port { port, source })
}

pub(super) async fn listen_any() -> Result<(String, TcpListener), StackError> {
    let listener = listen(0).await?;
    let address = listener.local_addr().map_err(|source| StackError::Port { port: 0, source })?;
    Ok((format!("http://{address}"), listener))
}
