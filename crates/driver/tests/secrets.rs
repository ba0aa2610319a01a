//! Passwords and session cookies appear in no log, error or `Debug` output, whatever goes wrong.

mod common;

use std::io::Write;
use std::sync::{Arc, Mutex};

use esx_sim::{FaultPlan, Simulator};
use tracing_subscriber::fmt::MakeWriter;
use virt_api::{Domain, DomainXmlFlags, Driver as _, Hypervisor as _, ListAllDomainsFlags};

const PASSWORD: &str = "canary-pa55<&\"w0rd";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Remembers the cookie that it is given.
#[derive(Default)]
struct Cookies(Mutex<Vec<String>>);

impl esx_driver::SessionStore for Cookies {
    fn load(&self, _: &esx_driver::SessionKey) -> Option<virt_api::Secret> {
        None
    }
    fn save(&self, _: &esx_driver::SessionKey, session: &virt_api::Secret) {
        self.0.lock().unwrap().push(session.expose().to_owned());
    }
    fn remove(&self, _: &esx_driver::SessionKey) {}
}

#[tokio::test]
async fn no_secret_leaves_by_logs_errors_or_debug() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let cookies = Arc::new(Cookies::default());
    let mut told = String::new();
    for plan in [
        "",
        "cut-processed @Login",
        "corrupt @Login",
        "truncate @Login",
        "status=500 @Login",
        "type=text/html @Login",
        "expire #4",
        "corrupt #4+",
        "cut-body=40 #4+",
        "redirect=http://x/ #4+",
        "stall-body=20 @Login",
    ] {
        let sim = Simulator::builder().credentials("user", PASSWORD).start().await.unwrap();
        if !plan.is_empty() {
            let plan: FaultPlan = plan.parse().unwrap();
            sim.set_plan(move |arrival| plan.react(arrival));
        }
        let uri = format!("{}&idle_timeout=0.2", sim.uri());
        let options = || esx_driver::OpenOptions {
            sessions: Some(cookies.clone()),
            ..common::options(sim.password())
        };
        let mut add = |error: virt_api::Error| {
            told += &format!("{error:?} {}", error.chain().collect::<Vec<_>>().join(": "));
        };
        match esx_driver::open(&uri, options()).await {
            Err(error) => add(error),
            Ok(connection) => {
                let flags = ListAllDomainsFlags::empty();
                if let Err(error) = connection.connect_list_all_domains(flags).await {
                    add(error);
                }
                let gone = Domain { name: "web01".into(), uuid: uuid::Uuid::nil(), id: None };
                let xml = connection.domain_get_xml_desc(&gone, DomainXmlFlags::empty()).await;
                if let Err(error) = xml {
                    add(error);
                }
                let _ = connection.close().await;
            }
        }
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("Login"), "the bodies are there");
    let cookies = cookies.0.lock().unwrap();
    assert!(!cookies.is_empty());
    let values = cookies.iter().map(|cookie| {
        let value = cookie.split_once('=').map_or(cookie.as_str(), |(_, value)| value);
        value.trim_matches('"').to_owned()
    });
    for secret in values.chain(["canary-pa55".to_owned(), "w0rd".to_owned()]) {
        for (name, text) in [("log", &log), ("errors", &told)] {
            assert!(!text.contains(&secret), "{name} has {secret:?}");
        }
    }
}
