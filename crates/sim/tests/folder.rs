//! Datastore files over real sockets, by hand.

mod common;

use common::{Client, exchange, send};
use esx_sim::{Preset, Simulator};

const WEB01: &str = "/folder/web01%2Fweb01.vmx?dcPath=ha-datacenter&dsName=datastore1";

#[tokio::test]
async fn a_session_or_a_password_is_needed() {
    let sim = Simulator::builder().start().await.unwrap();
    let answer = send(sim.address(), "GET", WEB01, &[], "").await;
    assert_eq!(answer.status, 401);
    assert!(answer.header("WWW-Authenticate").unwrap().starts_with("Basic realm="));
    // user:wrong
    let answer =
        send(sim.address(), "GET", WEB01, &["Authorization: Basic dXNlcjp3cm9uZw=="], "").await;
    assert_eq!(answer.status, 401);
    assert_eq!(sim.model().read(|model| model.session_count()), 0);

    // user:pass: a session of its own for each request.
    for count in 1..=3 {
        let answer =
            send(sim.address(), "GET", WEB01, &["Authorization: basic dXNlcjpwYXNz"], "").await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("Set-Cookie").unwrap().starts_with("vmware_soap_session=\""));
        assert_eq!(sim.model().read(|model| model.session_count()), count);
    }
    let client = Client::logged_in(&sim, None).await;
    let answer = client.get(WEB01, "").await;
    assert_eq!((answer.status, answer.header("Set-Cookie")), (200, None));
    assert!(answer.text().contains("displayName = \"web01\"\n"));
    assert_eq!(sim.model().read(|model| model.session_count()), 4);
}

#[tokio::test]
async fn files_in_every_spelling() {
    let sim = Simulator::builder().start().await.unwrap();
    let client = Client::logged_in(&sim, None).await;
    for (target, status) in [
        (WEB01, 200),
        ("/folder/web01/web01.vmx?dcPath=ha-datacenter&dsName=datastore1", 200),
        ("/folder/web01%2Fweb01.vmx?dsName=datastore1", 200),
        ("/folder/secure-win%2Fsecure-win.vmx?dcPath=ha-datacenter&dsName=fast%2520%252B1", 200),
        ("/folder/secure-win%2Fsecure-win.vmx?dcPath=ha%252Ddatacenter&dsName=fast%20%2B1", 200),
        ("/folder/secure-win%2Fsecure-win.vmx?dcPath=ha-datacenter&dsName=fast++1", 404),
        (
            "/folder/C%2BKys-%20build%20%2BKw-1%2FC%2BKys-%20build%20%2BKw-1.vmx?dcPath=ha-datacenter&dsName=fast%2520%252B1",
            200,
        ),
        ("/folder/web01%2Fweb01.vmx?dcPath=other&dsName=datastore1", 404),
        ("/folder/web01%2Fweb01.vmx?dcPath=ha-datacenter&dsName=other", 404),
        ("/folder/web01%2Fother.vmx?dcPath=ha-datacenter&dsName=datastore1", 404),
        ("/folder/lost%2Flost.vmx?dcPath=ha-datacenter&dsName=datastore1", 404),
        ("/folder/../../etc/passwd?dcPath=ha-datacenter&dsName=datastore1", 404),
        ("/folder/%zz%ff?dcPath=%&dsName=%ff", 404),
    ] {
        let answer = client.get(target, "").await;
        assert_eq!(answer.status, status, "{target}");
    }
}

#[tokio::test]
async fn heads_and_ranges() {
    let sim = Simulator::builder().start().await.unwrap();
    let client = Client::logged_in(&sim, None).await;
    let whole = client.get(WEB01, "").await;
    let total = whole.body.len();
    assert_eq!(whole.header("Accept-Ranges"), Some("bytes"));

    let part = client.get(WEB01, "Range: bytes=10-19").await;
    assert_eq!((part.status, &part.body[..]), (206, &whole.body[10..20]));
    assert_eq!(part.header("Content-Range"), Some(format!("bytes 10-19/{total}").as_str()));
    let rest = client.get(WEB01, "Range: bytes=100-").await;
    assert_eq!(&rest.body[..], &whole.body[100..]);
    let beyond = client.get(WEB01, "Range: bytes=1000000-").await;
    assert_eq!(
        (beyond.status, beyond.header("Content-Range")),
        (416, Some(format!("bytes */{total}").as_str()))
    );

    let cookie = format!("Cookie: {}", client.cookie.as_ref().unwrap());
    let head = send(sim.address(), "HEAD", WEB01, &[&cookie], "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("Content-Length"), Some(total.to_string().as_str()));
    assert_eq!(send(sim.address(), "POST", WEB01, &[&cookie], "x").await.status, 405);
}

#[tokio::test]
async fn uploads_need_a_length_and_a_directory() {
    let sim = Simulator::builder().start().await.unwrap();
    let client = Client::logged_in(&sim, None).await;
    let cookie = format!("Cookie: {}", client.cookie.as_ref().unwrap());
    let query = "dcPath=ha-datacenter&dsName=datastore1";
    let target = format!("/folder/iso/new.iso?{query}");
    let change = async |method: &str, target: &str| {
        send(sim.address(), method, target, &[&cookie], "hello").await.status
    };
    assert_eq!(change("PUT", &target).await, 201);
    assert_eq!(change("PUT", &target).await, 200);
    assert_eq!(client.get(&target, "").await.body, b"hello");
    assert_eq!(change("PUT", &format!("/folder/no/new.iso?{query}")).await, 404);
    assert_eq!(change("PUT", WEB01).await, 403); // belongs to a machine
    assert_eq!(change("DELETE", &target).await, 200);
    assert_eq!(change("DELETE", &target).await, 404);
    let anonymous = send(sim.address(), "PUT", &target, &[], "x").await;
    assert_eq!(anonymous.status, 401);
    for (header, status) in [("", 411), ("Transfer-Encoding: chunked\r\n", 501)] {
        let body = if header.is_empty() { "" } else { "1\r\nx\r\n0\r\n\r\n" };
        let request = format!(
            "PUT {target} HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n{cookie}\r\n{header}\r\n{body}"
        );
        let stream = tokio::net::TcpStream::connect(sim.address()).await.unwrap();
        assert_eq!(exchange(stream, request.as_bytes()).await.status, status, "{header}");
    }
}

#[tokio::test]
async fn listings() {
    let sim = Simulator::builder().preset(Preset::VCenter).start().await.unwrap();
    sim.model().change(|model| assert!(model.add_file("shared", "a & b/<c>.txt", b"text")));
    let basic = "Authorization: Basic dXNlcjpwYXNz";
    let get = async |target: &str| send(sim.address(), "GET", target, &[basic], "").await;
    let root = get("/folder").await;
    assert!(root.header("Content-Type").unwrap().starts_with("text/html"));
    assert!(root.text().contains("Europe%2fWest/dc 2/"));
    assert!(get("/folder?dcPath=dc1").await.text().contains(">shared/</a>"));
    let directory = get("/folder/a%20%26%20b?dcPath=dc1&dsName=shared").await;
    assert!(
        directory.text().contains("&lt;c&gt;.txt</a></td><td align=\"right\">4</td>"),
        "{}",
        directory.text()
    );
    let file = get("/folder/a%20%26%20b/%3Cc%3E.txt?dcPath=dc1&dsName=shared").await;
    assert_eq!(file.body, b"text");
    let nested = get(
        "/folder/remote-vm%2Fremote-vm.vmx?dcPath=Europe%25252fWest%252Fdc%25202&dsName=remote",
    )
    .await;
    assert_eq!(nested.status, 200);
}
