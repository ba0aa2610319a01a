//! Who may call what.

use super::*;

#[test]
fn who_is_not_logged_in_sees_nearly_nothing() {
    let mut client = Client::new(Preset::Esx);
    let instance = service::instance();
    assert!(
        client
            .result(instance.clone(), "RetrieveServiceContent", Object::new(""))
            .unwrap()
            .is_some()
    );
    let refused = Err("NotAuthenticated".to_owned());
    assert_eq!(client.result(instance.clone(), "CurrentTime", Object::new("")), refused);
    assert_eq!(client.result(client.manager("sessionManager"), "Logout", Object::new("")), refused);
    let machines = filter(properties("VirtualMachine", &["name"]), root(&client.machine("web01")));
    assert_eq!(client.retrieve(machines).unwrap_err(), "NotAuthenticated");
    // Whoever asks for the current session learns that there is none; a walk from there leads nowhere.
    let manager = client.manager("sessionManager");
    let session = filter(properties("SessionManager", &["currentSession"]), root(&manager));
    let found = client.retrieve(session.clone()).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(value(&found[0], "currentSession"), None);
    let walk = traversal("x", "ServiceInstance", "content.rootFolder");
    let walk = filter(properties("Folder", &["name"]), select(root(&instance), vec![walk]));
    assert_eq!(client.retrieve(walk).unwrap_err(), "NotAuthenticated");

    let wrong = Object::new("").with("userName", "user").with("password", "Pass");
    assert_eq!(client.call(manager, "Login", wrong).unwrap_err().detail.type_name, "InvalidLogin");
    client.login();
    assert!(client.retrieve(session).unwrap()[0].get("propSet").is_some());
}

#[test]
fn idle_sessions_end_and_accesses_renew_them() {
    let mut client = Client::logged_in(Preset::Esx);
    client.model.set_session_idle_timeout(Duration::from_secs(100));
    let now =
        |client: &mut Client| client.result(service::instance(), "CurrentTime", Object::new(""));
    for _ in 0..3 {
        client.now = client.now.after(Duration::from_secs(99));
        assert!(now(&mut client).is_ok());
    }
    client.now = client.now.after(Duration::from_secs(101));
    assert_eq!(now(&mut client), Err("NotAuthenticated".to_owned()));
    client.login();
    assert!(now(&mut client).is_ok());
    client.model.expire_sessions();
    assert!(now(&mut client).is_err());
    client.login();
    assert_eq!(
        client.result(client.manager("sessionManager"), "Logout", Object::new("")),
        Ok(None)
    );
    assert!(now(&mut client).is_err());
    assert_eq!(client.model.session_count(), 0);
}

#[test]
fn sessions_are_known_by_key_and_user() {
    let mut client = Client::logged_in(Preset::Esx);
    let key = client.model.session_key(client.cookie.as_deref().unwrap()).unwrap().to_owned();
    assert_ne!(Some(key.as_str()), client.cookie.as_deref(), "the cookie stays a secret");
    let manager = client.manager("sessionManager");
    for (id, user, active) in
        [(key.as_str(), "user", true), (key.as_str(), "other", false), ("x", "user", false)]
    {
        let args = Object::new("").with("sessionID", id).with("userName", user);
        assert_eq!(
            client.result(manager.clone(), "SessionIsActive", args),
            Ok(Some(active.into()))
        );
    }
}

#[test]
fn calls_that_make_no_sense() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("web01");
    for (this, method, expect) in [
        (machine.clone(), "Nonsense", "MethodNotFound"),
        (machine.clone(), "Login", "MethodNotFound"),
        (machine.clone(), "RefreshStorageInfo", "NotSupported"),
        (MoRef::new("VirtualMachine", "4711"), "RefreshStorageInfo", "ManagedObjectNotFound"),
        (MoRef::new("SearchIndex", "ha-searchindex"), "FindByIp", "InvalidRequest"),
        (MoRef::default(), "RetrieveServiceContent", "ManagedObjectNotFound"),
    ] {
        let result = client.result(this.clone(), method, Object::new(""));
        assert_eq!(result, Err(expect.to_owned()), "{this} {method}");
    }
}
