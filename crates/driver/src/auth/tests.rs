//! Where credentials come from, and what is said when they do not come.

use std::sync::Mutex;

use virt_api::{ErrorCode, ErrorDomain};

use super::*;

const FILE: &str = "[auth-esx-h]\ncredentials=one\n[auth-esx-default]\ncredentials=two\n\
    [auth-esx-half]\ncredentials=half\n[auth-esx-::1]\ncredentials=one\n\
    [credentials-one]\nusername=alice\npassword=canary-1\n[credentials-two]\nusername=bob\npassword=canary-2\n\
    [credentials-half]\nusername=carol\n\
    [auth-esx-nokey]\nx=y\n[auth-esx-nogroup]\ncredentials=missing\n";

/// A folder that stands for `/etc`, `~` and everything else.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn environment(&self) -> Environment {
        Environment {
            libvirt_auth_file: None,
            xdg_config_home: None,
            home: Some(self.0.path().join("home")),
            etc_dir: self.0.path().join("etc"),
        }
    }

    /// Without the folder's name, which differs in each run.
    fn plain(&self, text: impl ToString) -> String {
        text.to_string().replace(&self.0.path().display().to_string(), "FOLDER")
    }
}

/// A person with these answers, who remembers the questions.
#[derive(Default)]
struct Person {
    types: Vec<CredentialType>,
    answers: Mutex<Vec<virt_api::Result<Vec<Secret>>>>,
    asked: Mutex<Vec<CredentialRequest>>,
}

impl Person {
    fn new(types: &[CredentialType], answers: &[&str]) -> Self {
        let answers = answers.iter().rev().map(|answer| Ok(vec![Secret::new(*answer)])).collect();
        Self { types: types.to_vec(), answers: Mutex::new(answers), asked: Mutex::default() }
    }
}

#[async_trait::async_trait]
impl AuthCallback for Person {
    fn credential_types(&self) -> &[CredentialType] {
        &self.types
    }

    async fn answer(&self, requests: &[CredentialRequest]) -> virt_api::Result<Vec<Secret>> {
        self.asked.lock().unwrap().extend_from_slice(requests);
        self.answers
            .lock()
            .unwrap()
            .pop()
            .unwrap_or_else(|| Err(Error::internal(ErrorDomain::None, "end of input")))
    }
}

fn login<'a>(host: &'a str, user: Option<&'a str>) -> Login<'a> {
    Login { host, user, default_user: "root" }
}

fn shown(result: Result<Credentials, AuthError>) -> String {
    match result {
        Ok(credentials) => format!("{} {}", credentials.username, credentials.password.expose()),
        Err(error) => format!("{} {}: {error}", error.code(), error.domain()),
    }
}

