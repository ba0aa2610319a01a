//! Typed views of the faults that code acts on. All others are name and members ([`Object`]) and are
//! told apart by [`is`].
//!
//! ```
//! use esx_vi_api::{Object, faults};
//!
//! let fault = Object::new("InvalidProperty").with("name", "config.nope");
//! let view = faults::InvalidProperty::from_object(&fault).expect("the fault of that name");
//! assert_eq!(view.name, "config.nope");
//! assert!(faults::is(&fault, "MethodFault"));
//! ```

use crate::{MoRef, Object, Value, schema};

/// Whether the fault is of the type `base` or of one that derives from it; a type that the tables do
/// not know is only itself.
pub fn is(fault: &Object, base: &str) -> bool {
    schema::is_subtype(&fault.type_name, base)
}

/// The VI fault inside a `LocalizedMethodFault`, or the object itself if it is no such wrapper.
pub fn inner(fault: &Object) -> &Object {
    match fault.get("fault").and_then(Value::as_object) {
        Some(inner) if fault.type_name == "LocalizedMethodFault" => inner,
        _ => fault,
    }
}

fn moref(fault: &Object, name: &str) -> Option<MoRef> {
    fault.get(name).and_then(Value::as_moref).cloned()
}

fn text(fault: &Object, name: &str) -> Option<String> {
    fault.str(name).map(str::to_owned)
}

/// How a member of a view is read from the tree.
trait Field: Sized {
    fn read(fault: &Object, name: &str) -> Self;
}

impl Field for Option<String> {
    fn read(fault: &Object, name: &str) -> Self {
        text(fault, name)
    }
}

impl Field for String {
    /// Mandatory in the schema; servers leave it out all the same, and a fault must not hide behind
    /// a second one.
    fn read(fault: &Object, name: &str) -> Self {
        text(fault, name).unwrap_or_default()
    }
}

impl Field for Option<MoRef> {
    fn read(fault: &Object, name: &str) -> Self {
        moref(fault, name)
    }
}

impl Field for Option<i64> {
    fn read(fault: &Object, name: &str) -> Self {
        fault.get(name).and_then(Value::as_i64)
    }
}

impl Field for Vec<String> {
    fn read(fault: &Object, name: &str) -> Self {
        let items = fault.get(name).map_or(&[][..], Value::items);
        items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }
}

macro_rules! views {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $wire:literal),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name {
            /// The type's name in the schema.
            pub const NAME: &'static str = stringify!($name);

            /// The view of `fault`, also inside a `LocalizedMethodFault`; `None` if it is neither of
            /// this type nor of one that derives from it.
            pub fn from_object(fault: &Object) -> Option<Self> {
                let fault = inner(fault);
                is(fault, Self::NAME).then(|| Self { $($field: Field::read(fault, $wire),)* })
            }
        }
    )*

        /// The names and members of all views, for the test that holds them against the tables.
        #[cfg(test)]
        const VIEWS: &[(&str, &[&str])] = &[$((stringify!($name), &[$($wire),*])),*];
    };
}

views! {
    /// The object is in use: a machine that is locked, a file that is open.
    ResourceInUse {
        /// The class of the resource.
        kind: Option<String> = "type",
        /// Its name.
        name: Option<String> = "name",
    }
    /// A name that exists already.
    DuplicateName {
        /// The name.
        name: String = "name",
        /// The object that has it.
        object: Option<MoRef> = "object",
    }
    /// A file that exists already.
    FileAlreadyExists {
        /// The datastore path.
        file: String = "file",
    }
    /// A file operation that failed; the base of the other file faults.
    FileFault {
        /// The datastore path.
        file: String = "file",
    }
    /// A file that is locked.
    FileLocked {
        /// The datastore path.
        file: String = "file",
    }
    /// A file or folder that does not exist.
    FileNotFound {
        /// The datastore path.
        file: String = "file",
    }
    /// An argument that the host does not accept.
    InvalidArgument {
        /// The property path of the argument, if the host names it.
        invalid_property: Option<String> = "invalidProperty",
    }
    /// A datastore that does not exist or cannot be reached.
    InvalidDatastore {
        /// The datastore.
        datastore: Option<MoRef> = "datastore",
        /// Its name.
        name: Option<String> = "name",
    }
    /// Wrong user name or password.
    InvalidLogin {}
    /// A name that the host does not accept.
    InvalidName {
        /// The name.
        name: String = "name",
        /// The object that should have got it.
        entity: Option<MoRef> = "entity",
    }
    /// The machine is in another power state than the operation needs.
    InvalidPowerState {
        /// The state it should have.
        requested_state: Option<String> = "requestedState",
        /// The state it has.
        existing_state: String = "existingState",
    }
    /// A property path that the host does not know.
    InvalidProperty {
        /// The path.
        name: String = "name",
    }
    /// An object in a state that does not allow the operation; `InvalidPowerState` is one kind.
    InvalidState {}
    /// The managed object is gone, or never was.
    ManagedObjectNotFound {
        /// The object.
        obj: Option<MoRef> = "obj",
    }
    /// The user lacks a privilege.
    NoPermission {
        /// The object it was needed on.
        object: Option<MoRef> = "object",
        /// The privilege, for example `VirtualMachine.Interact.PowerOn`.
        privilege_id: Option<String> = "privilegeId",
    }
    /// Nobody is logged in on this session.
    NotAuthenticated {
        /// The object that was asked.
        object: Option<MoRef> = "object",
        /// The privilege that the call needs.
        privilege_id: Option<String> = "privilegeId",
    }
    /// Nothing of the name or UUID exists.
    NotFound {}
    /// The host does not offer the method or the option.
    NotSupported {}
    /// The task was cancelled.
    RequestCanceled {}
    /// The licence or edition forbids it: a free ESXi refuses every change.
    RestrictedVersion {}
    /// Another task holds the object.
    TaskInProgress {
        /// That task.
        task: Option<MoRef> = "task",
    }
    /// The operation took longer than the host allows.
    Timedout {}
    /// VMware Tools do not run in the guest.
    ToolsUnavailable {}
    /// The host's version is too old or too new for the object.
    VirtualHardwareVersionNotSupported {
        /// The host.
        host_name: Option<String> = "hostName",
        /// The host, as a reference.
        host: Option<MoRef> = "host",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_name_what_the_schema_has() {
        for (name, members) in VIEWS {
            assert!(is(&Object::new(*name), "MethodFault"), "{name}");
            for member in *members {
                assert!(schema::member(name, member).is_some(), "{name}.{member}");
            }
        }
    }

    #[test]
    fn views_see_subtypes_and_through_the_wrapper() {
        let fault = Object::new("CannotAccessFile").with("file", "[ds] a");
        assert_eq!(FileFault::from_object(&fault).unwrap().file, "[ds] a");
        assert_eq!(FileNotFound::from_object(&fault), None);
        let wrapped = Object::new("LocalizedMethodFault")
            .with("fault", Object::new("TaskInProgress").with("task", MoRef::new("Task", "t-1")));
        let view = TaskInProgress::from_object(&wrapped).unwrap();
        assert_eq!(view.task, Some(MoRef::new("Task", "t-1")));
        // A fault of a newer schema is nobody's view.
        assert_eq!(NotFound::from_object(&Object::new("FaultOfVersion99")), None);
    }
}
