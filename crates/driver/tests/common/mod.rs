//! What the driver's tests share: a simulated host and a connection to it.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::sync::Arc;

use async_trait::async_trait;
use esx_driver::{Connection, Environment, OpenOptions};
use esx_sim::Running;
use virt_api::{AuthCallback, CredentialRequest, CredentialType, Secret};

/// Answers every question with the simulator's password.
pub(crate) struct Answer(pub(crate) String);

#[async_trait]
impl AuthCallback for Answer {
    fn credential_types(&self) -> &[CredentialType] {
        &[CredentialType::AuthName, CredentialType::NoEchoPrompt]
    }

    async fn answer(&self, requests: &[CredentialRequest]) -> virt_api::Result<Vec<Secret>> {
        Ok(requests
            .iter()
            .map(|r| match r.kind {
                CredentialType::AuthName => {
                    Secret::new(r.default_result.clone().unwrap_or_default())
                }
                _ => Secret::new(self.0.clone()),
            })
            .collect())
    }
}

/// Options that answer with `password` and look at no file of this machine.
pub(crate) fn options(password: &str) -> OpenOptions {
    OpenOptions {
        auth: Some(Arc::new(Answer(password.to_owned()))),
        environment: Some(Environment::default()),
        ..OpenOptions::default()
    }
}

/// Connects to a simulator; `query` is added to its URI.
pub(crate) async fn connect(sim: &Running, query: &str) -> Connection {
    esx_driver::open(&format!("{}{query}", sim.uri()), options(sim.password())).await.unwrap()
}

/// The methods of the requests since the last reset.
pub(crate) fn methods(sim: &Running) -> Vec<String> {
    let methods = sim.journal().into_iter().map(|entry| entry.method).collect();
    sim.reset_journal();
    methods
}