#[tokio::test]
async fn from_the_file() {
    let folder = Folder::new();
    let path = folder.write("a.conf", FILE);
    let environment = Environment { libvirt_auth_file: Some(path.into()), ..folder.environment() };
    let source = CredentialSource::load(&environment, None).unwrap();
    let mut table = String::new();
    for (host, user) in [
        ("h", None),
        ("h", Some("zoe")),
        ("::1", None),
        ("other", None),
        ("half", None),
        ("nokey", None),
        ("nogroup", None),
    ] {
        let result = source.credentials(login(host, user), None).await;
        table += &format!("{host} {user:?} -> {}\n", folder.plain(shown(result)));
    }
    insta::assert_snapshot!(table, @r#"
    h None -> alice canary-1
    h Some("zoe") -> zoe canary-1
    ::1 None -> alice canary-1
    other None -> bob canary-2
    half None -> VIR_ERR_INVALID_ARG VIR_FROM_ESX: no password for half in the credentials file FOLDER/a.conf: put it into ~/.config/libvirt/auth.conf, or into a credentials file named by LIBVIRT_AUTH_FILE or authfile=, or run where it can be asked for
    nokey None -> VIR_ERR_CONF_SYNTAX VIR_FROM_NONE: the key 'credentials' is missing in group 'auth-esx-nokey' of the credentials file FOLDER/a.conf
    nogroup None -> VIR_ERR_CONF_SYNTAX VIR_FROM_NONE: group 'credentials-missing', to which group 'auth-esx-nogroup' refers, is missing in the credentials file FOLDER/a.conf
    "#);
    assert!(!format!("{source:?}").contains("canary"));
    let credentials = source.credentials(login("h", None), None).await.unwrap();
    assert_eq!(format!("{credentials:?}"), r#"Credentials { username: "alice", password: *** }"#);
}

#[test]
fn which_file() {
    let folder = Folder::new();
    let plain = folder.environment();
    let chosen = |environment: &Environment, from_uri| {
        environment.auth_file(from_uri).unwrap().map(|path| folder.plain(path.display()))
    };
    assert_eq!(chosen(&plain, None), None);
    folder.write("etc/libvirt/auth.conf", "");
    assert_eq!(chosen(&plain, None).as_deref(), Some("FOLDER/etc/libvirt/auth.conf"));
    folder.write("home/.config/libvirt/auth.conf", "");
    assert_eq!(chosen(&plain, None).as_deref(), Some("FOLDER/home/.config/libvirt/auth.conf"));
    let xdg = Environment { xdg_config_home: Some(folder.0.path().join("xdg")), ..plain.clone() };
    // XDG_CONFIG_HOME replaces ~/.config, so the system's file is next.
    assert_eq!(chosen(&xdg, None).as_deref(), Some("FOLDER/etc/libvirt/auth.conf"));
    folder.write("xdg/libvirt/auth.conf", "");
    assert_eq!(chosen(&xdg, None).as_deref(), Some("FOLDER/xdg/libvirt/auth.conf"));
    assert_eq!(chosen(&xdg, Some("/from/uri")).as_deref(), Some("/from/uri"));
    let variable = Environment { libvirt_auth_file: Some("/from/variable".into()), ..xdg };
    assert_eq!(chosen(&variable, Some("/from/uri")).as_deref(), Some("/from/variable"));
    let homeless = Environment { home: None, ..plain };
    assert_eq!(chosen(&homeless, None).as_deref(), Some("FOLDER/etc/libvirt/auth.conf"));
}

#[test]
fn files_that_cannot_be_used() {
    let folder = Folder::new();
    let bad = folder.write("bad.conf", "[credentials-x]\nusername=u\ncanary\n");
    let large = folder.write("large.conf", &"#".repeat(2 << 20));
    let missing = folder.0.path().join("missing.conf");
    let table: String = [
        PathBuf::new(),
        missing,
        folder.0.path().to_owned(),
        bad,
        large,
        // Never ends; must not be read at all.
        PathBuf::from("/dev/zero"),
    ]
    .iter()
    .map(|path| {
        let environment =
            Environment { libvirt_auth_file: Some(path.into()), ..folder.environment() };
        let error = CredentialSource::load(&environment, None).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        let line = format!(
            "{} {}: {error} ({})\n",
            error.code(),
            error.domain(),
            source.unwrap_or_default()
        );
        folder.plain(line)
    })
    .collect();
    insta::assert_snapshot!(table, @r"
    VIR_ERR_INVALID_ARG VIR_FROM_ESX: LIBVIRT_AUTH_FILE is set but empty; unset it, or let it name a credentials file ()
    VIR_ERR_SYSTEM_ERROR VIR_FROM_ESX: cannot read the credentials file FOLDER/missing.conf (No such file or directory (os error 2))
    VIR_ERR_SYSTEM_ERROR VIR_FROM_ESX: cannot read the credentials file FOLDER (it is not a regular file)
    VIR_ERR_CONF_SYNTAX VIR_FROM_NONE: syntax error in the credentials file FOLDER/bad.conf, line 3: it is neither a group, a key nor a comment ()
    VIR_ERR_SYSTEM_ERROR VIR_FROM_ESX: cannot read the credentials file FOLDER/large.conf (it is larger than 1024 KiB)
    VIR_ERR_SYSTEM_ERROR VIR_FROM_ESX: cannot read the credentials file /dev/zero (it is not a regular file)
    ");
    let error = CredentialSource::load(&folder.environment(), Some("")).unwrap_err();
    assert!(matches!(error, AuthError::Unreadable { .. }));
}

#[tokio::test]
async fn from_a_person() {
    use CredentialType::{AuthName, EchoPrompt, NoEchoPrompt, Passphrase};
    let source = CredentialSource { file: None };
    let mut table = String::new();
    let cases: [(&[CredentialType], &[&str], Option<&str>); 8] = [
        (&[AuthName, Passphrase], &["eve", "pw"], None),
        (&[NoEchoPrompt, Passphrase], &["pw"], Some("zoe")),
        (&[Passphrase, NoEchoPrompt], &["pw"], Some("zoe")),
        // The driver does not put in the default.
        (&[AuthName, Passphrase], &["", "pw"], None),
        (&[Passphrase], &["pw"], None),
        (&[AuthName, EchoPrompt], &["eve", "pw"], None),
        (&[AuthName, Passphrase], &[], None),
        (&[AuthName, Passphrase], &["eve"], None),
    ];
    for (types, answers, user) in cases {
        let person = Person::new(types, answers);
        let result = source.credentials(login("h", user), Some(&person)).await;
        table += &format!("{types:?} {answers:?} {user:?} -> {}\n", shown(result));
        for request in person.asked.into_inner().unwrap() {
            let CredentialRequest { kind, prompt, challenge, default_result } = request;
            table += &format!("    {kind:?} {prompt:?} {challenge:?} {default_result:?}\n");
        }
    }
    table += &format!("nobody -> {}\n", shown(source.credentials(login("h", None), None).await));
    table +=
        &format!("nobody -> {}\n", shown(source.credentials(login("h", Some("u")), None).await));
    insta::assert_snapshot!(table, @r#"
    [AuthName, Passphrase] ["eve", "pw"] None -> eve pw
        AuthName "Enter username for h [root]" Some("h") Some("root")
        Passphrase "Enter eve's password for h" None None
    [NoEchoPrompt, Passphrase] ["pw"] Some("zoe") -> zoe pw
        NoEchoPrompt "Enter zoe's password for h" None None
    [Passphrase, NoEchoPrompt] ["pw"] Some("zoe") -> zoe pw
        Passphrase "Enter zoe's password for h" None None
    [AuthName, Passphrase] ["", "pw"] None ->  pw
        AuthName "Enter username for h [root]" Some("h") Some("root")
        Passphrase "Enter 's password for h" None None
    [Passphrase] ["pw"] None -> VIR_ERR_AUTH_FAILED VIR_FROM_ESX: no user name for h: this program cannot ask for one
    [AuthName, EchoPrompt] ["eve", "pw"] None -> VIR_ERR_OPERATION_UNSUPPORTED VIR_FROM_ESX: no password for h: this program cannot ask for one
        AuthName "Enter username for h [root]" Some("h") Some("root")
    [AuthName, Passphrase] [] None -> VIR_ERR_AUTH_FAILED VIR_FROM_ESX: the request for the user name for h was not answered
        AuthName "Enter username for h [root]" Some("h") Some("root")
    [AuthName, Passphrase] ["eve"] None -> VIR_ERR_OPERATION_FAILED VIR_FROM_ESX: the request for the password for h was not answered
        AuthName "Enter username for h [root]" Some("h") Some("root")
        Passphrase "Enter eve's password for h" None None
    nobody -> VIR_ERR_INVALID_ARG VIR_FROM_ESX: no user name for h: put it into the URI (esx://USER@HOST/), or into a credentials file named by LIBVIRT_AUTH_FILE or authfile=, or run where it can be asked for
    nobody -> VIR_ERR_INVALID_ARG VIR_FROM_ESX: no password for h: put it into ~/.config/libvirt/auth.conf, or into a credentials file named by LIBVIRT_AUTH_FILE or authfile=, or run where it can be asked for
    "#);
}

#[tokio::test]
async fn an_empty_answer_list_is_a_refusal() {
    let person = Person {
        types: vec![CredentialType::Passphrase],
        answers: Mutex::new(vec![Ok(Vec::new())]),
        ..Person::default()
    };
    let source = CredentialSource { file: None };
    let error = source.credentials(login("h", Some("u")), Some(&person)).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::OperationFailed);
}

#[test]
fn the_future_can_be_spawned() {
    fn send<T: Send>(_: T) {}
    send(CredentialSource { file: None }.credentials(login("h", None), None));
}

#[test]
fn logins_of_other_services_have_their_own_keys() {
    let folder = Folder::new();
    let file = folder.write(
        "auth.conf",
        "[auth-libvirt-localhost]\ncredentials=d\n[credentials-d]\nusername=no\nauthname=me\npassword=canary-3\n\
         [auth-esx-localhost]\ncredentials=e\n[credentials-e]\nusername=other\npassword=canary-4\n",
    );
    let file = file.to_str();
    let environment = folder.environment();
    let stored = |service, host| environment.stored_login(service, host, file).unwrap();
    let mine = (Some("me".to_owned()), Some(Secret::new("canary-3")));
    assert_eq!(stored("libvirt", "localhost"), mine);
    assert_eq!(stored("libvirt", "elsewhere"), (None, None));
    assert_eq!(environment.stored_login("libvirt", "localhost", None).unwrap(), (None, None));
    let missing = environment.stored_login("libvirt", "localhost", Some("/nowhere/at/all"));
    assert_eq!(missing.unwrap_err().message, "cannot use the credentials file");
}
