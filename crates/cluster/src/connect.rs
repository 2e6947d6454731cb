//! Finding the right cluster, and proving that it is the right one.
//!
//! The context is always named by the caller; whatever a kubeconfig calls current is never used.

use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use release_core::ObjectRef;
use serde::{Deserialize, Serialize};

use crate::Clock;
use crate::api::{Api, ApiError, Call};

/// Connecting, TLS included. A cluster on the other side of the world answers in under a second.
const CONNECT: Duration = Duration::from_secs(10);

/// A connection that brings nothing for this long is dead: longer than the longest watch without a bookmark.
const READ: Duration = Duration::from_secs(60);

/// How long the first request of a command tries to reach the server. Somebody is waiting at a terminal.
const FIRST_CONTACT: Duration = Duration::from_secs(10);

/// A connection to one cluster and one namespace.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) api: Api,
    pub(crate) http: reqwest::Client,
    pub(crate) namespace: String,
    context: String,
}

/// How the cluster is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// A context of the kubeconfig (`KUBECONFIG`, else `~/.kube/config`).
    Context(String),
    /// The service account of the pod this process runs in.
    InCluster,
}

/// What makes a cluster, or a namespace in it, itself: a UID no other has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "of", content = "uid")]
pub enum Identity {
    /// The UID of the namespace `kube-system`.
    Cluster(String),
    /// The UID of the target namespace, where rights do not reach further.
    Namespace(String),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be read.
    #[error("cannot read the kubeconfig")]
    Kubeconfig {
        /// What is wrong with it.
        #[source]
        source: kube::config::KubeconfigError,
    },
    /// The kubeconfig has no such context.
    #[error("the kubeconfig has no context `{context}`; it has: {known}")]
    NoContext {
        /// The context that was asked for.
        context: String,
        /// The contexts there are.
        known: String,
    },
    /// Not in a pod, or the pod has no service account.
    #[error("no in-cluster credentials")]
    InCluster {
        /// What is missing.
        #[source]
        source: kube::config::InClusterError,
    },
    /// The client cannot be set up from this configuration.
    #[error("cannot set up a client for context `{context}`")]
    Client {
        /// The context.
        context: String,
        /// The reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The cluster does not answer.
    #[error("cluster of context `{context}` at {server} does not answer")]
    Unreachable {
        /// The context.
        context: String,
        /// The API server's URL.
        server: String,
        /// The transport's reason.
        #[source]
        source: Box<ApiError>,
    },
    /// The namespace does not exist.
    #[error("namespace `{namespace}` does not exist in the cluster of context `{context}`")]
    NoNamespace {
        /// The namespace.
        namespace: String,
        /// The context.
        context: String,
    },
    /// Credentials were refused.
    #[error("the cluster of context `{context}` does not accept the credentials")]
    Unauthorized {
        /// The context.
        context: String,
        /// The server's answer.
        #[source]
        source: Box<ApiError>,
    },
    /// Neither the cluster's nor the namespace's identity may be read.
    #[error("the account may not read namespace `{namespace}`, so the cluster cannot be identified")]
    NotIdentified {
        /// The namespace.
        namespace: String,
        /// The server's answer.
        #[source]
        source: Box<ApiError>,
    },
}

impl Cluster {
    /// Connects to `namespace` of a cluster. Nothing is sent yet.
    ///
    /// # Errors
    /// When the kubeconfig or the context does not exist or is unusable.
    pub async fn connect(access: &Access, namespace: &str, clock: Clock) -> Result<Self, ConnectError> {
        let (mut config, context) = match access {
            Access::Context(context) => (from_context(context).await?, context.clone()),
            Access::InCluster => {
                let config = Config::incluster().map_err(|source| ConnectError::InCluster { source })?;
                (config, "in-cluster".to_owned())
            }
        };
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(READ);
        // Its retries know no deadline and repeat writes whose outcome is unknown; ours do not.
        config.default_retry = false;
        let server = config.cluster_url.to_string();
        let fail = |source| ConnectError::Client { context: context.clone(), source };
        let client = Client::try_from(config).map_err(|error| fail(Box::new(error)))?;
        let cluster =
            Self::from_client(client, namespace, &context, clock).map_err(|error| fail(Box::new(error)))?;
        cluster.first_contact(&server).await?;
        Ok(cluster)
    }

