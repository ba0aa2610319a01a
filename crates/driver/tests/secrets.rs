//! Passwords and session cookies appear in no log, error or `Debug` output, whatever goes wrong.
//!
//! One test in a program of its own, since loggers are the process's: it hears all levels of `tracing` and of `log`, which our
//! dependencies use.

mod common;

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use esx_driver::{Connection, OpenOptions, SessionKey, SessionStore};
use esx_sim::{FaultPlan, FileContent, Preset, Running, Simulator};
use tracing_subscriber::fmt::MakeWriter;
use virt_api::{
    Chunk, Definitions, DomainEventId, DomainXmlFlags, Driver as _, Error, Hypervisor as _,
    ListAllDomainsFlags, NoFlags, Result, Secret, Storage as _, StorageVol,
    StorageVolTransferFlags,
};

const USER: &str = "user";
const PASSWORD: &str = "canary-pa55<&\"w0rd";
/// A password that the host does not take is as secret as one that it takes.
const WRONG: &str = "canary-mi5taken";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
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

/// What crates say that use `log`.
impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        let _ = writeln!(self.clone(), "log: {} {}", record.target(), record.args());
    }
    fn flush(&self) {}
}

/// A saved session, as `--session-cache` has it.
#[derive(Debug, Default)]
struct Cache(Mutex<Option<Secret>>);

impl SessionStore for Cache {
    fn load(&self, _: &SessionKey) -> Option<Secret> {
        self.0.lock().unwrap().clone()
    }
    fn save(&self, _: &SessionKey, session: &Secret) {
        *self.0.lock().unwrap() = Some(session.clone());
    }
    fn remove(&self, _: &SessionKey) {
        *self.0.lock().unwrap() = None;
    }
}

/// All that was said: errors with their sources, in both ways of writing them.
#[derive(Default)]
struct Told(String);

impl Told {
    fn hear<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(good) => Some(good),
            Err(error) => {
                self.error(&error);
                None
            }
        }
    }

    fn error(&mut self, error: &Error) {
        let chain = error.chain().collect::<Vec<_>>().join(": ");
        self.0 += &format!("{error:?} {error:#?} {chain}\n");
    }
}

/// What can be done on a connection; each may fail.
async fn use_it(connection: &Connection, told: &mut Told) {
    let volume = |name: &str| StorageVol {
        pool: "datastore1".to_owned(),
        name: name.to_owned(),
        key: format!("[datastore1] {name}"),
    };
    told.hear(connection.connect_list_all_domains(ListAllDomainsFlags::empty()).await);
    if let Some(domain) = told.hear(connection.domain_lookup_by_name("web01").await) {
        told.hear(connection.domain_get_xml_desc(&domain, DomainXmlFlags::SECURE).await);
        told.hear(connection.domain_suspend(&domain).await);
        // The picture is fetched with HTTP's basic authentication.
        if let Some(shot) =
            told.hear(connection.domain_screenshot(&domain, 0, NoFlags::empty()).await)
        {
            while let Some(Some(_)) = told.hear(shot.stream.recv().await) {}
        }
    }
    let flags = StorageVolTransferFlags::empty();
    if let Some(stream) =
        told.hear(connection.storage_vol_download(&volume("vol/a.img"), 0, 0, flags).await)
    {
        while let Some(Some(_)) = told.hear(stream.recv().await) {}
    }
    if let Some(stream) =
        told.hear(connection.storage_vol_upload(&volume("vol/a.img"), 0, 5, flags).await)
    {
        told.hear(stream.send(Chunk::Data(Bytes::from_static(b"bytes"))).await);
        told.hear(stream.finish().await);
    }
    let events = connection.connect_domain_event_register_any(None, DomainEventId::Lifecycle);
    told.hear(events.await.map(drop));
    told.0 += &format!("{:?} {:?}\n", connection.warnings(), connection.traffic());
}

struct Scene {
    name: &'static str,
    sim: Running,
    /// What stands in place of the simulator's own query, if anything does.
    query: Option<String>,
    plan: &'static str,
    password: &'static str,
}

