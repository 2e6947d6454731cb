//! The session of a build: what the engine may ask us for while it builds.
//!
//! It asks for folders (see `sync`) and caches (see `store`), for registry credentials, for secrets by their id, and for an SSH agent's signatures. Only what the
//! build was given is answered. Tokens of registries are not fetched here: the engine does that with the credentials.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;

use bollard::health::health_check_response::ServingStatus;
use bollard::health::health_server::{Health, HealthServer};
use bollard::health::{HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse};
use bollard::moby::buildkit::secrets::v1::secrets_server::{Secrets, SecretsServer};
use bollard::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use bollard::moby::filesync::packet::file_sync_server::FileSyncServer;
use bollard::moby::filesync::v1::auth_server::{Auth, AuthServer};
use bollard::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse, GetTokenAuthorityRequest,
    GetTokenAuthorityResponse, VerifyTokenAuthorityRequest, VerifyTokenAuthorityResponse,
};
use bollard::moby::sshforward::v1::ssh_server::{Ssh, SshServer};
use bollard::moby::sshforward::v1::{BytesMessage as AgentBytes, CheckAgentRequest, CheckAgentResponse};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use hyper::server::conn::http2;
use hyper_util::rt::TokioExecutor;
use hyper_util::service::TowerToHyperService;
use release_core::Credentials;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

use super::agent;
use super::input::{Hidden, Lent};
use super::store::{self, Stores};
use super::sync::Folders;
use super::wire::{self, WireError};
use crate::Endpoint;

/// Docker Hub's names: what BuildKit asks for, and what we have credentials under.
const HUB: [&str; 2] = ["https://index.docker.io/v1/", "registry-1.docker.io"];

/// What the engine may ask for, as its headers want it.
const METHODS: [&str; 6] = [
    "/grpc.health.v1.Health/Check",
    "/moby.filesync.v1.Auth/Credentials",
    "/moby.filesync.v1.FileSync/DiffCopy",
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
    "/moby.sshforward.v1.SSH/CheckAgent",
    "/moby.sshforward.v1.SSH/ForwardAgent",
];

pub(super) type Answer<T> = Result<Response<T>, Status>;
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A session that is being served. Dropping it ends it, and the engine's build with it.
pub(super) struct Session {
    server: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What there is to be asked for.
pub(super) struct Offer {
    /// By registry.
    pub(super) credentials: BTreeMap<String, Credentials>,
    /// Secrets and agents.
    pub(super) lent: Lent,
    /// The context and everything else that lies in files.
    pub(super) folders: Folders,
    /// Folders with caches.
    pub(super) stores: Stores,
}

/// Opens the session `id` and serves it until it is dropped.
pub(super) async fn open(endpoint: &Endpoint, id: &str, offer: Offer) -> Result<Session, WireError> {
    let mut headers = vec![
        ("x-docker-expose-session-uuid", id.to_owned()),
        ("x-docker-expose-session-name", "release".to_owned()),
        // BuildKit takes files of one size and time for the same ones where sessions share a key; all of ours have the same time.
        ("x-docker-expose-session-sharedkey", id.to_owned()),
    ];
    let methods = METHODS.iter().chain(&store::METHODS);
    headers.extend(methods.map(|method| ("x-docker-expose-session-grpc-method", (*method).to_owned())));
    let io = wire::upgrade(endpoint, "/session", &headers).await?;
    let Lent { secrets, agents } = offer.lent;
    let routes = Routes::new(HealthServer::new(Alive))
        .add_service(AuthServer::new(Logins(offer.credentials)))
        .add_service(SecretsServer::new(Vault(secrets)))
        .add_service(SshServer::new(Agents(agents)))
        .add_service(FileSyncServer::new(offer.folders))
        .add_service(offer.stores)
        .prepare();
    let server = tokio::spawn(async move {
        let served = http2::Builder::new(TokioExecutor::new())
            .serve_connection(io, TowerToHyperService::new(routes))
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "the session of the build ended");
        }
    });
    Ok(Session { server })
}

/// BuildKit asks every few seconds whether we are still there.
struct Alive;

#[tonic::async_trait]
impl Health for Alive {
    type WatchStream = Answers<HealthCheckResponse>;

