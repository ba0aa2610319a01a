//! Facts about servers that `docs/server-facts.md` numbers, each as the client meets it.

use esx_sim::{FaultPlan, JournalEntry, Running, Simulator};
use esx_vi_client::{Client, Endpoint, Retrieval, Scheme, traversal};

async fn client(sim: &Running) -> Client {
    let address = sim.address();
    let endpoint = Endpoint::new(Scheme::Http, address.ip().to_string(), address.port());
    let client = Client::connect(endpoint).await.unwrap();
    client.login(sim.username(), sim.password()).await.unwrap();
    client
}

/// Every machine of the host with these properties.
fn machines(client: &Client, paths: &[&str]) -> Retrieval {
    let step = |name: &str, kind: &str, path: &str, then| traversal(name, kind, path, then);
    let vms = step("d", "Folder", "childEntity", vec![]);
    let folder = step("c", "Datacenter", "vmFolder", vec![vms]);
    Retrieval::from(&client.content().root_folder)
        .via([step("r", "Folder", "childEntity", vec![folder])])
        .read("VirtualMachine", paths.iter().copied())
}

fn body(entry: &JournalEntry) -> String {
    String::from_utf8_lossy(entry.body.as_deref().unwrap_or_default()).into_owned()
}

/// Fact 26: English is asked for at the login, so that messages do not depend on the host's language.
#[tokio::test]
async fn the_login_asks_for_english() {
    let sim = Simulator::builder().record_bodies(true).start().await.unwrap();
    client(&sim).await;
    let login = sim.journal().into_iter().find(|entry| entry.method == "Login").unwrap();
    assert!(body(&login).contains("<locale>en_US</locale>"));
}

/// Fact 8: every request but the first names the version, or the host would speak its oldest.
#[tokio::test]
async fn every_request_names_the_version() {
    let sim = Simulator::builder().start().await.unwrap();
    let client = client(&sim).await;
    client.retrieve(&machines(&client, &["name"])).await.unwrap();
    client.logout().await.unwrap();
    let actions: Vec<_> = sim.journal().into_iter().map(|entry| entry.soap_action).collect();
    assert_eq!(actions[0].as_deref(), Some("urn:vim25"));
    assert!(actions[1..].iter().all(|a| a.as_deref() == Some("urn:vim25/8.0.2.0")), "{actions:?}");
}

/// Fact 24: a compressed reply is a reply.
#[tokio::test]
async fn compressed_replies_are_read() {
    let sim = Simulator::builder().vms(50).start().await.unwrap();
    let client = client(&sim).await;
    let retrieval = machines(&client, &["name"]);
    let plain = client.retrieve(&retrieval).await.unwrap().objects.len();
    let plan: FaultPlan = "gzip #1+".parse().unwrap();
    sim.set_plan(move |arrival| plan.react(arrival));
    assert!(plain >= 50);
    assert_eq!(client.retrieve(&retrieval).await.unwrap().objects.len(), plain);
}

/// Fact 25: characters that XML forbids, in names that people pasted, spoil no page.
#[tokio::test]
async fn forbidden_characters_spoil_no_page() {
    let sim = Simulator::builder().vms(3).start().await.unwrap();
    let machine = sim.model().read(|m| m.machine("vm-00002")).unwrap();
    sim.model().change(|m| m.rename(&machine, "pasted \u{b}\u{1f}\u{fffe} name"));
    let client = client(&sim).await;
    let found = client.retrieve(&machines(&client, &["name"])).await.unwrap();
    assert!(found.objects.len() >= 3);
    let row = found.objects.iter().find(|row| row.moref == machine).unwrap();
    let name: String = row.require("name").unwrap();
    assert!(name.starts_with("pasted ") && name.ends_with(" name"), "{name:?}");
}

/// Fact 33: a property that this host does not have is left out, and the rest is asked for again.
#[tokio::test]
async fn properties_that_a_host_does_not_have_are_left_out() {
    let sim = Simulator::builder().vms(2).start().await.unwrap();
    let client = client(&sim).await;
    sim.reset_journal();
    let asked = machines(&client, &["name", "config.ofVersion99", "runtime.powerState"]);
    let found = client.retrieve(&asked).await.unwrap();
    assert!(found.withheld.iter().any(|path| path.contains("config.ofVersion99")), "{found:?}");
    assert!(found.objects.iter().any(|row| row.require::<String>("name").is_ok()));
    assert_eq!(sim.requests(), 2);
}

/// Facts 7 and 23: pages are followed to their end though nobody asked for them, with machines on them that have no
/// configuration.
#[tokio::test]
async fn pages_are_followed_to_their_end() {
    let sim = Simulator::builder().vms(25).page_size(10).start().await.unwrap();
    let victim = sim.model().read(|m| m.machine("vm-00007")).unwrap();
    sim.model().change(|m| m.set_accessible(&victim, false));
    let client = client(&sim).await;
    let found =
        client.retrieve(&machines(&client, &["name", "config.instanceUuid"])).await.unwrap();
    let machines = sim.model().read(|m| m.machines().len());
    assert_eq!(found.of("VirtualMachine").count(), machines);
    let row = found.objects.iter().find(|row| row.moref == victim).unwrap();
    assert_eq!(row.get_lenient::<String>("config.instanceUuid").unwrap(), None);
}

/// Fact 2: a restart of the server is noticed by the connection or by the session, and healed by a read.
#[tokio::test]
async fn a_restarted_server_is_logged_in_to_again() {
    let sim = Simulator::builder().vms(3).start().await.unwrap();
    let client = client(&sim).await;
    let plan: FaultPlan = "restart".parse().unwrap();
    sim.set_plan(move |arrival| plan.react(arrival));
    sim.reset_journal();
    client.retrieve(&machines(&client, &["name"])).await.unwrap();
    let logins = sim.journal().iter().filter(|entry| entry.method == "Login").count();
    assert_eq!((logins, sim.model().read(|m| m.session_count())), (1, 1));
}
