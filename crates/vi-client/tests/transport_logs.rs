//! What the transport logs. A binary of its own: a subscriber sees all only if no other test makes callers of `tracing` known
//! beside it.

mod transport_support;

use std::sync::{Arc, Mutex};

use esx_vi_client::{Scheme, Transport};
use transport_support::{Action, Server, reply};

const OK: &str = "200 OK";

/// What a subscriber to everything would see.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn logs_hold_no_secrets() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = Server::plain(|nth| {
        let cookie = &["Set-Cookie: vmware_soap_session=\"canary\"; Path=/"];
        let body = "<returnval><key>canary</key><userName>root</userName></returnval>";
        match nth {
            0 => Action::Send(reply(OK, cookie, body)),
            1 => Action::Send(reply(OK, &[], "vmx")),
            2 => Action::Send(reply("404 Not Found", &[], "no")),
            _ => Action::SendAndClose(Vec::new()),
        }
    })
    .await;
    let transport = Transport::new(server.endpoint(Scheme::Http)).unwrap();
    let login = "<Login><userName>root</userName><password>canary</password></Login>";
    transport.post("/sdk", "a", login).await.unwrap();
    for _ in 0..3 {
        let _ = transport.get_bytes("/nfc/canary/disk.vmdk?ticket=canary", 100).await;
    }
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!text.contains("canary"), "{text}");
    for expected in [
        "<password>(hidden)</password>",
        "<key>(hidden)</key>",
        "/nfc/hidden/disk.vmdk",
        "status=404",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
}
