//! The faults that a host answers with.

use esx_vi_api::{MoRef, Object};

/// A refusal: the VI fault, and the text that stands beside it in the SOAP body.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message} ({})", detail.type_name)]
pub struct Fault {
    /// The text for people, as `faultstring` carries it.
    pub message: String,
    /// The VI fault with its members.
    pub detail: Object,
}

impl Fault {
    /// A fault of the schema's type `name`.
    pub fn new(name: &'static str, message: impl Into<String>) -> Self {
        Self { message: message.into(), detail: Object::new(name) }
    }

    /// The fault with this member.
    #[must_use]
    pub fn with(mut self, member: &'static str, value: impl Into<esx_vi_api::Value>) -> Self {
        self.detail.set(member, value);
        self
    }

    /// There is no session, or it has ended.
    pub(crate) fn not_authenticated(object: &MoRef) -> Self {
        Self::new("NotAuthenticated", "The session is not authenticated.")
            .with("object", object)
            .with("privilegeId", "System.View")
    }

    /// The user lacks the privilege to see something.
    pub(crate) fn no_permission(object: &MoRef) -> Self {
        Self::new("NoPermission", "Permission to perform this operation was denied.")
            .with("object", object)
            .with("privilegeId", "System.Read")
    }

    /// The user lacks the privilege to do something.
    pub(crate) fn no_privilege(object: &MoRef, privilege: &str) -> Self {
        Self::new("NoPermission", "Permission to perform this operation was denied.")
            .with("object", object)
            .with("privilegeId", privilege)
    }

    /// Wrong user name or password.
    pub(crate) fn invalid_login() -> Self {
        Self::new(
            "InvalidLogin",
            "Cannot complete login due to an incorrect user name or password.",
        )
    }

    /// The reference leads nowhere.
    pub(crate) fn object_not_found(object: &MoRef) -> Self {
        let (kind, value) = (&object.kind, &object.value);
        Self::new(
            "ManagedObjectNotFound",
            format!("The object 'vim.{kind}:{value}' has already been deleted or has not been completely created"),
        )
        .with("obj", object)
    }

    /// The class, or the dialect spoken, has no such property path.
    pub(crate) fn invalid_property(path: &str) -> Self {
        Self::new("InvalidProperty", "").with("name", path)
    }

    /// A parameter has no acceptable value.
    pub(crate) fn invalid_argument(parameter: &str) -> Self {
        Self::new("InvalidArgument", format!("A specified parameter was not correct: {parameter}"))
            .with("invalidProperty", parameter)
    }

    /// The method exists, but not here.
    pub(crate) fn not_supported() -> Self {
        Self::new("NotSupported", "The operation is not supported on the object.")
    }

    /// The class, or the dialect spoken, has no such method.
    pub(crate) fn method_not_found(receiver: &MoRef, method: &str) -> Self {
        Self::new(
            "MethodNotFound",
            format!("Unable to resolve WSDL method name {method} for {}", receiver.kind),
        )
        .with("receiver", receiver)
        .with("method", method)
    }

    /// The request is not one.
    pub fn invalid_request(message: impl Into<String>) -> Self {
        Self::new("InvalidRequest", message)
    }

    /// The update version is not one that this collector has given out.
    pub(crate) fn invalid_collector_version() -> Self {
        Self::new("InvalidCollectorVersion", "")
    }
}
