//! Starts the embedded services, each on a loopback port of its own.

use std::{convert::Infallible, future::Future, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use axum::Router;
use http::{Request, Response};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use local_base::background;
use rustack_kms_core::{config::KmsConfig, handler::RustackKmsHandler, provider::RustackKms};
use rustack_kms_http::{KmsHttpConfig, KmsHttpService};
use rustack_secretsmanager_core::{
    config::SecretsManagerConfig, handler::RustackSecretsManagerHandler, provider::RustackSecretsManager,
};
use rustack_secretsmanager_http::{SecretsManagerHttpConfig, SecretsManagerHttpService};
use tokio::net::TcpListener;

use super::{Service, events::EventBus, sqs::Sqs};

#[derive(Debug, Clone)]
pub struct Embedded {
    /// The queues, for their depths and their clock.
    pub sqs: Sqs,
    pub bus: EventBus,
    addresses: Vec<(Service, SocketAddr)>,
}

#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No loopback port.
    #[error("no loopback port for the embedded AWS: {0}")]
    Port(#[from] std::io::Error),
    #[error("the embedded DynamoDB does not start: {0}")]
    Dynamodb(String),
}

impl Embedded {
    /// Starts all services. `gateway` becomes part of queue URLs; `events` receives what is put on the bus.
    pub async fn start(gateway: &str, region: &str, account: &str, events: &Path) -> Result<Self, EmbeddedError> {
        let sqs = Sqs::new(gateway.to_owned(), region, account);
        let database = dynoxide::Database::memory().map_err(|error| EmbeddedError::Dynamodb(error.to_string()))?;
        let kms = KmsConfig {
            default_region: region.to_owned(),
            default_account_id: account.to_owned(),
            ..KmsConfig::default()
        };
        let kms = RustackKmsHandler::new(Arc::new(RustackKms::new(kms)));
        let kms = KmsHttpService::new(Arc::new(kms), KmsHttpConfig { region: region.to_owned(), ..Default::default() });
        let secrets = SecretsManagerConfig {
            default_region: region.to_owned(),
            default_account_id: account.to_owned(),
            ..SecretsManagerConfig::default()
        };
        let secrets = RustackSecretsManagerHandler::new(Arc::new(RustackSecretsManager::new(secrets)));
        let secrets_http = SecretsManagerHttpConfig { region: region.to_owned(), ..Default::default() };
        let secrets = SecretsManagerHttpService::new(Arc::new(secrets), secrets_http);
        let dynamodb = listen().await?;
        let bus = EventBus::new(events.to_owned(), region, account, sqs.clock());
        let mut addresses = vec![(Service::Dynamodb, dynamodb.local_addr()?)];
        background(dynoxide::server::serve_on(dynamodb, database));
        addresses.push((Service::Kms, serve_hyper(kms).await?));
        addresses.push((Service::Secretsmanager, serve_hyper(secrets).await?));
        addresses.push((Service::Sqs, serve_axum(sqs.clone().router()).await?));
        addresses.push((Service::Events, serve_axum(bus.clone().router()).await?));
        Ok(Self { sqs, bus, addresses })
    }

    /// Where a service listens.
    pub fn url(&self, service: Service) -> Option<String> {
        self.addresses.iter().find(|(it, _)| *it == service).map(|(_, address)| format!("http://{address}"))
    }
}

async fn listen() -> std::io::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", 0)).await
}

async fn serve_axum(router: Router) -> std::io::Result<SocketAddr> {
    let listener = listen().await?;
    let address = listener.local_addr()?;
    background(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn serve_hyper<S, B>(service: S) -> std::io::Result<SocketAddr>
where
    S: hyper::service::Service<Request<hyper::body::Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Future<Output = Result<Response<B>, Infallible>> + Send,
    B: http_body_util::BodyExt<Data = hyper::body::Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let listener = listen().await?;
    let address = listener.local_addr()?;
    background(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let service = service.clone();
            background(async move {
                // A broken connection concerns only its client.
                let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(address)
}