async fn scenes() -> Vec<Scene> {
    const PLANS: [&str; 21] = [
        "",
        "cut-processed @Login",
        "cut-body=40 @Login",
        "corrupt @Login",
        "truncate @Login",
        "status=500 @Login",
        "type=text/html @Login",
        "redirect=http://127.0.0.1:9/ @Login",
        "gzip @Login",
        "stall-body=20 @Login",
        "expire #4",
        "expire @PUT; expire @GET #2",
        "expire #3+",
        "restart #5",
        "corrupt #4+",
        "cut-body=40 #4+",
        "redirect=http://127.0.0.1:9/ #4+",
        "redirect=http://127.0.0.1:9/ @GET #1+; redirect=http://127.0.0.1:9/ @PUT #1+",
        "status=401 @GET #1+; status=401 @PUT #1+",
        "status=503 #4+",
        "status=404 @Logout",
    ];
    let builder = || Simulator::builder().credentials(USER, PASSWORD);
    let mut scenes = Vec::new();
    let mut add = |name, sim, query: Option<&str>, plan, password| {
        scenes.push(Scene { name, sim, query: query.map(str::to_owned), plan, password });
    };
    for plan in PLANS {
        add("plan", builder().start().await.unwrap(), None, plan, PASSWORD);
    }
    let tls = async || builder().tls(true).start().await.unwrap();
    add("TLS", tls().await, None, "", PASSWORD);
    add("TLS, session ends", tls().await, None, "expire #4", PASSWORD);
    add("untrusted certificate", tls().await, Some(""), "", PASSWORD);
    add("nobody verified", tls().await, Some("no_verify=1"), "", PASSWORD);
    let other = builder().wrong_certificate().start().await.unwrap();
    add("another certificate", other, None, "", PASSWORD);
    add("wrong password", builder().start().await.unwrap(), None, "", WRONG);
    let vcenter = builder().preset(Preset::VCenter).start().await.unwrap();
    add("vCenter", vcenter, None, "", PASSWORD);
    for proxy in [
        "proxy=127.0.0.1:9",
        "proxy=socks5://127.0.0.1:9",
        "proxy=http://somebody:canary-proxy@127.0.0.1:9",
        "proxy=canary-proxy@127.0.0.1",
    ] {
        let query = format!("transport=http&{proxy}");
        add("proxy", builder().start().await.unwrap(), Some(&query), "", PASSWORD);
    }
    scenes
}

#[tokio::test]
async fn no_secret_leaves_by_logs_errors_or_debug() {
    let log = Log::default();
    log::set_boxed_logger(Box::new(log.clone())).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let mut secrets = vec![
        "canary".to_owned(),
        "pa55".to_owned(),
        "w0rd".to_owned(),
        "mi5taken".to_owned(),
        "canary-proxy".to_owned(),
    ];
    for password in [PASSWORD, WRONG] {
        secrets.push(esx_escape::base64::encode(password.as_bytes()));
        let basic = esx_escape::base64::encode(format!("{USER}:{password}").as_bytes());
        // Its beginning is no secret; bytes may be shown as numbers.
        secrets.push(basic[8..].trim_end_matches('=').to_owned());
        secrets.push(numbers(password));
    }
    let mut told = Told::default();
    let mut logins = 0;
    for scene in scenes().await {
        let Scene { name, sim, query, plan, password } = scene;
        sim.model()
            .change(|m| m.add_content("datastore1", "vol/a.img", FileContent::generated(1, 5000)));
        if !plan.is_empty() {
            let plan: FaultPlan = plan.parse().unwrap();
            sim.set_plan(move |arrival| plan.react(arrival));
        }
        let mut uri = sim.uri();
        if let Some(query) = query {
            let start = uri.split('?').next().unwrap_or_default().to_owned();
            uri = format!("{start}?{query}");
        }
        let sign = if uri.ends_with('?') { "" } else { "&" };
        let uri = format!("{uri}{sign}idle_timeout=0.2&total_timeout=20");
        let cache = Arc::new(Cache::default());
        // Once more with the session that was saved, and once with one that the host does not know any more.
        for round in 0..3 {
            let options = OpenOptions {
                sessions: (round > 0).then(|| Arc::clone(&cache) as Arc<dyn SessionStore>),
                ..common::options(password)
            };
            match esx_driver::open(&uri, options).await {
                Err(error) => told.error(&error),
                Ok(connection) => {
                    use_it(&connection, &mut told).await;
                    told.hear(connection.close().await);
                }
            }
            told.0 += &format!("{name} {cache:?}\n");
            if round == 1 {
                sim.model().change(|m| m.expire_sessions());
            }
        }
        let cookies = sim.model().read(|m| m.session_cookies().to_vec());
        logins += cookies.len();
        for cookie in cookies {
            secrets.push(numbers(&cookie));
            secrets.push(esx_escape::base64::encode(cookie.as_bytes()));
            secrets.push(cookie);
        }
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for (text, expected) in [
        (&log, "<password>(hidden)</password>"),
        (&log, "log: reqwest"),
        (&log, "status=503"),
        (&told.0, "user name or password is wrong"),
        (&told.0, "thumbprint"),
        (&told.0, "HTTP status 401"),
        (&told.0, "proxy"),
        (&told.0, "data: Some("),
    ] {
        assert!(text.contains(expected), "{expected:?} shows that the case was there");
    }
    assert!(logins > 30, "{logins} sessions were opened");
    for secret in secrets {
        for (name, text) in [("log", &log), ("errors", &told.0)] {
            if let Some(at) = text.find(&secret) {
                let from = text[..at].rfind('\n').map_or(0, |end| end + 1);
                let line: String = text[from..].chars().take(at - from + 200).collect();
                panic!("{name} has {secret:?}: {line}");
            }
        }
    }
}

/// As `Debug` writes a list of bytes.
fn numbers(text: &str) -> String {
    let list: Vec<String> = text.bytes().take(8).map(|byte| byte.to_string()).collect();
    list.join(", ")
}