    async fn check(&self, _: Request<HealthCheckRequest>) -> Answer<HealthCheckResponse> {
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Answer<HealthListResponse> {
        Err(Status::unimplemented("only the whole is asked for"))
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Answer<Self::WatchStream> {
        Err(Status::unimplemented("health is asked for, not watched"))
    }
}

/// Credentials by registry.
struct Logins(BTreeMap<String, Credentials>);

#[tonic::async_trait]
impl Auth for Logins {
    /// Nobody is an answer too: the engine then asks the registry as nobody.
    async fn credentials(&self, request: Request<CredentialsRequest>) -> Answer<CredentialsResponse> {
        let host = request.into_inner().host;
        let host = if HUB.contains(&&*host) { "docker.io" } else { &*host };
        let answer = match self.0.get(host) {
            Some(Credentials::Basic { username, password }) => {
                CredentialsResponse { username: username.clone(), secret: password.expose().to_owned() }
            }
            Some(Credentials::IdentityToken(token)) => {
                CredentialsResponse { username: String::new(), secret: token.expose().to_owned() }
            }
            None => CredentialsResponse::default(),
        };
        Ok(Response::new(answer))
    }

    async fn fetch_token(&self, _: Request<FetchTokenRequest>) -> Answer<FetchTokenResponse> {
        Err(Status::unimplemented("tokens are fetched by the engine"))
    }

    async fn get_token_authority(
        &self,
        _: Request<GetTokenAuthorityRequest>,
    ) -> Answer<GetTokenAuthorityResponse> {
        Err(Status::unimplemented("tokens are fetched by the engine"))
    }

    async fn verify_token_authority(
        &self,
        _: Request<VerifyTokenAuthorityRequest>,
    ) -> Answer<VerifyTokenAuthorityResponse> {
        Err(Status::unimplemented("tokens are fetched by the engine"))
    }
}

/// Secrets by id.
struct Vault(BTreeMap<String, Hidden>);

#[tonic::async_trait]
impl Secrets for Vault {
    async fn get_secret(&self, request: Request<GetSecretRequest>) -> Answer<GetSecretResponse> {
        let id = request.into_inner().id;
        match self.0.get(&id) {
            Some(secret) => Ok(Response::new(GetSecretResponse { data: secret.0.clone() })),
            // A mount that is not `required` goes without it.
            None => Err(Status::not_found(format!("the build was given no secret `{id}`"))),
        }
    }
}

/// Sockets of SSH agents by id.
struct Agents(BTreeMap<String, PathBuf>);

impl Agents {
    fn socket(&self, id: &str) -> Result<&PathBuf, Status> {
        let id = if id.is_empty() { "default" } else { id };
        self.0.get(id).ok_or_else(|| Status::not_found(format!("the build was given no ssh agent `{id}`")))
    }
}

/// In which metadata the id of a forwarded agent comes.
const AGENT_ID: &str = "buildkit.ssh.id";

#[tonic::async_trait]
impl Ssh for Agents {
    type ForwardAgentStream = Answers<AgentBytes>;

    async fn check_agent(&self, request: Request<CheckAgentRequest>) -> Answer<CheckAgentResponse> {
        self.socket(&request.into_inner().id)?;
        Ok(Response::new(CheckAgentResponse {}))
    }

    async fn forward_agent(
        &self,
        request: Request<Streaming<AgentBytes>>,
    ) -> Answer<Self::ForwardAgentStream> {
        let id = request.metadata().get(AGENT_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
        let agent = connect(self.socket(id)?).await?;
        let requests = request.into_inner().map(|piece| piece.map(|piece| Bytes::from(piece.data)));
        let (sender, mut receiver) = mpsc::channel(agent::ANSWERS);
        tokio::spawn(agent::relay(requests, agent, sender));
        let answers = futures::stream::poll_fn(move |context| receiver.poll_recv(context));
        Ok(Response::new(Box::pin(answers.map(|answer| answer.map(|data| AgentBytes { data: data.into() })))))
    }
}

#[cfg(unix)]
async fn connect(socket: &PathBuf) -> Result<tokio::net::UnixStream, Status> {
    let failed = |error| Status::unavailable(format!("the ssh agent does not answer: {error}"));
    tokio::net::UnixStream::connect(socket).await.map_err(failed)
}

#[cfg(not(unix))]
async fn connect(_: &PathBuf) -> Result<tokio::io::DuplexStream, Status> {
    Err(Status::unimplemented("agents are reached by unix sockets only"))
}
