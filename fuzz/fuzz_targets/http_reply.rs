//! Any bytes that a server sends in answer to a call or to a `GET` of a file end in a reply within bounds, or in an error.
#![no_main]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use esx_vi_client::{ByteRange, Endpoint, Scheme, Timeouts, Transport};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

/// Most bytes of a reply that are kept.
const LIMIT: u64 = 1 << 16;

/// A client, and a server that answers each connection with the bytes of the moment and closes it.
struct Pair {
    runtime: Runtime,
    transport: Transport,
}

static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn pair() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the loopback");
        let port = listener.local_addr().expect("it is bound").port();
        std::thread::spawn(move || listener.incoming().flatten().for_each(answer));
        let mut endpoint = Endpoint::new(Scheme::Http, "127.0.0.1", port);
        endpoint.timeouts = Timeouts {
            connect: Duration::from_secs(5),
            idle: Some(Duration::from_secs(5)),
            ..endpoint.timeouts
        };
        endpoint.max_reply_bytes = LIMIT;
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let transport = Transport::new(endpoint).expect("a client");
        Pair { runtime, transport }
    })
}

fn answer(mut stream: TcpStream) {
    let mut request = [0; 4096];
    // The whole request is one segment; what is wrong with a connection is the client's to notice.
    let _ = stream.read(&mut request);
    let answer = ANSWER.lock().map(|answer| answer.clone()).unwrap_or_default();
    let _ = stream.write_all(&answer);
}

fuzz_target!(|bytes: &[u8]| {
    let Pair { runtime, transport } = pair();
    if let Ok(mut answer) = ANSWER.lock() {
        answer.clear();
        answer.extend_from_slice(bytes);
    }
    runtime.block_on(async {
        transport.clear_session();
        match transport.post("/sdk", "urn:vim25", "<x/>").await {
            Ok(reply) => assert!(reply.body.len() as u64 <= LIMIT),
            Err(error) => assert!(!error.to_string().contains(['\n', '\r'])),
        }
        let range = ByteRange { start: 0, length: NonZeroU64::new(100) };
        if let Ok(mut reply) = transport.get("/folder/a?dsName=d", Some(range)).await {
            assert!(matches!(reply.status, 200 | 206));
            while let Ok(Some(_)) = reply.body.chunk().await {}
        }
    });
});