    /// Wraps a client that exists already, for instance one of an in-process server.
    ///
    /// # Errors
    /// When no HTTP client for URL checks can be set up.
    pub fn from_client(
        client: Client,
        namespace: &str,
        context: &str,
        clock: Clock,
    ) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let api = Api::new(client, clock);
        Ok(Self { api, http, namespace: namespace.to_owned(), context: context.to_owned() })
    }

    /// Speaks to a service that answers as an API server does, in the same process and without a network.
    ///
    /// # Errors
    /// As [`Cluster::from_client`].
    pub fn from_service<S, B>(
        service: S,
        namespace: &str,
        context: &str,
        clock: Clock,
    ) -> Result<Self, reqwest::Error>
    where
        S: tower::Service<http::Request<kube::client::Body>, Response = http::Response<B>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<tower::BoxError>,
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<tower::BoxError>,
    {
        Self::from_client(Client::new(service, namespace), namespace, context, clock)
    }

    /// The namespace everything is in.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The context that was asked for.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// The clocks it was given.
    pub fn clock(&self) -> &Clock {
        &self.api.clock
    }

    async fn first_contact(&self, server: &str) -> Result<(), ConnectError> {
        let call = Call::get("the server's version", "/version".to_owned()).patience(FIRST_CONTACT);
        match self.api.json(&call).await {
            Err(error) if error.is_code(401) => {
                Err(ConnectError::Unauthorized { context: self.context.clone(), source: Box::new(error) })
            }
            // An account that may not read the version still speaks to the right kind of server.
            Ok(_) | Err(ApiError::Refused { .. }) => Ok(()),
            Err(source) => Err(ConnectError::Unreachable {
                context: self.context.clone(),
                server: server.to_owned(),
                source: Box::new(source),
            }),
        }
    }

    /// The server's version, `v1.36.1`, if it may be read.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn version(&self) -> Result<String, ApiError> {
        let version = self.api.json(&Call::get("the server's version", "/version".to_owned())).await?;
        Ok(version["gitVersion"].as_str().unwrap_or("unknown").to_owned())
    }

    /// Who the cluster is, as far as the account's rights reach, and that the namespace exists.
    ///
    /// # Errors
    /// When the namespace does not exist, or neither identity may be read.
    pub async fn identity(&self) -> Result<Identity, ConnectError> {
        let uid = |value: &serde_json::Value| value["metadata"]["uid"].as_str().map(str::to_owned);
        let namespace =
            ObjectRef { namespace: None, ..ObjectRef::new("v1", "Namespace", "", &self.namespace) };
        let own = match self.api.get(&namespace).await {
            Ok(Some(value)) => uid(&value),
            Ok(None) => {
                return Err(ConnectError::NoNamespace {
                    namespace: self.namespace.clone(),
                    context: self.context.clone(),
                });
            }
            Err(error) if error.is_code(403) => None,
            Err(error) if error.is_code(401) => {
                return Err(ConnectError::Unauthorized {
                    context: self.context.clone(),
                    source: Box::new(error),
                });
            }
            Err(source) => {
                return Err(ConnectError::NotIdentified {
                    namespace: self.namespace.clone(),
                    source: Box::new(source),
                });
            }
        };
        let system = ObjectRef { namespace: None, ..ObjectRef::new("v1", "Namespace", "", "kube-system") };
        match (self.api.get(&system).await, own) {
            (Ok(Some(value)), own) => match (uid(&value), own) {
                (Some(uid), _) => Ok(Identity::Cluster(uid)),
                (None, own) => Ok(Identity::Namespace(own.unwrap_or_default())),
            },
            (_, Some(own)) => Ok(Identity::Namespace(own)),
            (Ok(None), None) => Err(ConnectError::NoNamespace {
                namespace: "kube-system".to_owned(),
                context: self.context.clone(),
            }),
            (Err(source), None) => Err(ConnectError::NotIdentified {
                namespace: self.namespace.clone(),
                source: Box::new(source),
            }),
        }
    }
}

async fn from_context(context: &str) -> Result<Config, ConnectError> {
    let kubeconfig = Kubeconfig::read().map_err(|source| ConnectError::Kubeconfig { source })?;
    if !kubeconfig.contexts.iter().any(|known| known.name == context) {
        let known: Vec<_> = kubeconfig.contexts.iter().map(|known| known.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(ConnectError::NoContext { context: context.to_owned(), known });
    }
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|source| ConnectError::Kubeconfig { source })
}
